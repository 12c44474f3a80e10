//! Records: what the log consists of. Sixty-four bytes of header, checksummed apart so that a rotten payload still tells
//! whose it was, and a payload. `docs/formats/log.md` draws them byte for byte.

use crate::op::{Doubt, Identity, SnapshotRecord};
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Entry, GroupId, HardState, Index, ReplicaId, Term};
use bytes::Bytes;

/// How long a header is.
pub const HEADER_BYTES: usize = 64;
/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;
/// The second copy of a record begins at least so far behind the first, so that one bad block can't hold both.
pub const COPY_DISTANCE_BYTES: usize = 4096;
/// Entries that take more than about this become several records, so that reading one entry doesn't read them all.
pub const APPEND_BYTES_MAX: usize = 256 << 10;
/// The newest version of the format.
pub const VERSION: u32 = 1;
/// The `order` of what isn't one of a batch's records: padding and end marks.
pub const NO_ORDER: u32 = u32::MAX;

/// No index, term, batch, offset or count of starts ever reaches this. What says so isn't a record of ours, whatever its
/// checksum: it is unreadable, and nothing is counted on with it.
pub const SANE_MAX: u64 = 1 << 60;
/// The same for the numbers of segments and of mirrors.
pub const SANE_NUMBER_MAX: u32 = 1 << 31;
/// The same for the length of a snapshot's chunk, so that all of them together have a length.
const SANE_CHUNK_BYTES_MAX: u64 = 1 << 32;

const MAGIC: [u8; 8] = *b"SIHAILOG";

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first of a segment.
    Segment = 1,
    /// Whose directory it is.
    Identity = 2,
    /// All that a group is, except its entries, as of the beginning of a segment.
    Group = 3,
    /// A replica begins.
    Create = 4,
    /// A replica ends.
    Drop = 5,
    /// A group's hard state.
    HardState = 6,
    /// Entries.
    Append = 7,
    /// A snapshot is complete.
    Snapshot = 8,
    /// A doubt is settled.
    Settled = 9,
    /// Which mirrors take part from now on.
    Mirrors = 10,
    /// Nothing: fills the distance between two copies.
    Padding = 11,
    /// Nothing was written behind this, when it was.
    End = 12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Segment,
            2 => Self::Identity,
            3 => Self::Group,
            4 => Self::Create,
            5 => Self::Drop,
            6 => Self::HardState,
            7 => Self::Append,
            8 => Self::Snapshot,
            9 => Self::Settled,
            10 => Self::Mirrors,
            11 => Self::Padding,
            12 => Self::End,
            _ => return None,
        })
    }
}

/// Which of how many copies of a record this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copies {
    /// There is no other.
    Only = 0,
    /// Another follows in the same batch.
    First = 1,
    /// Another came before.
    Second = 2,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// CRC-32C of the payload.
    pub payload_crc: u32,
    /// How long the payload is.
    pub payload_bytes: u32,
    /// What it is.
    pub kind: Kind,
    /// Which copy it is.
    pub copy: Copies,
    /// The number of the segment, so that what a file held in an earlier life isn't read.
    pub segment: u32,
    /// The salt of the segment, so that nobody's value is taken for a record.
    pub salt: u32,
    /// The batch, counted from 1 over the life of the log.
    pub batch: u64,
    /// Its place among the batch's records.
    pub order: u32,
    /// How many records the batch has, second copies, padding and end mark not counted.
    pub count: u32,
    /// The group, where it concerns one.
    pub group: GroupId,
    /// Append: how many entries.
    pub entries: u32,
    /// Append and Snapshot: the last entry's index. HardState: the commit index. Padding: how many bytes to skip.
    pub index: Index,
    /// Append and Snapshot: the last entry's term. HardState: the term.
    pub term: Term,
}

