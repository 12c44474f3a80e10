//! A walk by SCAN returns every key that is there from its first call to its last (Redis's guarantee of SCAN), also
//! while leaders move and shards answer from other replicas than before (COUNTEREXAMPLES.md, 20); KEYS and DBSIZE, over
//! the whole cluster, miss nothing either; and none of them knows keys that nobody wrote.

use super::Finding;
use crate::history::{History, LedgerKey, Outcome, Size, Walk};
use std::collections::BTreeSet;

/// Judges all walks, and all answers of DBSIZE.
pub fn check(history: &History) -> Vec<Finding> {
    let walks = history.walks.iter().filter_map(|walk| judge_walk(walk, &history.ledger));
    let sizes = history.sizes.iter().filter_map(|size| judge_size(size, &history.ledger));
    walks.chain(sizes).collect()
}

/// Whether the key was surely there at `time` and ever after: the ledger's keys are never deleted.
fn there_since(key: &LedgerKey, time: u64) -> bool {
    matches!(key.outcome, Outcome::Done(_)) && key.returned < time
}

fn judge_walk(walk: &Walk, ledger: &[LedgerKey]) -> Option<Finding> {
    let name = if walk.at_once { "KEYS" } else { "SCAN" };
    let when = format!("{name} from {} to {} ns", walk.began, walk.ended);
    let returned: BTreeSet<u32> = walk.ledger.iter().copied().collect();
    let mut keys = (0..).zip(ledger);
    let missed = keys.find(|(number, key)| there_since(key, walk.began) && !returned.contains(number));
    if let Some((number, key)) = missed {
        let text = format!("{when} missed the ledger's key {number}, acknowledged at {} ns", key.returned);
        return Some(Finding::new("walk", text));
    }
    let invented = returned.iter().find(|&&number| match ledger.get(number as usize) {
        Some(key) => {
            key.called > walk.ended || (key.outcome == Outcome::Refused && key.returned < walk.began)
        }
        None => true,
    });
    if let Some(number) = invented {
        return Some(Finding::new(
            "walk",
            format!("{when} returned the ledger's key {number}, not yet written"),
        ));
    }
    let stranger = walk.strangers.first()?;
    Some(Finding::new("walk", format!("{when} returned {:?}", String::from_utf8_lossy(stranger))))
}

fn judge_size(size: &Size, ledger: &[LedgerKey]) -> Option<Finding> {
    let least = ledger.iter().filter(|key| there_since(key, size.called)).count() as i64;
    if (least..=size.keys_max).contains(&size.keys) {
        return None;
    }
    let Size { called, keys, keys_max, .. } = size;
    let text =
        format!("DBSIZE at {called} ns answered {keys}: there were at least {least} and at most {keys_max}");
    Some(Finding::new("walk", text))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{History, LedgerKey, Outcome, Reply, Size, Walk};

    fn world(walk: Walk) -> History {
        let key = |called, returned, outcome| LedgerKey { called, returned, outcome, read: None };
        let ledger = vec![
            key(0, 5, Outcome::Done(Reply::Ok)),
            key(8, 15, Outcome::Done(Reply::Ok)),
            key(1, 2, Outcome::Unknown),
            key(90, 95, Outcome::Done(Reply::Ok)),
        ];
        History { ledger, walks: vec![walk], ..History::default() }
    }

    fn walk(ledger: &[u32]) -> Walk {
        Walk { began: 10, ended: 20, ledger: ledger.to_vec(), strangers: Vec::new(), at_once: false }
    }

    #[test]
    fn what_is_there_throughout_is_returned() {
        assert!(check(&world(walk(&[0]))).is_empty());
        assert!(check(&world(walk(&[2, 0, 1, 0]))).is_empty());
        assert_eq!(check(&world(walk(&[1, 2]))).len(), 1);
    }

    #[test]
    fn what_nobody_wrote_is_not_returned() {
        assert_eq!(check(&world(walk(&[0, 3]))).len(), 1);
        assert_eq!(check(&world(walk(&[0, 7]))).len(), 1);
        let stranger = Walk { strangers: vec![b"x".to_vec()], ..walk(&[0]) };
        assert_eq!(check(&world(stranger)).len(), 1);
    }

    #[test]
    fn sizes_lie_between_what_surely_and_what_possibly_was_there() {
        for (keys, findings) in [(0, 1), (1, 0), (3, 0), (4, 1)] {
            let sizes = vec![Size { called: 10, returned: 11, keys, keys_max: 3 }];
            let history = History { sizes, walks: Vec::new(), ..world(walk(&[])) };
            assert_eq!(check(&history).len(), findings, "{keys}");
        }
    }
}
