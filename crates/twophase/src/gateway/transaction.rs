//! One transaction, over all its tries.
//!
//! All its shards have prepared it: it is committed, and the client is answered. One of them says from its log that it never will: it is
//! aborted, and may be tried again under a new id. Anything else proves nothing. A refused Prepare may have a twin under way, so a
//! try that gets nowhere is *prevented* first; and only an answer from the log of a shard ends it.

use super::{Alarm, Effect, Gateway, Outcome, Part};
use crate::ids::{Participants, TxId};
use crate::ledger::{Finding, Reason};
use crate::message::{Refusal, RequestBody};
use crate::operation::{Decision, Prepare};
use alloc::collections::{BTreeMap, BTreeSet};
use base::{Duration, GroupId, Outbox, Time};
use bytes::Bytes;

/// A transaction that a client waits for.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The present try.
    id: TxId,
    participants: Participants,
    parts: BTreeMap<GroupId, Part>,
    deadline: Time,
    /// When to do something next.
    next: Time,
    /// Who has prepared it, and what it answers there.
    results: BTreeMap<GroupId, Bytes>,
    /// Who has refused it without logging that.
    refused: BTreeSet<GroupId>,
    /// Who says FORGOTTEN.
    forgotten: BTreeSet<GroupId>,
    /// Grows with each FORGOTTEN, so that answers are told apart that were asked for before.
    round: u64,
    /// Some participant has said that it is committed.
    committed: bool,
    /// How long the next try rests before it begins: not at all if a younger one was in the way, for that one gets on.
    rest: Duration,
    /// The last try was aborted, and the next has no name yet: its age counts from when it begins.
    rests: bool,
}

impl Gateway {
    pub(super) fn begin(
        &mut self,
        now: Time,
        ticket: u64,
        parts: BTreeMap<GroupId, Part>,
        deadline: Time,
        out: &mut Outbox<Effect>,
    ) {
        if let Some(limit) = self.over_a_limit(&parts) {
            return out.push(Effect::Done { ticket, outcome: Outcome::TooLarge(limit) });
        }
        let Some(participants) = Participants::new(parts.keys().copied()) else {
            return out.push(Effect::Done { ticket, outcome: Outcome::Done(BTreeMap::new()) });
        };
        self.counters.begun += 1;
        let id = self.next_id(now);
        let transaction = Transaction {
            id,
            participants,
            parts,
            deadline,
            next: now,
            results: BTreeMap::new(),
            refused: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            round: 0,
            committed: false,
            rest: Duration::ZERO,
            rests: false,
        };
        self.tries.insert(id, ticket);
        self.transactions.insert(ticket, transaction);
        self.tend_transaction(now, ticket, out);
    }

    /// Sends what isn't answered, or gives up.
    pub(super) fn tend_transaction(&mut self, now: Time, ticket: u64, out: &mut Outbox<Effect>) {
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        if transaction.next > now {
            return;
        }
        if now >= transaction.deadline {
            base::mark!("deadline_without_an_outcome");
            let outcome = if transaction.rests { Outcome::TryAgain } else { Outcome::Unknown };
            return self.finish(ticket, outcome, out);
        }
        if transaction.rests {
            self.counters.tried_again += 1;
            let id = self.next_id(now);
            self.tries.insert(id, ticket);
            let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
            (transaction.id, transaction.rests) = (id, false);
        }
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        transaction.next = (now + self.config.resend_every).min(transaction.deadline);
        self.alarms.insert((transaction.next, Alarm::Transaction(ticket)));
        let transaction = &self.transactions[&ticket];
        let settles = now >= transaction.deadline - self.config.settle_before && !transaction.committed;
        #[cfg(feature = "bugs")]
        if settles && self.config.bugs.gateway_aborts_alone {
            return self.aborted(now, ticket, None, Reason::Prevented, out);
        }
        let gets_nowhere = !transaction.refused.is_empty() || !transaction.forgotten.is_empty();
        for group in transaction.participants.iter() {
            let waits = !transaction.results.contains_key(&group);
            let prevents = settles || transaction.refused.contains(&group);
            if transaction.forgotten.contains(&group) {
                continue;
            } else if !transaction.forgotten.is_empty() || (waits && prevents) {
                self.send_prevent(transaction, group, out);
            } else if waits && !gets_nowhere {
                self.send_prepare(transaction, group, out);
            }
        }
    }

    fn send_prepare(&self, transaction: &Transaction, to: GroupId, out: &mut Outbox<Effect>) {
        let Transaction { id, participants, parts, .. } = transaction;
        let Some(Part { locks, checks, operations }) = parts.get(&to).cloned() else { return };
        let prepare = Prepare { id: *id, participants: participants.clone(), locks, checks, operations };
        self.ask(to, RequestBody::Prepare(prepare), out);
    }

    fn send_prevent(&self, transaction: &Transaction, to: GroupId, out: &mut Outbox<Effect>) {
        let Transaction { id, participants, round, .. } = transaction;
        let body = RequestBody::Prevent { id: *id, participants: participants.clone(), round: *round };
        self.ask(to, body, out);
    }

