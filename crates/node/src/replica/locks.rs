//! Transactions over several shards at one of them: what its leader hears and says, and how plain commands respect what such
//! transactions hold.
//!
//! A command that meets a lock waits. One of this node's own clients waits here, its connection held, so that nothing of it overtakes; a
//! request of a lane waits at the head of its lane, for a lock rarely takes longer than one entry. Locks that are old (a gateway
//! has died, a shard lacks a majority) hold no lane up: there the request is refused, and its gateway asks again.

use super::{Inflight, Replica};
use crate::hub::{Hub, Said, Verdict, Waiter, Work};
use crate::locking;
use crate::machine::Machine;
use crate::op::{Invocation, Op, decode_op};
use crate::overview;
use base::codec::Encode;
use base::{DatabaseId, Duration, GroupId, Outbox, Time};
use bytes::Bytes;
use std::collections::VecDeque;
use twophase::participant::{Effect, Input};
use twophase::{Finding, Mode, Participant, ParticipantConfig, Reply, ReplyBody, Request, RequestBody};

/// A lock that is younger than this is waited for at the head of a lane.
const YOUNG: Duration = Duration::from_millis(100);
/// So many of this node's commands wait here for locks at most; more are refused.
const PARKED_MAX: usize = 10_000;
/// While leadership is to be handed over, no window opens for so long.
const CLOSED: Duration = Duration::from_millis(300);

/// The answer to a command that a lock keeps from being carried out. Its gateway knows it, and may ask again.
pub(crate) const LOCKED: &[u8] =
    b"-TRYAGAIN not executed: a transaction over several shards holds a key of it, and its outcome isn't \
known yet; retry\r\n";

/// What a copy of a shard has to do with transactions over several.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) participant: Participant,
    effects: Outbox<Effect>,
    /// Nobody holds, is promised or reads anything here: plain commands need not look.
    pub(crate) quiet: bool,
    /// Commands of this node that wait for locks, in the order in which they came.
    parked: VecDeque<Parked>,
    /// What waits for the batch that is being filled.
    pub(super) barriers: Vec<u64>,
    /// Until when no window opens.
    closed_until: Time,
}

#[derive(Debug)]
struct Parked {
    waiter: Waiter,
    work: Work,
    since: Time,
}

impl Transactions {
    pub(super) fn new(config: ParticipantConfig) -> Self {
        Self {
            participant: Participant::new(config),
            effects: Outbox::new(),
            quiet: true,
            parked: VecDeque::new(),
            barriers: Vec::new(),
            closed_until: Time::ZERO,
        }
    }

    /// How many plain commands wait here for locks.
    pub(crate) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Adds what was counted since this copy leads.
    pub(crate) fn add_to(&self, counts: &mut overview::Transactions) {
        let since = self.participant.counters();
        counts.prepares += since.prepares;
        counts.waits += since.waited;
        counts.refused += since.refused;
        counts.recoveries += since.recoveries;
    }

    /// What was proposed under this token is applied.
    pub(super) fn applied(
        &mut self,
        hub: &mut Hub,
        machine: &Machine,
        group: GroupId,
        token: u64,
        finding: Option<Finding>,
    ) {
        let input = Input::Applied { token, finding };
        self.participant.step(hub.now, &machine.ledger, input, &mut self.effects);
        hub.dirty.push(group);
    }
}

impl Replica {
    /// What is left out on purpose.
    #[cfg(feature = "bugs")]
    pub(crate) fn set_bugs(&mut self, bugs: twophase::bugs::Bugs) {
        self.transactions =
            Transactions::new(ParticipantConfig { bugs, ..ParticipantConfig::new(self.group) });
    }

    // What the participant hears and says.

    /// What follows takes its place in the log at once: plain commands that rely on it come behind it.
    pub(crate) fn participate(&mut self, hub: &mut Hub, input: Input) {
        let transactions = &mut self.transactions;
        transactions.participant.step(hub.now, &self.machine.ledger, input, &mut transactions.effects);
        self.carry_out_participant(hub);
        hub.dirty.push(self.group);
    }

    /// This copy serves from now on, or no longer leads.
    pub(super) fn begin_participating(&mut self, hub: &mut Hub) {
        self.participate(hub, Input::Wall(hub.wall()));
        self.participate(hub, Input::Lead);
        self.note_quiet();
    }

    pub(super) fn stop_participating(&mut self, hub: &mut Hub) {
        self.transactions.add_to(&mut hub.counters.transactions);
        self.participate(hub, Input::Follow);
        self.transactions.barriers = Vec::new();
        for inflight in &mut self.inflight {
            inflight.barriers = Vec::new();
        }
        for Parked { waiter, work, .. } in std::mem::take(&mut self.transactions.parked) {
            hub.tell(self.group, waiter, Verdict::Elsewhere(Some(work)));
        }
        self.note_quiet();
    }

