//! Hashes: fields and their values. What gives fields a time to live stands in `field_expiry`.

use crate::error::Error;
use crate::execute::{Context, check_length};
use crate::extended::Extended;
use crate::families::picks::{Ask, Picks};
use crate::families::scans::{ElementScan, reply_page};
use crate::spec::{self, Flags as F, Group, Place, Spec};
use crate::words::integer;
use base::database::{EventClass, Expiry};
use resp::Protocol;
use resp::number::IntegerText;

pub(crate) const fn hash(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Hash, Place::Keys)
}

const fn getter(id: u16, name: &'static str, arity: i32) -> Spec {
    hash(id, name, arity).flags(&[F::READONLY, F::FAST])
}

const fn whole(id: u16, name: &'static str, arity: i32) -> Spec {
    hash(id, name, arity).flags(&[F::READONLY]).keys_at(spec::KEY_READ)
}

const fn setter(id: u16, name: &'static str, arity: i32) -> Spec {
    hash(id, name, arity).flags(&[F::WRITE, F::DENYOOM, F::FAST])
}

const IN_ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const BY_CHANCE: &[&str] = &["nondeterministic_output"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    setter(576, "hset", -4)
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("2.0.0", "O(N) for N fields", "Gives fields of a hash values.")
        .does(hset),
    setter(577, "hsetnx", 4)
        .keys_at(spec::KEY_GROWN)
        .docs("2.0.0", "O(1)", "Gives a field of a hash a value if it has none.")
        .does(hsetnx),
    setter(578, "hmset", -4)
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("2.0.0", "O(N) for N fields", "Gives fields of a hash values; the old name of HSET.")
        .does(hmset),
    getter(579, "hget", 3)
        .keys_at(spec::KEY_READ)
        .docs("2.0.0", "O(1)", "Answers the value of a field.")
        .does(hget),
    getter(580, "hmget", -3)
        .keys_at(spec::KEY_READ)
        .docs("2.0.0", "O(N) for N fields", "Answers the values of several fields.")
        .does(hmget),
    whole(581, "hgetall", 2)
        .docs("2.0.0", "O(N) for a hash of N fields", "Answers all fields with their values.")
        .tips(IN_ANY_ORDER)
        .does(hgetall),
    hash(582, "hdel", -3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_SHRUNK)
        .docs("2.0.0", "O(N) for N fields", "Takes fields out of a hash; with the last goes the key.")
        .does(hdel),
    getter(583, "hexists", 3)
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("2.0.0", "O(1)", "Answers whether a hash has a field.")
        .does(hexists),
    getter(584, "hlen", 2)
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("2.0.0", "O(1), or O(N) for N fields with a time to live", "Counts the fields of a hash.")
        .does(hlen),
    whole(585, "hkeys", 2)
        .docs("2.0.0", "O(N) for a hash of N fields", "Answers all fields.")
        .tips(IN_ANY_ORDER)
        .does(hkeys),
    whole(586, "hvals", 2)
        .docs("2.0.0", "O(N) for a hash of N fields", "Answers the values of all fields.")
        .tips(IN_ANY_ORDER)
        .does(hvals),
    getter(587, "hstrlen", 3)
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("3.2.0", "O(1)", "Answers how long the value of a field is.")
        .does(hstrlen),
    setter(588, "hincrby", 4)
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("2.0.0", "O(1)", "Adds a number to an integer in a field.")
        .does(hincrby),
    setter(589, "hincrbyfloat", 4)
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("2.6.0", "O(1)", "Adds a number to a floating-point number in a field.")
        .does(hincrbyfloat),
    whole(590, "hrandfield", -2)
        .docs("6.2.0", "O(N) for N fields answered", "Answers fields chosen by chance.")
        .tips(BY_CHANCE)
        .does(hrandfield),
    whole(591, "hscan", -3)
        .docs(
            "2.8.0",
            "O(1) a call, O(N) for a whole walk over N fields",
            "Walks over the fields of a hash, a page a call.",
        )
        .tips(BY_CHANCE)
        .does(hscan),
];

fn set(c: &mut Context<'_>, command: &'static str) -> Result<usize, Error> {
    let (pairs, rest) = c.args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::Arity(command));
    }
    let pairs: Vec<_> = pairs.iter().map(|[field, value]| (*field, *value)).collect();
    let new = c.db.hash_set(c.args[1], &pairs, Expiry::Clear)?;
    c.db.notify(EventClass::Hash, "hset", c.args[1]);
    Ok(new)
}

fn hset(c: &mut Context<'_>) -> Result<(), Error> {
    let new = set(c, "hset")?;
    c.reply.count(new as u64);
    Ok(())
}

fn hmset(c: &mut Context<'_>) -> Result<(), Error> {
    set(c, "hmset")?;
    c.reply.ok();
    Ok(())
}

fn hsetnx(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, field, value) = (c.args[1], c.args[2], c.args[3]);
    let now = c.db.now();
    let free = c.db.hash(key)?.is_none_or(|hash| hash.get(field, now).is_none());
    if free {
        c.db.hash_set(key, &[(field, value)], Expiry::Clear)?;
        c.db.notify(EventClass::Hash, "hset", key);
    }
    c.reply.integer(i64::from(free));
    Ok(())
}

fn hget(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let hash = c.db.hash(c.args[1])?;
    c.reply.bulk_or_null(hash.and_then(|hash| hash.get(c.args[2], now)));
    Ok(())
}

