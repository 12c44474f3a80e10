//! What goes wrong, and when: a plan drawn from the seed before the world begins, so that it can be told, replayed and
//! cut down; and the director, who carries it out.
//!
//! Nothing in a plan may destroy the last good copy of anything: what rots or is wiped does so on one host at a time,
//! and only while all others are whole.

/// A plan from a seed.
mod plan;

use crate::world::{MILLI, Program, World};
use base::{GroupId, Term};
use std::collections::BTreeMap;

pub use plan::{Stage, Style, draw};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// These hosts lose power, and have it again at the end.
    PowerLoss(Vec<usize>),
    /// All hosts that keep a copy of this group lose power at once, and have it again at the end.
    PowerLossOfCopies(GroupId),
    /// These processes are killed, and started again at the end.
    Kill(Vec<usize>),
    /// This process is asked to stop, and started again at the end.
    ShutDown(usize),
    /// These processes are stopped, and go on at the end; the second says whether between a turn and its effects.
    Pause(Vec<usize>, bool),
    /// What these hosts send to the others doesn't arrive; and with `both`, nor the other way.
    Cut {
        /// One side.
        side: Vec<usize>,
        /// Whether both ways are cut.
        both: bool,
        /// Whether connections break at once; otherwise what was sent arrives at the end.
        breaks: bool,
    },
    /// These two don't hear each other, and all others hear both.
    CutBetween(usize, usize),
    /// The ways to and from this host get longer, by up to so many milliseconds.
    SlowLinks(usize, u64),
    /// All connections of this host with others break.
    BreakLinks(usize),
    /// A wall clock is wrong by so many milliseconds.
    WallClock(usize, i64),
    /// A monotonic clock runs wrong by so many millionths; it stays so.
    Drift(usize, i64),
    /// A disk takes so many times longer.
    SlowDisk(usize, u64),
    /// A disk does nothing.
    HungDisk(usize),
    /// A disk has room for so many bytes more.
    FullDisk(usize, u64),
    /// A disk fails after so many operations.
    FailedDisk(usize, u64),
    /// A host loses power, bits flip in so many places of its disk, and it starts again at once.
    Rot(usize, u64),
    /// The same, with one bit in what the log was given last.
    RotTail(usize),
    /// A host is replaced by an empty one at the same address.
    Replace(usize),
    /// What befalls the host that leads this group when it begins.
    Leader(GroupId, OnLeader),
    /// The same to the next one that is elected, so many milliseconds later.
    NewLeader(GroupId, OnLeader, u64),
    /// All followers of this group but one are cut off, so that the newest entries are on that one and the leader alone.
    /// Then it loses power, the last thing that its log has rots, and it starts again with the others, while the leader is
    /// cut off: nobody else still has what it has lost.
    RotWhileLeaderIsCutOff(GroupId),
}

/// What can befall a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLeader {
    /// As [`Fault::PowerLoss`].
    PowerLoss,
    /// As [`Fault::Kill`].
    Kill,
    /// As [`Fault::Pause`].
    Pause(bool),
    /// As [`Fault::Cut`]: both ways or not, breaking connections or not.
    Cut(bool, bool),
    /// As [`Fault::HungDisk`].
    HungDisk,
    /// As [`Fault::WallClock`].
    WallClock(i64),
}

impl OnLeader {
    fn on(self, host: usize) -> Fault {
        match self {
            OnLeader::PowerLoss => Fault::PowerLoss(vec![host]),
            OnLeader::Kill => Fault::Kill(vec![host]),
            OnLeader::Pause(after_turn) => Fault::Pause(vec![host], after_turn),
            OnLeader::Cut(both, breaks) => Fault::Cut { side: vec![host], both, breaks },
            OnLeader::HungDisk => Fault::HungDisk(host),
            OnLeader::WallClock(error_ms) => Fault::WallClock(host, error_ms),
        }
    }
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it begins, in the world's nanoseconds.
    pub at: u64,
    /// How long it lasts.
    pub lasts: u64,
    /// What.
    pub fault: Fault,
}

/// How long after something that destroys a copy the next may come.
const BETWEEN_LOSSES: u64 = 4_000 * MILLI;
/// How long such a thing waits for a world that is whole, each time.
const AGAIN_AFTER: u64 = 300 * MILLI;

/// How long until a new leader is looked for again.
const LOOK_AGAIN_AFTER: u64 = 7 * MILLI;
/// How long the first step of a fault in two steps lasts.
const FIRST_STEP: u64 = 400 * MILLI;

/// Who carries out a plan.
#[derive(Debug, Default)]
pub struct Director {
    plan: Vec<Planned>,
    /// What has begun and not ended: what each fault turned out to be.
    active: Vec<Vec<Fault>>,
    /// Of faults in two steps: what follows.
    second: Vec<Vec<Fault>>,
    carried_out: usize,
    last_loss: Option<u64>,
    /// Which faults have found their new leader.
    aimed: Vec<bool>,
    /// Of each group: the latest term whose leader something befell as soon as it was elected.
    struck: BTreeMap<GroupId, Term>,
    stopped: bool,
}

