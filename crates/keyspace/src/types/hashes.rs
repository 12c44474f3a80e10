//! Hashes: fields with values in the order of the fields' keyed hash, and beside them the deadlines of those that have one.

use super::members::{Members, Named};
use super::{Collection, Contents, Dues, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::part::{Budget, Cursor};
use crate::position::MemberOrder;
use crate::rdb::{HashField, Value};
use crate::tree::{Element, Tree, place_bytes};
use crate::view::View;
use base::UnixMillis;
use base::database::{Database, Expiry, Hash, Hashes, WrongType};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

#[derive(Clone, Debug)]
pub(crate) struct Field {
    hash: u64,
    name: Blob,
    value: Blob,
    until: Option<UnixMillis>,
}

/// A field's deadline, and the hash by which the field is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: UnixMillis,
    hash: u64,
}

impl Element for Field {
    type Key = u64;

    fn key(&self) -> u64 {
        self.hash
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.name.heap_bytes() + self.value.heap_bytes()
    }
}

impl Named for Field {
    fn name(&self) -> &[u8] {
        self.name.bytes()
    }
}

impl Element for Due {
    type Key = Self;

    fn key(&self) -> Self {
        *self
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>()
    }
}

impl Field {
    fn is_live(&self, now: UnixMillis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct HashValue {
    fields: Members<Field>,
    /// Earliest first. Fields with one deadline and one hash have each their own.
    due: Tree<Due>,
}

impl HashValue {
    /// How many fields have expired at `now` and aren't removed.
    fn count_due(&self, now: UnixMillis) -> usize {
        let key = Due { at: now, hash: u64::MAX };
        self.due.search(key, |due| due.at <= now)
    }

    pub(super) fn is_gone(&self, now: UnixMillis) -> bool {
        self.fields.tree().len() == self.count_due(now)
    }

    pub(super) fn dues(&self) -> Dues {
        let all_are_volatile = self.due.len() == self.fields.tree().len();
        Dues {
            first: self.due.first().map(|due| due.at),
            all: if all_are_volatile { self.due.last().map(|due| due.at) } else { None },
        }
    }

    fn add_due(&mut self, until: Option<UnixMillis>, hash: u64) {
        let Some(at) = until else { return };
        let new = Due { at, hash };
        let rank = self.due.search(new, |due| *due < new);
        self.due.insert(rank, new);
    }

    fn forget_due(&mut self, until: Option<UnixMillis>, hash: u64) {
        let Some(at) = until else { return };
        let old = Due { at, hash };
        let rank = self.due.search(old, |due| *due < old);
        let known = self.due.get(rank) == Some(&old);
        base::invariant!("every volatile field has its deadline", known);
        self.due.remove(rank);
    }

    /// Gives a field its value and deadline, whatever it had.
    pub(crate) fn put(&mut self, name: &[u8], value: &[u8], until: Option<UnixMillis>) {
        let hash = self.fields.hash(name);
        let field = Field { hash, name: Blob::new(name), value: Blob::new(value), until };
        let before = self.fields.put(field).and_then(|old| old.until);
        if before != until {
            self.forget_due(before, hash);
            self.add_due(until, hash);
        }
    }

    /// Takes a field out; whether it was there at `now`.
    fn remove(&mut self, name: &[u8], now: UnixMillis) -> bool {
        let Some(field) = self.fields.remove(name) else { return false };
        self.forget_due(field.until, field.hash);
        field.is_live(now)
    }

    /// Takes out the fields that have expired at `now`; how many.
    pub(crate) fn remove_due(&mut self, now: UnixMillis) -> usize {
        let count = self.count_due(now);
        for due in self.due.remove_range(0, count).iter() {
            let removed = self.fields.remove_hashed(due.hash, |field| field.until == Some(due.at));
            base::invariant!("a deadline belongs to a field", removed.is_some());
        }
        count
    }

    fn live(&self, name: &[u8], now: UnixMillis) -> Option<&Field> {
        self.fields.get(name).filter(|field| field.is_live(now))
    }
}

impl Typed for HashValue {
    fn empty(order: MemberOrder) -> Self {
        Self { fields: Members::new(order), due: Tree::default() }
    }

    fn of(collection: &Collection) -> Option<&Self> {
        if let Collection::Hash(hash) = collection { Some(hash) } else { None }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        if let Collection::Hash(hash) = collection { Some(hash) } else { None }
    }

    fn into_collection(self) -> Collection {
        Collection::Hash(self)
    }
}

impl Contents for HashValue {
    fn count(&self) -> usize {
        self.fields.tree().len()
    }

    fn element_bytes(&self) -> u64 {
        self.fields.tree().bytes() + self.due.bytes()
    }

    fn encoding(&self, limits: &Encodings) -> &'static str {
        let fields = self.fields.tree().iter();
        let words = fields.flat_map(|field| [field.name(), field.value.bytes()]);
        if limits.hash.fits(self.count(), words) { "listpack" } else { "hashtable" }
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        for field in self.fields.tree().iter() {
            digest_bytes(hasher, field.name());
            digest_bytes(hasher, field.value.bytes());
            hasher.write(&[u8::from(field.until.is_some())]);
            hasher.write(&field.until.map_or(0, |until| until.0).to_le_bytes());
        }
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let part: Vec<HashField> = self
            .fields
            .tree()
            .iter_from(cursor.rank)
            .take_while(|field| budget.take(field.name().len() + field.value.bytes().len()))
            .map(|field| HashField {
                field: field.name().to_vec(),
                value: field.value.bytes().to_vec(),
                expires_at: field.until,
            })
            .collect();
        let rank = cursor.rank + part.len();
        (Value::Hash(part), (rank < self.count()).then_some(Cursor { rank, ..cursor }))
    }

    fn take_in(&mut self, part: Value) -> Result<(), BadChunk> {
        let Value::Hash(fields) = part else { return Err(OTHER_TYPE) };
        for HashField { field, value, expires_at } in fields {
            if self.fields.get(&field).is_some() {
                return Err(BadChunk("a field that is there already"));
            }
            self.put(&field, &value, expires_at);
        }
        Ok(())
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.fields.bury(limit) || self.due.bury(limit)
    }

    fn check(&self) {
        self.fields.check();
        self.due.check(|a, b| a <= b);
        let mut dues: Vec<Due> = self
            .fields
            .tree()
            .iter()
            .filter_map(|field| field.until.map(|at| Due { at, hash: field.hash }))
            .collect();
        dues.sort_unstable();
        base::invariant!("the volatile fields, and no others, have deadlines", self.due.iter().eq(&dues));
    }
}

impl Hash for HashValue {
    fn len(&self, now: UnixMillis) -> usize {
        self.count() - self.count_due(now)
    }

