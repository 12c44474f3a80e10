//! `cjson`: JSON, with the settings that a script may change for the time that it runs.

use crate::arguments::{Arguments, type_name};
use crate::fault::{raise, stop};
use crate::limits::Meter;
use crate::numbers;
use mlua::{Error, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// What a script may choose.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth_max: i64,
    decode_depth_max: i64,
    precision: i64,
    keep_buffer: bool,
    encode_invalid: Invalid,
    decode_invalid: bool,
}

/// What becomes of numbers that JSON doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth_max: 1000,
            decode_depth_max: 1000,
            precision: 14,
            keep_buffer: true,
            encode_invalid: Invalid::Refused,
            decode_invalid: true,
        }
    }
}

/// Tables may be nested no deeper than this, whatever a script has chosen: what walks over them has a stack of its own.
const DEPTH_MAX: i64 = 1000;

/// The table `cjson`.
pub(crate) fn table(lua: &Lua, meter: &Rc<Meter>) -> mlua::Result<Table> {
    let cjson = lua.create_table()?;
    let its = Rc::clone(meter);
    let encode = lua.create_function(move |lua, given| {
        let given = Arguments::new(lua, "encode", given);
        given.check(given.len() == 1, 1, "expected 1 argument")?;
        let settings = its.json.borrow().clone();
        let mut encoder = Encoder { lua, meter: &its, settings: &settings, to: Vec::new() };
        encoder.value(given.value(1), 0)?;
        lua.create_string(encoder.to)
    })?;
    cjson.raw_set("encode", encode)?;
    let its = Rc::clone(meter);
    let decode = lua.create_function(move |lua, given| {
        let given = Arguments::new(lua, "decode", given);
        given.check(given.len() == 1, 1, "expected 1 argument")?;
        let settings = its.json.borrow().clone();
        let text = given.text(1)?;
        let text = text.as_bytes();
        if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
            return Err(raise(lua, "JSON parser does not support UTF-16 or UTF-32"));
        }
        let mut decoder = Decoder { lua, meter: &its, settings: &settings, text: &text, at: 0, depth: 0 };
        decoder.document()
    })?;
    cjson.raw_set("decode", decode)?;
    for (name, set) in SETTERS {
        let its = Rc::clone(meter);
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            set(&given, &mut its.json.borrow_mut())
        })?;
        cjson.raw_set(*name, function)?;
    }
    cjson.raw_set("null", Value::NULL)?;
    cjson.raw_set("_NAME", "cjson")?;
    cjson.raw_set("_VERSION", "2.1.0")?;
    Ok(cjson)
}

type Setter = fn(&Arguments<'_>, &mut Settings) -> mlua::Result<MultiValue>;

const SETTERS: &[(&str, Setter)] = &[
    ("encode_sparse_array", |given, settings| {
        at_most(given, 3)?;
        let convert = switch(given, 1, &mut settings.sparse_convert)?;
        let ratio = bounded(given, 2, &mut settings.sparse_ratio, 0, i64::from(i32::MAX))?;
        let safe = bounded(given, 3, &mut settings.sparse_safe, 0, i64::from(i32::MAX))?;
        Ok(MultiValue::from_iter([convert, ratio, safe]))
    }),
    ("encode_max_depth", |given, settings| {
        at_most(given, 1)?;
        bounded(given, 1, &mut settings.encode_depth_max, 1, i64::from(i32::MAX)).map(one)
    }),
    ("decode_max_depth", |given, settings| {
        at_most(given, 1)?;
        bounded(given, 1, &mut settings.decode_depth_max, 1, i64::from(i32::MAX)).map(one)
    }),
    ("encode_number_precision", |given, settings| {
        at_most(given, 1)?;
        bounded(given, 1, &mut settings.precision, 1, 14).map(one)
    }),
    ("encode_keep_buffer", |given, settings| {
        at_most(given, 1)?;
        switch(given, 1, &mut settings.keep_buffer).map(one)
    }),
    ("encode_invalid_numbers", |given, settings| {
        at_most(given, 1)?;
        match given.value(1) {
            Value::Nil => {}
            Value::Boolean(true) => settings.encode_invalid = Invalid::Written,
            Value::Boolean(false) => settings.encode_invalid = Invalid::Refused,
            _ => {
                let chosen = option(given, 1, &["off", "on", "null"])?;
                settings.encode_invalid = [Invalid::Refused, Invalid::Written, Invalid::Null][chosen];
            }
        }
        Ok(one(match settings.encode_invalid {
            Invalid::Refused => Value::Boolean(false),
            Invalid::Written => Value::Boolean(true),
            Invalid::Null => Value::String(given.lua.create_string("null")?),
        }))
    }),
    ("decode_invalid_numbers", |given, settings| {
        at_most(given, 1)?;
        switch(given, 1, &mut settings.decode_invalid).map(one)
    }),
];

fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}