impl Director {
    /// Carries out `plan`.
    pub fn new(plan: Vec<Planned>) -> Self {
        let none = vec![Vec::new(); plan.len()];
        Self { active: none.clone(), second: none, aimed: vec![false; plan.len()], plan, ..Self::default() }
    }

    /// When each fault begins.
    pub fn beginnings(&self) -> Vec<(usize, u64)> {
        self.plan.iter().enumerate().map(|(number, planned)| (number, planned.at)).collect()
    }

    /// How many faults have begun.
    pub fn carried_out(&self) -> usize {
        self.carried_out
    }

    /// Begins a fault. Answers when it ends, or begins after all.
    pub(crate) fn begin<P: Program>(&mut self, world: &mut World<P>, number: usize) -> Option<(u64, bool)> {
        if self.stopped {
            return None;
        }
        let planned = self.plan[number].clone();
        if !self.active[number].is_empty() {
            // The second step takes the place of the first.
            self.end(world, number);
            let second = std::mem::take(&mut self.second[number]);
            return Some(self.carry_out(world, number, second, planned.lasts));
        }
        if destroys(&planned.fault) {
            let early = self.last_loss.is_some_and(|last| world.now() < last + BETWEEN_LOSSES);
            if early || !world.not_ready().is_empty() {
                return Some((world.now() + AGAIN_AFTER, true));
            }
        }
        if let Fault::NewLeader(group, _, delay_ms) = planned.fault
            && !std::mem::replace(&mut self.aimed[number], true)
        {
            let struck = self.struck.entry(group).or_default();
            match world.leader_of(group) {
                Some((_, term)) if term > *struck => {
                    *struck = term;
                    return Some((world.now() + delay_ms * MILLI, true));
                }
                _ => {
                    self.aimed[number] = false;
                    return Some((world.now() + LOOK_AGAIN_AFTER, true));
                }
            }
        }
        let (first, second) = resolve(world, &planned.fault);
        if first.is_empty() {
            // Nobody leads at the moment.
            return Some((world.now() + AGAIN_AFTER, true));
        }
        if destroys(&planned.fault) {
            self.last_loss = Some(world.now());
        }
        self.carried_out += 1;
        if second.is_empty() {
            return Some(self.carry_out(world, number, first, planned.lasts));
        }
        self.second[number] = second;
        self.carry_out(world, number, first, FIRST_STEP);
        Some((world.now() + FIRST_STEP, true))
    }

    fn carry_out<P: Program>(
        &mut self,
        world: &mut World<P>,
        number: usize,
        faults: Vec<Fault>,
        lasts: u64,
    ) -> (u64, bool) {
        for fault in &faults {
            world.tell(|| format!("{fault:?} for {} ms", lasts / MILLI));
            break_it(world, fault, lasts);
        }
        self.active[number] = faults;
        (world.now() + lasts, false)
    }

    /// Ends a fault.
    pub(crate) fn end<P: Program>(&mut self, world: &mut World<P>, number: usize) -> Option<(u64, bool)> {
        for fault in std::mem::take(&mut self.active[number]) {
            mend(world, &fault);
            world.tell(|| format!("over: {fault:?}"));
        }
        None
    }

    /// Ends all faults; none begins any more.
    pub(crate) fn stop<P: Program>(&mut self, world: &mut World<P>) {
        self.stopped = true;
        for number in 0..self.plan.len() {
            self.end(world, number);
        }
    }
}

/// Whether a copy is lost by it, so that the others must be whole.
fn destroys(fault: &Fault) -> bool {
    matches!(fault, Fault::Rot(..) | Fault::RotTail(_) | Fault::Replace(_) | Fault::RotWhileLeaderIsCutOff(_))
}

/// What a fault turns out to be when it begins, and in a second step.
fn resolve<P: Program>(world: &World<P>, fault: &Fault) -> (Vec<Fault>, Vec<Fault>) {
    match fault {
        Fault::Leader(group, what) | Fault::NewLeader(group, what, _) => {
            (world.leader_of(*group).map(|(host, _)| what.on(host)).into_iter().collect(), Vec::new())
        }
        Fault::PowerLossOfCopies(group) => {
            let hosts: Vec<usize> = world.copies_of(*group).map(|(host, _)| host).collect();
            let fault = (!hosts.is_empty()).then_some(Fault::PowerLoss(hosts));
            (fault.into_iter().collect(), Vec::new())
        }
        Fault::RotWhileLeaderIsCutOff(group) => {
            let mut followers = world.followers_of(*group);
            let (Some((leader, _)), false) = (world.leader_of(*group), followers.len() < 2) else {
                return (Vec::new(), Vec::new());
            };
            let follower = followers.remove(0);
            let cut = |side| Fault::Cut { side, both: true, breaks: true };
            (vec![cut(followers)], vec![cut(vec![leader]), Fault::RotTail(follower)])
        }
        fault => (vec![fault.clone()], Vec::new()),
    }
}

