//! The table of slots. It is versioned by an epoch, so that of two maps everybody knows the newer, and written down by
//! ranges, so that splitting or moving shards later needs no new format.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{GroupId, Slot, slot_of};
use core::fmt;

const SLOTS: usize = Slot::COUNT as usize;

/// Which group keeps each slot.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotMap {
    epoch: u64,
    /// The group of each slot. No group beyond [`SlotMap::GROUP_MAX`] can be in here, so 16 bits do.
    groups: Box<[u16; SLOTS]>,
}

/// Neighbouring slots, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRange {
    /// The first slot.
    pub first: Slot,
    /// The last slot, not before the first.
    pub last: Slot,
}

/// Why ranges aren't a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotMapError {
    /// The range ends before it begins.
    Backwards(SlotRange),
    /// The slot is in two ranges.
    Twice(Slot),
    /// The slot is in no range.
    Missing(Slot),
    /// The group can't keep slots: it is meta, or beyond [`SlotMap::GROUP_MAX`].
    NoShard(GroupId),
}

impl SlotMap {
    /// The highest group that may keep slots.
    pub const GROUP_MAX: GroupId = GroupId(u16::MAX as u32);

    /// The map in which groups 1 to `shards` keep neighbouring slots each, as many as the others or one more.
    ///
    /// # Panics
    /// If there are no shards, or more than slots.
    pub fn even(epoch: u64, shards: u32) -> Self {
        assert!((1..=u32::from(Slot::COUNT)).contains(&shards), "from one shard to one for every slot");
        let count = SLOTS as u32;
        let mut groups = empty();
        for shard in 0..shards {
            let from = (shard * count / shards) as usize;
            let to = ((shard + 1) * count / shards) as usize;
            // At most as many groups as slots: they fit.
            groups[from..to].fill((shard + 1) as u16);
        }
        Self { epoch, groups }
    }

    /// The map that consists of these ranges, which cover every slot once, in any order.
    pub fn from_ranges(
        epoch: u64,
        ranges: impl IntoIterator<Item = (SlotRange, GroupId)>,
    ) -> Result<Self, SlotMapError> {
        let mut groups = empty();
        for (range, group) in ranges {
            let Some(keeper) = u16::try_from(group.0).ok().filter(|&keeper| keeper != NOBODY) else {
                return Err(SlotMapError::NoShard(group));
            };
            if range.last < range.first {
                return Err(SlotMapError::Backwards(range));
            }
            for slot in range.slots() {
                let place = &mut groups[usize::from(slot.number())];
                if *place != NOBODY {
                    return Err(SlotMapError::Twice(slot));
                }
                *place = keeper;
            }
        }
        match all_slots().find(|slot| groups[usize::from(slot.number())] == NOBODY) {
            Some(slot) => Err(SlotMapError::Missing(slot)),
            None => Ok(Self { epoch, groups }),
        }
    }

    /// The version of this map; of two maps of a cluster, the higher one is right.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The group that keeps `slot`.
    #[inline]
    pub fn group_of(&self, slot: Slot) -> GroupId {
        // The mask changes nothing, a slot being below the count, and saves the check of the index.
        GroupId(u32::from(self.groups[usize::from(slot.number()) & (SLOTS - 1)]))
    }

    /// The group that keeps the slot of `key`.
    #[inline]
    pub fn group_of_key(&self, key: &[u8]) -> GroupId {
        self.group_of(slot_of(key))
    }

