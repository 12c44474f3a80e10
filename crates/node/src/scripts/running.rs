//! What runs now, and how it is ended. Work goes to the driver and comes back by [`Input::Worked`](crate::Input::Worked); a script may be
//! told to end meanwhile, by SCRIPT KILL or because its client has waited for as long as a request may take.

use super::work::{RunTask, Task, Work};
use super::{Context, Known, Told};
use crate::api::{Effect, Level};
use crate::clients::Ticket;
use crate::meta::{MetaCommand, programs::Manner};
use crate::node::Node;
use crate::scratch::{Halt, Request, Scratch};
use base::{Time, UnixMillis};
use bytes::Bytes;
use script::host::LogLevel;
use script::{Library, Limits, Sha};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The scripts of this node.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// Those that were run here before.
    pub known: Known,
    /// At the driver's, by their runs.
    away: BTreeMap<u64, Away>,
    /// Texts that are looked at.
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    /// What clients hear whose change of meta is made, if it isn't OK.
    pub replies: Vec<(Ticket, Bytes)>,
}

/// A run whose scripts are at the driver's.
#[derive(Debug)]
pub(crate) struct Away {
    killed: Arc<AtomicBool>,
    /// The first script: its command's words, as FUNCTION STATS shows them.
    pub words: Vec<Bytes>,
    pub is_function: bool,
    pub since: Time,
    /// Whether the log has told of it.
    noted: bool,
}

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    /// What becomes of libraries that are there already.
    manner: Manner,
    /// The reply, if it isn't OK.
    names: bool,
}

/// Which scripts are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of EVAL and its kin.
    Scripts,
    /// Those of FCALL and its kin.
    Functions,
}

impl Running {
    /// What is at the driver's, the oldest first.
    pub fn away(&self) -> impl Iterator<Item = &Away> {
        self.away.values()
    }

    /// Ends what runs; whether there was anything, and what else there was.
    pub fn kill(&self, which: Which) -> Result<(), &'static str> {
        let is_such = |away: &&Away| away.is_function == (which == Which::Functions);
        let mut others = false;
        let mut killed = false;
        for away in self.away.values() {
            if is_such(&away) {
                away.killed.store(true, Ordering::Relaxed);
                killed = true;
            } else {
                others = true;
            }
        }
        match (killed, others, which) {
            (true, ..) => Ok(()),
            (false, false, _) => Err("NOTBUSY No scripts in execution right now."),
            (false, true, Which::Scripts) => Err(
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
            ),
            (false, true, Which::Functions) => {
                Err("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
            }
        }
    }

    /// The scripts of a run shall end: nobody waits for it any more.
    pub fn abandon(&self, run: u64) {
        if let Some(away) = self.away.get(&run) {
            away.killed.store(true, Ordering::Relaxed);
        }
    }
}

impl Node {
    /// Hands a run's commands to the driver.
    pub(crate) fn work_on(
        &mut self,
        (run, round): (u64, u32),
        scratch: Box<Scratch>,
        requests: &[Request],
        (time, seed): (UnixMillis, u64),
        user: Option<Arc<crate::users::Access>>,
    ) {
        self.free_memory();
        let killed = Arc::new(AtomicBool::new(false));
        let limits = Limits { killed: Arc::clone(&killed), ..Limits::default() };
        let mut steps = Vec::with_capacity(requests.len());
        for (nth, request) in (0..).zip(requests) {
            steps.push(self.step_of(request, crate::op::seed_of(seed, nth), &limits));
        }
        let context = Context {
            user,
            databases: self.view.databases.clone(),
            memory_is_full: self.hub.memory.is_full(),
        };
        let script = requests.iter().find(|request| request.spec.place == command::Place::Script);
        let away = Away {
            killed,
            words: script.map(|request| request.words.clone()).unwrap_or_default(),
            is_function: script.is_some_and(|request| request.spec.name.starts_with("fcall")),
            since: self.hub.now,
            noted: false,
        };
        self.scripts.away.insert(run, away);
        let task = RunTask {
            run,
            round,
            scratch: Some(scratch),
            time,
            steps,
            context: Arc::new(context),
            outcome: Err(Halt::Failed(Bytes::new())),
            told: Told::default(),
        };
        self.hub.out.push(Effect::Work(Box::new(Work { task: Task::Run(Box::new(task)) })));
    }

