//! Names that can't be mixed up. A transaction's name says how old it is.

use alloc::sync::Arc;
use alloc::vec::Vec;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{GroupId, NodeId, SessionId, UnixMillis};

/// Hybrid logical time (Kulkarni and others, 2014): 48 bits of milliseconds since 1970 and a counter of 16. It orders
/// transactions by age and says what is old enough to be forgotten; no key's expiry ever depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A transaction, or one try at it: a retry has a new name. Ordered by age, the oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId {
    /// When its gateway started it.
    pub timestamp: Timestamp,
    /// The start of the gateway that names it.
    pub session: SessionId,
    /// Counts what that session has named, from 1.
    pub sequence: u64,
}

/// A read over several shards, or one try at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId {
    /// The start of the gateway that names it.
    pub session: SessionId,
    /// Counts what that session has named, from 1.
    pub sequence: u64,
}

/// The shards that a transaction reads, writes or watches: in order, each once, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participants(Arc<[GroupId]>);

impl Timestamp {
    /// The first one of a millisecond.
    pub const fn from_millis(millis: UnixMillis) -> Self {
        Self(millis.0 << 16)
    }

    /// Its millisecond.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 >> 16)
    }

    /// The one after it.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before it; the first has none before it.
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The same so many milliseconds later.
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis << 16))
    }

    /// The same so many milliseconds earlier or, at the beginning of time, at the beginning.
    pub const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis << 16))
    }
}

impl Participants {
    /// These shards, in whatever order; `None` if there are none.
    pub fn new(groups: impl IntoIterator<Item = GroupId>) -> Option<Self> {
        let mut groups: Vec<GroupId> = groups.into_iter().collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.is_empty() { None } else { Some(Self(groups.into())) }
    }

    /// They, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = GroupId> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this shard takes part.
    pub fn contains(&self, group: GroupId) -> bool {
        self.0.binary_search(&group).is_ok()
    }
}

pub(crate) fn encode_session(session: SessionId, to: &mut Encoder<'_>) {
    to.u32(session.node.0);
    to.u64(session.start);
}

pub(crate) fn decode_session(from: &mut Decoder) -> Result<SessionId, DecodeError> {
    Ok(SessionId { node: NodeId(from.u32()?), start: from.u64()? })
}

impl Encode for TxId {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.timestamp.0);
        encode_session(self.session, to);
        to.u64(self.sequence);
    }
}

impl Decode for TxId {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let timestamp = Timestamp(from.u64()?);
        Ok(Self { timestamp, session: decode_session(from)?, sequence: from.u64()? })
    }
}

impl Encode for ReadId {
    fn encode(&self, to: &mut Encoder<'_>) {
        encode_session(self.session, to);
        to.u64(self.sequence);
    }
}

impl Decode for ReadId {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { session: decode_session(from)?, sequence: from.u64()? })
    }
}

impl Encode for Participants {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.0.len() as u32);
        for group in self.iter() {
            to.u32(group.0);
        }
    }
}

impl Decode for Participants {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let count = from.u32()? as usize;
        if count > from.remaining() / 4 {
            return Err(DecodeError::Short);
        }
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            groups.push(GroupId(from.u32()?));
        }
        if groups.is_empty() || groups.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(DecodeError::Invalid("the shards of a transaction"));
        }
        Ok(Self(groups.into()))
    }
}