fn at_most(given: &Arguments<'_>, count: usize) -> Result<(), Error> {
    given.check(given.len() <= count, count + 1, "found too many arguments")
}

fn bounded(given: &Arguments<'_>, at: usize, setting: &mut i64, min: i64, max: i64) -> mlua::Result<Value> {
    if !given.is_absent(at) {
        let chosen = given.integer(at)?;
        given.check(
            (min..=max).contains(&chosen),
            1,
            &format!("expected integer between {min} and {max}"),
        )?;
        *setting = chosen;
    }
    Ok(Value::Integer(*setting))
}

fn switch(given: &Arguments<'_>, at: usize, setting: &mut bool) -> mlua::Result<Value> {
    match given.value(at) {
        Value::Nil => {}
        Value::Boolean(chosen) => *setting = *chosen,
        _ => *setting = option(given, at, &["off", "on"])? == 1,
    }
    Ok(Value::Boolean(*setting))
}

fn option(given: &Arguments<'_>, at: usize, options: &[&str]) -> Result<usize, Error> {
    let name = given.text(at)?;
    let known = options.iter().position(|option| option.as_bytes() == &name.as_bytes()[..]);
    known.ok_or_else(|| given.wrong(at, &format!("invalid option '{}'", name.to_string_lossy())))
}

struct Encoder<'a> {
    lua: &'a Lua,
    meter: &'a Meter,
    settings: &'a Settings,
    to: Vec<u8>,
}

impl Encoder<'_> {
    fn fail(&self, value: &Value, why: &str) -> Error {
        raise(self.lua, format!("Cannot serialise {}: {why}", type_name(value)))
    }

    fn value(&mut self, value: &Value, depth: i64) -> mlua::Result<()> {
        self.meter.handle_value().map_err(stop)?;
        match value {
            Value::String(text) => self.text(&text.as_bytes())?,
            Value::Integer(number) => self.number(*number as f64, value)?,
            Value::Number(number) => self.number(*number, value)?,
            Value::Boolean(truth) => self.to.extend_from_slice(if *truth { b"true" } else { b"false" }),
            Value::Nil => self.to.extend_from_slice(b"null"),
            value if *value == Value::NULL => self.to.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            value => return Err(self.fail(value, "type not supported")),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: i64) -> mlua::Result<()> {
        if depth > self.settings.encode_depth_max.min(DEPTH_MAX) {
            return Err(raise(self.lua, format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let (mut highest, mut items, mut is_array) = (0.0f64, 0.0f64, true);
        for pair in table.pairs::<Value, Value>() {
            self.meter.handle_value().map_err(stop)?;
            match pair?.0 {
                Value::Integer(number) if number >= 1 => highest = highest.max(number as f64),
                Value::Number(number) if number >= 1.0 && number.fract() == 0.0 => {
                    highest = highest.max(number)
                }
                _ => {
                    is_array = false;
                    break;
                }
            }
            items += 1.0;
        }
        let settings = self.settings;
        if is_array
            && settings.sparse_ratio > 0
            && highest > items * settings.sparse_ratio as f64
            && highest > settings.sparse_safe as f64
        {
            if !settings.sparse_convert {
                return Err(self.fail(&Value::Table(table.clone()), "excessively sparse array"));
            }
            is_array = false;
        }
        if is_array && highest > 0.0 { self.array(table, highest, depth) } else { self.object(table, depth) }
    }

    fn array(&mut self, table: &Table, length: f64, depth: i64) -> mlua::Result<()> {
        self.to.push(b'[');
        // C counts with an int.
        for at in 1..=length.min(f64::from(i32::MAX)) as i64 {
            if at > 1 {
                self.to.push(b',');
            }
            self.value(&table.raw_get::<Value>(at)?, depth)?;
        }
        self.to.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i64) -> mlua::Result<()> {
        self.to.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut is_first) {
                self.to.push(b',');
            }
            match &key {
                Value::Integer(number) => {
                    self.to.push(b'"');
                    self.number(*number as f64, &key)?;
                    self.to.push(b'"');
                }
                Value::Number(number) => {
                    self.to.push(b'"');
                    self.number(*number, &key)?;
                    self.to.push(b'"');
                }
                Value::String(text) => self.text(&text.as_bytes())?,
                key => return Err(self.fail(key, "table key must be a number or string")),
            }
            self.to.push(b':');
            self.value(&value, depth)?;
        }
        self.to.push(b'}');
        Ok(())
    }

    fn number(&mut self, number: f64, value: &Value) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => return Err(self.fail(value, "must not be NaN or Inf")),
                Invalid::Written if number.is_nan() => {
                    self.to.extend_from_slice(b"nan");
                    return Ok(());
                }
                Invalid::Written => {}
                Invalid::Null => {
                    self.to.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        let written = numbers::general(number, self.settings.precision as usize);
        self.to.extend_from_slice(written.as_bytes());
        self.meter.grow(self.to.len(), written.len()).map_err(stop)
    }

    fn text(&mut self, text: &[u8]) -> mlua::Result<()> {
        self.meter.grow(self.to.len() + text.len(), text.len()).map_err(stop)?;
        self.to.push(b'"');
        for &byte in text {
            let escaped: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'/' => b"\\/",
                8 => b"\\b",
                9 => b"\\t",
                10 => b"\\n",
                12 => b"\\f",
                13 => b"\\r",
                0..=0x1f | 0x7f => {
                    self.to.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                _ => {
                    self.to.push(byte);
                    continue;
                }
            };
            self.to.extend_from_slice(escaped);
        }
        self.to.push(b'"');
        Ok(())
    }
}

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Bad(&'static str),
}

impl Token {
    /// What errors call it.
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Bad(why) => why,
        }
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    meter: &'a Meter,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
    depth: i64,
}

