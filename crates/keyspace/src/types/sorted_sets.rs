//! Sorted sets: members ordered by score and bytes, and beside that by their keyed hash, by which a score is found.

use super::members::{Members, Named};
use super::{Collection, Contents, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::part::{Budget, Cursor};
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

#[derive(Clone, Debug)]
pub(crate) struct SortedSetValue {
    ranked: Tree<Ranked>,
    scored: Members<Scored>,
}

impl SortedSetValue {
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
    pub(crate) fn put(&mut self, member: &[u8], score: f64) -> Option<f64> {
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
}

impl Typed for SortedSetValue {
    fn empty(order: MemberOrder) -> Self {
        Self { ranked: Tree::default(), scored: Members::new(order) }
    }

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

impl Contents for SortedSetValue {
    fn count(&self) -> usize {
        self.ranked.len()
    }

    fn element_bytes(&self) -> u64 {
        self.ranked.bytes() + self.scored.tree().bytes()
    }

    fn encoding(&self, limits: &Encodings) -> &'static str {
        let members = self.ranked.iter().map(|found| found.member.bytes());
        if limits.sorted_set.fits(self.count(), members) { "listpack" } else { "skiplist" }
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        for found in self.ranked.iter() {
            digest_bytes(hasher, found.member.bytes());
            hasher.write(&found.score.to_bits().to_le_bytes());
        }
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let part: Vec<(Vec<u8>, f64)> = self
            .ranked
            .iter_from(cursor.rank)
            .take_while(|found| budget.take(found.member.bytes().len()))
            .map(|found| (found.member.bytes().to_vec(), found.score))
            .collect();
        let rank = cursor.rank + part.len();
        (Value::SortedSet(part), (rank < self.count()).then_some(Cursor { rank, ..cursor }))
    }

    fn take_in(&mut self, part: Value) -> Result<(), BadChunk> {
        let Value::SortedSet(members) = part else { return Err(OTHER_TYPE) };
        for (member, score) in members {
            if score.is_nan() {
                return Err(BadChunk("a score that is no number"));
            }
            if self.put(&member, score).is_some() {
                return Err(BadChunk("a member that is there already"));
            }
        }
        Ok(())
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
}

impl SortedSet for SortedSetValue {
    fn len(&self) -> usize {
        self.count()
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.scored.get(member).map(|found| found.score)
    }

    fn rank(&self, member: &[u8]) -> Option<usize> {
        self.score(member).map(|score| self.rank_of(score, member))
    }

    fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.ranked.get(rank).map(|found| (found.member.bytes(), found.score))
    }

    fn count_below(&self, score: f64, inclusive: bool) -> usize {
        let key = order_of(score);
        self.ranked.search(key, |found| found.key() < key || inclusive && found.key() == key)
    }

    fn count_below_lex(&self, bound: &[u8], inclusive: bool) -> usize {
        let (Some(first), Some(last)) = (self.ranked.first(), self.ranked.last()) else { return 0 };
        let is_before =
            |found: &Ranked| found.member.bytes() < bound || inclusive && found.member.bytes() == bound;
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

    fn walk(&self, rank: usize, direction: Direction, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        let mut visit = |found: &Ranked| visit(found.member.bytes(), found.score);
        let _ = match direction {
            Direction::Forward => self.ranked.iter_from(rank).all(&mut visit),
            Direction::Backward => self.ranked.iter_back_from(rank).all(&mut visit),
        };
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8], f64)) -> Option<u64> {
        self.scored.scan(cursor, limit, |found| visit(found.name(), found.score))
    }
}

impl SortedSets for View<'_> {
    fn sorted_set(&self, key: &[u8]) -> Result<Option<&dyn SortedSet>, WrongType> {
        Ok(self.typed::<SortedSetValue>(key)?.map(|set| set as &dyn SortedSet))
    }

    fn sorted_set_put(&mut self, key: &[u8], members: &[(&[u8], f64)]) -> Result<usize, WrongType> {
        assert!(members.iter().all(|(_, score)| !score.is_nan()), "a score is a number");
        let put = self.edit(key, true, |set: &mut SortedSetValue, _| {
            let (mut new, mut changed) = (0, false);
            for &(member, score) in members {
                let before = set.put(member, score);
                new += usize::from(before.is_none());
                changed |= before.map(f64::to_bits) != Some(score.to_bits());
            }
            (new, changed)
        })?;
        Ok(put.unwrap_or(0))
    }

    fn sorted_set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let removed = self.edit(key, false, |set: &mut SortedSetValue, _| {
            let gone = members.iter().filter(|member| set.remove(member)).count();
            (gone, gone > 0)
        })?;
        Ok(removed.unwrap_or(0))
    }
}
