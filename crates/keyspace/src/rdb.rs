//! Redis's encoding of values (RDB), for DUMP, RESTORE, snapshots, import and export.
//!
//! A value is a type byte and what the type says (`read_typed`, `write_typed`); a dump adds the version (two bytes,
//! little-endian) and a CRC-64 of everything before it (eight bytes, little-endian); a `file` is a sequence of keys with
//! their values between a header and a checksum. What Redis 2.8 to 8 writes is read. What is written is version 11, which
//! Redis reads since 7.2; only hashes whose fields expire need version 12, which it reads since 7.4. Modules' values aren't
//! read.
//!
//! Bytes come from clients and disks, so nothing in them is trusted: a reader never panics, refuses what no writer would
//! write (an element twice, a score that is no number, ids out of order), and allocates in proportion to the bytes that
//! are there, not to those that are announced.

/// Why bytes are refused.
mod error;
/// Whole files, a chunk of bytes at a time.
pub mod file;
/// Sets of integers in one string.
mod intset;
/// Elements packed into one string, as Redis does since version 5.
mod listpack;
/// Values by their type.
mod read;
/// Streams.
mod stream;
/// Lengths and strings.
mod string;
/// What was read, or is to be written.
mod value;
/// Values in the types that are written.
mod write;
/// Elements packed into one string, as Redis did before version 7.
mod ziplist;

pub use error::BadValue;
pub use read::{read_typed, read_value};
pub use string::{STRING_BYTES_MAX, integer};
pub use value::{ConsumerValue, GroupValue, HashField, StreamValue, Value};
pub use write::{
    write_hash, write_list, write_set, write_sorted_set, write_stream, write_string_value, write_typed,
    write_value, write_value_for,
};

use crc::{CRC_64_REDIS, Crc, Digest, Table};

/// The version that is written where nothing newer is needed.
pub const VERSION: u16 = 11;
/// The version that is written on demand, for Redis 7.0.
pub const VERSION_REDIS_7_0: u16 = 10;
/// The version that is written for hashes whose fields expire, and the newest that is read.
pub const VERSION_FIELD_EXPIRY: u16 = 12;

/// The types of value, by their numbers.
mod types {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores are spelt in decimal.
    pub const SORTED_SET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores are binary.
    pub const SORTED_SET: u8 = 5;
    /// Of modules, in release candidates of Redis 4: only the module knows where the value ends.
    pub const MODULE_WITHOUT_END: u8 = 6;
    pub const MODULE: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const SORTED_SET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// A list of ziplists.
    pub const LIST_ZIPLISTS: u8 = 14;
    pub const STREAM_1: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_SET_LISTPACK: u8 = 17;
    /// A list of listpacks and of long elements.
    pub const LIST_LISTPACKS: u8 = 18;
    /// Streams that know what was deleted.
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// Streams that know when consumers got something.
    pub const STREAM_3: u8 = 21;
    /// Fields expire, at absolute times: in release candidates of Redis 7.4.
    pub const HASH_EXPIRY_ABSOLUTE: u8 = 22;
    /// Fields expire, without the first of these times in front: in release candidates of Redis 7.4.
    pub const HASH_EXPIRY_LISTPACK_BARE: u8 = 23;
    /// Fields expire, at times that count from the first.
    pub const HASH_EXPIRY: u8 = 24;
    /// Fields expire.
    pub const HASH_EXPIRY_LISTPACK: u8 = 25;
}

/// The checksum that Redis puts under its dumps and files.
static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum that Redis puts under its dumps and files.
pub fn crc64(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

/// The same of bytes that come in pieces.
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Default for Checksum {
    fn default() -> Self {
        Self(CRC.digest())
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Checksum").field(&self.0.clone().finalize()).finish()
    }
}

impl Checksum {
    /// These bytes come next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all of them.
    pub fn finish(self) -> u64 {
        self.0.finalize()
    }
}

/// The dump of a value.
pub fn write_dump(value: &Value) -> Vec<u8> {
    let mut dump = Vec::new();
    write_typed(&mut dump, value);
    seal(dump)
}

/// The dump of a string.
pub fn dump_string(value: &[u8]) -> Vec<u8> {
    let mut dump = Vec::with_capacity(1 + 9 + value.len() + DUMP_FOOTER_BYTES);
    write_string_value(&mut dump, value);
    seal(dump)
}

/// The value of a dump. Its checksum is never missing, as it may be in a file.
pub fn read_dump(dump: &[u8]) -> Result<Value, BadValue> {
    let (checked, checksum) = dump.split_last_chunk::<8>().ok_or(BadValue::Short)?;
    let (mut rest, version) = checked.split_last_chunk::<2>().ok_or(BadValue::Short)?;
    let version = u16::from_le_bytes(*version);
    if version > VERSION_FIELD_EXPIRY {
        return Err(BadValue::Version(version));
    }
    if u64::from_le_bytes(*checksum) != crc64(checked) {
        return Err(BadValue::Checksum);
    }
    let value = read_typed(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(BadValue::Malformed("more bytes than the value has")) }
}

/// The bytes of version and checksum, at the end of a dump.
pub const DUMP_FOOTER_BYTES: usize = 10;

/// Makes a dump of a value with its type: the version follows from the type.
pub fn seal(mut typed: Vec<u8>) -> Vec<u8> {
    let version = match typed.first() {
        Some(&kind) if kind > types::STREAM_3 => VERSION_FIELD_EXPIRY,
        _ => VERSION,
    };
    typed.reserve_exact(DUMP_FOOTER_BYTES);
    typed.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64(&typed);
    typed.extend_from_slice(&checksum.to_le_bytes());
    typed
}

#[cfg(test)]
mod tests;
