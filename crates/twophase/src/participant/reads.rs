//! Reads over several shards at one point in time, without the log. Each leader locks what is read for a window of time within its
//! lease, in memory; if all windows overlap, there was a moment at which everything that was read was so.
//!
//! A window opens only when everything that this leader had proposed is applied: what is under way could otherwise be answered within
//! the window, having changed what was read. A read waits for whoever holds or wants its locks, of whatever age; so that nobody waits in
//! a circle, windows end by themselves.

use super::{Effect, Participant};
use crate::ids::ReadId;
use crate::ledger::Ledger;
use crate::locks::{LockTable, Locks, Mode};
use crate::message::{Party, Refusal, ReplyBody};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use base::{DatabaseId, Outbox, Time};
use bytes::Bytes;

/// Reads that wait, and windows that are open.
#[derive(Debug, Default)]
pub(super) struct Reads {
    reads: BTreeMap<ReadId, Reading>,
    locked: LockTable<ReadId>,
    by_token: BTreeMap<u64, ReadId>,
    ends: BTreeSet<(Time, ReadId)>,
    next_token: u64,
}

#[derive(Debug)]
struct Reading {
    from: Party,
    locks: Locks,
    query: Bytes,
    stage: Stage,
    /// What it waits to hear of, at the barrier.
    token: Option<u64>,
    /// When this stage ends by itself.
    end: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Barrier,
    Open,
}

impl Reads {
    pub(super) fn deadline(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    pub(super) fn waiting(&self) -> usize {
        self.reads.values().filter(|reading| reading.stage == Stage::Waiting).count()
    }

    pub(super) fn open_until(&self) -> Option<Time> {
        self.reads.values().filter(|reading| reading.stage == Stage::Open).map(|reading| reading.end).max()
    }

    #[inline]
    pub(super) fn hold_nothing(&self) -> bool {
        self.locked.is_empty()
    }

    #[inline]
    pub(super) fn allow_change(&self, database: DatabaseId, key: Option<&[u8]>) -> bool {
        !self.locked.is_in_the_way(database, key, Mode::Exclusive, |_| true)
    }

    pub(super) fn are_in_the_way(&self, locks: &Locks) -> bool {
        self.locked.are_in_the_way(locks, |_| true)
    }

    /// Whether it held something.
    pub(super) fn release(&mut self, read: ReadId) -> bool {
        self.take(read).is_some_and(|reading| reading.stage != Stage::Waiting)
    }

    fn take(&mut self, read: ReadId) -> Option<Reading> {
        let reading = self.reads.remove(&read)?;
        self.ends.remove(&(reading.end, read));
        if let Some(token) = reading.token {
            self.by_token.remove(&token);
        }
        if reading.stage != Stage::Waiting {
            self.locked.remove(read, &reading.locks);
        }
        Some(reading)
    }

    fn set(&mut self, read: ReadId, stage: Stage, end: Time) {
        if let Some(reading) = self.reads.get_mut(&read) {
            self.ends.remove(&(reading.end, read));
            self.ends.insert((end, read));
            (reading.stage, reading.end) = (stage, end);
        }
    }
}

impl Participant {
    #[expect(clippy::too_many_arguments, reason = "they are the fields of the request")]
    pub(super) fn read<U>(
        &mut self,
        now: Time,
        ledger: &Ledger<U>,
        from: Party,
        read: ReadId,
        locks: Locks,
        query: Bytes,
        out: &mut Outbox<Effect>,
    ) {
        if let Some(known) = self.reads.reads.get(&read) {
            if known.stage == Stage::Open && known.end > now {
                let (query, hold) = (known.query.clone(), known.end.since(now));
                out.push(Effect::Serve { to: from, read, query, hold });
            }
            return;
        }
        if self.reads.reads.len() >= self.config.waiting_max {
            return self.reply(from, ReplyBody::ReadRefused { read, refusal: Refusal::Busy }, out);
        }
        let end = now + self.config.wait_max;
        self.reads.ends.insert((end, read));
        self.reads
            .reads
            .insert(read, Reading { from, locks, query, stage: Stage::Waiting, token: None, end });
        self.try_open(now, ledger, read, out);
    }

    /// Locks were given back: whoever can, reads.
    pub(super) fn open_reads<U>(&mut self, now: Time, ledger: &Ledger<U>, out: &mut Outbox<Effect>) {
        let waiting = self.reads.reads.iter().filter(|(_, reading)| reading.stage == Stage::Waiting);
        let waiting: Vec<ReadId> = waiting.map(|(read, _)| *read).collect();
        for read in waiting {
            self.try_open(now, ledger, read, out);
        }
    }

    fn try_open<U>(&mut self, now: Time, ledger: &Ledger<U>, read: ReadId, out: &mut Outbox<Effect>) {
        let Some(reading) = self.reads.reads.get(&read) else { return };
        let locks = &reading.locks;
        let held = ledger.locks().are_in_the_way(locks, |_| true)
            || self.promised.are_in_the_way(locks, |_| true)
            || self.queue.wanted().are_in_the_way(locks, |_| true)
            || self.reads.locked.are_in_the_way(locks, |other| other != read);
        if held {
            return;
        }
        let end = now + self.config.wait_max;
        self.reads.locked.insert(read, locks);
        self.reads.set(read, Stage::Barrier, end);
        self.reads.next_token += 1;
        let token = self.reads.next_token;
        self.reads.by_token.insert(token, read);
        if let Some(reading) = self.reads.reads.get_mut(&read) {
            reading.token = Some(token);
        }
        #[cfg(feature = "bugs")]
        if self.config.bugs.reads_skip_the_barrier {
            return self.passed(now, token, Some(Time::MAX), out);
        }
        out.push(Effect::Barrier { token });
    }

    /// Everything that was under way is applied.
    pub(super) fn passed(
        &mut self,
        now: Time,
        token: u64,
        lease_until: Option<Time>,
        out: &mut Outbox<Effect>,
    ) {
        let Some(read) = self.reads.by_token.remove(&token) else { return };
        let until =
            lease_until.map(|lease| lease.min(now + self.config.read_window)).filter(|until| *until > now);
        let Some(until) = until else {
            if let Some(reading) = self.reads.take(read) {
                self.freed = true;
                let body = ReplyBody::ReadRefused { read, refusal: Refusal::NoLease };
                self.reply(reading.from, body, out);
            }
            return;
        };
        self.counters.reads += 1;
        self.reads.set(read, Stage::Open, until);
        if let Some(reading) = self.reads.reads.get(&read) {
            let (to, query, hold) = (reading.from, reading.query.clone(), until.since(now));
            out.push(Effect::Serve { to, read, query, hold });
        }
    }

    /// Windows whose time is over close, and who has waited for too long is told.
    pub(super) fn close_reads(&mut self, now: Time, out: &mut Outbox<Effect>) {
        while let Some((at, read)) = self.reads.ends.first().copied()
            && at <= now
        {
            let Some(reading) = self.reads.take(read) else { continue };
            if reading.stage != Stage::Waiting {
                self.freed = true;
            }
            if reading.stage != Stage::Open {
                let body = ReplyBody::ReadRefused { read, refusal: Refusal::Waited };
                self.reply(reading.from, body, out);
            }
        }
    }
}
