//! Hybrid logical time: close to the wall clock, never going back, and later than what the cluster is known to have reached.
//!
//! Nothing but the order of transactions rests on it. So a wall clock that goes back doesn't take it back, and a node that comes late is
//! taken along; only what is absurdly far ahead is refused.

use crate::ids::Timestamp;
use base::{Duration, Time, UnixMillis};

/// A clock of one node. The driver tells the wall clock now and then; in between, the monotonic one carries it on.
#[derive(Clone, Debug, Default)]
pub struct HybridClock {
    /// What it showed when, and from where it goes on.
    base: Option<(Time, UnixMillis)>,
    last: Timestamp,
}

impl HybridClock {
    /// Both clocks, read together. A wall clock that has gone back is waited for.
    pub fn tell(&mut self, now: Time, wall: UnixMillis) {
        self.base = Some((now, wall.max(self.reading(now).millis())));
    }

    /// What it shows; the beginning of time before it was told any.
    pub fn reading(&self, now: Time) -> Timestamp {
        let millis = self.base.map(|(at, wall)| wall.plus(now.since(at).as_millis() as u64));
        Timestamp::from_millis(millis.unwrap_or_default())
    }

    /// A timestamp that is later than all it gave and all that it knows of.
    pub fn next(&mut self, now: Time) -> Timestamp {
        self.last = self.reading(now).max(self.last.next());
        self.last
    }

    /// The cluster has come as far as this: the clock goes on from there, if it is behind.
    pub fn catch_up(&mut self, now: Time, timestamp: Timestamp) {
        self.last = self.last.max(timestamp);
        if self.reading(now) < timestamp {
            self.base = Some((now, timestamp.millis()));
        }
    }

    /// Whether a timestamp isn't further ahead than this.
    pub fn believes(&self, now: Time, timestamp: Timestamp, ahead_max: Duration) -> bool {
        let ahead = self.reading(now).millis().until(timestamp.millis());
        u128::from(ahead) <= ahead_max.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(UnixMillis(millis))
    }

    #[test]
    fn it_goes_on_although_the_wall_clock_goes_back() {
        let mut clock = HybridClock::default();
        clock.tell(Time::from_millis(10), UnixMillis(1_000));
        assert_eq!(clock.next(Time::from_millis(20)), at(1_010));
        clock.tell(Time::from_millis(21), UnixMillis(500));
        assert_eq!(clock.next(Time::from_millis(31)), at(1_021));
    }

    #[test]
    fn who_is_behind_is_taken_along_and_goes_on_from_there() {
        let mut clock = HybridClock::default();
        clock.tell(Time::ZERO, UnixMillis(1_000));
        clock.catch_up(Time::ZERO, at(9_000));
        assert!(clock.next(Time::ZERO) > at(9_000));
        assert_eq!(clock.next(Time::from_millis(5)), at(9_005));
        clock.catch_up(Time::from_millis(5), at(1));
        assert_eq!(clock.next(Time::from_millis(6)), at(9_006));
    }

    #[test]
    fn what_is_too_far_ahead_is_not_believed() {
        let mut clock = HybridClock::default();
        assert!(!clock.believes(Time::ZERO, at(1_000), Duration::from_millis(999)));
        clock.tell(Time::ZERO, UnixMillis(1_000));
        assert!(clock.believes(Time::ZERO, at(2_000), Duration::from_millis(1_000)));
        assert!(!clock.believes(Time::ZERO, at(2_001), Duration::from_millis(1_000)));
    }
}
