//! What runs scripts and functions: a state of Lua, the scripts that it has compiled, and the host while something runs.

use crate::convert::Replying;
use crate::fault::{Fault, OUT_OF_MEMORY, error_reply, is_memory, reveal};
use crate::header::Header;
use crate::host::Host;
use crate::library::Library;
use crate::limits::{COMPILED_MAX, LOAD_INSTRUCTIONS_MAX, LOOK_EVERY, Limits, Meter, Stop};
use crate::redis::{Loading, Seat, seed_of_random};
use crate::sandbox::{Globals, Sandbox};
use crate::sha::Sha;
use bytes::Bytes;
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, HookTriggers, Lua, Table, Value, VmState};
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// What a script or function is given.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Its keys.
    pub keys: Vec<Bytes>,
    /// Its arguments.
    pub arguments: Vec<Bytes>,
    /// Decides what it leaves to chance.
    pub seed: u64,
    /// The version in which the client wants its reply.
    pub protocol: Protocol,
    /// What it may use.
    pub limits: Limits,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply for the client. What the script did counts, also where this is an error: Redis undoes nothing.
    Replied(Vec<u8>),
    /// It was ended before it was through: nothing that it did counts.
    Stopped(Stop),
}

/// Runs scripts and functions, one at a time. It belongs to one thread.
#[derive(Debug)]
pub struct Engine<H: Host + 'static> {
    meter: Rc<Meter>,
    seat: Rc<Seat<H>>,
    sandbox: Option<Sandbox>,
    compiled: Compiled,
}

/// The scripts and libraries that a state has compiled; of too many, the oldest go.
#[derive(Debug, Default)]
struct Compiled {
    functions: BTreeMap<(Kind, Sha), Function>,
    order: VecDeque<(Kind, Sha)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Script,
    Library,
}

impl Kind {
    /// What errors name as the place.
    fn source(self) -> &'static str {
        match self {
            Kind::Script => "@user_script",
            Kind::Library => "@user_function",
        }
    }
}

impl<H: Host + 'static> Default for Engine<H> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why something didn't run: an error for the client, or the run was stopped.
enum Failure {
    Refused(Vec<u8>),
    Stopped(Stop),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match Fault::within(&error) {
            Some(Fault::Stop(why)) => Self::Stopped(*why),
            _ if is_memory(&error) => Self::Stopped(Stop::Memory),
            _ => Self::Refused(format!("ERR the script can't be run: {error}").into_bytes()),
        }
    }
}

