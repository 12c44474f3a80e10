//! Parameters of Redis that change nothing here: about its files, its copies, its processes. They are taken as Redis takes them, kept by
//! meta and shown, so that tools and programs that set them find what they set. None is here whose promise would be broken by it.

use super::shared::Shared;
use super::{boolean, integer, size, yes_no};

/// The value that they make: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inert;

/// Shown only to who asks for them by name.
pub(super) const HIDDEN: [&str; 3] =
    ["key-load-delay", "loading-process-events-interval-bytes", "rdb-key-save-delay"];

/// `yes` or `no`.
macro_rules! flag {
    ($key:literal, $old:literal, $default:literal) => {
        Shared {
            key: $key,
            old: $old,
            read: |value| boolean(value).map(yes_no),
            show: |_| $default.to_string(),
            set: |_, _| {},
        }
    };
}

/// A whole number within bounds.
macro_rules! number {
    ($key:literal, $old:literal, $default:literal, $least:expr, $most:expr) => {
        Shared {
            key: $key,
            old: $old,
            read: |value| integer(value, $least, $most).map(|number| number.to_string()),
            show: |_| $default.to_string(),
            set: |_, _| {},
        }
    };
}

/// A number of bytes, perhaps with a unit.
macro_rules! bytes {
    ($key:literal, $default:literal) => {
        Shared {
            key: $key,
            old: "",
            read: |value| {
                let bytes = size(value).ok_or("argument must be a memory value")?;
                Ok(bytes.to_string())
            },
            show: |_| $default.to_string(),
            set: |_, _| {},
        }
    };
}

/// One of several words.
macro_rules! word {
    ($key:literal, $default:literal, $words:expr) => {
        Shared {
            key: $key,
            old: "",
            read: |value| one_of(&$words, value),
            show: |_| $default.to_string(),
            set: |_, _| {},
        }
    };
}

/// Any text.
macro_rules! text {
    ($key:literal, $default:literal, $read:expr) => {
        Shared { key: $key, old: "", read: $read, show: |_| $default.to_string(), set: |_, _| {} }
    };
}

const INT_MAX: u64 = i32::MAX as u64;
const LONG_MAX: u64 = i64::MAX as u64;

pub(super) static PARAMETERS: [Shared<Inert>; 53] = [
    number!("active-defrag-cycle-max", "", "25", 1, 99),
    number!("active-defrag-cycle-min", "", "1", 1, 99),
    bytes!("active-defrag-ignore-bytes", "104857600"),
    number!("active-defrag-max-scan-fields", "", "1000", 1, LONG_MAX),
    number!("active-defrag-threshold-lower", "", "10", 0, 1000),
    number!("active-defrag-threshold-upper", "", "100", 0, 1000),
    text!("activedefrag", "no", never_defrags),
    flag!("activerehashing", "", "yes"),
    flag!("aof-load-truncated", "", "yes"),
    flag!("aof-rewrite-incremental-fsync", "", "yes"),
    flag!("aof-timestamp-enabled", "", "no"),
    flag!("aof-use-rdb-preamble", "", "yes"),
    bytes!("auto-aof-rewrite-min-size", "67108864"),
    number!("auto-aof-rewrite-percentage", "", "100", 0, INT_MAX),
    bytes!("client-query-buffer-limit", "1073741824"),
    flag!("dynamic-hz", "", "yes"),
    number!("hz", "", "10", 0, INT_MAX),
    flag!("jemalloc-bg-thread", "", "yes"),
    number!("key-load-delay", "", "0", 0, INT_MAX),
    flag!("latency-tracking", "", "yes"),
    bytes!("loading-process-events-interval-bytes", "2097152"),
    word!("loglevel", "notice", ["debug", "verbose", "notice", "warning", "nothing"]),
    text!("masterauth", "", no_secret),
    text!("masteruser", "", |value| Ok(value.to_string())),
    number!("min-replicas-max-lag", "min-slaves-max-lag", "10", 0, INT_MAX),
    flag!("no-appendfsync-on-rewrite", "", "no"),
    word!("propagation-error-behavior", "ignore", ["ignore", "panic", "panic-on-replicas"]),
    number!("rdb-key-save-delay", "", "0", 0, INT_MAX),
    flag!("rdb-save-incremental-fsync", "", "yes"),
    flag!("rdbcompression", "", "yes"),
    bytes!("repl-backlog-size", "1048576"),
    number!("repl-backlog-ttl", "", "3600", 0, LONG_MAX),
    flag!("repl-disable-tcp-nodelay", "", "no"),
    word!("repl-diskless-load", "disabled", ["disabled", "on-empty-db", "swapdb", "flushdb"]),
    flag!("repl-diskless-sync", "", "yes"),
    number!("repl-diskless-sync-delay", "", "5", 0, INT_MAX),
    number!("repl-diskless-sync-max-replicas", "", "0", 0, INT_MAX),
    number!("repl-ping-replica-period", "repl-ping-slave-period", "10", 1, INT_MAX),
    number!("repl-timeout", "", "60", 1, INT_MAX),
    flag!("replica-announced", "", "yes"),
    flag!("replica-ignore-disk-write-errors", "", "no"),
    flag!("replica-lazy-flush", "slave-lazy-flush", "yes"),
    number!("replica-priority", "slave-priority", "100", 0, INT_MAX),
    flag!("replica-read-only", "slave-read-only", "yes"),
    flag!("replica-serve-stale-data", "slave-serve-stale-data", "yes"),
    word!("sanitize-dump-payload", "no", ["no", "yes", "clients"]),
    text!("save", "", save_points),
    text!("shutdown-on-sigint", "default", stop_options),
    text!("shutdown-on-sigterm", "default", stop_options),
    number!("shutdown-timeout", "", "10", 0, INT_MAX),
    flag!("stop-writes-on-bgsave-error", "", "yes"),
    number!("tcp-keepalive", "", "300", 0, INT_MAX),
    number!("watchdog-period", "", "0", 0, INT_MAX),
];

/// One of these words, in any case.
fn one_of(words: &[&str], value: &str) -> Result<String, String> {
    let found = words.iter().find(|word| value.eq_ignore_ascii_case(word));
    let refused = || format!("argument(s) must be one of the following: {}", words.join(", "));
    found.map(|word| (*word).to_string()).ok_or_else(refused)
}

/// There is nothing to move together: what is freed is given back in its size.
fn never_defrags(value: &str) -> Result<String, String> {
    match boolean(value)? {
        false => Ok(yes_no(false)),
        true => {
            Err("Active defragmentation cannot be enabled: memory is not allocated as it would need"
                .to_string())
        }
    }
}

/// A secret that nothing here would use is not kept.
fn no_secret(value: &str) -> Result<String, String> {
    if value.is_empty() {
        Ok(String::new())
    } else {
        Err("no server is followed here, so a password for one isn't kept".to_string())
    }
}

/// Several words, each one of what SHUTDOWN takes.
fn stop_options(value: &str) -> Result<String, String> {
    const OPTIONS: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let words = value.split_whitespace().map(|word| one_of(&OPTIONS, word));
    Ok(words.collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// Pairs of seconds and changes; none is right, too.
fn save_points(value: &str) -> Result<String, String> {
    let numbers: Vec<&str> = value.split_whitespace().collect();
    let are_pairs = numbers.len().is_multiple_of(2);
    let is_right =
        |(at, number): (usize, &&str)| number.parse::<u32>().is_ok_and(|number| at % 2 == 1 || number >= 1);
    if !are_pairs || !numbers.iter().enumerate().all(is_right) {
        return Err("Invalid save parameters".to_string());
    }
    Ok(numbers.join(" "))
}
