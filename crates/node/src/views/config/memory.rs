//! `maxmemory` and what belongs to it: the whole cluster's, since all leaders must hold to the same.

use super::{integer, size};
use crate::memory::{Choice, Limits, Policy};
use crate::meta::Meta;

/// One parameter.
pub(super) struct Parameter {
    /// Under which it is kept.
    pub key: &'static str,
    read: fn(&str) -> Result<String, String>,
    show: fn(&Limits) -> String,
    set: fn(&mut Limits, &str),
}

static PARAMETERS: [Parameter; 6] = [
    Parameter {
        key: "lfu-decay-time",
        read: |value| integer(value, 0, INT_MAX).map(|minutes| minutes.to_string()),
        show: |limits| limits.counting.decay_minutes.to_string(),
        set: |limits, value| limits.counting.decay_minutes = number(value),
    },
    Parameter {
        key: "lfu-log-factor",
        read: |value| integer(value, 0, INT_MAX).map(|factor| factor.to_string()),
        show: |limits| limits.counting.log_factor.to_string(),
        set: |limits, value| limits.counting.log_factor = number(value),
    },
    Parameter {
        key: "maxmemory",
        read: |value| Ok(size(value).ok_or("argument must be a memory value")?.to_string()),
        show: |limits| limits.bytes.to_string(),
        set: |limits, value| limits.bytes = value.parse().unwrap_or(0),
    },
    Parameter {
        key: "maxmemory-eviction-tenacity",
        read: |value| integer(value, 0, 100).map(|tenacity| tenacity.to_string()),
        show: |limits| limits.tenacity.to_string(),
        set: |limits, value| limits.tenacity = number(value),
    },
    Parameter {
        key: "maxmemory-policy",
        read: |value| {
            let names = Policy::ALL.map(|policy| policy.name).join(", ");
            let known = Policy::of_name(value)
                .ok_or_else(|| format!("argument(s) must be one of the following: {names}"))?;
            Ok(known.name.to_string())
        },
        show: |limits| limits.policy.name.to_string(),
        set: |limits, value| limits.policy = Policy::of_name(value).unwrap_or(Policy::NO_EVICTION),
    },
    Parameter {
        key: "maxmemory-samples",
        read: |value| integer(value, 1, SAMPLES_MAX).map(|samples| samples.to_string()),
        show: |limits| limits.samples.to_string(),
        set: |limits, value| limits.samples = number(value),
    },
];

/// The greatest number that Redis takes where it names no other.
const INT_MAX: u64 = i32::MAX as u64;
/// The most keys that are drawn for one that goes.
const SAMPLES_MAX: u64 = 64;

/// A number as it is kept, which has been found right before.
fn number(value: &str) -> u32 {
    value.parse().unwrap_or(0)
}

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
    limits.counting.on = limits.policy.choice == Some(Choice::LeastFrequent);
    limits
}
