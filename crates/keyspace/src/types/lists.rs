//! Lists: elements by rank.

use super::{Collection, Contents, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::part::{Budget, Cursor};
use crate::position::MemberOrder;
use crate::rdb::Value;
use crate::tree::{Element, Tree, place_bytes};
use crate::view::View;
use base::database::{Direction, List, Lists, WrongType};
use siphasher::sip::SipHasher13;

/// What an element takes there beside its bytes, at least.
const LISTPACK_ELEMENT_BYTES: usize = 2;

impl Element for Blob {
    type Key = ();

    fn key(&self) {}

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.heap_bytes()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ListValue(pub(crate) Tree<Blob>);

impl Typed for ListValue {
    fn empty(_: MemberOrder) -> Self {
        Self::default()
    }

    fn of(collection: &Collection) -> Option<&Self> {
        if let Collection::List(list) = collection { Some(list) } else { None }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        if let Collection::List(list) = collection { Some(list) } else { None }
    }

    fn into_collection(self) -> Collection {
        Collection::List(self)
    }
}

impl ListValue {
    /// Puts elements before the one at `rank`.
    pub(crate) fn insert_all(&mut self, rank: usize, elements: &[Vec<u8>]) {
        let mut part = Tree::default();
        elements.iter().for_each(|element| part.push(Blob::new(element)));
        let behind = self.0.split_off(rank);
        self.0.append(part);
        self.0.append(behind);
    }
}

impl Contents for ListValue {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn element_bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn encoding(&self, limits: &Encodings) -> &'static str {
        let (elements, bytes) = limits.list_bounds();
        let mut left = Some(bytes);
        for (nth, element) in self.0.iter().enumerate() {
            left = left.and_then(|left| left.checked_sub(element.bytes().len() + LISTPACK_ELEMENT_BYTES));
            if left.is_none() || nth >= elements {
                return "quicklist";
            }
        }
        "listpack"
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        self.0.iter().for_each(|element| digest_bytes(hasher, element.bytes()));
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let elements = self.0.iter_from(cursor.rank).map(Blob::bytes);
        let part: Vec<Vec<u8>> =
            elements.take_while(|element| budget.take(element.len())).map(<[u8]>::to_vec).collect();
        let rank = cursor.rank + part.len();
        (Value::List(part), (rank < self.0.len()).then_some(Cursor { rank, ..cursor }))
    }

    fn take_in(&mut self, part: Value) -> Result<(), BadChunk> {
        let Value::List(elements) = part else { return Err(OTHER_TYPE) };
        self.insert_all(self.0.len(), &elements);
        Ok(())
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.0.bury(limit)
    }

    fn check(&self) {
        self.0.check(|_, _| true);
    }
}

impl List for ListValue {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index).map(Blob::bytes)
    }

    fn walk(&self, from: usize, direction: Direction, visit: &mut dyn FnMut(usize, &[u8]) -> bool) {
        let _ = match direction {
            Direction::Forward => {
                let mut elements = (from..).zip(self.0.iter_from(from));
                elements.all(|(index, element)| visit(index, element.bytes()))
            }
            Direction::Backward => {
                let mut elements = (0..=from).rev().zip(self.0.iter_back_from(from));
                elements.all(|(index, element)| visit(index, element.bytes()))
            }
        };
    }
}

impl Lists for View<'_> {
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType> {
        Ok(self.typed::<ListValue>(key)?.map(|list| list as &dyn List))
    }

    fn list_insert(&mut self, key: &[u8], at: usize, elements: &[&[u8]]) -> Result<usize, WrongType> {
        let inserted = self.edit(key, true, |list: &mut ListValue, _| {
            assert!(at <= list.0.len(), "elements are put into a list, not beyond it");
            for (index, element) in elements.iter().enumerate() {
                list.0.insert(at + index, Blob::new(element));
            }
            (list.0.len(), !elements.is_empty())
        })?;
        Ok(inserted.unwrap_or(0))
    }

    fn list_remove(&mut self, key: &[u8], from: usize, count: usize) -> Result<(), WrongType> {
        self.edit(key, false, |list: &mut ListValue, graveyard| {
            let removed = list.0.remove_range(from, count);
            let changed = !removed.is_empty();
            ListValue(removed).into_collection().retire(graveyard);
            ((), changed)
        })?;
        Ok(())
    }

    fn list_replace(&mut self, key: &[u8], at: usize, element: &[u8]) -> Result<bool, WrongType> {
        let replaced = self.edit(key, false, |list: &mut ListValue, _| {
            let is_there = at < list.0.len();
            if is_there {
                list.0.update(at, |old| *old = Blob::new(element));
            }
            (is_there, is_there)
        })?;
        Ok(replaced.unwrap_or(false))
    }
}
