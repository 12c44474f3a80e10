//! The files of snapshots: one a snapshot, its chunks one behind the other in the order in which they came, each under a
//! header of its own. `docs/formats/snapshot.md` draws them. A file counts only once a record in the log names it.

use crate::disk::DiskFile;
use crate::op::{ChunkInfo, SnapshotId, SnapshotRecord};
use base::{GroupId, Index, Term};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;

/// How long a chunk's header is.
pub const CHUNK_HEADER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"SIHAISNP";

/// What a snapshot's file is called.
pub fn file_name(group: GroupId, id: SnapshotId) -> String {
    format!("snapshot-{}-{}-{}", group.0, id.index.0, id.term.0)
}

/// Whose snapshot a file is, by its name.
pub fn of_file_name(name: &str) -> Option<(GroupId, SnapshotId)> {
    let mut parts = name.strip_prefix("snapshot-")?.split('-');
    let group = GroupId(parts.next()?.parse().ok()?);
    let id =
        SnapshotId { index: Index(parts.next()?.parse().ok()?), term: Term(parts.next()?.parse().ok()?) };
    (parts.next().is_none() && file_name(group, id) == name).then_some((group, id))
}

/// Where the chunks of one file lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkTable {
    /// By number, in the order in which they came: one that comes again doesn't hide the one before from a manifest that
    /// names that one.
    chunks: BTreeMap<u32, Vec<Located>>,
    /// Where the next chunk goes.
    pub end: u64,
    /// Whether something that is no chunk follows `end`, and must go before the next chunk comes.
    pub litter: bool,
}

/// One chunk in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where its bytes begin.
    pub offset: u64,
    /// How many, and their checksum.
    pub info: ChunkInfo,
}

/// The header of a chunk.
fn header(group: GroupId, id: SnapshotId, number: u32, info: &ChunkInfo) -> [u8; CHUNK_HEADER_BYTES] {
    let mut bytes = [0; CHUNK_HEADER_BYTES];
    let mut field = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    field(4, &info.crc.to_le_bytes());
    field(8, &MAGIC);
    field(16, &info.bytes.to_le_bytes());
    field(24, &id.index.0.to_le_bytes());
    field(32, &id.term.0.to_le_bytes());
    field(40, &group.0.to_le_bytes());
    field(44, &number.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The bytes to append to the file for a chunk.
pub fn encode(group: GroupId, id: SnapshotId, number: u32, bytes: &[u8]) -> (Vec<u8>, ChunkInfo) {
    let info = ChunkInfo::of(bytes);
    let mut to = Vec::with_capacity(CHUNK_HEADER_BYTES + bytes.len());
    to.extend_from_slice(&header(group, id, number, &info));
    to.extend_from_slice(bytes);
    (to, info)
}

impl ChunkTable {
    /// Notes a chunk that was appended.
    pub fn add(&mut self, number: u32, info: ChunkInfo) {
        let located = Located { offset: self.end + CHUNK_HEADER_BYTES as u64, info };
        self.chunks.entry(number).or_default().push(located);
        self.end += CHUNK_HEADER_BYTES as u64 + info.bytes;
    }

    /// Where a chunk lies, as it came last.
    pub fn get(&self, number: u32) -> Option<Located> {
        self.chunks.get(&number)?.last().copied()
    }

    /// Where a chunk lies that is as a manifest says; if it came several times, as it came last.
    pub fn find(&self, number: u32, info: &ChunkInfo) -> Option<Located> {
        self.chunks.get(&number)?.iter().rfind(|located| located.info == *info).copied()
    }

    /// Whether all chunks of `record` are here, as it says.
    pub fn has_all(&self, record: &SnapshotRecord) -> bool {
        self.count(record) == record.chunks.len()
    }

    /// How many chunks of `record` are here, as it says.
    pub fn count(&self, record: &SnapshotRecord) -> usize {
        let chunks = record.chunks.iter().zip(0..);
        chunks.filter(|(info, number)| self.find(*number, info).is_some()).count()
    }

    /// Reads the headers in a file, as far as they are good.
    pub fn read(file: &impl DiskFile, group: GroupId, id: SnapshotId) -> io::Result<Self> {
        let length = file.len()?;
        let mut table = Self::default();
        let mut found = [0; CHUNK_HEADER_BYTES];
        while table.end < length && file.read_at(table.end, &mut found)? == CHUNK_HEADER_BYTES {
            let u32_at = |at: usize| u32::from_le_bytes(found[at..at + 4].try_into().expect("four bytes"));
            let bytes = u64::from_le_bytes(found[16..24].try_into().expect("eight bytes"));
            let (number, info) = (u32_at(44), ChunkInfo { bytes, crc: u32_at(4) });
            let fits = bytes <= length - table.end - CHUNK_HEADER_BYTES as u64;
            if !fits || found != header(group, id, number, &info) {
                break;
            }
            table.add(number, info);
        }
        table.litter = table.end < length;
        Ok(table)
    }
}

/// Reads one chunk; nothing if its bytes aren't what was written.
pub fn read_chunk(file: &impl DiskFile, located: Located) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; located.info.bytes as usize];
    let count = file.read_at(located.offset, &mut bytes)?;
    let good = count == bytes.len() && crc32c::crc32c(&bytes) == located.info.crc;
    Ok(good.then(|| Bytes::from(bytes)))
}
