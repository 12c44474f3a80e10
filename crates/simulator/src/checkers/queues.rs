//! What is put into a queue is taken out once: no element is lost, doubled or made up by commands that wait, whatever
//! happens to nodes and to clients that go away (ARCHITECTURE.md, "Waiting"; blocking commands reserve in memory, but every
//! try is an operation that is done once).
//!
//! What was popped for a client of which nobody knows what it heard may be gone. So each pop of unknown fate is an excuse
//! for one element, pushed before it was over. There is none for BLMOVE, whose pop and push are one, and none in a whole
//! world: what was taken for a client that had gone is put back there. What a node had *said* before it could know that
//! nobody listens counts as popped.

use super::Finding;
use crate::history::{History, ORDERED, Operation, Outcome, QUEUES, QueueAction, QueueIndex, Reply};
use crate::workload::{queues::rest, speech};
use std::collections::BTreeMap;

/// How long after its client has heard of nothing a pop may still take something, while things go wrong.
const AFTERMATH: u64 = 12_000_000_000;

/// How long it takes at most to put something back in a whole world.
const PUTTING_BACK: u64 = 1_000_000_000;

type Call = Operation<QueueAction>;

/// Judges the queues.
pub fn check(history: &History) -> Vec<Finding> {
    let judge = Judge { history, calls: &history.queues.calls, places: BTreeMap::new() };
    let checked = judge.check();
    checked.err().into_iter().map(|text| Finding::new("queues", text)).collect()
}

struct Judge<'a> {
    history: &'a History,
    calls: &'a [Call],
    /// Where each element came out, as a text.
    places: BTreeMap<usize, String>,
}

