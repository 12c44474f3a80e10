//! Random changes of collections, against plain maps and vectors, with snapshots in their midst.

mod held;

use super::{HASH_KEY, NOW, ONE, TWO};
use crate::Keyspace;
use crate::position::Placement;
use base::database::streams::{ConsumerInfo, Fields, GroupInfo, PendingEntry, StreamId, StreamInfo};
use base::database::{Database, Expiry, Hashes, Kind, Lists, Sets, SortedSets, Streams};
use base::{Rng, UnixMillis};
use held::{Group, Held, StreamHeld};
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: u64 = 6;
const KINDS: [Kind; 5] = [Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet, Kind::Stream];

type Model = BTreeMap<Vec<u8>, (Held, Option<UnixMillis>)>;

struct Fixed {
    digest: u64,
    chunks: Vec<Vec<u8>>,
}

struct Run {
    keyspace: Keyspace,
    placement: Placement,
    model: Model,
    now: UnixMillis,
    rng: Rng,
    fixed: Option<Fixed>,
    snapshots: usize,
}

/// Mostly short, now and then so long that a few make a collection that is written in pieces.
fn word(number: u64) -> Vec<u8> {
    let mut word = number.to_string().into_bytes();
    match number % 7 {
        0 => word.resize(30_000, b'x'),
        1 => word.resize(40, b'y'),
        _ => (),
    }
    word
}

