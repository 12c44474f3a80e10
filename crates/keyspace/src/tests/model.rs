//! Random changes, against a plain map.

use super::{HASH_KEY, NOW, ONE, TWO};
use crate::Keyspace;
use crate::position::Placement;
use base::database::{Database, Expiry, ScanPosition};
use base::{DatabaseId, UnixMillis};
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: usize = 24;

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, Vec<u8>, Ttl),
    Splice(usize, usize, usize, Vec<u8>),
    Remove(usize, usize),
    SetExpiry(usize, usize, Option<u64>),
    Touch(usize, usize),
    Rename(usize, usize, usize),
    Copy(usize, usize, usize, usize),
    Restore(usize, usize, usize, Ttl),
    Clear(usize),
    Drop(usize),
    Advance(u64),
    RemoveExpired(usize),
    Begin,
    Chunk(usize),
    Abandon,
}

#[derive(Clone, Copy, Debug)]
enum Ttl {
    Keep,
    Clear,
    At(u64),
}

type Model = BTreeMap<(DatabaseId, Vec<u8>), (Vec<u8>, Option<UnixMillis>)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (database, key) = (0..2usize, 0..KEYS);
    // Few deadlines, so that keys share them.
    let ttl = prop_oneof![Just(Ttl::Keep), Just(Ttl::Clear), (0..6u64).prop_map(Ttl::At)];
    let value = prop_oneof![
        12 => proptest::collection::vec(any::<u8>(), 0..60),
        3 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        1 => (60_000..200_000usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let part = proptest::collection::vec(any::<u8>(), 0..20);
    let step = prop_oneof![
        10 => (database.clone(), key.clone(), value, ttl.clone()).prop_map(|(d, k, v, t)| Step::Put(d, k, v, t)),
        4 => (database.clone(), key.clone(), 0..100usize, part).prop_map(|(d, k, o, p)| Step::Splice(d, k, o, p)),
        4 => (database.clone(), key.clone()).prop_map(|(d, k)| Step::Remove(d, k)),
        4 => (database.clone(), key.clone(), proptest::option::of(0..6u64))
            .prop_map(|(d, k, t)| Step::SetExpiry(d, k, t)),
        1 => (database.clone(), key.clone()).prop_map(|(d, k)| Step::Touch(d, k)),
        3 => (database.clone(), key.clone(), key.clone()).prop_map(|(d, a, b)| Step::Rename(d, a, b)),
        3 => (database.clone(), key.clone(), database.clone(), key.clone())
            .prop_map(|(d, a, e, b)| Step::Copy(d, a, e, b)),
        2 => (database.clone(), key.clone(), key, ttl).prop_map(|(d, a, b, t)| Step::Restore(d, a, b, t)),
        1 => database.clone().prop_map(Step::Clear),
        1 => database.prop_map(Step::Drop),
        3 => (0..4u64).prop_map(Step::Advance),
        3 => (0..8usize).prop_map(Step::RemoveExpired),
        4 => Just(Step::Begin),
        6 => (1..400usize).prop_map(Step::Chunk),
        1 => Just(Step::Abandon),
    ];
    proptest::collection::vec(step, 1..120)
}

fn database(number: usize) -> DatabaseId {
    [ONE, TWO][number]
}

/// Some share a slot, and with few bits of hash some share a position.
fn key(number: usize) -> Vec<u8> {
    if number < KEYS / 2 { format!("{{tag}}{number}").into_bytes() } else { number.to_string().into_bytes() }
}

/// The state that a snapshot fixed, and the chunks it has given.
struct Fixed {
    digest: u64,
    revision: u64,
    chunks: Vec<Vec<u8>>,
}

struct Run {
    keyspace: Keyspace,
    placement: Placement,
    model: Model,
    now: UnixMillis,
    fixed: Option<Fixed>,
    snapshots: usize,
}

impl Run {
    fn new(hash_bits: u32) -> Self {
        let placement = Placement::colliding(HASH_KEY, hash_bits);
        Self {
            keyspace: Keyspace::with_placement(placement.clone()),
            placement,
            model: Model::new(),
            now: NOW,
            fixed: None,
            snapshots: 0,
        }
    }

    fn live(&self, database: DatabaseId, key: &[u8]) -> Option<&(Vec<u8>, Option<UnixMillis>)> {
        let held = self.model.get(&(database, key.to_vec()))?;
        held.1.is_none_or(|at| at > self.now).then_some(held)
    }

    fn expiry(&self, ttl: Ttl) -> Expiry {
        match ttl {
            Ttl::Keep => Expiry::Keep,
            Ttl::Clear => Expiry::Clear,
            Ttl::At(after) => Expiry::At(self.now.plus(after)),
        }
    }

    fn model_put(&mut self, database: DatabaseId, key: &[u8], value: Vec<u8>, expiry: Expiry) {
        let expires_at = match expiry {
            Expiry::Keep => self.live(database, key).and_then(|held| held.1),
            Expiry::Clear => None,
            Expiry::At(at) => Some(at),
        };
        if expires_at.is_some_and(|at| at <= self.now) {
            self.model.remove(&(database, key.to_vec()));
        } else {
            self.model.insert((database, key.to_vec()), (value, expires_at));
        }
    }

    fn step(&mut self, step: Step) {
        let revision = self.keyspace.revision() + 1;
        self.keyspace.set_revision(revision);
        match step {
            Step::Put(d, k, value, ttl) => {
                let (d, k, expiry) = (database(d), key(k), self.expiry(ttl));
                self.keyspace.database(d, self.now).put_string(&k, &value, expiry);
                self.model_put(d, &k, value, expiry);
            }
            Step::Splice(d, k, offset, part) => self.splice(database(d), &key(k), offset, &part),
            Step::Remove(d, k) => {
                let (d, k) = (database(d), key(k));
                let expected = self.live(d, &k).is_some();
                assert_eq!(self.keyspace.database(d, self.now).remove(&k), expected);
                self.model.remove(&(d, k));
            }
            Step::SetExpiry(d, k, after) => {
                let (d, k, at) = (database(d), key(k), after.map(|after| self.now.plus(after)));
                let expected = self.live(d, &k).cloned();
                assert_eq!(self.keyspace.database(d, self.now).set_expiry(&k, at), expected.is_some());
                match expected {
                    Some((value, _)) => self.model_put(d, &k, value, at.map_or(Expiry::Clear, Expiry::At)),
                    None => drop(self.model.remove(&(d, k))),
                }
            }
            Step::Touch(d, k) => {
                let (d, k) = (database(d), key(k));
                let expected = self.live(d, &k).is_some();
                assert_eq!(self.keyspace.database(d, self.now).touch(&k), expected);
            }
            Step::Rename(d, from, to) => self.rename(database(d), &key(from), &key(to)),
            Step::Copy(d, from, into, to) => self.copy(database(d), &key(from), database(into), &key(to)),
            Step::Restore(d, from, to, ttl) => self.restore(database(d), &key(from), &key(to), ttl),
            Step::Clear(d) => {
                self.keyspace.database(database(d), self.now).clear();
                self.model.retain(|(id, _), _| *id != database(d));
            }
            Step::Drop(d) => {
                self.keyspace.drop_database(database(d));
                self.model.retain(|(id, _), _| *id != database(d));
            }
            Step::Advance(by) => self.now = self.now.plus(by),
            Step::RemoveExpired(limit) => self.remove_expired(limit),
            Step::Begin => self.begin(),
            Step::Chunk(budget_bytes) => self.chunk(budget_bytes),
            Step::Abandon => {
                self.keyspace.abandon_snapshot();
                self.fixed = None;
            }
        }
    }

    fn splice(&mut self, d: DatabaseId, k: &[u8], offset: usize, part: &[u8]) {
        let held = self.live(d, k).cloned();
        let length = self.keyspace.database(d, self.now).splice_string(k, offset, part);
        let (mut value, expires_at) = held.clone().unwrap_or_default();
        if part.is_empty() {
            assert_eq!(length, Ok(value.len()));
            return;
        }
        value.resize(value.len().max(offset + part.len()), 0);
        value[offset..offset + part.len()].copy_from_slice(part);
        assert_eq!(length, Ok(value.len()));
        self.model.insert((d, k.to_vec()), (value, expires_at));
    }

    fn rename(&mut self, d: DatabaseId, from: &[u8], to: &[u8]) {
        let held = self.live(d, from).cloned();
        assert_eq!(self.keyspace.database(d, self.now).rename(from, to), held.is_some());
        if from == to {
            return;
        }
        self.model.remove(&(d, from.to_vec()));
        if let Some(held) = held {
            self.model.insert((d, to.to_vec()), held);
        }
    }

    fn copy(&mut self, d: DatabaseId, from: &[u8], into: DatabaseId, to: &[u8]) {
        let held = self.live(d, from).cloned();
        let mut view = self.keyspace.database(d, self.now);
        assert_eq!(view.copy(from, into, to), held.is_some());
        let Some(held) = held else { return };
        assert_eq!(view.string(from), Ok(Some(&held.0[..])), "the view still sees its own database");
        assert!(view.exists_in(into, to));
        self.model.insert((into, to.to_vec()), held);
    }

    fn restore(&mut self, d: DatabaseId, from: &[u8], to: &[u8], ttl: Ttl) {
        let expiry = match self.expiry(ttl) {
            Expiry::Keep => Expiry::Clear,
            other => other,
        };
        let held = self.live(d, from).cloned();
        let mut view = self.keyspace.database(d, self.now);
        let dump = view.dump(from);
        assert_eq!(dump.is_some(), held.is_some());
        if let (Some(dump), Some((value, _))) = (dump, held) {
            view.remove(to);
            assert_eq!(view.restore(to, &dump, expiry), Ok(()));
            self.model_put(d, to, value, expiry);
        }
    }

    fn remove_expired(&mut self, limit: usize) {
        let due = self.keyspace.expired(self.now, limit);
        let expected = self.model.values().filter(|(_, at)| at.is_some_and(|at| at <= self.now)).count();
        assert_eq!(due.len(), expected.min(limit));
        for (d, k) in due {
            assert!(self.keyspace.remove_expired(d, &k, self.now));
            assert!(self.model.remove(&(d, k.to_vec())).is_some());
        }
    }

    fn begin(&mut self) {
        if self.fixed.is_none() {
            let (digest, revision) = (self.keyspace.digest(), self.keyspace.revision());
            self.keyspace.begin_snapshot();
            self.fixed = Some(Fixed { digest, revision, chunks: Vec::new() });
        }
    }

    fn chunk(&mut self, budget_bytes: usize) {
        let Some(fixed) = &mut self.fixed else { return };
        match self.keyspace.next_chunk(budget_bytes) {
            Some(chunk) => fixed.chunks.push(chunk),
            None => {
                let fixed = self.fixed.take().expect("it was there a moment ago");
                self.compare_loaded(&fixed);
            }
        }
    }

    fn compare_loaded(&mut self, fixed: &Fixed) {
        assert!(!self.keyspace.snapshot_running());
        let mut copy = Keyspace::with_placement(self.placement.clone());
        for chunk in fixed.chunks.iter().rev() {
            copy.load_chunk(chunk).expect("a chunk that was written here");
        }
        copy.check();
        assert_eq!(copy.digest(), fixed.digest, "the snapshot is the state at its beginning");
        assert!(copy.revision() <= fixed.revision);
        self.snapshots += 1;
    }

    fn compare(&mut self) {
        self.keyspace.check();
        for d in [ONE, TWO] {
            let expected: BTreeMap<Vec<u8>, &(Vec<u8>, Option<UnixMillis>)> = self
                .model
                .iter()
                .filter(|((id, _), held)| *id == d && held.1.is_none_or(|at| at > self.now))
                .map(|((_, key), held)| (key.clone(), held))
                .collect();
            let view = self.keyspace.database(d, self.now);
            assert_eq!(view.len(), expected.len() as u64);
            for number in 0..KEYS {
                let key = key(number);
                let held = expected.get(&key);
                assert_eq!(view.string(&key), Ok(held.map(|held| &held.0[..])));
                assert_eq!(view.expires_at(&key), held.map(|held| held.1));
            }
            let mut scanned = Vec::new();
            let mut from = Some(ScanPosition::default());
            while let Some(position) = from {
                from = view.scan(position, 3, &mut |key, _| scanned.push(key.to_vec()));
            }
            scanned.sort();
            assert!(scanned.iter().eq(expected.keys()), "a scan at rest gives each key once");
            for seed in 0..4 {
                match view.pick(seed) {
                    Some(picked) => assert!(expected.contains_key(&picked)),
                    None => assert!(expected.is_empty()),
                }
            }
        }
        let earliest = self.model.values().filter_map(|(_, at)| *at).min();
        assert_eq!(self.keyspace.next_expiry(), earliest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 96 } else { 2000 }))]

    #[test]
    fn a_shard_is_a_map_and_its_snapshots_are_moments_of_it(steps in steps(), hash_bits in 1..=50u32) {
        let mut run = Run::new(hash_bits);
        for step in steps {
            run.step(step);
            run.compare();
        }
        run.begin();
        while run.fixed.is_some() {
            run.chunk(100);
        }
        prop_assert!(run.snapshots > 0);
    }
}
