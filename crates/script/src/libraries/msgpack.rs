//! `cmsgpack`: MessagePack.

use crate::arguments::Arguments;
use crate::fault::{raise, stop};
use crate::libraries::VALUES_MAX;
use crate::limits::Meter;
use mlua::{Error, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// How deep tables are packed; deeper ones are nil.
const DEPTH_MAX: usize = 16;

/// How deep what is unpacked may be nested.
const UNPACK_DEPTH_MAX: usize = 1000;

/// The table `cmsgpack`.
pub(crate) fn table(lua: &Lua, meter: &Rc<Meter>) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let its = Rc::clone(meter);
    library.raw_set("pack", lua.create_function(move |lua, given| pack(lua, &its, given))?)?;
    for (name, kind) in [("unpack", Kind::All), ("unpack_one", Kind::One), ("unpack_limit", Kind::Limit)] {
        let its = Rc::clone(meter);
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            let (limit, offset) = match kind {
                Kind::All => (0, 0),
                Kind::One => (1, given.integer_or(2, 0)?),
                Kind::Limit => (given.integer(2)?, given.integer_or(3, 0)?),
            };
            unpack(&given, &its, limit, offset)
        })?;
        library.raw_set(name, function)?;
    }
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(library)
}

#[derive(Clone, Copy)]
enum Kind {
    All,
    One,
    Limit,
}

fn pack(lua: &Lua, meter: &Meter, given: MultiValue) -> mlua::Result<mlua::LuaString> {
    let given = Arguments::new(lua, "pack", given);
    if given.len() == 0 {
        return Err(given.wrong(0, "MessagePack pack needs input."));
    }
    let mut packed = Vec::new();
    for value in given.values() {
        push(meter, value, 0, &mut packed)?;
    }
    lua.create_string(packed)
}