impl Header {
    /// Writes it into the first [`HEADER_BYTES`] of `to`.
    pub fn put(&self, to: &mut [u8]) {
        let mut field = |at: usize, bytes: &[u8]| to[at..at + bytes.len()].copy_from_slice(bytes);
        field(4, &self.payload_crc.to_le_bytes());
        field(8, &self.payload_bytes.to_le_bytes());
        field(12, &[self.kind as u8, self.copy as u8, 0, 0]);
        field(16, &self.segment.to_le_bytes());
        field(20, &self.salt.to_le_bytes());
        field(24, &self.batch.to_le_bytes());
        field(32, &self.order.to_le_bytes());
        field(36, &self.count.to_le_bytes());
        field(40, &self.group.0.to_le_bytes());
        field(44, &self.entries.to_le_bytes());
        field(48, &self.index.0.to_le_bytes());
        field(56, &self.term.0.to_le_bytes());
        let crc = crc32c::crc32c(&to[4..HEADER_BYTES]);
        to[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads it from the front of `bytes`, if an undamaged header is there.
    pub fn get(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let kind = Kind::of(bytes[12])?;
        let copy = match bytes[13] {
            0 => Copies::Only,
            1 => Copies::First,
            2 => Copies::Second,
            _ => return None,
        };
        if bytes[14..16] != [0, 0] || u32_at(0) != crc32c::crc32c(&bytes[4..]) {
            return None;
        }
        let header = Self {
            payload_crc: u32_at(4),
            payload_bytes: u32_at(8),
            kind,
            copy,
            segment: u32_at(16),
            salt: u32_at(20),
            batch: u64_at(24),
            order: u32_at(32),
            count: u32_at(36),
            group: GroupId(u32_at(40)),
            entries: u32_at(44),
            index: Index(u64_at(48)),
            term: Term(u64_at(56)),
        };
        header.is_sane().then_some(header)
    }

    /// Whether its numbers can be counted on with.
    fn is_sane(&self) -> bool {
        let first = self.kind != Kind::Append || self.index.0 >= u64::from(self.entries);
        let numbers = [self.batch, self.index.0, self.term.0];
        first && self.segment < SANE_NUMBER_MAX && numbers.iter().all(|number| *number < SANE_MAX)
    }

    /// The first entry's index, of an Append.
    pub fn first(&self) -> Index {
        Index((self.index.0 + 1).saturating_sub(u64::from(self.entries)))
    }

    /// From its beginning to where the next one begins.
    pub fn span(&self) -> u64 {
        let skipped = if self.kind == Kind::Padding { self.index.0 } else { 0 };
        (aligned(HEADER_BYTES + self.payload_bytes as usize) as u64).saturating_add(skipped)
    }
}

/// `length` rounded up to where a record may begin.
pub const fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// The payload of a Segment record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    /// Where the segment before ends; nothing behind that point ever counted.
    pub previous: Option<Seal>,
    /// Which mirrors take part.
    pub mirrors: Vec<u32>,
}

/// Where a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The segment.
    pub segment: u32,
    /// The first byte that doesn't count.
    pub offset: u64,
    /// The last batch that counts.
    pub batch: u64,
}

/// The payload of a Group record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStart {
    /// Which replica.
    pub replica: ReplicaId,
    /// Its hard state.
    pub hard_state: HardState,
    /// Its snapshot.
    pub snapshot: Option<SnapshotRecord>,
    /// Whether its tail is in doubt.
    pub doubt: Option<Doubt>,
    /// Why it can't be trusted.
    pub damaged: Option<String>,
    /// The last entry of its log, or of its snapshot.
    pub last: (Index, Term),
}

/// A record with its meaning. Appends are kept as bytes.
#[derive(Clone, Debug)]
pub enum Body {
    /// See [`Kind::Segment`].
    Segment(SegmentStart),
    /// See [`Kind::Identity`].
    Identity(Identity),
    /// See [`Kind::Group`].
    Group(Box<GroupStart>),
    /// See [`Kind::Create`].
    Create(ReplicaId),
    /// See [`Kind::Drop`].
    Drop,
    /// See [`Kind::HardState`].
    HardState(ReplicaId, HardState),
    /// See [`Kind::Append`].
    Append(Append),
    /// See [`Kind::Snapshot`].
    Snapshot {
        /// The manifest.
        record: Box<SnapshotRecord>,
        /// Whether all of the log is void.
        reset_log: bool,
    },
    /// See [`Kind::Settled`].
    Settled,
    /// See [`Kind::Mirrors`].
    Mirrors(Vec<u32>),
    /// Padding or an end mark.
    Nothing,
}

