//! A scratch: a small keyspace of fetched values on which commands run whose keys lie on several shards, and scripts. What they do there
//! is kept as effects for the shards of the keys, together with the versions of everything that they have looked at; the shards take both
//! if nothing has changed meanwhile.
//!
//! A command that looks at a key that isn't held ends with that key's name: it is fetched, and everything runs again from the start,
//! on the same values, at the same time, with the same chances. Nothing here knows of nodes, clients or rounds, and all of it may be
//! handed to another thread.

/// What keys hold, from their shards.
pub mod fetch;
/// Effects, as they are logged.
pub mod mutation;
/// A database that notes what is done to it.
mod recorded;
/// Effects are carried out.
pub mod replay;

use crate::op::{BadBatch, Effects, Invocation, Watched, seed_of};
use crate::transactions::CHANGING;
use base::database::Kind;
use base::{DatabaseId, GroupId, UnixMillis};
use bytes::Bytes;
use command::{Error, Flags, Place};
use fetch::Fetched;
use keyspace::rdb::{self, Value};
use keyspace::{Encodings, Keyspace};
use mutation::Mutation;
use recorded::{KeysOf, Noted, Recorded, has};
use resp::Writer;
use routing::SlotMap;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The values of some keys, and what was done to them.
#[derive(Debug)]
pub struct Scratch {
    place: Where,
    now: UnixMillis,
    seed: u64,
    keyspace: Keyspace,
    held: KeysOf,
    fetched: BTreeMap<(DatabaseId, Bytes), Fetched>,
    bytes: u64,
    noted: RefCell<Noted>,
    /// How many commands have run since the beginning.
    commands: u64,
    /// Whether the keyspace isn't as it was fetched any more.
    changed: bool,
    grows: bool,
}

/// What is the same for all scratches of a node, for the time being.
#[derive(Clone, Debug)]
pub struct Where {
    /// The secret key under which entries and members are ordered, as on every shard: random picks go by that order.
    pub hash_key: [u64; 2],
    /// Which shard keeps which keys.
    pub slots: SlotMap,
    /// How OBJECT ENCODING calls things.
    pub encodings: Encodings,
}

/// Effects on one shard, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    count: u64,
    bytes: Vec<u8>,
}

impl Recording {
    fn push(&mut self, mutation: &Mutation<'_>) {
        self.count += 1;
        mutation.encode(&mut self.bytes);
    }
}

/// Keys that must be fetched before anything can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs(pub Vec<(DatabaseId, Bytes)>);

/// Why a command came to no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It has looked at keys that aren't held.
    Needs(Needs),
    /// It can't be run at all: the error for the client.
    Failed(Bytes),
}

/// A command, with words of its own.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the command table says about it.
    pub spec: &'static command::Spec,
    /// The database that the client selected.
    pub database: DatabaseId,
    /// The other database, for COPY and MOVE.
    pub target: Option<DatabaseId>,
    /// How the reply is written.
    pub protocol: resp::Protocol,
    /// The command's words, its name first.
    pub words: Vec<Bytes>,
}

impl Request {
    /// The same command.
    pub fn of(invocation: &Invocation<'_>) -> Self {
        let Invocation { spec, database, target, protocol, words } = invocation;
        let words = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
        Self { spec, database: *database, target: *target, protocol: *protocol, words }
    }

    /// As it is run.
    pub fn invocation(&self) -> Invocation<'_> {
        let Self { spec, database, target, protocol, words } = self;
        let words = words.iter().map(|word| &word[..]).collect();
        Invocation { spec, database: *database, target: *target, protocol: *protocol, words }
    }
}

/// What one shard has to check and to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What was looked at: database, key, version.
    pub watched: Vec<(DatabaseId, Bytes, u64)>,
    /// What is to be done, if anything is.
    pub effects: Option<Recording>,
    /// Whether one of the commands is refused where memory is short.
    pub grows: bool,
}

impl Share {
    /// How many bytes its effects take.
    pub fn len(&self) -> usize {
        self.effects.as_ref().map_or(0, |effects| effects.bytes.len())
    }

