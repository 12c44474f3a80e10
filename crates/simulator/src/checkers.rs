//! What must hold whatever breaks, one promise a file. Those that look inside nodes are told of every step; those that
//! judge what clients saw get the whole history at the end.

use crate::history::History;
use std::fmt;

/// Equal logs make equal copies.
pub mod copies;
/// Every acknowledged INCR happened once.
pub mod counter;
/// At most one leader a term, and it has everything that was committed.
pub mod elections;
/// What has a time to live lives that long, and no longer.
pub mod expiry;
/// What was acknowledged survives.
pub mod ledger;
/// The search for an order that explains all answers.
pub mod linearizability;
/// Terms and commits only grow.
pub mod logs;
/// What is put into a queue is taken out once.
pub mod queues;
/// Nothing is executed twice.
pub mod run_once;
/// Transactions over several keys take effect in one order.
pub mod serializability;
/// What a single copy of a few strings would answer.
pub mod strings;
/// Transactions happen at one moment, and whole.
pub mod transactions;
/// SCAN, KEYS and DBSIZE miss nothing.
pub mod walk;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which checker saw it.
    pub checker: &'static str,
    /// What it saw.
    pub text: String,
}

impl Finding {
    /// A finding of `checker`.
    pub fn new(checker: &'static str, text: impl Into<String>) -> Self {
        Self { checker, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.text)
    }
}

/// Judges what clients did and heard.
pub fn judge(history: &History) -> Vec<Finding> {
    let all = [
        strings::check,
        counter::check,
        run_once::check,
        ledger::check,
        expiry::check,
        walk::check,
        queues::check,
        transactions::check,
        serializability::check,
    ];
    all.iter().flat_map(|check| check(history)).collect()
}
