//! Libraries: what `FUNCTION LOAD` finds in one.

use crate::header::{BAD_NAME, Flags, is_name};
use mlua::{MultiValue, Table, Value};

/// A function that a library has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, which no other function of any library has.
    pub name: String,
    /// What its author says about it.
    pub description: Option<Vec<u8>>,
    /// What it says about itself.
    pub flags: Flags,
}

/// What a library's text was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name that its first line gives.
    pub name: String,
    /// Its functions, in the order in which it registered them; at least one.
    pub functions: Vec<Function>,
}

/// What `redis.register_function` was given: the function, and what carries it out.
pub(crate) fn read_registration(given: &MultiValue) -> Result<(Function, mlua::Function), String> {
    let registered = match given.len() {
        1 => read_named(given.front().unwrap_or(&Value::Nil)),
        2 => read_positional(given),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    let (name, description, flags, callback) = registered?;
    if !is_name(&name) {
        return Err(BAD_NAME.into());
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok((Function { name, description, flags }, callback))
}

type Registration = (Vec<u8>, Option<Vec<u8>>, Flags, mlua::Function);

fn read_positional(given: &MultiValue) -> Result<Registration, &'static str> {
    let Some(name) = given.front().and_then(text_of) else {
        return Err("first argument to redis.register_function must be a string");
    };
    let Some(Value::Function(callback)) = given.get(1) else {
        return Err("second argument to redis.register_function must be a function");
    };
    Ok((name, None, Flags::default(), callback.clone()))
}

fn read_named(given: &Value) -> Result<Registration, &'static str> {
    let Value::Table(given) = given else {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table \
                    (representing named arguments).",
        );
    };
    let (mut name, mut description, mut flags, mut callback) = (None, None, Flags::default(), None);
    for pair in given.pairs::<Value, Value>() {
        let Ok((key, value)) = pair else { return Err("unknown argument given to redis.register_function") };
        let Some(key) = text_of(&key) else {
            return Err("named argument key given to redis.register_function is not a string");
        };
        match &key.to_ascii_lowercase()[..] {
            b"function_name" => match text_of(&value) {
                None => {
                    return Err("function_name argument given to redis.register_function must be a string");
                }
                given => name = given,
            },
            b"description" => match text_of(&value) {
                None => return Err("description argument given to redis.register_function must be a string"),
                given => description = given,
            },
            b"callback" => match value {
                Value::Function(given) => callback = Some(given),
                _ => return Err("callback argument given to redis.register_function must be a function"),
            },
            b"flags" => match value {
                Value::Table(named) => flags = read_flags(&named).ok_or("unknown flag given")?,
                _ => {
                    return Err(
                        "flags argument to redis.register_function must be a table representing function \
                                flags",
                    );
                }
            },
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    Ok((name, description, flags, callback))
}

fn read_flags(named: &Table) -> Option<Flags> {
    let mut flags = Flags::default();
    for at in 1.. {
        match named.raw_get(at).ok()? {
            Value::Nil => break,
            value => flags = flags.with(Flags::named(&text_of(&value)?.to_ascii_lowercase())?),
        }
    }
    Some(flags)
}

/// A text, or a number as text.
fn text_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Number(number) => Some(crate::numbers::general(*number, 14).into_bytes()),
        _ => None,
    }
}
