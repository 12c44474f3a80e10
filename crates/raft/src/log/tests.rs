use super::Log;
use alloc::vec::Vec;
use base::{Entry, Index, Payload, Term};
use proptest::prelude::*;

fn entry(term: u64, index: u64) -> Entry {
    Entry { term: Term(term), index: Index(index), payload: Payload::Empty }
}

fn log(terms: &[u64]) -> Log {
    let mut log = Log::new(Index(0), Term(0));
    for (place, term) in terms.iter().enumerate() {
        log.push(entry(*term, place as u64 + 1));
    }
    log
}

#[test]
fn terms_are_known_after_entries_have_left_memory() {
    let mut log = log(&[1, 1, 2, 2, 5]);
    log.release(Index(4));
    assert_eq!((1..=5).map(|i| log.term(Index(i)).unwrap().0).collect::<Vec<_>>(), [1, 1, 2, 2, 5]);
    assert_eq!(log.cached_from(), Index(5));
    assert!(log.slice(Index(4), Index(5), 1000).is_empty(), "a slice never begins later than asked for");
    assert_eq!(log.slice(Index(5), Index(9), 1000).len(), 1);
}

#[test]
fn a_slice_holds_at_least_one_entry_and_no_more_bytes_than_allowed() {
    let log = log(&[1, 1, 1, 1]);
    assert_eq!(log.slice(Index(1), Index(4), 0).len(), 1);
    assert_eq!(log.slice(Index(1), Index(4), 48).len(), 2);
    assert_eq!(log.slice(Index(2), Index(3), 4800).len(), 2);
}

#[test]
fn two_logs_agree_at_best_where_the_terms_allow_it() {
    let log = log(&[1, 1, 2, 4, 4]);
    assert_eq!(log.agreement(Index(5), Term(4)), (Index(5), Term(4)));
    assert_eq!(log.agreement(Index(5), Term(3)), (Index(3), Term(2)));
    assert_eq!(log.agreement(Index(4), Term(1)), (Index(2), Term(1)));
    assert_eq!(log.agreement(Index(9), Term(1)), (Index(9), Term(0)));
}

/// What a log does, done to a plain list too.
#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    Truncate(usize),
    Compact(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..2).prop_map(Step::Push),
        1 => (0usize..30).prop_map(Step::Truncate),
        1 => (0usize..30).prop_map(Step::Compact),
        1 => (0usize..30).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn it_knows_what_a_plain_list_knows(steps in steps()) {
        let mut log = Log::new(Index(0), Term(0));
        let mut terms: Vec<u64> = alloc::vec![0];
        let mut base = 0;
        for step in steps {
            match step {
                Step::Push(rise) => {
                    let term = terms.last().unwrap() + rise;
                    log.push(entry(term, terms.len() as u64));
                    terms.push(term);
                }
                Step::Truncate(from) if from > base && from < terms.len() => {
                    log.truncate(Index(from as u64));
                    terms.truncate(from);
                }
                Step::Compact(keep) if keep > base && keep <= terms.len() => {
                    log.compact(Index(keep as u64));
                    base = keep - 1;
                }
                Step::Release(through) => log.release(Index(through as u64)),
                _ => {}
            }
            log.check();
            for (index, term) in terms.iter().enumerate() {
                let expected = (index >= base).then_some(Term(*term));
                prop_assert_eq!(log.term(Index(index as u64)), expected, "index {}", index);
            }
            prop_assert_eq!(log.term(Index(terms.len() as u64)), None);
            prop_assert_eq!(log.last_index(), Index(terms.len() as u64 - 1));
            prop_assert_eq!(log.last_term(), Term(*terms.last().unwrap()));
            prop_assert_eq!(log.first_index(), Index(base as u64 + 1));
        }
    }
}