    fn get(&self, field: &[u8], now: UnixMillis) -> Option<&[u8]> {
        self.live(field, now).map(|field| field.value.bytes())
    }

    fn expires_at(&self, field: &[u8], now: UnixMillis) -> Option<Option<UnixMillis>> {
        self.live(field, now).map(|field| field.until)
    }

    fn at(&self, index: usize, now: UnixMillis) -> Option<(&[u8], &[u8])> {
        let field = if self.count_due(now) == 0 {
            self.fields.tree().get(index)
        } else {
            self.fields.tree().iter().filter(|field| field.is_live(now)).nth(index)
        };
        field.map(|field| (field.name(), field.value.bytes()))
    }

    fn walk(&self, now: UnixMillis, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let mut live = self.fields.tree().iter().filter(|field| field.is_live(now));
        let _ = live.all(|field| visit(field.name(), field.value.bytes()));
    }

    fn scan(
        &self,
        cursor: u64,
        limit: usize,
        now: UnixMillis,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        // Expired fields count, so that a scan over a million of them is no pause.
        self.fields.scan(cursor, limit, |field| {
            if field.is_live(now) {
                visit(field.name(), field.value.bytes());
            }
        })
    }
}

impl Hashes for View<'_> {
    fn hash(&self, key: &[u8]) -> Result<Option<&dyn Hash>, WrongType> {
        Ok(self.typed::<HashValue>(key)?.map(|hash| hash as &dyn Hash))
    }

    fn hash_set(
        &mut self,
        key: &[u8],
        fields: &[(&[u8], &[u8])],
        expiry: Expiry,
    ) -> Result<usize, WrongType> {
        let now = self.now();
        let set = self.edit(key, true, |hash: &mut HashValue, _| {
            let mut new = 0;
            for (field, value) in fields {
                let before = hash.expires_at(field, now);
                new += usize::from(before.is_none());
                let until = match expiry {
                    Expiry::Keep => before.flatten(),
                    Expiry::Clear => None,
                    Expiry::At(until) => Some(until),
                };
                if until.is_some_and(|until| until <= now) {
                    hash.remove(field, now);
                } else {
                    hash.put(field, value, until);
                }
            }
            (new, !fields.is_empty())
        })?;
        Ok(set.unwrap_or(0))
    }

    fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType> {
        let now = self.now();
        let removed = self.edit(key, false, |hash: &mut HashValue, _| {
            let before = hash.count();
            let gone = fields.iter().filter(|field| hash.remove(field, now)).count();
            // One that had expired may have gone, too.
            (gone, hash.count() < before)
        })?;
        Ok(removed.unwrap_or(0))
    }

    fn hash_set_expiry(
        &mut self,
        key: &[u8],
        field: &[u8],
        at: Option<UnixMillis>,
    ) -> Result<bool, WrongType> {
        let now = self.now();
        let set = self.edit(key, false, |hash: &mut HashValue, _| {
            let Some(found) = hash.live(field, now) else { return (false, false) };
            if at.is_some_and(|at| at <= now) {
                hash.remove(field, now);
            } else {
                let value = found.value.clone();
                hash.put(field, value.bytes(), at);
            }
            (true, true)
        })?;
        Ok(set.unwrap_or(false))
    }
}
