//! A shard's data for tests: lists that are read and appended to. What it does is written down, for the checkers.

use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{DatabaseId, SessionId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use twophase::{Lock, Locks, Mode, Shard, TxId};

pub const DB: DatabaseId = DatabaseId(0);

/// What is done to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Read(Bytes),
    Append(Bytes, u64),
    /// How many keys there are.
    Count,
    /// Always refused.
    Refuse,
}

pub fn key(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

/// The locks that these actions need.
pub fn locks_of(actions: &[Action]) -> Locks {
    Locks::new(actions.iter().filter_map(|action| {
        let (key, mode) = match action {
            Action::Read(key) => (Some(key.clone()), Mode::Shared),
            Action::Append(key, _) => (Some(key.clone()), Mode::Exclusive),
            Action::Count => (None, Mode::Shared),
            Action::Refuse => return None,
        };
        Some(Lock { database: DB, key, mode })
    }))
}

pub fn encode(actions: &[Action]) -> Bytes {
    let mut buffer = Vec::new();
    let mut to = Encoder::new(&mut buffer);
    for action in actions {
        match action {
            Action::Read(key) => {
                to.u8(0);
                to.bytes(key);
            }
            Action::Append(key, value) => {
                to.u8(1);
                to.bytes(key);
                to.u64(*value);
            }
            Action::Count => to.u8(2),
            Action::Refuse => to.u8(3),
        }
    }
    buffer.into()
}

pub fn decode(bytes: Bytes) -> Vec<Action> {
    let (mut from, mut actions) = (Decoder::new(bytes), Vec::new());
    while !from.is_empty() {
        actions.push(match from.u8().expect("written here") {
            0 => Action::Read(from.bytes().expect("written here")),
            1 => {
                let key = from.bytes().expect("written here");
                Action::Append(key, from.u64().expect("written here"))
            }
            2 => Action::Count,
            _ => Action::Refuse,
        });
    }
    actions
}

/// One list for every `Read`, in order; of `Count` a list with one number.
pub fn decode_result(bytes: Bytes) -> Vec<Vec<u64>> {
    let mut from = Decoder::new(bytes);
    let mut lists = Vec::new();
    while !from.is_empty() {
        lists.push(from.list().expect("written here"));
    }
    lists
}

/// A list, and its version.
pub type Versioned = (Vec<u64>, u64);

#[derive(Clone, Debug, Default)]
pub struct Store {
    pub lists: BTreeMap<Bytes, Versioned>,
    revision: u64,
    /// What listeners were told: values that were appended and count.
    pub told: Vec<u64>,
    pub evicted: BTreeSet<SessionId>,
    /// What was executed, committed and reverted, in order.
    pub journal: Vec<(TxId, Step)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Executed,
    Committed,
    Reverted,
}

/// What a key held before, and what is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    id: TxId,
    before: Vec<(Bytes, Option<Versioned>)>,
    tells: Vec<u64>,
}

impl Store {
    /// Reads and changes; the answer and what takes it back.
    pub fn run(&mut self, id: TxId, operations: &Bytes) -> Result<(Bytes, Undo), Bytes> {
        let actions = decode(operations.clone());
        if actions.contains(&Action::Refuse) {
            return Err(Bytes::from_static(b"no"));
        }
        let mut undo = Undo { id, before: Vec::new(), tells: Vec::new() };
        let mut buffer = Vec::new();
        let mut to = Encoder::new(&mut buffer);
        self.revision += 1;
        for action in actions {
            match action {
                Action::Read(key) => {
                    to.list(self.lists.get(&key).map(|(list, _)| list.iter()).unwrap_or_default())
                }
                Action::Count => to.list([self.lists.len() as u64].iter()),
                Action::Append(key, value) => {
                    undo.before.push((key.clone(), self.lists.get(&key).cloned()));
                    undo.tells.push(value);
                    let (list, version) = self.lists.entry(key).or_default();
                    list.push(value);
                    *version = self.revision;
                }
                Action::Refuse => unreachable!("refused above"),
            }
        }
        Ok((buffer.into(), undo))
    }

    pub fn query(&self, operations: &Bytes) -> Bytes {
        self.clone().run(TxId::default(), operations).map(|(result, _)| result).unwrap_or_default()
    }
}

impl Shard for Store {
    type Undo = Undo;

    fn version(&self, _: DatabaseId, key: &[u8]) -> u64 {
        self.lists.get(key).map_or(0, |(_, version)| *version)
    }

    fn is_evicted(&self, session: SessionId) -> bool {
        self.evicted.contains(&session)
    }

    fn execute(&mut self, id: TxId, operations: &Bytes) -> Result<(Bytes, Undo), Bytes> {
        let done = self.run(id, operations)?;
        self.journal.push((id, Step::Executed));
        Ok(done)
    }

    fn commit(&mut self, undo: Undo) {
        self.told.extend(undo.tells);
        self.journal.push((undo.id, Step::Committed));
    }

    fn revert(&mut self, undo: Undo) {
        for (key, before) in undo.before.into_iter().rev() {
            match before {
                Some(before) => self.lists.insert(key, before),
                None => self.lists.remove(&key),
            };
        }
        self.journal.push((undo.id, Step::Reverted));
    }
}

impl Encode for Undo {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.id.encode(to);
        to.u32(self.before.len() as u32);
        for (key, before) in &self.before {
            to.bytes(key);
            to.bool(before.is_some());
            if let Some((list, version)) = before {
                to.list(list.iter());
                to.u64(*version);
            }
        }
        to.list(self.tells.iter());
    }
}

impl Decode for Undo {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let id = TxId::decode(from)?;
        let mut before = Vec::new();
        for _ in 0..from.u32()? {
            let key = from.bytes()?;
            before.push((key, if from.bool()? { Some((from.list()?, from.u64()?)) } else { None }));
        }
        Ok(Self { id, before, tells: from.list()? })
    }
}
