//! Key, value and all that is known of them, in one exactly sized allocation:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind (bits 0–2), whether it expires (bit 3), whether the key's length takes four bytes (bit 4) |
//! | 7 | shard revision of the last change |
//! | 1 | how often it is accessed, as a logarithm; see [`usage`](crate::usage) |
//! | 4 | second of the last access, Unix time; 0 if unknown |
//! | 1 or 4 | length of the key |
//! | 0 or 8 | when it expires, in milliseconds |
//! | … | key |
//! | … | value: a string's bytes, or where the collection is kept (4 bytes). A hash with fields that expire has 16 more: when all of them have, and when the first does, in milliseconds |

use crate::types::Dues;
use base::UnixMillis;
use base::database::Kind;

const KIND: u8 = 0b0000_0111;
const VOLATILE: u8 = 0b0000_1000;
const LONG_KEY: u8 = 0b0001_0000;

const REVISION: usize = 1;
const REVISION_BYTES: usize = 7;
const FREQUENCY: usize = REVISION + REVISION_BYTES;
const ACCESS: usize = 9;
const KEY_LENGTH: usize = 13;

const HASH_CODE: u8 = 4;
const REFERENCE_BYTES: usize = 4;
/// The greatest revision that a record can note: a log never has so many entries.
pub(crate) const REVISION_MAX: u64 = (1 << (8 * REVISION_BYTES)) - 1;
/// No time.
const NEVER: u64 = u64::MAX;

/// What an allocation costs besides its bytes, and to what it is rounded up, with the usual allocators.
const ALLOCATION_HEAD: u64 = 8;
const ALLOCATION_STEP: u64 = 16;
/// Where the record stands in its slot: position and pointer, and the room for growth beside them.
const PLACE_BYTES: u64 = 28;
/// Where a volatile key stands in the index of deadlines.
const DEADLINE_BYTES: u64 = 28;

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Record(Box<[u8]>);

/// What a record says of itself beside key and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) kind: Kind,
    pub(crate) expires_at: Option<UnixMillis>,
    pub(crate) revision: u64,
    /// Unix time in seconds; 0 if unknown.
    pub(crate) access: u32,
    /// How often it is accessed, as a logarithm.
    pub(crate) frequency: u8,
}

impl Record {
    /// A record of `key` whose value is put together from `value` and `more`.
    pub(crate) fn new(about: About, key: &[u8], value: &[u8], more: &[u8]) -> Self {
        let mut bytes =
            Vec::with_capacity(head_len(about.expires_at, key) + key.len() + value.len() + more.len());
        push_head(&mut bytes, about, key);
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(more);
        Self(bytes.into_boxed_slice())
    }

    /// A record of `key` with a value of `length` zero bytes.
    pub(crate) fn zeroed(about: About, key: &[u8], length: usize) -> Self {
        let mut bytes = Vec::with_capacity(head_len(about.expires_at, key) + key.len() + length);
        push_head(&mut bytes, about, key);
        bytes.resize(bytes.len() + length, 0);
        Self(bytes.into_boxed_slice())
    }

    /// The same record with another value.
    pub(crate) fn with_value(&self, value: &[u8]) -> Self {
        Self::new(self.about(), self.key(), value, &[])
    }

    /// Everything but key and value.
    pub(crate) fn about(&self) -> About {
        About {
            kind: self.kind(),
            expires_at: self.expires_at(),
            revision: self.revision(),
            access: self.access(),
            frequency: self.frequency(),
        }
    }

