//! The entries of one slot, in order of position and, where keys share one, of key.
//!
//! A slot of ordinary size is one sorted array. A slot that one hash tag has filled with millions of keys is many of
//! them, found through a directory of the hash's upper bits (extendible hashing, Fagin et al. 1979, here over the
//! *upper* bits, which keeps the arrays in order). An insertion moves at most one array, whatever the slot holds.

use crate::position::{HASH_BITS, Position};
use crate::record::Record;

/// An array this long is divided.
const LEAF_MAX: usize = 128;
/// Two neighbours that are this long together become one.
const LEAF_MERGED: usize = LEAF_MAX / 2;
/// The directory doubles only while it has this many entries a cell: hashes that don't spread can't blow it up.
const ENTRIES_PER_CELL_MIN: usize = 16;

/// How many entries are looked at around the place where one should be.
const WINDOW: usize = 16;
/// How many entries a cache line of the usual 64 bytes holds.
const LINE: usize = 64 / size_of::<Entry>();

/// One key's place and record.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) record: Record,
}

/// The entries of one slot.
#[derive(Debug)]
pub(crate) enum Slot {
    /// One sorted array.
    Small(Vec<Entry>),
    /// Many of them.
    Large(Box<Directory>),
}

/// Sorted arrays by the upper bits of the hash.
#[derive(Debug)]
pub(crate) struct Directory {
    len: usize,
    /// How many bits of the hash choose a cell.
    depth: u32,
    /// The leaf of each cell; cells of one leaf are neighbours.
    cells: Vec<u32>,
    leaves: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// A hash that belongs here.
    prefix: u64,
    /// How many upper bits all hashes here share.
    depth: u32,
    entries: Vec<Entry>,
}

/// Where a key is, or would be inserted. Good until the slot changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locus {
    leaf: u32,
    index: u32,
}