impl<H: Host + 'static> Engine<H> {
    /// An engine that has compiled nothing yet.
    pub fn new() -> Self {
        Self { meter: Rc::default(), seat: Rc::default(), sandbox: None, compiled: Compiled::default() }
    }

    /// Looks whether a script can be compiled; the error is the client's.
    pub fn check(&mut self, text: &[u8]) -> Result<Sha, String> {
        let header = Header::of_script(text).map_err(|error| format!("ERR {error}"))?;
        let sha = Sha::of(text);
        self.meter.begin(&Limits::default(), 0);
        let compiled = self.compile(Kind::Script, sha, &text[header.code_at..]).map(|_| sha);
        self.tidy_up();
        compiled.map_err(said)
    }

    /// Runs a script. The host comes back with what it has seen.
    pub fn eval(&mut self, text: &[u8], call: &Call, host: H) -> (Outcome, H) {
        self.run(call, host, |engine| {
            let header = Header::of_script(text).map_err(|error| Failure::Refused(as_error(&error.0)))?;
            let sha = Sha::of(text);
            let function = engine.compile(Kind::Script, sha, &text[header.code_at..])?;
            let sandbox = engine.sandbox()?;
            let (keys, arguments) = (list(&sandbox.lua, &call.keys)?, list(&sandbox.lua, &call.arguments)?);
            let globals = sandbox.globals(&[("KEYS", &keys), ("ARGV", &arguments)])?;
            function.set_environment(globals.seen.clone())?;
            let nothing = (Value::Nil, Value::Nil);
            engine.invoke(&function, nothing, &sha.to_string(), call.protocol)
        })
    }

    /// Runs a function of a library, whose text is loaded for it: what a library keeps in its variables lives as long as one call.
    pub fn fcall(&mut self, library: &[u8], function: &str, call: &Call, host: H) -> (Outcome, H) {
        self.run(call, host, |engine| {
            let (loading, globals) = engine.register(library).map_err(|failure| match failure {
                Failure::Refused(said) => Failure::Refused(as_error(&String::from_utf8_lossy(&said))),
                stopped => stopped,
            })?;
            let sandbox = engine.sandbox()?;
            sandbox.restrict(&globals, false)?;
            let Some(callback) = loading.callbacks.raw_get::<Option<Function>>(function)? else {
                return Err(Failure::Refused(as_error("Function not found")));
            };
            let (keys, arguments) = (list(&sandbox.lua, &call.keys)?, list(&sandbox.lua, &call.arguments)?);
            let given = (Value::Table(keys), Value::Table(arguments));
            engine.invoke(&callback, given, function, call.protocol)
        })
    }

    /// Runs the text of a library to find what it registers; the error is the client's.
    pub fn load(&mut self, text: &[u8]) -> Result<Library, String> {
        let header = Header::of_library(text).map_err(|error| format!("ERR {error}"))?;
        let limits = Limits { instructions: LOAD_INSTRUCTIONS_MAX, ..Limits::default() };
        self.meter.begin(&limits, 0);
        self.seat.protocol.set(Protocol::Resp2);
        let registered = self.register(text);
        self.tidy_up();
        let functions = match registered {
            Ok((loading, _)) => loading.functions,
            Err(Failure::Stopped(Stop::Instructions)) => return Err("ERR FUNCTION LOAD timeout".into()),
            Err(failure) => return Err(said(failure)),
        };
        if functions.is_empty() {
            return Err("ERR No functions registered".into());
        }
        Ok(Library { name: header.name, functions })
    }

    /// Loads a library: what it has registered, and the globals that its functions see.
    fn register(&mut self, text: &[u8]) -> Result<(Loading, Globals), Failure> {
        let header = Header::of_library(text).map_err(|error| Failure::Refused(as_error(&error.0)))?;
        let function = self.compile(Kind::Library, Sha::of(text), &text[header.code_at..])?;
        let sandbox = self.sandbox()?;
        let globals = sandbox.globals(&[])?;
        sandbox.restrict(&globals, true)?;
        function.set_environment(globals.seen.clone())?;
        let callbacks = sandbox.lua.create_table()?;
        *self.seat.loading.borrow_mut() = Some(Loading { functions: Vec::new(), callbacks });
        let loaded = function.call::<()>(());
        let loading = self.seat.loading.borrow_mut().take();
        if let Some(why) = self.meter.stopped() {
            return Err(Failure::Stopped(why));
        }
        match (loaded, loading) {
            (Ok(()), Some(loading)) => Ok((loading, globals)),
            (Ok(()), None) => Err(Failure::Refused(as_error("No functions registered"))),
            (Err(error), _) if is_memory(&error) => Err(Failure::Stopped(Stop::Memory)),
            (Err(error), _) => {
                let said = match Fault::within(&error) {
                    Some(Fault::Reply(reply)) => String::from_utf8_lossy(reply).into_owned(),
                    Some(fault) => format!("ERR {fault}"),
                    None => format!("ERR {}", first_line(&error)),
                };
                Err(Failure::Refused(as_error(&format!("Error registering functions: {said}"))))
            }
        }
    }

    /// Seats the host, runs something, and takes the host back.
    fn run(
        &mut self,
        call: &Call,
        host: H,
        what: impl FnOnce(&mut Self) -> Result<Vec<u8>, Failure>,
    ) -> (Outcome, H) {
        self.meter.begin(&call.limits, seed_of_random(call.seed));
        self.seat.protocol.set(Protocol::Resp2);
        *self.seat.host.borrow_mut() = Some(host);
        let done = self.limit_memory(call.limits.memory_bytes).and_then(|()| what(self));
        let outcome = match (self.meter.stopped(), done) {
            (Some(why), _) | (None, Err(Failure::Stopped(why))) => Outcome::Stopped(why),
            (None, Ok(reply)) => Outcome::Replied(reply),
            (None, Err(Failure::Refused(said))) => {
                let mut reply = Vec::new();
                Writer::new(&mut reply, call.protocol).error(String::from_utf8_lossy(&said));
                Outcome::Replied(reply)
            }
        };
        self.tidy_up();
        let Some(host) = self.seat.host.borrow_mut().take() else {
            unreachable!("the host was seated above, and nobody else takes it");
        };
        (outcome, host)
    }

    /// Calls what was compiled or registered, and makes a reply of what it returns.
    fn invoke(
        &mut self,
        function: &Function,
        (keys, arguments): (Value, Value),
        name: &str,
        protocol: Protocol,
    ) -> Result<Vec<u8>, Failure> {
        let seat = Rc::clone(&self.seat);
        let sandbox = self.sandbox()?;
        let handler =
            sandbox.lua.create_function(move |lua, raised: Value| error_with_place(lua, &seat, raised))?;
        let given = (function, handler, keys, arguments);
        let (fine, value) = sandbox.invoke.call::<(bool, Value)>(given)?;
        let mut reply = Vec::new();
        if fine {
            let replying = Replying { meter: &self.meter, script: self.seat.protocol.get() };
            replying.write(&value, &mut reply, protocol)?;
        } else if matches!(&value, Value::String(text) if text.as_bytes().ends_with(OUT_OF_MEMORY)) {
            // No handler is asked then.
            return Err(Failure::Stopped(self.meter.stop(Stop::Memory)));
        } else {
            let said = error_of(&value, name)?;
            Writer::new(&mut reply, protocol).error(String::from_utf8_lossy(&said));
        }
        Ok(reply)
    }

    fn compile(&mut self, kind: Kind, sha: Sha, code: &[u8]) -> Result<Function, Failure> {
        if let Some(function) = self.compiled.functions.get(&(kind, sha)) {
            return Ok(function.clone());
        }
        let lua = self.sandbox()?.lua.clone();
        let chunk = lua.load(code).set_name(kind.source()).set_mode(ChunkMode::Text);
        let function = chunk.into_function().map_err(|error| match &error {
            error if is_memory(error) => Failure::Stopped(Stop::Memory),
            Error::SyntaxError { message, .. } => Failure::Refused(match kind {
                Kind::Script => as_error(&format!("Error compiling script (new function): {message}")),
                Kind::Library => as_error(&format!("Error compiling function: {message}")),
            }),
            _ => Failure::from(error),
        })?;
        if self.compiled.order.len() >= COMPILED_MAX
            && let Some(oldest) = self.compiled.order.pop_front()
        {
            self.compiled.functions.remove(&oldest);
        }
        self.compiled.order.push_back((kind, sha));
        self.compiled.functions.insert((kind, sha), function.clone());
        Ok(function)
    }

    /// The state, built if there is none.
    fn sandbox(&mut self) -> Result<&Sandbox, Failure> {
        if self.sandbox.is_none() {
            let sandbox = Sandbox::new(&self.meter, &self.seat)?;
            let meter = Rc::clone(&self.meter);
            let triggers = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
            sandbox.lua.set_global_hook(triggers, move |_, _| {
                meter.look(u64::from(LOOK_EVERY)).map(|()| VmState::Continue).map_err(crate::fault::stop)
            })?;
            self.sandbox = Some(sandbox);
        }
        match &self.sandbox {
            Some(sandbox) => Ok(sandbox),
            None => unreachable!("it was built above"),
        }
    }

    /// Gives a run memory beside what the state holds already.
    fn limit_memory(&mut self, bytes: usize) -> Result<(), Failure> {
        self.sandbox()?.lua.set_memory_limit(bytes)?;
        Ok(())
    }

    /// After a run: a state that was stopped, or has something left in it, isn't used again.
    fn tidy_up(&mut self) {
        *self.seat.loading.borrow_mut() = None;
        *self.seat.kept.borrow_mut() = None;
        let Some(sandbox) = &self.sandbox else { return };
        let _ = sandbox.lua.set_memory_limit(0);
        if self.meter.stopped().is_some() || !sandbox.is_intact() {
            self.compiled = Compiled::default();
            self.sandbox = None;
        }
    }
}

