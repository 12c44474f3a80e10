//! BITFIELD: integers of any width inside a string, at any bit.

use crate::error::Error;
use crate::execute::Context;
use crate::families::strings::STRING_BYTES_MAX;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, Place, Spec};
use crate::words::{integer, is};
use base::database::EventClass;
use resp::number::parse_integer;

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    Spec::new(737, "bitfield", -2, Group::Bitmap, Place::Keys)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::UPDATE, K::VARIABLE_FLAGS])])
        .docs("3.2.0", "O(1) for each integer", "Reads and changes integers inside a string.")
        .does(|c| bitfield(c, false)),
    Spec::new(738, "bitfield_ro", -2, Group::Bitmap, Place::Keys)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_READ)
        .docs("6.0.0", "O(1) for each integer", "Reads integers inside a string.")
        .does(|c| bitfield(c, true)),
];

/// Whether the words of BITFIELD ask for nothing but to read; those that make no sense are no reading.
pub(crate) fn only_reads(args: &[&[u8]]) -> bool {
    let mut rest = args.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [] => return true,
            [word, _, _, rest @ ..] if is(word, "get") => rest,
            [word, _, rest @ ..] if is(word, "overflow") => rest,
            _ => return false,
        };
    }
}

const BAD_TYPE: Error = Error::Other(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

/// The type of an integer: `i1` to `i64`, `u1` to `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Width {
    signed: bool,
    bits: u32,
}

impl Width {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        let (signed, bits) = match word {
            [b'i', bits @ ..] => (true, bits),
            [b'u', bits @ ..] => (false, bits),
            _ => return Err(BAD_TYPE),
        };
        let bits = parse_integer(bits).and_then(|bits| u32::try_from(bits).ok()).ok_or(BAD_TYPE)?;
        if bits == 0 || bits > if signed { 64 } else { 63 } {
            return Err(BAD_TYPE);
        }
        Ok(Self { signed, bits })
    }

    /// The least and the greatest integer.
    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The integer that these bits are, the lower ones where there are too many.
    fn wrap(self, value: i128) -> i64 {
        let unused = 128 - self.bits;
        let high = value << unused;
        (if self.signed { high >> unused } else { (high.cast_unsigned() >> unused).cast_signed() }) as i64
    }
}

/// What happens to what doesn't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        if is(word, "wrap") {
            Ok(Self::Wrap)
        } else if is(word, "sat") {
            Ok(Self::Saturate)
        } else if is(word, "fail") {
            Ok(Self::Fail)
        } else {
            Err(Error::Other("ERR Invalid OVERFLOW type specified"))
        }
    }

    /// What `value` becomes, if anything.
    fn fit(self, value: i128, width: Width) -> Option<i64> {
        let (least, greatest) = width.range();
        match self {
            _ if (least..=greatest).contains(&value) => Some(value as i64),
            Self::Wrap => Some(width.wrap(value)),
            Self::Saturate => Some(value.clamp(least, greatest) as i64),
            Self::Fail => None,
        }
    }
}

/// What is done with an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One of the things that BITFIELD is asked to do.
struct Step {
    action: Action,
    overflow: Overflow,
    width: Width,
    /// Its first bit.
    at: usize,
}

impl Step {
    /// What is answered, and what is written, if anything, where the integer was `before`.
    fn outcome(&self, before: i64) -> (Option<i64>, Option<i64>) {
        match self.action {
            Action::Get => (Some(before), None),
            Action::Set(number) => {
                // A negative number is none without a sign, but a very large one.
                let number =
                    if self.width.signed { i128::from(number) } else { i128::from(number.cast_unsigned()) };
                let after = self.overflow.fit(number, self.width);
                (after.map(|_| before), after)
            }
            Action::Increment(by) => {
                let after = self.overflow.fit(i128::from(before) + i128::from(by), self.width);
                (after, after)
            }
        }
    }

