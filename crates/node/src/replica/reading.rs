//! Reads of the applied state: at once under the leader's lease, after a round of asking where there is none, or at their place in the log
//! behind what their client has asked for before.

use super::Replica;
use super::locks::LOCKED;
use crate::hub::{Hub, Verdict, Waiter, Work};
use crate::machine::Machine;
use crate::op::{Op, decode_op};
use crate::scratch::fetch::too_large;
use base::{GroupId, NodeId, UnixMillis};
use bytes::Bytes;
use raft::ReadRefusal;

/// A read that belongs behind so many of a batch's operations, and is answered there: what came behind it on its
/// connection may be in the same batch.
pub(super) type PlacedRead = (usize, Read);

/// A read that waits.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) waiter: Waiter,
    pub(super) query: Bytes,
}

impl Replica {
    /// The time at which a read may be answered at once; `None` if it must wait for something.
    #[inline]
    pub fn read_time(&mut self, hub: &mut Hub) -> Option<UnixMillis> {
        if !self.serves() {
            return None;
        }
        // What was acknowledged in this term is applied here, and what was before is below the term's first entry: under
        // the lease, the applied state is the newest that anybody has seen, however much more is committed already.
        self.raft.lease_read(hub.now).ok()?;
        hub.counters.lease_reads += 1;
        self.shard_time(hub)
    }

    /// The shard's time for a read: never beyond the logged ceiling, nor beyond a proposal that is still to be applied,
    /// so that nobody sees a key expired and then alive. `None` if the ceiling must be moved on first.
    pub(super) fn shard_time(&mut self, hub: &mut Hub) -> Option<UnixMillis> {
        let wall = hub.time_from(self.last_time);
        let volatile = self.machine.keyspace().is_some_and(|keyspace| keyspace.next_expiry().is_some());
        if volatile && wall > self.machine.ceiling {
            self.tick(hub);
            return None;
        }
        let proposed = self.inflight.front().map_or(self.machine.ceiling, |first| first.time);
        let time = wall.min(self.machine.ceiling).min(proposed).max(self.machine.time);
        self.last_time = self.last_time.max(time);
        Some(time)
    }

    /// Proposes nothing but the present time, once.
    pub(super) fn tick(&mut self, hub: &mut Hub) {
        if !self.housekeeping {
            self.housekeeping = true;
            self.write(hub, Waiter::Nobody, &Op::Tick);
        }
    }

    /// Takes a read that can't be answered at once. `ordered`: it comes behind writes of its own lane that are on
    /// their way.
    pub fn read(&mut self, hub: &mut Hub, waiter: Waiter, query: Bytes, ordered: bool) {
        let read = Read { waiter, query };
        let behind = ordered && !self.is_settled();
        if !self.serves() {
            hub.tell(self.group, read.waiter, Verdict::Elsewhere(Some(Work::Read(read.query))));
        } else if self.hides_query(&read.query, behind) {
            self.keep_waiting(hub, read);
        } else if behind {
            // At its place in the log it needs no lease: the entry is committed after the read was asked for, so it
            // sees all that was done before. An entry that is on its way may have been committed before, and tells
            // that only as long as nobody else can lead.
            if self.batch.is_empty() && self.raft.lease_read(hub.now).is_err() {
                self.write(hub, Waiter::Nobody, &Op::Tick);
            }
            self.place(read);
        } else {
            self.attempt(hub, read);
        }
    }

    /// Has a read answered behind everything that is on its way at the moment, and before whatever comes.
    pub(super) fn place(&mut self, read: Read) {
        if !self.batch.is_empty() {
            self.batch_reads.push((self.batch_waiters.len(), read));
        } else if let Some(last) = self.inflight.back_mut() {
            last.reads.push((last.waiters.len(), read));
        }
    }

