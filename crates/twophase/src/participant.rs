//! What a shard's leader does beside its log. Nothing in here survives it, and nothing needs to: a new leader finds in the ledger what is
//! prepared, gateways send again what wasn't answered, and who only waited has lost nothing but time.
//!
//! It has the shape of a `base::Core`, but reads the ledger, which belongs to the replicated state and is lent to each call. It must
//! be lent as it is after everything that this leader has been told was applied.

use crate::clock::HybridClock;
use crate::config::ParticipantConfig;
use crate::ids::{Participants, TxId};
use crate::ledger::{Finding, Ledger};
use crate::locks::{LockTable, Locks, Mode};
use crate::message::{Party, Refusal, Reply, ReplyBody, Request, RequestBody};
use crate::operation::{Decision, Operation, Prepare};
use admission::Queue;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use base::{DatabaseId, GroupId, Outbox, Time};
use bytes::Bytes;
use floor::Floors;
pub use interface::{Counters, Effect, Input};
use reads::Reads;
use recovery::Held;

/// Who may go on, who waits, who is refused.
mod admission;
/// The floor, and what is forgotten.
mod floor;
/// What a leader and its node say to each other.
mod interface;
/// Reads over several shards.
mod reads;
/// Locks whose gateway may have died.
mod recovery;

/// The leader of one shard, as far as transactions go; idle while it doesn't lead.
#[derive(Debug)]
pub struct Participant {
    config: ParticipantConfig,
    clock: HybridClock,
    leads: bool,
    next_token: u64,
    /// Proposed, and not applied.
    under_way: BTreeMap<u64, UnderWay>,
    /// Prepares that are proposed and not applied, and what they are going to hold.
    preparing: BTreeMap<TxId, Locks>,
    promised: LockTable<TxId>,
    /// Outcomes that are proposed and not applied.
    resolving: BTreeMap<TxId, BTreeSet<Party>>,
    queue: Queue,
    reads: Reads,
    /// What is prepared, for how long, and what the others say about it.
    held: BTreeMap<TxId, Held>,
    alarms: BTreeSet<(Time, TxId)>,
    floors: Floors,
    /// Locks were given back since the last flush.
    freed: bool,
    counters: Counters,
}

#[derive(Debug)]
enum UnderWay {
    Prepare { id: TxId, from: Party },
    Prevent { id: TxId, from: Party, round: u64 },
    Resolve { id: TxId },
    Advance,
}

impl Participant {
    /// One that doesn't lead yet.
    pub fn new(config: ParticipantConfig) -> Self {
        Self {
            clock: HybridClock::default(),
            config,
            leads: false,
            next_token: 0,
            under_way: BTreeMap::new(),
            preparing: BTreeMap::new(),
            promised: LockTable::default(),
            resolving: BTreeMap::new(),
            queue: Queue::default(),
            reads: Reads::default(),
            held: BTreeMap::new(),
            alarms: BTreeSet::new(),
            floors: Floors::default(),
            freed: false,
            counters: Counters::default(),
        }
    }

    /// Takes one input to completion. Never blocks; never fails or panics on what a peer sent.
    pub fn step<U>(&mut self, now: Time, ledger: &Ledger<U>, input: Input, out: &mut Outbox<Effect>) {
        match input {
            Input::Wall(wall) => self.clock.tell(now, wall),
            Input::Lead => self.lead(now, ledger),
            Input::Follow => self.follow(),
            // Who isn't answered asks again, then of the right one.
            _ if !self.leads => {}
            Input::Request(Request { from, body }) => self.request(now, ledger, from, body, out),
            Input::Reply(Reply { from, body }) => match body {
                ReplyBody::Status { id, finding, .. } => self.heard(ledger, from, id, finding, out),
                ReplyBody::Floor { floor } => self.floors.heard(from, floor),
                _ => {}
            },
            Input::Applied { token, finding } => self.applied(now, ledger, token, finding, out),
            Input::NotProposed { token } => self.not_proposed(token),
            Input::Passed { token, lease_until } => self.passed(now, token, lease_until, out),
        }
    }