    /// Every maximal range of neighbouring slots with one group, in the order of the slots.
    pub fn ranges(&self) -> impl Iterator<Item = (SlotRange, GroupId)> + '_ {
        self.groups.chunk_by(|a, b| a == b).scan(0u16, |next, run| {
            let first = *next;
            *next += run.len() as u16;
            let range = SlotRange { first: Slot::of_hash(first), last: Slot::of_hash(*next - 1) };
            Some((range, GroupId(u32::from(run[0]))))
        })
    }

    /// The ranges that `group` keeps, in the order of the slots; none if it keeps nothing.
    pub fn ranges_of(&self, group: GroupId) -> impl Iterator<Item = SlotRange> + '_ {
        self.ranges().filter(move |(_, keeper)| *keeper == group).map(|(range, _)| range)
    }

    /// Every group that keeps slots.
    pub fn groups(&self) -> BTreeSet<GroupId> {
        self.ranges().map(|(_, group)| group).collect()
    }

    /// Every slot with its group, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, GroupId)> + '_ {
        all_slots().map(|slot| (slot, self.group_of(slot)))
    }
}

impl SlotRange {
    /// The range from the slot numbered `first` to the one numbered `last`, if both are slots in this order.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        let (first, last) = (Slot::new(first)?, Slot::new(last)?);
        (first <= last).then_some(Self { first, last })
    }

    /// How many slots it has.
    pub fn count(self) -> u16 {
        self.last.number() - self.first.number() + 1
    }

    /// Its slots, in order.
    pub fn slots(self) -> impl Iterator<Item = Slot> {
        (self.first.number()..=self.last.number()).map(Slot::of_hash)
    }
}

/// Where no group is; group 0 is meta, which keeps no slots.
const NOBODY: u16 = 0;

fn empty() -> Box<[u16; SLOTS]> {
    // Made on the heap, not moved there.
    let table: Result<Box<[u16; SLOTS]>, _> = vec![NOBODY; SLOTS].into_boxed_slice().try_into();
    table.unwrap_or_else(|_| unreachable!("the table has a place for every slot"))
}

fn all_slots() -> impl Iterator<Item = Slot> {
    (0..Slot::COUNT).map(Slot::of_hash)
}

impl Encode for SlotMap {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.epoch);
        to.u16(self.ranges().count() as u16);
        for (range, group) in self.ranges() {
            to.u16(range.first.number());
            to.u16(range.last.number());
            to.u32(group.0);
        }
    }
}

impl Decode for SlotMap {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        const BAD: DecodeError = DecodeError::Invalid("a map of slots");
        let epoch = from.u64()?;
        let count = from.u16()?;
        let mut ranges = Vec::with_capacity(usize::from(count).min(from.remaining() / 8));
        for _ in 0..count {
            let range = SlotRange::new(from.u16()?, from.u16()?).ok_or(BAD)?;
            ranges.push((range, GroupId(from.u32()?)));
        }
        Self::from_ranges(epoch, ranges).map_err(|_| BAD)
    }
}

impl fmt::Debug for SlotMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotMap {{ epoch: {}", self.epoch)?;
        for (range, group) in self.ranges() {
            write!(f, ", {range}: {}", group.0)?;
        }
        write!(f, " }}")
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Display for SlotMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotMapError::Backwards(range) => {
                write!(f, "the range from slot {} to {} ends before it begins", range.first, range.last)
            }
            SlotMapError::Twice(slot) => write!(f, "slot {slot} is given to two groups"),
            SlotMapError::Missing(slot) => write!(f, "slot {slot} is given to no group"),
            SlotMapError::NoShard(group) => write!(f, "{group} can't keep slots"),
        }
    }
}

impl core::error::Error for SlotMapError {}

#[cfg(test)]
mod tests {
    use super::{SlotMap, SlotMapError, SlotRange};
    use alloc::format;
    use alloc::vec;
    use alloc::vec::Vec;
    use base::codec::{Decode, DecodeError, Encode};
    use base::{GroupId, Rng, Slot, slot_of};
    use bytes::Bytes;

    fn range(first: u16, last: u16) -> SlotRange {
        SlotRange::new(first, last).expect("slots in order")
    }

