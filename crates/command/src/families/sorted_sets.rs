//! Sorted sets, member by member: adding, removing, scores and ranks. Ranges stand in
//! `sorted_ranges`, taking the first or last in `sorted_pops`, and several
//! sets together in `sorted_algebra`.

use crate::error::Error;
use crate::execute::{Context, check_length};
use crate::families::picks::{Ask, Picks};
use crate::families::scans::{ElementScan, reply_page};
use crate::spec::{self, Flags as F, Group, Place, Spec};
use crate::words::{float, is};
use base::database::{EventClass, SortedSet};
use resp::number::push_double;
use resp::{Protocol, Writer};

pub(crate) const fn sorted_set(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::SortedSet, Place::Keys)
}

/// Members with their scores.
pub(crate) type Scored = Vec<(Vec<u8>, f64)>;

/// A quick look at one sorted set.
pub(crate) const fn getter(id: u16, name: &'static str, arity: i32) -> Spec {
    sorted_set(id, name, arity).flags(&[F::READONLY, F::FAST]).keys_at(spec::KEY_READ)
}

/// A look at many members of one sorted set.
pub(crate) const fn reader(id: u16, name: &'static str, arity: i32) -> Spec {
    sorted_set(id, name, arity).flags(&[F::READONLY]).keys_at(spec::KEY_READ)
}

const fn setter(id: u16, name: &'static str, arity: i32) -> Spec {
    sorted_set(id, name, arity).flags(&[F::WRITE, F::DENYOOM, F::FAST])
}

const BY_CHANCE: &[&str] = &["nondeterministic_output"];

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    setter(608, "zadd", -4)
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("1.2.0", "O(M*log(N)) for M members into N", "Gives members of a sorted set scores.")
        .does(zadd),
    setter(609, "zincrby", 4)
        .keys_at(spec::KEY_READ_AND_CHANGED)
        .docs("1.2.0", "O(log(N)) for N members", "Adds a number to the score of a member.")
        .does(zincrby),
    sorted_set(610, "zrem", -3)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_SHRUNK)
        .docs(
            "1.2.0",
            "O(M*log(N)) for M members out of N",
            "Takes members out of a sorted set; with the last goes the key.",
        )
        .does(zrem),
    getter(611, "zcard", 2)
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("1.2.0", "O(1)", "Counts the members of a sorted set.")
        .does(zcard),
    getter(614, "zscore", 3).docs("1.2.0", "O(1)", "Answers the score of a member.").does(zscore),
    getter(615, "zmscore", -3)
        .docs("6.2.0", "O(N) for N members asked for", "Answers the scores of several members.")
        .does(zmscore),
    getter(616, "zrank", -3)
        .docs(
            "2.0.0",
            "O(log(N)) for N members",
            "Answers how many members have a lower score, or come first.",
        )
        .does(|c| rank(c, false, "zrank")),
    getter(617, "zrevrank", -3)
        .docs(
            "2.0.0",
            "O(log(N)) for N members",
            "Answers how many members have a higher score, or come last.",
        )
        .does(|c| rank(c, true, "zrevrank")),
    reader(634, "zrandmember", -2)
        .docs("6.2.0", "O(M*log(N)) for M members answered of N", "Answers members chosen by chance.")
        .tips(BY_CHANCE)
        .does(zrandmember),
    reader(635, "zscan", -3)
        .docs(
            "2.8.0",
            "O(1) a call, O(N) for a whole walk over N members",
            "Walks over the members of a sorted set, a page a call.",
        )
        .tips(BY_CHANCE)
        .does(zscan),
];

/// Answers a member and, if it is asked for, its score: a pair of its own in version 3, one after the other in version 2.
pub(crate) fn reply_member(reply: &mut Writer<'_>, member: &[u8], score: Option<f64>) {
    if score.is_some() && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply.bulk(member);
    if let Some(score) = score {
        reply.double(score);
    }
}