/// A list of texts as Lua's.
fn list(lua: &Lua, words: &[Bytes]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(words.len(), 0)?;
    for (at, word) in (1..).zip(words) {
        table.raw_set(at, lua.create_string(word)?)?;
    }
    Ok(table)
}

fn as_error(text: &str) -> Vec<u8> {
    if text.starts_with("ERR ") { text.as_bytes().to_vec() } else { error_reply(text.as_bytes()) }
}

/// A failure as an error for a client.
fn said(failure: Failure) -> String {
    match failure {
        Failure::Refused(said) => String::from_utf8_lossy(&said).into_owned(),
        Failure::Stopped(why) => stopped(why),
    }
}

/// Why nothing that a script did counts, as an error for its client.
pub fn stopped(why: Stop) -> String {
    let what = match why {
        Stop::Unanswered => {
            return "TRYAGAIN the script was not executed: what it needs can't be fetched now".into();
        }
        Stop::Killed => {
            return "ERR Script killed by user with SCRIPT KILL. Nothing that it did took effect".into();
        }
        Stop::Instructions => "instructions (script-instructions-max)",
        Stop::Memory => "memory (script-memory-bytes-max)",
    };
    format!(
        "ERR the script was ended, and nothing that it did took effect: it has used all its {what}. Do less in one script"
    )
}

