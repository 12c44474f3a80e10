//! Strings, bit by bit; bit 0 is the highest of the first byte.

use crate::error::Error;
use crate::execute::Context;
use crate::families::strings::STRING_BYTES_MAX;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
use crate::words::{integer, is};
use base::database::{EventClass, Expiry};
use resp::number::parse_integer;

const fn bitmap(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Bitmap, Place::Keys)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    bitmap(48, "setbit", 4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("2.2.0", "O(1)", "Sets or clears one bit, and answers what it was.")
        .does(setbit),
    bitmap(49, "getbit", 3)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_READ)
        .docs("2.2.0", "O(1)", "Answers one bit.")
        .does(getbit),
    bitmap(50, "bitcount", -2)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("2.6.0", "O(N) for N bytes", "Counts the bits that are set, in all or a part of a string.")
        .does(bitcount),
    bitmap(51, "bitpos", -3)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("2.8.7", "O(N) for N bytes", "Finds the first bit that is set, or clear.")
        .does(bitpos),
    bitmap(736, "bitop", -4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(2, 0, 1, &[K::OW, K::UPDATE]), spec::at(3, -1, 1, &[K::RO, K::ACCESS])])
        .docs("2.6.0", "O(N) for N bytes", "Combines strings bit by bit into another key.")
        .does(bitop),
];

/// The place of a bit in the longest string.
fn offset(word: &[u8]) -> Result<usize, Error> {
    parse_integer(word)
        .and_then(|at| usize::try_from(at).ok())
        .filter(|at| at / 8 < STRING_BYTES_MAX)
        .ok_or(Error::BitOffset)
}

/// The bit at `at`, and the byte it is in; both are zero behind the end.
fn bit_at(value: &[u8], at: usize) -> (bool, u8) {
    let byte = value.get(at / 8).copied().unwrap_or(0);
    (byte & mask(at) != 0, byte)
}

const fn mask(at: usize) -> u8 {
    0x80 >> (at % 8)
}