    /// Whether it only checks.
    pub fn is_empty(&self) -> bool {
        self.effects.is_none()
    }

    /// As it is logged.
    pub fn transaction(&self) -> crate::op::Transaction<'_> {
        let watched = self.watched.iter();
        let watched =
            watched.map(|(database, key, version)| Watched { database: *database, key, version: *version });
        let effects = self.effects.as_ref();
        crate::op::Transaction {
            watched: watched.collect(),
            commands: Vec::new(),
            effects: effects.map(|effects| Effects::new(self.grows, effects.count, &effects.bytes)),
        }
    }
}

impl Scratch {
    /// A scratch that holds nothing. `seed` decides what its commands leave to chance.
    pub fn new(place: Where, seed: u64) -> Self {
        Self {
            keyspace: Self::keyspace(&place),
            place,
            now: UnixMillis(0),
            seed,
            held: KeysOf::new(),
            fetched: BTreeMap::new(),
            bytes: 0,
            noted: RefCell::default(),
            commands: 0,
            changed: false,
            grows: false,
        }
    }

    fn keyspace(place: &Where) -> Keyspace {
        let mut keyspace = Keyspace::new(place.hash_key);
        keyspace.set_encodings(place.encodings);
        // How keys are used is known to the copies on their shards.
        keyspace.hide_usage(true);
        keyspace
    }

    /// Forgets everything that it holds.
    pub fn clear(&mut self) {
        self.held = KeysOf::new();
        self.fetched = BTreeMap::new();
        self.bytes = 0;
        self.changed = true;
    }

    /// Takes in what a shard said of a key. False if the key is just being changed: then it must be asked again.
    pub fn insert(&mut self, fetched: Fetched) -> bool {
        if fetched.version == CHANGING {
            return false;
        }
        let value = fetched.content.as_ref().and_then(|content| content.value.as_ref());
        self.bytes += (fetched.key.len() + value.map_or(0, Bytes::len)) as u64;
        let name = (fetched.database, fetched.key.clone());
        self.held.entry(fetched.database).or_default().insert(fetched.key[..].into());
        self.fetched.insert(name, fetched);
        // It is put into the keyspace when the commands begin.
        self.changed = true;
        true
    }

    /// Whether a key is held, with its value if that is asked.
    pub fn holds(&self, database: DatabaseId, key: &Bytes, with_value: bool) -> bool {
        let fetched = self.fetched.get(&(database, key.clone()));
        fetched.is_some_and(|fetched| {
            let content = fetched.content.as_ref();
            !with_value || content.is_none_or(|content| content.value.is_some())
        })
    }

    /// How many bytes it holds, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time at which its commands run.
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Commands begin to run, from the start, at this time or so: nothing that a shard has shown as there has expired.
    ///
    /// # Errors
    /// If something that was taken in is no value: a shard of another release has sent it.
    pub fn begin(&mut self, time: UnixMillis) -> Result<(), BadBatch> {
        let contents = self.fetched.values().filter_map(|fetched| fetched.content.as_ref());
        let first = contents.filter_map(|content| content.lives_until).min();
        self.now = first.map_or(time, |first| time.min(UnixMillis(first.0.saturating_sub(1))));
        self.commands = 0;
        self.grows = false;
        *self.noted.get_mut() = Noted::default();
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        self.keyspace = Self::keyspace(&self.place);
        for fetched in self.fetched.values() {
            let Some(content) = &fetched.content else { continue };
            let value = match &content.value {
                Some(bytes) => rdb::read_typed(&mut &bytes[..]).ok(),
                None => {
                    let shapes = &mut self.noted.get_mut().shapes;
                    shapes.entry(fetched.database).or_default().insert(fetched.key[..].into());
                    Some(placeholder(content.kind))
                }
            };
            let mut db = self.keyspace.database(fetched.database, self.now);
            let put = value.map(|value| db.put_value(&fetched.key, value, content.expires_at));
            if !matches!(put, Some(Ok(()))) {
                return Err(BadBatch("a value"));
            }
        }
        Ok(())
    }

