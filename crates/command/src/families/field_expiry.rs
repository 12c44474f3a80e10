//! Fields of hashes that expire by themselves, as in Redis 7.4 and 8.0.
//!
//! Like the times of whole keys, all times are absolute when they reach the database. A time that isn't in the future
//! takes the field out at once.

use crate::error::Error;
use crate::execute::Context;
use crate::families::expiry::Unit;
use crate::families::hashes::hash;
use crate::spec::{self, Flags as F, Spec};
use crate::words::{integer, is};
use base::UnixMillis;
use base::database::{EventClass, Expiry};

const fn setter(id: u16, name: &'static str) -> Spec {
    hash(id, name, -6).flags(&[F::WRITE, F::DENYOOM, F::FAST]).keys_at(spec::KEY_TOUCHED_UP)
}

const fn getter(id: u16, name: &'static str) -> Spec {
    hash(id, name, -5).flags(&[F::READONLY, F::FAST]).keys_at(spec::KEY_READ)
}

const N: &str = "O(N) for N fields";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    setter(592, "hexpire")
        .docs("7.4.0", N, "Lets fields live for so many seconds.")
        .does(|c| expire(c, Unit::Seconds, From::Now, "hexpire")),
    setter(593, "hpexpire")
        .docs("7.4.0", N, "Lets fields live for so many milliseconds.")
        .does(|c| expire(c, Unit::Millis, From::Now, "hpexpire")),
    setter(594, "hexpireat")
        .docs("7.4.0", N, "Lets fields live until a Unix time in seconds.")
        .does(|c| expire(c, Unit::Seconds, From::Epoch, "hexpireat")),
    setter(595, "hpexpireat")
        .docs("7.4.0", N, "Lets fields live until a Unix time in milliseconds.")
        .does(|c| expire(c, Unit::Millis, From::Epoch, "hpexpireat")),
    hash(596, "hpersist", -5)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("7.4.0", N, "Lets fields live until they are deleted.")
        .does(hpersist),
    getter(597, "httl")
        .docs("7.4.0", N, "Answers how many seconds fields have left.")
        .tips(&["nondeterministic_output"])
        .does(|c| ask(c, Unit::Seconds, From::Now)),
    getter(598, "hpttl")
        .docs("7.4.0", N, "Answers how many milliseconds fields have left.")
        .tips(&["nondeterministic_output"])
        .does(|c| ask(c, Unit::Millis, From::Now)),
    getter(599, "hexpiretime")
        .docs("7.4.0", N, "Answers the Unix times in seconds at which fields expire.")
        .does(|c| ask(c, Unit::Seconds, From::Epoch)),
    getter(600, "hpexpiretime")
        .docs("7.4.0", N, "Answers the Unix times in milliseconds at which fields expire.")
        .does(|c| ask(c, Unit::Millis, From::Epoch)),
    hash(601, "hgetdel", -5)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("8.0.0", N, "Answers the values of fields and takes the fields out.")
        .does(hgetdel),
    hash(602, "hgetex", -5)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("8.0.0", N, "Answers the values of fields and changes how long they live.")
        .does(hgetex),
    setter(603, "hsetex")
        .docs("8.0.0", N, "Gives fields of a hash values, and says how long they live.")
        .does(hsetex),
];

/// From when a time is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Now,
    Epoch,
}

/// The last millisecond at which a field can expire: as in Redis, two bits are kept free of what its encodings hold.
const MOMENT_MAX: u64 = (1 << 46) - 1;

/// Reads a time, which may be past but not negative.
fn moment(
    word: &[u8],
    unit: Unit,
    from: From,
    now: UnixMillis,
    command: &'static str,
) -> Result<UnixMillis, Error> {
    let value =
        u64::try_from(integer(word)?).map_err(|_| Error::Other("ERR invalid expire time, must be >= 0"))?;
    let base = if from == From::Now { now.0 } else { 0 };
    value
        .checked_mul(if unit == Unit::Seconds { 1000 } else { 1 })
        .and_then(|millis| millis.checked_add(base))
        .filter(|end| *end <= MOMENT_MAX)
        .map(UnixMillis)
        .ok_or(Error::InvalidExpire(command))
}

const NO_POSITIVE_COUNT: &str = "ERR Number of fields must be a positive integer";

