//! Between replies of the protocol and values of Lua, as Redis's documentation lays it down for both versions of the protocol.

use crate::fault::{error_reply, error_table, stop};
use crate::limits::Meter;
use mlua::{Lua, Table, Value};
use resp::{Frame, Protocol, Writer};

/// How deep the tables may be nested that become a reply; a table that holds itself is deeper.
const DEPTH_MAX: usize = 1000;

/// How many instructions it costs to find what a table stands for.
const TABLE_COSTS: u64 = 100;

/// The value that a script gets for a reply. Nothing is `false` in version 2 and nil in version 3.
pub(crate) fn value_of(lua: &Lua, frame: Frame, protocol: Protocol) -> mlua::Result<Value> {
    let named = |name: &str, value: Value| -> mlua::Result<Value> {
        let table = lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    };
    let text = |bytes: &[u8]| lua.create_string(bytes).map(Value::String);
    Ok(match frame {
        Frame::Simple(said) => named("ok", text(&said)?)?,
        Frame::Error(said) => Value::Table(error_table(lua, &error_reply(&[b"-", &said[..]].concat()))?),
        // Lua has no other numbers.
        Frame::Integer(number) => Value::Number(number as f64),
        Frame::Bulk(bytes) => text(&bytes)?,
        Frame::Null | Frame::NullArray if protocol == Protocol::Resp2 => Value::Boolean(false),
        Frame::Null | Frame::NullArray => Value::Nil,
        Frame::Array(elements) | Frame::Push(elements) => {
            let table = lua.create_table_with_capacity(elements.len(), 0)?;
            for (at, element) in (1..).zip(elements) {
                table.raw_set(at, value_of(lua, element, protocol)?)?;
            }
            Value::Table(table)
        }
        Frame::Map(pairs) => {
            let table = lua.create_table_with_capacity(0, pairs.len())?;
            for (key, value) in pairs {
                set(&table, value_of(lua, key, protocol)?, value_of(lua, value, protocol)?)?;
            }
            named("map", Value::Table(table))?
        }
        Frame::Set(elements) => {
            let table = lua.create_table_with_capacity(0, elements.len())?;
            for element in elements {
                set(&table, value_of(lua, element, protocol)?, Value::Boolean(true))?;
            }
            named("set", Value::Table(table))?
        }
        Frame::Double(number) => named("double", Value::Number(number))?,
        Frame::Bool(truth) => Value::Boolean(truth),
        Frame::BigNumber(digits) => named("big_number", text(&digits)?)?,
        Frame::Verbatim { format, text: said } => {
            let verbatim = lua.create_table_with_capacity(0, 2)?;
            verbatim.raw_set("string", text(&said)?)?;
            verbatim.raw_set("format", text(&format)?)?;
            named("verbatim_string", Value::Table(verbatim))?
        }
    })
}

/// Sets a field that Lua can have.
fn set(table: &Table, key: Value, value: Value) -> mlua::Result<()> {
    let can_be = match &key {
        Value::Nil => false,
        Value::Number(number) => !number.is_nan(),
        _ => true,
    };
    if can_be { table.raw_set(key, value) } else { Ok(()) }
}

/// Makes a reply of what a script returned.
pub(crate) struct Replying<'a> {
    /// What making it costs.
    pub meter: &'a Meter,
    /// The version that the script chose by `redis.setresp`, which decides what a truth becomes.
    pub script: Protocol,
}

