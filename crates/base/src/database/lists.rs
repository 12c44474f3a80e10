//! Lists: elements in an order that commands choose, found by their index.

use super::{Direction, WrongType};

/// A list to read. It has at least one element: a key whose last element goes is gone.
pub trait List {
    /// How many elements there are.
    fn len(&self) -> usize;
    /// Whether there is none, which no list ever is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The element at `index`, counted from 0; in logarithmic time.
    fn get(&self, index: usize) -> Option<&[u8]>;
    /// Visits elements with their indexes from `from` on in `direction`, until `visit` answers false or there are no more.
    /// Nothing is visited if `from` lies outside.
    fn walk(&self, from: usize, direction: Direction, visit: &mut dyn FnMut(usize, &[u8]) -> bool);
}

/// What commands do with lists.
pub trait Lists {
    /// The list under `key`.
    fn list(&self, key: &[u8]) -> Result<Option<&dyn List>, WrongType>;

    /// Inserts `elements`, in their order, before the one that is at index `at`; behind the last where `at` is the length.
    /// A missing key is an empty list. Answers the new length.
    ///
    /// # Panics
    /// If `at` lies beyond the end.
    fn list_insert(&mut self, key: &[u8], at: usize, elements: &[&[u8]]) -> Result<usize, WrongType>;
    /// Takes out `count` elements from index `from` on, or as many as there are; with the last one goes the key.
    fn list_remove(&mut self, key: &[u8], from: usize, count: usize) -> Result<(), WrongType>;
    /// Puts another element in the place of the one at `at`; whether there was one.
    fn list_replace(&mut self, key: &[u8], at: usize, element: &[u8]) -> Result<bool, WrongType>;
}