/// The payload of an Append, taken apart.
#[derive(Clone, Debug)]
pub struct Append {
    /// The term of the entry before the first: with equal terms there, the logs up to there are equal (Raft, section 5.3).
    pub previous_term: Term,
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Body {
    /// Reads the payload that belongs to `header`.
    pub fn decode(header: &Header, payload: Bytes) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(payload);
        let body = match header.kind {
            Kind::Segment => Self::Segment(SegmentStart::decode(&mut from)?),
            Kind::Identity => Self::Identity(Identity::decode(&mut from)?),
            Kind::Group => Self::Group(Box::new(GroupStart::decode(&mut from)?)),
            Kind::Create => Self::Create(ReplicaId::decode(&mut from)?),
            Kind::Drop => Self::Drop,
            Kind::HardState => Self::HardState(ReplicaId::decode(&mut from)?, HardState::decode(&mut from)?),
            Kind::Append => {
                let append = Append::decode(header, &mut from)?;
                Self::Append(append)
            }
            Kind::Snapshot => Self::Snapshot {
                reset_log: from.bool()?,
                record: Box::new(SnapshotRecord::decode(&mut from)?),
            },
            Kind::Settled => Self::Settled,
            Kind::Mirrors => Self::Mirrors(decode_mirrors(&mut from)?),
            Kind::Padding | Kind::End => Self::Nothing,
        };
        if !from.is_empty() {
            return Err(DecodeError::Invalid("trailing bytes"));
        }
        if body.is_sane() { Ok(body) } else { Err(DecodeError::Invalid("a number that no log reaches")) }
    }

    /// Whether its numbers can be counted on with.
    fn is_sane(&self) -> bool {
        let place = |index: Index, term: Term| index.0 < SANE_MAX && term.0 < SANE_MAX;
        let state = |state: &HardState| place(state.commit, state.term);
        let mirrors = |ids: &[u32]| ids.iter().all(|id| *id < SANE_NUMBER_MAX);
        let snapshot = |record: &SnapshotRecord| {
            place(record.index, record.term)
                && record.chunks.iter().all(|chunk| chunk.bytes < SANE_CHUNK_BYTES_MAX)
        };
        match self {
            Self::Segment(start) => {
                mirrors(&start.mirrors)
                    && start.previous.is_none_or(|seal| seal.offset < SANE_MAX && seal.batch < SANE_MAX)
            }
            Self::Identity(identity) => identity.start < SANE_MAX,
            Self::Group(start) => {
                state(&start.hard_state)
                    && place(start.last.0, start.last.1)
                    && start.snapshot.as_ref().is_none_or(snapshot)
            }
            Self::HardState(_, found) => state(found),
            Self::Snapshot { record, .. } => snapshot(record),
            Self::Mirrors(ids) => mirrors(ids),
            Self::Create(_) | Self::Drop | Self::Append(_) | Self::Settled | Self::Nothing => true,
        }
    }
}

impl Append {
    fn decode(header: &Header, from: &mut Decoder) -> Result<Self, DecodeError> {
        let previous_term = Term(from.u64()?);
        let mut entries = Vec::with_capacity((header.entries as usize).min(from.remaining()));
        let mut index = header.first();
        for _ in 0..header.entries {
            let entry = Entry::decode(from)?;
            if entry.index != index {
                return Err(DecodeError::Invalid("the order of entries"));
            }
            index = index.next();
            entries.push(entry);
        }
        Ok(Self { previous_term, entries })
    }
}

/// Writes the payload of a Mirrors record.
pub fn encode_mirrors(mirrors: &[u32], to: &mut Encoder<'_>) {
    to.u32(mirrors.len() as u32);
    for mirror in mirrors {
        to.u32(*mirror);
    }
}

fn decode_mirrors(from: &mut Decoder) -> Result<Vec<u32>, DecodeError> {
    let count = from.u32()? as usize;
    if count > from.remaining() / 4 {
        return Err(DecodeError::Short);
    }
    (0..count).map(|_| from.u32()).collect()
}

