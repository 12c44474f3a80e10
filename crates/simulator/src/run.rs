//! One seed, from beginning to end: a cluster grows under load while things go wrong; then the world heals, and everything
//! that was promised is demanded.

use crate::checkers::{self, Finding};
use crate::faults::{self, Director, Planned, Stage, Style};
use crate::panics;
use crate::workload::{Parts, Workload};
use crate::world::{Bugs, MILLI, Program, SECOND, Settings, World};
use base::Rng;
use node::api::Config;
use std::fmt;
use std::ops::AddAssign;

/// Nothing goes wrong before this time: the first hosts have to find together.
const FAULTS_FROM: u64 = 1_500 * MILLI;
/// Nothing new goes wrong after this time.
const FAULTS_TO: u64 = 25 * SECOND;
/// How long there is load at least.
const LOAD: u64 = 28 * SECOND;
/// A run is never smaller than this.
const SECONDS_MIN: u64 = 30;
/// A run is never smaller than this.
const COMMANDS_MIN: u64 = 500;
/// A run is never smaller than this.
const FAULTS_MIN: usize = 8;
/// How long the nodes of a healed world may take until all are ready and every client succeeds again.
const RECOVERY_MAX: u64 = 20 * SECOND;
/// How long commands go on that were sent to a world that wasn't whole.
const SETTLING: u64 = 2 * SECOND;
/// How long there is load in a whole world, where it matters that nothing has an excuse.
const QUIET: u64 = 4 * SECOND;
/// How long the reads at the end may take.
const READS_MAX: u64 = 20 * SECOND;
/// How long copies may take to become equal when nobody asks for anything.
const CONVERGENCE_MAX: u64 = 10 * SECOND;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The hash over everything that happened.
    pub trace: u64,
    /// What was found to be broken.
    pub findings: Vec<Finding>,
    /// The last things that went wrong, and what nodes said about them.
    pub story: Vec<String>,
    /// How large the run was.
    pub size: Size,
}

/// How large a run was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Virtual seconds.
    pub seconds: u64,
    /// Commands sent.
    pub commands: u64,
    /// Commands that took effect.
    pub answered: u64,
    /// Commands that were refused.
    pub refused: u64,
    /// Commands of unknown fate.
    pub unknown: u64,
    /// Walks over all keys.
    pub walks: usize,
    /// Faults carried out.
    pub faults: usize,
    /// Turns of nodes.
    pub turns: u64,
    /// States of copies compared.
    pub compared: usize,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.commands += other.commands;
        self.answered += other.answered;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.walks += other.walks;
        self.faults += other.faults;
        self.turns += other.turns;
        self.compared += other.compared;
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} virtual seconds, {} commands ({} answered, {} refused, {} unknown), {} walks, {} faults, {} turns, {} \
             states compared",
            self.seconds,
            self.commands,
            self.answered,
            self.refused,
            self.unknown,
            self.walks,
            self.faults,
            self.turns,
            self.compared
        )
    }
}

/// The world that belongs to a seed.
pub fn settings(seed: u64) -> Settings {
    let mut rng = Rng::new(seed ^ 0x0005_e771_4e65);
    let config = Config {
        shards: rng.between(2, 5) as u32,
        log_bytes_max: rng.between(3, 12) << 10,
        log_segments_max: 1,
        log_cache_bytes: rng.between(1, 8) << 10,
        append_bytes_max: *rng.pick(&[1, 300, 4_000, 1 << 20]).unwrap_or(&1),
        snapshot_chunk_bytes: 1 << 10,
        lease_reads: rng.chance(5, 6),
        pipeline_order_strict: rng.chance(1, 5),
        version: "simulated",
        ..Config::default()
    };
    Settings {
        seed,
        hosts: 5,
        clients: rng.between(6, 10) as usize,
        parts: parts(seed),
        mirrors: if rng.chance(1, 4) { 2 } else { 1 },
        harsh: rng.chance(1, 4),
        config,
        segment_bytes: 16 << 10,
        style: Style::any(&mut rng),
        bugs: Bugs::default(),
        verbose: false,
    }
}

/// Who takes part in the world that belongs to a seed, apart from all else that is drawn for it.
fn parts(seed: u64) -> Parts {
    let mut rng = Rng::new(seed ^ 0x7a27_5000);
    Parts {
        queues: rng.chance(1, 2),
        accounts: rng.chance(1, 2),
        spread: rng.chance(1, 2),
        appends: rng.chance(1, 2),
        apart: rng.chance(1, 2),
    }
}

/// What goes wrong in it.
pub fn plan(settings: &Settings) -> Vec<Planned> {
    let (hosts, shards) = (settings.hosts, settings.config.shards);
    let stage = Stage { hosts, shards, from: FAULTS_FROM, to: FAULTS_TO };
    faults::draw(&mut Rng::new(settings.seed ^ 0xfa17), settings.style, stage)
}

