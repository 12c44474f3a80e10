//! Changes that may be taken back: what a transaction over several shards does before its outcome is known. They are made in
//! place. What is replaced is kept, which is cheap (collections share with their next version what hasn't changed, and an
//! emptied database is set aside as it is), and what they tell is told to nobody yet.
//!
//! Whoever makes them sees to it that nobody else reads or changes these keys until they count or were taken back.

use crate::changed::ChangedKeys;
use crate::keyspace::{Event, Keyspace};
use crate::mutators::Store;
use crate::rdb::{self, Value};
use crate::record::{About, Record};
use crate::types::Collection;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::database::{EventClass, EventClasses, Kind};
use base::{DatabaseId, UnixMillis};
use bytes::Bytes;
use std::borrow::Cow;

/// What a tentative change has replaced, and what it has to tell if it counts.
#[derive(Debug, Default)]
pub struct Before {
    keys: Vec<Kept>,
    /// Databases that were emptied, in that order, as they were.
    emptied: Vec<Store>,
    events: Vec<Event>,
}

/// What one key held.
#[derive(Debug)]
struct Kept {
    database: DatabaseId,
    key: Box<[u8]>,
    value: Option<Held>,
}

#[derive(Debug)]
enum Held {
    Here(Record, Option<Collection>),
    /// As a snapshot has brought it.
    Written {
        revision: u64,
        expires_at: Option<UnixMillis>,
        dump: Bytes,
    },
}

/// A tentative change under way.
#[derive(Debug)]
pub(crate) struct Tentative {
    before: Before,
    /// What was there when it began.
    listening: EventClasses,
    events: Vec<Event>,
    changed: ChangedKeys,
}

impl Before {
    /// The keys that it may have changed.
    pub fn keys(&self) -> impl Iterator<Item = (DatabaseId, &[u8])> {
        self.keys.iter().map(|kept| (kept.database, &kept.key[..]))
    }

    /// The databases that it has emptied.
    pub fn emptied(&self) -> impl Iterator<Item = DatabaseId> {
        self.emptied.iter().map(|store| store.id)
    }

    /// About how many bytes a snapshot takes for it; `None` if no snapshot can hold it, because a whole database was set aside.
    pub fn written_bytes(&self) -> Option<u64> {
        let bytes = |kept: &Kept| match &kept.value {
            None => 0,
            Some(Held::Here(record, collection)) => {
                record.cost() + collection.as_ref().map_or(0, Collection::cost)
            }
            Some(Held::Written { dump, .. }) => dump.len() as u64,
        };
        self.emptied.is_empty().then(|| self.keys.iter().map(bytes).sum())
    }
}

impl Keyspace {
    /// What follows may be taken back, as far as it changes these keys or empties databases. It ends with
    /// [`Keyspace::end_tentative`].
    pub fn begin_tentative<'a>(&mut self, keys: impl IntoIterator<Item = (DatabaseId, &'a [u8])>) {
        base::invariant!("one tentative change at a time is made", self.tentative.is_none());
        let keys = keys.into_iter().map(|(database, key)| self.kept(database, key)).collect();
        self.tentative = Some(Box::new(Tentative {
            before: Before { keys, ..Before::default() },
            listening: std::mem::replace(&mut self.listening, EventClasses::EVERY),
            events: std::mem::take(&mut self.events),
            changed: std::mem::take(&mut self.changed),
        }));
    }

    /// The tentative change is made; what is needed to take it back.
    pub fn end_tentative(&mut self) -> Before {
        let tentative = self.tentative.take().map(|tentative| *tentative);
        base::invariant!("a tentative change was begun", tentative.is_some());
        let Some(Tentative { mut before, listening, events, changed }) = tentative else {
            return Before::default();
        };
        (self.listening, self.changed) = (listening, changed);
        before.events = std::mem::replace(&mut self.events, events);
        before
    }

    /// A tentative change counts: what it has to tell is told now. The keys that it has changed.
    pub fn confirm(&mut self, before: Before) -> Vec<(DatabaseId, Box<[u8]>)> {
        let mut changed = Vec::new();
        for kept in before.keys {
            let position = self.placement.of(&kept.key);
            let store = self.store(kept.database).map(|index| &self.stores[index]);
            let now =
                store.and_then(|store| store.table.get(position, &kept.key)).map(|e| e.record.revision());
            let was = kept.value.as_ref().map(|held| match held {
                Held::Here(record, _) => record.revision(),
                Held::Written { revision, .. } => *revision,
            });
            // Two changes by one entry have one revision; who is told once too often loses nothing.
            if now.is_some() || was.is_some() {
                self.changed.note(&kept.key);
                changed.push((kept.database, kept.key));
            }
            if let Some(Held::Here(_, Some(collection))) = kept.value {
                collection.retire(&mut self.graveyard);
            }
        }
        for store in before.emptied {
            self.changed.note_all();
            self.bury(store);
        }
        let listening = self.listening;
        self.events.extend(before.events.into_iter().filter(|event| listening.has(event.class)));
        changed
    }

    /// A tentative change doesn't count: everything is as it was before it.
    pub fn revert(&mut self, before: Before) {
        for store in before.emptied.into_iter().rev() {
            let index = self.store_or_new(store.id);
            let filled = std::mem::replace(&mut self.stores[index], store);
            self.bury(filled);
        }
        for Kept { database, key, value } in before.keys.into_iter().rev() {
            let position = self.placement.of(&key);
            let value = value.and_then(|held| self.thawed(&key, held));
            let index = self.store_or_new(database);
            self.change(index, UnixMillis(0)).put_back(position, &key, value);
        }
    }

    /// Whether, by a tentative change, some key of this database has come, has gone or is of another type: then what looks at the whole
    /// database must wait.
    pub fn has_altered(&self, before: &Before, database: DatabaseId) -> bool {
        let store = self.store(database).map(|index| &self.stores[index]);
        before.emptied.iter().any(|emptied| emptied.id == database)
            || before.keys.iter().filter(|kept| kept.database == database).any(|kept| {
                let position = self.placement.of(&kept.key);
                let now = store.and_then(|store| store.table.get(position, &kept.key));
                match (&kept.value, now) {
                    (None, None) => false,
                    (Some(Held::Here(was, _)), Some(now)) => was.kind() != now.record.kind(),
                    _ => true,
                }
            })
    }

    /// Whether a snapshot that was begun has been given up by what was applied since; said once.
    pub fn take_spoiled_snapshot(&mut self) -> bool {
        std::mem::take(&mut self.snapshot_spoiled)
    }

    /// Empties a database tentatively: its keys are set aside. A snapshot that was on its way through them is given up, for they can't
    /// be in two places.
    pub(crate) fn set_aside(&mut self, store: usize) {
        if self.snapshot.is_some() {
            self.abandon_snapshot();
            self.snapshot_spoiled = true;
        }
        let id = self.stores[store].id;
        let full = std::mem::replace(&mut self.stores[store], Store::new(id));
        if let Some(tentative) = &mut self.tentative {
            tentative.before.emptied.push(full);
        }
    }

    fn bury(&mut self, store: Store) {
        self.graveyard.bury_deadlines(store.deadlines);
        self.graveyard.bury_deadlines(store.field_deadlines);
        self.graveyard.bury_table(store.table);
    }

    fn kept(&self, database: DatabaseId, key: &[u8]) -> Kept {
        let position = self.placement.of(key);
        let store = self.store(database).map(|index| &self.stores[index]);
        let value = store.and_then(|store| {
            let record = &store.table.get(position, key)?.record;
            Some(Held::Here(record.clone(), store.table.collection(record).cloned()))
        });
        Kept { database, key: Box::from(key), value }
    }

    fn thawed(&self, key: &[u8], held: Held) -> Option<(Record, Option<Collection>)> {
        let (revision, expires_at, dump) = match held {
            Held::Here(record, collection) => return Some((record, collection)),
            Held::Written { revision, expires_at, dump } => (revision, expires_at, dump),
        };
        let value = rdb::read_dump(&dump).ok()?;
        let about = |kind| About {
            kind,
            expires_at,
            revision,
            access: 0,
            frequency: crate::usage::FREQUENCY_INITIAL,
        };
        if let Value::String(value) = value {
            return Some((Record::new(about(Kind::String), key, &value, &[]), None));
        }
        let collection = Collection::of_value(value, self.placement.members())?;
        let refers = Record::reference_value(0, collection.dues());
        Some((Record::new(about(collection.kind()), key, &refers, &[]), Some(collection)))
    }
}