    /// Called once after all ready inputs were stepped, and at the deadline.
    pub fn flush<U>(&mut self, now: Time, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        if !self.leads {
            return;
        }
        self.close_reads(now, out);
        self.refuse_the_patient(now, out);
        self.ask_about_old_locks(now, ledger, out);
        self.tend_floor(now, ledger, out);
        if core::mem::take(&mut self.freed) {
            self.serve_queue(ledger, out);
            self.open_reads(now, ledger, out);
            out.push(Effect::Freed);
        }
    }

    /// When to call [`Participant::flush`] though no input came; `None` means only on input.
    pub fn deadline(&self) -> Option<Time> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        [alarm, self.queue.deadline(), self.reads.deadline(), self.floors.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Panics naming the broken invariant.
    pub fn check<U>(&self, ledger: &Ledger<U>) {
        ledger.check();
        base::invariant!(
            "what is promised is under way",
            self.promised.is_empty() == self.preparing.is_empty() || {
                self.preparing.values().all(Locks::is_empty)
            }
        );
        let executed = self.preparing.keys().any(|id| ledger.prepared(*id).is_some());
        base::invariant!("what is under way isn't applied", !executed);
        if self.leads {
            let known = ledger.all_prepared().all(|id| self.held.contains_key(&id));
            base::invariant!("a leader watches over all that is prepared", known);
        }
    }

    /// Whether a plain command that changes this may be proposed. One that only reads must meet nothing that is prepared: see
    /// [`Ledger::allows`].
    ///
    /// Locks whose outcome is proposed keep nobody from proposing: when what is proposed behind it is applied, they are free.
    #[inline]
    pub fn allows_change<U>(&self, ledger: &Ledger<U>, database: DatabaseId, key: Option<&[u8]>) -> bool {
        let counts = |owner| !self.resolving.contains_key(&owner);
        !ledger.locks().is_in_the_way(database, key, Mode::Exclusive, counts)
            && !self.promised.is_in_the_way(database, key, Mode::Exclusive, |_| true)
            && self.reads.allow_change(database, key)
    }

    /// Whether this leader keeps nobody from anything beside what the ledger says: it has promised nothing, and no window is open.
    #[inline]
    pub fn is_free(&self) -> bool {
        self.promised.is_empty() && self.reads.hold_nothing()
    }

    /// Whether a plain read that is answered behind all that is proposed will meet nothing that is prepared.
    pub fn allows_read_behind<U>(
        &self,
        ledger: &Ledger<U>,
        database: DatabaseId,
        key: Option<&[u8]>,
    ) -> bool {
        let counts = |owner| !self.resolving.contains_key(&owner);
        !ledger.locks().is_in_the_way(database, key, Mode::Shared, counts)
            && !self.promised.is_in_the_way(database, key, Mode::Shared, |_| true)
    }

    /// Since when, at the longest, this leader has known of a prepared transaction that keeps a plain command from a key.
    pub fn held_since<U>(
        &self,
        ledger: &Ledger<U>,
        database: DatabaseId,
        key: Option<&[u8]>,
        mode: Mode,
    ) -> Option<Time> {
        let holders = ledger.locks().all_in_the_way(database, key, mode);
        holders.filter_map(|owner| self.held.get(&owner).map(|held| held.since)).min()
    }

    /// Until when reads over several shards may rest on this leader's word: before that, it must not hand its leadership over.
    pub fn windows_until(&self) -> Option<Time> {
        self.reads.open_until()
    }

    /// What it has done since it began to lead.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many transactions and reads wait here for locks, for the statistics.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.reads.waiting()
    }

    fn lead<U>(&mut self, now: Time, ledger: &Ledger<U>) {
        self.follow();
        self.leads = true;
        for id in ledger.all_prepared() {
            self.watch_over(now, id);
        }
        self.floors.look_at(now);
        self.know_the_floor(now, ledger);
    }

