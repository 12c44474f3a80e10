//! The table `redis`: commands, replies, the log, and what remains of older days.

use crate::arguments::{Arguments, as_number};
use crate::convert::value_of;
use crate::fault::{Fault, error_reply, error_table, raise, stop};
use crate::host::{Host, LogLevel};
use crate::library::{Function, read_registration};
use crate::limits::{COMMAND_COSTS, Meter, Stop};
use crate::numbers;
use crate::sha::Sha;
use mlua::{Error, Lua, MultiValue, Table, Value};
use resp::{Frame, Protocol};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The version of Redis that scripts are told they run on.
pub(crate) const VERSION: (&str, u32) = ("7.2.0", 0x0007_0200);

/// Where the host of the run sits, and what the run has said about itself.
#[derive(Debug)]
pub(crate) struct Seat<H> {
    /// The host, while something runs.
    pub host: RefCell<Option<H>>,
    /// The version in which the script wants replies.
    pub protocol: Cell<Protocol>,
    /// What the library that is being loaded has registered.
    pub loading: RefCell<Option<Loading>>,
    /// A value on its way through Rust as an error.
    pub kept: RefCell<Option<Value>>,
}

impl<H> Default for Seat<H> {
    fn default() -> Self {
        Self {
            host: RefCell::new(None),
            protocol: Cell::new(Protocol::Resp2),
            loading: RefCell::new(None),
            kept: RefCell::new(None),
        }
    }
}

/// A library that is being loaded.
#[derive(Debug)]
pub(crate) struct Loading {
    /// What it has registered, in this order.
    pub functions: Vec<Function>,
    /// Their callbacks, by name.
    pub callbacks: Table,
}

/// What scripts and functions see as `redis`.
pub(crate) fn table<H: Host + 'static>(
    lua: &Lua,
    meter: &Rc<Meter>,
    seat: &Rc<Seat<H>>,
) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    add_version_and_log(lua, &redis, seat)?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let (meter, seat) = (Rc::clone(meter), Rc::clone(seat));
        let call = lua.create_function(move |lua, words: MultiValue| {
            match call(lua, &meter, &seat, words, raises) {
                Err(error) if !raises => match Fault::within(&error) {
                    Some(Fault::Reply(reply)) => error_table(lua, reply).map(Value::Table),
                    _ => Err(error),
                },
                called => called,
            }
        })?;
        redis.raw_set(name, call)?;
    }
    let its = Rc::clone(seat);
    redis.raw_set("setresp", lua.create_function(move |lua, given| set_protocol(lua, &its, given))?)?;
    let its = Rc::clone(seat);
    redis.raw_set("acl_check_cmd", lua.create_function(move |_, words| may_call(&its, words))?)?;
    redis.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    redis.raw_set("error_reply", lua.create_function(|lua, given| one_field(lua, &given, true))?)?;
    redis.raw_set("status_reply", lua.create_function(|lua, given| one_field(lua, &given, false))?)?;
    // What a script does reaches all copies or none: there is nothing to choose.
    redis.raw_set("set_repl", lua.create_function(set_repl)?)?;
    redis.raw_set("replicate_commands", lua.create_function(|_, _: MultiValue| Ok(true))?)?;
    redis.raw_set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    redis.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    for (name, number) in [("NONE", 0), ("AOF", 1), ("SLAVE", 2), ("REPLICA", 2), ("ALL", 3)] {
        redis.raw_set(format!("REPL_{name}"), number)?;
    }
    Ok(redis)
}

/// What a library sees as `redis` while it is loaded.
pub(crate) fn table_for_loading<H: Host + 'static>(lua: &Lua, seat: &Rc<Seat<H>>) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    add_version_and_log(lua, &redis, seat)?;
    let its = Rc::clone(seat);
    let register = lua.create_function(move |_, given: MultiValue| {
        let refused = |why: &str| Error::from(Fault::Reply(error_reply(why.as_bytes())));
        let mut loading = its.loading.borrow_mut();
        let Some(loading) = &mut *loading else {
            return Err(refused("redis.register_function can only be called on FUNCTION LOAD command"));
        };
        let (function, callback) = read_registration(&given).map_err(|why| refused(&why))?;
        if loading.functions.iter().any(|known| known.name == function.name) {
            return Err(refused("Function already exists in the library"));
        }
        loading.callbacks.raw_set(function.name.as_str(), callback)?;
        loading.functions.push(function);
        Ok(())
    })?;
    redis.raw_set("register_function", register)?;
    Ok(redis)
}