impl Slot {
    /// An empty slot.
    pub(crate) const EMPTY: Self = Self::Small(Vec::new());

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Slot::Small(entries) => entries.len(),
            Slot::Large(directory) => directory.len,
        }
    }

    /// Where `key` is (`Ok`) or would be (`Err`).
    #[inline]
    pub(crate) fn locate(&self, position: Position, key: &[u8]) -> Result<Locus, Locus> {
        match self {
            Slot::Small(entries) => locate(entries, 0, 0, position, key),
            Slot::Large(directory) => {
                let leaf = directory.leaf_of(position);
                let found = &directory.leaves[leaf as usize];
                locate(&found.entries, leaf, found.depth, position, key)
            }
        }
    }

    /// The first entry at `position` or after it, in the array where that position belongs. No key is looked at.
    #[inline]
    pub(crate) fn first_from(&self, position: Position) -> Option<&Entry> {
        let (entries, depth) = match self {
            Slot::Small(entries) => (entries, 0),
            Slot::Large(directory) => {
                let leaf = &directory.leaves[directory.leaf_of(position) as usize];
                (&leaf.entries, leaf.depth)
            }
        };
        entries.get(first_from(entries, depth, position))
    }

    /// Some entries of each cache line that [`Slot::first_from`] will most likely look at.
    #[inline]
    pub(crate) fn lines_around(&self, position: Position) -> impl Iterator<Item = &Entry> {
        let (entries, depth): (&[Entry], u32) = match self {
            Slot::Small(entries) => (entries, 0),
            Slot::Large(directory) => {
                let leaf = &directory.leaves[directory.leaf_of(position) as usize];
                (&leaf.entries, leaf.depth)
            }
        };
        let start = guess(entries.len(), depth, position);
        entries[start..entries.len().min(start + WINDOW)].iter().step_by(LINE)
    }

    /// The entry that was located.
    #[inline]
    pub(crate) fn at(&self, locus: Locus) -> &Entry {
        match self {
            Slot::Small(entries) => &entries[locus.index as usize],
            Slot::Large(directory) => &directory.leaves[locus.leaf as usize].entries[locus.index as usize],
        }
    }

    /// The entry that was located, to change its record.
    #[inline]
    pub(crate) fn at_mut(&mut self, locus: Locus) -> &mut Entry {
        match self {
            Slot::Small(entries) => &mut entries[locus.index as usize],
            Slot::Large(directory) => {
                &mut directory.leaves[locus.leaf as usize].entries[locus.index as usize]
            }
        }
    }

    /// Puts a new entry where [`Slot::locate`] said that it would be.
    pub(crate) fn insert(&mut self, locus: Locus, entry: Entry) {
        match self {
            Slot::Small(entries) => {
                insert(entries, locus.index as usize, entry);
                if entries.len() > LEAF_MAX {
                    *self = Slot::Large(Box::new(Directory::new(std::mem::take(entries))));
                }
            }
            Slot::Large(directory) => directory.insert(locus, entry),
        }
    }

    /// Takes the located entry out.
    pub(crate) fn remove(&mut self, locus: Locus) -> Entry {
        match self {
            Slot::Small(entries) => {
                let removed = entries.remove(locus.index as usize);
                if entries.len() * 2 < entries.capacity() && entries.capacity() > 8 {
                    entries.shrink_to(entries.len() + entries.len() / 4);
                }
                removed
            }
            Slot::Large(directory) => {
                let removed = directory.remove(locus);
                if directory.depth == 0 && directory.len <= LEAF_MERGED {
                    *self = Slot::Small(std::mem::take(&mut directory.leaves[0].entries));
                }
                removed
            }
        }
    }

    /// The first entries from `from` on that lie in one array; empty if there are none.
    pub(crate) fn slice_from(&self, from: Position) -> &[Entry] {
        match self {
            Slot::Small(entries) => tail(entries, from),
            Slot::Large(directory) => directory.slice_from(from),
        }
    }

    /// The `index`-th entry, which must exist. Takes as long as there are arrays before it.
    pub(crate) fn nth(&self, mut index: usize) -> &Entry {
        match self {
            Slot::Small(entries) => &entries[index],
            Slot::Large(directory) => {
                let mut cell = 0;
                loop {
                    let leaf = &directory.leaves[directory.cells[cell] as usize];
                    if let Some(entry) = leaf.entries.get(index) {
                        return entry;
                    }
                    index -= leaf.entries.len();
                    cell += 1 << (directory.depth - leaf.depth);
                }
            }
        }
    }

    /// Frees some entries; the slot is good for nothing else from then on. Answers how many were freed.
    pub(crate) fn bury(&mut self, limit: usize) -> usize {
        let entries = match self {
            Slot::Small(entries) => entries,
            Slot::Large(directory) => {
                while directory.leaves.len() > 1
                    && directory.leaves.last().is_some_and(|l| l.entries.is_empty())
                {
                    directory.leaves.pop();
                }
                &mut directory.leaves.last_mut().expect("a directory has a leaf").entries
            }
        };
        let count = limit.min(entries.len());
        entries.truncate(entries.len() - count);
        if let Slot::Large(directory) = self {
            directory.len -= count;
        }
        count
    }

    /// Panics if the order or the shape is broken.
    pub(crate) fn check(&self) {
        match self {
            Slot::Small(entries) => check_order(entries),
            Slot::Large(directory) => directory.check(),
        }
    }
}

impl Directory {
    fn new(entries: Vec<Entry>) -> Self {
        let len = entries.len();
        let mut directory =
            Self { len, depth: 0, cells: vec![0], leaves: vec![Leaf { prefix: 0, depth: 0, entries }] };
        directory.divide(0);
        directory
    }

    #[inline]
    fn cell_of(&self, hash: u64) -> usize {
        if self.depth == 0 { 0 } else { (hash >> (64 - self.depth)) as usize }
    }

    #[inline]
    fn leaf_of(&self, position: Position) -> u32 {
        self.cells[self.cell_of(position.hash())]
    }

    fn insert(&mut self, locus: Locus, entry: Entry) {
        let entries = &mut self.leaves[locus.leaf as usize].entries;
        insert(entries, locus.index as usize, entry);
        self.len += 1;
        if entries.len() > LEAF_MAX {
            self.divide(locus.leaf);
        }
    }

    /// Divides a leaf by its next bit, if that is possible; it stays long if not.
    fn divide(&mut self, index: u32) {
        let leaf = &self.leaves[index as usize];
        let same = leaf.entries.first().map(|e| e.position) == leaf.entries.last().map(|e| e.position);
        if same || leaf.depth >= HASH_BITS {
            return;
        }
        if leaf.depth == self.depth {
            if self.cells.len() * ENTRIES_PER_CELL_MIN > self.len {
                return;
            }
            self.cells = self.cells.iter().flat_map(|&cell| [cell, cell]).collect();
            self.depth += 1;
        }
        let new = u32::try_from(self.leaves.len()).expect("fewer than 4 Gi leaves in a slot");
        let leaf = &mut self.leaves[index as usize];
        leaf.depth += 1;
        let bit = 1u64 << (64 - leaf.depth);
        leaf.prefix &= !(bit | (bit - 1));
        let middle = leaf.entries.partition_point(|entry| entry.position.hash() & bit == 0);
        let entries = leaf.entries.split_off(middle);
        leaf.entries.shrink_to(LEAF_MAX * 3 / 4);
        let upper = Leaf { prefix: leaf.prefix | bit, depth: leaf.depth, entries };
        let (start, width) = self.cells_of(&upper);
        self.cells[start..start + width].fill(new);
        self.leaves.push(upper);
    }

