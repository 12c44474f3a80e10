//! The clocks of this machine: the only place where they are read.

use base::{Time, UnixMillis};
use rustix::time::{ClockId, clock_gettime};

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

/// Waits until somebody sets the wall clock; that it merely goes on is no news. Where the system can't tell, it waits
/// for ever: the reading once a second has to do.
pub struct WallJumps {
    #[cfg(target_os = "linux")]
    timer: Option<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>>,
}

#[cfg(target_os = "linux")]
impl WallJumps {
    /// Starts watching; needs a tokio runtime.
    pub fn watch() -> Self {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .ok()
            .and_then(|fd| tokio::io::unix::AsyncFd::register(fd).ok());
        let watch = Self { timer };
        watch.arm();
        watch
    }

    /// A timer at the end of time that the kernel cancels when the clock is set (timerfd_settime(2),
    /// TFD_TIMER_CANCEL_ON_SET).
    fn arm(&self) {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let Some(timer) = &self.timer else { return };
        let never = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: i64::MAX / 1_000_000_000, tv_nsec: 0 },
        };
        // Where the kernel refuses, the reading once a second has to do.
        let _ = timerfd_settime(
            timer.get_ref(),
            TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
            &never,
        );
    }

    /// Returns when the clock was set.
    pub async fn next(&self) {
        let Some(timer) = &self.timer else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = timer.readable().await else { return std::future::pending().await };
            let mut count = [0; 8];
            match rustix::io::read(timer.get_ref(), &mut count) {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                _ => {
                    ready.clear_ready();
                    self.arm();
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl WallJumps {
    /// Starts watching.
    pub fn watch() -> Self {
        Self {}
    }

    /// Never returns.
    pub async fn next(&self) {
        std::future::pending().await
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
    fn the_wall_clock_counts_from_1970() {
        let system = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let ours = super::wall().0;
        assert!(ours.abs_diff(system.as_millis() as u64) < 5_000, "{ours}");
    }
}
