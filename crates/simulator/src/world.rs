//! Hosts with their disks and clocks, the network between them, and the clients: everything around a node.

/// What the world runs.
pub mod program;

pub use program::{Probe, Program};
