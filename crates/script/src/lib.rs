//! Scripts: Lua 5.1 as clients of Redis know it, in a sandbox whose limits no script can swallow.
//!
//! In the order of the journey: a text's first line says what it is ([`header`]); an [`Engine`] compiles it and runs it
//! with its keys and arguments, in globals of its own (the `sandbox`) and with the libraries that scripts expect; `redis.call` asks the
//! [`Host`], whose replies become Lua values and whose script's value becomes a reply (`convert`); and what a library registers
//! is found by running it once ([`library`]).
//!
//! A run is a function of the text, its keys and arguments, the time, the seed and the host's replies. Nothing stays from one run to the
//! next: not a global, not a library's variable, not a setting of `cjson`. (Only the order in which Lua walks a table whose keys are tables
//! or functions depends on where they lie in memory.) The host may say that it can't go on; then, as with a spent limit, the run ends, and
//! neither `pcall` nor a coroutine sees it.
#![forbid(unsafe_code)]

/// What a function of a library was given, checked as Lua checks it.
mod arguments;
/// Between replies of the protocol and values of Lua.
mod convert;
/// What runs scripts and functions.
pub mod engine;
/// How errors travel through Lua.
mod fault;
/// A text's first line: which engine, which name, which flags.
pub mod header;
/// What a script may ask of the world.
pub mod host;
/// cjson, cmsgpack, struct, bit, and the patterns of `string`.
mod libraries;
/// Libraries: what `FUNCTION LOAD` finds in one.
pub mod library;
/// What a run may use, and what it has used.
pub mod limits;
/// Numbers as Lua and C write and read them.
mod numbers;
/// The table `redis`.
mod redis;
/// The globals of a script, which it can't change.
mod sandbox;
/// The names of scripts.
pub mod sha;

pub use engine::{Call, Engine, Outcome};
pub use header::{Flags, Header};
pub use host::{Host, Unanswered};
pub use library::{Function, Library};
pub use limits::{Limits, Stop};
pub use sha::Sha;

#[cfg(test)]
mod tests;
