//! A host's two clocks: a monotonic one that runs a little fast or slow, and a wall clock that may be wrong by anything.

use base::{Time, UnixMillis};

/// When the world begins: 2024-01-01 UTC.
const BEGINNING_MS: u64 = 1_704_067_200_000;

/// How far a clock may run from the true time, in millionths, so that two clocks differ by less than the 50 thousandths
/// that nodes are told.
pub const DRIFT_PPM_MAX: i64 = 24_000;

/// The clocks of one host. The world's own time is in nanoseconds from its beginning.
#[derive(Clone, Debug)]
pub struct Clock {
    since: u64,
    reading: u64,
    ppm: i64,
    /// By how much the wall clock is wrong.
    pub wall_error_ms: i64,
}

impl Clock {
    /// A clock that shows `reading` nanoseconds at the world's beginning and drifts.
    pub fn new(reading: u64, ppm: i64) -> Self {
        Self { since: 0, reading, ppm, wall_error_ms: 0 }
    }

    /// What the monotonic clock shows.
    pub fn monotonic(&self, now: u64) -> Time {
        let elapsed = i128::from(now - self.since);
        let drifted = elapsed + elapsed * i128::from(self.ppm) / 1_000_000;
        Time::from_nanos(self.reading + drifted as u64)
    }

    /// From when on the monotonic clock shows `reading` or more.
    pub fn moment_of(&self, reading: Time) -> u64 {
        let drifted = u128::from(reading.as_nanos().saturating_sub(self.reading));
        let rate = (1_000_000 + self.ppm) as u128;
        let elapsed = (drifted * 1_000_000).div_ceil(rate);
        // Rounding in `monotonic` may need one nanosecond more.
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(self.since).saturating_add(1)
    }

    /// Drifts differently from now on.
    pub fn drift(&mut self, now: u64, ppm: i64) {
        self.reading = self.monotonic(now).as_nanos();
        self.since = now;
        self.ppm = ppm;
    }

    /// What the wall clock shows.
    pub fn wall(&self, now: u64) -> UnixMillis {
        UnixMillis((BEGINNING_MS + now / 1_000_000).saturating_add_signed(self.wall_error_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, DRIFT_PPM_MAX};
    use base::{Rng, Time};

    #[test]
    fn an_alarm_rings_when_the_clock_shows_its_time_and_not_long_after() {
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            let ppm = rng.below(2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX;
            let mut clock = Clock::new(rng.below(1 << 50), ppm);
            let turn = rng.below(1 << 40);
            clock.drift(turn, -ppm);
            let wanted = Time::from_nanos(clock.monotonic(turn).as_nanos() + rng.below(1 << 40));
            let moment = clock.moment_of(wanted);
            assert!(clock.monotonic(moment) >= wanted);
            assert!(moment < turn + 5 || clock.monotonic(moment - 4) < wanted);
        }
    }
}
