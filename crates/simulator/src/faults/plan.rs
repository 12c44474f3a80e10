//! A plan from a seed.

use super::{Fault, OnLeader, Planned};
use crate::world::clock::DRIFT_PPM_MAX;
use crate::world::{MILLI, SECOND};
use base::{GroupId, Rng};

/// Every plan has at least so many faults that need no particular state of the world.
pub const FAULTS_MIN: u64 = 9;

/// What a plan is mostly about. Some bugs show only where one kind of thing happens again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Everything.
    Mixed,
    /// Leaders fall in every way, over and over.
    FallingLeaders,
    /// Whoever is elected is cut off at once, in a slow network: terms pass in which little gets far.
    NewLeaders,
    /// Processes are killed and start again at once, in a slow network, so that messages outlive who they were sent to.
    Restarts,
    /// Leaders are stopped for longer than their leases, and some are cut off when they go on.
    PausedLeaders,
    /// Hosts lose power: one, some, all, or just those that keep a group; often with slow disks.
    PowerLosses,
    /// Hosts are replaced by empty ones, and leaders are cut off beside it.
    Replacements,
    /// What a follower wrote last rots, while its leader is cut off.
    RottenTails,
    /// Leaders' wall clocks are wrong, and leaders fall.
    WrongClocks,
}

impl Style {
    /// All of them, with their names.
    pub const ALL: [(&str, Style); 9] = [
        ("mixed", Style::Mixed),
        ("falling-leaders", Style::FallingLeaders),
        ("new-leaders", Style::NewLeaders),
        ("restarts", Style::Restarts),
        ("paused-leaders", Style::PausedLeaders),
        ("power-losses", Style::PowerLosses),
        ("replacements", Style::Replacements),
        ("rotten-tails", Style::RottenTails),
        ("wrong-clocks", Style::WrongClocks),
    ];

    /// Mostly the mixed one.
    pub fn any(rng: &mut Rng) -> Self {
        if rng.chance(3, 5) { Style::Mixed } else { Self::ALL[rng.below(Self::ALL.len() as u64) as usize].1 }
    }
}

/// Where and when a plan takes place.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// How many hosts there are.
    pub hosts: usize,
    /// How many shards they keep.
    pub shards: u32,
    /// Nothing begins before this time.
    pub from: u64,
    /// Nothing begins after this time.
    pub to: u64,
}

/// Draws a plan.
pub fn draw(rng: &mut Rng, style: Style, stage: Stage) -> Vec<Planned> {
    let mut plan = match style {
        Style::Mixed => mixed(rng, stage),
        Style::FallingLeaders => falling_leaders(rng, stage),
        Style::NewLeaders => new_leaders(rng, stage),
        Style::Restarts => restarts(rng, stage),
        Style::PausedLeaders => paused_leaders(rng, stage),
        Style::PowerLosses => power_losses(rng, stage),
        Style::Replacements => replacements(rng, stage),
        Style::RottenTails => rotten_tails(rng, stage),
        Style::WrongClocks => wrong_clocks(rng, stage),
    };
    plan.sort_by_key(|planned| planned.at);
    plan
}

fn mixed(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let Stage { hosts, shards, from, to } = stage;
    let mut plan = Vec::new();
    let faults = rng.between(FAULTS_MIN, FAULTS_MIN + 9);
    for _ in 0..faults {
        let (fault, longest) = any(rng, hosts, shards);
        plan.push(place(rng, fault, longest, from, to));
    }
    // What destroys a copy waits for a world that is whole, and so may find none.
    for _ in 0..rng.below(4) {
        let host = rng.below(hosts as u64) as usize;
        let fault = match rng.below(5) {
            0 => Fault::Rot(host, rng.between(1, 4)),
            2 => Fault::RotTail(host),
            1 => Fault::RotWhileLeaderIsCutOff(group(rng, shards)),
            _ => Fault::Replace(host),
        };
        plan.push(place(rng, fault, 2_000, from, to));
    }
    plan
}

/// Something about every so many milliseconds, for as many milliseconds as it says.
fn every(
    rng: &mut Rng,
    stage: Stage,
    millis: u64,
    mut fault: impl FnMut(&mut Rng) -> (Fault, u64),
) -> Vec<Planned> {
    let mut plan = Vec::new();
    let mut at = stage.from;
    while at < stage.to {
        let (fault, lasts_ms) = fault(rng);
        plan.push(Planned { at, lasts: (lasts_ms * MILLI).min(stage.to + SECOND - at), fault });
        at += rng.between(millis / 2, millis * 3 / 2) * MILLI;
    }
    plan
}

fn falling_leaders(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let mut plan = every(rng, stage, 500, |rng| {
        let what = match rng.below(6) {
            0..=1 => OnLeader::PowerLoss,
            2 => OnLeader::Kill,
            3 => OnLeader::Pause(false),
            _ => OnLeader::Cut(rng.chance(1, 2), false),
        };
        (Fault::Leader(group(rng, stage.shards), what), rng.between(30, 900))
    });
    plan.extend(every(rng, stage, 1_000, |rng| {
        let host = rng.below(stage.hosts as u64) as usize;
        (Fault::SlowLinks(host, rng.between(50, 400)), rng.between(200, 2_000))
    }));
    plan
}

