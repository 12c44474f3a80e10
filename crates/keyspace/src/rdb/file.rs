//! Whole files as Redis saves them: for import and export. Neither touches a file: a `Reader` is fed with chunks of bytes
//! of any size and gives items, a `Writer` is given items and has bytes ready.
//!
//! A file is `REDIS` and four digits of version; items, each behind a byte that says what it is: either a type of value, which
//! a key and a value follow, or an opcode; an end byte and a checksum. What is known of a key beside its value (when it expires,
//! how it was used last) stands before it.
//!
//! What can't be kept is never dropped in silence: it comes as an item of its own.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Mark, Reader};
pub use write::{NeedsFieldExpiry, Writer};

use super::Value;
use base::UnixMillis;

/// What a file has, one by one.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A note of who wrote the file.
    Aux {
        /// What it is about.
        name: Vec<u8>,
        /// What it says.
        value: Vec<u8>,
    },
    /// The source of a library of functions.
    Function(Vec<u8>),
    /// A key with its value.
    Key(Key),
    /// Something that can't be read here.
    Skipped(Skipped),
}

/// A key, its value and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The number of its database.
    pub database: u64,
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Value,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// Seconds since it was last used.
    pub idle_s: Option<u64>,
    /// How often it is used, as Redis counts that (logarithmically).
    pub frequency: Option<u8>,
}

/// What was in a file and isn't read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Data of a module that belong to no key.
    ModuleData {
        /// The module's type of data.
        module: String,
    },
    /// A key with a value of a module.
    ModuleValue {
        /// The number of its database.
        database: u64,
        /// The key.
        key: Vec<u8>,
        /// The module's type of value.
        module: String,
    },
    /// A key with a collection without elements, which Redis doesn't load either.
    Empty {
        /// The number of its database.
        database: u64,
        /// The key.
        key: Vec<u8>,
    },
}

const MAGIC: &[u8; 5] = b"REDIS";

/// Before types, which lie far below.
mod opcodes {
    /// How many keys a slot has, in clusters.
    pub const SLOT: u8 = 244;
    pub const FUNCTION: u8 = 245;
    pub const MODULE_DATA: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const AUX: u8 = 250;
    /// How many keys a database has, and how many of them expire.
    pub const SIZES: u8 = 251;
    pub const EXPIRES_AT_MS: u8 = 252;
    pub const EXPIRES_AT_S: u8 = 253;
    pub const DATABASE: u8 = 254;
    pub const END: u8 = 255;
}
