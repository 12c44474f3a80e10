//! Sorted sets: distinct members, ordered by score and then by their bytes. A score is any double but NaN.

use super::{Direction, WrongType};

/// A sorted set to read. It has at least one member.
pub trait SortedSet {
    /// How many members there are.
    fn len(&self) -> usize;
    /// Whether there is none, which no sorted set ever is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The score of `member`.
    fn score(&self, member: &[u8]) -> Option<f64>;
    /// How many members come before `member`; in logarithmic time.
    fn rank(&self, member: &[u8]) -> Option<usize>;
    /// The member at `rank` with its score; in logarithmic time.
    fn at(&self, rank: usize) -> Option<(&[u8], f64)>;
    /// How many members have a score below `score` or, if `inclusive`, at most `score`; in logarithmic time.
    fn count_below(&self, score: f64, inclusive: bool) -> usize;
    /// How many members have bytes below those of `bound` or, if `inclusive`, at most those, where all scores are equal; some
    /// number of members otherwise. In logarithmic time.
    fn count_below_lex(&self, bound: &[u8], inclusive: bool) -> usize;
    /// Visits members with their scores from `rank` on in `direction`, until `visit` answers false or there are no more.
    fn walk(&self, rank: usize, direction: Direction, visit: &mut dyn FnMut(&[u8], f64) -> bool);
    /// Visits members with their scores from `cursor` on, with the promise of [`Set::scan`](super::Set::scan).
    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8], f64)) -> Option<u64>;
}

/// What commands do with sorted sets.
pub trait SortedSets {
    /// The sorted set under `key`.
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType>;

    /// Gives members scores; a missing key is an empty sorted set. Answers how many members were new.
    ///
    /// # Panics
    /// If a score is NaN.
    fn sorted_set_put(&mut self, key: &[u8], members: &[(&[u8], f64)]) -> Result<usize, WrongType>;
    /// Takes members out; with the last one goes the key. Answers how many were there.
    fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType>;
}