    fn cells_of(&self, leaf: &Leaf) -> (usize, usize) {
        (self.cell_of(leaf.prefix), 1 << (self.depth - leaf.depth))
    }

    fn remove(&mut self, locus: Locus) -> Entry {
        let entries = &mut self.leaves[locus.leaf as usize].entries;
        let removed = entries.remove(locus.index as usize);
        self.len -= 1;
        if entries.len() < LEAF_MERGED / 2 {
            self.unite(locus.leaf);
        }
        removed
    }

    /// Unites a leaf with the other half of what they were divided from, if both are short.
    fn unite(&mut self, index: u32) {
        let leaf = &self.leaves[index as usize];
        if leaf.depth == 0 {
            return;
        }
        let bit = 1u64 << (64 - leaf.depth);
        let lower_prefix = leaf.prefix & !(bit | (bit - 1));
        let lower = self.cells[self.cell_of(lower_prefix)];
        let upper = self.cells[self.cell_of(lower_prefix | bit)];
        let depth = leaf.depth;
        let both = [lower, upper].map(|index| &self.leaves[index as usize]);
        if both.iter().any(|leaf| leaf.depth != depth)
            || both.iter().map(|leaf| leaf.entries.len()).sum::<usize>() > LEAF_MERGED
        {
            return;
        }
        let mut moved = std::mem::take(&mut self.leaves[upper as usize].entries);
        let kept = &mut self.leaves[lower as usize];
        kept.entries.append(&mut moved);
        kept.depth -= 1;
        kept.prefix = lower_prefix;
        let (start, width) = self.cells_of(&self.leaves[lower as usize]);
        self.cells[start..start + width].fill(lower);
        self.leaves.swap_remove(upper as usize);
        if let Some(renumbered) = self.leaves.get(upper as usize) {
            let (start, width) = self.cells_of(renumbered);
            self.cells[start..start + width].fill(upper);
        }
        self.halve();
        let united = if lower as usize == self.leaves.len() { upper } else { lower };
        self.unite(united);
    }

    /// The directory gives up bits that no leaf needs.
    fn halve(&mut self) {
        // Only when it is much too large: never near the size at which it would double again.
        while self.depth > 0
            && self.cells.len() * LEAF_MERGED / 8 > self.len
            && self.leaves.iter().all(|leaf| leaf.depth < self.depth)
        {
            self.cells = self.cells.iter().copied().step_by(2).collect();
            self.depth -= 1;
        }
    }

    fn slice_from(&self, from: Position) -> &[Entry] {
        let mut cell = self.cell_of(from.hash());
        while let Some(&index) = self.cells.get(cell) {
            let leaf = &self.leaves[index as usize];
            let slice = tail(&leaf.entries, from);
            if !slice.is_empty() {
                return slice;
            }
            let (start, width) = self.cells_of(leaf);
            cell = start + width;
        }
        &[]
    }

    fn check(&self) {
        base::invariant!("a directory has a cell for every prefix", self.cells.len() == 1 << self.depth);
        let mut len = 0;
        let mut cell = 0;
        let mut seen = 0;
        while cell < self.cells.len() {
            let index = self.cells[cell];
            let leaf = &self.leaves[index as usize];
            let (start, width) = self.cells_of(leaf);
            base::invariant!("a leaf's cells are neighbours", start == cell);
            base::invariant!(
                "a leaf's cells are its own",
                self.cells[start..start + width].iter().all(|&other| other == index)
            );
            check_order(&leaf.entries);
            base::invariant!(
                "an entry is in the leaf of its hash",
                leaf.entries.iter().all(|entry| self.leaf_of(entry.position) == index)
            );
            len += leaf.entries.len();
            seen += 1;
            cell += width;
        }
        base::invariant!("a slot knows how many entries it has", len == self.len);
        base::invariant!("every leaf has a cell", seen == self.leaves.len());
    }
}

