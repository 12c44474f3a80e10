//! `maxmemory` and what belongs to it: the whole cluster's, since all leaders must hold to the same.

use super::shared::{self, Shared};
use super::{integer, size};
use crate::memory::{Choice, Limits, Policy, Share};
use crate::meta::Meta;

pub(super) static PARAMETERS: [Shared<Limits>; 7] = [
    Shared {
        key: "lfu-decay-time",
        old: "",
        read: |value| integer(value, 0, INT_MAX).map(|minutes| minutes.to_string()),
        show: |limits| limits.counting.decay_minutes.to_string(),
        set: |limits, value| limits.counting.decay_minutes = number(value),
    },
    Shared {
        key: "lfu-log-factor",
        old: "",
        read: |value| integer(value, 0, INT_MAX).map(|factor| factor.to_string()),
        show: |limits| limits.counting.log_factor.to_string(),
        set: |limits, value| limits.counting.log_factor = number(value),
    },
    Shared {
        key: "maxmemory",
        old: "",
        read: |value| Ok(size(value).ok_or("argument must be a memory value")?.to_string()),
        show: |limits| limits.bytes.to_string(),
        set: |limits, value| limits.bytes = value.parse().unwrap_or(0),
    },
    Shared {
        key: "maxmemory-clients",
        old: "",
        read: |value| share(value).map(shown),
        show: |limits| shown(limits.clients),
        set: |limits, value| limits.clients = share(value).unwrap_or(Share::Bytes(0)),
    },
    Shared {
        key: "maxmemory-eviction-tenacity",
        old: "",
        read: |value| integer(value, 0, 100).map(|tenacity| tenacity.to_string()),
        show: |limits| limits.tenacity.to_string(),
        set: |limits, value| limits.tenacity = number(value),
    },
    Shared {
        key: "maxmemory-policy",
        old: "",
        read: |value| {
            let names = Policy::ALL.map(|policy| policy.name).join(", ");
            let known = Policy::of_name(value)
                .ok_or_else(|| format!("argument(s) must be one of the following: {names}"))?;
            Ok(known.name.to_string())
        },
        show: |limits| limits.policy.name.to_string(),
        set: |limits, value| limits.policy = Policy::of_name(value).unwrap_or(Policy::NO_EVICTION),
    },
    Shared {
        key: "maxmemory-samples",
        old: "",
        read: |value| integer(value, 1, SAMPLES_MAX).map(|samples| samples.to_string()),
        show: |limits| limits.samples.to_string(),
        set: |limits, value| limits.samples = number(value),
    },
];

/// The greatest number that Redis takes where it names no other.
const INT_MAX: u64 = i32::MAX as u64;
/// The most keys that are drawn for one that goes.
const SAMPLES_MAX: u64 = 64;

/// Bytes, or hundredths with `%` behind them.
fn share(value: &str) -> Result<Share, String> {
    let Some(percent) = value.strip_suffix('%') else {
        let bytes = size(value).ok_or("argument must be a memory or percent value")?;
        return Ok(Share::Bytes(bytes as u64));
    };
    match percent.parse::<u64>() {
        Ok(percent @ 0..=100) => Ok(Share::Percent(percent as u8)),
        Ok(_) => Err("percentage argument must be less or equal to 100".to_string()),
        Err(_) => Err("argument must be a memory or percent value".to_string()),
    }
}

fn shown(share: Share) -> String {
    match share {
        Share::Bytes(bytes) => bytes.to_string(),
        Share::Percent(percent) => format!("{percent}%"),
    }
}

/// A number as it is kept, which has been found right before.
fn number(value: &str) -> u32 {
    value.parse().unwrap_or(0)
}

/// The limits that the cluster's settings make.
pub fn of(meta: &Meta) -> Limits {
    let mut limits = shared::of(&PARAMETERS, meta);
    limits.counting.on = limits.policy.choice == Some(Choice::LeastFrequent);
    limits
}
