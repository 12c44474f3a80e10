//! The part of the log that is in memory, and which terms the rest has.
//!
//! ```text
//!   base        cached_from              last
//!    |  on disk only  |      in memory     |
//! ```
//! The entry at `base` is gone but its term is known. Terms are kept as runs, so that even what has left memory can be
//! compared with what a peer has.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use base::{Entry, Index, Payload, Term};

/// The log of one replica, durable or not.
#[derive(Clone, Debug)]
pub struct Log {
    base: Index,
    base_term: Term,
    last: Index,
    /// From which place on each term reigns, for everything after `base`.
    runs: VecDeque<(Index, Term)>,
    /// The entries from `cached_from` through `last`.
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    /// A log whose entries through `base` are gone.
    pub fn new(base: Index, base_term: Term) -> Self {
        Self { base, base_term, last: base, runs: VecDeque::new(), entries: VecDeque::new(), bytes: 0 }
    }

    /// The oldest entry that it still has, in memory or on disk.
    pub fn first_index(&self) -> Index {
        self.base.next()
    }

    /// The oldest entry in memory; one past the last if there is none.
    pub fn cached_from(&self) -> Index {
        Index(self.last.0 + 1 - self.entries.len() as u64)
    }

    /// Where it ends.
    pub fn last_index(&self) -> Index {
        self.last
    }

    /// The term of its last entry.
    pub fn last_term(&self) -> Term {
        self.runs.back().map_or(self.base_term, |(_, term)| *term)
    }

    /// How many bytes of entries are in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The term at `index`, if it is known.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base {
            return Some(self.base_term);
        }
        if index < self.base || index > self.last {
            return None;
        }
        let run = self.runs.partition_point(|(first, _)| *first <= index);
        self.runs.get(run.checked_sub(1)?).map(|(_, term)| *term)
    }

    /// The entry at `index`, if it is in memory.
    pub fn get(&self, index: Index) -> Option<&Entry> {
        let place = index.0.checked_sub(self.cached_from().0)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The entries in memory, oldest first.
    pub fn cached(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Appends an entry, which must be the next one.
    pub fn push(&mut self, entry: Entry) {
        base::invariant!("the log has no gaps", entry.index == self.last.next());
        base::invariant!("terms never go back along the log", entry.term >= self.last_term());
        if self.last == self.base || entry.term != self.last_term() {
            self.runs.push_back((entry.index, entry.term));
        }
        self.last = entry.index;
        self.bytes += entry.weight();
        self.entries.push_back(entry);
    }

    /// Forgets everything from `from` on.
    pub fn truncate(&mut self, from: Index) {
        base::invariant!("what is gone can't be cut off", from > self.base);
        while self.last >= from {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= entry.weight();
                self.last = self.last.prev();
            } else {
                self.last = from.prev();
            }
        }
        while self.runs.back().is_some_and(|(first, _)| *first >= from) {
            self.runs.pop_back();
        }
    }

    /// Entries before `keep_from` are gone, from disk too.
    pub fn compact(&mut self, keep_from: Index) {
        let base = keep_from.prev().min(self.last);
        let Some(base_term) = self.term(base).filter(|_| base > self.base) else { return };
        self.release(base);
        self.base = base;
        self.base_term = base_term;
        while self.runs.get(1).is_some_and(|(first, _)| *first <= base.next()) {
            self.runs.pop_front();
        }
        if self.last == base {
            self.runs.clear();
        } else if let Some((first, _)) = self.runs.front_mut() {
            *first = (*first).max(base.next());
        }
    }

    /// Entries through `through` leave memory.
    pub fn release(&mut self, through: Index) {
        while self.entries.front().is_some_and(|entry| entry.index <= through) {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.weight();
            }
        }
    }

    /// From `first` on, through `through`, at most about `bytes_max` but at least one; only what is in memory.
    pub fn slice(&self, first: Index, through: Index, bytes_max: usize) -> Vec<Entry> {
        let (from, to) = (first.max(self.cached_from()), through.min(self.last));
        if from != first || from > to {
            return Vec::new();
        }
        let start = (from.0 - self.cached_from().0) as usize;
        let end = (to.0 - self.cached_from().0) as usize + 1;
        let mut bytes = 0;
        let count = self
            .entries
            .range(start..end)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.weight();
                first || bytes <= bytes_max
            })
            .count();
        self.entries.range(start..start + count).cloned().collect()
    }

    /// How many bytes the entries after `after` through `through` have, as far as they are in memory.
    pub fn weight_between(&self, after: Index, through: Index) -> usize {
        let cached = self.cached_from();
        let place = |index: Index| (index.0.saturating_sub(cached.0) as usize).min(self.entries.len());
        let (start, end) = (place(after.next()), place(through.min(self.last).next()));
        if start >= end { 0 } else { self.entries.range(start..end).map(Entry::weight).sum() }
    }

    /// The last place at or before `index` whose term is at most `term`: where a log that has `term` at `index` and
    /// this one may agree at best. The term is zero where this log doesn't know it.
    pub fn agreement(&self, index: Index, term: Term) -> (Index, Term) {
        if index > self.last || index < self.base {
            return (index, Term(0));
        }
        let mut end = index;
        for (first, own) in self.runs.iter().rev() {
            if *first > end {
                continue;
            }
            if *own <= term {
                return (end, *own);
            }
            end = first.prev();
        }
        if self.base_term <= term { (self.base, self.base_term) } else { (self.base.prev(), Term(0)) }
    }

    /// Whether there is a change of membership among the entries in memory from `first` through `through`.
    pub fn has_config(&self, first: Index, through: Index) -> bool {
        let is_config = |entry: &Entry| matches!(entry.payload, Payload::Config(_));
        (first.max(self.cached_from()).0..=through.min(self.last).0)
            .any(|index| self.get(Index(index)).is_some_and(is_config))
    }

    /// Panics if something here can't be.
    pub fn check(&self) {
        base::invariant!("the log ends behind its base", self.last >= self.base);
        base::invariant!(
            "memory holds no more than the log",
            self.entries.len() as u64 <= self.last.0 - self.base.0
        );
        base::invariant!("the log knows a term for every entry", {
            self.runs.front().map_or(self.last == self.base, |(first, _)| *first == self.base.next())
        });
        base::invariant!("terms never go back along the log", {
            self.runs.front().is_none_or(|(_, term)| *term >= self.base_term)
                && self.runs.iter().zip(self.runs.iter().skip(1)).all(|(a, b)| a.0 < b.0 && a.1 < b.1)
        });
        base::invariant!("entries know their place", {
            self.entries.front().is_none_or(|entry| entry.index == self.cached_from())
                && self.entries.back().is_none_or(|entry| entry.index == self.last)
        });
    }
}

#[cfg(test)]
mod tests;
