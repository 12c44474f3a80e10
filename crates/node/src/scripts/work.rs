//! What a driver carries out away from the engine's thread: commands and scripts on a scratch, and the texts of libraries. It is a
//! function of what it holds; the driver hands it back when it is done.

use super::desk::{Context, Desk, Told};
use crate::scratch::{Halt, Request, Scratch};
use base::UnixMillis;
use bytes::Bytes;
use script::{Call, Engine, Library, Outcome, Sha, Stop};
use std::sync::Arc;

/// A worker's bench: the state of Lua, with what it has compiled. It belongs to one thread.
#[derive(Debug, Default)]
pub struct Bench {
    engine: Engine<Desk>,
}

/// Something to be carried out.
#[derive(Debug)]
pub struct Work {
    pub(crate) task: Task,
}

#[derive(Debug)]
pub(crate) enum Task {
    /// Commands and scripts, one behind the other, on what is held.
    Run(Box<RunTask>),
    /// Whether a script can be compiled.
    Check { job: u64, text: Bytes, found: Option<Result<Sha, String>> },
    /// What libraries hold.
    Load { job: u64, texts: Vec<Bytes>, found: Option<Result<Vec<(Library, Bytes)>, String>> },
}

#[derive(Debug)]
pub(crate) struct RunTask {
    pub run: u64,
    pub round: u32,
    /// On the desk of a script while that runs, and here otherwise.
    pub scratch: Option<Box<Scratch>>,
    /// At about this time.
    pub time: UnixMillis,
    pub steps: Vec<Step>,
    pub context: Arc<Context>,
    /// What came of it.
    pub outcome: Result<Vec<Vec<u8>>, Halt>,
    pub told: Told,
}

/// One of the commands.
#[derive(Debug)]
pub(crate) enum Step {
    /// It has its reply already.
    Reply(Vec<u8>),
    /// A command of the table.
    Command(Request),
    /// A script or function.
    Script(Box<Script>),
}

/// A script or function that is to run.
#[derive(Debug)]
pub(crate) struct Script {
    pub program: Program,
    pub call: Call,
    pub database: base::DatabaseId,
    /// It may not write.
    pub reads_only: bool,
    /// It may write while memory is full.
    pub allows_oom: bool,
}

/// What runs.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// The text of a script.
    Script(Bytes),
    /// A function of a library.
    Function { library: Bytes, name: String },
}

impl Work {
    /// What tells it from others, for a trace.
    pub fn name(&self) -> (u64, u64) {
        match &self.task {
            Task::Run(task) => (task.run, task.round.into()),
            Task::Check { job, .. } | Task::Load { job, .. } => (*job, u64::MAX),
        }
    }

    /// Carries it out.
    pub fn carry_out(&mut self, bench: &mut Bench) {
        match &mut self.task {
            Task::Run(task) => task.carry_out(bench),
            Task::Check { text, found, .. } => *found = Some(bench.engine.check(text)),
            Task::Load { texts, found, .. } => {
                let load = |text: &Bytes| Ok((bench.engine.load(text)?, text.clone()));
                *found = Some(texts.iter().map(load).collect());
            }
        }
    }
}

impl RunTask {
    fn carry_out(&mut self, bench: &mut Bench) {
        self.told = Told::default();
        if self.scratch.as_mut().is_none_or(|scratch| scratch.begin(self.time).is_err()) {
            self.outcome = Err(Halt::Failed(crate::runs::unknown_answer()));
            return;
        }
        let mut replies = Vec::new();
        for at in 0..self.steps.len() {
            match self.step(at, bench) {
                Ok(reply) => replies.push(reply),
                Err(halt) => {
                    self.outcome = Err(halt);
                    return;
                }
            }
        }
        self.outcome = Ok(replies);
    }

    fn step(&mut self, at: usize, bench: &mut Bench) -> Result<Vec<u8>, Halt> {
        let script = match &self.steps[at] {
            Step::Reply(reply) => return Ok(reply.clone()),
            Step::Command(request) => {
                let Some(scratch) = &mut self.scratch else { return Err(failed(Stop::Unanswered)) };
                return scratch.run(&request.invocation(), false);
            }
            Step::Script(script) => script,
        };
        let Some(scratch) = self.scratch.take() else { return Err(failed(Stop::Unanswered)) };
        let desk = Desk::new(scratch, script, Arc::clone(&self.context), std::mem::take(&mut self.told));
        let (outcome, desk) = match &script.program {
            Program::Script(text) => bench.engine.eval(text, &script.call, desk),
            Program::Function { library, name } => bench.engine.fcall(library, name, &script.call, desk),
        };
        let (scratch, told, halt) = desk.into_parts();
        self.scratch = Some(scratch);
        self.told = told;
        match outcome {
            Outcome::Replied(reply) => Ok(reply),
            Outcome::Stopped(Stop::Unanswered) => Err(halt.unwrap_or_else(|| failed(Stop::Unanswered))),
            Outcome::Stopped(why) => Err(failed(why)),
        }
    }
}

fn failed(why: Stop) -> Halt {
    Halt::Failed(Bytes::from(format!("-{}\r\n", script::engine::stopped(why))))
}
