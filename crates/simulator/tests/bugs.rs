//! The checkers can fail: classic bugs, put back on purpose, are found within a few seeds, and the same worlds without the
//! bug are fine.

use node::Node;
use simulator::checkers::Finding;
use simulator::faults::Style;
use simulator::run::{Outcome, run_world, settings};
use simulator::world::Settings;

/// The checkers of what is promised; that a run was too small, say, proves no bug.
const PROMISES: [&str; 9] =
    ["elections", "logs", "copies", "linearizability", "counter", "run once", "ledger", "walk", "invariant"];

fn broken_promise(outcome: Outcome) -> Option<Finding> {
    outcome.findings.into_iter().find(|finding| PROMISES.contains(&finding.checker))
}

/// Runs worlds of this style, from seed 1 on, until one shows the bug. A bug is only found where the world without it is
/// fine.
fn is_found(style: Style, bug: fn(&mut Settings), seeds: u64) {
    for seed in 1..=seeds {
        let mut fine = Settings { style, mirrors: 1, ..settings(seed) };
        // Few shards, so that what befalls one of them befalls it often.
        fine.config.shards = 1;
        fine.config.lease_reads = true;
        let mut broken = fine.clone();
        bug(&mut broken);
        let Some(finding) = broken_promise(run_world::<Node>(broken)) else { continue };
        if let Some(finding) = broken_promise(run_world::<Node>(fine)) {
            panic!("seed {seed} without the bug: {finding}");
        }
        println!("seed {seed}: {finding}");
        return;
    }
    panic!("none of {seeds} seeds found it");
}

#[test]
fn a_vote_forgotten_over_a_restart_is_found() {
    let bug = |settings: &mut Settings| {
        settings.config.bugs.raft.forget_vote_on_restart = true;
        settings.config.bugs.raft.restart_forgets_promise = true;
    };
    is_found(Style::FallingLeaders, bug, 60);
}

#[test]
fn commit_of_an_earlier_term_by_counting_is_found() {
    let bug = |settings: &mut Settings| settings.config.bugs.raft.commit_earlier_term_by_counting = true;
    is_found(Style::FallingLeaders, bug, 60);
}

#[test]
fn a_lease_kept_over_a_pause_is_found() {
    is_found(Style::PausedLeaders, |settings| settings.config.bugs.raft.lease_over_pause = true, 60);
}

#[test]
fn acknowledgement_before_fsync_is_found() {
    is_found(Style::PowerLosses, |settings| settings.bugs.acknowledge_before_fsync = true, 20);
}

#[test]
fn acknowledgement_before_fsync_by_raft_itself_is_found() {
    let bug = |settings: &mut Settings| settings.config.bugs.raft.acknowledge_before_fsync = true;
    is_found(Style::PowerLosses, bug, 20);
}

#[test]
fn a_snapshot_that_drops_an_entry_is_found() {
    is_found(Style::Mixed, |settings| settings.config.bugs.snapshot_drops_entry = true, 20);
}

#[test]
fn a_retried_forward_applied_twice_is_found() {
    is_found(Style::FallingLeaders, |settings| settings.config.bugs.forward_runs_twice = true, 20);
}

#[test]
fn a_wiped_replica_that_votes_under_its_old_name_is_found() {
    is_found(Style::Replacements, |settings| settings.bugs.wiped_under_old_name = true, 40);
}

#[test]
fn a_rotten_tail_cut_as_torn_is_found() {
    is_found(Style::RottenTails, |settings| settings.bugs.rotten_tail_cut_as_torn = true, 40);
}
