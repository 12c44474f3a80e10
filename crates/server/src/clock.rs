//! The clocks of this machine: the only place where they are read.

use base::{Duration, Time, UnixMillis};
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;

/// Which clock [`now`] reads: it must go on while the machine is suspended, because a lease must run out while its
/// holder sleeps. On other systems than Linux the monotonic clock is the nearest there is.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Monotonic time. Sampled after whatever is judged by it was received, never before.
#[inline]
pub fn now() -> Time {
    let time = clock_gettime(CLOCK);
    Time::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The wall clock; a clock before 1970 reads as 1970.
pub fn wall() -> UnixMillis {
    let time = clock_gettime(ClockId::Realtime);
    let millis = i128::from(time.tv_sec) * 1000 + i128::from(time.tv_nsec) / 1_000_000;
    UnixMillis(u64::try_from(millis).unwrap_or(0))
}

/// How often [`WallJumps`] looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The clocks of one machine drift apart by microseconds in that time; more means that somebody has set one.
const JUMP_MS: u64 = 20;

/// Notices that the wall clock was set, by its distance from the monotonic one.
#[derive(Debug, Default)]
pub struct WallJumps {
    looked: Cell<Time>,
    distance_ms: Cell<Option<i64>>,
}

impl WallJumps {
    /// The wall clock's reading, if it has jumped since the last look. `now` is the monotonic one's.
    pub fn look(&self, now: Time) -> Option<UnixMillis> {
        if now.since(self.looked.get()) < LOOK_INTERVAL {
            return None;
        }
        self.looked.set(now);
        self.judge(now, wall())
    }

    fn judge(&self, now: Time, wall: UnixMillis) -> Option<UnixMillis> {
        let distance_ms = wall.0 as i64 - (now.as_nanos() / 1_000_000) as i64;
        let before = self.distance_ms.replace(Some(distance_ms));
        before.is_some_and(|before| distance_ms.abs_diff(before) > JUMP_MS).then_some(wall)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_go_backwards() {
        let mut last = super::now();
        for _ in 0..1000 {
            let now = super::now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_is_noticed_and_one_that_goes_on_is_not() {
        let jumps = super::WallJumps::default();
        let at = |millis: u64| base::Time::from_millis(1_000_000 + millis);
        let wall = |millis: i64| base::UnixMillis((1_800_000_000_000 + millis) as u64);
        assert_eq!(jumps.judge(at(0), wall(0)), None);
        assert_eq!(jumps.judge(at(5_000), wall(5_003)), None);
        assert_eq!(jumps.judge(at(5_010), wall(4_000)), Some(wall(4_000)));
        assert_eq!(jumps.judge(at(5_020), wall(4_010)), None);
        assert_eq!(jumps.judge(at(5_030), wall(9_999)), Some(wall(9_999)));
    }

    #[test]
    fn the_wall_clock_counts_from_1970() {
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let ours = super::wall().0;
        assert!(ours.abs_diff(system.as_millis() as u64) < 5_000, "{ours}");
    }
}
