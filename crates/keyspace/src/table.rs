//! The entries of one database, in order: by slot, and in each slot by hash. Slots come in pages, so that a shard
//! that has a part of them pays for that part.

use crate::position::Position;
use crate::record::Record;
use crate::slot::{Entry, Locus, Slot};
use crate::types::{Collection, Collections};
use base::database::Kind;

const PAGES: usize = 64;
const SLOTS: usize = base::Slot::COUNT as usize / PAGES;

/// All entries of a database.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Empty, or one for each page number.
    pages: Vec<Option<Box<Page>>>,
    len: u64,
    /// What the records of keys that aren't strings refer to.
    pub(crate) collections: Collections,
}

#[derive(Debug)]
struct Page {
    len: u64,
    slots: [Slot; SLOTS],
}

fn place(slot: u16) -> (usize, usize) {
    (usize::from(slot) / SLOTS, usize::from(slot) % SLOTS)
}

impl Table {
    /// How many entries there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The slot of a position, unless its page was never needed.
    #[inline]
    pub(crate) fn slot(&self, position: Position) -> Option<&Slot> {
        let (page, slot) = place(position.slot());
        Some(&self.pages.get(page)?.as_ref()?.slots[slot])
    }

    #[inline]
    fn slot_mut(&mut self, position: Position) -> Option<&mut Slot> {
        let (page, slot) = place(position.slot());
        Some(&mut self.pages.get_mut(page)?.as_mut()?.slots[slot])
    }

    /// The entry of `key`.
    #[inline]
    pub(crate) fn get(&self, position: Position, key: &[u8]) -> Option<&Entry> {
        let slot = self.slot(position)?;
        slot.locate(position, key).ok().map(|locus| slot.at(locus))
    }

    /// The entry of `key`, to change its record.
    #[inline]
    pub(crate) fn get_mut(&mut self, position: Position, key: &[u8]) -> Option<&mut Entry> {
        let slot = self.slot_mut(position)?;
        match slot.locate(position, key) {
            Ok(locus) => Some(slot.at_mut(locus)),
            Err(_) => None,
        }
    }

    /// The entry of `key`, to change its record, or where it would be inserted.
    #[inline]
    pub(crate) fn find(&mut self, position: Position, key: &[u8]) -> Result<&mut Entry, Locus> {
        let (page, slot) = place(position.slot());
        if self.pages.is_empty() {
            self.pages.resize_with(PAGES, || None);
        }
        let page = self.pages[page]
            .get_or_insert_with(|| Box::new(Page { len: 0, slots: [const { Slot::EMPTY }; SLOTS] }));
        let slot = &mut page.slots[slot];
        match slot.locate(position, key) {
            Ok(locus) => Ok(slot.at_mut(locus)),
            Err(locus) => Err(locus),
        }
    }

    /// Inserts an entry where [`Table::find`] just said that it would be.
    pub(crate) fn insert(&mut self, locus: Locus, entry: Entry) {
        let (page, slot) = place(entry.position.slot());
        let page = self.pages[page].as_mut().expect("the page was made when the place was found");
        page.slots[slot].insert(locus, entry);
        page.len += 1;
        self.len += 1;
    }

    /// Takes the entry of `key` out.
    pub(crate) fn remove(&mut self, position: Position, key: &[u8]) -> Option<Entry> {
        let (number, slot) = place(position.slot());
        let page = self.pages.get_mut(number)?.as_mut()?;
        let locus = page.slots[slot].locate(position, key).ok()?;
        let removed = page.slots[slot].remove(locus);
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            self.pages[number] = None;
        }
        Some(removed)
    }

    /// The first entries from `from` on that lie in one array, all of one slot; empty only at the end.
    pub(crate) fn slice_from(&self, from: Position) -> &[Entry] {
        let (first_page, first_slot) = place(from.slot());
        for (number, page) in self.pages.iter().enumerate().skip(first_page) {
            let Some(page) = page else { continue };
            let skipped = if number == first_page { first_slot } else { 0 };
            for (slot, entries) in page.slots.iter().enumerate().skip(skipped) {
                let at = Position::of_slot((number * SLOTS + slot) as u16);
                let slice = entries.slice_from(at.max(from));
                if !slice.is_empty() {
                    return slice;
                }
            }
        }
        &[]
    }

    /// What a record of this table holds, if it is no string.
    #[inline]
    pub(crate) fn collection(&self, record: &Record) -> Option<&Collection> {
        (record.kind() != Kind::String).then(|| self.collections.get(record.reference()))
    }

    /// What a record costs, with its collection.
    #[inline]
    pub(crate) fn cost(&self, record: &Record) -> u64 {
        record.cost() + self.collection(record).map_or(0, Collection::cost)
    }

    /// The entries that stand at exactly this position.
    pub(crate) fn group(&self, position: Position) -> &[Entry] {
        let slice = self.slot(position).map_or(&[][..], |slot| slot.slice_from(position));
        &slice[..slice.iter().take_while(|entry| entry.position == position).count()]
    }

    /// All entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.iter_from(Position::FIRST)
    }

    /// The entries from `from` on, in order.
    pub(crate) fn iter_from(&self, from: Position) -> impl Iterator<Item = &Entry> {
        let mut from = Some(from);
        std::iter::from_fn(move || {
            let slice = self.slice_from(from?);
            from = slice.last()?.position.next();
            Some(slice)
        })
        .flatten()
    }

    /// The slot that holds the `index`-th entry, which must exist, with its number, and the rank of the entry in it.
    pub(crate) fn slot_of_nth(&self, mut index: u64) -> (u16, &Slot, u64) {
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page else { continue };
            if index >= page.len {
                index -= page.len;
                continue;
            }
            for (slot, entries) in page.slots.iter().enumerate() {
                let len = entries.len() as u64;
                if index < len {
                    return ((number * SLOTS + slot) as u16, entries, index);
                }
                index -= len;
            }
        }
        unreachable!("pages and slots count what they hold")
    }

    /// Frees about `limit` entries of a table that is not needed any more; whether anything is left.
    pub(crate) fn bury(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while let Some(page) = self.pages.last_mut() {
            let Some(buried) = page else {
                self.pages.pop();
                continue;
            };
            for slot in buried.slots.iter_mut().rev() {
                while slot.len() > 0 {
                    if left == 0 {
                        return true;
                    }
                    left -= slot.bury(left);
                }
            }
            self.pages.pop();
        }
        self.collections.bury(left)
    }

    /// Panics if the order, the shape or the counts are broken.
    pub(crate) fn check(&self) {
        let mut len = 0;
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page else { continue };
            for (slot, entries) in page.slots.iter().enumerate() {
                entries.check();
                let at = (number * SLOTS + slot) as u16;
                let first = entries.slice_from(Position::of_slot(at)).first();
                base::invariant!("an entry is in its slot", first.is_none_or(|e| e.position.slot() == at));
            }
            let counted: u64 = page.slots.iter().map(|slot| slot.len() as u64).sum();
            base::invariant!("a page knows how many entries it has", counted == page.len);
            base::invariant!("a page without entries is given up", counted > 0);
            len += counted;
        }
        base::invariant!("a table knows how many entries it has", len == self.len);
    }
}
