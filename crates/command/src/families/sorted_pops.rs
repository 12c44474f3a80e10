//! Taking the members with the lowest or highest scores out of sorted sets.
//!
//! The blocking commands make one attempt here; the waiting is the node's.

use crate::error::{Error, Nothing};
use crate::execute::Context;
use crate::families::sorted_sets::{Scored, reply_member, reply_members, sorted_set};
use crate::spec::{self, Flags as F, KeyFlags as K, KeySpec, Spec};
use crate::words::{block_seconds, integer, is};
use base::database::{Direction, EventClass};
use resp::Protocol;

/// The last word is the timeout.
const ALL_BUT_THE_LAST: &[KeySpec] = &[spec::at(1, -2, 1, &[K::RW, K::ACCESS, K::DELETE])];

const fn blocking(id: u16, name: &'static str) -> Spec {
    sorted_set(id, name, -3).flags(&[F::WRITE, F::NOSCRIPT, F::BLOCKING, F::FAST]).keys_at(ALL_BUT_THE_LAST)
}

/// As many keys as the word `index` says, behind it.
const fn counted(index: usize) -> KeySpec {
    spec::counted(index, 1, &[K::RW, K::ACCESS, K::DELETE])
}

const MANY: &str = "O(K)+O(M*log(N)) for K keys and M members out of N";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    sorted_set(628, "zpopmin", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("5.0.0", "O(M*log(N)) for M members out of N", "Takes out the members with the lowest scores.")
        .does(|c| pop(c, End::Lowest)),
    sorted_set(629, "zpopmax", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("5.0.0", "O(M*log(N)) for M members out of N", "Takes out the members with the highest scores.")
        .does(|c| pop(c, End::Highest)),
    sorted_set(630, "zmpop", -4)
        .flags(&[F::WRITE, F::MOVABLEKEYS])
        .keys_at(&[counted(1)])
        .docs("7.0.0", MANY, "Takes members out of the first sorted set that has any.")
        .does(zmpop),
    blocking(631, "bzpopmin")
        .docs(
            "5.0.0",
            "O(log(N)) for N members",
            "Takes out the member with the lowest score, or waits for one.",
        )
        .does(|c| pop_first(c, End::Lowest)),
    blocking(632, "bzpopmax")
        .docs(
            "5.0.0",
            "O(log(N)) for N members",
            "Takes out the member with the highest score, or waits for one.",
        )
        .does(|c| pop_first(c, End::Highest)),
    sorted_set(633, "bzmpop", -5)
        .flags(&[F::WRITE, F::BLOCKING, F::MOVABLEKEYS])
        .keys_at(&[counted(2)])
        .docs("7.0.0", MANY, "Takes members out of the first sorted set that has any, or waits for one.")
        .does(bzmpop),
];

/// Which members are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lowest,
    Highest,
}

/// Takes out up to `count` members of a sorted set that is there, and tells it.
fn take(c: &mut Context<'_>, key: &[u8], end: End, count: usize) -> Result<Scored, Error> {
    let mut members = Vec::new();
    if let Some(set) = c.db.sorted_set(key)? {
        let (rank, direction) = match end {
            End::Lowest => (0, Direction::Forward),
            End::Highest => (set.len().saturating_sub(1), Direction::Backward),
        };
        if count > 0 {
            set.walk(rank, direction, &mut |member, score| {
                members.push((member.to_vec(), score));
                members.len() < count
            });
        }
    }
    let gone: Vec<_> = members.iter().map(|(member, _)| &member[..]).collect();
    if !gone.is_empty() {
        c.db.sorted_set_remove(key, &gone)?;
        let event = if end == End::Lowest { "zpopmin" } else { "zpopmax" };
        c.tell_shrunk(EventClass::SortedSet, event, key);
    }
    Ok(members)
}