    #[test]
    fn an_even_map_gives_every_shard_as_many_neighbouring_slots_as_the_others_or_one_more() {
        for shards in [1, 2, 3, 7, 16, 100, 1000, 16_383, 16_384] {
            let map = SlotMap::even(1, shards);
            let ranges: Vec<_> = map.ranges().collect();
            assert_eq!(ranges.len(), shards as usize);
            assert!(ranges.iter().zip(1..).all(|((_, group), number)| group.0 == number));
            let counts = ranges.iter().map(|(range, _)| range.count());
            let (least, most) = (counts.clone().min().unwrap(), counts.clone().max().unwrap());
            assert!(most - least <= 1, "{shards} shards with {least} to {most} slots");
            assert_eq!(counts.map(u32::from).sum::<u32>(), 16_384);
        }
    }

    #[test]
    fn a_key_is_kept_by_the_group_of_its_slot() {
        let map = SlotMap::even(1, 16);
        assert_eq!(slot_of(b"foo").number(), 12_182);
        assert_eq!(map.group_of_key(b"foo"), GroupId(12));
        assert_eq!(map.group_of(Slot::of_hash(0)), GroupId(1));
        assert_eq!(map.group_of(Slot::of_hash(16_383)), GroupId(16));
        assert_eq!(map.ranges_of(GroupId(2)).collect::<Vec<_>>(), vec![range(1024, 2047)]);
        assert_eq!(map.ranges_of(GroupId::META).count(), 0);
    }

    #[test]
    fn ranges_that_leave_out_or_repeat_a_slot_are_no_map() {
        let one = GroupId(1);
        let made = |ranges: &[(SlotRange, GroupId)]| SlotMap::from_ranges(1, ranges.iter().copied());
        assert_eq!(
            made(&[(range(0, 9), one)]).unwrap_err(),
            SlotMapError::Missing(Slot::new(10).expect("a slot"))
        );
        assert_eq!(
            made(&[(range(0, 16_383), one), (range(7, 7), GroupId(2))]).unwrap_err(),
            SlotMapError::Twice(Slot::new(7).expect("a slot"))
        );
        for group in [GroupId::META, GroupId(65_536)] {
            assert_eq!(made(&[(range(0, 16_383), group)]).unwrap_err(), SlotMapError::NoShard(group));
        }
        let backwards = SlotRange { first: Slot::of_hash(9), last: Slot::of_hash(8) };
        assert_eq!(made(&[(backwards, one)]).unwrap_err(), SlotMapError::Backwards(backwards));
        let scattered = made(&[(range(10, 16_383), one), (range(0, 4), one), (range(5, 9), GroupId(3))]);
        let scattered = scattered.expect("every slot once");
        assert_eq!(scattered.ranges_of(one).collect::<Vec<_>>(), vec![range(0, 4), range(10, 16_383)]);
        assert_eq!(format!("{scattered:?}"), "SlotMap { epoch: 1, 0-4: 1, 5-9: 3, 10-16383: 1 }");
    }

    #[test]
    fn what_was_written_down_is_read_back_and_nothing_else_is() {
        let mut rng = Rng::new(1);
        for _ in 0..20 {
            let mut ranges = Vec::new();
            let mut first = 0u64;
            while first < 16_384 {
                let last = (first + rng.below(2000)).min(16_383);
                ranges.push((range(first as u16, last as u16), GroupId(1 + rng.below(65_535) as u32)));
                first = last + 1;
            }
            let map = SlotMap::from_ranges(rng.next_u64(), ranges).expect("every slot once");
            assert_eq!(SlotMap::from_bytes(map.to_bytes()), Ok(map));
        }
        let bytes = SlotMap::even(3, 2).to_bytes();
        assert_eq!(bytes.len(), 8 + 2 + 2 * 8);
        for end in 0..bytes.len() {
            assert_eq!(SlotMap::from_bytes(bytes.slice(..end)), Err(DecodeError::Short));
        }
        let mut overlapping = bytes.to_vec();
        overlapping[12] = 0x01;
        assert!(SlotMap::from_bytes(Bytes::from(overlapping)).is_err());
    }
}
