//! The other driver: a world made from a seed, in which networks cut, disks tear and clocks jump, around the same node
//! that the server runs. Equal seeds give equal worlds, to the last bit.
//!
//! In the order of a run: what runs ([`world`]), who asks it for something ([`workload`]) and what they heard
//! ([`history`]), what goes wrong ([`faults`]), what must hold all the same ([`checkers`]), and one seed from beginning
//! to end ([`run`]).
#![forbid(unsafe_code)]

/// What must hold whatever breaks, one promise a file.
pub mod checkers;
/// What clients did and heard.
pub mod history;
/// Hosts, networks, disks and clocks.
pub mod world;