impl Replying<'_> {
    /// Appends the reply for `value`.
    pub fn write(&self, value: &Value, to: &mut Vec<u8>, protocol: Protocol) -> mlua::Result<()> {
        self.write_at(value, to, protocol, DEPTH_MAX)
    }

    fn write_at(
        &self,
        value: &Value,
        to: &mut Vec<u8>,
        protocol: Protocol,
        depth: usize,
    ) -> mlua::Result<()> {
        let mut writer = Writer::new(to, protocol);
        let Some(depth) = depth.checked_sub(1) else {
            writer.error("ERR reached lua stack limit");
            return Ok(());
        };
        self.meter.handle_value().map_err(stop)?;
        self.meter.grow(writer.position(), 0).map_err(stop)?;
        match value {
            Value::String(text) => {
                let bytes = text.as_bytes();
                writer.bulk(&bytes);
                self.meter.grow(writer.position(), bytes.len()).map_err(stop)?;
            }
            Value::Boolean(truth) if self.script == Protocol::Resp3 => writer.bool(*truth),
            Value::Boolean(true) => writer.integer(1),
            Value::Integer(number) => writer.integer(*number),
            Value::Number(number) => writer.integer(truncated(*number)),
            Value::Table(table) => {
                self.meter.spend(TABLE_COSTS).map_err(stop)?;
                if !write_named(table, &mut writer)? {
                    return self.write_collection(table, to, protocol, depth);
                }
            }
            _ => writer.null(),
        }
        Ok(())
    }

    /// A map, a set or an array.
    fn write_collection(
        &self,
        table: &Table,
        to: &mut Vec<u8>,
        protocol: Protocol,
        depth: usize,
    ) -> mlua::Result<()> {
        // Walked over twice: not so many values can be held at once.
        if let Value::Table(map) = table.raw_get("map")? {
            Writer::new(to, protocol).map(self.count(&map)?);
            for pair in map.pairs::<Value, Value>() {
                let (key, value) = pair?;
                self.write_at(&key, to, protocol, depth)?;
                self.write_at(&value, to, protocol, depth)?;
            }
        } else if let Value::Table(set) = table.raw_get("set")? {
            Writer::new(to, protocol).set(self.count(&set)?);
            for pair in set.pairs::<Value, Value>() {
                self.write_at(&pair?.0, to, protocol, depth)?;
            }
        } else {
            let mut count = 0;
            while !table.raw_get::<Value>(count + 1)?.is_nil() {
                self.meter.spend(1).map_err(stop)?;
                count += 1;
            }
            Writer::new(to, protocol).array(count);
            for at in 1..=count {
                self.write_at(&table.raw_get::<Value>(at)?, to, protocol, depth)?;
            }
        }
        Ok(())
    }

    fn count(&self, table: &Table) -> mlua::Result<usize> {
        let mut count = 0;
        for pair in table.pairs::<Value, Value>() {
            pair?;
            self.meter.spend(1).map_err(stop)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Writes a table that stands for one value, not for several; says whether it was one.
fn write_named(table: &Table, writer: &mut Writer<'_>) -> mlua::Result<bool> {
    if let Value::String(error) = table.raw_get("err")? {
        writer.error(error.to_string_lossy());
        return Ok(true);
    }
    if let Value::String(status) = table.raw_get("ok")? {
        writer.raw(b"+");
        writer.raw(&one_line(&status.as_bytes()));
        writer.raw(b"\r\n");
        return Ok(true);
    }
    match table.raw_get("double")? {
        Value::Number(number) => {
            writer.double(number);
            return Ok(true);
        }
        Value::Integer(number) => {
            // It came from a number of Lua, and is exact as one.
            writer.double(number as f64);
            return Ok(true);
        }
        _ => {}
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        writer.big_number(&String::from_utf8_lossy(&one_line(&digits.as_bytes())));
        return Ok(true);
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
    {
        let mut kind = *b"   ";
        for (to, from) in kind.iter_mut().zip(format.as_bytes().iter()) {
            *to = *from;
        }
        writer.verbatim(kind, &text.as_bytes());
        return Ok(true);
    }
    Ok(false)
}

/// Line ends become spaces.
fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// As the processors that Redis runs on turn a double into a 64-bit integer.
fn truncated(number: f64) -> i64 {
    if number >= -(2f64.powi(63)) && number < 2f64.powi(63) { number as i64 } else { i64::MIN }
}
