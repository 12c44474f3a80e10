//! Promises of LCS. The answers are Redis's own, asked of a server of release 7.0.

use super::*;
use crate::model::Model;
use proptest::prelude::*;

fn model() -> Model {
    let mut model = Model::new();
    model.put_list(b"list");
    model.says(&[("MSET a ohmytext b mynewtext", "+OK")]);
    model
}

#[test]
fn what_two_strings_have_in_common() {
    model().says(&[
        ("LCS a b", "$6 mytext"),
        ("LCS a b LEN", ":6"),
        ("LCS a b IDX", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"),
        ("LCS a b IDX MINMATCHLEN 4", "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6"),
        ("LCS a b idx minmatchlen 4 withmatchlen", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"),
        ("LCS a none", "$0"),
        ("LCS none none IDX", "*4 $7 matches *0 $3 len :0"),
    ]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    const NO_STRING: &str = "-ERR The specified keys must contain string values";
    model().says(&[
        ("LCS a list", NO_STRING),
        ("LCS list a FOO", NO_STRING),
        ("LCS a b LEN IDX", "-ERR If you want both the length and indexes, please just use IDX."),
        ("LCS a b FOO", "-ERR syntax error"),
        ("LCS a b IDX MINMATCHLEN", "-ERR syntax error"),
        ("LCS a b IDX MINMATCHLEN x", "-ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn a_table_too_large_for_memory_is_refused_before_it_is_made() {
    let long = vec![b'x'; 1 << 16];
    assert!(Table::new(&long, &long).is_err());
}

fn is_subsequence(part: &[u8], of: &[u8]) -> bool {
    let mut rest = of.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

proptest! {
    #[test]
    fn the_sequence_is_in_both_and_the_runs_spell_it(a in "[abc]{0,12}", b in "[abc]{0,12}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let table = Table::new(a, b).expect("small");
        let sequence = table.sequence(a, b);
        prop_assert_eq!(sequence.len(), table.length() as usize);
        prop_assert!(is_subsequence(&sequence, a) && is_subsequence(&sequence, b));
        // No longer one exists: try every part of `a`.
        let longest = (0u32..1 << a.len())
            .map(|chosen| (0..a.len()).filter(|at| chosen >> at & 1 == 1).map(|at| a[at]).collect::<Vec<_>>())
            .filter(|part| is_subsequence(part, b))
            .map(|part| part.len())
            .max();
        prop_assert_eq!(longest, Some(sequence.len()));
        let mut spelled = Vec::new();
        for run in table.matches(a, b).iter().rev() {
            prop_assert_eq!(&a[run.in_a..run.in_a + run.length], &b[run.in_b..run.in_b + run.length]);
            spelled.extend_from_slice(&a[run.in_a..run.in_a + run.length]);
        }
        prop_assert_eq!(spelled, sequence);
    }
}
