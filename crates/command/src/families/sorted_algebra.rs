//! Unions, intersections and differences of sorted sets, and of plain sets, whose members have score 1.

use crate::error::Error;
use crate::execute::Context;
use crate::families::sorted_ranges::store;
use crate::families::sorted_sets::{Scored, one_zero, reply_member, reply_members, sorted_set};
use crate::spec::{self, Flags as F, KeyFlags as K, KeySpec, Spec};
use crate::words::{float, integer, is};
use base::database::{Database, Direction, Kind, Set, SortedSet};
use std::collections::BTreeMap;

/// As many keys as the word `index` says, behind it.
const fn counted(index: usize) -> KeySpec {
    spec::counted(index, 1, &[K::RO, K::ACCESS])
}

const READ: &[KeySpec] = &[counted(1)];
const READ_AND_STORED: &[KeySpec] = &[spec::at(1, 0, 1, &[K::OW, K::UPDATE]), counted(2)];

const fn answer(id: u16, name: &'static str) -> Spec {
    sorted_set(id, name, -3).flags(&[F::READONLY, F::MOVABLEKEYS]).keys_at(READ)
}

const fn stored(id: u16, name: &'static str) -> Spec {
    sorted_set(id, name, -4).flags(&[F::WRITE, F::DENYOOM, F::MOVABLEKEYS]).keys_at(READ_AND_STORED)
}

const UNION: &str = "O(N*log(M)) for N members altogether and M different ones";
const INTERSECTION: &str = "O(K*N*log(N)) for K sets and N members in the smallest";
const DIFFERENCE: &str = "O(K*N*log(N)) for K sets and N members in the first";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    answer(636, "zunion")
        .docs("6.2.0", UNION, "Answers the members of all sets.")
        .does(|c| reply(c, Operation::Union, "zunion")),
    answer(637, "zinter")
        .docs("6.2.0", INTERSECTION, "Answers the members that all sets have.")
        .does(|c| reply(c, Operation::Intersection, "zinter")),
    answer(638, "zdiff")
        .docs("6.2.0", DIFFERENCE, "Answers the members of the first set that no other has.")
        .does(|c| reply(c, Operation::Difference, "zdiff")),
    stored(639, "zunionstore")
        .docs("2.0.0", UNION, "Stores the members of all sets.")
        .does(|c| put(c, Operation::Union, "zunionstore")),
    stored(640, "zinterstore")
        .docs("2.0.0", INTERSECTION, "Stores the members that all sets have.")
        .does(|c| put(c, Operation::Intersection, "zinterstore")),
    stored(641, "zdiffstore")
        .docs("6.2.0", DIFFERENCE, "Stores the members of the first set that no other has.")
        .does(|c| put(c, Operation::Difference, "zdiffstore")),
    answer(642, "zintercard")
        .docs("7.0.0", INTERSECTION, "Counts the members that all sets have.")
        .does(zintercard),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// How the scores of a member in several sets become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Least,
    Greatest,
}

impl Aggregate {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            // Opposite infinities make nothing, as in Redis.
            Aggregate::Sum => number(a + b),
            Aggregate::Least => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Greatest => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

/// Makes what is no number zero, and both zeros one.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { one_zero(score) }
}

/// A set of either type.
#[derive(Clone, Copy)]
enum Members<'a> {
    None,
    Plain(&'a dyn Set),
    Sorted(&'a dyn SortedSet),
}

impl<'a> Members<'a> {
    fn of(db: &'a dyn Database, key: &[u8]) -> Result<Self, Error> {
        Ok(match db.kind(key) {
            Some(Kind::Set) => db.set(key)?.map_or(Members::None, Members::Plain),
            _ => db.sorted_set(key)?.map_or(Members::None, Members::Sorted),
        })
    }

    fn len(self) -> usize {
        match self {
            Members::None => 0,
            Members::Plain(set) => set.len(),
            Members::Sorted(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Members::None => None,
            Members::Plain(set) => set.contains(member).then_some(1.0),
            Members::Sorted(set) => set.score(member),
        }
    }

    fn walk(self, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        match self {
            Members::None => {}
            Members::Plain(set) => set.walk(&mut |member| visit(member, 1.0)),
            Members::Sorted(set) => set.walk(0, Direction::Forward, visit),
        }
    }
}

/// A set and what its scores are multiplied by.
#[derive(Clone, Copy)]
struct Source<'a> {
    members: Members<'a>,
    weight: f64,
}

/// What the words behind the keys say.
struct Options {
    weights: Option<Vec<f64>>,
    aggregate: Aggregate,
    with_scores: bool,
}

/// Some of the words of a request.
type Words<'a, 'b> = &'b [&'a [u8]];

/// The keys of `words`, whose first is their number, and what follows them.
fn keys<'a, 'b>(
    words: &'b [&'a [u8]],
    command: &'static str,
) -> Result<(Words<'a, 'b>, Words<'a, 'b>), Error> {
    let number = integer(words[0])?;
    if number < 1 {
        let text = format!("ERR at least 1 input key is needed for '{command}' command");
        return Err(Error::Shown(text.into()));
    }
    let number = usize::try_from(number).map_err(|_| Error::Syntax)?;
    words[1..].split_at_checked(number).ok_or(Error::Syntax)
}

fn sets<'a>(db: &'a dyn Database, keys: &[&[u8]]) -> Result<Vec<Members<'a>>, Error> {
    keys.iter().map(|key| Members::of(db, key)).collect()
}

