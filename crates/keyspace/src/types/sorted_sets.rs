//! Sorted sets: members ordered by score and bytes, and beside that by their keyed hash, by which a score is found.

use super::form::{Form, Large};
use super::members::{Members, Named};
use super::{Collection, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::packed::ScoredRow;
use crate::position::MemberOrder;
use crate::rdb::Value;
use crate::tree::{Element, Tree, place_bytes};
use crate::view::View;
use base::database::{Direction, SortedSet, SortedSets, WrongType};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// A member in the order of scores.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    score: f64,
    member: Blob,
}

/// A member in the order of hashes.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    hash: u64,
    score: f64,
    member: Blob,
}

/// Orders like the score: zero is zero whatever its sign, as comparing says.
fn order_of(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

impl Element for Ranked {
    type Key = u64;

    fn key(&self) -> u64 {
        order_of(self.score)
    }

    /// A long member is shared with the other order, which counts it.
    fn bytes(&self) -> u64 {
        place_bytes::<Self>()
    }
}

impl Element for Scored {
    type Key = u64;

    fn key(&self) -> u64 {
        self.hash
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.member.heap_bytes()
    }
}

impl Named for Scored {
    fn name(&self) -> &[u8] {
        self.member.bytes()
    }
}

/// A sorted set with many members.
#[derive(Clone, Debug)]
pub(crate) struct SortedSetTree {
    ranked: Tree<Ranked>,
    scored: Members<Scored>,
}

/// A sorted set.
pub(crate) type SortedSetValue = Form<SortedSetTree>;

impl Ranked {
    fn row(&self) -> ScoredRow<'_> {
        ScoredRow { member: self.member.bytes(), score: self.score }
    }
}

impl SortedSetTree {
    fn rank_of(&self, score: f64, member: &[u8]) -> usize {
        let key = order_of(score);
        self.ranked.search(key, |found| (found.key(), found.member.bytes()) < (key, member))
    }

    fn unrank(&mut self, score: f64, member: &[u8]) {
        let rank = self.rank_of(score, member);
        let removed = self.ranked.remove(rank);
        base::invariant!("a member has its rank", removed.member.bytes() == member);
    }

    /// Gives a member a score; what it had before.
    fn put(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let name = Blob::new(member);
        let scored = Scored { hash: self.scored.hash(member), score, member: name.clone() };
        let before = self.scored.put(scored).map(|old| old.score);
        if let Some(old) = before {
            self.unrank(old, member);
        }
        let rank = self.rank_of(score, member);
        self.ranked.insert(rank, Ranked { score, member: name });
        before
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let Some(removed) = self.scored.remove(member) else { return false };
        self.unrank(removed.score, member);
        true
    }

