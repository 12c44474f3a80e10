//! Reads over several shards at one moment: one round trip and no log, if all windows overlap; after some tries, a transaction that only
//! takes shared locks.
//!
//! A shard says for how long its window holds from the moment at which it answered. That moment is later than the sending of the question, so
//! the window holds at least that long from then, by the gateway's own clock less the drift. If now, with all answers here, all windows
//! hold still, all that was read is so at this moment.

use super::{Alarm, Effect, Gateway, Outcome, Part};
use crate::ids::ReadId;
use crate::message::{Refusal, RequestBody};
use alloc::collections::BTreeMap;
use base::{Duration, GroupId, Outbox, Time};
use bytes::Bytes;

/// A read that a client waits for.
#[derive(Debug)]
pub(super) struct Reading {
    /// The present try.
    read: ReadId,
    parts: BTreeMap<GroupId, Part>,
    deadline: Time,
    next: Time,
    tries: u32,
    /// When the present try was begun.
    sent: Time,
    /// What was answered, and until when it holds.
    answers: BTreeMap<GroupId, (Bytes, Time)>,
}

impl Gateway {
    pub(super) fn begin_reading(
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
        if parts.is_empty() {
            return out.push(Effect::Done { ticket, outcome: Outcome::Done(BTreeMap::new()) });
        }
        let read = ReadId { session: self.config.session, sequence: self.next_sequence() };
        let answers = BTreeMap::new();
        let reading = Reading { read, parts, deadline, next: now, tries: 1, sent: now, answers };
        self.read_tries.insert(read, ticket);
        self.readings.insert(ticket, reading);
        self.tend_reading(now, ticket, out);
    }

    pub(super) fn tend_reading(&mut self, now: Time, ticket: u64, out: &mut Outbox<Effect>) {
        let Some(reading) = self.readings.get_mut(&ticket) else { return };
        if reading.next > now {
            return;
        }
        if now >= reading.deadline {
            self.end_reading(ticket, out);
            return out.push(Effect::Done { ticket, outcome: Outcome::TryAgain });
        }
        reading.next = (now + self.config.resend_every).min(reading.deadline);
        self.alarms.insert((reading.next, Alarm::Reading(ticket)));
        let reading = &self.readings[&ticket];
        for (group, part) in reading.parts.iter().filter(|(group, _)| !reading.answers.contains_key(group)) {
            let (read, locks, query) = (reading.read, part.locks.clone(), part.operations.clone());
            self.ask(*group, RequestBody::Read { read, locks, query }, out);
        }
    }

    pub(super) fn served(
        &mut self,
        now: Time,
        from: GroupId,
        read: ReadId,
        hold: Duration,
        result: Bytes,
        out: &mut Outbox<Effect>,
    ) {
        let Some(ticket) = self.read_tries.get(&read).copied() else { return };
        let permille = u128::from(1_000u32.saturating_sub(self.config.clock_drift_permille));
        let surely = u64::try_from(hold.as_nanos() * permille / 1_000).unwrap_or(u64::MAX);
        let Some(reading) = self.readings.get_mut(&ticket) else { return };
        if !reading.parts.contains_key(&from) {
            return;
        }
        reading.answers.insert(from, (result, reading.sent + Duration::from_nanos(surely)));
        if reading.answers.len() < reading.parts.len() {
            return;
        }
        let overlap = reading.answers.values().all(|(_, until)| now < *until);
        #[cfg(feature = "bugs")]
        let overlap = overlap || self.config.bugs.windows_not_compared;
        if !overlap {
            base::mark!("windows_do_not_overlap");
            return self.read_again(now, ticket, out);
        }
        let answers = core::mem::take(&mut reading.answers);
        let results = answers.into_iter().map(|(group, (result, _))| (group, result)).collect();
        self.end_reading(ticket, out);
        out.push(Effect::Done { ticket, outcome: Outcome::Done(results) });
    }

    pub(super) fn read_refused(
        &mut self,
        now: Time,
        from: GroupId,
        read: ReadId,
        _refusal: Refusal,
        out: &mut Outbox<Effect>,
    ) {
        let Some(ticket) = self.read_tries.get(&read).copied() else { return };
        if self.readings.get(&ticket).is_some_and(|reading| reading.parts.contains_key(&from)) {
            self.read_again(now, ticket, out);
        }
    }

    fn read_again(&mut self, now: Time, ticket: u64, out: &mut Outbox<Effect>) {
        let Some(Reading { parts, deadline, tries, .. }) = self.end_reading(ticket, out) else { return };
        if tries >= self.config.read_tries {
            base::mark!("a_read_takes_locks_through_the_log");
            return self.begin(now, ticket, parts, deadline, out);
        }
        self.counters.read_again += 1;
        self.begin_reading(now, ticket, parts, deadline, out);
        if let Some(reading) = self.readings.get_mut(&ticket) {
            reading.tries = tries + 1;
        }
    }

    /// Gives the windows back.
    fn end_reading(&mut self, ticket: u64, out: &mut Outbox<Effect>) -> Option<Reading> {
        let reading = self.readings.remove(&ticket)?;
        self.read_tries.remove(&reading.read);
        for group in reading.parts.keys() {
            self.ask(*group, RequestBody::Release { read: reading.read }, out);
        }
        Some(reading)
    }
}