impl Run {
    fn new(seed: u64, hash_bits: u32) -> Self {
        let placement = Placement::colliding(HASH_KEY, hash_bits);
        Self {
            keyspace: Keyspace::with_placement(placement.clone()),
            placement,
            model: BTreeMap::new(),
            now: NOW,
            rng: Rng::new(seed),
            fixed: None,
            snapshots: 0,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let number = self.rng.below(KEYS);
        if number.is_multiple_of(2) { format!("{{t}}{number}").into_bytes() } else { word(number) }
    }

    fn word(&mut self) -> Vec<u8> {
        word(self.rng.below(40))
    }

    fn words(&mut self) -> Vec<Vec<u8>> {
        let count = if self.rng.chance(1, 10) { self.rng.below(300) } else { self.rng.below(5) };
        (0..count)
            .map(|_| if count > 10 { self.rng.below(1_000).to_string().into_bytes() } else { self.word() })
            .collect()
    }

    fn expiry(&mut self) -> Expiry {
        match self.rng.below(5) {
            0 => Expiry::Keep,
            1 | 2 => Expiry::Clear,
            _ => Expiry::At(self.now.plus(self.rng.below(8))),
        }
    }

    fn drop_empty(&mut self) {
        let now = self.now;
        self.model.retain(|_, (held, until)| held.is_live(*until, now));
    }

    fn step(&mut self, kind: Kind) {
        let revision = self.keyspace.revision() + 1;
        self.keyspace.set_revision(revision);
        let key = self.key();
        match self.rng.below(30) {
            0 => {
                let (d, to) = (self.now, self.key());
                let held = self.model.get(&key).cloned();
                assert_eq!(self.keyspace.database(ONE, d).rename(&key, &to), held.is_some());
                if let Some(held) = held.filter(|_| key != to) {
                    self.model.remove(&key);
                    self.model.insert(to, held);
                }
            }
            1 => {
                let to = self.key();
                let held = self.model.get(&key).cloned();
                let mut view = self.keyspace.database(ONE, self.now);
                assert_eq!(view.copy(&key, TWO, &to), held.is_some());
                view.copy(&key, ONE, &to);
                if let Some(held) = held {
                    self.model.insert(to, held);
                }
            }
            2 => {
                assert_eq!(
                    self.keyspace.database(ONE, self.now).remove(&key),
                    self.model.remove(&key).is_some()
                );
            }
            3 => {
                let at = self.rng.chance(2, 3).then(|| self.now.plus(self.rng.below(8)));
                let is_there = self.model.get_mut(&key).map(|(_, until)| *until = at).is_some();
                assert_eq!(self.keyspace.database(ONE, self.now).set_expiry(&key, at), is_there);
                self.drop_empty();
            }
            4 => {
                self.keyspace.database(ONE, self.now).put_string(&key, b"string", Expiry::Clear);
                self.model.insert(key, (Held::String, None));
            }
            5 => {
                self.now = self.now.plus(self.rng.below(4));
                self.drop_empty();
            }
            6 => self.remove_expired(),
            7 if self.rng.chance(1, 8) => {
                self.keyspace.database([ONE, TWO][self.rng.below(2) as usize], self.now).clear();
                if self.keyspace.len(ONE) == 0 {
                    self.model.clear();
                }
            }
            8 | 9 => self.begin(),
            10..=13 => {
                let budget_bytes = self.rng.below(2_000) as usize;
                self.chunk(budget_bytes);
            }
            14 if self.rng.chance(1, 8) => {
                self.keyspace.abandon_snapshot();
                self.fixed = None;
            }
            _ => {
                match kind {
                    Kind::List => self.list_step(&key),
                    Kind::Set => self.set_step(&key),
                    Kind::Hash => self.hash_step(&key),
                    Kind::SortedSet => self.sorted_set_step(&key),
                    _ => self.stream_step(&key),
                }
                self.drop_empty();
            }
        }
    }

    fn list_step(&mut self, key: &[u8]) {
        let (now, words, word) = (self.now, self.words(), self.word());
        let (at, count, action) =
            (self.rng.next_u64() as usize, self.rng.below(60) as usize, self.rng.below(4));
        let Some(Held::List(list)) = held(&mut self.model, key, Kind::List) else {
            assert!(self.keyspace.database(ONE, now).list_insert(key, 0, &[]).is_err());
            return;
        };
        let at = at % (list.len() + 1);
        let elements: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        match action {
            0 | 1 => {
                list.splice(at..at, words.clone());
                let len = list.len();
                assert_eq!(self.keyspace.database(ONE, now).list_insert(key, at, &elements), Ok(len));
            }
            2 => {
                list.drain(at..(at + count).min(list.len()));
                assert_eq!(self.keyspace.database(ONE, now).list_remove(key, at, count), Ok(()));
            }
            _ => {
                let replaced = list.get_mut(at).map(|old| *old = word.clone()).is_some();
                assert_eq!(self.keyspace.database(ONE, now).list_replace(key, at, &word), Ok(replaced));
            }
        }
    }

    fn set_step(&mut self, key: &[u8]) {
        let (now, words, adds) = (self.now, self.words(), self.rng.chance(2, 3));
        let Some(Held::Set(set)) = held(&mut self.model, key, Kind::Set) else {
            assert!(self.keyspace.database(ONE, now).set(key).is_err());
            return;
        };
        let members: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        if adds {
            let new = words.iter().filter(|word| set.insert(word.to_vec())).count();
            assert_eq!(self.keyspace.database(ONE, now).set_add(key, &members), Ok(new));
        } else {
            let gone = words.iter().filter(|word| set.remove(*word)).count();
            assert_eq!(self.keyspace.database(ONE, now).set_remove(key, &members), Ok(gone));
        }
    }

    fn hash_step(&mut self, key: &[u8]) {
        let (now, words, word, expiry) = (self.now, self.words(), self.word(), self.expiry());
        let (action, value) = (self.rng.below(5), self.word());
        let Some(Held::Hash(hash)) = held(&mut self.model, key, Kind::Hash) else {
            assert!(self.keyspace.database(ONE, now).hash_set(key, &[], expiry).is_err());
            return;
        };
        hash.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        let before = hash.len();
        match action {
            0..=2 => {
                let mut new = 0;
                for field in &words {
                    let old = hash.get(field).filter(|(_, until)| until.is_none_or(|until| until > now));
                    new += usize::from(old.is_none());
                    let until = match expiry {
                        Expiry::Keep => old.and_then(|(_, until)| *until),
                        Expiry::Clear => None,
                        Expiry::At(at) => Some(at),
                    };
                    hash.insert(field.clone(), (value.clone(), until));
                    hash.retain(|_, (_, until)| until.is_none_or(|until| until > now));
                }
                let fields: Vec<(&[u8], &[u8])> = words.iter().map(|word| (&word[..], &value[..])).collect();
                assert_eq!(self.keyspace.database(ONE, now).hash_set(key, &fields, expiry), Ok(new));
            }
            3 => {
                hash.retain(|field, _| !words.contains(field));
                let gone = before - hash.len();
                let fields: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
                assert_eq!(self.keyspace.database(ONE, now).hash_remove(key, &fields), Ok(gone));
            }
            _ => {
                let at = if let Expiry::At(at) = expiry { Some(at) } else { None };
                let is_there = hash.get_mut(&word).map(|(_, until)| *until = at).is_some();
                hash.retain(|_, (_, until)| until.is_none_or(|until| until > now));
                assert_eq!(self.keyspace.database(ONE, now).hash_set_expiry(key, &word, at), Ok(is_there));
            }
        }
    }

    fn sorted_set_step(&mut self, key: &[u8]) {
        let (now, words, puts) = (self.now, self.words(), self.rng.chance(2, 3));
        let scores = [0.0, -0.0, 1.0, -1.5, f64::INFINITY, 1e300, 0.1];
        let scores: Vec<f64> =
            words.iter().map(|_| *self.rng.pick(&scores).expect("there are some")).collect();
        let Some(Held::SortedSet(set)) = held(&mut self.model, key, Kind::SortedSet) else {
            assert!(self.keyspace.database(ONE, now).sorted_set(key).is_err());
            return;
        };
        if puts {
            let before = set.len();
            let members: Vec<(&[u8], f64)> =
                words.iter().map(|word| &word[..]).zip(scores.iter().copied()).collect();
            set.extend(members.iter().map(|&(member, score)| (member.to_vec(), score)));
            let new = set.len() - before;
            assert_eq!(self.keyspace.database(ONE, now).sorted_set_put(key, &members), Ok(new));
        } else {
            let gone = words.iter().filter(|word| set.remove(*word).is_some()).count();
            let members: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
            assert_eq!(self.keyspace.database(ONE, now).sorted_set_remove(key, &members), Ok(gone));
        }
    }

    fn stream_step(&mut self, key: &[u8]) {
        let (now, words, word) = (self.now, self.words(), self.word());
        let (action, group, consumer) = (self.rng.below(16), word_of(&mut self.rng), word_of(&mut self.rng));
        let number = self.rng.below(40);
        let exists = self.model.get(key).is_some_and(|(held, _)| held.kind() == Kind::Stream);
        if !exists && action > 5 && !self.model.contains_key(key) {
            let mut view = self.keyspace.database(ONE, now);
            assert_eq!(view.group_put(key, &group, GroupInfo::default()), Ok(false));
            assert_eq!(view.stream_remove(key, &[StreamId::MAX]), Ok(0));
            return;
        }
        let Some(Held::Stream(stream)) = held(&mut self.model, key, Kind::Stream) else {
            assert!(self.keyspace.database(ONE, now).stream_create(key).is_err());
            return;
        };
        let mut view = self.keyspace.database(ONE, now);
        assert_eq!(view.stream_create(key), Ok(!exists));
        let id = |number| StreamId { ms: number, sequence: number % 3 };
        match action {
            0..=5 => {
                for word in words.iter().chain([&word]) {
                    let id = StreamId { ms: stream.info.last_id.ms + number % 2, ..stream.info.last_id };
                    let id = id.next().expect("small");
                    let packed = Fields::pack(&[word, b"value"]);
                    view.stream_append(key, id, Fields::packed(&packed)).expect("a stream");
                    stream.append(id, packed);
                }
            }
            6 => {
                let ids: Vec<StreamId> = stream
                    .entries
                    .keys()
                    .copied()
                    .filter(|id| id.ms % 5 == number % 5)
                    .chain([StreamId::MAX])
                    .collect();
                assert_eq!(view.stream_remove(key, &ids), Ok(ids.len() - 1));
                stream.remove(&ids);
            }
            7 => {
                (0..number).for_each(|_| _ = stream.entries.pop_first());
                assert_eq!(view.stream_trim(key, number as usize), Ok(()));
            }
            8 => {
                let info = StreamInfo {
                    last_id: stream.info.last_id.max(id(number)),
                    max_deleted_id: id(number),
                    entries_added: number,
                };
                stream.info = info;
                assert_eq!(view.stream_set_info(key, info), Ok(true));
            }
            9 | 10 => {
                let info =
                    GroupInfo { last_delivered: id(number), entries_read: (number > 20).then_some(number) };
                stream.groups.entry(group.clone()).or_default().info = info;
                assert_eq!(view.group_put(key, &group, info), Ok(true));
            }
            11 if number < 8 => {
                let is_there = stream.groups.remove(&group).is_some();
                assert_eq!(view.group_remove(key, &group), Ok(is_there));
            }
            _ => Self::group_step(view, stream, key, &group, &consumer, number, action),
        }
    }

    fn group_step(
        mut view: crate::View<'_>,
        stream: &mut StreamHeld,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        number: u64,
        action: u64,
    ) {
        let info = ConsumerInfo {
            seen_at: UnixMillis(number),
            active_at: number.is_multiple_of(2).then_some(UnixMillis(number)),
            pending: 0,
        };
        let Some(group) = stream.groups.get_mut(name) else {
            assert_eq!(view.consumer_put(key, name, consumer, info), Ok(false));
            return;
        };
        match action {
            11 if number < 16 => {
                let owed = group.remove_consumer(consumer);
                assert_eq!(view.consumer_remove(key, name, consumer), Ok(owed));
            }
            11 | 12 => {
                group.consumers.insert(consumer.to_vec(), info);
                assert_eq!(view.consumer_put(key, name, consumer, info), Ok(true));
            }
            13 => {
                for id in 0..number {
                    let id = StreamId { ms: id, sequence: number % 2 };
                    let is_there = group.pending.remove(&id).is_some();
                    assert_eq!(view.pending_remove(key, name, id), Ok(is_there));
                }
            }
            _ => Self::pending_step(view, group, key, name, consumer, number),
        }
    }

    fn pending_step(
        mut view: crate::View<'_>,
        group: &mut Group,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        number: u64,
    ) {
        for id in number..number + 30 {
            let id = StreamId { ms: id, sequence: id % 2 };
            let (delivered_at, deliveries) = (UnixMillis(number), number + 1);
            let entry = PendingEntry { consumer: consumer.to_vec(), delivered_at, deliveries };
            let is_known = group.consumers.contains_key(consumer);
            assert_eq!(view.pending_put(key, name, id, entry.clone()), Ok(is_known));
            if is_known {
                group.pending.insert(id, entry);
            }
        }
    }

    fn remove_expired(&mut self) {
        loop {
            let due = self.keyspace.expired(self.now, 1 + self.rng.below(3) as usize);
            if due.is_empty() {
                break;
            }
            for (database, key) in due {
                assert!(self.keyspace.remove_expired(database, &key, self.now));
            }
        }
        assert!(self.keyspace.next_expiry().is_none_or(|at| at > self.now));
    }

    fn begin(&mut self) {
        if self.fixed.is_none() {
            let digest = self.keyspace.digest();
            self.keyspace.begin_snapshot();
            self.fixed = Some(Fixed { digest, chunks: Vec::new() });
        }
    }

    fn chunk(&mut self, budget_bytes: usize) {
        let Some(fixed) = &mut self.fixed else { return };
        if let Some(chunk) = self.keyspace.next_chunk(budget_bytes) {
            assert!(chunk.len() < budget_bytes + 3 * 64_000, "a chunk stays near its budget");
            fixed.chunks.push(chunk);
            return;
        }
        let mut fixed = self.fixed.take().expect("it was there a moment ago");
        for last in (1..fixed.chunks.len()).rev() {
            fixed.chunks.swap(last, self.rng.below(last as u64 + 1) as usize);
        }
        let mut copy = Keyspace::with_placement(self.placement.clone());
        for chunk in &fixed.chunks {
            copy.load_chunk(chunk).expect("a chunk that was written here");
        }
        copy.check();
        assert_eq!(copy.digest(), fixed.digest, "the snapshot is the state at its beginning");
        self.snapshots += 1;
    }

    fn compare(&mut self) {
        self.keyspace.check();
        self.drop_empty();
        let view = self.keyspace.database(ONE, self.now);
        assert_eq!(view.len(), self.model.len() as u64);
        for (key, (held, until)) in &self.model {
            assert_eq!(view.kind(key), Some(held.kind()));
            assert_eq!(view.expires_at(key), Some(*until));
            held.compare(&view, key);
        }
    }
}

/// What `key` holds, which becomes an empty one of `kind` if it is missing; nothing if it holds another type.
fn held<'a>(model: &'a mut Model, key: &[u8], kind: Kind) -> Option<&'a mut Held> {
    let (held, _) = model.entry(key.to_vec()).or_insert_with(|| (Held::empty(kind), None));
    (held.kind() == kind).then_some(held)
}

