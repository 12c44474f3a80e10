//! What the commands do, a family a file. Each has its part of the table beside its functions, so that what is said of
//! a command and what it does are read together.

use crate::spec::Spec;

/// Users and what they may do.
pub mod acl;
/// BITFIELD.
pub mod bitfields;
/// Strings, bit by bit.
pub mod bitmaps;
/// Strings that are set or deleted under conditions.
pub mod conditional;
/// What a connection says about itself.
pub mod connection;
/// INCR and its kin.
pub mod counters;
/// Times to live.
pub mod expiry;
/// Fields of hashes that expire by themselves.
pub mod field_expiry;
/// DEL, RENAME and whatever else doesn't care what a key holds.
pub mod generic;
/// Places on the earth.
pub mod geo;
/// Places around others.
pub mod geo_search;
/// Fields with values.
pub mod hashes;
/// Estimates of how many distinct elements were seen.
pub mod hyperloglog;
/// LCS.
pub mod lcs;
/// Elements in an order.
pub mod lists;
/// MIGRATE.
pub mod migrate;
/// What those who run a Redis ask of it.
pub mod operations;
/// Random picks out of a collection.
pub(crate) mod picks;
/// Channels and who listens to them.
pub mod pubsub;
/// Walks over the elements of a collection.
pub(crate) mod scans;
/// Scripts and functions.
pub mod scripting;
/// What concerns the node and the cluster.
pub mod server;
/// Distinct members.
pub mod sets;
/// SORT.
pub mod sort;
/// Unions, intersections and differences of sorted sets.
pub mod sorted_algebra;
/// Taking the lowest or the highest members out of sorted sets.
pub mod sorted_pops;
/// Ranges of sorted sets.
pub mod sorted_ranges;
/// Members with scores, one by one.
pub mod sorted_sets;
/// Logs with groups of consumers.
pub mod streams;
/// SET, GET and whatever else treats a value as a whole or by ranges.
pub mod strings;
/// MULTI, EXEC and what belongs to them.
pub mod transactions;

/// The tables of all families.
pub(crate) const FAMILIES: &[&[Spec]] = &[
    strings::SPECS,
    conditional::SPECS,
    counters::SPECS,
    lcs::SPECS,
    bitmaps::SPECS,
    bitfields::SPECS,
    generic::SPECS,
    migrate::SPECS,
    expiry::SPECS,
    hashes::SPECS,
    field_expiry::SPECS,
    sorted_sets::SPECS,
    sorted_ranges::SPECS,
    sorted_pops::SPECS,
    sorted_algebra::SPECS,
    geo::SPECS,
    geo_search::SPECS,
    lists::SPECS,
    sets::SPECS,
    sort::SPECS,
    crate::scatter::SPECS,
    connection::SPECS,
    server::SPECS,
    transactions::SPECS,
    pubsub::SPECS,
    streams::SPECS,
    hyperloglog::SPECS,
    operations::SPECS,
    acl::SPECS,
    scripting::SPECS,
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