    /// A participant says what its log says.
    pub(super) fn status(
        &mut self,
        now: Time,
        from: GroupId,
        id: TxId,
        round: u64,
        finding: Finding,
        out: &mut Outbox<Effect>,
    ) {
        let Some(ticket) = self.tries.get(&id).copied() else { return };
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        if !transaction.participants.contains(from) {
            return;
        }
        match finding {
            Finding::Unknown | Finding::Waiting => {}
            Finding::Prepared(result) => {
                transaction.results.insert(from, result);
                transaction.refused.remove(&from);
                // It was prepared here after it was forgotten there: so there it never was.
                let after_forgotten = !transaction.forgotten.is_empty() && round == transaction.round;
                #[cfg(feature = "bugs")]
                let after_forgotten = after_forgotten
                    || (self.config.bugs.forgotten_and_stale && !transaction.forgotten.is_empty());
                if transaction.results.len() == transaction.participants.len() {
                    self.committed(now, ticket, out);
                } else if after_forgotten {
                    base::mark!("prepared_after_forgotten");
                    self.aborted(now, ticket, None, Reason::Prevented, out);
                }
            }
            Finding::Committed(result) => {
                transaction.committed = true;
                transaction.refused.clear();
                if let Some(result) = result {
                    transaction.results.insert(from, result);
                }
                if transaction.results.len() == transaction.participants.len() {
                    self.committed(now, ticket, out);
                }
            }
            Finding::Aborted(reason) => self.aborted(now, ticket, Some(from), reason, out),
            Finding::Absent(floor) => {
                // This node's clock has gone back, or its request was very slow.
                self.clock.catch_up(now, floor);
                self.aborted(now, ticket, Some(from), Reason::Prevented, out);
            }
            #[cfg(feature = "bugs")]
            Finding::Forgotten(_) if self.config.bugs.forgotten_is_absent => {
                self.aborted(now, ticket, Some(from), Reason::Prevented, out);
            }
            Finding::Forgotten(floor) => {
                self.clock.catch_up(now, floor);
                self.forgotten(ticket, from, out);
            }
        }
    }

    /// A participant didn't take it into its log. That it never will must be made sure first.
    pub(super) fn refused(
        &mut self,
        now: Time,
        from: GroupId,
        id: TxId,
        refusal: Refusal,
        out: &mut Outbox<Effect>,
    ) {
        let Some(ticket) = self.tries.get(&id).copied() else { return };
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        match refusal {
            Refusal::Older(than) => self.clock.catch_up(now, than),
            Refusal::Waited | Refusal::Busy | Refusal::Ahead | Refusal::NoLease => {
                transaction.rest = self.config.resend_every;
            }
        }
        if !transaction.participants.contains(from) || transaction.committed {
            return;
        }
        #[cfg(feature = "bugs")]
        if self.config.bugs.refusal_is_an_abort {
            return self.aborted(now, ticket, None, Reason::Locked, out);
        }
        if !transaction.results.contains_key(&from) && transaction.refused.insert(from) {
            let transaction = &self.transactions[&ticket];
            self.send_prevent(transaction, from, out);
        }
    }

    /// Resolved everywhere, or never there. If another still has it prepared, as its log says from now on, it is the second.
    fn forgotten(&mut self, ticket: u64, from: GroupId, out: &mut Outbox<Effect>) {
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        if !transaction.forgotten.insert(from) {
            return;
        }
        transaction.round += 1;
        if transaction.forgotten.len() == transaction.participants.len() {
            return self.finish(ticket, Outcome::Unknown, out);
        }
        let transaction = &self.transactions[&ticket];
        for group in transaction.participants.iter().filter(|group| !transaction.forgotten.contains(group)) {
            self.send_prevent(transaction, group, out);
        }
    }

    fn committed(&mut self, now: Time, ticket: u64, out: &mut Outbox<Effect>) {
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        let results = core::mem::take(&mut transaction.results);
        let (id, participants) = (transaction.id, transaction.participants.clone());
        // The client hears first.
        self.finish(ticket, Outcome::Done(results), out);
        self.resolve(now, id, participants, Decision::Commit, None, out);
    }

    /// `knows` has said so from its log.
    fn aborted(
        &mut self,
        now: Time,
        ticket: u64,
        knows: Option<GroupId>,
        reason: Reason,
        out: &mut Outbox<Effect>,
    ) {
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        let (old, participants) = (transaction.id, transaction.participants.clone());
        let in_time = now < transaction.deadline - self.config.settle_before;
        match reason {
            Reason::Changed => self.finish(ticket, Outcome::Changed, out),
            Reason::Refused(what) => self.finish(ticket, Outcome::Refused(what), out),
            Reason::Prevented | Reason::Locked | Reason::Elsewhere if in_time => {
                base::mark!("tried_again");
                self.try_again(now, ticket);
            }
            _ => self.finish(ticket, Outcome::TryAgain, out),
        }
        // First the locks of the old try are given back, then the new one asks for them.
        self.resolve(now, old, participants, Decision::Abort, knows, out);
        self.tend_transaction(now, ticket, out);
    }

    fn try_again(&mut self, now: Time, ticket: u64) {
        let Some(transaction) = self.transactions.get_mut(&ticket) else { return };
        self.tries.remove(&transaction.id);
        transaction.next = now + core::mem::take(&mut transaction.rest);
        transaction.rests = true;
        self.alarms.insert((transaction.next, Alarm::Transaction(ticket)));
        transaction.results.clear();
        transaction.refused.clear();
        transaction.forgotten.clear();
        transaction.round = 0;
    }

    fn finish(&mut self, ticket: u64, outcome: Outcome, out: &mut Outbox<Effect>) {
        if let Some(transaction) = self.transactions.remove(&ticket) {
            self.tries.remove(&transaction.id);
            match outcome {
                Outcome::Done(_) => self.counters.committed += 1,
                Outcome::Unknown => self.counters.unknown += 1,
                Outcome::Changed | Outcome::Refused(_) | Outcome::TryAgain | Outcome::TooLarge(_) => {
                    self.counters.not_executed += 1;
                }
            }
            out.push(Effect::Done { ticket, outcome });
        }
    }
}
