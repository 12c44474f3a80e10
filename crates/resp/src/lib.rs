//! The Redis serialization protocol, versions 2 and 3.
//!
//! In the order of the journey: a client's bytes become requests ([`request`]), replies become bytes ([`reply`]), and
//! whoever is at the other end of a connection (tests, simulated clients, the command line) reads those replies as
//! [`frame`]s. [`number`] writes and reads the numbers of the protocol for all three.
//!
//! Nothing here does I/O or keeps a connection's bytes, and nothing that a peer sends makes it panic, recurse without
//! bound, or reserve memory that the peer only announced.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// Replies read back, for the client's side of a connection.
pub mod frame;
/// Integers and doubles as Redis reads and writes them.
pub mod number;
/// Replies: values to bytes for a client.
pub mod reply;
/// Requests: bytes from a client to the words of a command.
pub mod request;

pub use frame::{Frame, FrameError};
pub use reply::{Protocol, Writer};
pub use request::{Limits, Progress, ProtocolError, Reader};
