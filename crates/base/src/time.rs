//! Two kinds of time, never mixed: `Time` orders what happens on one node, `UnixMillis` is what people and
//! expiry mean by time. Nothing here reads a clock.

use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A reading of one node's monotonic clock, in nanoseconds from an arbitrary origin. The clock counts the time
/// that the machine was suspended (CLOCK_BOOTTIME), because a lease must run out while its holder sleeps.
/// Readings of different nodes, or of different starts of the machine, can't be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    nanos: u64,
}

impl Time {
    /// The origin of the clock.
    pub const ZERO: Self = Self { nanos: 0 };
    /// Later than anything that happens.
    pub const MAX: Self = Self { nanos: u64::MAX };

    /// The reading `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// The reading `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis * 1_000_000 }
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time { nanos: self.nanos.saturating_add(by.as_nanos().min(u128::from(u64::MAX)) as u64) }
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, by: Duration) -> Time {
        Time { nanos: self.nanos.saturating_sub(by.as_nanos().min(u128::from(u64::MAX)) as u64) }
    }
}

/// Milliseconds since 1970-01-01 UTC, as expiry counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// `millis` later, at most the end of time.
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `self` to `later`; zero if that is past.
    pub fn until(self, later: UnixMillis) -> u64 {
        later.0.saturating_sub(self.0)
    }
}
