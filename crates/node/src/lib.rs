//! One node of Sihai, composed of the cores and itself a [`base::Core`]: no socket, no file, no clock, no thread.
//!
//! Its modules read as a command's journey: a client's bytes come in at [`gateway`], find their shard by routing,
//! travel over [`peers`] if another node leads it, are agreed on and applied by [`replica`], and the reply goes back
//! the way it came. Beside the journey stand [`meta`], which knows who and where everything is, and [`api`], the
//! whole of what a driver sees.

/// What a driver gives a node and what it is asked to do: inputs, effects, configuration.
pub mod api;

/// What the whole cluster agrees on about itself: members, placement, databases, settings.
pub mod meta;

/// The read model that INFO, CLUSTER, status, metrics and the console render.
pub mod overview;

pub use api::{Config, Effect, Input};
