//! Hybrid logical time: close to the wall clock, never going back, and later than what it was told of, within a bound.

use crate::ids::Timestamp;
use base::{Duration, Time, UnixMillis};

/// A clock of one node. The driver tells the wall clock now and then; in between, the monotonic one carries it on.
#[derive(Clone, Debug)]
pub struct HybridClock {
    told: Option<(Time, UnixMillis)>,
    last: Timestamp,
    ahead_max: Duration,
}

impl HybridClock {
    /// A clock that doesn't know the time yet, and believes nobody who is further ahead of it than this.
    pub fn new(ahead_max: Duration) -> Self {
        Self { told: None, last: Timestamp(0), ahead_max }
    }

    /// Both clocks, read together.
    pub fn tell(&mut self, now: Time, wall: UnixMillis) {
        self.told = Some((now, wall));
    }

    /// The wall clock's time; the beginning of time before it was told.
    pub fn wall(&self, now: Time) -> Timestamp {
        let millis = self.told.map(|(at, wall)| wall.plus(now.since(at).as_millis() as u64));
        Timestamp::from_millis(millis.unwrap_or_default())
    }

    /// A timestamp that is later than all it gave and all that it believed.
    pub fn next(&mut self, now: Time) -> Timestamp {
        self.last = self.wall(now).max(self.last.next());
        self.last
    }

    /// Notes a timestamp of somebody else, so that the next is later; one that is too far ahead is ignored.
    pub fn observe(&mut self, now: Time, timestamp: Timestamp) {
        if self.believes(now, timestamp) {
            self.last = self.last.max(timestamp);
        }
    }

    /// Whether a timestamp isn't further ahead than the bound.
    pub fn believes(&self, now: Time, timestamp: Timestamp) -> bool {
        let ahead = self.wall(now).millis().until(timestamp.millis());
        u128::from(ahead) <= self.ahead_max.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_grow_although_the_wall_clock_goes_back() {
        let mut clock = HybridClock::new(Duration::from_millis(500));
        clock.tell(Time::from_millis(10), UnixMillis(1_000));
        let first = clock.next(Time::from_millis(20));
        assert_eq!(first.millis(), UnixMillis(1_010));
        clock.tell(Time::from_millis(21), UnixMillis(500));
        assert!(clock.next(Time::from_millis(22)) > first);
    }

    #[test]
    fn a_clock_that_is_far_ahead_is_not_believed() {
        let mut clock = HybridClock::new(Duration::from_millis(500));
        clock.tell(Time::ZERO, UnixMillis(1_000));
        clock.observe(Time::ZERO, Timestamp::from_millis(UnixMillis(1_400)));
        assert_eq!(clock.next(Time::ZERO).millis(), UnixMillis(1_400));
        clock.observe(Time::ZERO, Timestamp::from_millis(UnixMillis(9_000)));
        assert_eq!(clock.next(Time::ZERO).millis(), UnixMillis(1_400));
    }
}
