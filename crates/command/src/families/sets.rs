//! Sets: distinct members.
//!
//! What SPOP and SRANDMEMBER pick is a function of the seed and of the set's own order, so that all replicas pick the same. A
//! pick is made where the command takes effect, on what earlier ones have left: no two SPOPs pick one member.

use crate::error::Error;
use crate::execute::{Context, check_length};
use crate::families::picks::{Ask, Picks};
use crate::families::scans::{ElementScan, reply_page};
use crate::spec::{self, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};
use crate::words::{at_least, is};
use base::database::{Database, EventClass, Set, WrongType};
use std::collections::BTreeSet;

const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];

const fn set(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::Set, Place::Keys)
}

/// SINTER, SUNION and SDIFF.
const fn combining(id: u16, name: &'static str) -> Spec {
    set(id, name, -2).flags(&[F::READONLY]).keys_at(ALL_READ).tips(ANY_ORDER)
}

/// SINTERSTORE, SUNIONSTORE and SDIFFSTORE.
const fn storing(id: u16, name: &'static str, keys: &'static [KeySpec]) -> Spec {
    set(id, name, -3).flags(&[F::WRITE, F::DENYOOM]).keys_at(keys)
}

const ALL_READ: &[KeySpec] = &[spec::at(1, -1, 1, &[K::RO, K::ACCESS])];
const SOURCES: KeySpec = spec::at(2, -1, 1, &[K::RO, K::ACCESS]);
const TARGET_AND_SOURCES: &[KeySpec] = &[spec::at(1, 0, 1, &[K::OW, K::UPDATE]), SOURCES];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    set(545, "sadd", -3)
        .flags(&[F::WRITE, F::DENYOOM, F::FAST])
        .keys_at(spec::KEY_GROWN)
        .docs("1.0.0", "O(N) for N members given", "Adds members to a set.")
        .does(sadd),
    set(546, "srem", -3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_SHRUNK)
        .docs("1.0.0", "O(N) for N members given", "Takes members out of a set.")
        .does(srem),
    set(547, "sismember", 3)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("1.0.0", "O(1)", "Answers whether a set has a member.")
        .does(sismember),
    set(548, "smismember", -3)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_READ)
        .docs("6.2.0", "O(N) for N members given", "Answers which of several members a set has.")
        .does(smismember),
    set(549, "smembers", 2)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(N) for N members", "Answers all members of a set.")
        .tips(ANY_ORDER)
        .does(smembers),
    set(550, "scard", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("1.0.0", "O(1)", "Answers how many members a set has.")
        .does(scard),
    set(551, "spop", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("1.0.0", "O(N) for N members answered", "Takes members chosen by chance out of a set.")
        .tips(NONDETERMINISTIC)
        .does(spop),
    set(552, "srandmember", -2)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(N) for N members answered", "Answers members of a set chosen by chance.")
        .tips(NONDETERMINISTIC)
        .does(srandmember),
    set(553, "smove", 4)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(&[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::DELETE]), spec::at(2, 0, 1, &[K::RW, K::INSERT])])
        .docs("1.0.0", "O(1)", "Takes a member from one set to another.")
        .does(smove),
    combining(554, "sinter")
        .docs(
            "1.0.0",
            "O(N*M) for N members in the smallest of M sets",
            "Answers what is in all of several sets.",
        )
        .does(|c| combine(c, intersection)),
    set(555, "sintercard", -3)
        .flags(&[F::READONLY, F::MOVABLEKEYS])
        .keys_at(&[spec::counted(1, 1, &[K::RO, K::ACCESS])])
        .docs(
            "7.0.0",
            "O(N*M) for N members in the smallest of M sets",
            "Counts what is in all of several sets.",
        )
        .does(sintercard),
    storing(556, "sinterstore", &[spec::at(1, 0, 1, &[K::RW, K::UPDATE]), SOURCES])
        .docs(
            "1.0.0",
            "O(N*M) for N members in the smallest of M sets",
            "Stores what is in all of several sets.",
        )
        .does(|c| store(c, intersection, "sinterstore")),
    combining(557, "sunion")
        .docs("1.0.0", "O(N*log(N)) for N members in all sets", "Answers what is in any of several sets.")
        .does(|c| combine(c, union)),
    storing(558, "sunionstore", TARGET_AND_SOURCES)
        .docs("1.0.0", "O(N*log(N)) for N members in all sets", "Stores what is in any of several sets.")
        .does(|c| store(c, union, "sunionstore")),
    combining(559, "sdiff")
        .docs(
            "1.0.0",
            "O(N*M) for N members in the first of M sets",
            "Answers what is in the first set only.",
        )
        .does(|c| combine(c, difference)),
    storing(560, "sdiffstore", TARGET_AND_SOURCES)
        .docs("1.0.0", "O(N*M) for N members in the first of M sets", "Stores what is in the first set only.")
        .does(|c| store(c, difference, "sdiffstore")),
    set(561, "sscan", -3)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs(
            "2.8.0",
            "O(1) a call, O(N) for a whole walk over N members",
            "Walks over a set, a page a call.",
        )
        .tips(NONDETERMINISTIC)
        .does(sscan),
];