fn pop(c: &mut Context<'_>, end: End) -> Result<(), Error> {
    let count = match &c.args[2..] {
        [] => None,
        [count] => {
            let count = integer(count).ok().and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Error::Other("ERR value is out of range, must be positive"))?)
        }
        _ => return Err(Error::Syntax),
    };
    let members = take(c, c.args[1], end, count.unwrap_or(1))?;
    // Without a count, version 3 answers a member and its score, not a list of such pairs.
    if count.is_none() && c.reply.protocol() == Protocol::Resp3 {
        c.reply.array(2 * members.len());
        for (member, score) in &members {
            c.reply.bulk(member);
            c.reply.double(*score);
        }
        return Ok(());
    }
    reply_members(&mut c.reply, members.len(), true);
    for (member, score) in &members {
        reply_member(&mut c.reply, member, Some(*score));
    }
    Ok(())
}

/// The first of `keys` that has members.
fn first<'a>(c: &Context<'_>, keys: &[&'a [u8]]) -> Result<Option<&'a [u8]>, Error> {
    for key in keys {
        match c.db.sorted_set(key) {
            Ok(Some(_)) => return Ok(Some(key)),
            Ok(None) => {}
            // Who comes hears of a key of another type; who has waited goes on waiting.
            Err(_) if c.has_waited => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn pop_first(c: &mut Context<'_>, end: End) -> Result<(), Error> {
    let [keys @ .., timeout] = &c.args[1..] else { return Err(Error::Syntax) };
    block_seconds(timeout)?;
    let key = first(c, keys)?.ok_or(Error::WouldBlock(Nothing::NullArray))?;
    for (member, score) in take(c, key, end, 1)? {
        c.reply.array(3);
        c.reply.bulk(key);
        c.reply.bulk(&member);
        c.reply.double(score);
    }
    Ok(())
}

/// The words of ZMPOP and BZMPOP from the number of keys on.
struct Counted<'a, 'b> {
    keys: &'b [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a, 'b> Counted<'a, 'b> {
    fn parse(words: &'b [&'a [u8]]) -> Result<Self, Error> {
        let number = integer(words[0]).ok().filter(|number| *number > 0);
        let number = number.ok_or(Error::Other("ERR numkeys should be greater than 0"))?;
        let number = usize::try_from(number).map_err(|_| Error::Syntax)?;
        let (keys, rest) = words[1..].split_at_checked(number).ok_or(Error::Syntax)?;
        let (end, rest) = match rest {
            [word, rest @ ..] if is(word, "min") => (End::Lowest, rest),
            [word, rest @ ..] if is(word, "max") => (End::Highest, rest),
            _ => return Err(Error::Syntax),
        };
        let count = match rest {
            [] => 1,
            [word, count] if is(word, "count") => {
                let count = integer(count).ok().filter(|count| *count > 0);
                let count = count.ok_or(Error::Other("ERR count should be greater than 0"))?;
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            // A wrong count is named before what follows it is refused.
            [word, count, ..] if is(word, "count") => {
                let right = integer(count).is_ok_and(|count| count > 0);
                return Err(if right {
                    Error::Syntax
                } else {
                    Error::Other("ERR count should be greater than 0")
                });
            }
            _ => return Err(Error::Syntax),
        };
        Ok(Self { keys, end, count })
    }
}

fn zmpop(c: &mut Context<'_>) -> Result<(), Error> {
    if !pop_counted(c, 1)? {
        c.reply.null_array();
    }
    Ok(())
}

fn bzmpop(c: &mut Context<'_>) -> Result<(), Error> {
    block_seconds(c.args[1])?;
    if pop_counted(c, 2)? { Ok(()) } else { Err(Error::WouldBlock(Nothing::NullArray)) }
}

/// Answers the key and its members; false, and no answer, if there are none.
fn pop_counted(c: &mut Context<'_>, from: usize) -> Result<bool, Error> {
    let words = Counted::parse(&c.args[from..])?;
    let Some(key) = first(c, words.keys)? else { return Ok(false) };
    let members = take(c, key, words.end, words.count)?;
    c.reply.array(2);
    c.reply.bulk(key);
    c.reply.array(members.len());
    for (member, score) in &members {
        c.reply.array(2);
        c.reply.bulk(member);
        c.reply.double(*score);
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
