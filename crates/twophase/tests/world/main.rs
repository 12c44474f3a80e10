//! Transactions in a small seeded world: one program for all of its tests, so that it is built once.

/// From seeds: everything at once.
mod chaos;
/// What it costs, counted.
mod cost;
/// What broke earlier designs.
mod counterexamples;
/// Somebody dies at every step.
mod deaths;
/// The world.
mod harness;
/// Rules left out: the checkers must notice.
mod mutations;
