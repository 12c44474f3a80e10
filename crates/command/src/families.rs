//! What the commands do, a family a file. Each has its part of the table beside its functions, so that what is said of
//! a command and what it does are read together.

use crate::spec::Spec;

/// Strings, bit by bit.
pub mod bitmaps;
/// What a connection says about itself.
pub mod connection;
/// INCR and its kin.
pub mod counters;
/// Times to live.
pub mod expiry;
/// DEL, RENAME and whatever else doesn't care what a key holds.
pub mod generic;
/// Estimates of how many distinct elements were seen.
pub mod hyperloglog;
/// LCS.
pub mod lcs;
/// What concerns the node and the cluster.
pub mod server;
/// Logs with groups of consumers.
pub mod streams;
/// SET, GET and whatever else treats a value as a whole or by ranges.
pub mod strings;
/// MULTI, EXEC and what belongs to them.
pub mod transactions;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Spec]] = &[
    strings::SPECS,
    counters::SPECS,
    lcs::SPECS,
    bitmaps::SPECS,
    generic::SPECS,
    expiry::SPECS,
    crate::scatter::SPECS,
    connection::SPECS,
    server::SPECS,
    transactions::SPECS,
    streams::SPECS,
    hyperloglog::SPECS,
];

/// How many commands each has.
pub(crate) const FAMILY_COUNTS: [usize; FAMILIES.len()] = {
    let mut counts = [0; FAMILIES.len()];
    let mut family = 0;
    while family < FAMILIES.len() {
        counts[family] = FAMILIES[family].len();
        family += 1;
    }
    counts
};
