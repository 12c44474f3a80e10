//! `maxmemory` and what belongs to it: the whole cluster's, since all leaders must hold to the same.

use crate::memory::{Limits, Policy};
use crate::meta::Meta;

/// One parameter.
pub(super) struct Parameter {
    /// Under which it is kept.
    pub key: &'static str,
    read: fn(&str) -> Result<String, String>,
    show: fn(&Limits) -> String,
    set: fn(&mut Limits, &str),
}

static PARAMETERS: [Parameter; 2] = [
    Parameter {
        key: "maxmemory",
        read: |value| {
            let bytes = bytes(value).ok_or("argument must be a memory value")?;
            Ok(bytes.to_string())
        },
        show: |limits| limits.bytes.to_string(),
        set: |limits, value| limits.bytes = value.parse().unwrap_or(0),
    },
    Parameter {
        key: "maxmemory-policy",
        read: |value| {
            let names: Vec<&str> = Policy::ALL.iter().map(|policy| policy.name()).collect();
            let known = Policy::of_name(value)
                .ok_or_else(|| format!("argument(s) must be one of the following: {}", names.join(", ")))?;
            Ok(known.name().to_string())
        },
        show: |limits| limits.policy.name().to_string(),
        set: |limits, value| limits.policy = Policy::of_name(value).unwrap_or_default(),
    },
];

impl Parameter {
    /// Reads a new value, as it is kept, or says what is wrong with it.
    pub fn parse(&self, value: &str) -> Result<String, String> {
        (self.read)(value)
    }
}

/// Finds one by its name.
pub(super) fn find(name: &[u8]) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|known| name.eq_ignore_ascii_case(known.key.as_bytes()))
}

/// All names, with the values that hold.
pub(super) fn show(meta: &Meta) -> Vec<(&'static str, String)> {
    let limits = of(meta);
    PARAMETERS.iter().map(|known| (known.key, (known.show)(&limits))).collect()
}

/// The limits that the cluster's settings make.
pub fn of(meta: &Meta) -> Limits {
    let mut limits = Limits::default();
    for known in &PARAMETERS {
        if let Some(value) = meta.setting(known.key) {
            (known.set)(&mut limits, value);
        }
    }
    limits
}

/// A size with one of Redis's units, in bytes.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
