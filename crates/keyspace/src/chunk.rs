//! The bytes of a snapshot's chunks, as docs/formats/keyspace.md draws them. Every chunk can be read alone, and the
//! chunks of a snapshot in any order.

use crate::part::Cursor;
use crate::rdb::{self, STRING_BYTES_MAX, Value};
use crate::record::{About, Record};
use crate::types::Collection;
use crate::usage::FREQUENCY_INITIAL;
use base::database::Kind;
use base::{DatabaseId, UnixMillis};

const MAGIC: [u8; 4] = *b"SHKC";
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 8;

const TAG_DATABASE: u8 = 1;
const TAG_WHOLE: u8 = 2;
const TAG_PIECE: u8 = 3;
const TAG_PART: u8 = 4;
/// Added to the tag of a key that expires.
const VOLATILE: u8 = 0x80;

/// The bytes aren't a chunk that this release reads, or don't belong into this shard; what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

impl std::fmt::Display for BadChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the snapshot can't be loaded: a chunk has {}", self.0)
    }
}

impl std::error::Error for BadChunk {}

/// Puts a chunk together.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    budget_bytes: usize,
    has_items: bool,
    database: Option<DatabaseId>,
}

impl Writer {
    /// A chunk of the state at `revision`, of about this size.
    pub(crate) fn new(revision: u64, budget_bytes: usize) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&revision.to_le_bytes());
        Self { bytes, budget_bytes, has_items: false, database: None }
    }

    /// Whether it has reached its size.
    pub(crate) fn is_full(&self) -> bool {
        self.has_items && self.room() == 0
    }

    /// How many more bytes it is to have.
    pub(crate) fn room(&self) -> usize {
        self.budget_bytes.saturating_sub(self.bytes.len())
    }

    /// A key and its whole value.
    pub(crate) fn whole(&mut self, database: DatabaseId, record: &Record) {
        self.head(TAG_WHOLE, database, record);
        rdb::write_string_value(&mut self.bytes, record.value());
    }

    /// A key and a piece of its value.
    pub(crate) fn piece(&mut self, database: DatabaseId, record: &Record, from: usize, to: usize) {
        self.head(TAG_PIECE, database, record);
        self.bytes.extend_from_slice(&(record.value().len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(&(from as u64).to_le_bytes());
        let piece = &record.value()[from..to];
        let length = u32::try_from(piece.len()).expect("strings are bounded far below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(piece);
    }

    /// A key and its whole collection.
    pub(crate) fn collection(&mut self, database: DatabaseId, record: &Record, collection: &Collection) {
        self.head(TAG_WHOLE, database, record);
        rdb::write_typed(&mut self.bytes, &collection.value());
    }

    /// A key and the elements of its collection from `cursor` on, about so many bytes; where to go on.
    pub(crate) fn part(
        &mut self,
        database: DatabaseId,
        record: &Record,
        collection: &Collection,
        cursor: Cursor,
        budget_bytes: usize,
    ) -> Option<Cursor> {
        self.head(TAG_PART, database, record);
        let (value, next) = collection.contents().part(cursor, budget_bytes);
        let (total, offset) = match collection {
            Collection::List(_) => (collection.contents().count() as u64, cursor.rank as u64),
            _ => (u64::from(next.is_none()), 0),
        };
        self.bytes.extend_from_slice(&total.to_le_bytes());
        self.bytes.extend_from_slice(&offset.to_le_bytes());
        rdb::write_typed(&mut self.bytes, &value);
        next
    }

    fn head(&mut self, tag: u8, database: DatabaseId, record: &Record) {
        self.has_items = true;
        if self.database != Some(database) {
            self.database = Some(database);
            self.bytes.push(TAG_DATABASE);
            self.bytes.extend_from_slice(&database.0.to_le_bytes());
        }
        self.bytes.push(tag | if record.expires_at().is_some() { VOLATILE } else { 0 });
        self.bytes.extend_from_slice(&record.revision().to_le_bytes());
        if let Some(at) = record.expires_at() {
            self.bytes.extend_from_slice(&at.0.to_le_bytes());
        }
        let length = u32::try_from(record.key().len()).expect("keys are bounded far below 4 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record.key());
    }

    /// The bytes, unless nothing was put in.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if !self.has_items {
            return None;
        }
        let checksum = rdb::crc64(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        Some(self.bytes)
    }
}

/// What a chunk says of a key beside its value.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) database: DatabaseId,
    pub(crate) revision: u64,
    pub(crate) expires_at: Option<UnixMillis>,
    pub(crate) key: &'a [u8],
}

/// What a chunk says of a key's value.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// All of it.
    Whole(Value),
    /// What a string has from `offset` on; `offset` and the bytes lie within `length`.
    Piece { length: usize, offset: usize, bytes: &'a [u8] },
    /// Some elements of a collection.
    Part(Part, Value),
}

/// Where a part of a list belongs; what is found otherwise only says which part is the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// How many elements a list has; 1 in the last part of anything else.
    pub(crate) total: u64,
    /// How many come before this part.
    pub(crate) offset: u64,
}

