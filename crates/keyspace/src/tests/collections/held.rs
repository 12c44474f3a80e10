//! The plain model of a value, and its comparison with what a view shows.

use crate::View;
use base::UnixMillis;
use base::database::streams::{ConsumerInfo, GroupInfo, PendingEntry, StreamId, StreamInfo};
use base::database::{Database, Direction, Hashes, Kind, Lists, Sets, SortedSets, Streams};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(super) enum Held {
    String,
    List(Vec<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>),
    SortedSet(BTreeMap<Vec<u8>, f64>),
    Stream(StreamHeld),
}

#[derive(Clone, Debug, Default)]
pub(super) struct StreamHeld {
    pub(super) entries: BTreeMap<StreamId, Vec<u8>>,
    pub(super) info: StreamInfo,
    pub(super) groups: BTreeMap<Vec<u8>, Group>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) info: GroupInfo,
    pub(super) consumers: BTreeMap<Vec<u8>, ConsumerInfo>,
    pub(super) pending: BTreeMap<StreamId, PendingEntry>,
}

impl StreamHeld {
    pub(super) fn append(&mut self, id: StreamId, packed: Vec<u8>) {
        self.entries.insert(id, packed);
        self.info.last_id = id;
        self.info.entries_added += 1;
    }

    pub(super) fn remove(&mut self, ids: &[StreamId]) {
        for id in ids {
            if self.entries.remove(id).is_some() {
                self.info.max_deleted_id = self.info.max_deleted_id.max(*id);
            }
        }
    }
}

impl Group {
    pub(super) fn remove_consumer(&mut self, consumer: &[u8]) -> Option<usize> {
        self.consumers.remove(consumer)?;
        let before = self.pending.len();
        self.pending.retain(|_, entry| entry.consumer != consumer);
        Some(before - self.pending.len())
    }
}

impl Held {
    pub(super) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::String => Held::String,
            Kind::List => Held::List(Vec::new()),
            Kind::Set => Held::Set(BTreeSet::new()),
            Kind::Hash => Held::Hash(BTreeMap::new()),
            Kind::SortedSet => Held::SortedSet(BTreeMap::new()),
            Kind::Stream => Held::Stream(StreamHeld::default()),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Held::String => Kind::String,
            Held::List(_) => Kind::List,
            Held::Set(_) => Kind::Set,
            Held::Hash(_) => Kind::Hash,
            Held::SortedSet(_) => Kind::SortedSet,
            Held::Stream(_) => Kind::Stream,
        }
    }

    pub(super) fn is_live(&self, until: Option<UnixMillis>, now: UnixMillis) -> bool {
        let has_elements = match self {
            Held::String | Held::Stream(_) => true,
            Held::List(list) => !list.is_empty(),
            Held::Set(set) => !set.is_empty(),
            Held::Hash(hash) => hash.values().any(|(_, until)| until.is_none_or(|until| until > now)),
            Held::SortedSet(set) => !set.is_empty(),
        };
        has_elements && until.is_none_or(|until| until > now)
    }

    pub(super) fn compare(&self, view: &View<'_>, key: &[u8]) {
        match self {
            Held::String => assert_eq!(view.string(key), Ok(Some(&b"string"[..]))),
            Held::List(list) => compare_list(view, key, list),
            Held::Set(set) => compare_set(view, key, set),
            Held::Hash(hash) => compare_hash(view, key, hash),
            Held::SortedSet(set) => compare_sorted_set(view, key, set),
            Held::Stream(stream) => compare_stream(view, key, stream),
        }
    }
}

fn compare_list(view: &View<'_>, key: &[u8], model: &[Vec<u8>]) {
    let list = view.list(key).expect("a list").expect("it is there");
    assert_eq!(list.len(), model.len());
    let mut seen = Vec::new();
    list.walk(0, Direction::Forward, &mut |index, element| {
        assert_eq!(index, seen.len());
        seen.push(element.to_vec());
        true
    });
    assert_eq!(seen, model);
    let middle = model.len() / 2;
    let mut back = Vec::new();
    list.walk(middle, Direction::Backward, &mut |_, element| {
        back.insert(0, element.to_vec());
        true
    });
    assert_eq!(back, model[..=middle]);
    assert_eq!(list.get(middle), Some(&model[middle][..]));
    assert_eq!(list.get(model.len()), None);
    list.walk(model.len(), Direction::Backward, &mut |_, _| panic!("that lies outside"));
}

fn compare_set(view: &View<'_>, key: &[u8], model: &BTreeSet<Vec<u8>>) {
    let set = view.set(key).expect("a set").expect("it is there");
    assert_eq!(set.len(), model.len());
    assert!(model.iter().all(|member| set.contains(member)));
    assert!(!set.contains(b"no member"));
    let mut seen = Vec::new();
    set.walk(&mut |member| {
        assert_eq!(set.get(seen.len()), Some(member));
        seen.push(member.to_vec());
        true
    });
    let mut scanned = Vec::new();
    let mut next = Some(0);
    while let Some(cursor) = next {
        next = set.scan(cursor, 3, &mut |member| scanned.push(member.to_vec()));
    }
    assert_eq!(scanned, seen);
    seen.sort();
    assert!(seen.iter().eq(model));
}

