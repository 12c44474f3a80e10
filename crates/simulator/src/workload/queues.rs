//! Those who fill queues, and wait for them: one producer and one consumer of a queue in which order is looked at, and
//! one producer, two consumers and a mover of two queues that they share. Some who wait go away, most of them just when
//! something comes.

use super::crew::{Sending, Trade};
use super::{MILLI, conclude, operation, speech};
use crate::history::{History, ORDERED, Operation, Outcome, QUEUES, QueueAction, QueueIndex, Reply};
use node::resp::Frame;

const ORDERED_PRODUCER: usize = 0;
const PRODUCER: usize = 1;
const ORDERED_CONSUMER: usize = 2;
const MOVER: usize = 5;
/// Those who may go away while they wait.
const RESTLESS: std::ops::RangeInclusive<usize> = 3..=MOVER;

/// The two queues that are shared.
const SHARED: [QueueIndex; 2] = [1, 2];

/// The trade.
#[derive(Debug)]
pub struct Queues {
    /// Whether the queues lie on shards of their own, or share one.
    pub apart: bool,
}

impl Queues {
    fn push(&self, worker: usize, queue: QueueIndex, now: u64, history: &mut History, to: &mut Sending) {
        let calls = &mut history.queues.calls;
        let element = calls.len();
        speech::put(
            &mut to.bytes,
            &[b"RPUSH", &speech::queue_key(queue, self.apart), element.to_string().as_bytes()],
        );
        let after = to.commands.last().copied();
        calls.push(Operation { after, ..operation(worker, QueueAction::Push(queue), now) });
        to.commands.push(element);
    }

    fn wait(&self, worker: usize, action: QueueAction, now: u64, history: &mut History, to: &mut Sending) {
        let mut seconds = *to.rng.pick(&["0.05", "0.4", "1", "1.5", "2", "0"]).unwrap_or(&"1");
        let restless = RESTLESS.contains(&worker);
        if seconds == "0" && !restless {
            seconds = "1";
        }
        let millis = (seconds.parse::<f64>().unwrap_or(0.0) * 1_000.0) as u64;
        to.waits = millis * MILLI;
        if restless && (millis == 0 || to.rng.chance(1, 6)) {
            to.patience = Some(to.rng.between(50, 2_500) * MILLI);
        }
        let mut words: Vec<Vec<u8>> = Vec::new();
        match &action {
            QueueAction::Move(from, into) => {
                let ends = [b"LEFT".to_vec(), b"RIGHT".to_vec()];
                if to.rng.chance(1, 3) {
                    // It looks, and doesn't wait.
                    to.waits = 0;
                    seconds = "";
                }
                let name = if seconds.is_empty() { b"LMOVE".to_vec() } else { b"BLMOVE".to_vec() };
                words.extend([
                    name,
                    speech::queue_key(*from, self.apart),
                    speech::queue_key(*into, self.apart),
                ]);
                words.extend(ends);
            }
            QueueAction::Pop { queues, left } => {
                words.push(if *left { b"BLPOP".to_vec() } else { b"BRPOP".to_vec() });
                words.extend(queues.iter().map(|&queue| speech::queue_key(queue, self.apart)));
            }
            QueueAction::Push(_) | QueueAction::Rest(_) => {}
        }
        if !seconds.is_empty() {
            words.push(seconds.as_bytes().to_vec());
        }
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        speech::put(&mut to.bytes, &words);
        to.commands.push(history.queues.calls.len());
        history.queues.calls.push(operation(worker, action, now));
    }
}

impl Trade for Queues {
    fn workers(&self) -> usize {
        MOVER + 1
    }

    fn next(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        match worker {
            ORDERED_PRODUCER | PRODUCER => {
                to.rest = to.rng.between(10, 250) * MILLI;
                let queue = if worker == PRODUCER { SHARED[to.rng.below(2) as usize] } else { ORDERED };
                let count = if to.rng.chance(1, 4) { to.rng.between(2, 4) } else { 1 };
                (0..count).for_each(|_| self.push(worker, queue, now, history, to));
                if worker == PRODUCER && to.rng.chance(1, 3) {
                    let who = to.rng.between(*RESTLESS.start() as u64, *RESTLESS.end() as u64) as usize;
                    to.leaves = Some((who, to.rng.between(100, 8_000) * MILLI / 1_000));
                }
            }
            ORDERED_CONSUMER => {
                to.rest = to.rng.below(20) * MILLI;
                self.wait(worker, QueueAction::Pop { queues: vec![ORDERED], left: true }, now, history, to);
            }
            MOVER => {
                to.rest = to.rng.below(200) * MILLI;
                self.wait(worker, QueueAction::Move(SHARED[0], SHARED[1]), now, history, to);
            }
            _ => {
                to.rest = to.rng.below(40) * MILLI;
                let mut queues = SHARED.to_vec();
                if to.rng.chance(1, 3) {
                    queues.reverse();
                }
                let left = to.rng.chance(1, 2);
                self.wait(worker, QueueAction::Pop { queues, left }, now, history, to);
            }
        }
    }

    fn last(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        if worker != ORDERED_PRODUCER {
            return;
        }
        for queue in 0..QUEUES as QueueIndex {
            if rest(history, queue).is_none() {
                speech::put(&mut to.bytes, &[b"LRANGE", &speech::queue_key(queue, self.apart), b"0", b"-1"]);
                to.commands.push(history.queues.calls.len());
                history.queues.calls.push(operation(worker, QueueAction::Rest(queue), now));
            }
        }
    }

    fn has_read_everything(&self, history: &History) -> bool {
        (0..QUEUES as QueueIndex).all(|queue| rest(history, queue).is_some())
    }

    fn answered(
        &mut self,
        command: usize,
        frame: Frame,
        now: u64,
        history: &mut History,
    ) -> Result<bool, String> {
        let outcome = speech::outcome_of(frame);
        let call = &mut history.queues.calls[command];
        let done = match (&call.action, &outcome) {
            (QueueAction::Push(_), Outcome::Done(Reply::Integer(_)))
            | (QueueAction::Rest(_), Outcome::Done(Reply::Values(_)))
            | (QueueAction::Pop { .. }, Outcome::Done(Reply::Values(_) | Reply::Nil))
            | (QueueAction::Move(..), Outcome::Done(Reply::Value(_) | Reply::Nil)) => true,
            (action, Outcome::Done(reply)) => return Err(format!("{action:?} was answered {reply:?}")),
            _ => false,
        };
        history.unknown += u64::from(outcome == Outcome::Unknown);
        conclude(call, outcome, now);
        Ok(done)
    }

    fn lost(&mut self, command: usize, left: bool, now: u64, history: &mut History) {
        conclude(&mut history.queues.calls[command], Outcome::Unknown, now);
        if left {
            history.queues.left.insert(command);
        }
    }

    fn went(&mut self, _: usize) {}

    fn said_in_vain(&mut self, frame: Frame, history: &mut History) {
        if let Outcome::Done(reply) = speech::outcome_of(frame) {
            history.queues.said_in_vain.push(reply);
        }
    }
}

/// What was in a queue at the end, if that was read.
pub fn rest(history: &History, queue: QueueIndex) -> Option<&[Option<Vec<u8>>]> {
    history.queues.calls.iter().rev().find_map(|call| match (&call.action, &call.outcome) {
        (QueueAction::Rest(of), Outcome::Done(Reply::Values(values))) if *of == queue => Some(&values[..]),
        _ => None,
    })
}
