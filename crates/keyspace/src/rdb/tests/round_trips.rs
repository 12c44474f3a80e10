//! What is written is read back the same, and no damage to it does harm.

use super::super::{Value, read_dump, write_dump};
use super::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Words around every border of the encodings.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..12),
        2 => any::<i64>().prop_map(|integer| integer.to_string().into_bytes()),
        2 => (any::<i64>(), 0..63_u32).prop_map(|(integer, by)| (integer >> by).to_string().into_bytes()),
        1 => (60_usize..70, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        1 => (4090_usize..4100, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        1 => (8180_usize..8200, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a score is a number", |score| !score.is_nan()),
        any::<i32>().prop_map(f64::from),
        prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.1)],
        any::<i64>().prop_map(|score| score as f64),
    ]
}

fn expiry() -> impl Strategy<Value = Option<UnixMillis>> {
    proptest::option::weighted(0.3, (1..1_u64 << 46).prop_map(UnixMillis))
}

fn stream_id() -> impl Strategy<Value = StreamId> {
    prop_oneof![
        (0..5_u64, 1..50_u64).prop_map(|(ms, sequence)| id(ms, sequence)),
        (any::<u64>(), 1..=u64::MAX).prop_map(|(ms, sequence)| id(ms, sequence)),
    ]
}

fn entry_fields() -> impl Strategy<Value = Vec<u8>> {
    let words = prop_oneof![
        vec(word(), 1..4).prop_map(|values| {
            let named = values.into_iter().enumerate();
            named
                .flat_map(|(index, value)| [format!("field-{index}").into_bytes(), value])
                .collect::<Vec<_>>()
        }),
        vec((word(), word()), 1..4)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(field, value)| [field, value]).collect()),
    ];
    words.prop_map(|words| Fields::pack(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

fn group() -> impl Strategy<Value = GroupValue> {
    let consumers = btree_map(word(), (0..1_u64 << 46, proptest::option::of(0..1_u64 << 46)), 0..4);
    let pending = btree_map(stream_id(), (any::<prop::sample::Index>(), 0..1_u64 << 46, any::<u64>()), 0..20);
    let info = (stream_id(), proptest::option::of(0..1_u64 << 60));
    (word(), info, consumers, pending).prop_map(
        |(name, (last_delivered, entries_read), consumers, pending)| {
            let consumers: Vec<ConsumerValue> = consumers
                .into_iter()
                .map(|(name, (seen, active))| ConsumerValue {
                    name,
                    seen_at: UnixMillis(seen),
                    active_at: active.map(UnixMillis),
                })
                .collect();
            let owed = |(id, (whose, at, deliveries)): (StreamId, (prop::sample::Index, u64, u64))| {
                let consumer = consumers.get(whose.index(consumers.len().max(1)))?.name.clone();
                Some((id, PendingEntry { consumer, delivered_at: UnixMillis(at), deliveries }))
            };
            let pending = pending.into_iter().filter_map(owed).collect();
            GroupValue { name, info: GroupInfo { last_delivered, entries_read }, consumers, pending }
        },
    )
}

fn any_stream() -> impl Strategy<Value = Value> {
    let groups = vec(group(), 0..3).prop_map(|groups| {
        let named: BTreeMap<_, _> = groups.into_iter().map(|group| (group.name.clone(), group)).collect();
        named.into_values().collect()
    });
    (btree_map(stream_id(), entry_fields(), 0..250), stream_id(), any::<u64>(), groups).prop_map(
        |(entries, some_id, entries_added, groups)| {
            let entries: Vec<_> = entries.into_iter().collect();
            let last_id = entries.last().map_or(some_id, |(last, _)| (*last).max(some_id));
            let info = StreamInfo { last_id, max_deleted_id: some_id, entries_added };
            Value::Stream(StreamValue { entries, info, groups })
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    let hash = |expiry: BoxedStrategy<Option<UnixMillis>>| {
        btree_map(word(), (word(), expiry), 1..200).prop_map(|fields| {
            let fields = fields.into_iter();
            Value::Hash(
                fields.map(|(field, (value, expires_at))| HashField { field, value, expires_at }).collect(),
            )
        })
    };
    prop_oneof![
        word().prop_map(Value::String),
        vec(word(), 1..200).prop_map(Value::List),
        btree_set(word(), 1..200).prop_map(|members| Value::Set(members.into_iter().collect())),
        btree_set(any::<i16>(), 1..700).prop_map(|members| Value::Set(
            members.into_iter().map(|member| member.to_string().into_bytes()).collect()
        )),
        hash(Just(None).boxed()),
        hash(expiry().boxed()),
        btree_map(word(), score(), 1..200).prop_map(|members| {
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(a, a_score), (b, b_score)| {
                a_score.partial_cmp(b_score).expect("no score is NaN").then(a.cmp(b))
            });
            Value::SortedSet(members)
        }),
        any_stream(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let dump = write_dump(&value);
        let back = read_dump(&dump).expect("a dump that was written here");
        prop_assert_eq!(normal(back), normal(value));
    }

    #[test]
    fn every_beginning_of_a_value_is_short(value in value(), cut in any::<prop::sample::Index>()) {
        let whole = written(&value);
        let beginning = &whole[..cut.index(whole.len())];
        prop_assert_eq!(read(beginning), Err(BadValue::Short));
    }

    #[test]
    fn no_damage_does_harm(
        value in value(),
        flips in vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4),
    ) {
        let mut rotten = written(&value);
        for (at, flip) in flips {
            let at = at.index(rotten.len());
            rotten[at] ^= flip;
        }
        // What is still a value can be written and read again.
        if let Ok(value) = read(&rotten) {
            prop_assert_eq!(normal(read(&written(&value)).expect("written here")), normal(value));
        }
    }

    #[test]
    fn no_bytes_do_harm(kind in 0..30_u8, mut bytes in vec(any::<u8>(), 0..200)) {
        bytes.insert(0, kind);
        let _ = read(&bytes);
    }
}
