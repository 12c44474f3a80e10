//! From slots to shards: which group keeps which of the 16,384 slots, under an epoch.
//!
//! Every command asks here once per key, so the answer is one load from a dense table. Which nodes keep a group's
//! copies and who leads it is not known here: placement belongs to meta, and leaders come and go.
//!
//! A map always covers every slot exactly once, whoever made it: it can't be built otherwise, and bytes that say
//! otherwise are refused.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// The table of slots and the groups that keep them.
pub mod slots;

pub use slots::{SlotMap, SlotMapError, SlotRange};
