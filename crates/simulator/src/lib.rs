//! The other driver: a world made from a seed, in which networks cut, disks tear and clocks jump, around the same node
//! that the server runs. Equal seeds give equal worlds, to the last bit.
//!
//! In the order of a run: one seed from beginning to end ([`run`]), what runs in it ([`world`]), who asks for something
//! ([`workload`]) and what they heard ([`history`]), what goes wrong ([`faults`]), and what must hold all the same
//! ([`checkers`]).
#![forbid(unsafe_code)]

/// What must hold whatever breaks, one promise a file.
pub mod checkers;
/// What goes wrong, and when.
pub mod faults;
/// What clients did and heard.
pub mod history;
/// Panics of nodes, caught.
pub mod panics;
/// One seed, from beginning to end.
pub mod run;
/// What a run is named by.
pub mod seed;
#[cfg(test)]
mod toy;
/// What clients ask for.
pub mod workload;
/// Hosts, networks, disks and clocks.
pub mod world;
