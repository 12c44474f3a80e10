//! Who may go on, who waits, who is refused: wait-die with the roles that fit a lock which isn't held for long (Rosenkrantz, Stearns and
//! Lewis, 1978, where the *older* waits). A transaction waits only for older ones, here and everywhere, so nobody waits in a circle;
//! and while it waits it holds nothing here. An older one that comes late is refused, and its gateway tries again as the
//! youngest of all. The youngest that is under way is refused by nobody; only who comes after it is younger. `docs/models/lock_model.py`
//! checks it, and what it costs: a network that is against everybody could have them refuse each other again and again.

use super::{Effect, Participant, UnderWay};
use crate::ids::TxId;
use crate::ledger::{Finding, Ledger};
use crate::locks::LockTable;
use crate::message::{Party, Refusal};
use crate::operation::{Operation, Prepare};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use base::{Outbox, Time};

/// Prepares that wait for locks.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<TxId, Waiting>,
    wanted: LockTable<TxId>,
    patience: BTreeSet<(Time, TxId)>,
}

#[derive(Debug)]
struct Waiting {
    prepare: Prepare,
    from: Party,
    until: Time,
}

/// What becomes of a Prepare at this moment.
enum Verdict {
    GoOn,
    Wait,
    Refuse(Refusal),
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn contains(&self, id: TxId) -> bool {
        self.waiting.contains_key(&id)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.patience.first().map(|(at, _)| *at)
    }

    /// What those who wait want.
    pub(super) fn wanted(&self) -> &LockTable<TxId> {
        &self.wanted
    }

    pub(super) fn remove(&mut self, id: TxId) -> bool {
        self.take(id).is_some()
    }

    fn push(&mut self, prepare: Prepare, from: Party, until: Time) {
        let id = prepare.id;
        self.wanted.insert(id, &prepare.locks);
        self.patience.insert((until, id));
        self.waiting.insert(id, Waiting { prepare, from, until });
    }

    fn take(&mut self, id: TxId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.wanted.remove(id, &waiting.prepare.locks);
        self.patience.remove(&(waiting.until, id));
        Some(waiting)
    }
}

impl Participant {
    pub(super) fn prepare<U>(
        &mut self,
        now: Time,
        ledger: &Ledger<U>,
        from: Party,
        prepare: Prepare,
        out: &mut Outbox<Effect>,
    ) {
        let id = prepare.id;
        let known = ledger.finding(id);
        if known != Finding::Unknown {
            return self.say(from, id, 0, known, out);
        }
        if self.is_on_its_way(id) {
            base::mark!("prepare_came_twice");
            return;
        }
        if !self.clock.believes(now, id.timestamp, self.config.ahead_max) {
            return self.refuse(from, id, Refusal::Ahead, out);
        }
        self.clock.catch_up(now, id.timestamp);
        match self.verdict(ledger, &prepare) {
            Verdict::GoOn => self.take_into_log(from, prepare, out),
            Verdict::Wait if self.queue.len() >= self.config.waiting_max => {
                self.refuse(from, id, Refusal::Busy, out);
            }
            Verdict::Wait => {
                self.counters.waited += 1;
                self.queue.push(prepare, from, now + self.config.wait_max);
            }
            Verdict::Refuse(refusal) => self.refuse(from, id, refusal, out),
        }
    }

    /// Locks were given back: whoever can, goes on, the oldest first.
    pub(super) fn serve_queue<U>(&mut self, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        let waiting: Vec<TxId> = self.queue.waiting.keys().copied().collect();
        for id in waiting {
            let Some(waiting) = self.queue.waiting.get(&id) else { continue };
            let verdict = self.verdict(ledger, &waiting.prepare);
            if matches!(verdict, Verdict::Wait) {
                continue;
            }
            let Some(Waiting { prepare, from, .. }) = self.queue.take(id) else { continue };
            match verdict {
                Verdict::Refuse(refusal) => self.refuse(from, id, refusal, out),
                Verdict::GoOn | Verdict::Wait => self.take_into_log(from, prepare, out),
            }
        }
    }

    /// Who has waited for long enough is told; nothing was logged.
    pub(super) fn refuse_the_patient(&mut self, now: Time, out: &mut Outbox<Effect>) {
        while let Some((at, id)) = self.queue.patience.first().copied()
            && at <= now
        {
            if let Some(waiting) = self.queue.take(id) {
                base::mark!("waited_too_long");
                self.refuse(waiting.from, id, Refusal::Waited, out);
                self.freed = true;
            }
        }
    }

    fn take_into_log(&mut self, from: Party, prepare: Prepare, out: &mut Outbox<Effect>) {
        let id = prepare.id;
        self.counters.prepares += 1;
        self.preparing.insert(id, prepare.locks.clone());
        self.promised.insert(id, &prepare.locks);
        self.propose(UnderWay::Prepare { id, from }, Operation::Prepare(prepare), out);
    }

    fn verdict<U>(&self, ledger: &Ledger<U>, prepare: &Prepare) -> Verdict {
        let (id, locks) = (prepare.id, &prepare.locks);
        // Behind an outcome that is proposed, its locks are free.
        let prepared = ledger
            .locks()
            .last_in_the_way(locks, |owner| owner != id && !self.resolving.contains_key(&owner));
        let promised = self.promised.last_in_the_way(locks, |owner| owner != id);
        #[cfg(feature = "bugs")]
        let promised = promised.filter(|_| !self.config.bugs.locks_unchecked);
        let holder = prepared.max(promised);
        #[cfg(feature = "bugs")]
        if self.config.bugs.older_waits_too && holder.is_some() {
            return Verdict::Wait;
        }
        match holder {
            Some(holder) if holder > id => {
                base::mark!("the_older_comes_late");
                Verdict::Refuse(Refusal::Older(holder.timestamp))
            }
            Some(_) => Verdict::Wait,
            // An older one that waits goes first, or it could wait for ever. Reads end by themselves.
            None if self.queue.wanted.are_in_the_way(locks, |owner| owner < id) => Verdict::Wait,
            None if self.reads.are_in_the_way(locks) => Verdict::Wait,
            None => Verdict::GoOn,
        }
    }
}
