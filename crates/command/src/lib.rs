//! The command table, and what each command means.
//!
//! In the order of the journey: a request's words find their [`spec`] in the [`table`], which knows where the command
//! is answered and which of its words are keys; at the shard of its keys the command's function runs on a
//! [`Database`](base::database::Database) and writes its reply ([`execute`], [`families`]); what concerns the whole
//! cluster runs as parts that are merged ([`scatter`]); and the table describes itself to clients ([`introspect`]).
//!
//! Commands are logged and run again on every replica, so a function here depends on nothing but its
//! [`Context`]: no clock, no randomness of its own, no order that differs between two runs.
#![forbid(unsafe_code)]

/// For how long commands wait, and how what they took is given back.
pub mod blocking;
/// The categories of commands that ACLs know.
pub mod categories;
/// What holds of each command of Redis, for the document of users.
pub mod compatibility;
/// Places on the earth as scores of sorted sets.
mod earth;
/// Why a command was refused, in Redis's words.
pub mod error;
/// What a command runs on, and how it is run.
pub mod execute;
/// The 80-bit arithmetic of INCRBYFLOAT.
pub mod extended;
/// What the commands do, a family a file.
pub mod families;
/// Glob patterns, as KEYS and SCAN take them.
pub mod glob;
/// What COMMAND answers about the table, and every HELP.
pub mod introspect;
/// The drawing that LOLWUT answers.
pub mod lolwut;
/// A database of maps, for the tests of this crate.
#[cfg(test)]
mod model;
/// Commands over the whole database: the part of each shard, and the merge.
pub mod scatter;
/// What a command is: name, arity, flags, keys, where it is answered.
pub mod spec;
/// All commands, and how a request finds its own.
pub mod table;
/// Sines and their like, the same on every machine.
mod trigonometry;
/// Options and numbers among a command's words.
pub mod words;

pub use error::Error;
pub use execute::{Context, Execute, run};
pub use spec::{CommandId, Flags, Place, Spec};
pub use table::{by_id, lookup, resolve};