fn check_order(entries: &[Entry]) {
    base::invariant!(
        "entries are ordered by position and key",
        entries.is_sorted_by(|a, b| (a.position, a.record.key()) < (b.position, b.record.key()))
    );
}

/// Room for a few more entries at a time: a slot's array is small, and there are many.
fn insert(entries: &mut Vec<Entry>, index: usize, entry: Entry) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact((entries.len() / 8).max(2));
    }
    entries.insert(index, entry);
}

#[inline]
fn locate(entries: &[Entry], leaf: u32, depth: u32, position: Position, key: &[u8]) -> Result<Locus, Locus> {
    let mut index = first_from(entries, depth, position);
    while let Some(entry) = entries.get(index) {
        if entry.position != position {
            break;
        }
        // Nearly always the key itself: equality is cheaper to find out than order.
        if entry.record.key() == key {
            return Ok(Locus { leaf, index: index as u32 });
        }
        if entry.record.key() > key {
            break;
        }
        index += 1;
    }
    Err(Locus { leaf, index: index as u32 })
}

/// The index of the first entry at `position` or after it. Hashes spread evenly, so the place is guessed, and the
/// truth lies in a small window around the guess. Those before it are counted there, without a branch: halving or
/// stepping would mispredict on memory that isn't in the cache, and stall the processor for each.
#[inline]
fn first_from(entries: &[Entry], depth: u32, position: Position) -> usize {
    let count_before =
        |entries: &[Entry]| entries.iter().map(|entry| usize::from(entry.position < position)).sum::<usize>();
    if entries.len() < WINDOW {
        return count_before(entries);
    }
    let start = guess(entries.len(), depth, position);
    let (before, rest) = entries.split_at(start);
    let (window, after) = rest.split_at(WINDOW);
    match count_before(window) {
        0 => before.partition_point(|entry| entry.position < position),
        WINDOW => start + WINDOW + after.partition_point(|entry| entry.position < position),
        count => start + count,
    }
}

/// Where the window begins in which a position should be, among so many entries.
#[inline]
fn guess(len: usize, depth: u32, position: Position) -> usize {
    let fraction = position.hash().checked_shl(depth).unwrap_or(0);
    let guess = ((u128::from(fraction) * len as u128) >> 64) as usize;
    guess.saturating_sub(WINDOW / 2).min(len.saturating_sub(WINDOW))
}

fn tail(entries: &[Entry], from: Position) -> &[Entry] {
    &entries[entries.partition_point(|entry| entry.position < from)..]
}

#[cfg(test)]
mod tests {
    use super::{Entry, LINE, Slot, WINDOW};
    use crate::position::Placement;
    use crate::record::{About, Record};
    use base::database::Kind;

    fn filled(placement: &Placement, keys: u32) -> Slot {
        let mut slot = Slot::EMPTY;
        for number in 0..keys {
            let key = format!("{{t}}{number}");
            let position = placement.of(key.as_bytes());
            let about = About { kind: Kind::String, expires_at: None, revision: 1, access: 0, frequency: 0 };
            let entry = Entry { position, record: Record::new(about, key.as_bytes(), b"v", &[]) };
            let locus = slot.locate(position, key.as_bytes()).expect_err("keys are distinct");
            slot.insert(locus, entry);
        }
        slot
    }

    /// What is fetched before a lookup is what the lookup then needs: else it would only cost.
    #[test]
    fn the_lines_that_are_fetched_are_those_of_the_entry() {
        let placement = Placement::new([3, 4]);
        for keys in [1, 5, 40, 100, 3_000] {
            let slot = filled(&placement, keys);
            let (mut near, mut lines) = (0, 0);
            for number in 0..keys {
                let position = placement.of(format!("{{t}}{number}").as_bytes());
                let first = slot.first_from(position).expect("it is there");
                assert_eq!(first.position, position);
                let address = std::ptr::from_ref(first).addr();
                let line = LINE * size_of::<Entry>();
                near += u32::from(slot.lines_around(position).any(|entry| {
                    (0..line).contains(&address.wrapping_sub(std::ptr::from_ref(entry).addr()))
                }));
                lines += slot.lines_around(position).count();
            }
            assert!(near * 10 >= keys * 9, "{near} of {keys} were near");
            assert!(lines <= keys as usize * WINDOW.div_ceil(LINE));
        }
        assert!(Slot::EMPTY.first_from(placement.of(b"k")).is_none());
        assert_eq!(Slot::EMPTY.lines_around(placement.of(b"k")).count(), 0);
    }
}
