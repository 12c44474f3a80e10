use super::check;
use crate::history::{Append, Fate, History, Micro};

fn append(key: usize, element: u64) -> Micro {
    Micro::Append { key, element }
}

fn read(key: usize, seen: &[u64]) -> Micro {
    Micro::Read { key, seen: seen.to_vec() }
}

fn done(called: u64, returned: u64, ops: &[Micro]) -> Append {
    Append { ops: ops.to_vec(), called, returned: Some(returned), fate: Fate::Done }
}

fn unknown(called: u64, ops: &[Micro]) -> Append {
    Append { ops: ops.to_vec(), called, returned: None, fate: Fate::Unknown }
}

fn complaint(appends: Vec<Append>) -> String {
    let findings = check(&History { appends, ..History::default() });
    assert!(findings.len() <= 1);
    findings.first().map(|finding| finding.text.clone()).unwrap_or_default()
}

#[test]
fn one_after_the_other_and_beside_each_other_is_right() {
    let all = vec![
        done(0, 9, &[append(1, 10), append(2, 11)]),
        done(1, 8, &[read(1, &[]), read(2, &[])]),
        done(2, 9, &[read(1, &[10]), append(1, 12), read(1, &[10, 12])]),
        unknown(3, &[append(2, 13), append(2, 14)]),
        done(20, 21, &[read(2, &[11, 13, 14]), read(1, &[10, 12])]),
        Append { fate: Fate::Refused, ..unknown(22, &[append(1, 15)]) },
        done(30, 31, &[read(1, &[10, 12])]),
    ];
    assert_eq!(complaint(all), "");
}

#[test]
fn a_fractured_read_is_seen() {
    // Half of the first was seen: by Elle's name a G-single.
    let all = vec![
        done(0, 9, &[append(1, 10), append(2, 11)]),
        done(1, 9, &[read(1, &[10]), read(2, &[])]),
        done(20, 21, &[read(2, &[11])]),
    ];
    assert!(complaint(all).contains("Rw(2)"));
}

#[test]
fn write_skew_is_seen() {
    let all = vec![
        done(0, 9, &[read(1, &[]), append(2, 10)]),
        done(0, 9, &[read(2, &[]), append(1, 11)]),
        done(20, 21, &[read(1, &[11]), read(2, &[10])]),
    ];
    assert!(complaint(all).contains("Rw"));
}

#[test]
fn lost_updates_and_crossed_orders_are_seen() {
    let both_saw_nothing = vec![
        done(0, 9, &[read(1, &[]), append(1, 10)]),
        done(0, 9, &[read(1, &[]), append(1, 11)]),
        done(20, 21, &[read(1, &[10, 11])]),
    ];
    assert!(complaint(both_saw_nothing).contains("before the next"));
    let crossed = vec![
        done(0, 9, &[append(1, 10), append(2, 11)]),
        done(0, 9, &[append(1, 12), append(2, 13)]),
        done(20, 21, &[read(1, &[10, 12]), read(2, &[13, 11])]),
    ];
    assert!(complaint(crossed).contains("Ww"));
}

#[test]
fn a_stale_read_is_seen_by_real_time_alone() {
    let all = |called| {
        vec![
            done(0, 2, &[append(1, 10)]),
            done(called, called + 1, &[read(1, &[])]),
            done(20, 21, &[read(1, &[10])]),
        ]
    };
    assert_eq!(complaint(all(1)), "");
    assert!(complaint(all(3)).contains("Rt"));
}

#[test]
fn real_time_reaches_over_those_in_between() {
    // Of those answered before the last asked, only the latest have an edge; the circle is found all the same.
    let mut all = vec![done(0, 2, &[append(1, 10)])];
    all.extend((0..20).map(|nth| done(3 + nth * 2, 4 + nth * 2, &[append(2, 100 + nth)])));
    all.push(done(60, 61, &[read(1, &[])]));
    all.push(done(70, 71, &[read(1, &[10])]));
    assert!(complaint(all).contains("before the next"));
}

#[test]
fn what_is_wrong_in_itself_is_said_plainly() {
    let refused = Append { fate: Fate::Refused, ..unknown(0, &[append(1, 10)]) };
    assert!(complaint(vec![refused, done(5, 6, &[read(1, &[10])])]).contains("G1a"));
    let halfway = vec![done(0, 9, &[append(1, 10), append(1, 11)]), done(1, 9, &[read(1, &[10])])];
    assert!(complaint(halfway).contains("G1b"));
    let torn = vec![
        done(0, 9, &[append(1, 10), append(1, 11)]),
        done(0, 9, &[append(1, 12)]),
        done(20, 21, &[read(1, &[10, 12, 11])]),
    ];
    assert!(complaint(torn).contains("G1b"));
    assert!(complaint(vec![done(0, 1, &[read(1, &[7])])]).contains("nobody has appended"));
    let blind = vec![done(0, 1, &[append(1, 10), read(1, &[])])];
    assert!(complaint(blind).contains("itself"));
    let doubled = vec![done(0, 1, &[append(1, 10)]), done(2, 3, &[read(1, &[10, 10])])];
    assert!(complaint(doubled).contains("twice"));
    let forked = vec![
        done(0, 9, &[append(1, 10)]),
        done(0, 9, &[append(1, 11)]),
        done(1, 9, &[read(1, &[10])]),
        done(1, 9, &[read(1, &[11])]),
    ];
    assert!(complaint(forked).contains("others saw"));
    let lost = vec![done(0, 1, &[append(1, 10)]), done(2, 3, &[read(1, &[])])];
    assert!(complaint(lost).contains("is lost"));
    let half = vec![
        unknown(0, &[append(1, 10), append(2, 11)]),
        done(13_000_000_000, 13_000_000_001, &[read(1, &[10]), read(2, &[])]),
    ];
    assert!(complaint(half).contains("is lost"));
    let changing = vec![done(0, 9, &[append(1, 10)]), done(0, 9, &[read(1, &[]), read(1, &[10])])];
    assert!(complaint(changing).contains("in between"));
}
