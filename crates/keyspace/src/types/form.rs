//! The two forms of a collection: packed while it is small, a tree when it is large. Which one it has depends on nothing but
//! what is in it, so that replicas agree on all that depends on the form: what memory it takes, and how a scan divides it.

use super::{COLLECTION_BYTES, Collection, Contents, Typed};
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::packed::{Packed, Row, packed_len};
use crate::part::{Budget, Cursor};
use crate::position::MemberOrder;
use crate::rdb::Value;
use siphasher::sip::SipHasher13;
use std::fmt::Debug;

/// A collection of one type, named after its form when it is large.
#[derive(Clone, Debug)]
pub(crate) enum Form<T> {
    Packed(Packed),
    Tree(Box<T>),
}

/// A large collection of one type, and what is particular to that type in either form.
pub(crate) trait Large: Clone + Debug + Sized {
    /// An element.
    type Row<'a>: Row<'a>
    where
        Self: 'a;

    /// An empty one.
    fn empty(order: MemberOrder) -> Self;
    /// How many elements there are.
    fn len(&self) -> usize;
    /// What the elements take in memory.
    fn bytes(&self) -> u64;
    /// The elements from `rank` on, in order.
    fn rows_from(&self, rank: usize) -> impl Iterator<Item = Self::Row<'_>>;
    /// Adds an element that comes behind all others.
    fn push(&mut self, row: Self::Row<'_>);
    /// As [`Contents::bury`].
    fn bury(&mut self, limit: usize) -> bool;
    /// Panics if an invariant of this form is broken.
    fn check(&self);

    /// Whether two neighbours are in order.
    fn are_ordered(order: MemberOrder, left: Self::Row<'_>, right: Self::Row<'_>) -> bool;
    /// How long an element is where parts are measured.
    fn row_bytes(row: Self::Row<'_>) -> usize;
    /// Feeds an element.
    fn digest(row: Self::Row<'_>, hasher: &mut SipHasher13);
    /// A value of these elements.
    fn value(rows: Vec<Self::Row<'_>>) -> Value;
    /// As [`Contents::encoding`].
    fn encoding(of: &Form<Self>, limits: &Encodings) -> &'static str;
    /// As [`Contents::take_in`].
    fn take_in(of: &mut Form<Self>, part: Value, order: MemberOrder) -> Result<(), BadChunk>;
}

impl<T> Default for Form<T> {
    fn default() -> Self {
        Form::Packed(Packed::default())
    }
}

impl<T: Large> Form<T> {
    /// How many elements there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        match self {
            Form::Packed(packed) => packed.len(),
            Form::Tree(tree) => tree.len(),
        }
    }

    /// The elements from `rank` on, in order.
    pub(crate) fn rows_from(&self, rank: usize) -> impl Iterator<Item = T::Row<'_>> {
        let (packed, tree) = match self {
            Form::Packed(packed) => (Some(packed.rows::<T::Row<'_>>().skip(rank)), None),
            Form::Tree(tree) => (None, Some(tree.rows_from(rank))),
        };
        packed.into_iter().flatten().chain(tree.into_iter().flatten())
    }

    /// All elements, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = T::Row<'_>> {
        self.rows_from(0)
    }

    /// What is packed becomes a tree, because it is about to have more than can be packed.
    pub(crate) fn grow(&mut self, order: MemberOrder) -> &mut T {
        if let Form::Packed(packed) = self {
            let mut tree = Box::new(T::empty(order));
            packed.rows::<T::Row<'_>>().for_each(|row| tree.push(row));
            *self = Form::Tree(tree);
        }
        match self {
            Form::Tree(tree) => tree,
            Form::Packed(_) => unreachable!("it has just become a tree"),
        }
    }
}

impl<T: Large> Contents for Form<T>
where
    Self: Typed,
{
    fn count(&self) -> usize {
        self.count()
    }

    fn cost(&self) -> u64 {
        match self {
            Form::Packed(packed) => size_of::<Option<Collection>>() as u64 + packed.heap_bytes(),
            Form::Tree(tree) => COLLECTION_BYTES + tree.bytes(),
        }
    }

    fn settle(&mut self) {
        let Form::Tree(tree) = self else { return };
        if packed_len(tree.len(), tree.rows_from(0)).is_none() {
            return;
        }
        let mut packed = Packed::default();
        let fits = packed.replace(packed.end(), &tree.rows_from(0).collect::<Vec<_>>());
        base::invariant!("what has been measured fits", fits);
        *self = Form::Packed(packed);
    }

    fn encoding(&self, limits: &Encodings) -> &'static str {
        T::encoding(self, limits)
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        self.rows().for_each(|row| T::digest(row, hasher));
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let rows = self.rows_from(cursor.rank);
        let part: Vec<_> = rows.take_while(|row| budget.take(T::row_bytes(*row))).collect();
        let rank = cursor.rank + part.len();
        (T::value(part), (rank < self.count()).then_some(Cursor { rank, ..cursor }))
    }

    fn take_in(&mut self, part: Value, order: MemberOrder) -> Result<(), BadChunk> {
        T::take_in(self, part, order)
    }

    fn bury(&mut self, limit: usize) -> bool {
        match self {
            Form::Packed(packed) => {
                *packed = Packed::default();
                false
            }
            Form::Tree(tree) => tree.bury(limit),
        }
    }

    fn check(&self, order: MemberOrder) {
        match self {
            Form::Packed(packed) => packed.check::<T::Row<'_>>(),
            Form::Tree(tree) => {
                let len = packed_len(tree.len(), tree.rows_from(0));
                base::invariant!("what is small is packed", len.is_none());
                tree.check();
            }
        }
        let mut before = None;
        for row in self.rows() {
            let is_ordered = before.is_none_or(|before| T::are_ordered(order, before, row));
            base::invariant!("elements are in order", is_ordered);
            before = Some(row);
        }
    }
}