impl Decoder<'_> {
    fn document(&mut self) -> mlua::Result<Value> {
        let first = self.token();
        let value = self.value(first)?;
        match self.token() {
            (Token::End, _) => Ok(value),
            other => Err(self.unexpected("the end", &other)),
        }
    }

    fn unexpected(&self, wanted: &str, (found, at): &(Token, usize)) -> Error {
        let (found, at) = (found.name(), at + 1);
        raise(self.lua, format!("Expected {wanted} but found {found} at character {at}"))
    }

    fn value(&mut self, token: (Token, usize)) -> mlua::Result<Value> {
        self.meter.handle_value().map_err(stop)?;
        match token.0 {
            Token::Text(text) => self.lua.create_string(text).map(Value::String),
            Token::Number(number) => Ok(Value::Number(number)),
            Token::Boolean(truth) => Ok(Value::Boolean(truth)),
            Token::ObjectBegin => self.object(),
            Token::ArrayBegin => self.array(),
            Token::Null => Ok(Value::NULL),
            _ => Err(self.unexpected("value", &token)),
        }
    }

    fn descend(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.settings.decode_depth_max.min(DEPTH_MAX) {
            let (depth, at) = (self.depth, self.at);
            let why = format!("Found too many nested data structures ({depth}) at character {at}");
            return Err(raise(self.lua, why));
        }
        Ok(())
    }

    fn object(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if !matches!(token.0, Token::ObjectEnd) {
            loop {
                let Token::Text(key) = token.0 else {
                    return Err(self.unexpected("object key string", &token));
                };
                match self.token() {
                    (Token::Colon, _) => {}
                    other => return Err(self.unexpected("colon", &other)),
                }
                let next = self.token();
                let value = self.value(next)?;
                table.raw_set(self.lua.create_string(key)?, value)?;
                match self.token() {
                    (Token::ObjectEnd, _) => break,
                    (Token::Comma, _) => token = self.token(),
                    other => return Err(self.unexpected("comma or object end", &other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> mlua::Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if !matches!(token.0, Token::ArrayEnd) {
            for at in 1.. {
                let value = self.value(token)?;
                table.raw_set(at, value)?;
                match self.token() {
                    (Token::ArrayEnd, _) => break,
                    (Token::Comma, _) => token = self.token(),
                    other => return Err(self.unexpected("comma or array end", &other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    /// The next token, and where it begins.
    fn token(&mut self) -> (Token, usize) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let begin = self.at;
        let rest = &self.text[begin..];
        let single = match rest.first() {
            // C's text ends at a zero.
            None | Some(0) => return (Token::End, begin),
            Some(b'{') => Some(Token::ObjectBegin),
            Some(b'}') => Some(Token::ObjectEnd),
            Some(b'[') => Some(Token::ArrayBegin),
            Some(b']') => Some(Token::ArrayEnd),
            Some(b',') => Some(Token::Comma),
            Some(b':') => Some(Token::Colon),
            Some(_) => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return (token, begin);
        }
        let word = |word: &[u8]| rest.starts_with(word);
        let (token, length) = match rest[0] {
            b'"' => return self.text_token(),
            b'-' | b'0'..=b'9' => {
                if !self.settings.decode_invalid && is_invalid_number(rest) {
                    return (Token::Bad("invalid number"), begin);
                }
                return self.number_token();
            }
            _ if word(b"true") => (Token::Boolean(true), 4),
            _ if word(b"false") => (Token::Boolean(false), 5),
            _ if word(b"null") => (Token::Null, 4),
            b'+' | b'i' | b'I' | b'n' | b'N' if self.settings.decode_invalid && is_invalid_number(rest) => {
                return self.number_token();
            }
            _ => (Token::Bad("invalid token"), 0),
        };
        self.at += length;
        (token, begin)
    }

    fn number_token(&mut self) -> (Token, usize) {
        let begin = self.at;
        match numbers::leading(&self.text[begin..]) {
            Some((number, taken)) => {
                self.at += taken;
                (Token::Number(number), begin)
            }
            None => (Token::Bad("invalid number"), begin),
        }
    }

    fn text_token(&mut self) -> (Token, usize) {
        let begin = self.at;
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.text.get(self.at) {
                None | Some(0) => return (Token::Bad("unexpected end of string"), self.at),
                Some(b'"') => break,
                Some(b'\\') => match self.text.get(self.at + 1) {
                    Some(b'u') => match self.unicode() {
                        Some(character) => {
                            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                            continue;
                        }
                        None => return (Token::Bad("invalid unicode escape code"), self.at),
                    },
                    Some(b'b') => text.push(8),
                    Some(b't') => text.push(9),
                    Some(b'n') => text.push(10),
                    Some(b'f') => text.push(12),
                    Some(b'r') => text.push(13),
                    Some(byte @ (b'"' | b'\\' | b'/')) => text.push(*byte),
                    _ => return (Token::Bad("invalid escape code"), self.at),
                },
                Some(byte) => {
                    text.push(*byte);
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
        }
        self.at += 1;
        (Token::Text(text), begin)
    }

    /// The character of one or two escapes that begin here, and goes behind them.
    fn unicode(&mut self) -> Option<char> {
        let unit = |at: usize| -> Option<u32> {
            let digits = self.text.get(at..at + 4)?;
            digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
        };
        let first = unit(self.at + 2)?;
        if first & 0xf800 != 0xd800 {
            self.at += 6;
            return char::from_u32(first);
        }
        if first & 0x400 != 0 || self.text.get(self.at + 6..self.at + 8) != Some(b"\\u") {
            return None;
        }
        let second = unit(self.at + 8)?;
        if second & 0xfc00 != 0xdc00 {
            return None;
        }
        self.at += 12;
        char::from_u32((((first & 0x3ff) << 10) | (second & 0x3ff)) + 0x10000)
    }
}

/// What C reads as a number and JSON doesn't have.
fn is_invalid_number(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text.first() {
        Some(b'0') => text.get(1).is_some_and(|byte| byte | 0x20 == b'x' || byte.is_ascii_digit()),
        Some(byte) if *byte <= b'9' => false,
        _ => {
            let begins = |word: &[u8]| text.len() >= 3 && text[..3].eq_ignore_ascii_case(word);
            begins(b"inf") || begins(b"nan")
        }
    }
}