    /// Somebody asks the leader.
    pub(crate) fn asked(&mut self, hub: &mut Hub, mut request: Request) {
        if !self.serves() {
            return;
        }
        if let RequestBody::Prepare(prepare) = &mut request.body {
            if hub.disk.is_full() {
                base::mark!("a_full_disk_prepares_nothing");
                let refusal = twophase::Refusal::Busy;
                let reply = Reply { from: self.group, body: ReplyBody::Refused { id: prepare.id, refusal } };
                hub.said.push_back(Said::Reply { to: request.from, reply });
                return;
            }
            if hub.memory.is_limited() && !self.has_room_to_prepare(hub, &prepare.operations) {
                // That it is refused must be in the log, or a second copy of the request could be taken after all.
                prepare.operations = locking::refusal(&crate::memory::Memory::full_error());
            }
        }
        self.participate(hub, Input::Request(request));
    }

    fn has_room_to_prepare(&mut self, hub: &mut Hub, operations: &[u8]) -> bool {
        match locking::decode(operations) {
            Some((_, transaction)) => self.has_room(hub, &Op::Transaction(transaction)),
            None => true,
        }
    }

    /// Carries out what the participant asks for before a batch ends; whether it asked for anything.
    pub(super) fn flush_participant(&mut self, hub: &mut Hub) -> bool {
        let transactions = &mut self.transactions;
        transactions.participant.flush(hub.now, &self.machine.ledger, &mut transactions.effects);
        self.carry_out_participant(hub)
    }