    fn follow(&mut self) {
        let next_token = self.next_token;
        let clock = self.clock.clone();
        *self = Self { next_token, clock, ..Self::new(self.config.clone()) };
    }

    fn request<U>(
        &mut self,
        now: Time,
        ledger: &Ledger<U>,
        from: Party,
        body: RequestBody,
        out: &mut Outbox<Effect>,
    ) {
        let own = self.config.group;
        match body {
            // Not meant for this shard: whoever sent it is mistaken.
            RequestBody::Prepare(Prepare { participants, .. })
            | RequestBody::Prevent { participants, .. }
            | RequestBody::Resolve { participants, .. }
                if !participants.contains(own) =>
            {
                base::mark!("not_meant_for_this_shard");
            }
            RequestBody::Prepare(prepare) => self.prepare(now, ledger, from, prepare, out),
            RequestBody::Prevent { id, participants, round } => {
                self.prevent(ledger, from, id, participants, round, out);
            }
            RequestBody::Ask { id } => {
                let finding = match ledger.finding(id) {
                    Finding::Unknown if self.is_on_its_way(id) => Finding::Waiting,
                    known => known,
                };
                self.say(from, id, 0, finding, out);
            }
            RequestBody::Resolve { id, participants, decision, answered } => {
                self.resolve(ledger, from, id, participants, decision, answered, out);
            }
            RequestBody::AskFloor { wanted } => self.floor_wanted(now, ledger, from, wanted, out),
            RequestBody::Read { read, locks, query } => self.read(now, ledger, from, read, locks, query, out),
            RequestBody::Release { read } => self.freed |= self.reads.release(read),
        }
    }