/// Written where a snapshot holds a tentative change: `docs/formats/transactions.md`.
impl Encode for Before {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.keys.len() as u32);
        for kept in &self.keys {
            to.u64(kept.database.0);
            to.bytes(&kept.key);
            to.bool(kept.value.is_some());
            let (revision, expires_at, dump) = match &kept.value {
                None => continue,
                Some(Held::Here(record, collection)) => {
                    let dump = match collection {
                        None => rdb::dump_string(record.value()),
                        Some(collection) => rdb::write_dump(&collection.value()),
                    };
                    (record.revision(), record.expires_at(), Bytes::from(dump))
                }
                Some(Held::Written { revision, expires_at, dump }) => (*revision, *expires_at, dump.clone()),
            };
            to.u64(revision);
            to.bool(expires_at.is_some());
            to.u64(expires_at.unwrap_or_default().0);
            to.bytes(&dump);
        }
        // Never in a snapshot; but replicas that are compared say it.
        to.u32(self.emptied.len() as u32);
        for store in &self.emptied {
            to.u64(store.id.0);
            to.u64(store.table.len());
        }
        to.u32(self.events.len() as u32);
        for event in &self.events {
            to.u64(event.database.0);
            to.u32(event.class as u32);
            to.str(&event.event);
            to.bytes(&event.key);
        }
    }
}

impl Decode for Before {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut before = Before::default();
        for _ in 0..from.u32()? {
            let database = DatabaseId(from.u64()?);
            let key = Box::from(&from.bytes()?[..]);
            let value = if from.bool()? {
                let revision = from.u64()?;
                let expires = from.bool()?;
                let at = UnixMillis(from.u64()?);
                // Out of the snapshot's memory, which is large and would be pinned.
                let dump = Bytes::copy_from_slice(&from.bytes()?);
                rdb::read_dump(&dump).map_err(|_| DecodeError::Invalid("what a key held"))?;
                Some(Held::Written { revision, expires_at: expires.then_some(at), dump })
            } else {
                None
            };
            before.keys.push(Kept { database, key, value });
        }
        if from.u32()? != 0 {
            return Err(DecodeError::Invalid("a database set aside"));
        }
        for _ in 0..from.u32()? {
            let database = DatabaseId(from.u64()?);
            let class = EventClass::of_bit(from.u32()?).ok_or(DecodeError::Invalid("a class of events"))?;
            let event = String::from_utf8(from.bytes()?.to_vec());
            let event = Cow::Owned(event.map_err(|_| DecodeError::Invalid("an event"))?);
            before.events.push(Event { database, class, event, key: Box::from(&from.bytes()?[..]) });
        }
        Ok(before)
    }
}