/// The ways that a cut closes.
fn ways<P: Program>(world: &World<P>, side: &[usize], both: bool) -> Vec<(usize, usize)> {
    let others: Vec<usize> = (0..world.host_count()).filter(|host| !side.contains(host)).collect();
    let there = side.iter().flat_map(|&from| others.iter().map(move |&to| (from, to)));
    let back = |(from, to)| [(from, to), (to, from)];
    if both { there.flat_map(back).collect() } else { there.collect() }
}

fn break_it<P: Program>(world: &mut World<P>, fault: &Fault, lasts: u64) {
    let until = world.now() + lasts;
    match fault {
        Fault::PowerLoss(hosts) => hosts.iter().for_each(|&host| world.lose_power(host)),
        Fault::Kill(hosts) => hosts.iter().for_each(|&host| world.kill(host)),
        Fault::ShutDown(host) => world.shut_down(*host),
        Fault::Pause(hosts, after_turn) => {
            hosts.iter().for_each(|&host| world.pause(host, until, *after_turn));
        }
        Fault::Cut { side, both, breaks } => {
            ways(world, side, *both).into_iter().for_each(|(from, to)| world.cut(from, to, *breaks));
        }
        Fault::CutBetween(a, b) => {
            world.cut(*a, *b, false);
            world.cut(*b, *a, false);
        }
        Fault::SlowLinks(host, millis) => slow_links(world, *host, millis * MILLI),
        Fault::BreakLinks(host) => {
            (0..world.host_count()).for_each(|other| world.break_link(*host, other, Some(20)));
        }
        Fault::WallClock(host, error_ms) => world.set_wall_clock(*host, *error_ms),
        Fault::Drift(host, ppm) => world.set_drift(*host, *ppm),
        Fault::SlowDisk(host, slowness) => world.slow_disk(*host, *slowness),
        Fault::HungDisk(host) => world.hang_disk(*host, until),
        Fault::FullDisk(host, more) => world.fill_disk(*host, Some(*more)),
        Fault::FailedDisk(host, after) => world.fail_disk(*host, 0, *after),
        Fault::Rot(host, places) => {
            world.lose_power(*host);
            let flipped = world.rot(*host, 0, *places);
            world.tell(|| format!("bits flip in {}", flipped.join(", ")));
            world.start_again(*host);
        }
        Fault::RotTail(host) => {
            world.lose_power(*host);
            let flipped = world.rot_tail(*host, 0);
            world.tell(|| format!("a bit flips in {flipped:?}"));
            world.start_again(*host);
        }
        Fault::Replace(host) => world.replace(*host),
        Fault::PowerLossOfCopies(_)
        | Fault::Leader(..)
        | Fault::NewLeader(..)
        | Fault::RotWhileLeaderIsCutOff(_) => {
            unreachable!("it was resolved")
        }
    }
}

fn mend<P: Program>(world: &mut World<P>, fault: &Fault) {
    match fault {
        Fault::PowerLoss(hosts) | Fault::Kill(hosts) => {
            hosts.iter().for_each(|&host| world.start_again(host));
        }
        Fault::ShutDown(host) => {
            // Who hasn't stopped by now is made to.
            if world.is_running(*host) {
                world.kill(*host);
            }
            world.start_again(*host);
        }
        Fault::Pause(hosts, _) => hosts.iter().for_each(|&host| world.resume(host)),
        Fault::Cut { side, both, .. } => {
            ways(world, side, *both).into_iter().for_each(|(from, to)| world.uncut(from, to));
        }
        Fault::CutBetween(a, b) => {
            world.uncut(*a, *b);
            world.uncut(*b, *a);
        }
        Fault::SlowLinks(host, _) => slow_links(world, *host, 0),
        Fault::WallClock(host, _) => world.set_wall_clock(*host, 0),
        Fault::SlowDisk(host, _) => world.slow_disk(*host, 1),
        Fault::HungDisk(host) => world.hang_disk(*host, 0),
        Fault::FullDisk(host, _) | Fault::FailedDisk(host, _) => world.repair_disk(*host),
        Fault::PowerLossOfCopies(_)
        | Fault::BreakLinks(_)
        | Fault::Rot(..)
        | Fault::RotTail(_)
        | Fault::Drift(..)
        | Fault::Replace(_)
        | Fault::Leader(..)
        | Fault::NewLeader(..)
        | Fault::RotWhileLeaderIsCutOff(_) => {}
    }
}

fn slow_links<P: Program>(world: &mut World<P>, host: usize, extra: u64) {
    (0..world.host_count())
        .filter(|&other| other != host)
        .for_each(|other| world.slow_link(host, other, extra));
}
