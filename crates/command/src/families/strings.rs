//! Strings: values as a whole, and ranges of them.
//!
//! SET and GET are what most clients do most: they borrow everything and allocate nothing here.

use crate::error::Error;
use crate::execute::Context;
use crate::families::expiry::{Unit, lifetime, moment, set_and_tell};
use crate::spec::{self, Group, Place, Spec};
use crate::spec::{Flags as F, KeyFlags as K};
use crate::words::{integer, is};
use base::UnixMillis;
use base::database::{EventClass, Expiry};

/// The longest string; a constant of all replicas, whatever a node's configuration says.
pub const STRING_BYTES_MAX: usize = resp::request::BULK_BYTES_MAX;

const fn string(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::String, Place::Keys)
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    string(1, "get", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(1)", "Answers the string at a key.")
        .does(get),
    string(2, "set", -3)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::UPDATE, K::VARIABLE_FLAGS])])
        .docs("1.0.0", "O(1)", "Makes a key hold a string, whatever it held.")
        .does(set),
    string(3, "getset", 3)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("1.0.0", "O(1)", "Replaces a string and answers the one before.")
        .does(getset),
    string(4, "getdel", 2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("6.2.0", "O(1)", "Answers a string and deletes its key.")
        .does(getdel),
    string(5, "getex", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("6.2.0", "O(1)", "Answers a string and changes its time to live.")
        .does(getex),
    string(6, "setnx", 3)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_CREATED)
        .docs("1.0.0", "O(1)", "Makes a key hold a string if it holds nothing.")
        .does(setnx),
    string(7, "setex", 4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_REPLACED)
        .docs("2.0.0", "O(1)", "Makes a key hold a string for so many seconds.")
        .does(setex),
    string(8, "psetex", 4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_REPLACED)
        .docs("2.6.0", "O(1)", "Makes a key hold a string for so many milliseconds.")
        .does(psetex),
    string(9, "mget", -2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(&[spec::at(1, -1, 1, &[K::RO, K::ACCESS])])
        .docs("1.0.0", "O(N) for N keys", "Answers the strings at several keys.")
        .tips(&["request_policy:multi_shard"])
        .does(mget),
    string(10, "mset", -3)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(1, -1, 2, &[K::OW, K::UPDATE])])
        .docs("1.0.1", "O(N) for N keys", "Makes several keys hold strings, all at once.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .does(mset),
    string(11, "msetnx", -3)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(&[spec::at(1, -1, 2, &[K::OW, K::INSERT])])
        .docs("1.0.1", "O(N) for N keys", "Makes several keys hold strings if none holds anything.")
        .does(msetnx),
    string(12, "append", 3)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_GROWN)
        .docs("2.0.0", "O(1), amortized", "Adds to the end of a string, or begins one.")
        .does(append),
    string(13, "strlen", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("2.2.0", "O(1)", "Answers how long a string is.")
        .does(strlen),
    string(14, "getrange", 4)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("2.4.0", "O(N) for N bytes answered", "Answers a part of a string.")
        .does(getrange),
    string(15, "substr", 4)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(N) for N bytes answered", "Answers a part of a string; the old name of GETRANGE.")
        .does(getrange),
    string(16, "setrange", 4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs(
            "2.2.0",
            "O(N) for N bytes given",
            "Overwrites a part of a string, with zero bytes before it if need be.",
        )
        .does(setrange),
];

fn get(c: &mut Context<'_>) -> Result<(), Error> {
    let value = c.db.string(c.args[1])?;
    c.reply.bulk_or_null(value);
    Ok(())
}

/// When SET does anything.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Condition {
    #[default]
    Always,
    Absent,
    Present,
}

impl Condition {
    /// Whether it holds of a key; only a condition looks whether that is there.
    pub(super) fn holds(self, is_there: impl FnOnce() -> bool) -> bool {
        match self {
            Condition::Always => true,
            Condition::Absent => !is_there(),
            Condition::Present => is_there(),
        }
    }
}

/// The options of setting a key: when, and for how long.
#[derive(Clone, Copy, Default)]
pub(super) struct Setting<'a> {
    pub(super) condition: Condition,
    pub(super) life: Life<'a>,
}

