//! What went wrong elsewhere, as stories with a name: each is a plan written by hand for what broke another database, in
//! worlds with logs so short that snapshots are taken all the time. Every checker watches, and after the world has healed
//! everything must go on. That the checkers can fail is shown in `bugs.rs`.

use base::GroupId;
use node::Node;
use simulator::faults::{Fault, OnLeader, Planned};
use simulator::run::{Outcome, run_plan, settings};
use simulator::world::{MILLI, Settings};

const SHARD: GroupId = GroupId(1);
/// The hosts have found together by this time.
const BEGINNING: u64 = 2_000;
/// Each story is told so many times in one world, once every so many milliseconds.
const ACTS: u64 = 8;
const ACT: u64 = 2_800;

/// A world with one shard, so that what befalls it befalls it often; links keep their order, as TCP does.
fn world(seed: u64) -> Settings {
    let mut settings = Settings { mirrors: 1, harsh: false, ..settings(seed) };
    settings.config.shards = 1;
    settings.config.lease_reads = true;
    settings.config.log_bytes_max = 3 << 10;
    settings
}

/// A fault that begins so many milliseconds after its act, and lasts so many.
fn fault(at: u64, lasts: u64, fault: Fault) -> Planned {
    Planned { at: at * MILLI, lasts: lasts * MILLI, fault }
}

fn leader(what: OnLeader) -> Fault {
    Fault::Leader(SHARD, what)
}

/// The same act again and again; it is told its number.
fn acts(act: impl Fn(usize) -> Vec<Planned>) -> Vec<Planned> {
    let begins = |number: u64| (BEGINNING + number * ACT) * MILLI;
    let moved = |number: u64, planned: Planned| Planned { at: planned.at + begins(number), ..planned };
    (0..ACTS).flat_map(|number| act(number as usize).into_iter().map(move |one| moved(number, one))).collect()
}

/// Nothing that was promised is broken in these worlds, and something was at stake in them.
fn holds(worlds: impl IntoIterator<Item = Settings>, plan: &[Planned]) {
    for settings in worlds {
        let seed = settings.seed;
        let Outcome { findings, story, size, .. } = run_plan::<Node>(settings, plan.to_vec());
        assert!(findings.is_empty(), "seed {seed}: {}\n{}", findings[0], story.join("\n"));
        assert!(size.answered > 300, "seed {seed}: {size}");
        assert!(size.faults as u64 >= ACTS, "seed {seed}: {size}");
    }
}

/// RedisRaft, before its first release: after any failover the data was gone.
#[test]
fn nothing_is_lost_when_one_leader_after_the_other_falls() {
    let plan = acts(|number| {
        let falls = if number % 2 == 0 { OnLeader::PowerLoss } else { OnLeader::Kill };
        vec![fault(0, 300, leader(falls)), fault(900, 1_200, leader(falls))]
    });
    holds([1, 2].map(world), &plan);
}