fn setbit(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let at = offset(c.args[2])?;
    let on = match parse_integer(c.args[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(Error::BitValue),
    };
    let value = c.db.string(key)?.unwrap_or_default();
    let (before, byte) = bit_at(value, at);
    // What is so already is no change: nobody who watches the key hears of it.
    if before != on || at / 8 >= value.len() {
        let byte = if on { byte | mask(at) } else { byte & !mask(at) };
        c.db.splice_string(key, at / 8, &[byte])?;
        c.db.notify(EventClass::String, "setbit", key);
    }
    c.reply.integer(i64::from(before));
    Ok(())
}

fn getbit(c: &mut Context<'_>) -> Result<(), Error> {
    let at = offset(c.args[2])?;
    let (bit, _) = bit_at(c.db.string(c.args[1])?.unwrap_or_default(), at);
    c.reply.integer(i64::from(bit));
    Ok(())
}

/// A part of a string as BITCOUNT and BITPOS name it.
struct Part {
    start: i64,
    end: i64,
    in_bits: bool,
}

impl Part {
    /// Reads `start`, perhaps `end` and the unit; whether there are too many words is the caller's to say.
    fn parse(words: &[&[u8]]) -> Result<Self, Error> {
        let start = integer(words[0])?;
        let end = words.get(1).map_or(Ok(-1), |word| integer(word))?;
        let in_bits = match words.get(2) {
            Some(unit) if is(unit, "bit") => true,
            Some(unit) if !is(unit, "byte") => return Err(Error::Syntax),
            _ => false,
        };
        Ok(Self { start, end, in_bits })
    }

    /// Whether it ends before it begins, wherever that is. Only BITCOUNT asks: BITPOS takes both to the front first,
    /// as it does in Redis.
    fn is_reversed(&self) -> bool {
        self.start < 0 && self.end < 0 && self.start > self.end
    }

    /// The first and the last bit of it in `value`, if it isn't empty.
    fn bits(&self, value: &[u8]) -> Option<(usize, usize)> {
        let length = (value.len() as i64) * if self.in_bits { 8 } else { 1 };
        let from_front = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
        let (start, end) = (from_front(self.start), from_front(self.end).min(length - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as usize, end as usize);
        Some(if self.in_bits { (start, end) } else { (start * 8, end * 8 + 7) })
    }
}

fn bitcount(c: &mut Context<'_>) -> Result<(), Error> {
    let part = match &c.args[2..] {
        [] => Part { start: 0, end: -1, in_bits: false },
        words @ [_, _] | words @ [_, _, _] => Part::parse(words)?,
        _ => return Err(Error::Syntax),
    };
    let value = c.db.string(c.args[1])?.unwrap_or_default();
    let bits = if part.is_reversed() { None } else { part.bits(value) };
    let count = bits.map_or(0, |(first, last)| count_ones(value, first, last));
    c.reply.count(count);
    Ok(())
}

/// Counts the set bits from `first` to `last`, both included and inside `value`.
fn count_ones(value: &[u8], first: usize, last: usize) -> u64 {
    let bytes = &value[first / 8..=last / 8];
    let (words, rest) = bytes.as_chunks::<8>();
    let all = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum::<u64>()
        + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    let before = value[first / 8] & !(0xff >> (first % 8));
    let behind = value[last / 8] & (0x7f >> (last % 8));
    all - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

fn bitpos(c: &mut Context<'_>) -> Result<(), Error> {
    let on = match integer(c.args[2])? {
        0 => false,
        1 => true,
        _ => return Err(Error::BitArgument),
    };
    let words = &c.args[3..];
    let part = match words {
        [] => Part { start: 0, end: -1, in_bits: false },
        [_] | [_, _] | [_, _, _] => Part::parse(words)?,
        _ => return Err(Error::Syntax),
    };
    let answer = match c.db.string(c.args[1])? {
        // A key that isn't there is an endless row of zeros.
        None => {
            if on {
                -1
            } else {
                0
            }
        }
        Some(value) => match part.bits(value) {
            None => -1,
            Some((first, last)) => match find_bit(value, first, last, on) {
                Some(at) => at as i64,
                // So is what lies behind a string, unless the end was named.
                None if !on && words.len() < 2 => value.len() as i64 * 8,
                None => -1,
            },
        },
    };
    c.reply.integer(answer);
    Ok(())
}

/// The first bit that is `on` from `first` to `last`, both included and inside `value`.
fn find_bit(value: &[u8], first: usize, last: usize, on: bool) -> Option<usize> {
    let skip = if on { 0x00 } else { 0xff };
    let mut at = first;
    while at <= last {
        let byte = value[at / 8];
        if at.is_multiple_of(8) && byte == skip {
            let bytes = &value[at / 8..=last / 8];
            at += 8 * bytes.iter().take_while(|byte| **byte == skip).count();
            continue;
        }
        if (byte & mask(at) != 0) == on {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// How BITOP combines strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Combine {
    And,
    Or,
    Xor,
    Not,
    /// In the first and in none of the others.
    Diff,
    /// In one of the others and not in the first.
    Diff1,
    /// In the first and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

impl Combine {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        let all = [
            ("and", Self::And),
            ("or", Self::Or),
            ("xor", Self::Xor),
            ("not", Self::Not),
            ("diff", Self::Diff),
            ("diff1", Self::Diff1),
            ("andor", Self::AndOr),
            ("one", Self::One),
        ];
        all.iter().find(|(name, _)| is(word, name)).map(|(_, found)| *found).ok_or(Error::Syntax)
    }

    fn check(self, sources: usize) -> Result<(), Error> {
        let name = match self {
            Self::Not if sources != 1 => {
                return Err(Error::Other("ERR BITOP NOT must be called with a single source key."));
            }
            Self::Diff if sources < 2 => "DIFF",
            Self::Diff1 if sources < 2 => "DIFF1",
            Self::AndOr if sources < 2 => "ANDOR",
            _ => return Ok(()),
        };
        Err(Error::Said(format!("ERR BITOP {name} must be called with at least two source keys.").into()))
    }

    /// One byte of the result, out of those of the sources.
    fn byte(self, first: u8, others: impl Iterator<Item = u8>) -> u8 {
        match self {
            Self::And => others.fold(first, |all, byte| all & byte),
            Self::Or => others.fold(first, |all, byte| all | byte),
            Self::Xor => others.fold(first, |all, byte| all ^ byte),
            Self::Not => !first,
            Self::Diff => first & !others.fold(0, |all, byte| all | byte),
            Self::Diff1 => !first & others.fold(0, |all, byte| all | byte),
            Self::AndOr => first & others.fold(0, |all, byte| all | byte),
            Self::One => {
                let (once, more) =
                    others.fold((first, 0), |(once, more), byte| (once ^ byte, more | once & byte));
                once & !more
            }
        }
    }
}

fn bitop(c: &mut Context<'_>) -> Result<(), Error> {
    let (target, keys) = (c.args[2], &c.args[3..]);
    let combine = Combine::parse(c.args[1])?;
    combine.check(keys.len())?;
    let sources: Vec<&[u8]> =
        keys.iter().map(|key| Ok(c.db.string(key)?.unwrap_or_default())).collect::<Result<_, Error>>()?;
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    // Behind its end every string is zeros.
    let at = |source: &[u8], at: usize| source.get(at).copied().unwrap_or(0);
    let result: Vec<u8> = (0..length)
        .map(|place| combine.byte(at(sources[0], place), sources[1..].iter().map(|source| at(source, place))))
        .collect();
    if length > 0 {
        c.db.put_string(target, &result, Expiry::Clear);
        c.db.notify(EventClass::String, "set", target);
    } else if c.db.remove(target) {
        c.db.notify(EventClass::Generic, "del", target);
    }
    c.reply.count(length as u64);
    Ok(())
}

#[cfg(test)]
mod tests;