    /// Runs a command behind those that ran before, and answers its reply.
    pub fn run(&mut self, invocation: &Invocation<'_>, has_waited: bool) -> Result<Vec<u8>, Halt> {
        if invocation.spec.place != Place::Keys {
            return Err(whole_shards(invocation.spec));
        }
        self.commands += 1;
        let mut reply = Vec::new();
        let mut db = Recorded {
            view: self.keyspace.database(invocation.database, self.now),
            database: invocation.database,
            held: &self.held,
            slots: &self.place.slots,
            noted: &self.noted,
        };
        let mut context = command::Context {
            db: &mut db,
            database: invocation.database,
            target: invocation.target,
            args: &invocation.words,
            reply: Writer::new(&mut reply, invocation.protocol),
            seed: seed_of(self.seed, self.commands),
            has_waited,
        };
        // The reply says what came of it.
        let _: Result<(), Error> = command::run(invocation.spec, &mut context);
        self.changed |= invocation.spec.is_write();
        self.grows |= invocation.spec.flags.has(Flags::DENYOOM);
        let noted = self.noted.get_mut();
        if noted.wants_all {
            return Err(whole_shards(invocation.spec));
        }
        if noted.missing.is_empty() {
            return Ok(reply);
        }
        // Whatever follows, it begins anew.
        self.changed = true;
        let missing = std::mem::take(&mut noted.missing);
        let names = missing
            .into_iter()
            .flat_map(|(database, keys)| keys.into_iter().map(move |key| (database, Bytes::from(key))));
        Err(Halt::Needs(Needs(names.collect())))
    }

    /// What has run may take memory also where there is none left.
    pub fn forgive_growth(&mut self) {
        self.grows = false;
    }

    /// The words with which a blocking command waits that has just found nothing; see [`command::Spec::blocking_words`].
    pub fn blocking_words(&mut self, invocation: &Invocation<'_>) -> Option<Vec<Vec<u8>>> {
        let view = self.keyspace.database(invocation.database, self.now);
        invocation.spec.blocking_words(&view, &invocation.words)
    }

    /// Whether anything was done.
    pub fn has_effects(&self) -> bool {
        !self.noted.borrow().effects.is_empty()
    }

    /// What every shard has to check, of which something was looked at, and to do.
    pub fn shares(&self) -> BTreeMap<GroupId, Share> {
        let noted = self.noted.borrow();
        let mut shares = BTreeMap::<GroupId, Share>::new();
        for ((database, key), fetched) in &self.fetched {
            if has(&noted.touched, *database, key) {
                let share = shares.entry(self.place.slots.group_of_key(key)).or_default();
                share.watched.push((*database, key.clone(), fetched.version));
            }
        }
        for (group, effects) in &noted.effects {
            let share = shares.entry(*group).or_default();
            share.effects = Some(effects.clone());
            share.grows = self.grows;
        }
        shares
    }
}

fn whole_shards(spec: &command::Spec) -> Halt {
    let name = spec.name;
    Halt::Failed(Bytes::from(format!(
        "-ERR '{name}' concerns all keys of a database, and can't run together with commands over several shards\r\n"
    )))
}

/// Some value of this type.
fn placeholder(kind: Kind) -> Value {
    let element = || vec![b"?".to_vec()];
    match kind {
        Kind::String => Value::String(b"?".to_vec()),
        Kind::List => Value::List(element()),
        Kind::Set => Value::Set(element()),
        Kind::Hash => {
            let (field, value) = (b"?".to_vec(), b"?".to_vec());
            Value::Hash(vec![rdb::HashField { field, value, expires_at: None }])
        }
        Kind::SortedSet => Value::SortedSet(vec![(b"?".to_vec(), 0.0)]),
        Kind::Stream => Value::Stream(rdb::StreamValue::default()),
    }
}

#[cfg(test)]
mod tests;
