//! The checkers can fail: classic bugs, put back on purpose, are found within a few seeds, and the same worlds without the
//! bug are fine.

use node::Node;
use simulator::checkers::Finding;
use simulator::faults::Style;
use simulator::run::{Outcome, run_world, settings};
use simulator::workload::Parts;
use simulator::world::Settings;

/// The checkers of what is promised; that a run was too small, say, proves no bug.
const PROMISES: [&str; 13] = [
    "serializability",
    "elections",
    "logs",
    "copies",
    "linearizability",
    "counter",
    "run once",
    "ledger",
    "expiry",
    "walk",
    "queues",
    "transactions",
    "invariant",
];

fn broken_promise(outcome: Outcome) -> Option<Finding> {
    outcome.findings.into_iter().find(|finding| PROMISES.contains(&finding.checker))
}

/// What all clients do is enough to find most bugs.
const NOBODY_ELSE: Parts =
    Parts { queues: false, accounts: false, spread: false, appends: false, apart: false };

/// Where what lies on several shards is asked for.
const SPREAD: Parts = Parts { spread: true, ..NOBODY_ELSE };

/// Where lists of several shards grow.
const APPENDS: Parts = Parts { appends: true, ..NOBODY_ELSE };

/// A bug, and worlds in which it is likely to show.
struct Case {
    style: Style,
    bug: fn(&mut Settings),
    /// Within so many seeds it must be found. Some ten times as many as it takes on average.
    seeds: u64,
    parts: Parts,
}

impl Case {
    /// The world of this seed, and the same without the bug.
    fn worlds(&self, seed: u64) -> (Settings, Settings) {
        let mut fine = Settings { style: self.style, mirrors: 1, parts: self.parts, ..settings(seed) };
        // Few shards, so that what befalls one of them befalls it often; and each entry travels alone.
        let several = self.parts.spread || self.parts.appends || self.parts.apart;
        fine.config.shards = if several { 2 } else { 1 };
        fine.config.lease_reads = true;
        fine.config.append_bytes_max = 1;
        let mut broken = fine.clone();
        (self.bug)(&mut broken);
        (broken, fine)
    }

    /// Runs worlds from seed 1 on until one shows the bug. A bug is only found where the world without it is fine.
    fn is_found(&self) {
        for seed in 1..=self.seeds {
            let (broken, fine) = self.worlds(seed);
            let Some(finding) = broken_promise(run_world::<Node>(broken)) else { continue };
            if let Some(finding) = broken_promise(run_world::<Node>(fine)) {
                panic!("seed {seed} without the bug: {finding}");
            }
            println!("seed {seed}: {finding}");
            return;
        }
        panic!("none of {} seeds found it", self.seeds);
    }

    /// Of a hundred seeds, those that find it.
    fn finders(&self) -> Vec<u64> {
        (1..=100).filter(|&seed| broken_promise(run_world::<Node>(self.worlds(seed).0)).is_some()).collect()
    }
}

const FORGOTTEN_VOTE: Case = Case {
    style: Style::Restarts,
    bug: |settings| {
        settings.config.bugs.raft.forget_vote_on_restart = true;
        settings.config.bugs.raft.restart_forgets_promise = true;
    },
    seeds: 200,
    parts: NOBODY_ELSE,
};

const COMMIT_BY_COUNTING: Case = Case {
    style: Style::NewLeaders,
    bug: |settings| settings.config.bugs.raft.commit_earlier_term_by_counting = true,
    seeds: 300,
    parts: NOBODY_ELSE,
};

const LEASE_OVER_PAUSE: Case = Case {
    style: Style::PausedLeaders,
    bug: |settings| settings.config.bugs.raft.lease_over_pause = true,
    seeds: 40,
    parts: NOBODY_ELSE,
};

const ACKNOWLEDGED_BEFORE_FSYNC: Case = Case {
    style: Style::PowerLosses,
    bug: |settings| settings.bugs.acknowledge_before_fsync = true,
    seeds: 40,
    parts: NOBODY_ELSE,
};