fn first_line(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => first_line(cause),
        Error::RuntimeError(text) => text.lines().next().unwrap_or_default().into(),
        error => error.to_string(),
    }
}

/// What the handler of a run's errors makes of one: a table with the error's text and place, as Redis's.
fn error_with_place<H>(lua: &Lua, seat: &Seat<H>, raised: Value) -> mlua::Result<Value> {
    let Ok(seen) = reveal(lua, &mut seat.kept.borrow_mut(), raised.clone()) else { return Ok(raised) };
    let table = match seen? {
        Value::Table(table) => table,
        value => {
            let table = lua.create_table()?;
            let said = match &value {
                Value::String(text) => text.as_bytes().to_vec(),
                Value::Integer(number) => number.to_string().into_bytes(),
                Value::Number(number) => crate::numbers::general(*number, 14).into_bytes(),
                Value::Nil => b"nil".to_vec(),
                Value::Boolean(truth) => truth.to_string().into_bytes(),
                other => crate::arguments::type_name(other).as_bytes().to_vec(),
            };
            table.raw_set("err", lua.create_string([b"ERR ", &said[..]].concat())?)?;
            table
        }
    };
    // The function that raised it; if that isn't one of Lua's, the one that called it.
    for level in 1..MAX_GLUE {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.map(|name| name.into_owned()).unwrap_or_default();
            let is_users = source.what != "C" && name != "=prelude";
            (is_users, name, debug.current_line())
        });
        let Some((is_users, name, line)) = found else { break };
        if is_users {
            if let Some(line) = line {
                table.raw_set("source", name)?;
                table.raw_set("line", line)?;
            }
            break;
        }
    }
    Ok(Value::Table(table))
}

/// How many functions that aren't the user's may lie between an error and the user's code.
const MAX_GLUE: usize = 8;

/// The error of a run, for the client.
fn error_of(value: &Value, name: &str) -> mlua::Result<Vec<u8>> {
    let Value::Table(table) = value else {
        let said = match value {
            Value::String(text) => text.as_bytes().iter().take(100).copied().collect(),
            _ => b"execution failure".to_vec(),
        };
        return Ok([format!("ERR Error running script {name}, ").as_bytes(), &said].concat());
    };
    let text = |field: &str| -> mlua::Result<Option<Vec<u8>>> {
        Ok(match table.raw_get(field)? {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::Integer(number) => Some(number.to_string().into_bytes()),
            Value::Number(number) => Some(crate::numbers::general(number, 14).into_bytes()),
            _ => None,
        })
    };
    let mut said = text("err")?.unwrap_or_else(|| b"ERR unknown error".to_vec());
    if let (Some(line), Some(source)) = (text("line")?, text("source")?) {
        said.extend_from_slice(format!(" script: {name}, on ").as_bytes());
        said.extend_from_slice(&source);
        said.push(b':');
        said.extend_from_slice(&line);
        said.push(b'.');
    }
    Ok(said)
}