impl Encode for SegmentStart {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bytes(&MAGIC);
        to.u32(VERSION);
        to.option(self.previous.as_ref());
        encode_mirrors(&self.mirrors, to);
    }
}

impl Decode for SegmentStart {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        if *from.bytes()? != MAGIC {
            return Err(DecodeError::Invalid("the name of the format"));
        }
        if from.u32()? != VERSION {
            return Err(DecodeError::Invalid("the version of the format"));
        }
        Ok(Self { previous: from.option()?, mirrors: decode_mirrors(from)? })
    }
}

impl Encode for Seal {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.segment);
        to.u64(self.offset);
        to.u64(self.batch);
    }
}

impl Decode for Seal {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { segment: from.u32()?, offset: from.u64()?, batch: from.u64()? })
    }
}

impl Encode for GroupStart {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.replica.encode(to);
        self.hard_state.encode(to);
        to.option(self.snapshot.as_ref());
        to.option(self.doubt.as_ref());
        to.bool(self.damaged.is_some());
        if let Some(why) = &self.damaged {
            to.str(why);
        }
        to.u64(self.last.0.0);
        to.u64(self.last.1.0);
    }
}

impl Decode for GroupStart {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            replica: ReplicaId::decode(from)?,
            hard_state: HardState::decode(from)?,
            snapshot: from.option()?,
            doubt: from.option()?,
            damaged: if from.bool()? { Some(from.string()?) } else { None },
            last: (Index(from.u64()?), Term(from.u64()?)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: Kind) -> Header {
        Header {
            payload_crc: 0,
            payload_bytes: 0,
            kind,
            copy: Copies::Only,
            segment: 1,
            salt: 2,
            batch: 3,
            order: 0,
            count: 1,
            group: GroupId(1),
            entries: 1,
            index: Index(5),
            term: Term(1),
        }
    }

    fn read_back(header: Header) -> Option<Header> {
        let mut bytes = [0; HEADER_BYTES];
        header.put(&mut bytes);
        Header::get(&bytes)
    }

    #[test]
    fn a_header_with_numbers_that_no_log_reaches_is_unreadable() {
        let sound = header(Kind::Append);
        assert_eq!(read_back(sound), Some(sound));
        for insane in [
            Header { index: Index(u64::MAX), ..sound },
            Header { term: Term(SANE_MAX), ..sound },
            Header { batch: u64::MAX, ..sound },
            Header { segment: u32::MAX, ..sound },
            Header { entries: 6, ..sound },
        ] {
            assert_eq!(read_back(insane), None, "{insane:?}");
        }
    }

    #[test]
    fn a_record_with_numbers_that_no_log_reaches_is_unreadable() {
        let decode = |kind, write: &dyn Fn(&mut Encoder<'_>)| {
            let mut bytes = Vec::new();
            write(&mut Encoder::new(&mut bytes));
            Body::decode(&header(kind), Bytes::from(bytes))
        };
        let chunk = |bytes| crate::op::ChunkInfo { bytes, crc: 0 };
        for (number, is_sane) in [(7, true), (u64::MAX, false)] {
            let state = HardState { term: Term(number), vote: None, commit: Index(1) };
            let snapshot =
                SnapshotRecord { chunks: vec![chunk(1), chunk(number)], ..SnapshotRecord::default() };
            let start = SegmentStart {
                previous: Some(Seal { segment: 1, offset: number, batch: 1 }),
                mirrors: vec![number as u32],
            };
            let found = [
                decode(Kind::HardState, &|to| {
                    ReplicaId::new(1, 1).encode(to);
                    state.encode(to);
                }),
                decode(Kind::Snapshot, &|to| {
                    to.bool(false);
                    snapshot.encode(to);
                }),
                decode(Kind::Segment, &|to| start.encode(to)),
                decode(Kind::Mirrors, &|to| encode_mirrors(&start.mirrors, to)),
            ];
            assert!(found.iter().all(|body| body.is_ok() == is_sane), "{number}: {found:?}");
        }
    }
}