impl<'a> Setting<'a> {
    /// Takes the option at `at`, if it is one of these, and answers where the next is.
    pub(super) fn take(&mut self, args: &[&'a [u8]], at: usize) -> Result<Option<usize>, Error> {
        let word = args[at];
        if is(word, "nx") && self.condition != Condition::Present {
            self.condition = Condition::Absent;
        } else if is(word, "xx") && self.condition != Condition::Absent {
            self.condition = Condition::Present;
        } else if is(word, "keepttl") {
            self.life.replace(Life::Keep)?;
        } else {
            return self.life.take(args, at);
        }
        Ok(Some(at + 1))
    }
}

/// The time to live that options ask for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Life<'a> {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// KEEPTTL, of SET.
    Keep,
    /// PERSIST, of GETEX.
    Persist,
    /// EX and PX: from now on.
    For(Unit, &'a [u8]),
    /// EXAT and PXAT: until then.
    Until(Unit, &'a [u8]),
}

impl<'a> Life<'a> {
    /// Takes the option at `at`, if it is about time, and answers where the next is.
    fn take(&mut self, args: &[&'a [u8]], at: usize) -> Result<Option<usize>, Error> {
        let word = args[at];
        let make: fn(&'a [u8]) -> Life<'a> = if is(word, "ex") {
            |value| Life::For(Unit::Seconds, value)
        } else if is(word, "px") {
            |value| Life::For(Unit::Millis, value)
        } else if is(word, "exat") {
            |value| Life::Until(Unit::Seconds, value)
        } else if is(word, "pxat") {
            |value| Life::Until(Unit::Millis, value)
        } else {
            return Ok(None);
        };
        let life = make(args.get(at + 1).ok_or(Error::Syntax)?);
        self.replace(life)?;
        Ok(Some(at + 2))
    }

    /// One option may be repeated, and the last counts; two kinds contradict each other.
    fn replace(&mut self, by: Self) -> Result<(), Error> {
        let same = match (&*self, &by) {
            (Life::Unsaid, _) => true,
            (Life::For(a, _), Life::For(b, _)) | (Life::Until(a, _), Life::Until(b, _)) => a == b,
            (before, after) => before == after,
        };
        if !same {
            return Err(Error::Syntax);
        }
        *self = by;
        Ok(())
    }

    /// What becomes of a key's deadline when it is set.
    pub(super) fn expiry(self, now: UnixMillis, command: &'static str) -> Result<Expiry, Error> {
        Ok(match self.at(now, command)? {
            Some(at) => Expiry::At(at),
            None if self == Life::Keep => Expiry::Keep,
            None => Expiry::Clear,
        })
    }

    /// Reads the number: `None` unless a time was given.
    fn at(self, now: UnixMillis, command: &'static str) -> Result<Option<UnixMillis>, Error> {
        match self {
            Life::Unsaid | Life::Keep | Life::Persist => Ok(None),
            Life::For(unit, value) => lifetime(value, unit, now, command).map(Some),
            Life::Until(unit, value) => moment(value, unit, command).map(Some),
        }
    }
}

fn set(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, value) = (c.args[1], c.args[2]);
    if c.args.len() == 3 {
        put(c, key, value, Expiry::Clear);
        c.reply.ok();
        return Ok(());
    }
    let mut options = Setting::default();
    let mut get = false;
    let mut at = 3;
    while let Some(&word) = c.args.get(at) {
        if is(word, "get") {
            get = true;
            at += 1;
        } else {
            at = options.take(c.args, at)?.ok_or(Error::Syntax)?;
        }
    }
    let Setting { condition, life } = options;
    let expiry = life.expiry(c.db.now(), "set")?;
    let does = if get {
        let value = c.db.string(key)?;
        c.reply.bulk_or_null(value);
        condition.holds(|| value.is_some())
    } else {
        condition.holds(|| c.db.kind(key).is_some())
    };
    if does {
        put(c, key, value, expiry);
    }
    match (get, does) {
        (true, _) => {}
        (false, true) => c.reply.ok(),
        (false, false) => c.reply.null(),
    }
    Ok(())
}

/// Makes `key` hold the string, and tells of it.
pub(super) fn put(c: &mut Context<'_>, key: &[u8], value: &[u8], expiry: Expiry) {
    c.db.put_string(key, value, expiry);
    c.db.notify(EventClass::String, "set", key);
    if matches!(expiry, Expiry::At(_)) {
        c.db.notify(EventClass::Generic, "expire", key);
    }
}

fn getset(c: &mut Context<'_>) -> Result<(), Error> {
    let value = c.db.string(c.args[1])?;
    c.reply.bulk_or_null(value);
    put(c, c.args[1], c.args[2], Expiry::Clear);
    Ok(())
}

fn getdel(c: &mut Context<'_>) -> Result<(), Error> {
    let value = c.db.string(c.args[1])?;
    c.reply.bulk_or_null(value);
    if value.is_some() {
        c.db.remove(c.args[1]);
        c.db.notify(EventClass::Generic, "del", c.args[1]);
    }
    Ok(())
}

fn getex(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let mut life = Life::Unsaid;
    let mut at = 2;
    while let Some(&word) = c.args.get(at) {
        if is(word, "persist") {
            life.replace(Life::Persist)?;
            at += 1;
        } else {
            at = life.take(c.args, at)?.ok_or(Error::Syntax)?;
        }
    }
    let Some(value) = c.db.string(key)? else {
        c.reply.null();
        return Ok(());
    };
    let until = life.at(c.db.now(), "getex")?;
    c.reply.bulk(value);
    let is_volatile = matches!(c.db.expires_at(key), Some(Some(_)));
    match until {
        Some(until) => set_and_tell(c, key, until),
        None if life == Life::Persist && is_volatile => {
            c.db.set_expiry(key, None);
            c.db.notify(EventClass::Generic, "persist", key);
        }
        None => {}
    }
    Ok(())
}

fn setnx(c: &mut Context<'_>) -> Result<(), Error> {
    let free = c.db.kind(c.args[1]).is_none();
    if free {
        put(c, c.args[1], c.args[2], Expiry::Clear);
    }
    c.reply.integer(i64::from(free));
    Ok(())
}

fn setex(c: &mut Context<'_>) -> Result<(), Error> {
    set_for(c, Unit::Seconds, "setex")
}

fn psetex(c: &mut Context<'_>) -> Result<(), Error> {
    set_for(c, Unit::Millis, "psetex")
}

fn set_for(c: &mut Context<'_>, unit: Unit, command: &'static str) -> Result<(), Error> {
    let until = lifetime(c.args[2], unit, c.db.now(), command)?;
    put(c, c.args[1], c.args[3], Expiry::At(until));
    c.reply.ok();
    Ok(())
}

fn mget(c: &mut Context<'_>) -> Result<(), Error> {
    let keys = &c.args[1..];
    c.reply.array(keys.len());
    for key in keys {
        // Another type is no string, and here no error.
        let value = c.db.string(key).unwrap_or(None);
        c.reply.bulk_or_null(value);
    }
    Ok(())
}

fn mset(c: &mut Context<'_>) -> Result<(), Error> {
    for [key, value] in pairs(c.args, "mset")? {
        put(c, key, value, Expiry::Clear);
    }
    c.reply.ok();
    Ok(())
}

fn msetnx(c: &mut Context<'_>) -> Result<(), Error> {
    let pairs = pairs(c.args, "msetnx")?;
    let free = pairs.iter().all(|[key, _]| c.db.kind(key).is_none());
    if free {
        for [key, value] in pairs {
            put(c, key, value, Expiry::Clear);
        }
    }
    c.reply.integer(i64::from(free));
    Ok(())
}

/// The words after the name, two by two.
fn pairs<'a, 'w>(args: &'a [&'w [u8]], command: &'static str) -> Result<&'a [[&'w [u8]; 2]], Error> {
    match args[1..].as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(Error::Arity(command)),
    }
}

fn append(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, more) = (c.args[1], c.args[2]);
    let length = match c.db.string(key)? {
        Some(value) => {
            let before = value.len();
            check_length(before, more.len())?;
            c.db.splice_string(key, before, more)?
        }
        None => {
            c.db.put_string(key, more, Expiry::Clear);
            more.len()
        }
    };
    c.db.notify(EventClass::String, "append", key);
    c.reply.count(length as u64);
    Ok(())
}

fn strlen(c: &mut Context<'_>) -> Result<(), Error> {
    let length = c.db.string(c.args[1])?.map_or(0, <[u8]>::len);
    c.reply.count(length as u64);
    Ok(())
}

fn getrange(c: &mut Context<'_>) -> Result<(), Error> {
    let (start, end) = (integer(c.args[2])?, integer(c.args[3])?);
    let value = c.db.string(c.args[1])?.unwrap_or_default();
    c.reply.bulk(range(value, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included, both counted from the end if negative.
fn range(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let length = value.len() as i64;
    let from_front = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end {
        return &[];
    }
    &value[start as usize..=end as usize]
}

fn setrange(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, part) = (c.args[1], c.args[3]);
    let offset = integer(c.args[2])?;
    let offset = usize::try_from(offset).map_err(|_| Error::OffsetOutOfRange)?;
    let before = c.db.string(key)?.map_or(0, <[u8]>::len);
    let length = if part.is_empty() {
        before
    } else {
        check_length(offset, part.len())?;
        let length = c.db.splice_string(key, offset, part)?;
        c.db.notify(EventClass::String, "setrange", key);
        length
    };
    c.reply.count(length as u64);
    Ok(())
}

/// Refuses what would be longer than a string may be.
pub(crate) fn check_length(before: usize, more: usize) -> Result<(), Error> {
    match before.checked_add(more) {
        Some(length) if length <= STRING_BYTES_MAX => Ok(()),
        _ => Err(Error::StringTooLong),
    }
}

#[cfg(test)]
mod tests;