/// Reads `FIELDS count field…`, which are all of `words`.
fn fields<'a, 'b>(words: &'b [&'a [u8]], no_count: &'static str) -> Result<&'b [&'a [u8]], Error> {
    let (count, fields) = match words {
        [word, count, fields @ ..] if is(word, "fields") => (count, fields),
        _ => {
            return Err(Error::Other(
                "ERR Mandatory argument FIELDS is missing or not at the right position",
            ));
        }
    };
    let count = integer(count).ok().filter(|count| *count > 0).ok_or(Error::Other(no_count))?;
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(Error::Other("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(fields)
}

/// The conditions of HEXPIRE.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// NX: only if it has no time to live.
    None,
    /// XX: only if it has one.
    Some,
    /// GT: only if it gets longer.
    Longer,
    /// LT: only if it gets shorter.
    Shorter,
}

impl Condition {
    /// Takes a condition off the front of `words`, if there is one.
    fn take<'a, 'b>(words: &'b [&'a [u8]]) -> (Self, &'b [&'a [u8]]) {
        let condition = match words.first() {
            Some(word) if is(word, "nx") => Condition::None,
            Some(word) if is(word, "xx") => Condition::Some,
            Some(word) if is(word, "gt") => Condition::Longer,
            Some(word) if is(word, "lt") => Condition::Shorter,
            _ => return (Condition::Always, words),
        };
        (condition, &words[1..])
    }

    /// Whether a field that lives until `before` may live until `after`. One without a time to live lives for ever.
    fn allows(self, before: Option<UnixMillis>, after: UnixMillis) -> bool {
        match self {
            Condition::Always => true,
            Condition::None => before.is_none(),
            Condition::Some => before.is_some(),
            Condition::Longer => before.is_some_and(|before| after > before),
            Condition::Shorter => before.is_none_or(|before| after < before),
        }
    }
}

const NO_FIELD: i64 = -2;
const NO_TIME: i64 = -1;

fn expire(c: &mut Context<'_>, unit: Unit, from: From, command: &'static str) -> Result<(), Error> {
    let key = c.args[1];
    let now = c.db.now();
    c.db.hash(key)?;
    let until = moment(c.args[2], unit, from, now, command)?;
    let (condition, rest) = Condition::take(&c.args[3..]);
    let fields = fields(rest, "ERR Parameter `numFields` should be greater than 0")?;
    c.reply.array(fields.len());
    let (mut set, mut removed) = (false, false);
    for field in fields {
        let before = c.db.hash(key)?.and_then(|hash| hash.expires_at(field, now));
        let answer = match before {
            None => NO_FIELD,
            Some(before) if !condition.allows(before, until) => 0,
            Some(_) => {
                c.db.hash_set_expiry(key, field, Some(until))?;
                let past = until <= now;
                (set, removed) = (set || !past, removed || past);
                if past { 2 } else { 1 }
            }
        };
        c.reply.integer(answer);
    }
    tell(c, set.then_some("hexpire"), removed);
    Ok(())
}

/// Tells that times were set or that fields went, as Redis does: one event, and the key's own end.
fn tell(c: &mut Context<'_>, changed: Option<&'static str>, removed: bool) {
    if removed {
        c.tell_shrunk(EventClass::Hash, "hdel", c.args[1]);
    } else if let Some(event) = changed {
        c.db.notify(EventClass::Hash, event, c.args[1]);
    }
}

fn hpersist(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let now = c.db.now();
    c.db.hash(key)?;
    let fields = fields(&c.args[2..], NO_POSITIVE_COUNT)?;
    c.reply.array(fields.len());
    let mut changed = false;
    for field in fields {
        let before = c.db.hash(key)?.and_then(|hash| hash.expires_at(field, now));
        let answer = match before {
            None => NO_FIELD,
            Some(None) => NO_TIME,
            Some(Some(_)) => {
                changed = true;
                c.db.hash_set_expiry(key, field, None)?;
                1
            }
        };
        c.reply.integer(answer);
    }
    tell(c, changed.then_some("hpersist"), false);
    Ok(())
}

fn ask(c: &mut Context<'_>, unit: Unit, from: From) -> Result<(), Error> {
    let now = c.db.now();
    let hash = c.db.hash(c.args[1])?;
    let fields = fields(&c.args[2..], NO_POSITIVE_COUNT)?;
    c.reply.array(fields.len());
    for field in fields {
        c.reply.integer(match hash.and_then(|hash| hash.expires_at(field, now)) {
            None => NO_FIELD,
            Some(None) => NO_TIME,
            Some(Some(at)) => {
                let millis = if from == From::Now { now.until(at) } else { at.0 };
                // Where TTL rounds to the nearest second, HTTL rounds up.
                let units = if unit == Unit::Millis { millis } else { millis.div_ceil(1000) };
                i64::try_from(units).unwrap_or(i64::MAX)
            }
        });
    }
    Ok(())
}

fn hgetdel(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    c.db.hash(key)?;
    let fields = fields(&c.args[2..], NO_POSITIVE_COUNT)?;
    let now = c.db.now();
    c.reply.array(fields.len());
    let mut gone = 0;
    for field in fields {
        // One by one: a field that is named twice is answered once.
        c.reply.bulk_or_null(c.db.hash(key)?.and_then(|hash| hash.get(field, now)));
        gone += c.db.hash_remove(key, &[field])?;
    }
    tell(c, None, gone > 0);
    Ok(())
}

/// What HGETEX and HSETEX do to times to live.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Nothing was said.
    Unsaid,
    /// KEEPTTL, of HSETEX.
    Keep,
    /// PERSIST, of HGETEX.
    Persist,
    /// EX, PX, EXAT, PXAT.
    Until(UnixMillis),
}

