//! What the machine says about itself and about this process, for INFO and the metrics. What can't be read is zero:
//! nothing rests on it.

use node::api::Machine;
use std::path::Path;

/// Measures now. `dir` is where the data lies. Takes some microseconds.
pub fn measure(dir: &Path) -> Machine {
    Machine {
        memory_bytes: resident_bytes().unwrap_or(0),
        memory_total_bytes: total_bytes(),
        cpu_us: processor_us().unwrap_or((0, 0)),
        disk_free_bytes: rustix::fs::statvfs(dir)
            .map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
            .unwrap_or(0),
    }
}

/// proc_pid_statm(5): the second number is the resident pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(target_os = "linux")]
fn total_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    // The fields' widths follow the machine's word.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

#[cfg(not(target_os = "linux"))]
fn total_bytes() -> u64 {
    0
}

/// proc_pid_stat(5): user and system ticks are the 14th and 15th field; the second, the name, may contain anything,
/// so the counting begins behind its closing bracket.
fn processor_us() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut next_us = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
    };
    Some((next_us()?, next_us()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_takes_some_memory_but_not_all_of_it() {
        let machine = super::measure(std::path::Path::new("."));
        assert!(machine.memory_bytes > 100_000, "{machine:?}");
        assert!(machine.memory_total_bytes > machine.memory_bytes, "{machine:?}");
        assert!(machine.disk_free_bytes > 0, "{machine:?}");
    }
}