/// RedisRaft: two leaders after pauses, crashes, partitions and changes of members together.
#[test]
fn no_two_lead_when_pauses_crashes_cuts_and_new_members_come_together() {
    let plan = acts(|number| {
        vec![
            fault(0, 100, Fault::Replace(number % 5)),
            fault(60, 900, leader(OnLeader::Pause(number % 2 == 0))),
            fault(120, 700, Fault::Cut { side: vec![(number + 1) % 5], both: true, breaks: false }),
            fault(500, 300, leader(OnLeader::PowerLoss)),
            fault(900, 500, Fault::Kill(vec![(number + 2) % 5])),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// RedisRaft: reads were empty after all nodes had been restarted.
#[test]
fn reads_are_not_empty_after_everybody_has_restarted() {
    let all = || (0..5).collect();
    let plan = acts(|number| {
        let ends = if number % 2 == 0 { Fault::Kill(all()) } else { Fault::PowerLoss(all()) };
        vec![fault(0, 200, ends)]
    });
    holds([1, 2].map(world), &plan);
}

/// RedisRaft: a command that was sent through a follower took effect again and again.
#[test]
fn what_is_forwarded_over_links_that_break_takes_effect_once() {
    let plan = acts(|number| {
        let host = number % 5;
        vec![
            fault(0, 50, Fault::BreakLinks(host)),
            fault(100, 50, Fault::BreakLinks((host + 1) % 5)),
            fault(200, 400, leader(OnLeader::Cut(false, true))),
            fault(1_200, 300, leader(OnLeader::Kill)),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// Aerospike: a write was said to have failed, and had succeeded. What is refused here must not be found at the end.
#[test]
fn what_was_refused_did_not_happen() {
    let plan = acts(|number| {
        let silent = match number % 3 {
            0 => OnLeader::Cut(false, false),
            1 => OnLeader::HungDisk,
            _ => OnLeader::Cut(true, true),
        };
        vec![
            fault(0, 1_500, leader(silent)),
            fault(
                200,
                1_200,
                Fault::Cut { side: vec![number % 5, (number + 1) % 5], both: true, breaks: false },
            ),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// Aerospike: who was paused for longer than its lease went on as if no time had passed. Here it even finds itself cut off
/// when it goes on, so that nobody tells it what has happened.
#[test]
fn a_leader_that_was_paused_for_longer_than_its_lease_reads_nothing_old() {
    let plan = acts(|number| {
        let between = number % 2 == 1;
        vec![
            fault(0, 1_400, leader(OnLeader::Pause(between))),
            fault(4 + 3 * number as u64, 1_900, leader(OnLeader::Cut(true, false))),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// NATS 2.12: one corrupt disk on a minority lost what had been acknowledged. Here it is corrupted while it falls behind,
/// and the others fall one by one.
#[test]
fn one_rotten_disk_loses_nothing_that_was_acknowledged() {
    let plan = acts(|number| {
        let host = number % 5;
        let rot = if number % 2 == 0 { Fault::Rot(host, 4) } else { Fault::RotTail(host) };
        vec![
            fault(0, 100, rot),
            fault(150, 700, leader(OnLeader::PowerLoss)),
            fault(1_200, 600, leader(OnLeader::Cut(true, true))),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// hashicorp/raft#697: a snapshot took longer to transfer than the log behind it lasted, so that the next one was begun for
/// ever. Logs are as short as they can be here, pieces tiny and the way to who is behind slow; it must catch up.
#[test]
fn who_is_far_behind_catches_up_though_logs_are_shorter_than_the_way() {
    let plan = acts(|number| {
        let host = number % 5;
        vec![
            fault(0, 1_500, Fault::PowerLoss(vec![host])),
            fault(1_400, 1_300, Fault::SlowLinks(host, 120)),
            fault(1_500, 1_200, Fault::SlowDisk(host, 20)),
        ]
    });
    let tiny = |seed| {
        let mut settings = world(seed);
        settings.config.log_bytes_max = 1 << 10;
        settings.config.log_cache_bytes = 1 << 10;
        settings.config.snapshot_chunk_bytes = 256;
        settings
    };
    holds([1, 2].map(tiny), &plan);
}

/// openraft#1802: something was committed that no majority had, while members changed. Here members are replaced while most
/// of the others can't be reached; who is left alone with its leader must not commit.
#[test]
fn nothing_is_committed_without_a_majority_while_members_change() {
    let plan = acts(|number| {
        let side = vec![(number + 1) % 5, (number + 2) % 5, (number + 3) % 5];
        vec![
            fault(0, 100, Fault::Replace(number % 5)),
            fault(80, 900, Fault::Cut { side, both: true, breaks: false }),
            fault(1_100, 500, leader(OnLeader::Cut(true, false))),
            fault(1_300, 500, leader(OnLeader::PowerLoss)),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// OSDI'18, "An analysis of network-partitioning failures": the worst bugs need one node that is alone, or two that don't
/// hear each other while the others hear both.
#[test]
fn a_partial_cut_among_five_breaks_nothing() {
    let plan = acts(|number| {
        let (a, b) = (number % 5, (number + 1 + number / 5) % 5);
        vec![
            fault(0, 2_000, Fault::CutBetween(a, b)),
            fault(100, 1_900, Fault::CutBetween(a, (b + 1) % 5)),
            fault(800, 400, leader(OnLeader::Cut(true, false))),
            fault(1_500, 300, leader(OnLeader::Pause(false))),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// COUNTEREXAMPLES 18 and decision 4: a leader whose clock is ten years ahead deletes every key that has a time to live,
/// and the next one, whose clock is right, brings keys back.
#[test]
fn a_leader_whose_clock_is_years_ahead_lets_no_key_expire() {
    let ten_years = 10 * 365 * 24 * 3_600_000;
    let plan = acts(|number| {
        let wrong = if number % 3 == 2 { -3_600_000 } else { ten_years };
        vec![fault(0, 1_500, leader(OnLeader::WallClock(wrong))), fault(1_000, 600, leader(OnLeader::Kill))]
    });
    holds([1, 2].map(world), &plan);
}

/// Power goes where a shard is kept, on all its hosts at once, just after they have acknowledged something.
#[test]
fn what_was_acknowledged_outlives_a_loss_of_power_of_all_its_copies() {
    let plan = acts(|number| {
        let again = 700 + 37 * number as u64;
        vec![
            fault(0, 100, Fault::PowerLossOfCopies(SHARD)),
            fault(again, 100, Fault::PowerLossOfCopies(SHARD)),
        ]
    });
    holds([1, 2].map(world), &plan);
}

/// Seed 151: with slow disks and cuts the log was long with what couldn't be committed yet; a second snapshot of one entry
/// was written over the first, the disk failed in between, and the copy was given up: two of three were gone in the end.
/// No disk rots here, so every copy must be whole at every start.
#[test]
fn a_disk_that_fails_while_little_can_be_committed_costs_no_copy() {
    let plan = acts(|number| {
        let host = number % 5;
        vec![
            fault(0, 2_000, Fault::SlowDisk(host, 150)),
            fault(0, 2_000, Fault::SlowDisk((host + 1) % 5, 150)),
            fault(300, 900, leader(OnLeader::Cut(true, false))),
            fault(700 + 40 * number as u64, 600, Fault::FailedDisk(host, 1 + number as u64)),
            fault(1_000, 600, Fault::FailedDisk((host + 2) % 5, 3 + 2 * number as u64)),
        ]
    });
    let tiny = |seed| {
        let mut settings = world(seed);
        settings.config.log_bytes_max = 1 << 10;
        settings.config.snapshot_chunk_bytes = 256;
        settings
    };
    holds([1, 2].map(tiny), &plan);
}
