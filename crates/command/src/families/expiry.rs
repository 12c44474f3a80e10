//! Times to live: setting, asking, clearing them.
//!
//! All of them are absolute when they reach the database: what is relative counts from the database's own time, which
//! is the same on every replica.

use crate::error::Error;
use crate::execute::Context;
use crate::spec::{self, Categories, Flags as F, Group, Place, Spec};
use crate::words::{integer, is};
use base::UnixMillis;
use base::database::EventClass;

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

const fn generic(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Generic, Place::Keys).category(Categories::KEYSPACE)
}

const fn setter(id: u16, name: &'static str) -> Spec {
    generic(id, name, -3).flags(&[F::WRITE, F::FAST]).keys_at(spec::KEY_TOUCHED_UP)
}

const fn getter(id: u16, name: &'static str) -> Spec {
    generic(id, name, 2).flags(&[F::READONLY, F::FAST]).keys_at(spec::KEY_READ)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    setter(128, "expire")
        .docs("1.0.0", "O(1)", "Lets a key live for so many seconds.")
        .does(|c| set(c, Unit::Seconds, From::Now, "expire")),
    setter(129, "pexpire")
        .docs("2.6.0", "O(1)", "Lets a key live for so many milliseconds.")
        .does(|c| set(c, Unit::Millis, From::Now, "pexpire")),
    setter(130, "expireat")
        .docs("1.2.0", "O(1)", "Lets a key live until a Unix time in seconds.")
        .does(|c| set(c, Unit::Seconds, From::Epoch, "expireat")),
    setter(131, "pexpireat")
        .docs("2.6.0", "O(1)", "Lets a key live until a Unix time in milliseconds.")
        .does(|c| set(c, Unit::Millis, From::Epoch, "pexpireat")),
    getter(132, "ttl")
        .docs("1.0.0", "O(1)", "Answers how many seconds a key has left.")
        .tips(&["nondeterministic_output"])
        .does(|c| ask(c, Unit::Seconds, From::Now)),
    getter(133, "pttl")
        .docs("2.6.0", "O(1)", "Answers how many milliseconds a key has left.")
        .tips(&["nondeterministic_output"])
        .does(|c| ask(c, Unit::Millis, From::Now)),
    getter(134, "expiretime")
        .docs("7.0.0", "O(1)", "Answers the Unix time in seconds at which a key expires.")
        .does(|c| ask(c, Unit::Seconds, From::Epoch)),
    getter(135, "pexpiretime")
        .docs("7.0.0", "O(1)", "Answers the Unix time in milliseconds at which a key expires.")
        .does(|c| ask(c, Unit::Millis, From::Epoch)),
    generic(136, "persist", 2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("2.2.0", "O(1)", "Lets a key live until it is deleted.")
        .does(persist),
];

/// From when a time is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Now,
    Epoch,
}

/// The end of a life of `value` units from `now` on; it must be in the future and before the end of time.
pub(crate) fn lifetime(
    value: &[u8],
    unit: Unit,
    now: UnixMillis,
    command: &'static str,
) -> Result<UnixMillis, Error> {
    let length = moment(value, unit, command)?;
    let end = length.0.checked_add(now.0).filter(|end| *end <= i64::MAX as u64);
    end.map(UnixMillis).ok_or(Error::InvalidExpire(command))
}

/// The Unix time `value`, which must be positive and before the end of time.
pub(crate) fn moment(value: &[u8], unit: Unit, command: &'static str) -> Result<UnixMillis, Error> {
    let value = integer(value)?;
    let millis = match unit {
        Unit::Seconds => value.checked_mul(1000),
        Unit::Millis => Some(value),
    };
    match millis {
        Some(millis) if millis > 0 => Ok(UnixMillis(millis as u64)),
        _ => Err(Error::InvalidExpire(command)),
    }
}

/// The conditions of EXPIRE.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// NX: only if it has no time to live.
    none: bool,
    /// XX: only if it has one.
    some: bool,
    /// GT: only if it gets longer.
    longer: bool,
    /// LT: only if it gets shorter.
    shorter: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, Error> {
        let mut all = Self::default();
        for word in words {
            let condition = if is(word, "nx") {
                &mut all.none
            } else if is(word, "xx") {
                &mut all.some
            } else if is(word, "gt") {
                &mut all.longer
            } else if is(word, "lt") {
                &mut all.shorter
            } else {
                let shown = String::from_utf8_lossy(word);
                return Err(Error::UnsupportedOption(shown.into()));
            };
            *condition = true;
        }
        if all.none && (all.some || all.longer || all.shorter) {
            return Err(Error::Other("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if all.longer && all.shorter {
            return Err(Error::Other("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(all)
    }

    /// Whether a key that lives until `before` may live until `after`. A key without a time to live counts as living
    /// for ever.
    fn allow(self, before: Option<UnixMillis>, after: i128) -> bool {
        let ends = before.map(|at| i128::from(at.0));
        !(self.none && ends.is_some()
            || self.some && ends.is_none()
            || self.longer && ends.is_none_or(|ends| after <= ends)
            || self.shorter && ends.is_some_and(|ends| after >= ends))
    }
}

fn set(c: &mut Context<'_>, unit: Unit, from: From, command: &'static str) -> Result<(), Error> {
    let key = c.args[1];
    let conditions = Conditions::parse(&c.args[3..])?;
    let value = integer(c.args[2])?;
    let millis = match unit {
        Unit::Seconds => value.checked_mul(1000),
        Unit::Millis => Some(value),
    };
    let base = if from == From::Now { i64::try_from(c.db.now().0).unwrap_or(i64::MAX) } else { 0 };
    let until = millis.and_then(|millis| millis.checked_add(base)).ok_or(Error::InvalidExpire(command))?;
    let does = match c.db.expires_at(key) {
        None => false,
        Some(before) => conditions.allow(before, i128::from(until)),
    };
    if does {
        // What lies before 1970 has passed like any other past.
        set_and_tell(c, key, UnixMillis(until.max(0) as u64));
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

/// Lets a key that is there live until then, and tells what that came to: what has passed deletes it.
pub(crate) fn set_and_tell(c: &mut Context<'_>, key: &[u8], until: UnixMillis) {
    c.db.set_expiry(key, Some(until));
    let event = if until > c.db.now() { "expire" } else { "del" };
    c.db.notify(EventClass::Generic, event, key);
}

fn ask(c: &mut Context<'_>, unit: Unit, from: From) -> Result<(), Error> {
    let answer = match c.db.expires_at(c.args[1]) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let millis = if from == From::Now { c.db.now().until(at) } else { at.0 };
            // Redis rounds to the nearest second.
            let units = if unit == Unit::Millis { millis } else { millis.saturating_add(500) / 1000 };
            i64::try_from(units).unwrap_or(i64::MAX)
        }
    };
    c.reply.integer(answer);
    Ok(())
}

fn persist(c: &mut Context<'_>) -> Result<(), Error> {
    let volatile = matches!(c.db.expires_at(c.args[1]), Some(Some(_)));
    if volatile {
        c.db.set_expiry(c.args[1], None);
        c.db.notify(EventClass::Generic, "persist", c.args[1]);
    }
    c.reply.integer(i64::from(volatile));
    Ok(())
}

#[cfg(test)]
mod tests;