const VOTED_BEFORE_FSYNC: Case = Case {
    style: Style::PowerLosses,
    bug: |settings| settings.config.bugs.raft.acknowledge_before_fsync = true,
    seeds: 40,
    parts: NOBODY_ELSE,
};

const DROPPED_ENTRY: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.snapshot_drops_entry = true,
    seeds: 20,
    parts: NOBODY_ELSE,
};

const FORWARDED_TWICE: Case = Case {
    style: Style::FallingLeaders,
    bug: |settings| settings.config.bugs.forward_runs_twice = true,
    seeds: 20,
    parts: NOBODY_ELSE,
};

const WIPED_UNDER_OLD_NAME: Case = Case {
    style: Style::Replacements,
    bug: |settings| settings.bugs.wiped_under_old_name = true,
    seeds: 60,
    parts: NOBODY_ELSE,
};

const ROTTEN_TAIL: Case = Case {
    style: Style::RottenTails,
    bug: |settings| settings.bugs.rotten_tail_cut_as_torn = true,
    seeds: 100,
    parts: NOBODY_ELSE,
};

const ANY_CLOCK: Case = Case {
    style: Style::WrongClocks,
    bug: |settings| settings.config.bugs.trusts_any_clock = true,
    seeds: 40,
    parts: NOBODY_ELSE,
};

const NOT_PUT_BACK: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.taken_for_who_has_gone_is_lost = true,
    seeds: 20,
    parts: Parts { queues: true, ..NOBODY_ELSE },
};

const OFFERED_TWICE: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.offers_run_twice = true,
    seeds: 5,
    parts: Parts { queues: true, ..NOBODY_ELSE },
};

const BLIND_EXEC: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.exec_ignores_watch = true,
    seeds: 5,
    parts: Parts { accounts: true, ..NOBODY_ELSE },
};

const ABORTED_STAYS: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.aborted_stays = true,
    seeds: 20,
    parts: SPREAD,
};

const LOCKS_IGNORED: Case = Case {
    style: Style::PausedLeaders,
    bug: |settings| settings.config.bugs.plain_commands_ignore_locks = true,
    seeds: 60,
    parts: SPREAD,
};

const VERSIONS_UNCHECKED: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.twophase.versions_unchecked = true,
    seeds: 20,
    parts: SPREAD,
};

const RUNS_IGNORE_VERSIONS: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.runs_ignore_versions = true,
    seeds: 20,
    parts: Parts { queues: true, apart: true, ..NOBODY_ELSE },
};

const REFUSAL_IS_AN_ABORT: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.twophase.refusal_is_an_abort = true,
    seeds: 60,
    parts: SPREAD,
};

const GATEWAY_ABORTS_ALONE: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.twophase.gateway_aborts_alone = true,
    seeds: 60,
    parts: SPREAD,
};

const READS_SKIP_THE_BARRIER: Case = Case {
    style: Style::Mixed,
    bug: |settings| settings.config.bugs.twophase.reads_skip_the_barrier = true,
    seeds: 60,
    parts: SPREAD,
};

/// Who reads a list by a plain command sees what isn't committed.
const UNCOMMITTED_LIST_READ: Case = Case { parts: APPENDS, ..LOCKS_IGNORED };

/// What did nothing is read by others.
const ABORTED_LIST_STAYS: Case = Case { parts: APPENDS, ..ABORTED_STAYS };

#[test]
fn a_list_that_shows_what_is_not_committed_is_found() {
    UNCOMMITTED_LIST_READ.is_found();
}

#[test]
fn a_list_that_keeps_what_was_aborted_is_found() {
    ABORTED_LIST_STAYS.is_found();
}

#[test]
fn what_an_aborted_transaction_has_done_and_stays_is_found() {
    ABORTED_STAYS.is_found();
}