    fn carry_out_participant(&mut self, hub: &mut Hub) -> bool {
        if self.transactions.effects.is_empty() {
            self.note_quiet();
            return false;
        }
        let mut freed = false;
        let mut effects = std::mem::take(&mut self.transactions.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Propose { token, operation } => {
                    self.write(hub, Waiter::Participant(token), &Op::Transactional(&operation.to_bytes()));
                }
                Effect::Reply { to, reply } => hub.said.push_back(Said::Reply { to, reply }),
                Effect::Request { to, request } => hub.said.push_back(Said::Request { to, request }),
                Effect::Barrier { token } => {
                    // The group's time must have come as far as the read's, or it would see what has expired.
                    self.shard_time(hub);
                    self.barrier(hub, token);
                }
                Effect::Serve { to, read, query, hold } => {
                    let Some(time) = self.shard_time(hub) else { continue };
                    self.machine.set_clock(hub.wall());
                    let seed = hub.rng.next_u64();
                    let Some(result) = self.machine.read_part(&query, time, seed) else { continue };
                    let body = ReplyBody::Served { read, hold, result };
                    hub.said.push_back(Said::Reply { to, reply: Reply { from: self.group, body } });
                }
                Effect::Freed => freed = true,
            }
        }
        self.note_quiet();
        if freed {
            self.unpark(hub);
            self.serve_held(hub);
        }
        true
    }

    /// Says when everything that was proposed so far is applied.
    pub(super) fn barrier(&mut self, hub: &mut Hub, token: u64) {
        if !self.batch.is_empty() {
            self.transactions.barriers.push(token);
        } else if let Some(Inflight { barriers, .. }) = self.inflight.back_mut() {
            barriers.push(token);
        } else {
            self.passed(hub, token);
        }
    }

    pub(super) fn passed(&mut self, hub: &mut Hub, token: u64) {
        let open = hub.now >= self.transactions.closed_until && self.serves();
        let lease_until = self.raft.lease_until().filter(|_| open);
        self.participate(hub, Input::Passed { token, lease_until });
    }

    #[inline]
    pub(super) fn note_quiet(&mut self) {
        self.transactions.quiet =
            self.machine.ledger.locks().is_empty() && self.transactions.participant.is_free();
    }

    /// Whether leadership may be handed over: no read over several shards rests on this leader's word. If one does, none is begun until
    /// the next attempt.
    pub(crate) fn closes_windows(&mut self, now: Time) -> bool {
        let open = self.transactions.participant.windows_until().is_some_and(|until| until > now);
        if open {
            base::mark!("leadership_waits_for_a_window");
            self.transactions.closed_until = now + CLOSED;
        }
        !open
    }

    // Plain commands.

    /// Whether a plain operation that changes something must wait.
    #[inline]
    pub(crate) fn holds_up(&self, op: &Op<'_>) -> bool {
        !self.transactions.quiet && !self.may_be_proposed(op)
    }

    fn may_be_proposed(&self, op: &Op<'_>) -> bool {
        #[cfg(feature = "bugs")]
        if self.machine.bugs.plain_commands_ignore_locks {
            return true;
        }
        let (participant, ledger) = (&self.transactions.participant, &self.machine.ledger);
        locking::all(op, &mut |database, key, mode| match mode {
            Mode::Exclusive => participant.allows_change(ledger, database, key),
            Mode::Shared => participant.allows_read_behind(ledger, database, key),
        })
    }

    /// Whether this copy, which leads, lets a key go by a decision of its own.
    pub(crate) fn may_let_go(&self, database: DatabaseId, key: &[u8]) -> bool {
        self.transactions.quiet
            || self.transactions.participant.allows_change(&self.machine.ledger, database, Some(key))
    }

    /// Whether a read of the state as it is must wait.
    #[inline]
    pub(crate) fn hides(&self, invocation: &Invocation<'_>) -> bool {
        !self.transactions.quiet && self.is_hidden(&Op::Command(invocation.clone()))
    }

    fn is_hidden(&self, op: &Op<'_>) -> bool {
        #[cfg(feature = "bugs")]
        if self.machine.bugs.plain_commands_ignore_locks {
            return false;
        }
        self.machine.is_locked(op)
    }

    /// Whether an encoded query must wait: as it is answered from the state as it is, or behind all that is proposed.
    pub(super) fn hides_query(&self, query: &[u8], behind: bool) -> bool {
        if self.transactions.quiet {
            return false;
        }
        let Ok(op) = decode_op(&mut &query[..]) else { return false };
        if behind { !self.may_be_read_behind(&op) } else { self.is_hidden(&op) }
    }

    fn may_be_read_behind(&self, op: &Op<'_>) -> bool {
        let (participant, ledger) = (&self.transactions.participant, &self.machine.ledger);
        locking::all(op, &mut |database, key, _| participant.allows_read_behind(ledger, database, key))
    }

    /// Has a command of this node wait until locks are given back.
    pub(crate) fn park(&mut self, hub: &mut Hub, waiter: Waiter, work: Work) {
        if self.transactions.parked.len() >= PARKED_MAX {
            hub.tell(self.group, waiter, Verdict::Refused(Bytes::from_static(LOCKED)));
            return;
        }
        base::mark!("a_command_waits_for_a_lock");
        hub.counters.transactions.parked_total += 1;
        if let Waiter::Client(ticket) = waiter
            && let Some(client) = hub.clients.of(ticket)
        {
            client.held = true;
        }
        self.transactions.parked.push_back(Parked { waiter, work, since: hub.now });
    }

    /// Locks were given back: whoever waits looks again, in order.
    fn unpark(&mut self, hub: &mut Hub) {
        for Parked { waiter, work, since } in std::mem::take(&mut self.transactions.parked) {
            let before = self.transactions.parked.len();
            match work {
                Work::Write(op) => self.write_or_park(hub, waiter, op),
                Work::Read(query) => self.read(hub, waiter, query, true),
            }
            if self.transactions.parked.len() > before
                && let Some(last) = self.transactions.parked.back_mut()
            {
                last.since = since;
            }
        }
    }

    fn write_or_park(&mut self, hub: &mut Hub, waiter: Waiter, op: Bytes) {
        let held_up = decode_op(&mut &op[..]).is_ok_and(|op| self.holds_up(&op));
        if held_up {
            self.park(hub, waiter, Work::Write(op));
        } else {
            self.write_encoded(hub, waiter, None, &op);
        }
    }

    /// Gives up waiting for what has waited too long, and looks at lanes that a lock holds up.
    pub(crate) fn tend_locks(&mut self, hub: &mut Hub) {
        let (now, limit) = (hub.now, hub.config.request_timeout);
        if !self.transactions.parked.is_empty() {
            let is_over = |parked: &Parked| {
                let since = match parked.waiter {
                    Waiter::Client(ticket) | Waiter::Exec(ticket) | Waiter::Watch(ticket) => ticket.since(),
                    _ => parked.since,
                };
                now.since(since) >= limit
            };
            let (over, rest) = std::mem::take(&mut self.transactions.parked).into_iter().partition(is_over);
            self.transactions.parked = rest;
            let over: VecDeque<Parked> = over;
            for parked in over {
                base::mark!("a_lock_outlasts_a_command");
                let refusal = Verdict::Refused(Bytes::from_static(LOCKED));
                hub.tell(self.group, parked.waiter, refusal);
            }
        }
        if !self.transactions.quiet {
            self.serve_held(hub);
        }
    }

    /// What becomes of a lane's request: `None` if no lock keeps it, otherwise whether the lane waits for the lock, which is young.
    pub(crate) fn lane_waits(&self, now: Time, asked: &[u8], is_write: bool, behind: bool) -> Option<bool> {
        if self.transactions.quiet {
            return None;
        }
        let op = decode_op(&mut &asked[..]).ok()?;
        let kept = match (is_write, behind) {
            (true, _) => !self.may_be_proposed(&op),
            (false, true) => !self.may_be_read_behind(&op),
            (false, false) => self.is_hidden(&op),
        };
        if !kept {
            return None;
        }
        let (participant, ledger) = (&self.transactions.participant, &self.machine.ledger);
        let mut oldest: Option<Time> = None;
        locking::all(&op, &mut |database, key, mode| {
            let since = participant.held_since(ledger, database, key, mode);
            oldest = [oldest, since].into_iter().flatten().min();
            true
        });
        Some(oldest.is_none_or(|since| now.since(since) < YOUNG))
    }
}
