//! Lua's patterns: `string.find`, `match`, `gmatch` and `gsub`. Lua's own may take for ever over a short text, where no hook interrupts
//! them, and use the processor's stack without bound; these count their steps.

use crate::arguments::{Arguments, type_name};
use crate::fault::{Fault, raise, stop};
use crate::limits::Meter;
use crate::redis::Seat;
use crate::sandbox::returned;
use mlua::{Error, Function, Lua, LuaString, MultiValue, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// How many captures a pattern may have.
const CAPTURES_MAX: usize = 32;

/// How many items of a pattern may wait for what is behind them.
const DEPTH_MAX: usize = 200;

/// How many steps pass between two looks at the budget, and what they cost.
const STEPS: (u32, u64) = (1024, 1024);

/// Replaces the functions of `string` that know patterns.
pub(crate) fn add<H: 'static>(
    lua: &Lua,
    string: &Table,
    meter: &Rc<Meter>,
    seat: &Rc<Seat<H>>,
    protected: &Function,
) -> mlua::Result<()> {
    for (name, finds) in [("find", true), ("match", false)] {
        let its = Rc::clone(meter);
        let function = lua.create_function(move |lua, given| {
            let given = Arguments::new(lua, name, given);
            find(&given, &its, finds)
        })?;
        string.raw_set(name, function)?;
    }
    let its = Rc::clone(meter);
    let gmatch = lua.create_function(move |lua, given| gmatch(lua, &its, given))?;
    string.raw_set("gmatch", &gmatch)?;
    string.raw_set("gfind", gmatch)?;
    let (its, seat, protected) = (Rc::clone(meter), Rc::clone(seat), protected.clone());
    let gsub = lua.create_function(move |lua, given| {
        let given = Arguments::new(lua, "gsub", given);
        let replacing = Replacing { given: &given, protected: &protected };
        match replacing.run(&its) {
            Err(Raised::Error(error)) => Err(error),
            Err(Raised::Value(value)) => {
                Err(returned(&seat, (false, value)).err().unwrap_or(Fault::Kept.into()))
            }
            Ok(replaced) => Ok(replaced),
        }
    })?;
    string.raw_set("gsub", gsub)
}

/// What a part of the text was captured for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// Its end isn't found yet.
    Open,
    /// Only where it is was asked for.
    Position,
    /// So many bytes.
    Bytes(usize),
}

/// A pattern on its way over a text.
struct Matcher<'a> {
    lua: &'a Lua,
    meter: &'a Meter,
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [(usize, Length); CAPTURES_MAX],
    level: usize,
    steps: u32,
}

impl<'a> Matcher<'a> {
    fn new(lua: &'a Lua, meter: &'a Meter, text: &'a [u8], pattern: &'a [u8]) -> Self {
        // C's pattern ends at a zero.
        let end = pattern.iter().position(|byte| *byte == 0).unwrap_or(pattern.len());
        let captures = [(0, Length::Open); CAPTURES_MAX];
        Self { lua, meter, text, pattern: &pattern[..end], captures, level: 0, steps: 0 }
    }

    /// Where a match that begins at `begin` ends, if there is one.
    fn matches_at(&mut self, begin: usize, anchored: bool) -> Result<Option<usize>, Error> {
        self.level = 0;
        self.run(begin, usize::from(anchored), DEPTH_MAX)
    }

    fn fail(&self, why: &str) -> Error {
        raise(self.lua, why)
    }

    fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        if self.steps >= STEPS.0 {
            self.steps = 0;
            self.meter.look(STEPS.1).map_err(stop)?;
        }
        Ok(())
    }

    fn at(&self, place: usize) -> Option<u8> {
        self.pattern.get(place).copied()
    }

    /// Matches the pattern from `p` on with the text from `s` on.
    fn run(&mut self, mut s: usize, mut p: usize, depth: usize) -> Result<Option<usize>, Error> {
        let Some(depth) = depth.checked_sub(1) else { return Err(self.fail("pattern too complex")) };
        loop {
            self.step()?;
            match (self.at(p), self.at(p + 1)) {
                (None, _) => return Ok(Some(s)),
                (Some(b'('), Some(b')')) => return self.open(s, p + 2, Length::Position, depth),
                (Some(b'('), _) => return self.open(s, p + 1, Length::Open, depth),
                (Some(b')'), _) => return self.close(s, p + 1, depth),
                (Some(b'$'), None) => return Ok((s == self.text.len()).then_some(s)),
                (Some(b'%'), Some(b'b')) => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (Some(b'%'), Some(b'f')) => match self.frontier(s, p + 2)? {
                    Some(end) => p = end,
                    None => return Ok(None),
                },
                (Some(b'%'), Some(digit @ b'0'..=b'9')) => match self.again(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    let fits = self.fits(s, p, end);
                    match self.at(end) {
                        Some(b'?') => {
                            if fits && let Some(found) = self.run(s + 1, end + 1, depth)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.longest(s, p, end, depth),
                        Some(b'+') if fits => return self.longest(s + 1, p, end, depth),
                        Some(b'-') => return self.shortest(s, p, end, depth),
                        Some(b'+') => return Ok(None),
                        _ if !fits => return Ok(None),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    fn open(&mut self, s: usize, p: usize, length: Length, depth: usize) -> Result<Option<usize>, Error> {
        if self.level >= CAPTURES_MAX {
            return Err(self.fail("too many captures"));
        }
        self.captures[self.level] = (s, length);
        self.level += 1;
        let found = self.run(s, p, depth)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize, depth: usize) -> Result<Option<usize>, Error> {
        let open = self.captures[..self.level].iter().rposition(|(_, length)| *length == Length::Open);
        let Some(open) = open else { return Err(self.fail("invalid pattern capture")) };
        self.captures[open].1 = Length::Bytes(s - self.captures[open].0);
        let found = self.run(s, p, depth)?;
        if found.is_none() {
            self.captures[open].1 = Length::Open;
        }
        Ok(found)
    }

    /// As many as there are, then fewer.
    fn longest(&mut self, s: usize, p: usize, end: usize, depth: usize) -> Result<Option<usize>, Error> {
        let mut count = 0;
        while self.fits(s + count, p, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.run(s + count, end + 1, depth)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// As few as possible.
    fn shortest(&mut self, mut s: usize, p: usize, end: usize, depth: usize) -> Result<Option<usize>, Error> {
        loop {
            if let Some(found) = self.run(s, end + 1, depth)? {
                return Ok(Some(found));
            }
            if !self.fits(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balance(&mut self, s: usize, p: usize) -> Result<Option<usize>, Error> {
        let (Some(opens), Some(closes)) = (self.at(p), self.at(p + 1)) else {
            return Err(self.fail("unbalanced pattern"));
        };
        if self.text.get(s) != Some(&opens) {
            return Ok(None);
        }
        let mut open = 1;
        for at in s + 1..self.text.len() {
            self.step()?;
            let byte = self.text[at];
            if byte == closes {
                open -= 1;
                if open == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == opens {
                open += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the set begins. Answers the place in the pattern behind it.
    fn frontier(&self, s: usize, p: usize) -> Result<Option<usize>, Error> {
        if self.at(p) != Some(b'[') {
            return Err(self.fail("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p)?;
        let before = if s == 0 { 0 } else { self.text[s - 1] };
        let here = self.text.get(s).copied().unwrap_or(0);
        let begins = !self.in_set(before, p, end - 1) && self.in_set(here, p, end - 1);
        Ok(begins.then_some(end))
    }

    /// `%1`: what was captured, again.
    fn again(&self, s: usize, digit: u8) -> Result<Option<usize>, Error> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        let captured = self.captures[..self.level].get(index).copied();
        let Some((begin, length)) = captured.filter(|(_, length)| *length != Length::Open) else {
            return Err(self.fail("invalid capture index"));
        };
        // A position is as long as nothing could be in C.
        let Length::Bytes(length) = length else { return Ok(None) };
        let captured = &self.text[begin..begin + length];
        Ok(self.text[s..].starts_with(captured).then_some(s + length))
    }

    /// Behind the class that begins at `p`.
    fn class_end(&self, p: usize) -> Result<usize, Error> {
        match self.at(p) {
            Some(b'%') => match self.at(p + 1) {
                None => Err(self.fail("malformed pattern (ends with '%')")),
                Some(_) => Ok(p + 2),
            },
            Some(b'[') => {
                let mut at = p + 1;
                if self.at(at) == Some(b'^') {
                    at += 1;
                }
                loop {
                    match self.at(at) {
                        None => return Err(self.fail("malformed pattern (missing ']')")),
                        Some(b'%') if self.at(at + 1).is_some() => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.at(at) == Some(b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte at `s` is of the class between `p` and `end`.
    fn fits(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => is_of_class(byte, self.pattern[p + 1]),
            b'[' => self.in_set(byte, p, end - 1),
            literal => literal == byte,
        }
    }

    /// Whether a byte is in the set from the `[` at `p` to the `]` at `end`.
    fn in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let mut at = p + 1;
        let wanted = self.pattern[at] != b'^';
        if !wanted {
            at += 1;
        }
        while at < end {
            if self.pattern[at] == b'%' {
                at += 1;
                if is_of_class(byte, self.pattern[at]) {
                    return wanted;
                }
                at += 1;
            } else if self.pattern[at + 1] == b'-' && at + 2 < end {
                if (self.pattern[at]..=self.pattern[at + 2]).contains(&byte) {
                    return wanted;
                }
                at += 3;
            } else {
                if self.pattern[at] == byte {
                    return wanted;
                }
                at += 1;
            }
        }
        !wanted
    }

    /// What was captured by the pair of brackets number `index`; the whole match if there are none.
    fn capture(&self, index: usize, begin: usize, end: usize) -> Result<Value, Error> {
        let text = |bytes: &[u8]| self.lua.create_string(bytes).map(Value::String);
        if index >= self.level {
            if index == 0 {
                return text(&self.text[begin..end]);
            }
            return Err(self.fail("invalid capture index"));
        }
        match self.captures[index] {
            (at, Length::Position) => Ok(Value::Integer(at as i64 + 1)),
            (at, Length::Bytes(length)) => text(&self.text[at..at + length]),
            (_, Length::Open) => Err(self.fail("unfinished capture")),
        }
    }

    fn all_captures(&self, whole: Option<(usize, usize)>) -> Result<Vec<Value>, Error> {
        let (begin, end) = whole.unwrap_or((0, 0));
        let count = if self.level == 0 && whole.is_some() { 1 } else { self.level };
        (0..count).map(|index| self.capture(index, begin, end)).collect()
    }
}

/// Whether a byte is of the class that a letter names; of the others, if the letter is a capital.
fn is_of_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

/// `string.find` and `string.match`.
fn find(given: &Arguments<'_>, meter: &Meter, finds: bool) -> mlua::Result<MultiValue> {
    let (text, pattern) = (given.text(1)?, given.text(2)?);
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let init = given.integer_or(3, 1)?;
    let begin = if init < 0 { (init + text.len() as i64).max(0) } else { init.max(1) - 1 };
    let begin = (begin as usize).min(text.len());
    let number = |place: usize| Value::Integer(place as i64);
    let is_plain = !matches!(given.value(4), Value::Nil | Value::Boolean(false));
    if finds && (is_plain || !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))) {
        meter.spend((text.len() - begin) as u64 / 8).map_err(stop)?;
        let found = position(&text[begin..], &pattern).map(|at| begin + at);
        return Ok(match found {
            Some(at) => MultiValue::from_iter([number(at + 1), number(at + pattern.len())]),
            None => MultiValue::from_iter([Value::Nil]),
        });
    }
    let anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(given.lua, meter, &text, &pattern);
    for at in begin..=text.len() {
        if let Some(end) = matcher.matches_at(at, anchored)? {
            let values = if finds {
                let mut values = vec![number(at + 1), number(end)];
                values.extend(matcher.all_captures(None)?);
                values
            } else {
                matcher.all_captures(Some((at, end)))?
            };
            return Ok(values.into_iter().collect());
        }
        if anchored {
            break;
        }
    }
    Ok(MultiValue::from_iter([Value::Nil]))
}

/// Where `wanted` is in `text`.
fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let Some((first, rest)) = wanted.split_first() else { return Some(0) };
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| byte == first) {
        if text[from + at + 1..].starts_with(rest) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// `string.gmatch`: a function that gives one match after the other.
fn gmatch(lua: &Lua, meter: &Rc<Meter>, given: MultiValue) -> mlua::Result<Function> {
    let given = Arguments::new(lua, "gmatch", given);
    let (text, pattern): (LuaString, LuaString) = (given.text(1)?, given.text(2)?);
    let (meter, next) = (Rc::clone(meter), Cell::new(0));
    lua.create_function(move |lua, _: MultiValue| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(lua, &meter, &text, &pattern);
        for at in next.get()..=text.len() {
            if let Some(end) = matcher.matches_at(at, false)? {
                next.set(if end == at { end + 1 } else { end });
                return Ok(matcher.all_captures(Some((at, end)))?.into_iter().collect::<MultiValue>());
            }
        }
        next.set(text.len() + 1);
        Ok(MultiValue::from_iter([Value::Nil]))
    })
}

/// What went wrong while replacing: an error of ours, or the value that a function of the script raised.
enum Raised {
    Error(Error),
    Value(Value),
}

impl From<Error> for Raised {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// `string.gsub`.
struct Replacing<'a> {
    given: &'a Arguments<'a>,
    /// Lua's `pcall`, which keeps the value of an error.
    protected: &'a Function,
}

impl Replacing<'_> {
    fn run(&self, meter: &Meter) -> Result<(LuaString, i64), Raised> {
        let (given, lua) = (self.given, self.given.lua);
        let (text, pattern) = (given.text(1)?, given.text(2)?);
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        if !matches!(
            given.value(3),
            Value::Integer(_) | Value::Number(_) | Value::String(_) | Value::Table(_) | Value::Function(_)
        ) {
            return Err(given.wrong(3, "string/function/table expected").into());
        }
        let times_max = given.integer_or(4, text.len() as i64 + 1)?;
        let anchored = pattern.first() == Some(&b'^');
        let mut matcher = Matcher::new(lua, meter, &text, &pattern);
        let (mut replaced, mut at, mut times) = (Vec::new(), 0, 0);
        while times < times_max {
            let end = matcher.matches_at(at, anchored)?;
            if let Some(end) = end {
                times += 1;
                let length = replaced.len();
                self.push(&matcher, at, end, &mut replaced)?;
                meter.grow(replaced.len(), replaced.len() - length).map_err(stop)?;
            }
            match end {
                Some(end) if end > at => at = end,
                _ if at < text.len() => {
                    replaced.push(text[at]);
                    at += 1;
                }
                _ => break,
            }
            if anchored {
                break;
            }
        }
        replaced.extend_from_slice(&text[at.min(text.len())..]);
        meter.grow(replaced.len(), 0).map_err(stop)?;
        Ok((lua.create_string(replaced)?, times))
    }

    /// Appends what stands for a match.
    fn push(&self, matcher: &Matcher<'_>, begin: usize, end: usize, to: &mut Vec<u8>) -> Result<(), Raised> {
        let value = match self.given.value(3) {
            Value::Table(table) => table.get::<Value>(matcher.capture(0, begin, end)?)?,
            Value::Function(function) => {
                let mut call = vec![Value::Function(function.clone())];
                call.extend(matcher.all_captures(Some((begin, end)))?);
                let mut returned = self.protected.call::<MultiValue>(MultiValue::from_iter(call))?;
                let fine = returned.pop_front();
                let value = returned.pop_front().unwrap_or(Value::Nil);
                if fine != Some(Value::Boolean(true)) {
                    return Err(Raised::Value(value));
                }
                value
            }
            _ => return Ok(self.push_text(matcher, begin, end, to)?),
        };
        match &value {
            Value::Nil | Value::Boolean(false) => to.extend_from_slice(&matcher.text[begin..end]),
            Value::String(text) => to.extend_from_slice(&text.as_bytes()),
            Value::Integer(number) => {
                to.extend_from_slice(crate::numbers::general(*number as f64, 14).as_bytes())
            }
            Value::Number(number) => to.extend_from_slice(crate::numbers::general(*number, 14).as_bytes()),
            other => {
                let why = format!("invalid replacement value (a {})", type_name(other));
                return Err(matcher.fail(&why).into());
            }
        }
        Ok(())
    }

    /// Appends the text that replaces, `%1` and its like filled in.
    fn push_text(
        &self,
        matcher: &Matcher<'_>,
        begin: usize,
        end: usize,
        to: &mut Vec<u8>,
    ) -> mlua::Result<()> {
        let text = self.given.text(3)?;
        let text = text.as_bytes();
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                to.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'0') => to.extend_from_slice(&matcher.text[begin..end]),
                Some(digit @ b'1'..=b'9') => match matcher.capture(usize::from(digit - b'1'), begin, end)? {
                    Value::String(captured) => to.extend_from_slice(&captured.as_bytes()),
                    Value::Integer(place) => to.extend_from_slice(place.to_string().as_bytes()),
                    _ => {}
                },
                // C puts the zero there that ends its text.
                other => to.push(other.unwrap_or(0)),
            }
        }
        Ok(())
    }
}
