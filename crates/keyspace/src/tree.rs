//! A persistent counted B+tree: the one structure under lists, sets, hashes, sorted sets and streams.
//!
//! Elements are found by their rank, or by a monotone predicate; inner nodes keep how many elements, and how many bytes,
//! lie below each child. To copy a tree takes one step: copies share their nodes, and a change copies those on its path
//! that are shared. So a snapshot holds the old version of a collection for the price of what changes.
//!
//! How elements are divided into nodes depends on the past, and differs between replicas: nothing that they compare may
//! depend on it.

use node::Child;
use std::fmt::Debug;

/// Nodes, and what is done with one and its neighbours.
mod node;

#[cfg(test)]
pub(crate) use node::visited;

/// What can be in a tree.
pub(crate) trait Element: Clone + Debug {
    /// A part of what elements are ordered by, kept beside every child so that a search seldom looks further. Elements in
    /// a tree have rising keys; equal ones may be told apart by more than the key.
    type Key: Copy + Ord + Debug + Send + Sync;

    /// The key.
    fn key(&self) -> Self::Key;
    /// What the element takes in memory, its place in a node included. Depends on nothing but the element.
    fn bytes(&self) -> u64;
}

/// What an element of this size takes with its share of the nodes around it; the same however full these are.
pub(crate) const fn place_bytes<T>() -> u64 {
    let size = size_of::<T>() as u64;
    size + size / 4 + 2
}

/// Elements in an order.
#[derive(Clone, Debug)]
pub(crate) struct Tree<T: Element> {
    root: Option<Child<T>>,
}