fn compare_hash(view: &View<'_>, key: &[u8], model: &BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>) {
    let now = view.now();
    let live: Vec<_> = model.iter().filter(|(_, (_, until))| until.is_none_or(|until| until > now)).collect();
    let hash = view.hash(key).expect("a hash").expect("it is there");
    assert_eq!(hash.len(now), live.len());
    for (field, (value, until)) in &live {
        assert_eq!(hash.get(field, now), Some(&value[..]));
        assert_eq!(hash.expires_at(field, now), Some(*until));
    }
    let mut seen = Vec::new();
    hash.walk(now, &mut |field, value| {
        assert_eq!(hash.at(seen.len(), now), Some((field, value)));
        seen.push(field.to_vec());
        true
    });
    let mut scanned = Vec::new();
    let mut next = Some(0);
    while let Some(cursor) = next {
        next = hash.scan(cursor, 3, now, &mut |field, _| scanned.push(field.to_vec()));
    }
    assert_eq!(scanned, seen);
    seen.sort();
    assert!(seen.iter().eq(live.iter().map(|(field, _)| *field)));
}

fn compare_sorted_set(view: &View<'_>, key: &[u8], model: &BTreeMap<Vec<u8>, f64>) {
    let set = view.sorted_set(key).expect("a sorted set").expect("it is there");
    let mut ranked: Vec<(&Vec<u8>, f64)> = model.iter().map(|(member, score)| (member, *score)).collect();
    ranked.sort_by(|a, b| a.1.partial_cmp(&b.1).expect("no NaN").then(a.0.cmp(b.0)));
    assert_eq!(set.len(), ranked.len());
    let mut rank = 0;
    set.walk(0, Direction::Forward, &mut |member, score| {
        assert_eq!((member, score.to_bits()), (&ranked[rank].0[..], ranked[rank].1.to_bits()));
        assert_eq!(set.score(member), Some(score));
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.at(rank), Some((member, score)));
        rank += 1;
        true
    });
    assert_eq!(rank, ranked.len());
    set.walk(rank - 1, Direction::Backward, &mut |member, _| {
        rank -= 1;
        assert_eq!(member, &ranked[rank].0[..]);
        true
    });
    for bound in [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 0.05, 1.0, f64::INFINITY] {
        assert_eq!(set.count_below(bound, false), ranked.iter().filter(|(_, score)| *score < bound).count());
        assert_eq!(set.count_below(bound, true), ranked.iter().filter(|(_, score)| *score <= bound).count());
    }
    // Scores may differ, as long as the members are in order.
    if ranked.is_sorted_by_key(|(member, _)| member) {
        for (index, (member, _)) in ranked.iter().enumerate() {
            assert_eq!(set.count_below_lex(member, false), index);
            assert_eq!(set.count_below_lex(member, true), index + 1);
        }
    }
    let mut scanned = BTreeMap::new();
    let mut next = Some(0);
    while let Some(cursor) = next {
        next = set.scan(cursor, 3, &mut |member, score| _ = scanned.insert(member.to_vec(), score));
    }
    assert_eq!(&scanned, model);
}

fn compare_stream(view: &View<'_>, key: &[u8], model: &StreamHeld) {
    let stream = view.stream(key).expect("a stream").expect("it is there");
    assert_eq!((stream.len(), stream.info()), (model.entries.len(), model.info));
    let middle = model.entries.keys().nth(model.entries.len() / 2).copied().unwrap_or(StreamId::MIN);
    for from in [StreamId::MIN, middle, middle.next().expect("small"), StreamId::MAX] {
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        stream.walk(from, Direction::Forward, &mut |id, fields| {
            forward.push((id, fields.bytes().to_vec()));
            true
        });
        stream.walk(from, Direction::Backward, &mut |id, _| {
            backward.push(id);
            true
        });
        assert!(forward.iter().map(|(id, bytes)| (id, bytes)).eq(model.entries.range(from..)));
        assert!(backward.iter().eq(model.entries.range(..=from).rev().map(|(id, _)| id)));
        assert_eq!(stream.count_below(from), model.entries.range(..from).count());
    }
    let mut names = Vec::new();
    stream.walk_groups(&mut |name, info| {
        assert_eq!(info, model.groups[name].info);
        names.push(name.to_vec());
    });
    assert!(names.iter().eq(model.groups.keys()));
    for (name, group) in &model.groups {
        compare_group(stream, name, group);
    }
}

fn compare_group(stream: &dyn base::database::Stream, name: &[u8], group: &Group) {
    assert_eq!(stream.group(name), Some(group.info));
    assert_eq!(stream.pending_len(name), group.pending.len());
    let pending_of = |consumer: Option<&[u8]>, from| {
        let mut pending = Vec::new();
        stream.walk_pending(name, consumer, from, &mut |id, entry| {
            pending.push((id, entry.clone()));
            true
        });
        pending
    };
    let from = StreamId { ms: 20, sequence: 0 };
    for from in [StreamId::MIN, from] {
        let expected: Vec<_> = group.pending.range(from..).map(|(id, entry)| (*id, entry.clone())).collect();
        assert_eq!(pending_of(None, from), expected);
        for consumer in group.consumers.keys() {
            let of: Vec<_> =
                expected.iter().filter(|(_, entry)| entry.consumer == *consumer).cloned().collect();
            assert_eq!(pending_of(Some(consumer), from), of);
        }
    }
    let mut consumers = Vec::new();
    stream.walk_consumers(name, &mut |consumer, info| {
        let pending = group.pending.values().filter(|entry| entry.consumer == consumer).count();
        assert_eq!(info, ConsumerInfo { pending, ..group.consumers[consumer] });
        assert_eq!(stream.consumer(name, consumer), Some(info));
        consumers.push(consumer.to_vec());
    });
    assert!(consumers.iter().eq(group.consumers.keys()));
    for (id, entry) in &group.pending {
        assert_eq!(stream.pending(name, *id).as_ref(), Some(entry));
    }
}
