//! Small collections: their rows, one behind the other, in one exactly sized allocation. To copy one is to copy its bytes,
//! of which there are few; what is done with it goes through all rows, of which there are few, too.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | how many rows there are (bits 0–6), whether any is marked (bit 7) |
//! | … | the rows ([`rows`]), in the order that their type has in a tree, too |
//!
//! An empty one has no bytes at all. Nothing of this leaves memory.

use crate::position::MemberOrder;
pub(crate) use rows::{FieldRow, Row, ScoredRow};
use std::marker::PhantomData;

/// What is in a row, for each type.
mod rows;

/// A collection with more rows is a tree: what is packed must not be slower than one would be. Few in tests, so that they
/// often cross the bound.
pub(crate) const ROWS_MAX: usize = if cfg!(test) { 8 } else { 127 };
/// A hash with more fields is a tree: two words of each are gone through to find one.
const FIELDS_MAX: usize = if cfg!(test) { 7 } else { 64 };
/// What would take more bytes packed is a tree.
const BYTES_MAX: usize = if cfg!(test) { 256 } else { 2048 };

const HEAD: usize = 1;
const COUNT: u8 = 0b0111_1111;
const MARK: u8 = 0b1000_0000;

/// What an allocation costs besides its bytes, to what it is rounded up, and the least there is.
const ALLOCATION_HEAD: u64 = 8;
const ALLOCATION_STEP: u64 = 16;

/// The rows of a small collection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed(Box<[u8]>);

/// Rows that are neighbours, or, where there is none of them, a place between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    rows: usize,
    start: usize,
    end: usize,
}

impl Span {
    /// The place before it.
    pub(crate) fn before(self) -> Self {
        Self { rows: 0, end: self.start, ..self }
    }
}

/// Goes through rows.
#[derive(Debug)]
pub(crate) struct Rows<'a, R> {
    rest: &'a [u8],
    of: PhantomData<R>,
}

impl<'a, R: Row<'a>> Iterator for Rows<'a, R> {
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        if self.rest.is_empty() { None } else { Some(R::read(&mut self.rest)) }
    }
}

/// How many bytes these rows take packed, of which there are `count`; nothing if that is too much.
pub(crate) fn packed_len<'a, R: Row<'a>>(count: usize, rows: impl Iterator<Item = R>) -> Option<usize> {
    if count > R::COUNT_MAX {
        return None;
    }
    let mut len = HEAD;
    for row in rows {
        len += row.packed_len()?;
        if len > BYTES_MAX {
            return None;
        }
    }
    Some(len)
}

