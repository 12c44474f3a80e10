//! Sets: members in the order of their keyed hash.

use super::form::{Form, Large};
use super::members::{Members, Named};
use super::{Collection, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::position::MemberOrder;
use crate::rdb::{self, Value};
use crate::tree::{Element, place_bytes};
use crate::view::View;
use base::database::{Set, Sets, WrongType};
use siphasher::sip::SipHasher13;

#[derive(Clone, Debug)]
pub(crate) struct Member {
    hash: u64,
    bytes: Blob,
}

impl Element for Member {
    type Key = u64;

    fn key(&self) -> u64 {
        self.hash
    }

    fn bytes(&self) -> u64 {
        place_bytes::<Self>() + self.bytes.heap_bytes()
    }
}

impl Named for Member {
    fn name(&self) -> &[u8] {
        self.bytes.bytes()
    }
}

/// A set with many members.
#[derive(Clone, Debug)]
pub(crate) struct SetTree(Members<Member>);

/// A set.
pub(crate) type SetValue = Form<SetTree>;

impl SetTree {
    fn member(&self, bytes: &[u8]) -> Member {
        Member { hash: self.0.hash(bytes), bytes: Blob::new(bytes) }
    }
}

impl SetValue {
    /// Adds a member unless it is there; whether it was added.
    fn add(&mut self, member: &[u8], order: MemberOrder) -> bool {
        if let Form::Packed(packed) = self {
            let Err(place) = packed.locate::<&[u8]>(order, member) else { return false };
            if packed.replace(place, &[member]) {
                return true;
            }
        }
        let set = self.grow(order);
        let member = set.member(member);
        set.0.add(member)
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Form::Packed(packed) => {
                let found = packed.find_name::<&[u8]>(member).map(|(span, _)| span);
                found.is_some_and(|span| packed.replace::<&[u8]>(span, &[]))
            }
            Form::Tree(set) => set.0.remove(member).is_some(),
        }
    }
}

impl Typed for SetValue {
    fn of(collection: &Collection) -> Option<&Self> {
        if let Collection::Set(set) = collection { Some(set) } else { None }
    }

    fn of_mut(collection: &mut Collection) -> Option<&mut Self> {
        if let Collection::Set(set) = collection { Some(set) } else { None }
    }

    fn into_collection(self) -> Collection {
        Collection::Set(self)
    }
}

impl Large for SetTree {
    type Row<'a> = &'a [u8];

    fn empty(order: MemberOrder) -> Self {
        Self(Members::new(order))
    }

    fn len(&self) -> usize {
        self.0.tree().len()
    }

    fn bytes(&self) -> u64 {
        self.0.tree().bytes()
    }

    fn rows_from(&self, rank: usize) -> impl Iterator<Item = &[u8]> {
        self.0.tree().iter_from(rank).map(Named::name)
    }

    fn push(&mut self, row: &[u8]) {
        let member = self.member(row);
        self.0.add(member);
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.0.bury(limit)
    }

    fn check(&self) {
        self.0.check();
    }

    fn are_ordered(order: MemberOrder, left: &[u8], right: &[u8]) -> bool {
        (order.of(left), left) < (order.of(right), right)
    }

    fn row_bytes(row: &[u8]) -> usize {
        row.len()
    }

    fn digest(row: &[u8], hasher: &mut SipHasher13) {
        digest_bytes(hasher, row);
    }

    fn value(rows: Vec<&[u8]>) -> Value {
        Value::Set(rows.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn encoding(of: &SetValue, limits: &Encodings) -> &'static str {
        let count = of.count();
        if count <= limits.set_intset_entries && of.rows().all(|member| rdb::integer(member).is_some()) {
            "intset"
        } else if limits.set.fits(count, of.rows()) {
            "listpack"
        } else {
            "hashtable"
        }
    }

    fn take_in(of: &mut SetValue, part: Value, order: MemberOrder) -> Result<(), BadChunk> {
        let Value::Set(members) = part else { return Err(OTHER_TYPE) };
        for member in members {
            if !of.add(&member, order) {
                return Err(BadChunk("a member that is there already"));
            }
        }
        Ok(())
    }
}

impl Set for SetValue {
    fn len(&self) -> usize {
        self.count()
    }

    fn contains(&self, member: &[u8]) -> bool {
        match self {
            Form::Packed(packed) => packed.find_name::<&[u8]>(member).is_some(),
            Form::Tree(set) => set.0.get(member).is_some(),
        }
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.rows_from(index).next()
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8]) -> bool) {
        let _ = self.rows().all(visit);
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8])) -> Option<u64> {
        match self {
            // Few enough for one step, wherever the scan of what may have been a large one has come to.
            Form::Packed(_) => {
                self.rows().for_each(visit);
                None
            }
            Form::Tree(set) => set.0.scan(cursor, limit, |member| visit(member.name())),
        }
    }
}

impl Sets for View<'_> {
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType> {
        Ok(self.typed::<SetValue>(key)?.map(|set| set as &dyn Set))
    }

    fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let added = self.edit(key, true, |set: &mut SetValue, order, _| {
            let new = members.iter().filter(|member| set.add(member, order)).count();
            (new, new > 0)
        })?;
        Ok(added.unwrap_or(0))
    }

    fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let removed = self.edit(key, false, |set: &mut SetValue, _, _| {
            let gone = members.iter().filter(|member| set.remove(member)).count();
            (gone, gone > 0)
        })?;
        Ok(removed.unwrap_or(0))
    }
}
