//! `struct`: numbers and texts in records of fixed layout, by a format such as `>I2i4s`.

use crate::arguments::{Arguments, as_number};
use crate::fault::{raise, stop};
use crate::limits::Meter;
use mlua::{Error, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// The widest integer, in bytes.
const INTEGER_BYTES_MAX: i64 = 32;

/// The strictest alignment of C's types.
const ALIGNMENT_MAX: i64 = 8;

/// The table `struct`.
pub(crate) fn table(lua: &Lua, meter: &Rc<Meter>) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    let its = Rc::clone(meter);
    library.raw_set("pack", lua.create_function(move |lua, given| pack(lua, &its, given))?)?;
    let its = Rc::clone(meter);
    library.raw_set("unpack", lua.create_function(move |lua, given| unpack(lua, &its, given))?)?;
    library.raw_set("size", lua.create_function(size)?)?;
    Ok(library)
}

/// A format that is being read, and how its integers are laid out.
struct Format<'a> {
    lua: &'a Lua,
    text: Vec<u8>,
    at: usize,
    big_endian: bool,
    align: i64,
}

impl<'a> Format<'a> {
    fn new(given: &Arguments<'a>) -> Result<Self, Error> {
        let text = given.text(1)?.as_bytes().to_vec();
        // C reads it to the first zero.
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Ok(Self { lua: given.lua, text: text[..end].to_vec(), at: 0, big_endian: false, align: 1 })
    }

    /// The next option and the size of what it stands for.
    fn next(&mut self) -> Result<Option<(u8, i64)>, Error> {
        let Some(&option) = self.text.get(self.at) else { return Ok(None) };
        self.at += 1;
        let size = match option {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(4)?;
                if size > INTEGER_BYTES_MAX {
                    let why = format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(raise(self.lua, why));
                }
                size
            }
            _ => 0,
        };
        Ok(Some((option, size)))
    }

    /// The number that follows, or this if none does.
    fn number(&mut self, default: i64) -> Result<i64, Error> {
        if !self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut number: i64 = 0;
        while let Some(digit) = self.text.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            number = number * 10 + i64::from(digit - b'0');
            if number > i64::from(i32::MAX) {
                return Err(raise(self.lua, "integral size overflow"));
            }
            self.at += 1;
        }
        Ok(number)
    }

    /// An option that stands for nothing but changes what follows.
    fn control(&mut self, given: &Arguments<'_>, option: u8) -> Result<(), Error> {
        match option {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let align = self.number(ALIGNMENT_MAX)?;
                if align <= 0 || align & (align - 1) != 0 {
                    return Err(raise(self.lua, format!("alignment {align} is not a power of 2")));
                }
                self.align = align;
            }
            other => {
                let why = format!("invalid format option '{}'", char::from(other));
                return Err(given.wrong(1, &why));
            }
        }
        Ok(())
    }

    /// How many bytes lie before something of this size at `length`.
    fn padding(&self, length: usize, option: u8, size: i64) -> usize {
        if size == 0 || option == b'c' {
            return 0;
        }
        let size = size.min(self.align) as usize;
        size.wrapping_sub(length & (size - 1)) & (size - 1)
    }
}

fn pack(lua: &Lua, meter: &Meter, given: MultiValue) -> mlua::Result<mlua::LuaString> {
    let given = Arguments::new(lua, "pack", given);
    let mut format = Format::new(&given)?;
    let mut packed = Vec::new();
    let mut at = 2;
    while let Some((option, size)) = format.next()? {
        packed.resize(packed.len() + format.padding(packed.len(), option, size), 0);
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                push_integer(&mut packed, given.number(at)?, size as usize, format.big_endian);
                at += 1;
            }
            b'x' => packed.push(0),
            b'f' => {
                let bytes = (given.number(at)? as f32).to_le_bytes();
                push_in_order(&mut packed, &bytes, format.big_endian);
                at += 1;
            }
            b'd' => {
                push_in_order(&mut packed, &given.number(at)?.to_le_bytes(), format.big_endian);
                at += 1;
            }
            b'c' | b's' => {
                let text = given.text(at)?;
                at += 1;
                let text = text.as_bytes();
                let size = if size == 0 { text.len() } else { size as usize };
                // C counts on before it checks.
                given.check(text.len() >= size, at, "string too short")?;
                packed.extend_from_slice(&text[..size]);
                if option == b's' {
                    packed.push(0);
                }
            }
            control => format.control(&given, control)?,
        }
        meter.grow(packed.len(), size as usize).map_err(stop)?;
    }
    lua.create_string(packed)
}