/// Runs a seed.
pub fn run<P: Program>(seed: u64, verbose: bool) -> Outcome {
    run_world::<P>(Settings { verbose, ..settings(seed) })
}

/// Runs a world with the plan that belongs to it.
pub fn run_world<P: Program>(settings: Settings) -> Outcome {
    let plan = plan(&settings);
    run_plan::<P>(settings, plan)
}

/// Runs a world with this plan.
pub fn run_plan<P: Program>(settings: Settings, plan: Vec<Planned>) -> Outcome {
    let mut world: World<P> = World::new(settings, Director::new(plan));
    if let Err(words) = panics::catch(|| live(&mut world)) {
        world.find(Finding::new("invariant", words));
    }
    let mut findings = world.findings();
    if findings.is_empty() {
        findings = checkers::judge(&world.workload.history);
    }
    let history = &world.workload.history;
    let size = Size {
        seconds: world.now() / SECOND,
        commands: history.commands,
        answered: history.answered,
        refused: history.refused,
        unknown: history.unknown,
        walks: history.walks.len(),
        faults: world.faults(),
        turns: world.turns,
        compared: world.compared(),
    };
    Outcome { trace: world.trace(), findings, story: world.story().map(str::to_string).collect(), size }
}

fn live<P: Program>(world: &mut World<P>) {
    world.run_until(LOAD);
    if !world.findings().is_empty() {
        return;
    }
    world.heal();
    demand_recovery(world);
    while world.workload.history.commands < COMMANDS_MIN
        && world.findings().is_empty()
        && world.now() < 2 * LOAD
    {
        world.run_until(world.now() + SECOND);
    }
    if world.workload.has_crews() {
        // What began before the world was whole again comes to its end first.
        world.run_until(world.now() + SETTLING);
        let now = world.now();
        world.workload.is_quiet(now);
        world.run_until(now + QUIET);
    }
    demand_reads(world);
    demand_convergence(world);
    if world.findings().is_empty() {
        demand_size(world);
    }
}

/// Lets time pass in small steps until `done`; false if that takes longer than `at_most`.
fn wait<P: Program>(world: &mut World<P>, at_most: u64, mut done: impl FnMut(&World<P>) -> bool) -> bool {
    let end = world.now() + at_most;
    while world.findings().is_empty() && !done(world) {
        if world.now() >= end {
            return false;
        }
        world.run_until((world.now() + 50 * MILLI).min(end));
    }
    true
}

/// After all faults: every node is ready, and every client's commands take effect.
fn demand_recovery<P: Program>(world: &mut World<P>) {
    let healed = world.now();
    let recovered = wait(world, RECOVERY_MAX, |world| {
        world.not_ready().is_empty() && world.workload.without_success_since(healed).is_empty()
    });
    if !recovered {
        let reasons = world.not_ready().join("; ");
        let clients: Vec<String> = world
            .workload
            .without_success_since(healed)
            .into_iter()
            .map(|client| world.workload.describe(client))
            .collect();
        let text = format!(
            "{} s after all faults: not ready: [{reasons}]; clients without success: {clients:?}",
            RECOVERY_MAX / SECOND
        );
        world.describe();
        world.find(Finding::new("progress", text));
    }
}

/// Everything that was written can be read.
fn demand_reads<P: Program>(world: &mut World<P>) {
    world.direct_clients(|workload, _, _| workload.stop());
    let idle = wait(world, READS_MAX, |world| world.workload.is_idle());
    world.direct_clients(Workload::read_everything);
    if !idle || !wait(world, READS_MAX, |world| world.workload.has_read_everything()) {
        world.find(Finding::new("progress", "not everything could be read in a healed world"));
    }
}

/// When nobody asks for anything, all copies of a group become equal.
fn demand_convergence<P: Program>(world: &mut World<P>) {
    world.direct_clients(|workload, _, _| workload.stop());
    if !wait(world, CONVERGENCE_MAX, |world| world.unequal().is_empty()) {
        let text =
            format!("the copies of a healed, idle world don't become equal: {}", world.unequal().join("; "));
        world.describe();
        world.find(Finding::new("progress", text));
    }
    world.compare_copies();
    world.run_until(SECONDS_MIN * SECOND);
}

fn demand_size<P: Program>(world: &mut World<P>) {
    let (commands, faults) = (world.workload.history.commands, world.faults());
    if commands < COMMANDS_MIN || faults < FAULTS_MIN {
        let text = format!("only {commands} commands and {faults} faults: the run proves too little");
        world.find(Finding::new("size", text));
    }
}