impl<T: Element> Default for Tree<T> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<T: Element> Tree<T> {
    /// How many elements there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.root.as_ref().map_or(0, Child::len)
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The sum of what the elements take.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.root.as_ref().map_or(0, Child::bytes)
    }

    /// The element at `rank`.
    pub(crate) fn get(&self, rank: usize) -> Option<&T> {
        self.slice_from(rank).first()
    }

    /// The first element.
    pub(crate) fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last element.
    pub(crate) fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// How many elements come before the first for which `is_before` is false. It must be true for all elements with a
    /// smaller key than `key`, false for all with a greater one, and never become true again among those with that key.
    pub(crate) fn search(&self, key: T::Key, is_before: impl Fn(&T) -> bool) -> usize {
        self.root.as_ref().map_or(0, |root| root.search(key, &is_before))
    }

    /// The elements from `rank` on that lie in one node; empty only at the end.
    pub(crate) fn slice_from(&self, rank: usize) -> &[T] {
        match &self.root {
            Some(root) if rank < root.len() => {
                let (leaf, index) = root.leaf_of(rank);
                &leaf[index..]
            }
            _ => &[],
        }
    }

    /// The elements up to `rank`, with it, that lie in one node; empty if it lies outside.
    pub(crate) fn slice_to(&self, rank: usize) -> &[T] {
        match &self.root {
            Some(root) if rank < root.len() => {
                let (leaf, index) = root.leaf_of(rank);
                &leaf[..=index]
            }
            _ => &[],
        }
    }

    /// The elements from `rank` on, in order.
    pub(crate) fn iter_from(&self, mut rank: usize) -> impl Iterator<Item = &T> {
        std::iter::from_fn(move || {
            let slice = self.slice_from(rank);
            rank += slice.len();
            (!slice.is_empty()).then_some(slice)
        })
        .flatten()
    }

    /// The elements from `rank` on towards the first.
    pub(crate) fn iter_back_from(&self, rank: usize) -> impl Iterator<Item = &T> {
        let mut rank = Some(rank);
        std::iter::from_fn(move || {
            let at = rank?;
            let slice = self.slice_to(at);
            rank = (at + 1).checked_sub(slice.len()).and_then(|start| start.checked_sub(1));
            (!slice.is_empty()).then(|| slice.iter().rev())
        })
        .flatten()
    }

    /// All elements, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(0)
    }

    /// Puts an element before the one that is at `rank`; behind the last where `rank` is the length.
    ///
    /// # Panics
    /// If `rank` lies beyond the end.
    pub(crate) fn insert(&mut self, rank: usize, element: T) {
        assert!(rank <= self.len(), "an element is put into a tree, not beyond it");
        let Some(root) = &mut self.root else {
            self.root = Some(Child::leaf(vec![element]));
            return;
        };
        if let Some(right) = root.insert(rank, element) {
            self.grow(right);
        }
    }

    /// Puts an element behind the last.
    pub(crate) fn push(&mut self, element: T) {
        self.insert(self.len(), element);
    }

    /// Takes the element at `rank` out.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn remove(&mut self, rank: usize) -> T {
        let root = self.root.as_mut().filter(|root| rank < root.len()).expect("an element is at its rank");
        let removed = root.remove(rank);
        self.shrink();
        removed
    }

    /// Changes the element at `rank` where it stands; its order must stay.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn update<R>(&mut self, rank: usize, change: impl FnOnce(&mut T) -> R) -> R {
        let root = self.root.as_mut().filter(|root| rank < root.len()).expect("an element is at its rank");
        root.update(rank, change)
    }

    /// Takes out the elements from `rank` on.
    pub(crate) fn split_off(&mut self, rank: usize) -> Self {
        if rank >= self.len() {
            return Self::default();
        }
        if rank == 0 {
            return std::mem::take(self);
        }
        let root = self.root.take().expect("it has elements");
        let (left, right) = root.split(rank);
        *self = left;
        right
    }

    /// Puts all elements of another tree behind the last.
    pub(crate) fn append(&mut self, other: Self) {
        let (Some(left), Some(right)) = (&mut self.root, &other.root) else {
            if self.root.is_none() {
                *self = other;
            }
            return;
        };
        let (height, other_height) = (left.height(), right.height());
        if height >= other_height {
            if let Some(more) = left.append(height, other.root.expect("it was there"), other_height) {
                self.grow(more);
            }
        } else {
            let mut right = other;
            let left = self.root.take().expect("it was there");
            let root = right.root.as_mut().expect("it was there");
            if let Some(more) = root.prepend(other_height, left, height) {
                let left = right.root.take().expect("it was there");
                right.root = Some(Child::inner(vec![left, more]));
            }
            *self = right;
        }
        self.shrink();
    }

    /// Takes out up to `count` elements from `rank` on.
    pub(crate) fn remove_range(&mut self, rank: usize, count: usize) -> Self {
        let mut removed = self.split_off(rank);
        if count < removed.len() {
            self.append(removed.split_off(count));
        }
        removed
    }

    /// Frees about `limit` elements of a tree that is not needed any more (what other trees share stays with them);
    /// whether any are left.
    pub(crate) fn bury(&mut self, limit: usize) -> bool {
        let mut freed = 0;
        while freed < limit
            && let Some(root) = &mut self.root
        {
            match root.shed() {
                Some(count) => freed += count,
                None => {
                    freed += 1;
                    self.root = None;
                }
            }
        }
        self.root.is_some()
    }

    fn grow(&mut self, right: Child<T>) {
        let left = self.root.take().expect("what has grown is there");
        self.root = Some(Child::inner(vec![left, right]));
    }

    /// A root without elements is none, and one with a single child is that child.
    fn shrink(&mut self) {
        while let Some(root) = &self.root {
            if root.len() == 0 {
                self.root = None;
            } else if let Some(only) = root.only_child() {
                self.root = Some(only);
            } else {
                break;
            }
        }
    }

    /// Panics if the shape or an account is broken, or if elements aren't in the order that `is_ordered` says of
    /// neighbours.
    pub(crate) fn check(&self, is_ordered: impl Fn(&T, &T) -> bool) {
        if let Some(root) = &self.root {
            root.check(true);
        }
        let mut before: Option<&T> = None;
        for element in self.iter() {
            base::invariant!(
                "elements are in order",
                before.is_none_or(|before| is_ordered(before, element))
            );
            before = Some(element);
        }
    }
}

#[cfg(test)]
mod tests;
