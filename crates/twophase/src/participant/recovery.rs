//! Locks whose gateway may have died. Once one is old, its shard's leader asks all other participants: first without logging
//! anything, so that a transaction that is merely slow isn't killed by whom it keeps waiting, and when it is older by a Prevent, which leaves
//! a tombstone where it isn't prepared.
//!
//! An answer may come from a leader that has been deposed. All of them stay true (see [`Finding`]), and FORGOTTEN is only believed
//! while the transaction is prepared here, by this ledger. Should this leader itself be deposed, what it concludes then changes
//! nothing that is resolved.

use super::{Effect, Participant, UnderWay};
use crate::ids::TxId;
use crate::ledger::{Finding, Ledger};
use crate::message::{Party, RequestBody};
use crate::operation::{Decision, Operation};
use alloc::collections::BTreeSet;
use base::{GroupId, Outbox, Time};

/// Something that is prepared.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) since: Time,
    /// When to ask next.
    next: Time,
    is_asked: bool,
    /// Who has said that it was prepared there, too.
    prepared_at: BTreeSet<GroupId>,
    /// Who has said that it waits there.
    waits_at: BTreeSet<GroupId>,
}

impl Participant {
    pub(super) fn watch_over(&mut self, now: Time, id: TxId) {
        let next = now + self.config.ask_after;
        let held = Held {
            since: now,
            next,
            is_asked: false,
            prepared_at: BTreeSet::new(),
            waits_at: BTreeSet::new(),
        };
        self.held.insert(id, held);
        self.alarms.insert((next, id));
    }

    pub(super) fn ask_about_old_locks<U>(&mut self, now: Time, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        while let Some((at, id)) = self.alarms.first().copied()
            && at <= now
        {
            self.alarms.remove(&(at, id));
            // Resolved meanwhile, or put off.
            if self.held.get(&id).is_some_and(|held| held.next == at) {
                self.ask_about(now, ledger, id, out);
            }
        }
    }

    fn ask_about<U>(&mut self, now: Time, ledger: &Ledger<U>, id: TxId, out: &mut Outbox<Effect>) {
        let Some(participants) = ledger.prepared(id) else {
            self.held.remove(&id);
            return;
        };
        let others = self.others(participants);
        let participants = participants.clone();
        let (every, prevent_after) = (self.config.ask_every, self.config.prevent_after);
        let Some(held) = self.held.get_mut(&id) else { return };
        held.next = now + every;
        self.alarms.insert((held.next, id));
        if held.prepared_at.len() == others.len() {
            // All have said so already; the outcome that was proposed then got lost.
            base::mark!("recovery_concludes_again");
            return self.conclude(ledger, id, Decision::Commit, out);
        }
        self.counters.recoveries += u64::from(!held.is_asked);
        held.is_asked = true;
        let prevents = now.since(held.since) >= prevent_after;
        let (prepared, waiting) = (held.prepared_at.clone(), core::mem::take(&mut held.waits_at));
        for other in others.into_iter().filter(|other| !prepared.contains(other)) {
            if prevents && !waiting.contains(&other) {
                base::mark!("recovery_prevents");
                let participants = participants.clone();
                self.ask(other, RequestBody::Prevent { id, participants, round: 0 }, out);
            } else {
                self.ask(other, RequestBody::Ask { id }, out);
            }
        }
    }

    /// A participant says what it knows.
    pub(super) fn heard<U>(
        &mut self,
        ledger: &Ledger<U>,
        from: GroupId,
        id: TxId,
        finding: Finding,
        out: &mut Outbox<Effect>,
    ) {
        let Some(participants) = ledger.prepared(id) else { return };
        let Some(held) = self.held.get_mut(&id) else { return };
        if !participants.contains(from) || from == self.config.group {
            return;
        }
        match finding {
            Finding::Unknown => {}
            Finding::Waiting => {
                held.waits_at.insert(from);
            }
            Finding::Prepared(_) => {
                held.prepared_at.insert(from);
                if held.prepared_at.len() + 1 == participants.len() {
                    self.conclude(ledger, id, Decision::Commit, out);
                }
            }
            Finding::Committed(_) => self.conclude(ledger, id, Decision::Commit, out),
            Finding::Aborted(_) | Finding::Absent(_) => self.conclude(ledger, id, Decision::Abort, out),
            Finding::Forgotten(_) => {
                base::mark!("forgotten_and_prepared_here");
                self.conclude(ledger, id, Decision::Abort, out);
            }
        }
    }

    /// The outcome is known: here it is logged, the others are told, once; who doesn't hear it finds it out.
    fn conclude<U>(&mut self, ledger: &Ledger<U>, id: TxId, decision: Decision, out: &mut Outbox<Effect>) {
        let Some(participants) = ledger.prepared(id).cloned() else { return };
        if self.resolving.contains_key(&id) {
            return;
        }
        base::mark!("recovery_concludes");
        self.resolving.insert(id, BTreeSet::from([Party::Shard(self.config.group)]));
        self.freed = true;
        for other in self.others(&participants) {
            let participants = participants.clone();
            self.ask(other, RequestBody::Resolve { id, participants, decision, answered: false }, out);
        }
        let operation = Operation::Resolve { id, participants, decision, answered: false };
        self.propose(UnderWay::Resolve { id }, operation, out);
    }
}