    /// The bytes that the integer lies in.
    fn bytes(&self) -> std::ops::Range<usize> {
        self.at / 8..(self.at + self.width.bits as usize).div_ceil(8)
    }
}

/// The place of the first bit: a number, or `#` and how many integers of this width come before it.
fn offset(word: &[u8], width: Width) -> Result<usize, Error> {
    let (number, factor) = match word {
        [b'#', number @ ..] => (number, i64::from(width.bits)),
        number => (number, 1),
    };
    parse_integer(number)
        .and_then(|at| at.checked_mul(factor))
        .and_then(|at| usize::try_from(at).ok())
        .filter(|at| at.saturating_add(width.bits as usize - 1) / 8 < STRING_BYTES_MAX)
        .ok_or(Error::BitOffset)
}

fn parse(words: &[&[u8]]) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = words;
    loop {
        let (action, kind, at, tail) = match rest {
            [] => return Ok(steps),
            [word, kind, at, tail @ ..] if is(word, "get") => (Action::Get, kind, at, tail),
            [word, kind, at, value, tail @ ..] if is(word, "set") || is(word, "incrby") => {
                // The words are judged in their order.
                offset(at, Width::parse(kind)?)?;
                let value = integer(value)?;
                let action = if is(word, "set") { Action::Set(value) } else { Action::Increment(value) };
                (action, kind, at, tail)
            }
            [word, value, tail @ ..] if is(word, "overflow") => {
                overflow = Overflow::parse(value)?;
                rest = tail;
                continue;
            }
            _ => return Err(Error::Syntax),
        };
        let width = Width::parse(kind)?;
        steps.push(Step { action, overflow, width, at: offset(at, width)? });
        rest = tail;
    }
}

/// The integer in `value`, zero behind its end.
fn get(value: &[u8], step: &Step) -> i64 {
    let window =
        step.bytes().fold(0i128, |window, at| window << 8 | i128::from(value.get(at).copied().unwrap_or(0)));
    step.width.wrap(window >> unused_bits(step))
}

/// How many bits follow the integer in its last byte.
fn unused_bits(step: &Step) -> usize {
    step.bytes().end * 8 - step.at - step.width.bits as usize
}

/// Puts the integer into `value`, which must be long enough.
fn put(value: &mut [u8], step: &Step, number: i64) {
    let mask = ((1u128 << step.width.bits) - 1) << unused_bits(step);
    let bits = (i128::from(number).cast_unsigned() << unused_bits(step)) & mask;
    for (place, at) in step.bytes().rev().enumerate() {
        let (mask, bits) = ((mask >> (8 * place)) as u8, (bits >> (8 * place)) as u8);
        value[at] = value[at] & !mask | bits;
    }
}

fn bitfield(c: &mut Context<'_>, reads_only: bool) -> Result<(), Error> {
    let key = c.args[1];
    let steps = parse(&c.args[2..])?;
    let writes = steps.iter().filter(|step| step.action != Action::Get);
    let end = writes.map(|step| step.bytes().end).max().unwrap_or(0);
    if reads_only && end > 0 {
        return Err(Error::Other("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    // As in Redis, room is made for all that shall be written, even for what then doesn't fit.
    let grows = c.db.string(key)?.map_or(0, <[u8]>::len) < end;
    if grows {
        c.db.splice_string(key, end - 1, &[0])?;
    }
    c.reply.array(steps.len());
    let mut changed = false;
    for step in &steps {
        let value = c.db.string(key)?.unwrap_or_default();
        let before = get(value, step);
        let (answer, after) = step.outcome(before);
        if let Some(after) = after {
            changed |= grows || after != before;
            if after != before {
                let mut part = value[step.bytes()].to_vec();
                put(&mut part, &Step { at: step.at % 8, ..*step }, after);
                c.db.splice_string(key, step.at / 8, &part)?;
            }
        }
        match answer {
            Some(answer) => c.reply.integer(answer),
            None => c.reply.null(),
        }
    }
    if changed {
        c.db.notify(EventClass::String, "setbit", key);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
