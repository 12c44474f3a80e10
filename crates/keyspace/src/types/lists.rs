//! Lists: elements by rank.

use super::form::{Form, Large};
use super::{Collection, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
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

/// A list.
pub(crate) type ListValue = Form<Tree<Blob>>;

impl Typed for ListValue {
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
    pub(crate) fn insert_all(&mut self, rank: usize, elements: &[&[u8]], order: MemberOrder) {
        if self.insert_packed(rank, elements) {
            return;
        }
        let list = self.grow(order);
        let mut part = Tree::default();
        elements.iter().for_each(|element| part.push(Blob::new(element)));
        let behind = list.split_off(rank);
        list.append(part);
        list.append(behind);
    }

    /// Puts some elements before the one at `rank`.
    fn insert(&mut self, rank: usize, elements: &[&[u8]], order: MemberOrder) {
        if self.insert_packed(rank, elements) {
            return;
        }
        let list = self.grow(order);
        for (index, element) in elements.iter().enumerate() {
            list.insert(rank + index, Blob::new(element));
        }
    }

    fn insert_packed(&mut self, rank: usize, elements: &[&[u8]]) -> bool {
        let Form::Packed(packed) = self else { return false };
        let place = if rank == packed.len() { packed.end() } else { packed.span::<&[u8]>(rank, 0) };
        packed.replace(place, elements)
    }

    fn replace(&mut self, rank: usize, element: &[u8], order: MemberOrder) {
        if let Form::Packed(packed) = self
            && packed.replace(packed.span::<&[u8]>(rank, 1), &[element])
        {
            return;
        }
        self.grow(order).update(rank, |old| *old = Blob::new(element));
    }

    fn get(&self, rank: usize) -> Option<&[u8]> {
        match self {
            Form::Packed(packed) => packed.rows::<&[u8]>().nth(rank),
            Form::Tree(list) => list.get(rank).map(Blob::bytes),
        }
    }
}

impl Large for Tree<Blob> {
    type Row<'a> = &'a [u8];

    fn empty(_: MemberOrder) -> Self {
        Self::default()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn rows_from(&self, rank: usize) -> impl Iterator<Item = &[u8]> {
        self.iter_from(rank).map(Blob::bytes)
    }

    fn push(&mut self, row: &[u8]) {
        self.push(Blob::new(row));
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.bury(limit)
    }

    fn check(&self) {
        self.check(|_, _| true);
    }

    fn are_ordered(_: MemberOrder, _: &[u8], _: &[u8]) -> bool {
        true
    }

    fn row_bytes(row: &[u8]) -> usize {
        row.len()
    }

    fn digest(row: &[u8], hasher: &mut SipHasher13) {
        digest_bytes(hasher, row);
    }

    fn value(rows: Vec<&[u8]>) -> Value {
        Value::List(rows.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn encoding(of: &ListValue, limits: &Encodings) -> &'static str {
        let (elements, bytes) = limits.list_bounds();
        let mut left = Some(bytes);
        for (nth, element) in of.rows().enumerate() {
            left = left.and_then(|left| left.checked_sub(element.len() + LISTPACK_ELEMENT_BYTES));
            if left.is_none() || nth >= elements {
                return "quicklist";
            }
        }
        "listpack"
    }

    fn take_in(of: &mut ListValue, part: Value, order: MemberOrder) -> Result<(), BadChunk> {
        let Value::List(elements) = part else { return Err(OTHER_TYPE) };
        let elements: Vec<&[u8]> = elements.iter().map(|element| &element[..]).collect();
        of.insert_all(of.count(), &elements, order);
        Ok(())
    }
}

impl List for ListValue {
    fn len(&self) -> usize {
        self.count()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.get(index)
    }

    fn walk(&self, from: usize, direction: Direction, visit: &mut dyn FnMut(usize, &[u8]) -> bool) {
        let _ = match (direction, self) {
            (Direction::Forward, _) => {
                let mut elements = (from..).zip(self.rows_from(from));
                elements.all(|(index, element)| visit(index, element))
            }
            (Direction::Backward, Form::Tree(list)) => {
                let mut elements = (0..=from).rev().zip(list.iter_back_from(from));
                elements.all(|(index, element)| visit(index, element.bytes()))
            }
            (Direction::Backward, Form::Packed(packed)) => {
                let mut elements = (0..=from).rev().zip(packed.rows_back_from::<&[u8]>(from));
                elements.all(|(index, element)| visit(index, element))
            }
        };
    }
}

impl Lists for View<'_> {
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType> {
        Ok(self.typed::<ListValue>(key)?.map(|list| list as &dyn List))
    }

    fn list_insert(&mut self, key: &[u8], at: usize, elements: &[&[u8]]) -> Result<usize, WrongType> {
        let inserted = self.edit(key, true, |list: &mut ListValue, order, _| {
            assert!(at <= list.count(), "elements are put into a list, not beyond it");
            list.insert(at, elements, order);
            (list.count(), !elements.is_empty())
        })?;
        Ok(inserted.unwrap_or(0))
    }

    fn list_remove(&mut self, key: &[u8], from: usize, count: usize) -> Result<(), WrongType> {
        self.edit(key, false, |list: &mut ListValue, _, graveyard| {
            let before = list.count();
            match list {
                Form::Packed(packed) => _ = packed.replace::<&[u8]>(packed.span::<&[u8]>(from, count), &[]),
                Form::Tree(tree) => {
                    let removed = tree.remove_range(from, count);
                    Form::Tree(Box::new(removed)).into_collection().retire(graveyard);
                }
            }
            ((), list.count() < before)
        })?;
        Ok(())
    }

    fn list_replace(&mut self, key: &[u8], at: usize, element: &[u8]) -> Result<bool, WrongType> {
        let replaced = self.edit(key, false, |list: &mut ListValue, order, _| {
            let is_there = at < list.count();
            if is_there {
                list.replace(at, element, order);
            }
            (is_there, is_there)
        })?;
        Ok(replaced.unwrap_or(false))
    }
}
