//! How errors travel through Lua. What a function written here raises is known by its kind as long as it is on its way; whoever may see
//! it (`pcall` and its like, in the prelude) is shown what Redis would have raised: a text with its place, or a table with `err`.

use crate::limits::Stop;
use mlua::{Error, Lua, Table, Value};
use std::fmt;

/// What was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A text, its place in front.
    Text(Vec<u8>),
    /// An error reply, without the `-`: a table with `err`.
    Reply(Vec<u8>),
    /// A value that Lua had raised and that Rust carries on; it is kept aside.
    Kept,
    /// The run has to end.
    Stop(Stop),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Reply(text) => f.write_str(&String::from_utf8_lossy(text)),
            Self::Kept => f.write_str("a script's own error"),
            Self::Stop(why) => write!(f, "the run was stopped: {why:?}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::external(fault)
    }
}

impl Fault {
    /// The fault within an error of mlua's, if it is one of these.
    pub fn within(error: &Error) -> Option<&Self> {
        match error {
            Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => Self::within(cause),
            Error::BadArgument { cause, .. } => Self::within(cause),
            Error::ExternalError(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// The run has to end.
pub(crate) fn stop(why: Stop) -> Error {
    Fault::Stop(why).into()
}

/// Whether Lua was refused memory.
pub(crate) fn is_memory(error: &Error) -> bool {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => is_memory(cause),
        Error::MemoryError(_) => true,
        _ => false,
    }
}

/// What Lua says instead of an error's value when it is refused memory.
pub(crate) const OUT_OF_MEMORY: &[u8] = b"not enough memory";

/// An error with the place of whoever called the function that raises it.
pub(crate) fn raise(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    let mut said = place(lua, 1);
    said.extend_from_slice(text.as_ref());
    Fault::Text(said).into()
}

/// The place of the function at `level` (0 is the one that asks), as Lua puts it in front of errors; nothing for one without lines.
fn place(lua: &Lua, level: usize) -> Vec<u8> {
    let place = lua.inspect_stack(level, |debug| {
        let line = debug.current_line()?;
        Some(format!("{}:{line}: ", debug.source().short_src?))
    });
    place.flatten().unwrap_or_default().into_bytes()
}

/// A table as `redis.error_reply` and `redis.pcall` give it.
pub(crate) fn error_table(lua: &Lua, reply: &[u8]) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, 3)?;
    table.raw_set("err", lua.create_string(reply)?)?;
    Ok(table)
}

/// The text of an error reply: without a leading `-`, and with the code `ERR` where there is none.
pub(crate) fn error_reply(said: &[u8]) -> Vec<u8> {
    let (code, text) = match said.strip_prefix(b"-") {
        None => (&b"ERR"[..], said),
        Some(said) => match said.iter().position(|byte| *byte == b' ') {
            None => (&b"ERR"[..], said),
            Some(at) => (&said[..at], &said[at + 1..]),
        },
    };
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let first = text.iter().position(|byte| !is_end(byte)).unwrap_or(text.len());
    let last = text.iter().rposition(|byte| !is_end(byte)).map_or(first, |at| at + 1);
    [code, b" ", &text[first..last]].concat()
}

/// What `value` is when it is raised and caught: either the run has to end, or what the script sees.
pub(crate) fn reveal(lua: &Lua, kept: &mut Option<Value>, value: Value) -> Result<mlua::Result<Value>, Stop> {
    match &value {
        // A coroutine that was wrapped puts a place in front.
        Value::String(text) if text.as_bytes().ends_with(OUT_OF_MEMORY) => return Err(Stop::Memory),
        Value::Error(error) => match Fault::within(error) {
            Some(Fault::Stop(why)) => return Err(*why),
            Some(Fault::Text(text)) => return Ok(lua.create_string(text).map(Value::String)),
            Some(Fault::Reply(reply)) => return Ok(error_table(lua, reply).map(Value::Table)),
            Some(Fault::Kept) => return Ok(Ok(kept.take().unwrap_or(Value::Nil))),
            None if is_memory(error) => return Err(Stop::Memory),
            None => return Ok(lua.create_string(innermost(error)).map(Value::String)),
        },
        _ => {}
    }
    Ok(Ok(value))
}

/// What an error of mlua's own says, without a traceback.
fn innermost(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => innermost(cause),
        Error::RuntimeError(text) => text.lines().next().unwrap_or_default().to_string(),
        error => error.to_string(),
    }
}