fn push_integer(to: &mut Vec<u8>, number: f64, size: usize, big_endian: bool) {
    let value = if number < 0.0 { (number as i64).cast_unsigned() } else { number as u64 };
    let mut bytes = [0; INTEGER_BYTES_MAX as usize];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    push_in_order(to, &bytes[..size], big_endian);
}

fn push_in_order(to: &mut Vec<u8>, little_endian: &[u8], big_endian: bool) {
    if big_endian {
        to.extend(little_endian.iter().rev());
    } else {
        to.extend_from_slice(little_endian);
    }
}

fn unpack(lua: &Lua, meter: &Meter, given: MultiValue) -> mlua::Result<MultiValue> {
    let given = Arguments::new(lua, "unpack", given);
    let mut format = Format::new(&given)?;
    let data = given.text(2)?;
    let data = data.as_bytes();
    let begin = given.integer_or(3, 1)?;
    given.check(begin != 0, 3, "offset must be 1 or greater")?;
    // C has no negative offsets: they are far behind the end.
    given.check((0..=data.len() as i64 + 1).contains(&begin), 2, "data string too short")?;
    let mut at = begin as usize - 1;
    let mut values: Vec<Value> = Vec::new();
    let fits = |at: usize, size: usize| size <= data.len() && at <= data.len() - size;
    while let Some((option, size)) = format.next()? {
        at += format.padding(at, option, size);
        let mut size = size as usize;
        given.check(fits(at, size), 2, "data string too short")?;
        meter.spend(1).map_err(stop)?;
        if values.len() >= crate::libraries::VALUES_MAX {
            return Err(raise(lua, "stack overflow (too many results)"));
        }
        match option {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let is_signed = option.is_ascii_lowercase();
                values.push(Value::Number(integer(&data[at..at + size], is_signed, format.big_endian)));
            }
            b'f' => {
                let bytes = in_order::<4>(&data[at..at + 4], format.big_endian);
                values.push(Value::Number(f64::from(f32::from_le_bytes(bytes))));
            }
            b'd' => {
                let bytes = in_order::<8>(&data[at..at + 8], format.big_endian);
                values.push(Value::Number(f64::from_le_bytes(bytes)));
            }
            b'x' => {}
            b'c' => {
                if size == 0 {
                    let Some(length) = values.last().and_then(as_number) else {
                        return Err(raise(lua, "format 'c0' needs a previous size"));
                    };
                    values.pop();
                    // A negative size is none that there is.
                    size = if length < 0.0 { usize::MAX } else { length as usize };
                    given.check(fits(at, size), 2, "data string too short")?;
                }
                values.push(Value::String(lua.create_string(&data[at..at + size])?));
            }
            b's' => {
                let Some(length) = data[at..].iter().position(|byte| *byte == 0) else {
                    return Err(raise(lua, "unfinished string in data"));
                };
                values.push(Value::String(lua.create_string(&data[at..at + length])?));
                size = length + 1;
            }
            control => format.control(&given, control)?,
        }
        at += size;
    }
    values.push(Value::Number((at + 1) as f64));
    Ok(values.into_iter().collect())
}

fn in_order<const N: usize>(bytes: &[u8], big_endian: bool) -> [u8; N] {
    std::array::from_fn(|at| if big_endian { bytes[N - 1 - at] } else { bytes[at] })
}

fn integer(bytes: &[u8], is_signed: bool, big_endian: bool) -> f64 {
    let mut value: u64 = 0;
    let mut push = |byte: &u8| value = (value << 8) | u64::from(*byte);
    if big_endian {
        bytes.iter().for_each(&mut push)
    } else {
        bytes.iter().rev().for_each(&mut push)
    }
    if !is_signed {
        return value as f64;
    }
    let unused = 64u32.saturating_sub(8 * bytes.len() as u32);
    ((value << unused.min(63)).cast_signed() >> unused.min(63)) as f64
}

fn size(lua: &Lua, given: MultiValue) -> mlua::Result<f64> {
    let given = Arguments::new(lua, "size", given);
    let mut format = Format::new(&given)?;
    let mut at: usize = 0;
    while let Some((option, size)) = format.next()? {
        at += format.padding(at, option, size);
        match option {
            b's' => return Err(given.wrong(1, "option 's' has no fixed size")),
            b'c' if size == 0 => return Err(given.wrong(1, "option 'c0' has no fixed size")),
            option if !option.is_ascii_alphanumeric() => format.control(&given, option)?,
            _ => {}
        }
        at += size as usize;
    }
    Ok(at as f64)
}
