//! Hashes: fields with values in the order of the fields' keyed hash, and beside them the deadlines of those that have one.

use super::form::{Form, Large};
use super::members::{Members, Named};
use super::{Collection, Dues, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::packed::FieldRow;
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

/// A hash with many fields.
#[derive(Clone, Debug)]
pub(crate) struct HashTree {
    fields: Members<Field>,
    /// Earliest first. Fields with one deadline and one hash have each their own.
    due: Tree<Due>,
}

/// A hash.
pub(crate) type HashValue = Form<HashTree>;

impl Field {
    fn row(&self) -> FieldRow<'_> {
        FieldRow { name: self.name.bytes(), value: self.value.bytes(), until: self.until }
    }
}

impl FieldRow<'_> {
    fn is_live(&self, now: UnixMillis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl HashTree {
    fn count_due(&self, now: UnixMillis) -> usize {
        let key = Due { at: now, hash: u64::MAX };
        self.due.search(key, |due| due.at <= now)
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

    fn put(&mut self, row: FieldRow<'_>) {
        let FieldRow { name, value, until } = row;
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
        field.row().is_live(now)
    }

    fn remove_due(&mut self, now: UnixMillis) -> usize {
        let count = self.count_due(now);
        for due in self.due.remove_range(0, count).iter() {
            let removed = self.fields.remove_hashed(due.hash, |field| field.until == Some(due.at));
            base::invariant!("a deadline belongs to a field", removed.is_some());
        }
        count
    }
}

impl HashValue {
    /// How many fields have expired at `now` and aren't removed.
    fn count_due(&self, now: UnixMillis) -> usize {
        match self {
            Form::Packed(packed) if packed.is_marked() => self.rows().filter(|row| !row.is_live(now)).count(),
            Form::Packed(_) => 0,
            Form::Tree(hash) => hash.count_due(now),
        }
    }

    pub(super) fn is_gone(&self, now: UnixMillis) -> bool {
        self.count() == self.count_due(now)
    }

    pub(super) fn dues(&self) -> Dues {
        match self {
            Form::Packed(packed) if packed.is_marked() => {
                let untils = || self.rows().map(|row| row.until);
                let all_are_volatile = untils().all(|until| until.is_some());
                Dues {
                    first: untils().flatten().min(),
                    all: if all_are_volatile { untils().flatten().max() } else { None },
                }
            }
            Form::Packed(_) => Dues::default(),
            Form::Tree(hash) => {
                let all_are_volatile = hash.due.len() == hash.len();
                Dues {
                    first: hash.due.first().map(|due| due.at),
                    all: if all_are_volatile { hash.due.last().map(|due| due.at) } else { None },
                }
            }
        }
    }

    /// Gives a field its value and deadline, whatever it had.
    fn put(&mut self, row: FieldRow<'_>, order: MemberOrder) {
        if let Form::Packed(packed) = self {
            let place = match packed.locate::<FieldRow<'_>>(order, row.name) {
                Ok((span, _)) => span,
                Err(place) => place,
            };
            if packed.replace(place, &[row]) {
                return;
            }
        }
        self.grow(order).put(row);
    }

    /// Takes a field out; whether it was there at `now`.
    fn remove(&mut self, name: &[u8], now: UnixMillis) -> bool {
        match self {
            Form::Packed(packed) => {
                let Some((span, row)) = packed.find_name::<FieldRow<'_>>(name) else { return false };
                let was_live = row.is_live(now);
                packed.replace::<FieldRow<'_>>(span, &[]);
                was_live
            }
            Form::Tree(hash) => hash.remove(name, now),
        }
    }

    /// Takes out the fields that have expired at `now`; how many.
    pub(crate) fn remove_due(&mut self, now: UnixMillis) -> usize {
        match self {
            Form::Packed(packed) => {
                let before = packed.len();
                while let Some((span, _)) = packed.find(|row: FieldRow<'_>| !row.is_live(now)) {
                    packed.replace::<FieldRow<'_>>(span, &[]);
                }
                before - packed.len()
            }
            Form::Tree(hash) => hash.remove_due(now),
        }
    }

    fn find(&self, name: &[u8]) -> Option<FieldRow<'_>> {
        match self {
            Form::Packed(packed) => packed.find_name::<FieldRow<'_>>(name).map(|(_, row)| row),
            Form::Tree(hash) => hash.fields.get(name).map(Field::row),
        }
    }

    fn live(&self, name: &[u8], now: UnixMillis) -> Option<FieldRow<'_>> {
        self.find(name).filter(|row| row.is_live(now))
    }
}