    /// The type of the value.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.0[0] & KIND).expect("a record is made with a kind")
    }

    /// The shard revision of the last change.
    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        // The byte above belongs to the next field.
        u64::from_le_bytes(self.array(REVISION)) & REVISION_MAX
    }

    /// How often it is accessed, as a logarithm.
    #[inline]
    pub(crate) fn frequency(&self) -> u8 {
        self.0[FREQUENCY]
    }

    /// The second of the last access; 0 if unknown.
    pub(crate) fn access(&self) -> u32 {
        u32::from_le_bytes(self.array(ACCESS))
    }

    /// When it expires.
    #[inline]
    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        (self.0[0] & VOLATILE != 0)
            .then(|| UnixMillis(u64::from_le_bytes(self.array(KEY_LENGTH + self.key_length_width()))))
    }

    /// From when it isn't there: when it expires, or, for a hash, when all its fields have.
    #[inline]
    pub(crate) fn gone_at(&self) -> Option<UnixMillis> {
        match (self.expires_at(), self.dues().all) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        }
    }

    /// Whether it is there at `now`.
    #[inline]
    pub(crate) fn is_live(&self, now: UnixMillis) -> bool {
        self.gone_at().is_none_or(|at| at > now)
    }

    /// When the fields of a hash expire.
    #[inline]
    pub(crate) fn dues(&self) -> Dues {
        if self.0[0] & KIND != HASH_CODE {
            return Dues::default();
        }
        let Some((_, dues)) = self.value().split_first_chunk::<REFERENCE_BYTES>() else {
            return Dues::default();
        };
        let Some((all, first)) = dues.split_first_chunk::<8>() else { return Dues::default() };
        let time = |bytes: [u8; 8]| match u64::from_le_bytes(bytes) {
            NEVER => None,
            at => Some(UnixMillis(at)),
        };
        Dues { all: time(*all), first: first.first_chunk().copied().and_then(time) }
    }

    /// Where the collection of a key that is no string is kept.
    #[inline]
    pub(crate) fn reference(&self) -> u32 {
        u32::from_le_bytes(*self.value().first_chunk().expect("a collection's record says where it is kept"))
    }

    /// The value of a record whose collection is kept under this reference.
    pub(crate) fn reference_value(reference: u32, dues: Dues) -> Vec<u8> {
        let mut value = reference.to_le_bytes().to_vec();
        if dues.first.is_some() {
            for time in [dues.all, dues.first] {
                value.extend_from_slice(&time.map_or(NEVER, |at| at.0).to_le_bytes());
            }
        }
        value
    }

    /// The key.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        let (start, end) = self.key_range();
        &self.0[start..end]
    }

    /// The value.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        &self.0[self.key_range().1..]
    }

    /// The value, to change without changing its length.
    #[inline]
    pub(crate) fn value_mut(&mut self) -> &mut [u8] {
        let start = self.key_range().1;
        &mut self.0[start..]
    }

    /// The value becomes `length` bytes long, cut or filled with zeros, where it lies if the allocator can do so.
    pub(crate) fn resize_value(&mut self, length: usize) {
        let start = self.key_range().1;
        let mut bytes = Vec::from(std::mem::take(&mut self.0));
        bytes.reserve_exact((start + length).saturating_sub(bytes.len()));
        bytes.resize(start + length, 0);
        self.0 = bytes.into_boxed_slice();
    }

    /// Notes who changed it last.
    #[inline]
    pub(crate) fn set_revision(&mut self, revision: u64) {
        self.0[REVISION..REVISION + REVISION_BYTES]
            .copy_from_slice(&revision.to_le_bytes()[..REVISION_BYTES]);
    }

    /// Notes how often it is accessed.
    #[inline]
    pub(crate) fn set_frequency(&mut self, frequency: u8) {
        self.0[FREQUENCY] = frequency;
    }

    /// Notes an access.
    #[inline]
    pub(crate) fn set_access(&mut self, access: u32) {
        self.0[ACCESS..ACCESS + 4].copy_from_slice(&access.to_le_bytes());
    }

    /// The same record with another time to live.
    pub(crate) fn with_expiry(&self, expires_at: Option<UnixMillis>) -> Self {
        Self::new(About { expires_at, ..self.about() }, self.key(), self.value(), &[])
    }

    /// Replaces the time to live where it stands; whether there was one to replace.
    pub(crate) fn replace_expiry(&mut self, at: UnixMillis) -> bool {
        if self.0[0] & VOLATILE == 0 {
            return false;
        }
        let start = KEY_LENGTH + self.key_length_width();
        self.0[start..start + 8].copy_from_slice(&at.0.to_le_bytes());
        true
    }

    /// What the key costs in memory, all told but for a collection. Depends on nothing but the record, so that replicas agree.
    #[inline]
    pub(crate) fn cost(&self) -> u64 {
        let bytes = (self.0.len() as u64 + ALLOCATION_HEAD).next_multiple_of(ALLOCATION_STEP);
        let deadlines = u64::from(self.gone_at().is_some()) + u64::from(self.dues().first.is_some());
        bytes.max(2 * ALLOCATION_STEP) + PLACE_BYTES + deadlines * DEADLINE_BYTES
    }

    #[inline]
    fn key_length_width(&self) -> usize {
        if self.0[0] & LONG_KEY == 0 { 1 } else { 4 }
    }

    #[inline]
    fn key_range(&self) -> (usize, usize) {
        let flags = self.0[0];
        let (length, after) = if flags & LONG_KEY == 0 {
            (usize::from(self.0[KEY_LENGTH]), KEY_LENGTH + 1)
        } else {
            (u32::from_le_bytes(self.array(KEY_LENGTH)) as usize, KEY_LENGTH + 4)
        };
        let start = if flags & VOLATILE == 0 { after } else { after + 8 };
        (start, start + length)
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("a record has its whole head")
    }
}

fn head_len(expires_at: Option<UnixMillis>, key: &[u8]) -> usize {
    KEY_LENGTH + if key.len() <= 0xff { 1 } else { 4 } + if expires_at.is_some() { 8 } else { 0 }
}

fn push_head(bytes: &mut Vec<u8>, about: About, key: &[u8]) {
    let long = key.len() > 0xff;
    let flags = code_of(about.kind)
        | if about.expires_at.is_some() { VOLATILE } else { 0 }
        | if long { LONG_KEY } else { 0 };
    bytes.push(flags);
    bytes.extend_from_slice(&about.revision.to_le_bytes()[..REVISION_BYTES]);
    bytes.push(about.frequency);
    bytes.extend_from_slice(&about.access.to_le_bytes());
    if long {
        let length = u32::try_from(key.len()).expect("keys are bounded far below 4 GiB");
        bytes.extend_from_slice(&length.to_le_bytes());
    } else {
        bytes.push(key.len() as u8);
    }
    if let Some(at) = about.expires_at {
        bytes.extend_from_slice(&at.0.to_le_bytes());
    }
    bytes.extend_from_slice(key);
}

fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => HASH_CODE,
        Kind::Stream => 5,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    [Kind::String, Kind::List, Kind::Set, Kind::SortedSet, Kind::Hash, Kind::Stream]
        .get(usize::from(code))
        .copied()
}