fn new_leaders(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let group = GroupId(1 + rng.below(stage.shards.into()) as u32);
    let mut plan = every(rng, stage, 500, |rng| {
        let what = match rng.below(8) {
            0 => OnLeader::PowerLoss,
            _ => OnLeader::Cut(true, rng.chance(1, 4)),
        };
        let delay_ms = if rng.chance(1, 2) { 0 } else { rng.below(500) };
        (Fault::NewLeader(group, what, delay_ms), rng.between(200, 1_500))
    });
    plan.extend(slow_network(rng, stage));
    plan
}

fn slow_network(rng: &mut Rng, stage: Stage) -> impl Iterator<Item = Planned> {
    let extra = rng.between(40, 160);
    (0..stage.hosts).map(move |host| all_along(stage, Fault::SlowLinks(host, extra)))
}

fn restarts(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let mut plan = every(rng, stage, 300, |rng| {
        let fault = match rng.below(3) {
            0 => Fault::Leader(group(rng, stage.shards), OnLeader::Kill),
            1 => Fault::Kill(vec![rng.below(stage.hosts as u64) as usize]),
            _ => Fault::Kill(some(rng, stage.hosts)),
        };
        (fault, rng.between(5, 60))
    });
    plan.extend(slow_network(rng, stage));
    plan
}

fn paused_leaders(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    // Where few are stopped at a time, a successor is elected soon, and changes things behind the back of who is stopped.
    let millis = *rng.pick(&[700, 1_800]).unwrap_or(&700);
    let mut plan = every(rng, stage, millis, |rng| {
        let what = OnLeader::Pause(rng.chance(1, 3));
        (Fault::Leader(group(rng, stage.shards), what), rng.between(100, 2_500))
    });
    // Some find themselves cut off when they go on: they had the answers to their last questions, and won't hear of their
    // successor for a while.
    let mut cuts = Vec::new();
    for pause in &plan {
        let Fault::Leader(group, OnLeader::Pause(_)) = pause.fault else { continue };
        if rng.chance(1, 2) {
            let at = pause.at + rng.between(2, 60) * MILLI;
            let lasts = (pause.lasts + rng.between(100, 600) * MILLI).min(stage.to + SECOND - at);
            cuts.push(Planned { at, lasts, fault: Fault::Leader(group, OnLeader::Cut(true, false)) });
        }
    }
    plan.extend(cuts);
    // In a slow network there are always answers under way.
    if rng.chance(1, 2) {
        let extra = rng.between(5, 60);
        plan.extend((0..stage.hosts).map(|host| all_along(stage, Fault::SlowLinks(host, extra))));
    }
    plan
}

fn power_losses(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let mut plan = every(rng, stage, 1_500, |rng| {
        let first = rng.below(stage.hosts as u64) as usize;
        let last = stage.hosts.min(first + rng.between(1, 6) as usize);
        let fault = match rng.below(2) {
            0 => Fault::PowerLossOfCopies(group(rng, stage.shards)),
            _ => Fault::PowerLoss((first..last).collect()),
        };
        (fault, rng.between(20, 400))
    });
    // A slow disk has a batch under way whenever the power goes; one that is quick has just said that it is done.
    if rng.chance(1, 2) {
        plan.extend((0..stage.hosts).map(|host| all_along(stage, Fault::SlowDisk(host, 30))));
    }
    plan
}

/// Something that lasts from beginning to end.
fn all_along(stage: Stage, fault: Fault) -> Planned {
    Planned { at: stage.from, lasts: stage.to - stage.from, fault }
}

fn replacements(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let mut plan =
        every(rng, stage, 2_500, |rng| (Fault::Replace(rng.below(stage.hosts as u64) as usize), 100));
    plan.extend(every(rng, stage, 2_000, |rng| {
        let cut = OnLeader::Cut(true, rng.chance(1, 2));
        (Fault::Leader(group(rng, stage.shards), cut), rng.between(300, 2_000))
    }));
    plan
}

fn rotten_tails(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    let mut plan = every(rng, stage, 2_000, |rng| {
        (Fault::RotWhileLeaderIsCutOff(group(rng, stage.shards)), rng.between(500, 3_000))
    });
    plan.extend(every(rng, stage, 2_000, |rng| {
        (Fault::BreakLinks(rng.below(stage.hosts as u64) as usize), 50)
    }));
    plan
}

fn wrong_clocks(rng: &mut Rng, stage: Stage) -> Vec<Planned> {
    // Never so many at a time that the majority's time is wrong: who should know, then?
    let mut plan = every(rng, stage, 4_000, |rng| {
        let what = OnLeader::WallClock(wall_error(rng));
        (Fault::Leader(group(rng, stage.shards), what), rng.between(300, 2_000))
    });
    plan.extend(every(rng, stage, 1_500, |rng| {
        (Fault::Leader(group(rng, stage.shards), on_leader(rng)), rng.between(30, 900))
    }));
    plan
}