#[test]
fn plain_commands_that_ignore_the_locks_of_transactions_are_found() {
    LOCKS_IGNORED.is_found();
}

#[test]
fn a_transaction_over_shards_that_ignores_what_is_watched_is_found() {
    VERSIONS_UNCHECKED.is_found();
}

#[test]
fn a_command_over_shards_that_rests_on_what_has_changed_is_found() {
    RUNS_IGNORE_VERSIONS.is_found();
}

#[test]
fn a_vote_forgotten_over_a_restart_is_found() {
    FORGOTTEN_VOTE.is_found();
}

#[test]
fn commit_of_an_earlier_term_by_counting_is_found() {
    COMMIT_BY_COUNTING.is_found();
}

#[test]
fn a_lease_kept_over_a_pause_is_found() {
    LEASE_OVER_PAUSE.is_found();
}

#[test]
fn acknowledgement_before_fsync_is_found() {
    ACKNOWLEDGED_BEFORE_FSYNC.is_found();
}

#[test]
fn a_vote_or_acknowledgement_that_leaves_before_its_fsync_is_found() {
    VOTED_BEFORE_FSYNC.is_found();
}

#[test]
fn a_snapshot_that_drops_an_entry_is_found() {
    DROPPED_ENTRY.is_found();
}

#[test]
fn a_retried_forward_applied_twice_is_found() {
    FORWARDED_TWICE.is_found();
}

#[test]
fn a_wiped_replica_that_votes_under_its_old_name_is_found() {
    WIPED_UNDER_OLD_NAME.is_found();
}

#[test]
fn a_rotten_tail_cut_as_torn_is_found() {
    ROTTEN_TAIL.is_found();
}

#[test]
fn expiry_by_a_clock_that_is_wrong_is_found() {
    ANY_CLOCK.is_found();
}

#[test]
fn what_was_taken_for_a_vanished_client_and_not_put_back_is_found() {
    NOT_PUT_BACK.is_found();
}

#[test]
fn an_offer_that_is_carried_out_twice_is_found() {
    OFFERED_TWICE.is_found();
}

#[test]
fn a_transaction_that_ignores_what_is_watched_is_found() {
    BLIND_EXEC.is_found();
}

/// For whoever changes the worlds: says how many of a hundred seeds find each bug.
#[test]
#[ignore = "it takes minutes, and says something without demanding anything"]
fn how_often_each_bug_is_found() {
    for (name, case) in [
        ("forgotten vote", FORGOTTEN_VOTE),
        ("commit by counting", COMMIT_BY_COUNTING),
        ("lease over a pause", LEASE_OVER_PAUSE),
        ("acknowledged before fsync", ACKNOWLEDGED_BEFORE_FSYNC),
        ("voted before fsync", VOTED_BEFORE_FSYNC),
        ("dropped entry", DROPPED_ENTRY),
        ("forwarded twice", FORWARDED_TWICE),
        ("wiped under the old name", WIPED_UNDER_OLD_NAME),
        ("rotten tail", ROTTEN_TAIL),
        ("expiry by any clock", ANY_CLOCK),
        ("not put back", NOT_PUT_BACK),
        ("offered twice", OFFERED_TWICE),
        ("blind EXEC", BLIND_EXEC),
        ("aborted stays", ABORTED_STAYS),
        ("locks ignored", LOCKS_IGNORED),
        ("uncommitted list read", UNCOMMITTED_LIST_READ),
        ("aborted list stays", ABORTED_LIST_STAYS),
        ("versions unchecked", VERSIONS_UNCHECKED),
        ("runs ignore versions", RUNS_IGNORE_VERSIONS),
        ("refusal is an abort", REFUSAL_IS_AN_ABORT),
        ("gateway aborts alone", GATEWAY_ABORTS_ALONE),
        ("reads skip the barrier", READS_SKIP_THE_BARRIER),
    ] {
        let finders = case.finders();
        println!("{name}: {} of 100, the first {:?}", finders.len(), finders.first());
    }
}
