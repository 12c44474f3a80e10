//! Sets: members in the order of their keyed hash.

use super::members::{Members, Named};
use super::{Collection, Contents, OTHER_TYPE, Typed, digest_bytes};
use crate::blob::Blob;
use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::part::{Budget, Cursor};
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

#[derive(Clone, Debug)]
pub(crate) struct SetValue(Members<Member>);

impl SetValue {
    fn member(&self, bytes: &[u8]) -> Member {
        Member { hash: self.0.hash(bytes), bytes: Blob::new(bytes) }
    }
}

impl Typed for SetValue {
    fn empty(order: MemberOrder) -> Self {
        Self(Members::new(order))
    }

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

impl Contents for SetValue {
    fn count(&self) -> usize {
        self.0.tree().len()
    }

    fn element_bytes(&self) -> u64 {
        self.0.tree().bytes()
    }

    fn encoding(&self, limits: &Encodings) -> &'static str {
        let members = || self.0.tree().iter().map(Named::name);
        let count = self.count();
        if count <= limits.set_intset_entries && members().all(|member| rdb::integer(member).is_some()) {
            "intset"
        } else if limits.set.fits(count, members()) {
            "listpack"
        } else {
            "hashtable"
        }
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        self.0.tree().iter().for_each(|member| digest_bytes(hasher, member.name()));
    }

    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>) {
        let mut budget = Budget::new(budget_bytes);
        let members = self.0.tree().iter_from(cursor.rank).map(Named::name);
        let part: Vec<Vec<u8>> =
            members.take_while(|member| budget.take(member.len())).map(<[u8]>::to_vec).collect();
        let rank = cursor.rank + part.len();
        (Value::Set(part), (rank < self.count()).then_some(Cursor { rank, ..cursor }))
    }

    fn take_in(&mut self, part: Value) -> Result<(), BadChunk> {
        let Value::Set(members) = part else { return Err(OTHER_TYPE) };
        for member in members {
            let member = self.member(&member);
            if !self.0.add(member) {
                return Err(BadChunk("a member that is there already"));
            }
        }
        Ok(())
    }

    fn bury(&mut self, limit: usize) -> bool {
        self.0.bury(limit)
    }

    fn check(&self) {
        self.0.check();
    }
}

impl Set for SetValue {
    fn len(&self) -> usize {
        self.count()
    }

    fn contains(&self, member: &[u8]) -> bool {
        self.0.get(member).is_some()
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.tree().get(index).map(Named::name)
    }

    fn walk(&self, visit: &mut dyn FnMut(&[u8]) -> bool) {
        let _ = self.0.tree().iter().all(|member| visit(member.name()));
    }

    fn scan(&self, cursor: u64, limit: usize, visit: &mut dyn FnMut(&[u8])) -> Option<u64> {
        self.0.scan(cursor, limit, |member| visit(member.name()))
    }
}

impl Sets for View<'_> {
    fn set(&self, key: &[u8]) -> Result<Option<&dyn Set>, WrongType> {
        Ok(self.typed::<SetValue>(key)?.map(|set| set as &dyn Set))
    }

    fn set_add(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let added = self.edit(key, true, |set: &mut SetValue, _| {
            let mut new = 0;
            for member in members {
                let member = set.member(member);
                new += usize::from(set.0.add(member));
            }
            (new, new > 0)
        })?;
        Ok(added.unwrap_or(0))
    }

    fn set_remove(&mut self, key: &[u8], members: &[&[u8]]) -> Result<usize, WrongType> {
        let removed = self.edit(key, false, |set: &mut SetValue, _| {
            let gone = members.iter().filter(|member| set.0.remove(member).is_some()).count();
            (gone, gone > 0)
        })?;
        Ok(removed.unwrap_or(0))
    }
}