fn sadd(c: &mut Context<'_>) -> Result<(), Error> {
    let added = c.db.set_add(c.args[1], &c.args[2..])?;
    if added > 0 {
        c.db.notify(EventClass::Set, "sadd", c.args[1]);
    }
    c.reply.count(added as u64);
    Ok(())
}

fn srem(c: &mut Context<'_>) -> Result<(), Error> {
    let gone = c.db.set_remove(c.args[1], &c.args[2..])?;
    if gone > 0 {
        c.tell_shrunk(EventClass::Set, "srem", c.args[1]);
    }
    c.reply.count(gone as u64);
    Ok(())
}

fn sismember(c: &mut Context<'_>) -> Result<(), Error> {
    let there = c.db.set(c.args[1])?.is_some_and(|set| set.contains(c.args[2]));
    c.reply.integer(i64::from(there));
    Ok(())
}

fn smismember(c: &mut Context<'_>) -> Result<(), Error> {
    let set = c.db.set(c.args[1])?;
    c.reply.array(c.args.len() - 2);
    for member in &c.args[2..] {
        c.reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers(c: &mut Context<'_>) -> Result<(), Error> {
    let set = c.db.set(c.args[1])?;
    c.reply.set(set.map_or(0, Set::len));
    if let Some(set) = set {
        set.walk(&mut |member| {
            c.reply.bulk(member);
            true
        });
    }
    Ok(())
}

fn scard(c: &mut Context<'_>) -> Result<(), Error> {
    let count = c.db.set(c.args[1])?.map_or(0, Set::len);
    c.reply.count(count as u64);
    Ok(())
}

fn spop(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let count = match &c.args[2..] {
        [] => None,
        [count] => Some(at_least(count, 0, "ERR value is out of range, must be positive")? as i64),
        _ => return Err(Error::Syntax),
    };
    let Some(set) = c.db.set(key)? else {
        match count {
            None => c.reply.null(),
            Some(_) => c.reply.set(0),
        }
        return Ok(());
    };
    let picks = Picks::new(&Ask { count, with: false }, set.len(), c.seed)?;
    let members: Vec<Vec<u8>> = picks.filter_map(|index| set.get(index)).map(<[u8]>::to_vec).collect();
    let members: Vec<&[u8]> = members.iter().map(|member| &member[..]).collect();
    if count.is_some() {
        c.reply.set(members.len());
    }
    members.iter().for_each(|member| c.reply.bulk(member));
    if c.db.set_remove(key, &members)? > 0 {
        c.tell_shrunk(EventClass::Set, "spop", key);
    }
    Ok(())
}

fn srandmember(c: &mut Context<'_>) -> Result<(), Error> {
    if c.args.len() > 3 {
        return Err(Error::Syntax);
    }
    let ask = Ask::parse(&c.args[2..], "")?;
    let Some(set) = c.db.set(c.args[1])? else {
        ask.reply_nothing(&mut c.reply);
        return Ok(());
    };
    let start = c.reply.position();
    let picks = Picks::new(&ask, set.len(), c.seed)?;
    ask.reply_header(picks.len(), &mut c.reply);
    for member in picks.filter_map(|index| set.get(index)) {
        c.reply.bulk(member);
        check_length(c.reply.position() - start)?;
    }
    Ok(())
}

fn smove(c: &mut Context<'_>) -> Result<(), Error> {
    let (from, to, member) = (c.args[1], c.args[2], c.args[3]);
    let Some(source) = c.db.set(from)? else {
        c.reply.integer(0);
        return Ok(());
    };
    let there = source.contains(member);
    c.db.set(to)?;
    if there && from != to {
        c.db.set_remove(from, &[member])?;
        c.tell_shrunk(EventClass::Set, "srem", from);
        if c.db.set_add(to, &[member])? > 0 {
            c.db.notify(EventClass::Set, "sadd", to);
        }
    }
    c.reply.integer(i64::from(there));
    Ok(())
}

/// What several sets make together; those that aren't there are empty. At most so many members.
type Combination = for<'a> fn(&[Option<&'a dyn Set>], usize) -> Vec<&'a [u8]>;

