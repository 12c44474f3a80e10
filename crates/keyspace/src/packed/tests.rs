//! Packed rows are a vector of rows.

use super::{BYTES_MAX, FieldRow, Packed, ROWS_MAX, Row, ScoredRow, packed_len};
use base::UnixMillis;
use proptest::prelude::*;
use std::fmt::Debug;

/// An element as a test holds it.
trait Own: Clone + Debug + PartialEq {
    type Row<'a>: Row<'a>
    where
        Self: 'a;
    fn lend(&self) -> Self::Row<'_>;
    fn of(row: Self::Row<'_>) -> Self;
}

impl Own for Vec<u8> {
    type Row<'a> = &'a [u8];
    fn lend(&self) -> &[u8] {
        self
    }
    fn of(row: &[u8]) -> Self {
        row.to_vec()
    }
}

type Field = (Vec<u8>, Vec<u8>, Option<u64>);

impl Own for Field {
    type Row<'a> = FieldRow<'a>;
    fn lend(&self) -> FieldRow<'_> {
        FieldRow { name: &self.0, value: &self.1, until: self.2.map(UnixMillis) }
    }
    fn of(row: FieldRow<'_>) -> Self {
        (row.name.to_vec(), row.value.to_vec(), row.until.map(|until| until.0))
    }
}

/// With the bits of the score, so that zeros have their signs.
type Scored = (Vec<u8>, u64);

impl Own for Scored {
    type Row<'a> = ScoredRow<'a>;
    fn lend(&self) -> ScoredRow<'_> {
        ScoredRow { member: &self.0, score: f64::from_bits(self.1) }
    }
    fn of(row: ScoredRow<'_>) -> Self {
        (row.member.to_vec(), row.score.to_bits())
    }
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => (126..129usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn score() -> impl Strategy<Value = u64> {
    let at_bounds = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(252.0),
        Just(253.0),
        Just(f64::from(i16::MIN)),
        Just(f64::from(i16::MAX) + 1.0),
        Just(f64::from(i32::MIN)),
        Just(f64::from(i32::MAX) + 1.0),
        Just(f64::INFINITY),
        Just(0.5),
    ];
    let whole = prop_oneof![any::<i8>().prop_map(f64::from), any::<i32>().prop_map(f64::from)];
    prop_oneof![at_bounds, whole, any::<f64>().prop_filter("a score is a number", |score| !score.is_nan())]
        .prop_map(f64::to_bits)
}

/// Replaces spans by rows, as often as there are steps, in a packed collection and in a vector.
fn replace<T: Own>(steps: Vec<(usize, usize, Vec<T>)>) {
    let (mut packed, mut model) = (Packed::default(), Vec::<T>::new());
    for (from, count, new) in steps {
        let from = from % (model.len() + 1);
        let end = model.len().min(from + count);
        let rows: Vec<_> = new.iter().map(Own::lend).collect();
        let mut after = model.clone();
        after.splice(from..end, new.iter().cloned());
        let fits = packed_len(after.len(), after.iter().map(Own::lend)).is_some();
        assert_eq!(packed.replace(packed.span::<T::Row<'_>>(from, count), &rows), fits);
        if fits {
            model = after;
        }
        packed.check::<T::Row<'_>>();
        assert_eq!(packed.len(), model.len());
        assert!(packed.rows().map(T::of).eq(model.iter().cloned()));
        for rank in 0..=model.len() {
            let back: Vec<T> = packed.rows_back_from(rank).map(T::of).collect();
            let expected = if rank < model.len() { &model[..=rank] } else { &[] };
            assert!(back.iter().rev().eq(expected));
        }
        for row in &model {
            let (_, found) = packed.find_name::<T::Row<'_>>(row.lend().name()).expect("it is there");
            assert_eq!(found.name(), row.lend().name());
        }
    }
}

fn steps<T: Debug>(element: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<(usize, usize, Vec<T>)>> {
    let new = proptest::collection::vec(element, 0..5);
    proptest::collection::vec((any::<usize>(), 0..4usize, new), 1..30)
}

proptest! {
    #[test]
    fn packed_words_are_a_vector(steps in steps(word())) {
        replace(steps);
    }

    #[test]
    fn packed_fields_are_a_vector(
        steps in steps((word(), word(), proptest::option::weighted(0.2, any::<u64>())))
    ) {
        replace(steps);
    }

    #[test]
    fn packed_scores_are_a_vector(steps in steps((word(), score()))) {
        replace(steps);
    }
}

#[test]
fn what_is_too_much_stays_out() {
    let long = [b'x'; 127];
    assert_eq!(packed_len(1, [&long[..]].into_iter()), Some(1 + 128));
    assert_eq!(packed_len(1, [&[b'x'; 128][..]].into_iter()), None);
    let many = |count: usize| packed_len(count, std::iter::repeat_n(&b""[..], count));
    assert_eq!((many(ROWS_MAX), many(ROWS_MAX + 1)), (Some(1 + ROWS_MAX), None));
    let mut packed = Packed::default();
    let words = [&long[..], &long[..BYTES_MAX - 1 - 128 - 1]];
    assert!(!packed.replace(packed.end(), &[words[0], words[1], b""]));
    assert_eq!(packed.len(), 0);
    assert!(packed.replace(packed.end(), &words), "just as many bytes as may be");
    assert!(!packed.replace(packed.end(), &[&b""[..]]));
    assert!(packed.rows::<&[u8]>().eq(words));
}

#[test]
fn small_whole_scores_take_a_byte() {
    let len = |score: f64| ScoredRow { member: b"m", score }.packed_len();
    let lens = [0.0, 252.0, 253.0, -1.0, 40_000.0, 3e9, 0.5, -0.0].map(len);
    assert_eq!(lens, [3, 3, 5, 5, 7, 11, 11, 11].map(Some));
}

#[test]
fn a_collection_takes_little_beside_what_is_packed() {
    assert_eq!(size_of::<Option<crate::types::Collection>>(), 24);
    let mut packed = Packed::default();
    assert_eq!(packed.heap_bytes(), 0);
    assert!(packed.replace(packed.end(), &[&b"element"[..], b"other"]));
    assert_eq!(packed.heap_bytes(), 32);
}