fn add_version_and_log<H: Host + 'static>(lua: &Lua, redis: &Table, seat: &Rc<Seat<H>>) -> mlua::Result<()> {
    redis.raw_set("REDIS_VERSION", VERSION.0)?;
    redis.raw_set("REDIS_VERSION_NUM", VERSION.1)?;
    for level in [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice, LogLevel::Warning] {
        redis.raw_set(format!("LOG_{level:?}").to_uppercase(), level as i64)?;
    }
    let its = Rc::clone(seat);
    redis.raw_set("log", lua.create_function(move |lua, given| log(lua, &its, given))?)
}

/// `redis.call` and `redis.pcall`.
fn call<H: Host>(
    lua: &Lua,
    meter: &Meter,
    seat: &Seat<H>,
    words: MultiValue,
    raises: bool,
) -> mlua::Result<Value> {
    meter.look(COMMAND_COSTS).map_err(stop)?;
    let words = words_of(words)?;
    let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
    let protocol = seat.protocol.get();
    let mut reply = Vec::new();
    {
        let mut host = seat.host.borrow_mut();
        let Some(host) = &mut *host else {
            return Err(refused("redis.call/pcall can only be called inside a script invocation"));
        };
        if host.call(&words, protocol, &mut reply).is_err() {
            return Err(stop(meter.stop(Stop::Unanswered)));
        }
    }
    meter.grow(reply.len(), reply.len()).map_err(stop)?;
    let Ok(Some((frame, _))) = Frame::parse(&reply) else {
        return Err(refused("the command's reply can't be shown to a script"));
    };
    match frame {
        Frame::Error(said) if raises => Err(Fault::Reply(error_reply(&[b"-", &said[..]].concat())).into()),
        frame => value_of(lua, frame, protocol),
    }
}

fn refused(why: &str) -> Error {
    Fault::Reply(error_reply(why.as_bytes())).into()
}

/// The words of a command as Redis makes them of a script's values.
fn words_of(values: MultiValue) -> mlua::Result<Vec<Vec<u8>>> {
    if values.is_empty() {
        return Err(refused("Please specify at least one argument for this redis lib call"));
    }
    let mut words = Vec::with_capacity(values.len());
    for value in &values {
        words.push(match value {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Integer(number) => numbers::general(*number as f64, 17).into_bytes(),
            Value::Number(number) => numbers::general(*number, 17).into_bytes(),
            _ => return Err(refused("Lua redis lib command arguments must be strings or integers")),
        });
    }
    Ok(words)
}

fn may_call<H: Host>(seat: &Seat<H>, words: MultiValue) -> mlua::Result<bool> {
    let words = words_of(words)?;
    let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
    let mut host = seat.host.borrow_mut();
    let Some(host) = &mut *host else {
        return Err(refused("redis.acl_check_cmd can only be called inside a script invocation"));
    };
    host.may_call(&words).ok_or_else(|| refused("Invalid command passed to redis.acl_check_cmd()"))
}

fn set_protocol<H>(lua: &Lua, seat: &Seat<H>, given: MultiValue) -> mlua::Result<()> {
    let _ = lua;
    if seat.host.borrow().is_none() {
        return Err(refused("redis.setresp can only be called inside a script invocation"));
    }
    if given.len() != 1 {
        return Err(refused("redis.setresp() requires one argument."));
    }
    // As C truncates it; what is no number is 0 there.
    match given.front().and_then(as_number).unwrap_or(0.0) as i64 {
        2 => seat.protocol.set(Protocol::Resp2),
        3 => seat.protocol.set(Protocol::Resp3),
        _ => return Err(refused("RESP version must be 2 or 3.")),
    }
    Ok(())
}