    fn prevent<U>(
        &mut self,
        ledger: &Ledger<U>,
        from: Party,
        id: TxId,
        participants: Participants,
        round: u64,
        out: &mut Outbox<Effect>,
    ) {
        let known = ledger.finding(id);
        #[cfg(feature = "bugs")]
        if self.config.bugs.prevent_unlogged && known == Finding::Unknown && !self.preparing.contains_key(&id)
        {
            return self.say(from, id, round, Finding::Absent(ledger.floor()), out);
        }
        if known != Finding::Unknown && round == 0 {
            return self.say(from, id, 0, known, out);
        }
        // Whoever asks in a round wants to know what is so *after* it asked. Only an entry that is proposed now proves that: a
        // leader that was deposed meanwhile can't get it committed.
        let asked_already = |way: &UnderWay| {
            matches!(way, UnderWay::Prevent { id: other, from: who, round: other_round }
            if *other == id && *who == from && *other_round == round)
        };
        if !self.under_way.values().any(asked_already) {
            let way = UnderWay::Prevent { id, from, round };
            self.propose(way, Operation::Prevent { id, participants }, out);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of the request")]
    fn resolve<U>(
        &mut self,
        ledger: &Ledger<U>,
        from: Party,
        id: TxId,
        participants: Participants,
        decision: Decision,
        answered: bool,
        out: &mut Outbox<Effect>,
    ) {
        if let Some(askers) = self.resolving.get_mut(&id) {
            askers.insert(from);
            return;
        }
        let known = ledger.finding(id);
        #[cfg(feature = "bugs")]
        let known = if self.config.bugs.late_resolve_wins { Finding::Prepared(Bytes::new()) } else { known };
        let changes = match known {
            Finding::Prepared(_) => true,
            // A tombstone, before the Prepare comes.
            Finding::Unknown | Finding::Waiting => decision == Decision::Abort,
            Finding::Committed(Some(_)) => answered,
            Finding::Committed(None) | Finding::Aborted(_) | Finding::Absent(_) | Finding::Forgotten(_) => {
                false
            }
        };
        if changes {
            self.resolving.insert(id, BTreeSet::from([from]));
            self.freed = true;
            let operation = Operation::Resolve { id, participants, decision, answered };
            self.propose(UnderWay::Resolve { id }, operation, out);
        } else if !matches!(known, Finding::Unknown | Finding::Waiting) {
            self.reply(from, ReplyBody::Resolved { id }, out);
        }
    }

    fn applied<U>(
        &mut self,
        now: Time,
        ledger: &Ledger<U>,
        token: u64,
        finding: Option<Finding>,
        out: &mut Outbox<Effect>,
    ) {
        let Some(way) = self.under_way.remove(&token) else { return };
        let finding = finding.unwrap_or(Finding::Unknown);
        match way {
            UnderWay::Prepare { id, from } => {
                self.no_longer_promised(id);
                if matches!(finding, Finding::Prepared(_)) {
                    self.watch_over(now, id);
                } else {
                    self.freed = true;
                }
                self.say(from, id, 0, finding, out);
            }
            UnderWay::Prevent { id, from, round } => {
                if self.queue.remove(id) {
                    self.freed = true;
                }
                self.say(from, id, round, finding, out);
            }
            UnderWay::Resolve { id } => {
                if self.queue.remove(id) || self.held.remove(&id).is_some() {
                    self.freed = true;
                }
                for asker in self.resolving.remove(&id).unwrap_or_default() {
                    if asker != Party::Shard(self.config.group) {
                        self.reply(asker, ReplyBody::Resolved { id }, out);
                    }
                }
            }
            UnderWay::Advance => self.advanced(now, ledger, out),
        }
    }

    fn not_proposed(&mut self, token: u64) {
        // Whoever asked asks again.
        match self.under_way.remove(&token) {
            Some(UnderWay::Prepare { id, .. }) => {
                self.no_longer_promised(id);
                self.freed = true;
            }
            Some(UnderWay::Resolve { id }) => {
                self.resolving.remove(&id);
            }
            Some(UnderWay::Advance) => self.floors.not_advanced(),
            Some(UnderWay::Prevent { .. }) | None => {}
        }
    }

    fn no_longer_promised(&mut self, id: TxId) {
        if let Some(locks) = self.preparing.remove(&id) {
            self.promised.remove(id, &locks);
        }
    }

    fn is_on_its_way(&self, id: TxId) -> bool {
        self.queue.contains(id) || self.preparing.contains_key(&id)
    }

    fn propose(&mut self, way: UnderWay, operation: Operation, out: &mut Outbox<Effect>) {
        self.next_token += 1;
        self.under_way.insert(self.next_token, way);
        out.push(Effect::Propose { token: self.next_token, operation });
    }

    fn say(&self, to: Party, id: TxId, round: u64, finding: Finding, out: &mut Outbox<Effect>) {
        // Only a gateway needs what it answers.
        let finding = match (to, finding) {
            (Party::Shard(_), Finding::Prepared(_)) => Finding::Prepared(Bytes::new()),
            (Party::Shard(_), Finding::Committed(_)) => Finding::Committed(None),
            (_, finding) => finding,
        };
        self.reply(to, ReplyBody::Status { id, round, finding }, out);
    }

    fn refuse(&mut self, to: Party, id: TxId, refusal: Refusal, out: &mut Outbox<Effect>) {
        self.counters.refused += 1;
        self.reply(to, ReplyBody::Refused { id, refusal }, out);
    }

    fn reply(&self, to: Party, body: ReplyBody, out: &mut Outbox<Effect>) {
        out.push(Effect::Reply { to, reply: Reply { from: self.config.group, body } });
    }

    fn ask(&self, to: GroupId, body: RequestBody, out: &mut Outbox<Effect>) {
        out.push(Effect::Request { to, request: Request { from: Party::Shard(self.config.group), body } });
    }

    /// All shards of a transaction but this one.
    fn others(&self, participants: &Participants) -> Vec<GroupId> {
        participants.iter().filter(|group| *group != self.config.group).collect()
    }
}
