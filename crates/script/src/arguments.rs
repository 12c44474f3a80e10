//! What a function of a library was given, checked and converted as Lua's own functions do, with their errors.

use crate::fault::raise;
use crate::numbers;
use mlua::{Error, Lua, LuaString, MultiValue, Value};

/// The arguments of one call.
pub(crate) struct Arguments<'a> {
    /// Whose they are.
    pub lua: &'a Lua,
    name: &'static str,
    values: MultiValue,
}

impl<'a> Arguments<'a> {
    /// Those of a call of the function `name`.
    pub fn new(lua: &'a Lua, name: &'static str, values: MultiValue) -> Self {
        Self { lua, name, values }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The one at `at`, counted from 1; nil behind the last.
    pub fn value(&self, at: usize) -> &Value {
        self.values.get(at - 1).unwrap_or(&Value::Nil)
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Whether there is none at `at`, or nil.
    pub fn is_absent(&self, at: usize) -> bool {
        self.value(at).is_nil()
    }

    /// A number, or a text that is one.
    pub fn number(&self, at: usize) -> Result<f64, Error> {
        as_number(self.value(at)).ok_or_else(|| self.wrong_type(at, "number"))
    }

    /// A number without its fraction.
    pub fn integer(&self, at: usize) -> Result<i64, Error> {
        // As C truncates it.
        self.number(at).map(|number| number as i64)
    }

    /// A number without its fraction, or this if there is none.
    pub fn integer_or(&self, at: usize, default: i64) -> Result<i64, Error> {
        if self.is_absent(at) { Ok(default) } else { self.integer(at) }
    }

    /// A text, or a number as text.
    pub fn text(&self, at: usize) -> Result<LuaString, Error> {
        match self.value(at) {
            Value::String(text) => Ok(text.clone()),
            value => match as_number(value) {
                Some(number) => self.lua.create_string(numbers::general(number, 14)),
                None => Err(self.wrong_type(at, "string")),
            },
        }
    }

    /// The argument at `at` isn't of the type that it must be.
    pub fn wrong_type(&self, at: usize, wanted: &str) -> Error {
        let found = if at > self.values.len() { "no value" } else { type_name(self.value(at)) };
        self.wrong(at, &format!("{wanted} expected, got {found}"))
    }

    /// The argument at `at` is wrong.
    pub fn wrong(&self, at: usize, why: &str) -> Error {
        raise(self.lua, format!("bad argument #{at} to '{}' ({why})", self.name))
    }

    /// Fails with this argument's error unless it holds.
    pub fn check(&self, holds: bool, at: usize, why: &str) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.wrong(at, why)) }
    }
}

/// What Lua calls the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// The number that a value is, or whose text it is.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => numbers::whole(&text.as_bytes()),
        _ => None,
    }
}
