//! Writing a file, an item at a time.

use super::super::string::{write_number, write_string};
use super::super::{CRC, VERSION, VERSION_FIELD_EXPIRY, VERSION_REDIS_7_0, Value, write_value_for};
use super::{Key, MAGIC, opcodes};
use crc::{Digest, Table};

/// Writes a file: give it items, [`Writer::take`] what is ready as often as you like, and [`Writer::finish`].
pub struct Writer {
    /// What wasn't taken yet.
    bytes: Vec<u8>,
    checksum: Digest<'static, u64, Table<16>>,
    version: u16,
    database: Option<u64>,
}

/// A hash whose fields expire can't be in a file that older releases of Redis read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsFieldExpiry;

impl std::fmt::Display for NeedsFieldExpiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "nothing was written: a field of the hash expires, and a file of RDB version {VERSION} can't say so; \
             write one of version {VERSION_FIELD_EXPIRY}, for Redis 7.4 and later"
        )
    }
}

impl std::error::Error for NeedsFieldExpiry {}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("version", &self.version)
            .field("ready_bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A file that Redis reads since 7.2.
    pub fn new() -> Self {
        Self::of_version(VERSION)
    }

    /// A file that may have hashes whose fields expire, which Redis reads since 7.4.
    pub fn with_field_expiry() -> Self {
        Self::of_version(VERSION_FIELD_EXPIRY)
    }

    /// A file of this version, if such are written: [`VERSION_REDIS_7_0`], [`VERSION`] or [`VERSION_FIELD_EXPIRY`].
    pub fn for_version(version: u16) -> Option<Self> {
        (VERSION_REDIS_7_0..=VERSION_FIELD_EXPIRY).contains(&version).then(|| Self::of_version(version))
    }

    /// The file's version.
    pub fn version(&self) -> u16 {
        self.version
    }

    fn of_version(version: u16) -> Self {
        let bytes = [&MAGIC[..], format!("{version:04}").as_bytes()].concat();
        Self { bytes, checksum: CRC.digest(), version, database: None }
    }

    /// A note of who writes the file.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.push(opcodes::AUX);
        write_string(&mut self.bytes, name);
        write_string(&mut self.bytes, value);
    }

    /// The source of a library of functions.
    pub fn function(&mut self, source: &[u8]) {
        self.bytes.push(opcodes::FUNCTION);
        write_string(&mut self.bytes, source);
    }

    /// How many keys of this database will follow, and how many of them expire; a hint, to be given before them.
    pub fn sizes(&mut self, database: u64, keys: u64, expiring: u64) {
        self.select(database);
        self.bytes.push(opcodes::SIZES);
        write_number(&mut self.bytes, keys);
        write_number(&mut self.bytes, expiring);
    }

    /// A key with its value. The keys of a database should come together.
    pub fn key(&mut self, key: &Key) -> Result<(), NeedsFieldExpiry> {
        if self.version < VERSION_FIELD_EXPIRY && has_field_expiry(&key.value) {
            return Err(NeedsFieldExpiry);
        }
        self.select(key.database);
        if let Some(at) = key.expires_at {
            self.bytes.push(opcodes::EXPIRES_AT_MS);
            self.bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        if let Some(idle_s) = key.idle_s {
            self.bytes.push(opcodes::IDLE);
            write_number(&mut self.bytes, idle_s);
        }
        if let Some(frequency) = key.frequency {
            self.bytes.extend_from_slice(&[opcodes::FREQUENCY, frequency]);
        }
        let at = self.bytes.len();
        self.bytes.push(0);
        write_string(&mut self.bytes, &key.key);
        self.bytes[at] = write_value_for(self.version, &mut self.bytes, &key.value);
        Ok(())
    }

    fn select(&mut self, database: u64) {
        if self.database != Some(database) {
            self.database = Some(database);
            self.bytes.push(opcodes::DATABASE);
            write_number(&mut self.bytes, database);
        }
    }

    /// The bytes that are ready and weren't taken.
    pub fn take(&mut self) -> Vec<u8> {
        self.checksum.update(&self.bytes);
        std::mem::take(&mut self.bytes)
    }

    /// The last bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(opcodes::END);
        let mut bytes = self.take();
        bytes.extend_from_slice(&self.checksum.finalize().to_le_bytes());
        bytes
    }
}

fn has_field_expiry(value: &Value) -> bool {
    matches!(value, Value::Hash(fields) if fields.iter().any(|field| field.expires_at.is_some()))
}