    /// How many members come before the first for which `is_before` is false, where members are in order.
    fn count_before_lex(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let (Some(first), Some(last)) = (self.ranked.first(), self.ranked.last()) else { return 0 };
        let is_before = |found: &Ranked| is_before(found.member.bytes());
        if first.key() == last.key() {
            return self.ranked.search(first.key(), is_before);
        }
        // Scores differ: as in Redis, members are looked at in their order as if they were sorted.
        let (mut low, mut high) = (0, self.ranked.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.ranked.get(middle).is_some_and(is_before) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl SortedSetValue {
    /// Gives a member a score; what it had before.
    fn put(&mut self, member: &[u8], score: f64, order: MemberOrder) -> Option<f64> {
        if let Form::Packed(packed) = self {
            let found = packed.find_name::<ScoredRow<'_>>(member).map(|(span, row)| (span, row.score));
            let before = found.map(|(_, score)| score);
            if before.map(f64::to_bits) == Some(score.to_bits()) {
                return before;
            }
            if let Some((span, _)) = found {
                packed.replace::<ScoredRow<'_>>(span, &[]);
            }
            let key = (order_of(score), member);
            let next = packed.find(|row: ScoredRow<'_>| (order_of(row.score), row.member) > key);
            let place = next.map_or(packed.end(), |(span, _)| span.before());
            if !packed.replace(place, &[ScoredRow { member, score }]) {
                self.grow(order).put(member, score);
            }
            return before;
        }
        self.grow(order).put(member, score)
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Form::Packed(packed) => {
                let found = packed.find_name::<ScoredRow<'_>>(member).map(|(span, _)| span);
                found.is_some_and(|span| packed.replace::<ScoredRow<'_>>(span, &[]))
            }
            Form::Tree(set) => set.remove(member),
        }
    }
}

impl Typed for SortedSetValue {
    fn of(collection: &Collection) -> Option<&Self> {
        if let Collection::SortedSet(set) = collection { Some(set) } else { None }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        if let Collection::SortedSet(set) = collection { Some(set) } else { None }
    }

    fn into_collection(self) -> Collection {
        Collection::SortedSet(self)
    }
}

impl Large for SortedSetTree {
    type Row<'a> = ScoredRow<'a>;

    fn empty(order: MemberOrder) -> Self {
        Self { ranked: Tree::default(), scored: Members::new(order) }
    }

    fn len(&self) -> usize {
        self.ranked.len()
    }

    fn bytes(&self) -> u64 {
        self.ranked.bytes() + self.scored.tree().bytes()
    }

    fn rows_from(&self, rank: usize) -> impl Iterator<Item = ScoredRow<'_>> {
        self.ranked.iter_from(rank).map(Ranked::row)
    }

    fn push(&mut self, row: ScoredRow<'_>) {
        self.put(row.member, row.score);
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.ranked.bury(limit) || self.scored.bury(limit)
    }

    fn check(&self) {
        self.scored.check();
        self.ranked.check(|a, b| (a.key(), a.member.bytes()) < (b.key(), b.member.bytes()));
        base::invariant!("both orders have all members", self.ranked.len() == self.scored.tree().len());
        for found in self.ranked.iter() {
            let scored = self.scored.get(found.member.bytes()).map(|scored| scored.score.to_bits());
            base::invariant!("both orders have one score", scored == Some(found.score.to_bits()));
        }
    }

    fn are_ordered(_: MemberOrder, left: ScoredRow<'_>, right: ScoredRow<'_>) -> bool {
        (order_of(left.score), left.member) < (order_of(right.score), right.member)
    }

    fn row_bytes(row: ScoredRow<'_>) -> usize {
        row.member.len()
    }

    fn digest(row: ScoredRow<'_>, hasher: &mut SipHasher13) {
        digest_bytes(hasher, row.member);
        hasher.write(&row.score.to_bits().to_le_bytes());
    }

    fn value(rows: Vec<ScoredRow<'_>>) -> Value {
        Value::SortedSet(rows.into_iter().map(|row| (row.member.to_vec(), row.score)).collect())
    }

    fn encoding(of: &SortedSetValue, limits: &Encodings) -> &'static str {
        let members = of.rows().map(|row| row.member);
        if limits.sorted_set.fits(of.count(), members) { "listpack" } else { "skiplist" }
    }

    fn take_in(of: &mut SortedSetValue, part: Value, order: MemberOrder) -> Result<(), BadChunk> {
        let Value::SortedSet(members) = part else { return Err(OTHER_TYPE) };
        for (member, score) in members {
            if score.is_nan() {
                return Err(BadChunk("a score that is no number"));
            }
            if of.put(&member, score, order).is_some() {
                return Err(BadChunk("a member that is there already"));
            }
        }
        Ok(())
    }
}

impl SortedSet for SortedSetValue {
    fn len(&self) -> usize {
        self.count()
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Form::Packed(packed) => packed.find_name::<ScoredRow<'_>>(member).map(|(_, row)| row.score),
            Form::Tree(set) => set.scored.get(member).map(|found| found.score),
        }
    }

    fn rank(&self, member: &[u8]) -> Option<usize> {
        match self {
            Form::Packed(_) => self.rows().position(|row| row.member == member),
            Form::Tree(set) => self.score(member).map(|score| set.rank_of(score, member)),
        }
    }

    fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.rows_from(rank).next().map(|row| (row.member, row.score))
    }

    fn count_below(&self, score: f64, inclusive: bool) -> usize {
        let key = order_of(score);
        let is_before = |other: u64| other < key || inclusive && other == key;
        match self {
            Form::Packed(_) => self.rows().take_while(|row| is_before(order_of(row.score))).count(),
            Form::Tree(set) => set.ranked.search(key, |found| is_before(found.key())),
        }
    }

    fn count_below_lex(&self, bound: &[u8], inclusive: bool) -> usize {
        let is_before = |member: &[u8]| member < bound || inclusive && member == bound;
        match self {
            Form::Packed(_) => self.rows().take_while(|row| is_before(row.member)).count(),
            Form::Tree(set) => set.count_before_lex(is_before),
        }
    }

    fn walk(&self, rank: usize, direction: Direction, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        let mut visit = |row: ScoredRow<'_>| visit(row.member, row.score);
        let _ = match (direction, self) {
            (Direction::Forward, _) => self.rows_from(rank).all(visit),
            (Direction::Backward, Form::Tree(set)) => {
                set.ranked.iter_back_from(rank).all(|found| visit(found.row()))
            }
            (Direction::Backward, Form::Packed(packed)) => packed.rows_back_from(rank).all(visit),
        };
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8], f64)) -> Option<u64> {
        match self {
            // Few enough for one step, wherever the scan of what may have been a large one has come to.
            Form::Packed(_) => {
                self.rows().for_each(|row| visit(row.member, row.score));
                None
            }
            Form::Tree(set) => set.scored.scan(cursor, limit, |found| visit(found.name(), found.score)),
        }
    }
}

impl SortedSets for View<'_> {
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType> {
        Ok(self.typed::<SortedSetValue>(key)?.map(|set| set as &dyn SortedSet))
    }

    fn sorted_set_put(&mut self, key: &[u8], members: &[(&[u8], f64)]) -> Result<usize, WrongType> {
        assert!(members.iter().all(|(_, score)| !score.is_nan()), "a score is a number");
        let put = self.edit(key, true, |set: &mut SortedSetValue, order, _| {
            let (mut new, mut changed) = (0, false);
            for &(member, score) in members {
                let before = set.put(member, score, order);
                new += usize::from(before.is_none());
                changed |= before.map(f64::to_bits) != Some(score.to_bits());
            }
            (new, changed)
        })?;
        Ok(put.unwrap_or(0))
    }

    fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let removed = self.edit(key, false, |set: &mut SortedSetValue, _, _| {
            let gone = members.iter().filter(|member| set.remove(member)).count();
            (gone, gone > 0)
        })?;
        Ok(removed.unwrap_or(0))
    }
}
