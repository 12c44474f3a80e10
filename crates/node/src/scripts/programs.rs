//! Which scripts and functions are known, and what a command that runs one asks for. Scripts that were loaded and libraries are meta's;
//! scripts that were run are remembered by the node that ran them.

use super::work::{Program, Script, Step};
use crate::meta::Programs;
use crate::node::Node;
use crate::scratch::Request;
use bytes::Bytes;
use command::{Flags as CommandFlags, Spec};
use resp::{Protocol, Writer};
use script::{Call, Flags, Header, Limits, Sha};
use std::collections::{BTreeMap, VecDeque};

/// How many scripts that were run a node remembers, and how large they may be together: of more, the oldest are forgotten, and EVALSHA
/// answers NOSCRIPT.
pub const SCRIPTS_MAX: usize = 4096;
/// See [`SCRIPTS_MAX`].
pub const SCRIPTS_BYTES_MAX: usize = 16 << 20;

const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";

/// The scripts that were run here.
#[derive(Debug, Default)]
pub(crate) struct Known {
    scripts: BTreeMap<Sha, Bytes>,
    order: VecDeque<Sha>,
    bytes: usize,
    /// How often all scripts had been forgotten when these were run.
    flushes: u64,
}

impl Known {
    /// All scripts are forgotten, if that has happened since.
    fn follow(&mut self, flushes: u64) {
        if self.flushes != flushes {
            *self = Self { flushes, ..Self::default() };
        }
    }

    fn remember(&mut self, sha: Sha, text: &[u8]) {
        if self.scripts.contains_key(&sha) || text.len() > SCRIPTS_BYTES_MAX {
            return;
        }
        self.bytes += text.len();
        self.scripts.insert(sha, Bytes::copy_from_slice(text));
        self.order.push_back(sha);
        while self.scripts.len() > SCRIPTS_MAX || self.bytes > SCRIPTS_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.bytes -= self.scripts.remove(&oldest).map_or(0, |text| text.len());
        }
    }

    /// How many there are that weren't loaded besides.
    fn count(&self, loaded: &Programs) -> usize {
        if self.flushes != loaded.flushes() {
            return 0;
        }
        self.scripts.keys().filter(|sha| loaded.script(**sha).is_none()).count()
    }
}

impl Node {
    /// How many scripts and functions there are.
    pub(crate) fn count_programs(&self) -> crate::overview::Programs {
        let Some(programs) = self.meta().map(|meta| meta.programs()) else { return Default::default() };
        crate::overview::Programs {
            scripts: programs.loaded().0 + self.scripts.known.count(programs),
            functions: programs.function_count(),
            libraries: programs.libraries().len(),
        }
    }

    /// The text of a script, if it is known.
    pub(crate) fn script(&mut self, sha: Sha) -> Option<Bytes> {
        let meta =
            self.replicas.first().and_then(crate::node::Copy::as_live).and_then(|copy| copy.machine.meta());
        if let Some(meta) = meta {
            self.scripts.known.follow(meta.programs().flushes());
            if let Some(text) = meta.programs().script(sha) {
                return Some(text.clone());
            }
        }
        self.scripts.known.scripts.get(&sha).cloned()
    }

    /// What a command that runs a script or function is to do; or why not, as an error for the client.
    pub(crate) fn script_of(
        &mut self,
        spec: &Spec,
        words: &[Bytes],
    ) -> Result<(Program, Option<Flags>), String> {
        let (program, flags) = match spec.name {
            "eval" | "eval_ro" => {
                check_count(words, "ERR value is not an integer or out of range")?;
                let text = words[1].clone();
                let header = Header::of_script(&text).map_err(|error| format!("ERR {error}"))?;
                let sha = Sha::of(&text);
                if let Some(meta) = self.meta() {
                    let flushes = meta.programs().flushes();
                    self.scripts.known.follow(flushes);
                }
                self.scripts.known.remember(sha, &text);
                (Program::Script(text), header.flags)
            }
            "evalsha" | "evalsha_ro" => {
                check_count(words, "ERR value is not an integer or out of range")?;
                let known = Sha::parse(&words[1]).and_then(|sha| self.script(sha));
                let text = known.ok_or(NO_SCRIPT)?;
                let header = Header::of_script(&text).map_err(|error| format!("ERR {error}"))?;
                (Program::Script(text), header.flags)
            }
            _ => {
                let name = str::from_utf8(&words[1]).unwrap_or_default();
                let found = self.meta().and_then(|meta| meta.programs().function(name));
                let (library, function) = found.ok_or("ERR Function not found")?;
                let (library, flags, name) = (library.clone(), function.flags, function.name.clone());
                check_count(words, "ERR Bad number of keys provided")?;
                (Program::Function { library, name }, Some(flags))
            }
        };
        if let Some(flags) = flags {
            if spec.is_readonly() && !flags.has(Flags::NO_WRITES) {
                return Err("ERR Can not execute a script with write flag using *_ro command.".into());
            }
            if self.hub.memory.is_full() && !flags.has(Flags::ALLOW_OOM) && !flags.has(Flags::NO_WRITES) {
                return Err("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'".into());
            }
        }
        Ok((program, flags))
    }

    /// One of a run's commands, as a step of the work.
    pub(crate) fn step_of(&mut self, request: &Request, seed: u64, limits: &Limits) -> Step {
        if request.spec.place != command::Place::Script {
            return Step::Command(request.clone());
        }
        match self.script_of(request.spec, &request.words) {
            Ok((program, flags)) => {
                let keys = count_of(&request.words).unwrap_or(0);
                let (keys, arguments) = request.words[3..].split_at(keys);
                let flags = flags.unwrap_or_default();
                let call = Call {
                    keys: keys.to_vec(),
                    arguments: arguments.to_vec(),
                    seed,
                    protocol: request.protocol,
                    limits: limits.clone(),
                };
                Step::Script(Box::new(Script {
                    program,
                    call,
                    database: request.database,
                    reads_only: request.spec.flags.has(CommandFlags::READONLY) || flags.has(Flags::NO_WRITES),
                    allows_oom: flags.has(Flags::ALLOW_OOM),
                }))
            }
            Err(error) => {
                let mut reply = Vec::new();
                Writer::new(&mut reply, Protocol::Resp2).error(error);
                Step::Reply(reply)
            }
        }
    }
}

/// How many of the words are keys.
fn count_of(words: &[Bytes]) -> Option<usize> {
    usize::try_from(resp::number::parse_integer(&words[2])?).ok()
}

fn check_count(words: &[Bytes], no_number: &str) -> Result<(), String> {
    match resp::number::parse_integer(&words[2]) {
        None => Err(no_number.into()),
        Some(count) if count > words.len() as i64 - 3 => {
            Err("ERR Number of keys can't be greater than number of args".into())
        }
        Some(count) if count < 0 => Err("ERR Number of keys can't be negative".into()),
        Some(_) => Ok(()),
    }
}