fn word_of(rng: &mut Rng) -> Vec<u8> {
    word([1, 2, 7, 3][rng.below(4) as usize])
}

fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(if cfg!(debug_assertions) { 60 } else { 2000 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn collections_are_what_they_should_be_and_their_snapshots_moments_of_them(
        seed in any::<u64>(), kind in 0..KINDS.len(), steps in 1..160usize, hash_bits in prop_oneof![Just(50u32), 2..6u32]
    ) {
        let mut run = Run::new(seed, hash_bits);
        for _ in 0..steps {
            run.step(KINDS[kind]);
            run.compare();
        }
        run.begin();
        while run.fixed.is_some() {
            run.chunk(100);
        }
        prop_assert!(run.snapshots > 0);
        run.keyspace.database(ONE, run.now).clear();
        run.keyspace.drop_database(TWO);
        prop_assert_eq!(run.keyspace.memory_bytes(), 0);
        while run.keyspace.reclaim(1_000) {}
    }

    #[test]
    fn types_side_by_side_stay_apart(seed in any::<u64>(), steps in 1..160usize) {
        let mut run = Run::new(seed, 50);
        for _ in 0..steps {
            let kind = KINDS[run.rng.below(5) as usize];
            run.step(kind);
            run.compare();
        }
    }
}
