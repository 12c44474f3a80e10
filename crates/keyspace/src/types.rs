//! Lists, sets, hashes, sorted sets and streams: what each keeps, and how commands read and change it. Large ones are
//! persistent trees ([`tree`](crate::tree)), small ones are packed ([`packed`](crate::packed)): to copy one takes a step,
//! whatever it holds.

use crate::chunk::BadChunk;
use crate::encodings::Encodings;
use crate::graveyard::Graveyard;
use crate::part::Cursor;
use crate::position::MemberOrder;
use crate::rdb::Value;
use crate::view::View;
use base::UnixMillis;
use base::database::{Kind, WrongType};
use hashes::HashValue;
use lists::ListValue;
use sets::SetValue;
use siphasher::sip::SipHasher13;
use sorted_sets::SortedSetValue;
use std::hash::Hasher;
use streams::StreamValue;

/// Packed or a tree.
mod form;
pub(crate) mod hashes;
pub(crate) mod lists;
/// What is found by its name, in the order of a keyed hash.
mod members;
pub(crate) mod sets;
pub(crate) mod sorted_sets;
pub(crate) mod streams;

/// What a collection that isn't packed takes beside its elements: its place, the allocations of its trees, the room for growth.
const COLLECTION_BYTES: u64 = 160;
/// Fewer elements than this are freed at once.
const FREED_AT_ONCE_MAX: usize = 128;

/// The value of a key that isn't a string. To clone it takes a step.
#[derive(Clone, Debug)]
pub(crate) enum Collection {
    List(ListValue),
    Set(SetValue),
    Hash(HashValue),
    SortedSet(SortedSetValue),
    Stream(Box<StreamValue>),
}

/// One of the types of collection.
pub(crate) trait Typed: Default {
    fn of(collection: &Collection) -> Option<&Self>;
    fn of_mut(collection: &mut Collection) -> Option<&mut Self>;
    fn into_collection(self) -> Collection;
}

/// What all types can do; the enum passes it on.
pub(crate) trait Contents {
    /// How many elements there are, those that have expired included.
    fn count(&self) -> usize;
    /// What it costs in memory, beside its key. A function of the state: replicas agree.
    fn cost(&self) -> u64;
    /// Takes the form that its size asks for, after a change.
    fn settle(&mut self);
    /// What OBJECT ENCODING answers.
    fn encoding(&self, limits: &Encodings) -> &'static str;
    /// Feeds all that is state, in order.
    fn digest(&self, hasher: &mut SipHasher13);
    /// A value of the elements from `cursor` on, at least one if there is any, up to about `budget_bytes`; where to go on,
    /// if anything is left.
    fn part(&self, cursor: Cursor, budget_bytes: usize) -> (Value, Option<Cursor>);
    /// Takes in the elements of a value of the same type.
    fn take_in(&mut self, part: Value, order: MemberOrder) -> Result<(), BadChunk>;
    /// Frees about `limit` elements; whether any are left.
    fn bury(&mut self, limit: usize) -> bool;
    /// Panics if an invariant is broken.
    fn check(&self, order: MemberOrder);
}

/// A part is of another type than the collection that it comes to.
pub(crate) const OTHER_TYPE: BadChunk = BadChunk("parts of different types of one key");

/// Feeds bytes so that they can't be taken for others.
pub(crate) fn digest_bytes(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
}

impl Collection {
    /// An empty one.
    pub(crate) fn empty(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::String => return None,
            Kind::List => ListValue::default().into_collection(),
            Kind::Set => SetValue::default().into_collection(),
            Kind::Hash => HashValue::default().into_collection(),
            Kind::SortedSet => SortedSetValue::default().into_collection(),
            Kind::Stream => StreamValue::default().into_collection(),
        })
    }

    /// What this value says; nothing if it is a string, or has an element twice.
    pub(crate) fn of_value(value: Value, order: MemberOrder) -> Option<Self> {
        let mut collection = Self::empty(value.kind())?;
        collection.contents_mut().take_in(value, order).ok()?;
        Some(collection)
    }

    /// All of it, free of how it is kept.
    pub(crate) fn value(&self) -> Value {
        let (value, rest) = self.contents().part(Cursor::default(), usize::MAX);
        base::invariant!("all of a collection is one part", rest.is_none());
        value
    }

    pub(crate) fn contents(&self) -> &dyn Contents {
        match self {
            Collection::List(list) => list,
            Collection::Set(set) => set,
            Collection::Hash(hash) => hash,
            Collection::SortedSet(set) => set,
            Collection::Stream(stream) => &**stream,
        }
    }

    pub(crate) fn contents_mut(&mut self) -> &mut dyn Contents {
        match self {
            Collection::List(list) => list,
            Collection::Set(set) => set,
            Collection::Hash(hash) => hash,
            Collection::SortedSet(set) => set,
            Collection::Stream(stream) => &mut **stream,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Collection::List(_) => Kind::List,
            Collection::Set(_) => Kind::Set,
            Collection::Hash(_) => Kind::Hash,
            Collection::SortedSet(_) => Kind::SortedSet,
            Collection::Stream(_) => Kind::Stream,
        }
    }

    /// What it costs in memory, beside its key.
    pub(crate) fn cost(&self) -> u64 {
        self.contents().cost()
    }

    /// Whether its key goes, as nothing is left in it at `now`. An empty stream stays.
    pub(crate) fn is_gone(&self, now: UnixMillis) -> bool {
        match self {
            Collection::Stream(_) => false,
            Collection::Hash(hash) => hash.is_gone(now),
            _ => self.contents().count() == 0,
        }
    }

    /// When the fields of a hash expire.
    pub(crate) fn dues(&self) -> Dues {
        match self {
            Collection::Hash(hash) => hash.dues(),
            _ => Dues::default(),
        }
    }

    /// Gives it to be freed: at once, or little by little where it is large.
    pub(crate) fn retire(self, graveyard: &mut Graveyard) {
        let elements = match &self {
            Collection::Stream(stream) => stream.elements(),
            _ => self.contents().count(),
        };
        if elements > FREED_AT_ONCE_MAX {
            graveyard.bury_collection(self);
        }
    }
}