fn intersection<'a>(sets: &[Option<&'a dyn Set>], limit: usize) -> Vec<&'a [u8]> {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<_>>>() else { return Vec::new() };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return Vec::new() };
    select(*smallest, limit, |member| others.iter().all(|set| set.contains(member)))
}

fn union<'a>(sets: &[Option<&'a dyn Set>], limit: usize) -> Vec<&'a [u8]> {
    let mut distinct = BTreeSet::new();
    for set in sets.iter().flatten() {
        distinct.extend((0..set.len()).filter_map(|index| set.get(index)));
    }
    distinct.into_iter().take(limit).collect()
}

fn difference<'a>(sets: &[Option<&'a dyn Set>], limit: usize) -> Vec<&'a [u8]> {
    let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
    select(*first, limit, |member| !others.iter().flatten().any(|set| set.contains(member)))
}

/// The first `limit` members that `keep` holds for.
fn select(set: &dyn Set, limit: usize, keep: impl Fn(&[u8]) -> bool) -> Vec<&[u8]> {
    let (mut at, mut kept) = (0, Vec::new());
    set.walk(&mut |member| {
        if keep(member) {
            kept.push(at);
        }
        at += 1;
        kept.len() < limit
    });
    kept.into_iter().filter_map(|index| set.get(index)).collect()
}

/// The sets at these keys; all keys are looked at before anything is done.
fn sets_at<'a>(db: &'a dyn Database, keys: &[&[u8]]) -> Result<Vec<Option<&'a dyn Set>>, WrongType> {
    keys.iter().map(|key| db.set(key)).collect()
}

/// Answers what sets make together.
fn combine(c: &mut Context<'_>, combination: Combination) -> Result<(), Error> {
    let members = combination(&sets_at(c.db, &c.args[1..])?, usize::MAX);
    c.reply.set(members.len());
    members.iter().for_each(|member| c.reply.bulk(member));
    Ok(())
}

/// Stores what sets make together in place of whatever the first key holds.
fn store(c: &mut Context<'_>, combination: Combination, event: &'static str) -> Result<(), Error> {
    let target = c.args[1];
    let members = combination(&sets_at(c.db, &c.args[2..])?, usize::MAX);
    // The target may be one of the sources.
    let members: Vec<Vec<u8>> = members.into_iter().map(<[u8]>::to_vec).collect();
    let members: Vec<&[u8]> = members.iter().map(|member| &member[..]).collect();
    let replaced = c.db.remove(target);
    if !members.is_empty() {
        c.db.set_add(target, &members)?;
        c.db.notify(EventClass::Set, event, target);
    } else if replaced {
        c.db.notify(EventClass::Generic, "del", target);
    }
    c.reply.count(members.len() as u64);
    Ok(())
}

fn sintercard(c: &mut Context<'_>) -> Result<(), Error> {
    let numkeys = at_least(c.args[1], 1, "ERR numkeys should be greater than 0")?;
    let rest = &c.args[2..];
    if numkeys > rest.len() {
        return Err(Error::Other("ERR Number of keys can't be greater than number of args"));
    }
    let (keys, options) = rest.split_at(numkeys);
    let mut limit = 0;
    let (options, odd) = options.as_chunks::<2>();
    for [option, value] in options {
        if !is(option, "limit") {
            return Err(Error::Syntax);
        }
        limit = at_least(value, 0, "ERR LIMIT can't be negative")?;
    }
    if !odd.is_empty() {
        return Err(Error::Syntax);
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let count = intersection(&sets_at(c.db, keys)?, limit).len();
    c.reply.count(count as u64);
    Ok(())
}

fn sscan(c: &mut Context<'_>) -> Result<(), Error> {
    let cursor = ElementScan::cursor(c.args[2])?;
    let Some(set) = c.db.set(c.args[1])? else {
        reply_page(&mut c.reply, None, &[]);
        return Ok(());
    };
    let scan = ElementScan::parse(&c.args[3..])?;
    let mut found = Vec::new();
    let next = set.scan(cursor, scan.count, &mut |member| {
        if scan.wants(member) {
            found.push(member.to_vec());
        }
    });
    reply_page(&mut c.reply, next, &found);
    Ok(())
}

#[cfg(test)]
mod tests;
