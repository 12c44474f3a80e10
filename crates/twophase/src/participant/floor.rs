//! The floor, and what is forgotten. A shard that remembers outcomes raises its floor some time behind the clock, asks their other participants for
//! theirs, and forgets what all floors have passed: then it is resolved everywhere, and can't come again. One question serves for
//! many transactions, and a shard without any asks nothing.

use super::{Effect, Participant, UnderWay};
use crate::ids::Timestamp;
use crate::ledger::Ledger;
use crate::message::{Party, ReplyBody, RequestBody};
use crate::operation::Operation;
use alloc::collections::{BTreeMap, BTreeSet};
use base::{GroupId, Outbox, Time};

/// What is known of floors.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// Of other shards: at least so high.
    known: BTreeMap<GroupId, Timestamp>,
    /// When to look next.
    next: Option<Time>,
    advancing: bool,
    /// Who wants to hear how far it has come.
    askers: BTreeSet<Party>,
    /// The highest that they asked for.
    wanted: Timestamp,
}

impl Floors {
    pub(super) fn heard(&mut self, from: GroupId, floor: Timestamp) {
        let known = self.known.entry(from).or_default();
        *known = floor.max(*known);
    }

    pub(super) fn look_at(&mut self, at: Time) {
        self.next = Some(at);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }

    pub(super) fn not_advanced(&mut self) {
        self.advancing = false;
    }
}

impl Participant {
    pub(super) fn floor_wanted<U>(
        &mut self,
        now: Time,
        ledger: &Ledger<U>,
        from: Party,
        wanted: Timestamp,
        out: &mut Outbox<Effect>,
    ) {
        let floor = wanted.min(self.horizon(now));
        if ledger.floor() >= floor {
            return self.reply(from, ReplyBody::Floor { floor: ledger.floor() }, out);
        }
        self.floors.askers.insert(from);
        self.floors.wanted = self.floors.wanted.max(floor);
        self.advance(ledger, self.floors.wanted, ledger.forgotten(), out);
    }

    pub(super) fn tend_floor<U>(&mut self, now: Time, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        if ledger.is_empty() {
            self.floors.next = None;
            return;
        }
        let due = *self.floors.next.get_or_insert(now + self.config.forget_every);
        if due > now {
            return;
        }
        self.floors.next = Some(now + self.config.forget_every);
        let floor = self.horizon(now);
        let mut questions: BTreeMap<GroupId, Timestamp> = BTreeMap::new();
        let (mut forgotten, mut all_passed) = (ledger.floor(), true);
        // The clock may have gone back since the floor was raised.
        let reach = floor.max(ledger.floor());
        for (id, participants) in ledger.records().take_while(|(id, _)| id.timestamp <= reach) {
            for other in self.others(participants) {
                if self.floors.known.get(&other).is_none_or(|known| *known < id.timestamp) {
                    questions.insert(other, id.timestamp);
                    all_passed = false;
                }
            }
            #[cfg(feature = "bugs")]
            let all_passed = all_passed || self.config.bugs.forget_early;
            if !all_passed {
                forgotten = forgotten.min(id.timestamp.before());
            }
        }
        for (other, wanted) in questions {
            self.ask(other, RequestBody::AskFloor { wanted }, out);
        }
        let has_old = ledger.records().next().is_some_and(|(id, _)| id.timestamp <= reach);
        if has_old && (floor > ledger.floor() || forgotten > ledger.forgotten()) {
            self.advance(ledger, floor, forgotten, out);
        }
    }

    pub(super) fn advanced<U>(&mut self, now: Time, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        self.floors.advancing = false;
        self.floors.wanted = Timestamp::default();
        self.know_the_floor(now, ledger);
        for asker in core::mem::take(&mut self.floors.askers) {
            self.reply(asker, ReplyBody::Floor { floor: ledger.floor() }, out);
        }
        if !ledger.is_empty() && self.floors.next.is_none() {
            self.floors.next = Some(now + self.config.forget_every);
        }
    }

    fn advance<U>(
        &mut self,
        ledger: &Ledger<U>,
        floor: Timestamp,
        forgotten: Timestamp,
        out: &mut Outbox<Effect>,
    ) {
        if !self.floors.advancing {
            self.floors.advancing = true;
            // Only what the floor has passed already: nothing that old can have come meanwhile.
            let forgotten = forgotten.min(ledger.floor());
            self.propose(UnderWay::Advance, Operation::Advance { floor, forgotten }, out);
        }
    }

    /// Whoever raised the floor had a clock that was this far: a leader whose wall clock has gone back goes on from there.
    pub(super) fn know_the_floor<U>(&mut self, now: Time, ledger: &Ledger<U>) {
        if ledger.floor() > Timestamp::default() {
            let reached = ledger.floor().plus_millis(self.config.floor_lag.as_millis() as u64);
            self.clock.catch_up(now, reached);
        }
    }

    /// What is older than this is late for good.
    fn horizon(&self, now: Time) -> Timestamp {
        self.clock.reading(now).minus_millis(self.config.floor_lag.as_millis() as u64)
    }
}