/// When fields of a hash expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dues {
    /// The first of them.
    pub(crate) first: Option<UnixMillis>,
    /// All of them: from then on the hash isn't there. `None` while a field lives for ever.
    pub(crate) all: Option<UnixMillis>,
}

/// The collections of one database. Where one is kept depends on the past and is nobody else's business: records refer to
/// it, and nothing that replicas compare does.
#[derive(Debug, Default)]
pub(crate) struct Collections {
    /// Many small arrays, so that growing never moves all.
    pages: Vec<Vec<Option<Collection>>>,
    free: Vec<u32>,
}

const PAGE: usize = 256;

fn place(reference: u32) -> (usize, usize) {
    (reference as usize / PAGE, reference as usize % PAGE)
}

impl Collections {
    /// Keeps a collection; what to find it by.
    pub(crate) fn insert(&mut self, collection: Collection) -> u32 {
        if let Some(reference) = self.free.pop() {
            let (page, index) = place(reference);
            self.pages[page][index] = Some(collection);
            return reference;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::new());
        }
        let last = self.pages.len() - 1;
        let reference = last * PAGE + self.pages[last].len();
        self.pages[last].push(Some(collection));
        u32::try_from(reference).expect("a shard has far fewer keys than 2^32")
    }

    pub(crate) fn get(&self, reference: u32) -> &Collection {
        let (page, index) = place(reference);
        self.pages[page][index].as_ref().expect("a record refers to what is there")
    }

    pub(crate) fn get_mut(&mut self, reference: u32) -> &mut Collection {
        let (page, index) = place(reference);
        self.pages[page][index].as_mut().expect("a record refers to what is there")
    }

    pub(crate) fn remove(&mut self, reference: u32) -> Collection {
        let (page, index) = place(reference);
        let removed = self.pages[page][index].take().expect("a record refers to what is there");
        self.free.push(reference);
        removed
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.pages.iter().map(Vec::len).sum::<usize>() - self.free.len()
    }

    /// Frees about `limit` elements of collections that nobody refers to any more; whether any are left.
    pub(crate) fn bury(&mut self, mut limit: usize) -> bool {
        self.free = Vec::new();
        while let Some(page) = self.pages.last_mut() {
            let Some(last) = page.last_mut() else {
                self.pages.pop();
                continue;
            };
            if limit == 0 {
                return true;
            }
            if let Some(collection) = last {
                let count = collection.contents().count().max(1);
                if collection.contents_mut().bury(limit) {
                    return true;
                }
                limit = limit.saturating_sub(count);
            }
            page.pop();
        }
        false
    }
}

impl View<'_> {
    /// The collection under `key`, if it is there and of this type.
    pub(crate) fn typed<T: Typed>(&self, key: &[u8]) -> Result<Option<&T>, WrongType> {
        match self.collection(key)? {
            None => Ok(None),
            Some(collection) => T::of(collection).map(Some).ok_or(WrongType),
        }
    }

    /// Changes the collection under `key`. One that is missing becomes an empty one if `creates`; otherwise nothing happens.
    /// `change` says, beside its answer, whether it has changed anything.
    pub(crate) fn edit<T: Typed, R>(
        &mut self,
        key: &[u8],
        creates: bool,
        change: impl FnOnce(&mut T, MemberOrder, &mut Graveyard) -> (R, bool),
    ) -> Result<Option<R>, WrongType> {
        self.typed::<T>(key)?;
        let (position, mut under_way) = self.change(key);
        Ok(under_way.edit(position, key, creates, change))
    }
}
