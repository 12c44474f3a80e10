//! A plan from a seed.

use super::{Fault, Planned};
use crate::world::clock::DRIFT_PPM_MAX;
use crate::world::{MILLI, SECOND};
use base::Rng;

/// Every plan has at least so many faults that need no particular state of the world.
pub const FAULTS_MIN: u64 = 9;

/// Draws a plan for so many hosts: all of it between `from` and `to`.
pub fn draw(rng: &mut Rng, hosts: usize, from: u64, to: u64) -> Vec<Planned> {
    let mut plan = Vec::new();
    let faults = rng.between(FAULTS_MIN, FAULTS_MIN + 9);
    for _ in 0..faults {
        let (fault, longest) = any(rng, hosts);
        plan.push(place(rng, fault, longest, from, to));
    }
    // What destroys a copy waits for a world that is whole, and so may find none.
    for _ in 0..rng.below(4) {
        let host = rng.below(hosts as u64) as usize;
        let fault = if rng.chance(1, 2) { Fault::Rot(host, rng.between(1, 4)) } else { Fault::Replace(host) };
        plan.push(place(rng, fault, 2_000, from, to));
    }
    plan.sort_by_key(|planned| planned.at);
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
fn any(rng: &mut Rng, hosts: usize) -> (Fault, u64) {
    let host = rng.below(hosts as u64) as usize;
    match rng.below(40) {
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
        _ => (Fault::FailedDisk(host, rng.between(1, 60)), 3_000),
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
    use super::{FAULTS_MIN, draw};
    use crate::world::SECOND;
    use base::Rng;

    #[test]
    fn every_plan_is_full_and_over_in_time() {
        for seed in 0..500 {
            let plan = draw(&mut Rng::new(seed), 5, 2 * SECOND, 25 * SECOND);
            assert!(plan.len() as u64 >= FAULTS_MIN);
            assert!(plan.iter().all(|fault| fault.at + fault.lasts <= 26 * SECOND));
            assert_eq!(plan, draw(&mut Rng::new(seed), 5, 2 * SECOND, 25 * SECOND));
        }
    }
}
