//! Nothing is executed twice, and what was refused isn't executed at all (DESIGN.md, section 1): every client appends
//! pieces, each unique, to one key. An acknowledged piece is there exactly once, one of unknown fate at most once, a
//! refused one never; and each acknowledgement told the length that the value had with its piece at the end.

use super::Finding;
use crate::history::{History, Operation, Outcome, Reply};
use std::collections::BTreeMap;

/// What ends each piece.
pub const SEPARATOR: u8 = b';';

/// Judges the one key to which all clients append.
pub fn check(history: &History) -> Vec<Finding> {
    let value: &[u8] = match &history.pieces_read {
        None => return Vec::new(),
        Some(Reply::Value(value)) => value,
        Some(Reply::Nil) => b"",
        Some(other) => return vec![finding(format!("GET answered {other:?}"))],
    };
    let mut ends: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    let mut end = 0;
    for piece in value.split_inclusive(|&byte| byte == SEPARATOR) {
        end += piece.len();
        ends.entry(piece).or_default().push(end);
    }
    let mut findings: Vec<Finding> =
        history.pieces.iter().filter_map(|sent| judge(sent, ends.remove(&sent.action[..]))).collect();
    findings.extend(ends.keys().map(|piece| finding(format!("{} was never sent", text(piece)))));
    findings
}

fn judge(sent: &Operation<Vec<u8>>, ends: Option<Vec<usize>>) -> Option<Finding> {
    let ends = ends.unwrap_or_default();
    let piece = text(&sent.action);
    let at = sent.called;
    match (&sent.outcome, &ends[..]) {
        (_, [_, _, ..]) => Some(finding(format!("{piece}, sent at {at} ns, is there {} times", ends.len()))),
        (Outcome::Done(Reply::Integer(length)), [end]) if *length == *end as i64 => None,
        (Outcome::Done(reply), [end]) => {
            Some(finding(format!("{piece}, sent at {at} ns, ends at {end}, but its answer was {reply:?}")))
        }
        (Outcome::Done(_), []) => {
            Some(finding(format!("{piece}, sent at {at} ns, was acknowledged and is lost")))
        }
        (Outcome::Refused, [_]) => {
            Some(finding(format!("{piece}, sent at {at} ns, was refused and is there")))
        }
        (Outcome::Refused, []) | (Outcome::Unknown | Outcome::Open, _) => None,
    }
}

fn text(piece: &[u8]) -> String {
    String::from_utf8_lossy(piece).into_owned()
}

fn finding(text: String) -> Finding {
    Finding::new("run once", text)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{History, Operation, Outcome, Reply};

    fn pieces(sent: &[(&str, Outcome)], value: &str) -> History {
        let pieces = sent
            .iter()
            .map(|(piece, outcome)| Operation {
                client: 0,
                action: piece.as_bytes().to_vec(),
                called: 0,
                returned: 1,
                outcome: outcome.clone(),
                after: None,
            })
            .collect();
        History { pieces, pieces_read: Some(Reply::Value(value.into())), ..History::default() }
    }

    fn done(length: i64) -> Outcome {
        Outcome::Done(Reply::Integer(length))
    }

    #[test]
    fn acknowledged_once_refused_never_unknown_at_most_once() {
        let sent = [
            ("a;", done(4)),
            ("b;", done(2)),
            ("c;", Outcome::Refused),
            ("d;", Outcome::Unknown),
            ("e;", Outcome::Unknown),
        ];
        assert!(check(&pieces(&sent, "b;a;d;")).is_empty());
    }

    #[test]
    fn every_way_to_break_it_is_seen() {
        for (outcome, value) in [
            (done(2), ""),
            (done(4), "a;a;"),
            (done(3), "a;"),
            (Outcome::Refused, "a;"),
            (Outcome::Unknown, "a;a;"),
            (Outcome::Unknown, "x;"),
        ] {
            assert_eq!(check(&pieces(&[("a;", outcome.clone())], value)).len(), 1, "{outcome:?} {value}");
        }
    }
}
