//! Strings that are numbers.

use crate::error::Error;
use crate::execute::Context;
use crate::extended::Extended;
use crate::spec::{self, Flags as F, Group, Place, Spec};
use crate::words::integer;
use base::database::{EventClass, Expiry};
use resp::number::IntegerText;

const fn counter(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::String, Place::Keys)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_READ_AND_CHANGED)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    counter(32, "incr", 2).docs("1.0.0", "O(1)", "Adds one to an integer.").does(|c| add(c, 1)),
    counter(33, "decr", 2).docs("1.0.0", "O(1)", "Subtracts one from an integer.").does(|c| add(c, -1)),
    counter(34, "incrby", 3)
        .docs("1.0.0", "O(1)", "Adds a number to an integer.")
        .does(|c| add(c, integer(c.args[2])?)),
    counter(35, "decrby", 3).docs("1.0.0", "O(1)", "Subtracts a number from an integer.").does(|c| {
        let by = integer(c.args[2])?.checked_neg().ok_or(Error::DecrementOverflow)?;
        add(c, by)
    }),
    counter(36, "incrbyfloat", 3)
        .docs("2.6.0", "O(1)", "Adds a number to a floating-point number.")
        .does(add_float),
];

fn add(c: &mut Context<'_>, by: i64) -> Result<(), Error> {
    let key = c.args[1];
    let before = c.db.string(key)?.map_or(Ok(0), integer)?;
    let after = before.checked_add(by).ok_or(Error::Overflow)?;
    c.db.put_string(key, IntegerText::new(after).as_bytes(), Expiry::Keep);
    c.db.notify(EventClass::String, "incrby", key);
    c.reply.integer(after);
    Ok(())
}

fn add_float(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let before = match c.db.string(key)? {
        Some(value) => Extended::parse(value).ok_or(Error::NotAFloat)?,
        None => Extended::ZERO,
    };
    let by = Extended::parse(c.args[2]).ok_or(Error::NotAFloat)?;
    let after = before.plus(by).filter(|sum| sum.is_finite()).ok_or(Error::NotFinite)?;
    let text = after.to_text();
    c.db.put_string(key, text.as_bytes(), Expiry::Keep);
    c.db.notify(EventClass::String, "incrbyfloat", key);
    c.reply.text(&text);
    Ok(())
}

#[cfg(test)]
mod tests;
