//! Sets: distinct members, in an order that is state (a keyed hash of each), equal on all replicas.

use super::WrongType;

/// A set to read. It has at least one member.
pub trait Set {
    /// How many members there are.
    fn len(&self) -> usize;
    /// Whether there is none, which no set ever is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether `member` is one of them.
    fn contains(&self, member: &[u8]) -> bool;
    /// The member at `index` in the set's own order, for random picks; in logarithmic time.
    fn get(&self, index: usize) -> Option<&[u8]>;
    /// Visits the members in the set's own order, until `visit` answers false.
    fn walk(&self, visit: &mut dyn FnMut(&[u8]) -> bool);
    /// Visits members from `cursor` on (0 at the beginning), about `limit` of them or a few more, or all of a small set; answers
    /// where to go on, or `None` at the end. What is there from the first call of a scan to its last is visited at least once, whatever
    /// changes in between and whichever replica answers.
    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8])) -> Option<u64>;
}

/// What commands do with sets.
pub trait Sets {
    /// The set under `key`.
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType>;

    /// Adds members; a missing key is an empty set. Answers how many were new.
    fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType>;
    /// Takes members out; with the last one goes the key. Answers how many were there.
    fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType>;
}
