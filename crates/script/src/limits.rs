//! What a run may use, and what it has used. Every limit counts something that is the same in each run, so that a script that was
//! stopped once is stopped again; only [`Limits::killed`] comes from outside.

use crate::libraries::json::Settings;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many instructions of Lua a run may take: some seconds of a processor.
pub const INSTRUCTIONS_MAX: u64 = 500_000_000;

/// How many instructions the text of a library may take to register its functions.
pub const LOAD_INSTRUCTIONS_MAX: u64 = 50_000_000;

/// How much memory Lua may hold in a run.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;

/// How many scripts and libraries an engine keeps compiled.
pub const COMPILED_MAX: usize = 512;

/// How many instructions pass between two looks at the budget.
pub(crate) const LOOK_EVERY: u32 = 1000;

/// How many instructions a command costs, beside what it answers.
pub(crate) const COMMAND_COSTS: u64 = 200;

/// How many instructions a value costs that goes through a library or becomes a reply.
pub(crate) const VALUE_COSTS: u64 = 10;

/// How many instructions it costs to raise an error and catch it.
pub(crate) const ERROR_COSTS: u64 = 1000;

/// How many bytes are moved for the price of an instruction.
pub(crate) const BYTES_PER_INSTRUCTION: usize = 16;

/// What a run may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Instructions of Lua, and what libraries do counted as such.
    pub instructions: u64,
    /// Memory of Lua, and the largest text that a library makes.
    pub memory_bytes: usize,
    /// Whether somebody wants the run to end.
    pub killed: Arc<AtomicBool>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { instructions: INSTRUCTIONS_MAX, memory_bytes: MEMORY_BYTES_MAX, killed: Arc::default() }
    }
}

/// Why a run ended before the script did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The host couldn't answer.
    Unanswered,
    /// It has used all its instructions.
    Instructions,
    /// It has used all its memory.
    Memory,
    /// Somebody wanted it to end.
    Killed,
}

/// What a run has used, seen by all that works for it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    spent: Cell<u64>,
    instructions: Cell<u64>,
    memory_bytes: Cell<usize>,
    killed: RefCell<Arc<AtomicBool>>,
    stopped: Cell<Option<Stop>>,
    /// The state of `math.random`.
    pub random: Cell<u64>,
    /// The settings of `cjson`, which a script may change for itself.
    pub json: RefCell<Settings>,
}

impl Meter {
    /// A run begins.
    pub fn begin(&self, limits: &Limits, seed: u64) {
        self.spent.set(0);
        self.instructions.set(limits.instructions);
        self.memory_bytes.set(limits.memory_bytes);
        *self.killed.borrow_mut() = Arc::clone(&limits.killed);
        self.stopped.set(None);
        self.random.set(seed);
        *self.json.borrow_mut() = Settings::default();
    }

    /// Why the run has to end, if it has to.
    pub fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }

    /// The run has to end. The first reason stands.
    pub fn stop(&self, why: Stop) -> Stop {
        let why = self.stopped.get().unwrap_or(why);
        self.stopped.set(Some(why));
        why
    }

    /// So many instructions were spent.
    pub fn spend(&self, instructions: u64) -> Result<(), Stop> {
        if let Some(why) = self.stopped.get() {
            return Err(why);
        }
        let spent = self.spent.get().saturating_add(instructions);
        self.spent.set(spent);
        if spent > self.instructions.get() {
            return Err(self.stop(Stop::Instructions));
        }
        Ok(())
    }

    /// A value was read or written.
    pub fn handle_value(&self) -> Result<(), Stop> {
        self.spend(VALUE_COSTS)
    }

    /// So many bytes were moved, of which a text is so long now.
    pub fn grow(&self, text: usize, by: usize) -> Result<(), Stop> {
        if text > self.memory_bytes.get() {
            return Err(self.stop(Stop::Memory));
        }
        self.spend((by / BYTES_PER_INSTRUCTION) as u64 + 1)
    }

    /// As [`Meter::spend`], and looks whether somebody wants the run to end.
    pub fn look(&self, instructions: u64) -> Result<(), Stop> {
        if self.killed.borrow().load(Ordering::Relaxed) {
            return Err(self.stop(Stop::Killed));
        }
        self.spend(instructions)
    }

    /// How many instructions were spent.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }
}
