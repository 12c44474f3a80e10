//! How often commands were called and how long they took, and moments in which something took too long (LATENCY). Time is that of the
//! inputs: what is answered within one step takes none.

use base::{Duration, UnixMillis};
use command::{Flags, Spec};
use std::collections::{BTreeMap, VecDeque};

/// Every command's number is below.
const IDS: usize = 1024;
/// One bucket for each power of two of microseconds; what takes longer than an hour is counted in the last.
const BUCKETS: usize = 33;
/// How many moments are kept of each event.
const SAMPLES_MAX: usize = 160;

/// What is counted of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How often it was carried out.
    pub calls: u64,
    /// How long that took, in microseconds.
    pub took_us: u64,
    /// How often it was refused before.
    pub rejected: u64,
    /// How often it answered with an error.
    pub failed: u64,
    /// How often it took at most 1, 2, 4 … microseconds and more than half of that.
    buckets: Option<Box<[u64; BUCKETS]>>,
}

impl Calls {
    /// Notes one call.
    pub fn note(&mut self, took_us: u64, failed: bool) {
        self.calls += 1;
        self.took_us += took_us;
        self.failed += u64::from(failed);
        let bucket = took_us.max(1).next_power_of_two().trailing_zeros() as usize;
        self.buckets.get_or_insert_with(|| Box::new([0; BUCKETS]))[bucket.min(BUCKETS - 1)] += 1;
    }

    /// How many calls took at most so many microseconds, where that is more than took at most half of it.
    pub fn histogram(&self) -> Vec<(u64, u64)> {
        let (mut sum, mut found) = (0, Vec::new());
        for (power, count) in self.buckets.iter().flat_map(|buckets| buckets.iter()).enumerate() {
            sum += count;
            if *count > 0 {
                found.push((1 << power, sum));
            }
        }
        found
    }

    /// The time in microseconds that so many of a thousand calls didn't exceed.
    pub fn permille_us(&self, permille: u64) -> u64 {
        let wanted = (self.calls * permille).div_ceil(1000);
        self.histogram().into_iter().find(|(_, sum)| *sum >= wanted).map_or(0, |(most, _)| most)
    }
}

/// One kind of moment in which something took too long.
#[derive(Clone, Debug, Default)]
pub struct Spikes {
    /// When (Unix seconds) and how long (milliseconds), one a second, the oldest first.
    pub samples: VecDeque<(u64, u64)>,
    /// The longest there ever was, in milliseconds.
    pub max_ms: u64,
}

/// All that is known of how long things took.
#[derive(Debug)]
pub struct Timings {
    calls: Vec<Calls>,
    spikes: BTreeMap<&'static str, Spikes>,
    /// From how long on something is an event; zero: nothing is.
    pub threshold: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self { calls: vec![Calls::default(); IDS], spikes: BTreeMap::new(), threshold: Duration::ZERO }
    }
}

impl Timings {
    /// A command was carried out and answered.
    #[inline]
    pub fn note_call(
        &mut self,
        spec: &Spec,
        took: Duration,
        failed: bool,
        wall: impl FnOnce() -> UnixMillis,
    ) {
        self.calls[usize::from(spec.id.0)].note(took.as_micros() as u64, failed);
        if self.threshold > Duration::ZERO && !spec.flags.has(Flags::BLOCKING) {
            let event = if spec.flags.has(Flags::FAST) { "fast-command" } else { "command" };
            if took >= self.threshold {
                self.note_event(event, took, wall());
            }
        }
    }

    /// A command was refused before it could be carried out.
    pub fn note_rejected(&mut self, spec: &Spec) {
        self.calls[usize::from(spec.id.0)].rejected += 1;
    }

    /// Something took so long.
    pub fn note_event(&mut self, event: &'static str, took: Duration, wall: UnixMillis) {
        if self.threshold == Duration::ZERO || took < self.threshold {
            return;
        }
        let (at_s, ms) = (wall.0 / 1000, took.as_millis() as u64);
        let spikes = self.spikes.entry(event).or_default();
        spikes.max_ms = spikes.max_ms.max(ms);
        match spikes.samples.back_mut() {
            Some((last, most)) if *last == at_s => *most = (*most).max(ms),
            _ => {
                if spikes.samples.len() == SAMPLES_MAX {
                    spikes.samples.pop_front();
                }
                spikes.samples.push_back((at_s, ms));
            }
        }
    }

    /// The counts of a command.
    pub fn of(&self, spec: &Spec) -> &Calls {
        &self.calls[usize::from(spec.id.0)]
    }

    /// All commands that were called or refused, by name.
    pub fn all(&self) -> Vec<(&'static str, &Calls)> {
        let mut found: Vec<(&'static str, &Calls)> = (0..IDS as u16)
            .filter_map(|id| command::by_id(command::CommandId(id)))
            .map(|spec| (spec.name, self.of(spec)))
            .filter(|(_, calls)| calls.calls > 0 || calls.rejected > 0)
            .collect();
        found.sort_unstable_by_key(|(name, _)| *name);
        found
    }

    /// Counts anew.
    pub fn clear_calls(&mut self) {
        self.calls.fill(Calls::default());
    }

    /// The events, by name.
    pub fn spikes(&self) -> &BTreeMap<&'static str, Spikes> {
        &self.spikes
    }

    /// Forgets these events, or all if none is named; how many there were.
    pub fn clear_spikes(&mut self, names: &[&[u8]]) -> usize {
        let before = self.spikes.len();
        let named = |name: &str| {
            names.is_empty() || names.iter().any(|other| other.eq_ignore_ascii_case(name.as_bytes()))
        };
        self.spikes.retain(|name, _| !named(name));
        before - self.spikes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_powers_of_two() {
        let mut calls = Calls::default();
        for took_us in [0, 1, 2, 3, 4, 100] {
            calls.note(took_us, took_us == 3);
        }
        assert_eq!(calls.histogram(), [(1, 2), (2, 3), (4, 5), (128, 6)]);
        assert_eq!((calls.calls, calls.took_us, calls.failed), (6, 110, 1));
        assert_eq!([calls.permille_us(500), calls.permille_us(999)], [2, 128]);
    }

    #[test]
    fn the_longest_moment_of_a_second_is_kept_and_the_newest_seconds() {
        let mut timings = Timings { threshold: Duration::from_millis(10), ..Timings::default() };
        let mut note = |at_ms, ms| timings.note_event("x", Duration::from_millis(ms), UnixMillis(at_ms));
        note(1_000, 9);
        note(1_000, 20);
        note(1_900, 30);
        note(1_950, 10);
        note(2_000, 10);
        assert_eq!(timings.spikes()["x"].samples, [(1, 30), (2, 10)]);
        for second in 3..200 {
            timings.note_event("x", Duration::from_millis(11), UnixMillis(second * 1_000));
        }
        assert_eq!(timings.spikes()["x"].samples.len(), SAMPLES_MAX);
        assert_eq!(timings.spikes()["x"].max_ms, 30);
        assert_eq!(timings.clear_spikes(&[b"y"]), 0);
        assert_eq!(timings.clear_spikes(&[b"X"]), 1);
    }
}