/// Announces `members` members, with scores or without, as [`reply_member`] writes them.
pub(crate) fn reply_members(reply: &mut Writer<'_>, members: usize, scores: bool) {
    let pairs_apart = scores && reply.protocol() == Protocol::Resp2;
    reply.array(if pairs_apart { 2 * members } else { members });
}

/// The options of ZADD and GEOADD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddOptions {
    /// NX: only members that are new.
    pub(crate) new: bool,
    /// XX: only members that are there.
    pub(crate) there: bool,
    /// GT: only scores that rise.
    greater: bool,
    /// LT: only scores that fall.
    less: bool,
    /// CH: changed scores count like new members.
    pub(crate) changed: bool,
    /// INCR: the number is added to the score.
    increment: bool,
}

impl AddOptions {
    /// Reads options off the front of `words`, and answers what follows them.
    fn take<'a, 'b>(words: &'b [&'a [u8]]) -> (Self, &'b [&'a [u8]]) {
        let mut all = Self::default();
        let mut rest = words;
        while let [word, tail @ ..] = rest {
            let option = if is(word, "nx") {
                &mut all.new
            } else if is(word, "xx") {
                &mut all.there
            } else if is(word, "gt") {
                &mut all.greater
            } else if is(word, "lt") {
                &mut all.less
            } else if is(word, "ch") {
                &mut all.changed
            } else if is(word, "incr") {
                &mut all.increment
            } else {
                break;
            };
            *option = true;
            rest = tail;
        }
        (all, rest)
    }

    fn check(self, members: usize) -> Result<(), Error> {
        if self.new && self.there {
            return Err(Error::Other("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.new, self.greater, self.less].into_iter().filter(|option| *option).count() > 1 {
            return Err(Error::Other("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.increment && members > 1 {
            return Err(Error::Other("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that a member gets, if it gets one.
    fn score(self, before: Option<f64>, number: f64) -> Result<Option<f64>, Error> {
        let Some(before) = before else { return Ok((!self.there).then_some(one_zero(number))) };
        if self.new {
            return Ok(None);
        }
        let after = if self.increment { before + number } else { number };
        if after.is_nan() {
            return Err(Error::Other("ERR resulting score is not a number (NaN)"));
        }
        let refused = self.greater && after <= before || self.less && after >= before;
        Ok((!refused).then_some(one_zero(after)))
    }
}

/// Makes negative zero the other: members whose scores are equal are ordered by their bytes.
pub(crate) fn one_zero(score: f64) -> f64 {
    score + 0.0
}

fn zadd(c: &mut Context<'_>) -> Result<(), Error> {
    let (options, rest) = AddOptions::take(&c.args[2..]);
    let (pairs, odd) = rest.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return Err(Error::Syntax);
    }
    options.check(pairs.len())?;
    let mut members = Vec::with_capacity(pairs.len());
    for [score, member] in pairs {
        members.push((*member, float(score).ok_or(Error::NotAFloat)?));
    }
    add(c, options, &members)
}

fn zincrby(c: &mut Context<'_>) -> Result<(), Error> {
    let by = float(c.args[2]).ok_or(Error::NotAFloat)?;
    add(c, AddOptions { increment: true, ..AddOptions::default() }, &[(c.args[3], by)])
}

/// Gives members scores as the options say, and answers for it.
pub(crate) fn add(c: &mut Context<'_>, options: AddOptions, members: &[(&[u8], f64)]) -> Result<(), Error> {
    let key = c.args[1];
    let (mut new, mut updated, mut last) = (0, 0, None);
    for (member, number) in members {
        let before = c.db.sorted_set(key)?.and_then(|set| set.score(member));
        // Only INCR can fail here, and it has one member: nothing has changed yet.
        last = options.score(before, *number)?;
        let Some(after) = last else { continue };
        if before != Some(after) {
            c.db.sorted_set_put(key, &[(member, after)])?;
            match before {
                Some(_) => updated += 1,
                None => new += 1,
            }
        }
    }
    if new + updated > 0 {
        c.db.notify(EventClass::SortedSet, if options.increment { "zincr" } else { "zadd" }, key);
    }
    match (options.increment, last) {
        (true, Some(score)) => c.reply.double(score),
        (true, None) => c.reply.null(),
        (false, _) => c.reply.integer(if options.changed { new + updated } else { new }),
    }
    Ok(())
}

fn zrem(c: &mut Context<'_>) -> Result<(), Error> {
    let gone = c.db.sorted_set_remove(c.args[1], &c.args[2..])?;
    if gone > 0 {
        c.tell_shrunk(EventClass::SortedSet, "zrem", c.args[1]);
    }
    c.reply.count(gone as u64);
    Ok(())
}

fn zcard(c: &mut Context<'_>) -> Result<(), Error> {
    let length = c.db.sorted_set(c.args[1])?.map_or(0, SortedSet::len);
    c.reply.count(length as u64);
    Ok(())
}

fn reply_score(reply: &mut Writer<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(c: &mut Context<'_>) -> Result<(), Error> {
    let score = c.db.sorted_set(c.args[1])?.and_then(|set| set.score(c.args[2]));
    reply_score(&mut c.reply, score);
    Ok(())
}

fn zmscore(c: &mut Context<'_>) -> Result<(), Error> {
    let set = c.db.sorted_set(c.args[1])?;
    c.reply.array(c.args.len() - 2);
    for member in &c.args[2..] {
        reply_score(&mut c.reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn rank(c: &mut Context<'_>, from_the_end: bool, command: &'static str) -> Result<(), Error> {
    let member = c.args[2];
    let with_score = match &c.args[3..] {
        [] => false,
        [word] if is(word, "withscore") => true,
        [_] => return Err(Error::Syntax),
        _ => return Err(Error::Arity(command)),
    };
    let set = c.db.sorted_set(c.args[1])?;
    let Some((set, rank)) = set.and_then(|set| set.rank(member).map(|rank| (set, rank))) else {
        if with_score {
            c.reply.null_array();
        } else {
            c.reply.null();
        }
        return Ok(());
    };
    let rank = if from_the_end { set.len() - 1 - rank } else { rank };
    if with_score {
        c.reply.array(2);
    }
    c.reply.count(rank as u64);
    if with_score {
        c.reply.double(set.score(member).unwrap_or_default());
    }
    Ok(())
}

fn zrandmember(c: &mut Context<'_>) -> Result<(), Error> {
    let ask = Ask::parse(&c.args[2..], "withscores")?;
    let Some(set) = c.db.sorted_set(c.args[1])? else {
        ask.reply_nothing(&mut c.reply);
        return Ok(());
    };
    let picks = Picks::new(&ask, set.len(), c.seed)?;
    let start = c.reply.position();
    ask.reply_header(picks.len(), &mut c.reply);
    for rank in picks {
        let (member, score) = set.at(rank).unwrap_or_default();
        reply_member(&mut c.reply, member, ask.with.then_some(score));
        check_length(c.reply.position() - start)?;
    }
    Ok(())
}

fn zscan(c: &mut Context<'_>) -> Result<(), Error> {
    let cursor = ElementScan::cursor(c.args[2])?;
    let Some(set) = c.db.sorted_set(c.args[1])? else {
        reply_page(&mut c.reply, None, &[]);
        return Ok(());
    };
    let scan = ElementScan::parse(&c.args[3..])?;
    let mut words = Vec::new();
    let next = set.scan(cursor, scan.count, &mut |member, score| {
        if scan.wants(member) {
            let mut text = Vec::new();
            push_double(&mut text, score);
            words.extend([member.to_vec(), text]);
        }
    });
    reply_page(&mut c.reply, next, &words);
    Ok(())
}

#[cfg(test)]
mod tests;
