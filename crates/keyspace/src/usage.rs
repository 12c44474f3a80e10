//! How recently and how often keys are used, for the choice of those that memory loses.
//!
//! Every record notes the second of its last access and how often it is accessed: the logarithm of a count that
//! decays while nobody comes (Redis's eight bits). A change notes both on every copy; a read does so where it is
//! answered, at the leader. So this is each copy's own knowledge: it is no part of the state that copies have in
//! common, no snapshot carries it, and who comes to lead knows of the changes it has applied, not of the reads.

use crate::record::Record;
use base::{Rng, UnixMillis};

/// What a new key starts with, so that it isn't the first to go.
pub const FREQUENCY_INITIAL: u8 = 5;

/// How accesses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Whether they are counted at all: only where the policy asks how often, not how recently.
    pub on: bool,
    /// How many accesses the counter stands for, about: the greater, the fewer of them raise it.
    pub log_factor: u32,
    /// After how many minutes without an access the counter falls by one; 0 means never.
    pub decay_minutes: u32,
}

impl Default for Counting {
    fn default() -> Self {
        Self { on: false, log_factor: 10, decay_minutes: 1 }
    }
}

/// What a keyspace needs to note accesses.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) counting: Counting,
    /// Whether it may be told at the moment. While an entry of the log is applied it may not: copies would differ.
    pub(crate) hidden: bool,
    /// The node's clock when it last read something here: a shard's own time stands still while nobody writes.
    pub(crate) clock: UnixMillis,
    rng: Rng,
}

/// The second that a record notes as its last access.
pub(crate) fn access_second(now: UnixMillis) -> u32 {
    u32::try_from(now.0 / 1000).unwrap_or(u32::MAX).max(1)
}

impl Usage {
    pub(crate) fn new(seed: u64) -> Self {
        Self { counting: Counting::default(), hidden: false, clock: UnixMillis(0), rng: Rng::new(seed) }
    }

    /// Whether accesses are counted.
    #[inline]
    pub(crate) fn counts(&self) -> bool {
        self.counting.on
    }

    /// The time by which usage is judged where the shard's own is `now`.
    #[inline]
    pub(crate) fn at(&self, now: UnixMillis) -> UnixMillis {
        now.max(self.clock)
    }

    /// Notes an access.
    #[inline]
    pub(crate) fn touch(&mut self, record: &mut Record, now: UnixMillis) {
        if self.counting.on {
            let frequency = self.next_frequency(record, now);
            record.set_frequency(frequency);
        }
        record.set_access(access_second(self.at(now)));
    }

    /// How often a record is accessed once this access is counted.
    #[inline]
    pub(crate) fn next_frequency(&mut self, record: &Record, now: UnixMillis) -> u8 {
        if !self.counting.on {
            return record.frequency();
        }
        let before = self.counting.frequency(record, self.at(now));
        let above = u64::from(before.saturating_sub(FREQUENCY_INITIAL));
        let rises = self.rng.chance(1, above * u64::from(self.counting.log_factor) + 1);
        before.saturating_add(u8::from(rises))
    }
}

impl Counting {
    /// How often a record is accessed, as of now.
    pub(crate) fn frequency(&self, record: &Record, now: UnixMillis) -> u8 {
        if self.decay_minutes == 0 || record.access() == 0 {
            return record.frequency();
        }
        let minutes = (access_second(now) / 60).saturating_sub(record.access() / 60);
        record.frequency().saturating_sub(u8::try_from(minutes / self.decay_minutes).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::About;
    use base::database::Kind;

    fn record(frequency: u8, now: UnixMillis) -> Record {
        let access = access_second(now);
        let about = About { kind: Kind::String, expires_at: None, revision: 1, access, frequency };
        Record::new(about, b"k", b"v", &[])
    }

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    /// What the counter comes to after so many accesses, on the average.
    fn after(accesses: u32, log_factor: u32) -> f64 {
        let mut usage = Usage::new(7);
        usage.counting = Counting { on: true, log_factor, ..Counting::default() };
        let total: u32 = (0..20)
            .map(|_| {
                let mut record = record(FREQUENCY_INITIAL, NOW);
                (0..accesses).for_each(|_| usage.touch(&mut record, NOW));
                u32::from(record.frequency())
            })
            .sum();
        f64::from(total) / 20.0
    }

    #[test]
    fn the_counter_is_a_logarithm_as_redis_documents_it() {
        // The table in redis.conf: hits, and the counter for factors 0, 1, 10 and 100.
        for (accesses, by_factor) in [
            (100, [104.0, 18.0, 10.0, 8.0]),
            (1000, [255.0, 49.0, 18.0, 11.0]),
            (100_000, [255.0, 255.0, 142.0, 49.0]),
        ] {
            for (factor, expected) in [0, 1, 10, 100].into_iter().zip(by_factor) {
                let found = after(accesses, factor);
                assert!(
                    (found - expected).abs() <= 2.0 + expected * 0.1,
                    "{accesses} {factor}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_counter_falls_while_nobody_comes() {
        let counting = Counting { on: true, ..Counting::default() };
        let record = record(20, NOW);
        let after =
            |minutes: u64, counting: Counting| counting.frequency(&record, NOW.plus(minutes * 60_000));
        assert_eq!([0, 1, 7, 20, 21, 100_000].map(|minutes| after(minutes, counting)), [20, 19, 13, 0, 0, 0]);
        assert_eq!(after(7, Counting { decay_minutes: 3, ..counting }), 18);
        assert_eq!(after(7, Counting { decay_minutes: 0, ..counting }), 20);
    }

    #[test]
    fn nothing_is_counted_unless_the_policy_asks_for_it() {
        let mut usage = Usage::new(7);
        let mut record = record(9, NOW);
        for _ in 0..100 {
            usage.touch(&mut record, NOW.plus(3_600_000));
        }
        assert_eq!((record.frequency(), record.access()), (9, access_second(NOW.plus(3_600_000))));
    }
}
