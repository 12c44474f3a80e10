//! What is found by its name, in the order of a keyed hash: members of a set, fields of a hash. The order is state, so
//! that a scan's cursor (the hash it has come to) is good on every replica, and a random pick the same on each.

use crate::position::MemberOrder;
use crate::tree::{Element, Tree};

/// An element with a name and the hash of it.
pub(crate) trait Named: Element<Key = u64> {
    fn name(&self) -> &[u8];
}

/// Elements by name.
#[derive(Clone, Debug)]
pub(crate) struct Members<T: Named> {
    tree: Tree<T>,
    order: MemberOrder,
}

impl<T: Named> Members<T> {
    pub(crate) fn new(order: MemberOrder) -> Self {
        Self { tree: Tree::default(), order }
    }

    /// In order.
    pub(crate) fn tree(&self) -> &Tree<T> {
        &self.tree
    }

    /// The hash by which `name` is ordered.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        self.order.of(name)
    }

    /// The rank of `name` (`Ok`), or what it would be (`Err`).
    fn locate(&self, name: &[u8]) -> Result<usize, usize> {
        let hash = self.hash(name);
        let rank = self.tree.search(hash, |element| (element.key(), element.name()) < (hash, name));
        let found = self.tree.get(rank).is_some_and(|found| found.key() == hash && found.name() == name);
        if found { Ok(rank) } else { Err(rank) }
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        self.tree.get(self.locate(name).ok()?)
    }

    /// Adds an element, or puts it in the place of the one with its name, which comes back.
    pub(crate) fn put(&mut self, element: T) -> Option<T> {
        match self.locate(element.name()) {
            Ok(rank) => Some(self.tree.update(rank, |found| std::mem::replace(found, element))),
            Err(rank) => {
                self.tree.insert(rank, element);
                None
            }
        }
    }

    /// Adds an element unless there is one with its name; whether it was added.
    pub(crate) fn add(&mut self, element: T) -> bool {
        let Err(rank) = self.locate(element.name()) else { return false };
        self.tree.insert(rank, element);
        true
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let rank = self.locate(name).ok()?;
        Some(self.tree.remove(rank))
    }

    /// Takes out an element with this hash for which `is_it` holds.
    pub(crate) fn remove_hashed(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let rank = self.tree.search(hash, |element| element.key() < hash);
        let twins = self.tree.iter_from(rank).take_while(|element| element.key() == hash);
        let index = twins.enumerate().find(|(_, element)| is_it(element))?.0;
        Some(self.tree.remove(rank + index))
    }

    /// Visits elements from `cursor` on, `limit` or a few more: those with one hash stay together. Where to go on.
    pub(crate) fn scan(&self, cursor: u64, limit: usize, mut visit: impl FnMut(&T)) -> Option<u64> {
        let start = self.tree.search(cursor, |element| element.key() < cursor);
        let mut left = limit.max(1);
        let mut last = None;
        for element in self.tree.iter_from(start) {
            if left == 0 && last != Some(element.key()) {
                return Some(element.key());
            }
            visit(element);
            left = left.saturating_sub(1);
            last = Some(element.key());
        }
        None
    }

    pub(crate) fn bury(&mut self, limit: usize) -> bool {
        self.tree.bury(limit)
    }

    pub(crate) fn check(&self) {
        self.tree.check(|a, b| (a.key(), a.name()) < (b.key(), b.name()));
        for element in self.tree.iter() {
            base::invariant!(
                "a member stands where its hash says",
                element.key() == self.hash(element.name())
            );
        }
    }
}
