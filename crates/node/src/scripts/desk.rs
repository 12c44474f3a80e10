//! What `redis.call` reaches: the commands of the table, run on a scratch, as the user who asked for the script may run them.

use super::work::Script;
use crate::memory::OUT_OF_MEMORY;
use crate::op::{Invocation, Words};
use crate::scratch::{Halt, Scratch};
use crate::users::{Access, Denied};
use base::{DatabaseId, DatabaseIndex};
use bytes::Bytes;
use command::{Flags, Place, Spec};
use resp::{Protocol, Writer};
use script::host::LogLevel;
use script::{Host, Unanswered};
use std::sync::Arc;

/// What is the same for all scripts of one run.
#[derive(Debug)]
pub(crate) struct Context {
    /// Who asked; nothing if it may do everything.
    pub user: Option<Arc<Access>>,
    /// The databases behind their numbers.
    pub databases: Vec<Option<DatabaseId>>,
    /// Whether memory was full when it began.
    pub memory_is_full: bool,
}

/// What scripts have said to others, told once what they did has taken effect.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The words of each PUBLISH or SPUBLISH.
    pub published: Vec<(&'static Spec, Vec<Bytes>)>,
    pub logged: Vec<(LogLevel, Vec<u8>)>,
    /// What the user may not do.
    pub denied: Vec<(&'static Spec, Vec<Bytes>, Denied)>,
}

/// The host of one script.
#[derive(Debug)]
pub(crate) struct Desk {
    scratch: Box<Scratch>,
    database: DatabaseId,
    reads_only: bool,
    allows_oom: bool,
    /// Whether it has written: then it isn't refused any more.
    has_written: bool,
    context: Arc<Context>,
    told: Told,
    halt: Option<Halt>,
}

impl Desk {
    pub fn new(scratch: Box<Scratch>, script: &Script, context: Arc<Context>, told: Told) -> Self {
        Self {
            scratch,
            database: script.database,
            reads_only: script.reads_only,
            allows_oom: script.allows_oom,
            has_written: false,
            context,
            told,
            halt: None,
        }
    }

    pub fn into_parts(self) -> (Box<Scratch>, Told, Option<Halt>) {
        (self.scratch, self.told, self.halt)
    }

    /// Why a command isn't run, as an error for the script; notes what the user may not do.
    fn refusal(&mut self, spec: &'static Spec, words: &[&[u8]]) -> Option<String> {
        if spec.flags.has(Flags::NOSCRIPT) {
            return Some("ERR This Redis command is not allowed from script".into());
        }
        if let Some(user) = &self.context.user
            && let Err(denied) = user.check(spec, words)
        {
            let kept = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
            self.told.denied.push((spec, kept, denied));
            return Some(denied.text_in_script(spec, user.name()));
        }
        if self.reads_only && (spec.is_write() || spec.flags.has(Flags::MAY_REPLICATE)) {
            return Some("ERR Write commands are not allowed from read-only scripts.".into());
        }
        if spec.flags.has(Flags::DENYOOM)
            && self.context.memory_is_full
            && !self.allows_oom
            && !self.has_written
        {
            return Some(OUT_OF_MEMORY.into());
        }
        let is_block = |word: &&[u8]| word.eq_ignore_ascii_case(b"block");
        let options = words.iter().skip(1).take_while(|word| !word.eq_ignore_ascii_case(b"streams"));
        if matches!(spec.name, "xread" | "xreadgroup") && options.copied().any(|word| is_block(&word)) {
            return Some(format!("ERR {} command is not allowed with BLOCK option from scripts", spec.name));
        }
        None
    }

    /// A command that no shard answers.
    fn answer(&mut self, spec: &'static Spec, words: &[&[u8]], out: &mut Writer<'_>) {
        match (spec.name, &words[1..]) {
            ("ping", []) => out.simple("PONG"),
            ("ping", [text]) | ("echo", [text]) => out.bulk(text),
            ("time", _) => {
                let now = self.scratch.now().0;
                out.array(2);
                out.text(&(now / 1000).to_string());
                out.text(&(now % 1000 * 1000).to_string());
            }
            ("select", [index]) => match command::words::database_index(index) {
                Ok(DatabaseIndex(at)) => match self.context.databases.get(at as usize).copied().flatten() {
                    Some(database) => {
                        self.database = database;
                        out.ok();
                    }
                    None => out.error("ERR DB index is out of range"),
                },
                Err(error) => out.error(error.text()),
            },
            ("publish" | "spublish", _) => {
                let kept = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
                self.told.published.push((spec, kept));
                // Who receives it is known when it is sent.
                out.integer(0);
            }
            ("command" | "command|count", []) | ("command|count", _) => {
                out.count(command::table::COUNT as u64);
            }
            _ => out.error(format_args!(
                "ERR '{}' can't be called by a script: a script sees keys, and nothing of the node that runs it",
                spec.name
            )),
        }
    }
}

impl Host for Desk {
    fn call(&mut self, words: &[&[u8]], protocol: Protocol, reply: &mut Vec<u8>) -> Result<(), Unanswered> {
        let mut out = Writer::new(reply, protocol);
        let spec = match command::resolve(words) {
            Ok(spec) => spec,
            Err(command::Error::Arity(_)) => {
                out.error("ERR Wrong number of args calling Redis command from script");
                return Ok(());
            }
            Err(_) => {
                out.error("ERR Unknown Redis command called from script");
                return Ok(());
            }
        };
        if let Some(error) = self.refusal(spec, words) {
            out.error(error);
            return Ok(());
        }
        if matches!(spec.place, Place::Connection | Place::Node | Place::Script) {
            self.answer(spec, words, &mut out);
            return Ok(());
        }
        let target = match spec.target(words) {
            Ok(None) => None,
            Ok(Some(DatabaseIndex(at))) => match self.context.databases.get(at as usize).copied().flatten() {
                Some(database) => Some(database).filter(|database| *database != self.database),
                None => {
                    out.error(command::Error::DatabaseIndex.text());
                    return Ok(());
                }
            },
            Err(error) => {
                out.error(error.text());
                return Ok(());
            }
        };
        let invocation =
            Invocation { spec, database: self.database, target, protocol, words: Words::from_slice(words) };
        match self.scratch.run(&invocation, false) {
            Ok(said) => {
                out.raw(&said);
                self.has_written |= spec.is_write();
                if self.allows_oom {
                    self.scratch.forgive_growth();
                }
                Ok(())
            }
            Err(Halt::Failed(error)) if spec.place == Place::Cluster => {
                out.raw(&error);
                Ok(())
            }
            Err(halt) => {
                self.halt = Some(halt);
                Err(Unanswered)
            }
        }
    }

    fn may_call(&mut self, words: &[&[u8]]) -> Option<bool> {
        let spec = command::lookup(words.first()?)?;
        let spec = command::resolve(words).unwrap_or(spec);
        Some(self.context.user.as_ref().is_none_or(|user| user.check(spec, words).is_ok()))
    }

    fn log(&mut self, level: LogLevel, text: &[u8]) {
        self.told.logged.push((level, text.to_vec()));
    }
}