    /// Tells the log of scripts that run for long.
    pub(crate) fn note_busy_scripts(&mut self) {
        let (now, after) = (self.hub.now, self.hub.config.busy_after);
        if after == base::Duration::ZERO {
            return;
        }
        let busy =
            self.scripts.away.values_mut().filter(|away| !away.noted && now.since(away.since) >= after);
        let mut notes = Vec::new();
        for away in busy {
            away.noted = true;
            let command = away.words.first().map(|word| String::from_utf8_lossy(word)).unwrap_or_default();
            let kill = if away.is_function { "FUNCTION KILL" } else { "SCRIPT KILL" };
            let millis = now.since(away.since).as_millis();
            notes.push(format!("a script of {command} has run for {millis} ms and goes on; {kill} ends it"));
        }
        notes.into_iter().for_each(|note| self.hub.note(Level::Warn, note));
    }

    /// The driver has carried it out.
    pub(crate) fn worked(&mut self, work: Work) {
        match work.task {
            Task::Run(task) => {
                let task = *task;
                self.scripts.away.remove(&task.run);
                self.run_worked(task.run, task.round, task.scratch, task.outcome, task.told);
            }
            Task::Check { job, text, found } => self.script_checked(job, text, found),
            Task::Load { job, found, .. } => self.libraries_loaded(job, found),
        }
    }

    /// Has the text of a script looked at, for SCRIPT LOAD.
    pub(crate) fn check_script(&mut self, slot: u32, text: Bytes) {
        let job = self.begin_looking(slot, Manner::Replace, false);
        let task = Task::Check { job, text, found: None };
        self.hub.out.push(Effect::Work(Box::new(Work { task })));
    }

    /// Has the texts of libraries looked at, for FUNCTION LOAD and RESTORE.
    pub(crate) fn load_libraries(&mut self, slot: u32, texts: Vec<Bytes>, manner: Manner, names: bool) {
        let job = self.begin_looking(slot, manner, names);
        let task = Task::Load { job, texts, found: None };
        self.hub.out.push(Effect::Work(Box::new(Work { task })));
    }

    fn begin_looking(&mut self, slot: u32, manner: Manner, names: bool) -> u64 {
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            // What comes behind it rests on it.
            client.held = true;
        }
        self.scripts.next_job += 1;
        self.scripts.jobs.insert(self.scripts.next_job, Job { ticket, manner, names });
        self.scripts.next_job
    }

    fn script_checked(&mut self, job: u64, text: Bytes, found: Option<Result<Sha, String>>) {
        let Some(job) = self.scripts.jobs.remove(&job) else { return };
        match found {
            Some(Ok(sha)) => {
                let mut reply = Vec::new();
                resp::Writer::new(&mut reply, resp::Protocol::Resp2).text(&sha.to_string());
                self.change_meta_for(job.ticket, &MetaCommand::LoadScript { text }, Some(reply.into()));
            }
            Some(Err(error)) => {
                self.hub.clients.answer(job.ticket, format!("-{}\r\n", one_line(&error)).as_bytes())
            }
            None => self.hub.clients.answer(job.ticket, &crate::lanes::try_again()),
        }
    }

    fn libraries_loaded(&mut self, job: u64, found: Option<Result<Vec<(Library, Bytes)>, String>>) {
        let Some(job) = self.scripts.jobs.remove(&job) else { return };
        match found {
            Some(Ok(libraries)) => {
                let name = libraries.first().map(|(library, _)| library.name.clone()).unwrap_or_default();
                let libraries = libraries.into_iter().map(|(library, code)| (library, code).into()).collect();
                let mut reply = Vec::new();
                resp::Writer::new(&mut reply, resp::Protocol::Resp2).text(&name);
                let reply = job.names.then(|| reply.into());
                self.change_meta_for(
                    job.ticket,
                    &MetaCommand::PutLibraries { libraries, manner: job.manner },
                    reply,
                );
            }
            Some(Err(error)) => {
                self.hub.clients.answer(job.ticket, format!("-{}\r\n", one_line(&error)).as_bytes())
            }
            None => self.hub.clients.answer(job.ticket, &crate::lanes::try_again()),
        }
    }

    /// What scripts have said is told, now that what they did has taken effect.
    pub(crate) fn tell(&mut self, told: Told) {
        for (spec, words) in told.published {
            let [_, channel, message] = &words[..] else { continue };
            self.publish_everywhere(spec.name == "spublish", channel.clone(), message.clone());
        }
        for (level, text) in told.logged {
            let level = match level {
                LogLevel::Warning => Level::Warn,
                LogLevel::Debug | LogLevel::Verbose | LogLevel::Notice => Level::Info,
            };
            self.hub.note(level, format!("a script says: {}", String::from_utf8_lossy(&text)));
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
