//! Acknowledged is on disk on a majority (DESIGN.md, section 1): every key of the ledger is written once, with its own
//! number, and never again. After the world has healed, what was acknowledged is there, and what was refused isn't.

use super::Finding;
use crate::history::{History, LedgerKey, Outcome, Reply};

/// Judges the ledger's keys that were read at the end.
pub fn check(history: &History) -> Vec<Finding> {
    (0..).zip(&history.ledger).filter_map(|(number, key)| judge(number, key)).collect()
}

/// The value that belongs into the ledger's key of this number.
pub fn value(number: u32) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

fn judge(number: u32, key: &LedgerKey) -> Option<Finding> {
    let read = key.read.as_ref()?;
    let there = match read {
        Reply::Nil => false,
        Reply::Value(bytes) if *bytes == value(number) => true,
        other => return Some(finding(format!("ledger key {number} holds {other:?}"))),
    };
    match key.outcome {
        Outcome::Done(_) if !there => {
            Some(finding(format!("ledger key {number}, acknowledged at {} ns, is lost", key.returned)))
        }
        Outcome::Refused if there => {
            Some(finding(format!("ledger key {number}, refused at {} ns, is there", key.returned)))
        }
        _ => None,
    }
}

fn finding(text: String) -> Finding {
    Finding::new("ledger", text)
}

#[cfg(test)]
mod tests {
    use super::{check, value};
    use crate::history::{History, LedgerKey, Outcome, Reply};

    fn ledger(outcome: Outcome, read: Reply) -> History {
        let key = LedgerKey { called: 0, returned: 1, outcome, read: Some(read) };
        History { ledger: vec![key], ..History::default() }
    }

    #[test]
    fn acknowledged_is_there_refused_is_not_unknown_may_be() {
        let written = || Reply::Value(value(0));
        assert!(check(&ledger(Outcome::Done(Reply::Ok), written())).is_empty());
        assert!(check(&ledger(Outcome::Refused, Reply::Nil)).is_empty());
        assert!(check(&ledger(Outcome::Unknown, Reply::Nil)).is_empty());
        assert!(check(&ledger(Outcome::Unknown, written())).is_empty());
        assert_eq!(check(&ledger(Outcome::Done(Reply::Ok), Reply::Nil)).len(), 1);
        assert_eq!(check(&ledger(Outcome::Refused, written())).len(), 1);
        assert_eq!(check(&ledger(Outcome::Unknown, Reply::Value(value(1)))).len(), 1);
    }
}