fn place(rng: &mut Rng, fault: Fault, longest_ms: u64, from: u64, to: u64) -> Planned {
    let at = rng.between(from, to);
    // Short ones are as interesting as long ones.
    let longest = if rng.chance(1, 2) { longest_ms } else { longest_ms / 6 };
    let lasts = rng.between(30, longest.max(60)) * MILLI;
    Planned { at, lasts: lasts.min(to + SECOND - at), fault }
}

/// A fault, and how many milliseconds it may last.
fn any(rng: &mut Rng, hosts: usize, shards: u32) -> (Fault, u64) {
    let host = rng.below(hosts as u64) as usize;
    match rng.below(54) {
        0..=3 => (Fault::PowerLoss(vec![host]), 4_000),
        4..=5 => (Fault::PowerLoss(some(rng, hosts)), 2_500),
        6 => (Fault::PowerLoss((0..hosts).collect()), 1_500),
        7..=9 => (Fault::Kill(vec![host]), 4_000),
        10 => (Fault::Kill(some(rng, hosts)), 2_500),
        11 => (Fault::ShutDown(host), 4_000),
        12..=15 => (Fault::Pause(vec![host], rng.chance(1, 3)), 5_000),
        16 => (Fault::Pause(some(rng, hosts), rng.chance(1, 3)), 3_000),
        17..=20 => (cut(rng, vec![host]), 5_000),
        21..=23 => (split(rng, hosts), 5_000),
        24..=25 => (Fault::SlowLinks(host, rng.between(5, 400)), 5_000),
        26 => (Fault::BreakLinks(host), 60),
        27..=28 => (Fault::WallClock(host, wall_error(rng)), 6_000),
        29 => (Fault::Drift(host, drift(rng)), 60),
        30..=31 => (Fault::SlowDisk(host, rng.between(3, 200)), 5_000),
        32..=34 => (Fault::HungDisk(host), 4_000),
        35..=36 => (Fault::FullDisk(host, rng.below(20_000)), 4_000),
        37..=39 => (Fault::FailedDisk(host, rng.between(1, 60)), 3_000),
        40..=41 => {
            let other = (host + rng.between(1, hosts as u64) as usize) % hosts;
            (Fault::CutBetween(host, other), 5_000)
        }
        _ => (Fault::Leader(group(rng, shards), on_leader(rng)), 4_000),
    }
}

/// Meta, or a shard.
fn group(rng: &mut Rng, shards: u32) -> GroupId {
    GroupId(rng.below(u64::from(shards) + 1) as u32)
}

fn on_leader(rng: &mut Rng) -> OnLeader {
    match rng.below(8) {
        0..=1 => OnLeader::PowerLoss,
        2 => OnLeader::Kill,
        3..=4 => OnLeader::Pause(rng.chance(1, 3)),
        5..=6 => OnLeader::Cut(rng.chance(1, 2), rng.chance(1, 2)),
        _ => OnLeader::HungDisk,
    }
}

fn cut(rng: &mut Rng, side: Vec<usize>) -> Fault {
    let both = rng.chance(2, 3);
    // A way that is cut in one direction only: what comes in, or what goes out.
    Fault::Cut { side, both, breaks: rng.chance(1, 2) }
}

fn split(rng: &mut Rng, hosts: usize) -> Fault {
    let side = some(rng, hosts);
    cut(rng, side)
}

/// Some hosts, at least two, but not all.
fn some(rng: &mut Rng, hosts: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..hosts).collect();
    let count = if hosts > 3 { rng.between(2, hosts as u64) as usize } else { hosts.min(2) };
    (0..count).map(|_| all.swap_remove(rng.below(all.len() as u64) as usize)).collect()
}

/// Within what nodes tolerate, or far beyond.
fn wall_error(rng: &mut Rng) -> i64 {
    let size = if rng.chance(1, 2) { rng.below(400) } else { rng.between(600, 3_600_000 * 24) } as i64;
    if rng.chance(1, 2) { size } else { -size }
}

fn drift(rng: &mut Rng) -> i64 {
    rng.below(2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX
}

#[cfg(test)]
mod tests {
    use super::{FAULTS_MIN, Stage, Style, draw};
    use crate::faults::destroys;
    use crate::world::SECOND;
    use base::Rng;

    #[test]
    fn every_plan_is_full_and_over_in_time() {
        let stage = Stage { hosts: 5, shards: 4, from: 2 * SECOND, to: 25 * SECOND };
        for seed in 0..200 {
            for (name, style) in Style::ALL {
                let plan = draw(&mut Rng::new(seed), style, stage);
                let sure = plan.iter().filter(|planned| !destroys(&planned.fault)).count();
                assert!(sure as u64 >= FAULTS_MIN - 1, "{name}: {sure}");
                assert!(plan.iter().all(|fault| fault.at + fault.lasts <= 26 * SECOND), "{name}");
                assert_eq!(plan, draw(&mut Rng::new(seed), style, stage));
            }
        }
    }
}