fn push(meter: &Meter, value: &Value, depth: usize, to: &mut Vec<u8>) -> mlua::Result<()> {
    meter.handle_value().map_err(stop)?;
    match value {
        Value::String(text) => {
            let text = text.as_bytes();
            push_length(to, text.len(), [0xa0, 31, 0xd9, 0xda, 0xdb]);
            to.extend_from_slice(&text);
            meter.grow(to.len(), text.len()).map_err(stop)?;
        }
        Value::Boolean(truth) => to.push(if *truth { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => push_integer(to, *number),
        Value::Number(number) => push_number(to, *number),
        Value::Table(table) if depth < DEPTH_MAX => push_table(meter, table, depth, to)?,
        _ => to.push(0xc0),
    }
    Ok(())
}

fn push_table(meter: &Meter, table: &Table, depth: usize, to: &mut Vec<u8>) -> mlua::Result<()> {
    // Walked over twice: not so many values can be held at once.
    let (mut is_array, mut highest, mut count) = (true, 0.0f64, 0);
    for pair in table.pairs::<Value, Value>() {
        match pair?.0 {
            Value::Integer(number) if number > 0 => highest = highest.max(number as f64),
            _ => is_array = false,
        }
        meter.spend(1).map_err(stop)?;
        count += 1;
    }
    if is_array && highest == count as f64 {
        push_length(to, count, [0x90, 15, 0, 0xdc, 0xdd]);
        for at in 1..=count {
            push(meter, &table.raw_get::<Value>(at)?, depth + 1, to)?;
        }
    } else {
        push_length(to, count, [0x80, 15, 0, 0xde, 0xdf]);
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            push(meter, &key, depth + 1, to)?;
            push(meter, &value, depth + 1, to)?;
        }
    }
    Ok(())
}

/// A length, by the shortest of the forms: in the first byte up to a bound, then of one byte (0: there is no such form), two, four.
fn push_length(to: &mut Vec<u8>, length: usize, [within, bound, one, two, four]: [u8; 5]) {
    if length <= usize::from(bound) {
        to.push(within | length as u8);
    } else if one != 0 && length <= 0xff {
        to.extend([one, length as u8]);
    } else if length <= 0xffff {
        to.push(two);
        to.extend((length as u16).to_be_bytes());
    } else {
        to.push(four);
        to.extend((length as u32).to_be_bytes());
    }
}

fn push_number(to: &mut Vec<u8>, number: f64) {
    if number.fract() == 0.0 && number >= -(2f64.powi(63)) && number < 2f64.powi(63) {
        push_integer(to, number as i64);
    } else if f64::from(number as f32) == number {
        to.push(0xca);
        to.extend((number as f32).to_be_bytes());
    } else {
        to.push(0xcb);
        to.extend(number.to_be_bytes());
    }
}

fn push_integer(to: &mut Vec<u8>, number: i64) {
    let (first, bytes) = match number {
        -32..=127 => return to.push(number as u8),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -128..=-33 => (0xd0, 1),
        -32_768..=-129 => (0xd1, 2),
        -2_147_483_648..=-32_769 => (0xd2, 4),
        ..=-2_147_483_649 => (0xd3, 8),
    };
    to.push(first);
    to.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
}

/// What is read, and how much is left.
struct Cursor<'a> {
    lua: &'a Lua,
    meter: &'a Meter,
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, left)) = self.left.split_at_checked(count) else {
            return Err(raise(self.lua, "Missing bytes in input."));
        };
        self.left = left;
        Ok(taken)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, Error> {
        Ok(self.take(bytes)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i64, Error> {
        let unused = 64 - 8 * bytes as u32;
        Ok((self.unsigned(bytes)? << unused).cast_signed() >> unused)
    }

    fn text(&mut self, length: u64) -> Result<Value, Error> {
        let bytes = self.take(length as usize)?;
        self.lua.create_string(bytes).map(Value::String)
    }

    fn array(&mut self, length: u64, depth: usize) -> Result<Value, Error> {
        let table = self.lua.create_table()?;
        for at in 1..=length {
            let value = self.value(depth)?;
            table.raw_set(at, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, length: u64, depth: usize) -> Result<Value, Error> {
        let table = self.lua.create_table()?;
        for _ in 0..length {
            let (key, value) = (self.value(depth)?, self.value(depth)?);
            match &key {
                Value::Nil => return Err(raise(self.lua, "table index is nil")),
                Value::Number(number) if number.is_nan() => {
                    return Err(raise(self.lua, "table index is NaN"));
                }
                _ => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.meter.handle_value().map_err(stop)?;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(raise(self.lua, "too many nested values in input."));
        };
        let first = self.take(1)?[0];
        Ok(match first {
            0x00..=0x7f => Value::Number(f64::from(first)),
            0xe0..=0xff => Value::Number(f64::from(first.cast_signed())),
            0xa0..=0xbf => self.text(u64::from(first & 0x1f))?,
            0x90..=0x9f => self.array(u64::from(first & 0xf), depth)?,
            0x80..=0x8f => self.map(u64::from(first & 0xf), depth)?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc => Value::Number(self.unsigned(1)? as f64),
            0xcd => Value::Number(self.unsigned(2)? as f64),
            0xce => Value::Number(self.unsigned(4)? as f64),
            0xcf => Value::Number(self.unsigned(8)? as f64),
            0xd0 => Value::Number(self.signed(1)? as f64),
            0xd1 => Value::Number(self.signed(2)? as f64),
            0xd2 => Value::Number(self.signed(4)? as f64),
            0xd3 => Value::Number(self.signed(8)? as f64),
            0xd9 => {
                let length = self.unsigned(1)?;
                self.text(length)?
            }
            0xda => {
                let length = self.unsigned(2)?;
                self.text(length)?
            }
            0xdb => {
                let length = self.unsigned(4)?;
                self.text(length)?
            }
            0xdc => {
                let length = self.unsigned(2)?;
                self.array(length, depth)?
            }
            0xdd => {
                let length = self.unsigned(4)?;
                self.array(length, depth)?
            }
            0xde => {
                let length = self.unsigned(2)?;
                self.map(length, depth)?
            }
            0xdf => {
                let length = self.unsigned(4)?;
                self.map(length, depth)?
            }
            _ => return Err(raise(self.lua, "Bad data format in input.")),
        })
    }
}

fn unpack(given: &Arguments<'_>, meter: &Meter, limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let input = given.text(1)?;
    let input = input.as_bytes();
    let all = limit == 0 && offset == 0;
    if offset < 0 || limit < 0 {
        let length = input.len();
        let why = format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(raise(given.lua, why));
    }
    let Some(rest) = input.get(offset as usize..) else {
        let why = format!("Start offset {offset} greater than input length {}.", input.len());
        return Err(raise(given.lua, why));
    };
    let limit = if all { i64::MAX } else { limit };
    let mut cursor = Cursor { lua: given.lua, meter, left: rest };
    let mut values = Vec::new();
    while !cursor.left.is_empty() && (values.len() as i64) < limit {
        if values.len() >= VALUES_MAX {
            let why =
                "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
            return Err(raise(given.lua, why));
        }
        values.push(cursor.value(UNPACK_DEPTH_MAX)?);
    }
    if !all {
        let next = if cursor.left.is_empty() { -1 } else { (input.len() - cursor.left.len()) as i64 };
        values.insert(0, Value::Integer(next));
    }
    Ok(values.into_iter().collect())
}