fn hmget(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let hash = c.db.hash(c.args[1])?;
    c.reply.array(c.args.len() - 2);
    for field in &c.args[2..] {
        c.reply.bulk_or_null(hash.and_then(|hash| hash.get(field, now)));
    }
    Ok(())
}

fn hgetall(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let Some(hash) = c.db.hash(c.args[1])? else {
        c.reply.map(0);
        return Ok(());
    };
    c.reply.map(hash.len(now));
    hash.walk(now, &mut |field, value| {
        c.reply.bulk(field);
        c.reply.bulk(value);
        true
    });
    Ok(())
}

fn hkeys(c: &mut Context<'_>) -> Result<(), Error> {
    all(c, |field, _| field)
}

fn hvals(c: &mut Context<'_>) -> Result<(), Error> {
    all(c, |_, value| value)
}

fn all(c: &mut Context<'_>, part: for<'a> fn(&'a [u8], &'a [u8]) -> &'a [u8]) -> Result<(), Error> {
    let now = c.db.now();
    let Some(hash) = c.db.hash(c.args[1])? else {
        c.reply.array(0);
        return Ok(());
    };
    c.reply.array(hash.len(now));
    hash.walk(now, &mut |field, value| {
        c.reply.bulk(part(field, value));
        true
    });
    Ok(())
}

fn hdel(c: &mut Context<'_>) -> Result<(), Error> {
    let gone = c.db.hash_remove(c.args[1], &c.args[2..])?;
    if gone > 0 {
        c.tell_shrunk(EventClass::Hash, "hdel", c.args[1]);
    }
    c.reply.count(gone as u64);
    Ok(())
}

fn hexists(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let there = c.db.hash(c.args[1])?.is_some_and(|hash| hash.get(c.args[2], now).is_some());
    c.reply.integer(i64::from(there));
    Ok(())
}

fn hlen(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let length = c.db.hash(c.args[1])?.map_or(0, |hash| hash.len(now));
    c.reply.count(length as u64);
    Ok(())
}

fn hstrlen(c: &mut Context<'_>) -> Result<(), Error> {
    let now = c.db.now();
    let value = c.db.hash(c.args[1])?.and_then(|hash| hash.get(c.args[2], now));
    c.reply.count(value.map_or(0, <[u8]>::len) as u64);
    Ok(())
}

fn hincrby(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, field) = (c.args[1], c.args[2]);
    let by = integer(c.args[3])?;
    let now = c.db.now();
    let before = match c.db.hash(key)?.and_then(|hash| hash.get(field, now)) {
        Some(value) => integer(value).map_err(|_| Error::Other("ERR hash value is not an integer"))?,
        None => 0,
    };
    let after = before.checked_add(by).ok_or(Error::Overflow)?;
    c.db.hash_set(key, &[(field, IntegerText::new(after).as_bytes())], Expiry::Keep)?;
    c.db.notify(EventClass::Hash, "hincrby", key);
    c.reply.integer(after);
    Ok(())
}

fn hincrbyfloat(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, field) = (c.args[1], c.args[2]);
    let by = Extended::parse(c.args[3]).ok_or(Error::NotAFloat)?;
    if !by.is_finite() {
        return Err(Error::Other("ERR value is NaN or Infinity"));
    }
    let now = c.db.now();
    let before = match c.db.hash(key)?.and_then(|hash| hash.get(field, now)) {
        Some(value) => Extended::parse(value).ok_or(Error::Other("ERR hash value is not a float"))?,
        None => Extended::ZERO,
    };
    let after = before.plus(by).filter(|sum| sum.is_finite()).ok_or(Error::NotFinite)?;
    let text = after.to_text();
    c.db.hash_set(key, &[(field, text.as_bytes())], Expiry::Keep)?;
    c.db.notify(EventClass::Hash, "hincrbyfloat", key);
    c.reply.text(&text);
    Ok(())
}

fn hrandfield(c: &mut Context<'_>) -> Result<(), Error> {
    let ask = Ask::parse(&c.args[2..], "withvalues")?;
    let now = c.db.now();
    let hash = c.db.hash(c.args[1])?;
    let Some(hash) = hash else {
        ask.reply_nothing(&mut c.reply);
        return Ok(());
    };
    let nested = c.reply.protocol() == Protocol::Resp3;
    let picks = Picks::new(&ask, hash.len(now), c.seed)?;
    let start = c.reply.position();
    ask.reply_header(picks.len(), &mut c.reply);
    for index in picks {
        let (field, value) = hash.at(index, now).unwrap_or_default();
        if ask.with && nested {
            c.reply.array(2);
        }
        c.reply.bulk(field);
        if ask.with {
            c.reply.bulk(value);
        }
        check_length(c.reply.position() - start)?;
    }
    Ok(())
}

fn hscan(c: &mut Context<'_>) -> Result<(), Error> {
    let cursor = ElementScan::cursor(c.args[2])?;
    let now = c.db.now();
    let Some(hash) = c.db.hash(c.args[1])? else {
        reply_page(&mut c.reply, None, &[]);
        return Ok(());
    };
    let (scan, only_fields) = ElementScan::parse_with(&c.args[3..], "novalues")?;
    let mut words = Vec::new();
    let next = hash.scan(cursor, scan.count, now, &mut |field, value| {
        if scan.wants(field) {
            words.push(field.to_vec());
            if !only_fields {
                words.push(value.to_vec());
            }
        }
    });
    reply_page(&mut c.reply, next, &words);
    Ok(())
}

#[cfg(test)]
mod tests;