    /// Whether some read asks a majority at the moment.
    pub fn has_rounds(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// Whether a read that came through this gateway's lane asks a majority at the moment.
    pub(crate) fn asks_majority_for(&self, gateway: NodeId) -> bool {
        self.rounds
            .values()
            .any(|read| matches!(read.waiter, Waiter::Remote { session, .. } if session.node == gateway))
    }

    pub(super) fn attempt(&mut self, hub: &mut Hub, read: Read) {
        match self.raft.lease_read(hub.now) {
            Ok(_) => {
                hub.counters.lease_reads += 1;
                self.answer(hub, read);
            }
            Err(ReadRefusal::NeedsRound) => {
                hub.counters.round_reads += 1;
                self.next_round += 1;
                self.raft.request_read(self.next_round);
                self.rounds.insert(self.next_round, read);
                hub.dirty.push(self.group);
            }
            Err(_) => hub.tell(self.group, read.waiter, Verdict::Elsewhere(Some(Work::Read(read.query)))),
        }
    }

    /// A read meets a lock. One that came by a lane has been looked at there, and others behind it may be on their way.
    pub(super) fn keep_waiting(&mut self, hub: &mut Hub, read: Read) {
        if matches!(read.waiter, Waiter::Remote { .. }) {
            hub.tell(self.group, read.waiter, Verdict::Refused(Bytes::from_static(LOCKED)));
        } else {
            self.park(hub, read.waiter, Work::Read(read.query));
        }
    }

    /// Answers a read that may see the applied state.
    pub(super) fn answer(&mut self, hub: &mut Hub, read: Read) {
        if self.hides_query(&read.query, false) {
            return self.keep_waiting(hub, read);
        }
        let Some(time) = self.shard_time(hub) else {
            // The ceiling is being moved on by an entry of the present batch, or of one under way.
            if self.is_settled() {
                self.write(hub, Waiter::Nobody, &Op::Tick);
            }
            if self.hides_query(&read.query, true) {
                return self.keep_waiting(hub, read);
            }
            self.place(read);
            return;
        };
        read_now(&mut self.machine, hub, self.group, read, time);
    }

    /// This copy leads no more: reads that wait for a majority are asked elsewhere.
    pub(super) fn strand_reads(&mut self, hub: &mut Hub) {
        let mut stranded: Vec<Read> = std::mem::take(&mut self.rounds).into_values().collect();
        stranded.extend(std::mem::take(&mut self.reads).into_values().flatten());
        for read in stranded {
            hub.tell(self.group, read.waiter, Verdict::Elsewhere(Some(Work::Read(read.query))));
        }
    }
}

/// Answers a read from the state as it is.
pub(super) fn read_now(machine: &mut Machine, hub: &mut Hub, group: GroupId, read: Read, time: UnixMillis) {
    if !machine.ledger.locks().is_empty()
        && decode_op(&mut &read.query[..]).is_ok_and(|op| machine.is_locked(&op))
    {
        base::mark!("a_placed_read_met_a_lock");
        return hub.tell(group, read.waiter, Verdict::Refused(Bytes::from_static(LOCKED)));
    }
    hub.note_slow(read.waiter, &read.query);
    machine.set_clock(hub.wall());
    match decode_op(&mut &read.query[..]) {
        Ok(Op::Command(invocation)) => {
            let (mut reply, seed) = (Vec::new(), hub.rng.next_u64());
            machine.read(&invocation, time, seed, &mut reply);
            hub.tell_done(group, read.waiter, &reply);
        }
        Ok(Op::Offered { invocation, .. }) => {
            let (mut reply, seed) = (Vec::new(), hub.rng.next_u64());
            machine.read_for(&invocation, true, time, seed, &mut reply);
            hub.tell_done(group, read.waiter, &reply);
        }
        Ok(Op::Transaction(transaction)) => {
            let (mut outcome, seed) = (Vec::new(), hub.rng.next_u64());
            machine.read_transaction(&transaction, time, seed, &mut outcome);
            hub.tell_done(group, read.waiter, &outcome);
        }
        Ok(Op::Fetch(wanted)) => match machine.fetch(&wanted, time) {
            Some(answer) => hub.tell_done(group, read.waiter, &answer),
            None => hub.tell(group, read.waiter, Verdict::Refused(too_large())),
        },
        _ => {
            let error = Bytes::from_static(b"-ERR a node of another release asked something unknown\r\n");
            hub.tell(group, read.waiter, Verdict::Refused(error));
        }
    }
}