impl Judge<'_> {
    fn check(mut self) -> Result<(), String> {
        for (number, call) in self.calls.iter().enumerate() {
            match (&call.action, &call.outcome) {
                (QueueAction::Pop { queues, .. }, Outcome::Done(Reply::Values(values))) => {
                    let [Some(key), Some(element)] = &values[..] else {
                        return Err(format!("{} answered {values:?}", told(number, call)));
                    };
                    if speech::queue_of(key).is_none_or(|queue| !queues.contains(&queue)) {
                        return Err(format!("{} took something from elsewhere", told(number, call)));
                    }
                    let element = self.known(element, call.returned, &told(number, call))?;
                    self.came_out(element, told(number, call))?;
                }
                (QueueAction::Move(..), Outcome::Done(Reply::Value(element))) => {
                    self.known(element, call.returned, &told(number, call))?;
                }
                _ => {}
            }
        }
        for reply in &self.history.queues.said_in_vain {
            if let Reply::Values(values) = reply
                && let [Some(key), Some(element)] = &values[..]
                && speech::queue_of(key).is_some()
            {
                let element = self.known(element, u64::MAX, "an answer to nobody")?;
                self.came_out(element, "an answer that nobody heard any more".into())?;
            }
        }
        self.in_order()?;
        self.drained()
    }

    /// The element of this name, if somebody may have pushed it by `time`.
    fn known(&self, name: &[u8], time: u64, who: &str) -> Result<usize, String> {
        let number: Option<usize> = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok());
        let push = number.and_then(|number| self.calls.get(number));
        match push {
            Some(Operation { action: QueueAction::Push(_), called, outcome, .. })
                if *called < time && *outcome != Outcome::Refused =>
            {
                Ok(number.unwrap_or_default())
            }
            _ => Err(format!("{who} gave {:?}, which nobody had pushed", String::from_utf8_lossy(name))),
        }
    }

    fn came_out(&mut self, element: usize, whence: String) -> Result<(), String> {
        match self.places.insert(element, whence.clone()) {
            Some(before) => Err(format!("element {element} came out twice: by {before}, and by {whence}")),
            None => Ok(()),
        }
    }

    /// In the queue with one producer and one consumer, what was pushed first is popped first. Something can have been put
    /// back behind the next one only if somebody had gone meanwhile.
    fn in_order(&self) -> Result<(), String> {
        let mut highest: Option<usize> = None;
        for (number, call) in self.calls.iter().enumerate() {
            if call.action != (QueueAction::Pop { queues: vec![ORDERED], left: true }) {
                continue;
            }
            let Outcome::Done(Reply::Values(values)) = &call.outcome else { continue };
            let element = values.get(1).and_then(Option::as_deref).unwrap_or_default();
            let element = self.known(element, u64::MAX, "a pop")?;
            if !matches!(self.calls[element].outcome, Outcome::Done(_)) {
                // It may have come at any time.
                continue;
            }
            if let Some(before) = highest
                && element < before
                && !self.may_have_been_away(element, call.called)
            {
                return Err(format!(
                    "{} got element {element} after {before}, though the same client pushed it before",
                    told(number, call)
                ));
            }
            highest = highest.max(Some(element));
        }
        Ok(())
    }

    /// Whether some pop of unknown fate may have held an element for a while, between its push and `time`.
    fn may_have_been_away(&self, element: usize, time: u64) -> bool {
        let QueueAction::Push(queue) = self.calls[element].action else { return false };
        self.calls.iter().any(|call| {
            takes_from(&call.action, queue)
                && call.outcome == Outcome::Unknown
                && call.called <= time
                && self.over(call) >= self.calls[element].called
        })
    }

    /// What was acknowledged and not popped is still there, once.
    fn drained(mut self) -> Result<(), String> {
        for queue in 0..QUEUES as QueueIndex {
            let Some(values) = rest(self.history, queue) else { return Ok(()) };
            for name in values.iter().flatten() {
                let element = self.known(name, u64::MAX, "the rest of a queue")?;
                self.came_out(element, format!("the rest of queue {queue}"))?;
            }
        }
        let pops = self.calls.iter().enumerate().filter(|(number, call)| self.is_excuse(*number, call));
        let mut excuses: Vec<u64> = pops.map(|(_, call)| self.over(call)).collect();
        excuses.sort_unstable();
        let missing = self.calls.iter().enumerate().rev().filter(|(element, call)| {
            matches!(call.action, QueueAction::Push(_))
                && matches!(call.outcome, Outcome::Done(_))
                && !self.places.contains_key(element)
        });
        // The last that was pushed has the fewest excuses: those are a part of those of all others.
        for (element, push) in missing {
            match excuses.pop() {
                Some(over) if over >= push.called => {}
                _ => return Err(format!("{} is lost, and nothing excuses it", told(element, push))),
            }
        }
        Ok(())
    }

    /// Whether something may have been lost with a pop: nobody knows what it took, and the world wasn't whole.
    fn is_excuse(&self, number: usize, call: &Call) -> bool {
        let quiet = self.history.quiet_since.is_some_and(|quiet| call.returned >= quiet);
        let left = self.history.queues.left.contains(&number);
        matches!(call.action, QueueAction::Pop { .. }) && call.outcome == Outcome::Unknown && !(quiet && left)
    }

    /// When a pop of unknown fate takes nothing any more.
    fn over(&self, call: &Call) -> u64 {
        let over = call.returned + AFTERMATH;
        match self.history.quiet_since {
            Some(quiet) if call.returned < quiet => over.min(quiet),
            Some(_) => call.returned + PUTTING_BACK,
            None => over,
        }
    }
}

fn takes_from(action: &QueueAction, queue: QueueIndex) -> bool {
    match action {
        QueueAction::Pop { queues, .. } => queues.contains(&queue),
        QueueAction::Move(from, _) => *from == queue,
        QueueAction::Push(_) | QueueAction::Rest(_) => false,
    }
}

fn told(number: usize, call: &Call) -> String {
    let Operation { client, action, called, returned, .. } = call;
    format!(
        "command {number} of worker {client}, {action:?}, from {} to {} ms,",
        called / 1_000_000,
        returned / 1_000_000
    )
}

#[cfg(test)]
mod tests;