impl Typed for HashValue {
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

impl Large for HashTree {
    type Row<'a> = FieldRow<'a>;

    fn empty(order: MemberOrder) -> Self {
        Self { fields: Members::new(order), due: Tree::default() }
    }

    fn len(&self) -> usize {
        self.fields.tree().len()
    }

    fn bytes(&self) -> u64 {
        self.fields.tree().bytes() + self.due.bytes()
    }

    fn rows_from(&self, rank: usize) -> impl Iterator<Item = FieldRow<'_>> {
        self.fields.tree().iter_from(rank).map(Field::row)
    }

    fn push(&mut self, row: FieldRow<'_>) {
        self.put(row);
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

    fn are_ordered(order: MemberOrder, left: FieldRow<'_>, right: FieldRow<'_>) -> bool {
        (order.of(left.name), left.name) < (order.of(right.name), right.name)
    }

    fn row_bytes(row: FieldRow<'_>) -> usize {
        row.name.len() + row.value.len()
    }

    fn digest(row: FieldRow<'_>, hasher: &mut SipHasher13) {
        digest_bytes(hasher, row.name);
        digest_bytes(hasher, row.value);
        hasher.write(&[u8::from(row.until.is_some())]);
        hasher.write(&row.until.map_or(0, |until| until.0).to_le_bytes());
    }

    fn value(rows: Vec<FieldRow<'_>>) -> Value {
        let fields = rows.into_iter().map(|row| HashField {
            field: row.name.to_vec(),
            value: row.value.to_vec(),
            expires_at: row.until,
        });
        Value::Hash(fields.collect())
    }

    fn encoding(of: &HashValue, limits: &Encodings) -> &'static str {
        let words = of.rows().flat_map(|row| [row.name, row.value]);
        if limits.hash.fits(of.count(), words) { "listpack" } else { "hashtable" }
    }

    fn take_in(of: &mut HashValue, part: Value, order: MemberOrder) -> Result<(), BadChunk> {
        let Value::Hash(fields) = part else { return Err(OTHER_TYPE) };
        for HashField { field, value, expires_at } in &fields {
            if of.find(field).is_some() {
                return Err(BadChunk("a field that is there already"));
            }
            of.put(FieldRow { name: field, value, until: *expires_at }, order);
        }
        Ok(())
    }
}

impl Hash for HashValue {
    fn len(&self, now: UnixMillis) -> usize {
        self.count() - self.count_due(now)
    }

    fn get(&self, field: &[u8], now: UnixMillis) -> Option<&[u8]> {
        self.live(field, now).map(|row| row.value)
    }

    fn expires_at(&self, field: &[u8], now: UnixMillis) -> Option<Option<UnixMillis>> {
        self.live(field, now).map(|row| row.until)
    }

    fn at(&self, index: usize, now: UnixMillis) -> Option<(&[u8], &[u8])> {
        let row = if self.count_due(now) == 0 {
            self.rows_from(index).next()
        } else {
            self.rows().filter(|row| row.is_live(now)).nth(index)
        };
        row.map(|row| (row.name, row.value))
    }

    fn walk(&self, now: UnixMillis, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let mut live = self.rows().filter(|row| row.is_live(now));
        let _ = live.all(|row| visit(row.name, row.value));
    }

    fn scan(
        &self,
        cursor: u64,
        limit: usize,
        now: UnixMillis,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        // Expired fields count, so that a scan over a million of them is no pause.
        let mut visit_live = |row: FieldRow<'_>| {
            if row.is_live(now) {
                visit(row.name, row.value);
            }
        };
        match self {
            // Few enough for one step, wherever the scan of what may have been a large one has come to.
            Form::Packed(_) => {
                self.rows().for_each(visit_live);
                None
            }
            Form::Tree(hash) => hash.fields.scan(cursor, limit, |field| visit_live(field.row())),
        }
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
        let set = self.edit(key, true, |hash: &mut HashValue, order, _| {
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
                    hash.put(FieldRow { name: field, value, until }, order);
                }
            }
            (new, !fields.is_empty())
        })?;
        Ok(set.unwrap_or(0))
    }

    fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType> {
        let now = self.now();
        let removed = self.edit(key, false, |hash: &mut HashValue, _, _| {
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
        let set = self.edit(key, false, |hash: &mut HashValue, order, _| {
            let Some(found) = hash.live(field, now) else { return (false, false) };
            if at.is_some_and(|at| at <= now) {
                hash.remove(field, now);
            } else {
                let value = found.value.to_vec();
                hash.put(FieldRow { name: field, value: &value, until: at }, order);
            }
            (true, true)
        })?;
        Ok(set.unwrap_or(false))
    }
}
