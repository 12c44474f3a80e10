//! On how many other nodes a write must be for certain once it is acknowledged: the whole cluster's.

use super::integer;
use super::shared::{self, Shared};
use crate::meta::Meta;

/// What the cluster's settings say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durability {
    /// `min-replicas-to-write`: where fewer other nodes are certain to have what is acknowledged, writes are refused.
    pub replicas_min: usize,
}

pub(super) static PARAMETERS: [Shared<Durability>; 1] = [Shared {
    key: "min-replicas-to-write",
    old: "min-slaves-to-write",
    read: |value| integer(value, 0, i32::MAX as u64).map(|count| count.to_string()),
    show: |durability| durability.replicas_min.to_string(),
    set: |durability, value| durability.replicas_min = value.parse().unwrap_or(0),
}];

/// What the cluster's settings make.
pub fn of(meta: &Meta) -> Durability {
    shared::of(&PARAMETERS, meta)
}
