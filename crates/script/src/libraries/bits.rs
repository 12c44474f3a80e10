//! `bit`: operations on numbers as 32 bits.

use crate::arguments::{Arguments, as_number};
use mlua::{Error, Lua, MultiValue, Table};

/// The table `bit`.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let bit = lua.create_table()?;
    let one = |name: &'static str, does: fn(u32) -> u32| -> mlua::Result<()> {
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            Ok(shown(does(bits(&given, 1)?)))
        })?;
        bit.raw_set(name, function)
    };
    one("tobit", |bits| bits)?;
    one("bnot", |bits| !bits)?;
    one("bswap", u32::swap_bytes)?;
    let many = |name: &'static str, does: fn(u32, u32) -> u32| -> mlua::Result<()> {
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            let mut result = bits(&given, 1)?;
            for at in (2..=given.len()).rev() {
                result = does(result, bits(&given, at)?);
            }
            Ok(shown(result))
        })?;
        bit.raw_set(name, function)
    };
    many("band", |a, b| a & b)?;
    many("bor", |a, b| a | b)?;
    many("bxor", |a, b| a ^ b)?;
    let shift = |name: &'static str, does: fn(u32, u32) -> u32| -> mlua::Result<()> {
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            let (bits_, by) = (bits(&given, 1)?, bits(&given, 2)? & 31);
            Ok(shown(does(bits_, by)))
        })?;
        bit.raw_set(name, function)
    };
    shift("lshift", |bits, by| bits << by)?;
    shift("rshift", |bits, by| bits >> by)?;
    shift("arshift", |bits, by| (bits.cast_signed() >> by).cast_unsigned())?;
    shift("rol", u32::rotate_left)?;
    shift("ror", u32::rotate_right)?;
    bit.raw_set("tohex", lua.create_function(tohex)?)?;
    Ok(bit)
}

/// The bits of an argument: of the nearest integer, modulo 2^32.
fn bits(given: &Arguments<'_>, at: usize) -> Result<u32, Error> {
    let Some(number) = as_number(given.value(at)) else { return Err(given.wrong_type(at, "number")) };
    // 2^52 + 2^51: behind it a double has no room for a fraction, and its lowest bits are the integer's.
    Ok((number + 6_755_399_441_055_744.0).to_bits() as u32)
}

fn shown(bits: u32) -> f64 {
    f64::from(bits.cast_signed())
}

fn tohex(lua: &Lua, given: MultiValue) -> mlua::Result<String> {
    let given = Arguments::new(lua, "tohex", given);
    let value = bits(&given, 1)?;
    let digits = if given.len() < 2 { 8 } else { bits(&given, 2)?.cast_signed() };
    let count = digits.unsigned_abs().min(8) as usize;
    let written = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    Ok(written[8 - count..].to_string())
}