/// How the time after an option is read, if the word is such an option.
fn time_option(word: &[u8]) -> Option<(Unit, From)> {
    let options = [
        ("ex", Unit::Seconds, From::Now),
        ("px", Unit::Millis, From::Now),
        ("exat", Unit::Seconds, From::Epoch),
        ("pxat", Unit::Millis, From::Epoch),
    ];
    options.into_iter().find(|(name, ..)| is(word, name)).map(|(_, unit, from)| (unit, from))
}

fn hgetex(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let now = c.db.now();
    c.db.hash(key)?;
    let (life, rest) = match time_option(c.args[2]) {
        Some((unit, from)) => (Life::Until(moment(c.args[3], unit, from, now, "hgetex")?), &c.args[4..]),
        None if is(c.args[2], "persist") => (Life::Persist, &c.args[3..]),
        None => (Life::Unsaid, &c.args[2..]),
    };
    let fields = fields(rest, NO_POSITIVE_COUNT)?;
    let until = match life {
        Life::Until(until) => Some(until),
        _ => None,
    };
    c.reply.array(fields.len());
    let (mut changed, mut removed) = (false, false);
    for field in fields {
        let hash = c.db.hash(key)?;
        c.reply.bulk_or_null(hash.and_then(|hash| hash.get(field, now)));
        let before = hash.and_then(|hash| hash.expires_at(field, now));
        let (Some(before), true) = (before, matches!(life, Life::Until(_) | Life::Persist)) else { continue };
        if before != until {
            c.db.hash_set_expiry(key, field, until)?;
            let past = until.is_some_and(|until| until <= now);
            (changed, removed) = (changed || !past, removed || past);
        }
    }
    tell(c, changed.then_some(if until.is_some() { "hexpire" } else { "hpersist" }), removed);
    Ok(())
}

/// The options of HSETEX.
struct SetOptions<'b, 'a> {
    life: Life,
    /// FXX: only if all fields are there; FNX: only if none is.
    condition: Option<bool>,
    pairs: &'b [[&'a [u8]; 2]],
}

fn set_options<'b, 'a>(words: &'b [&'a [u8]], now: UnixMillis) -> Result<SetOptions<'b, 'a>, Error> {
    let mut options = SetOptions { life: Life::Unsaid, condition: None, pairs: &[] };
    let mut rest = words;
    while let [word, tail @ ..] = rest {
        rest = tail;
        if is(word, "fields") {
            let [count, pairs @ ..] = tail else { break };
            if pairs.len() < 2 {
                break;
            }
            let count = integer(count).ok().and_then(|count| i32::try_from(count).ok());
            let count =
                count.filter(|count| *count > 0).ok_or(Error::Other("ERR invalid number of fields"))?;
            let (pairs, odd) = pairs.as_chunks::<2>();
            if !odd.is_empty() || pairs.len() != count as usize {
                break;
            }
            options.pairs = pairs;
            return Ok(options);
        }
        let time = time_option(word);
        if time.is_some() || is(word, "keepttl") {
            if options.life != Life::Unsaid {
                return Err(Error::Other(
                    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
                ));
            }
            options.life = match time {
                None => Life::Keep,
                Some((unit, from)) => {
                    let value = tail.first().ok_or(Error::Other("ERR missing expire time"))?;
                    rest = &tail[1..];
                    Life::Until(moment(value, unit, from, now, "hsetex")?)
                }
            };
        } else if is(word, "fxx") || is(word, "fnx") {
            if options.condition.is_some() {
                return Err(Error::Other("ERR Only one of FXX or FNX arguments can be specified"));
            }
            options.condition = Some(is(word, "fxx"));
        } else {
            let shown = String::from_utf8_lossy(word);
            return Err(Error::Shown(format!("ERR unknown argument: {shown}").into()));
        }
    }
    Err(Error::Arity("hsetex"))
}

fn hsetex(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let now = c.db.now();
    let options = set_options(&c.args[2..], now)?;
    let hash = c.db.hash(key)?;
    let there = |field| hash.is_some_and(|hash| hash.get(field, now).is_some());
    let does =
        options.condition.is_none_or(|must| options.pairs.iter().all(|[field, _]| there(field) == must));
    if does {
        let pairs: Vec<_> = options.pairs.iter().map(|[field, value]| (*field, *value)).collect();
        let expiry = match options.life {
            Life::Until(until) => Expiry::At(until),
            Life::Keep => Expiry::Keep,
            Life::Unsaid | Life::Persist => Expiry::Clear,
        };
        c.db.hash_set(key, &pairs, expiry)?;
        c.db.notify(EventClass::Hash, "hset", key);
        let until = if let Life::Until(until) = options.life { Some(until) } else { None };
        tell(c, until.map(|_| "hexpire"), until.is_some_and(|until| until <= now));
    }
    c.reply.integer(i64::from(does));
    Ok(())
}

#[cfg(test)]
mod tests;