impl Head<'_> {
    /// What the record of a string under this key says of itself.
    pub(crate) fn about(&self) -> About {
        About {
            kind: Kind::String,
            expires_at: self.expires_at,
            revision: self.revision,
            access: 0,
            frequency: FREQUENCY_INITIAL,
        }
    }

    /// Whether a record that is there already is the one that this head speaks of.
    pub(crate) fn fits(&self, record: &Record, kind: Kind) -> bool {
        record.kind() == kind && record.revision() == self.revision && record.expires_at() == self.expires_at
    }
}

/// Reads a chunk, whose checksum has been found right.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    revision: u64,
    database: Option<DatabaseId>,
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub(crate) fn new(chunk: &'a [u8]) -> Result<Self, BadChunk> {
        let (checked, checksum) = chunk.split_last_chunk::<CHECKSUM_BYTES>().ok_or(SHORT)?;
        let mut reader = Self { rest: checked, revision: 0, database: None };
        if reader.array()? != MAGIC {
            return Err(BadChunk("another beginning than a keyspace chunk"));
        }
        if u16::from_le_bytes(reader.array()?) != VERSION {
            return Err(BadChunk("a version that this release doesn't know"));
        }
        if u64::from_le_bytes(*checksum) != rdb::crc64(checked) {
            return Err(BadChunk("a checksum that doesn't match"));
        }
        reader.revision = u64::from_le_bytes(reader.array()?);
        Ok(reader)
    }

    /// The revision whose state it is a part of.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// What comes next; nothing at the end.
    pub(crate) fn next_item(&mut self) -> Result<Option<(Head<'a>, Body<'a>)>, BadChunk> {
        while !self.rest.is_empty() {
            let [tag] = self.array()?;
            if tag == TAG_DATABASE {
                self.database = Some(DatabaseId(u64::from_le_bytes(self.array()?)));
                continue;
            }
            let database = self.database.ok_or(BadChunk("a key before a database"))?;
            let revision = u64::from_le_bytes(self.array()?);
            let expires_at = match tag & VOLATILE {
                0 => None,
                _ => Some(UnixMillis(u64::from_le_bytes(self.array()?))),
            };
            let key = self.bytes()?;
            let body = match tag & !VOLATILE {
                TAG_WHOLE => Body::Whole(self.value()?),
                TAG_PIECE => {
                    let (length, offset) = (self.length()?, self.length()?);
                    let bytes = self.bytes()?;
                    if bytes.len() > length || offset > length - bytes.len() {
                        return Err(BadChunk("a piece that reaches beyond its value"));
                    }
                    Body::Piece { length, offset, bytes }
                }
                TAG_PART => {
                    let total = u64::from_le_bytes(self.array()?);
                    let offset = u64::from_le_bytes(self.array()?);
                    Body::Part(Part { total, offset }, self.value()?)
                }
                _ => return Err(BadChunk("an item without meaning")),
            };
            return Ok(Some((Head { database, revision, expires_at, key }, body)));
        }
        Ok(None)
    }

    fn value(&mut self) -> Result<Value, BadChunk> {
        rdb::read_typed(&mut self.rest).map_err(|_| BadChunk("a value without meaning"))
    }

    fn length(&mut self) -> Result<usize, BadChunk> {
        usize::try_from(u64::from_le_bytes(self.array()?))
            .ok()
            .filter(|&length| length <= STRING_BYTES_MAX)
            .ok_or(BadChunk("a value that is too long"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], BadChunk> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadChunk> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }
}

const SHORT: BadChunk = BadChunk("fewer bytes than it announces");