fn options(words: &[&[u8]], operation: Operation, sets: usize, storing: bool) -> Result<Options, Error> {
    let mut options = Options { weights: None, aggregate: Aggregate::Sum, with_scores: false };
    let weighs = operation != Operation::Difference;
    let mut rest = words;
    loop {
        rest = match rest {
            [] => return Ok(options),
            [word, tail @ ..] if weighs && is(word, "weights") && tail.len() >= sets => {
                let (weights, tail) = tail.split_at(sets);
                let weights: Option<Vec<_>> = weights.iter().map(|weight| float(weight)).collect();
                options.weights = Some(weights.ok_or(Error::Other("ERR weight value is not a float"))?);
                tail
            }
            [word, how, tail @ ..] if weighs && is(word, "aggregate") => {
                options.aggregate = if is(how, "sum") {
                    Aggregate::Sum
                } else if is(how, "min") {
                    Aggregate::Least
                } else if is(how, "max") {
                    Aggregate::Greatest
                } else {
                    return Err(Error::Syntax);
                };
                tail
            }
            [word, tail @ ..] if !storing && is(word, "withscores") => {
                options.with_scores = true;
                tail
            }
            _ => return Err(Error::Syntax),
        };
    }
}

/// Reads `words` from the number of keys on, and works the result out, in the order of a sorted set.
fn result(
    db: &dyn Database,
    words: &[&[u8]],
    operation: Operation,
    storing: bool,
    command: &'static str,
) -> Result<(Scored, bool), Error> {
    let (keys, rest) = keys(words, command)?;
    let sets = sets(db, keys)?;
    let options = options(rest, operation, sets.len(), storing)?;
    let weight = |index| options.weights.as_ref().map_or(1.0, |weights| weights[index]);
    let mut sources: Vec<_> = sets
        .iter()
        .enumerate()
        .map(|(index, members)| Source { members: *members, weight: weight(index) })
        .collect();
    if operation != Operation::Difference {
        // From the smallest to the largest, as Redis does it: sums of doubles depend on their order.
        sources.sort_by_key(|source| source.members.len());
    }
    let mut members = match operation {
        Operation::Union => union(&sources, options.aggregate),
        Operation::Intersection => intersection(&sources, options.aggregate),
        Operation::Difference => difference(&sources),
    };
    members.sort_by(|(left, a), (right, b)| a.total_cmp(b).then_with(|| left.cmp(right)));
    Ok((members, options.with_scores))
}

fn union(sources: &[Source<'_>], aggregate: Aggregate) -> Scored {
    let mut all: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    for source in sources {
        source.members.walk(&mut |member, score| {
            let score = number(source.weight * score);
            match all.get_mut(member) {
                Some(sum) => *sum = aggregate.of(*sum, score),
                None => {
                    all.insert(member.to_vec(), score);
                }
            }
            true
        });
    }
    all.into_iter().collect()
}

fn intersection(sources: &[Source<'_>], aggregate: Aggregate) -> Scored {
    let [smallest, others @ ..] = sources else { return Vec::new() };
    let mut all = Vec::new();
    smallest.members.walk(&mut |member, score| {
        let mut sum = number(smallest.weight * score);
        for other in others {
            let Some(score) = other.members.score(member) else { return true };
            sum = one_zero(aggregate.of(sum, other.weight * score));
        }
        all.push((member.to_vec(), sum));
        true
    });
    all
}

fn difference(sources: &[Source<'_>]) -> Scored {
    let [first, others @ ..] = sources else { return Vec::new() };
    let mut all = Vec::new();
    first.members.walk(&mut |member, score| {
        if others.iter().all(|other| other.members.score(member).is_none()) {
            all.push((member.to_vec(), score));
        }
        true
    });
    all
}

fn reply(c: &mut Context<'_>, operation: Operation, command: &'static str) -> Result<(), Error> {
    let (members, with_scores) = result(c.db, &c.args[1..], operation, false, command)?;
    reply_members(&mut c.reply, members.len(), with_scores);
    for (member, score) in &members {
        reply_member(&mut c.reply, member, with_scores.then_some(*score));
    }
    Ok(())
}

fn put(c: &mut Context<'_>, operation: Operation, command: &'static str) -> Result<(), Error> {
    let (members, _) = result(c.db, &c.args[2..], operation, true, command)?;
    store(c, c.args[1], &members, command)
}

fn zintercard(c: &mut Context<'_>) -> Result<(), Error> {
    let (keys, mut rest) = keys(&c.args[1..], "zintercard")?;
    let mut sets = sets(c.db, keys)?;
    let mut limit = usize::MAX;
    loop {
        rest = match rest {
            [] => break,
            [word, number, tail @ ..] if is(word, "limit") => {
                let number = integer(number).ok().and_then(|number| usize::try_from(number).ok());
                limit = match number.ok_or(Error::Other("ERR LIMIT can't be negative"))? {
                    0 => usize::MAX,
                    limit => limit,
                };
                tail
            }
            _ => return Err(Error::Syntax),
        };
    }
    sets.sort_by_key(|set| set.len());
    let mut count = 0;
    if let [smallest, others @ ..] = &sets[..] {
        smallest.walk(&mut |member, _| {
            count += usize::from(others.iter().all(|other| other.score(member).is_some()));
            count < limit
        });
    }
    c.reply.count(count as u64);
    Ok(())
}

#[cfg(test)]
mod tests;