fn set_repl(_: &Lua, given: MultiValue) -> mlua::Result<()> {
    if given.len() != 1 {
        return Err(refused("redis.set_repl() requires two arguments."));
    }
    let flags = given.front().and_then(as_number).unwrap_or(0.0) as i64;
    if flags & !3 != 0 {
        return Err(refused("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."));
    }
    Ok(())
}

fn sha1hex(lua: &Lua, given: MultiValue) -> mlua::Result<String> {
    let given = Arguments::new(lua, "sha1hex", given);
    if given.len() != 1 {
        return Err(refused("wrong number of arguments"));
    }
    // As in C, what is no text hashes as nothing.
    Ok(given.text(1).map_or_else(|_| Sha::of(b""), |text| Sha::of(&text.as_bytes())).to_string())
}

/// A table with the field `err` or `ok`.
fn one_field(lua: &Lua, given: &MultiValue, is_error: bool) -> mlua::Result<Table> {
    let (1, Some(Value::String(text))) = (given.len(), given.front()) else {
        return error_table(lua, &error_reply(b"wrong number or type of arguments"));
    };
    if is_error {
        let text = text.as_bytes();
        let dashed = if text.starts_with(b"-") { text.to_vec() } else { [b"-", &text[..]].concat() };
        return error_table(lua, &error_reply(&dashed));
    }
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set("ok", text)?;
    Ok(table)
}

fn log<H: Host>(lua: &Lua, seat: &Seat<H>, given: MultiValue) -> mlua::Result<()> {
    let given = Arguments::new(lua, "log", given);
    if given.len() < 2 {
        return Err(refused("redis.log() requires two arguments or more."));
    }
    let Some(level) = as_number(given.value(1)) else {
        return Err(refused("First argument must be a number (log level)."));
    };
    let Some(level) = LogLevel::from_number(level) else { return Err(refused("Invalid debug level.")) };
    let mut said = Vec::new();
    for at in 2..=given.len() {
        // What is no text isn't said, as in C.
        if let Ok(text) = given.text(at) {
            if at > 2 {
                said.push(b' ');
            }
            said.extend_from_slice(&text.as_bytes());
        }
    }
    if let Some(host) = &mut *seat.host.borrow_mut() {
        host.log(level, &said);
    }
    Ok(())
}

/// Replaces `math.random` and `math.randomseed` by the generator of Redis (POSIX's `lrand48`): the same numbers everywhere.
pub(crate) fn add_random<H: 'static>(
    lua: &Lua,
    math: &Table,
    meter: &Rc<Meter>,
    seat: &Rc<Seat<H>>,
) -> mlua::Result<()> {
    let (its, its_seat) = (Rc::clone(meter), Rc::clone(seat));
    let random = lua.create_function(move |lua, given| {
        if its_seat.host.borrow().is_none() {
            return Err(raise(lua, "math.random can only be called inside a script invocation"));
        }
        let given = Arguments::new(lua, "random", given);
        let state = its.random.get().wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & ((1 << 48) - 1);
        its.random.set(state);
        let drawn = ((state >> 17) % 0x7fff_ffff) as f64 / 2_147_483_647.0;
        // As C's int.
        let (low, high) = match given.len() {
            0 => return Ok(drawn),
            1 => (1, given.integer(1)? as i32),
            2 => (given.integer(1)? as i32, given.integer(2)? as i32),
            _ => return Err(raise(lua, "wrong number of arguments")),
        };
        given.check(low <= high, given.len(), "interval is empty")?;
        let width = f64::from(high) - f64::from(low) + 1.0;
        Ok((drawn * width).floor() + f64::from(low))
    })?;
    math.raw_set("random", random)?;
    let (its, its_seat) = (Rc::clone(meter), Rc::clone(seat));
    let randomseed = lua.create_function(move |lua, given| {
        if its_seat.host.borrow().is_none() {
            return Err(raise(lua, "math.randomseed can only be called inside a script invocation"));
        }
        let seed = Arguments::new(lua, "randomseed", given).integer(1)? as u32;
        its.random.set(seed_of_random(u64::from(seed)));
        Ok(())
    })?;
    math.raw_set("randomseed", randomseed)
}

/// The state of the generator for a seed of 32 bits.
pub(crate) fn seed_of_random(seed: u64) -> u64 {
    ((seed & 0xffff_ffff) << 16) | 0x330E
}