impl Packed {
    /// How many rows there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.first().map_or(0, |head| usize::from(head & COUNT))
    }

    /// Whether any row is marked.
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.0.first().is_some_and(|head| head & MARK != 0)
    }

    /// What it takes beyond its own place. Depends on nothing but the rows, so that replicas agree.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self.0.len() as u64 {
            0 => 0,
            len => (len + ALLOCATION_HEAD).next_multiple_of(ALLOCATION_STEP).max(2 * ALLOCATION_STEP),
        }
    }

    /// All rows, in order.
    #[inline]
    pub(crate) fn rows<'a, R: Row<'a>>(&'a self) -> Rows<'a, R> {
        Rows { rest: self.0.get(HEAD..).unwrap_or_default(), of: PhantomData }
    }

    /// The first row for which `is_it` holds, and where it is.
    #[inline]
    pub(crate) fn find<'a, R: Row<'a>>(&'a self, is_it: impl Fn(R) -> bool) -> Option<(Span, R)> {
        let mut rows = self.rows::<R>();
        loop {
            let start = self.0.len() - rows.rest.len();
            let row = rows.next()?;
            if is_it(row) {
                return Some((Span { rows: 1, start, end: self.0.len() - rows.rest.len() }, row));
            }
        }
    }

    /// The row with this name, and where it is.
    #[inline]
    pub(crate) fn find_name<'a, R: Row<'a>>(&'a self, name: &[u8]) -> Option<(Span, R)> {
        self.find(|row: R| row.name() == name)
    }

    /// In rows that are ordered by the hash of their names: the one with this name (`Ok`), or where it would be (`Err`).
    pub(crate) fn locate<'a, R: Row<'a>>(
        &'a self,
        order: MemberOrder,
        name: &[u8],
    ) -> Result<(Span, R), Span> {
        if let Some(found) = self.find_name(name) {
            return Ok(found);
        }
        // Hashes are made of half a dozen names, not of all.
        let mut starts = [0u16; ROWS_MAX];
        let mut rows = self.rows::<R>();
        for start in &mut starts[..self.len()] {
            *start = (self.0.len() - rows.rest.len()) as u16;
            rows.next();
        }
        let own = order.of(name);
        let before = starts[..self.len()].partition_point(|&start| {
            let other = R::read(&mut &self.0[usize::from(start)..]).name();
            (order.of(other), other) < (own, name)
        });
        let start = starts[..self.len()].get(before).map_or(self.end().start, |&start| usize::from(start));
        Err(Span { rows: 0, start, end: start })
    }

    /// Where the rows from `rank` on are, `count` of them or as many as there are.
    pub(crate) fn span<'a, R: Row<'a>>(&'a self, rank: usize, count: usize) -> Span {
        let mut rows = self.rows::<R>();
        rows.by_ref().take(rank).for_each(drop);
        let start = self.end().start - rows.rest.len();
        let rows_there = rows.by_ref().take(count).count();
        Span { rows: rows_there, start, end: self.end().start - rows.rest.len() }
    }

    /// The rows from `rank` on towards the first; none if it lies outside.
    pub(crate) fn rows_back_from<'a, R: Row<'a>>(&'a self, rank: usize) -> impl Iterator<Item = R> {
        let mut rows: Vec<R> = self.rows().take(rank.saturating_add(1)).collect();
        if rank >= self.len() {
            rows.clear();
        }
        rows.into_iter().rev()
    }

    /// The place behind the last row.
    pub(crate) fn end(&self) -> Span {
        let end = self.0.len().max(HEAD);
        Span { rows: 0, start: end, end }
    }

    /// Puts rows in the place of those of a span; whether there was room for them: otherwise nothing has changed.
    pub(crate) fn replace<'a, R: Row<'a>>(&mut self, span: Span, new: &[R]) -> bool {
        let count = self.len() - span.rows + new.len();
        let Some(added) = packed_len(count, new.iter().copied()).map(|len| len - HEAD) else { return false };
        let before = self.end().start;
        let after = before - (span.end - span.start) + added;
        if after > BYTES_MAX {
            return false;
        }
        let was_marked = self.is_marked();
        let mut bytes = Vec::from(std::mem::take(&mut self.0));
        if count == 0 {
            return true;
        }
        bytes.reserve_exact(after.saturating_sub(bytes.len()));
        bytes.resize(after.max(before), 0);
        bytes.copy_within(span.end..before, span.start + added);
        bytes.truncate(after);
        let mut gap = &mut bytes[span.start..span.start + added];
        new.iter().for_each(|row| row.write(&mut gap));
        bytes[0] = count as u8;
        self.0 = bytes.into_boxed_slice();
        if new.iter().any(|row| row.is_marked()) || was_marked && self.has_marked_row::<R::By<'_>>() {
            self.0[0] |= MARK;
        }
        true
    }

    fn has_marked_row<'a, R: Row<'a>>(&'a self) -> bool {
        self.rows::<R>().any(Row::is_marked)
    }

    /// Panics if what the head says isn't so.
    pub(crate) fn check<'a, R: Row<'a>>(&'a self) {
        let len = packed_len(self.len(), self.rows::<R>());
        base::invariant!("what is packed is small", len == Some(self.end().start));
        base::invariant!("a packed collection counts its rows", self.rows::<R>().count() == self.len());
        base::invariant!(
            "a packed collection knows its mark",
            self.has_marked_row::<R>() == self.is_marked()
        );
        base::invariant!("an empty one takes no allocation", self.len() > 0 || self.0.is_empty());
    }
}

#[cfg(test)]
mod tests;
