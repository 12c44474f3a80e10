//! Where an entry stands in the order of all entries: by slot, then by a keyed hash of its key. Both fit into 64
//! bits (14 and 50), so a position is what SCAN's cursor carries, and keys that share one stay together.

use base::Slot;
use base::database::ScanPosition;
use base::slot::slot_of;
use siphasher::sip::SipHasher13;

/// How many bits of the 64 are hash.
pub(crate) const HASH_BITS: u32 = 50;

/// A place in the order of entries; several keys can share it, though hardly ever do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(u64);

impl Position {
    /// Where everything starts.
    pub(crate) const FIRST: Self = Self(0);
    /// Where everything ends.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// Where `slot` starts.
    pub(crate) fn of_slot(slot: u16) -> Self {
        Self(u64::from(slot) << HASH_BITS)
    }

    /// Where a scan goes on.
    pub(crate) fn of_scan(scan: ScanPosition) -> Self {
        Self(u64::from(scan.slot.number()) << HASH_BITS | scan.hash >> (64 - HASH_BITS))
    }

    /// As scans write it.
    pub(crate) fn to_scan(self) -> ScanPosition {
        ScanPosition { slot: Slot::of_hash(self.slot()), hash: self.0 << (64 - HASH_BITS) }
    }

    /// The number of the slot.
    #[inline]
    pub(crate) fn slot(self) -> u16 {
        (self.0 >> HASH_BITS) as u16
    }

    /// The hash, in the upper bits of the answer.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        self.0 << (64 - HASH_BITS)
    }

    /// The place after this one, if it isn't the last.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// This place moved on by `distance`, which must stay in the slot.
    pub(crate) fn plus(self, distance: u64) -> Self {
        Self(self.0 + distance)
    }
}

/// Computes positions under the cluster's secret key, so that nobody can aim at one.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    hasher: SipHasher13,
    /// Which bits of the hash count; all of them, except where a test wants collisions.
    mask: u64,
}

impl Placement {
    /// Under this key.
    pub(crate) fn new(key: [u64; 2]) -> Self {
        Self { hasher: SipHasher13::new_with_keys(key[0], key[1]), mask: u64::MAX }
    }

    /// Only `bits` upper bits of the hash count, so that keys collide.
    #[cfg(test)]
    pub(crate) fn colliding(key: [u64; 2], bits: u32) -> Self {
        Self { mask: u64::MAX << (64 - bits), ..Self::new(key) }
    }

    /// The secret key.
    pub(crate) fn hash_key(&self) -> [u64; 2] {
        let (first, second) = self.hasher.keys();
        [first, second]
    }

    /// The order of the members of collections, under the same key.
    pub(crate) fn members(&self) -> MemberOrder {
        MemberOrder { key: self.hash_key(), mask: self.mask }
    }

    /// Where `key` stands.
    #[inline]
    pub(crate) fn of(&self, key: &[u8]) -> Position {
        let hash = self.hasher.hash(key) & self.mask;
        Position(u64::from(slot_of(key).number()) << HASH_BITS | hash >> (64 - HASH_BITS))
    }
}

/// Computes where members stand in the order of their collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberOrder {
    key: [u64; 2],
    mask: u64,
}

impl MemberOrder {
    /// The hash of a member, of 63 bits: some clients read a scan's cursor into a signed integer.
    #[inline]
    pub(crate) fn of(&self, member: &[u8]) -> u64 {
        (SipHasher13::new_with_keys(self.key[0], self.key[1]).hash(member) & self.mask) >> 1
    }
}
