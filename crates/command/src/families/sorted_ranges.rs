//! Ranges of sorted sets: by rank, by score and by the bytes of members.
//!
//! Every range becomes one of ranks, which two searches in logarithmic time find; only what is answered is walked over.

use crate::error::Error;
use crate::execute::Context;
use crate::families::sorted_sets::{getter, reader, reply_member, reply_members, sorted_set};
use crate::spec::{self, Flags as F, KeyFlags as K, KeySpec, Spec};
use crate::words::{integer, is};
use base::database::{Direction, EventClass, SortedSet};
use std::ops::Range;

const fn remover(id: u16, name: &'static str) -> Spec {
    sorted_set(id, name, 4).flags(&[F::WRITE]).keys_at(spec::KEY_SHRUNK)
}

/// The first key is overwritten with what the second gives.
pub(crate) const STORED_FROM: &[KeySpec] =
    &[spec::at(1, 0, 1, &[K::OW, K::UPDATE]), spec::at(2, 0, 1, &[K::RO, K::ACCESS])];

const N: &str = "O(log(N)+M) for M members answered of N";
const GONE: &str = "O(log(N)+M) for M members that go, of N";

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    getter(612, "zcount", 4)
        .docs("2.0.0", "O(log(N)) for N members", "Counts the members whose scores lie between two.")
        .does(|c| count(c, By::Score)),
    getter(613, "zlexcount", 4)
        .docs("2.8.9", "O(log(N)) for N members", "Counts the members that lie between two, by their bytes.")
        .does(|c| count(c, By::Lex)),
    reader(618, "zrange", -4)
        .docs("1.2.0", N, "Answers the members of a range of ranks, scores or bytes.")
        .does(|c| range(c, None, Direction::Forward)),
    sorted_set(619, "zrangestore", -5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(STORED_FROM)
        .docs(
            "6.2.0",
            "O(log(N)+M) for M members stored of N",
            "Stores the members of a range under another key.",
        )
        .does(zrangestore),
    reader(620, "zrevrange", -4)
        .docs("1.2.0", N, "Answers the members of a range of ranks, the highest score first.")
        .does(|c| range(c, Some(By::Rank), Direction::Backward)),
    reader(621, "zrangebyscore", -4)
        .docs("1.0.5", N, "Answers the members whose scores lie between two.")
        .does(|c| range(c, Some(By::Score), Direction::Forward)),
    reader(622, "zrevrangebyscore", -4)
        .docs("2.2.0", N, "Answers the members whose scores lie between two, the highest first.")
        .does(|c| range(c, Some(By::Score), Direction::Backward)),
    reader(623, "zrangebylex", -4)
        .docs("2.8.9", N, "Answers the members that lie between two, by their bytes.")
        .does(|c| range(c, Some(By::Lex), Direction::Forward)),
    reader(624, "zrevrangebylex", -4)
        .docs("2.8.9", N, "Answers the members that lie between two, by their bytes, the last first.")
        .does(|c| range(c, Some(By::Lex), Direction::Backward)),
    remover(625, "zremrangebyrank")
        .docs("2.0.0", GONE, "Takes out the members of a range of ranks.")
        .does(|c| remove(c, By::Rank, "zremrangebyrank")),
    remover(626, "zremrangebyscore")
        .docs("1.2.0", GONE, "Takes out the members whose scores lie between two.")
        .does(|c| remove(c, By::Score, "zremrangebyscore")),
    remover(627, "zremrangebylex")
        .docs("2.8.9", GONE, "Takes out the members that lie between two, by their bytes.")
        .does(|c| remove(c, By::Lex, "zremrangebylex")),
];

/// What a range is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The two ends of a range.
enum Ends<'a> {
    Rank(i64, i64),
    /// Each score, and whether the range ends before it.
    Score((f64, bool), (f64, bool)),
    Lex(LexEnd<'a>, LexEnd<'a>),
}

/// An end of a range of bytes.
#[derive(Clone, Copy)]
enum LexEnd<'a> {
    /// `-`
    First,
    /// `+`
    Last,
    /// `[member`
    Including(&'a [u8]),
    /// `(member`
    Excluding(&'a [u8]),
}

impl<'a> Ends<'a> {
    fn parse(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Self, Error> {
        Ok(match by {
            By::Rank => Ends::Rank(integer(low)?, integer(high)?),
            By::Score => Ends::Score(score_end(low)?, score_end(high)?),
            By::Lex => Ends::Lex(LexEnd::parse(low)?, LexEnd::parse(high)?),
        })
    }

    /// The ranks that the range has in `set`, counted in `direction`: for [`Direction::Backward`] the last member has rank 0 if the
    /// range is one of ranks.
    fn ranks(&self, set: &dyn SortedSet, direction: Direction) -> Range<usize> {
        let length = set.len();
        let (start, end) = match self {
            Ends::Rank(start, stop) => {
                let end = length as i64;
                let from_end = |at: i64| if at < 0 { at.saturating_add(end) } else { at };
                let start = from_end(*start).clamp(0, end);
                let stop = from_end(*stop).saturating_add(1).clamp(0, end);
                match direction {
                    Direction::Forward => (start as usize, stop as usize),
                    Direction::Backward => ((end - stop) as usize, (end - start) as usize),
                }
            }
            Ends::Score((low, above), (high, below)) => {
                (set.count_below(*low, *above), set.count_below(*high, !below))
            }
            Ends::Lex(low, high) => (low.count_before(set, false), high.count_before(set, true)),
        };
        start..end.max(start)
    }
}

impl<'a> LexEnd<'a> {
    fn parse(word: &'a [u8]) -> Result<Self, Error> {
        match word {
            b"-" => Ok(LexEnd::First),
            b"+" => Ok(LexEnd::Last),
            [b'[', member @ ..] => Ok(LexEnd::Including(member)),
            [b'(', member @ ..] => Ok(LexEnd::Excluding(member)),
            _ => Err(Error::Other("ERR min or max not valid string range item")),
        }
    }

    /// How many members lie before a range that begins here, or, if it is its `upper` end, before what lies behind it.
    fn count_before(self, set: &dyn SortedSet, upper: bool) -> usize {
        match self {
            LexEnd::First => 0,
            LexEnd::Last => set.len(),
            LexEnd::Including(member) => set.count_below_lex(member, upper),
            LexEnd::Excluding(member) => set.count_below_lex(member, !upper),
        }
    }
}

/// Reads `score` or `(score`. Unlike the score of a member, one beyond all doubles is infinite here.
fn score_end(word: &[u8]) -> Result<(f64, bool), Error> {
    let (exclusive, number) = match word {
        [b'(', number @ ..] => (true, number),
        number => (false, number),
    };
    // Redis takes no digits at all for zero.
    let number = if number.is_empty() { b"0" } else { number };
    let score = std::str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
    let score = score.filter(|score| !score.is_nan());
    score.map(|score| (score, exclusive)).ok_or(Error::Other("ERR min or max is not a float"))
}

/// Everything that a request for a range says.
struct Request<'a> {
    ends: Ends<'a>,
    direction: Direction,
    with_scores: bool,
    /// LIMIT: how many to pass over, and how many to answer; negative: all.
    limit: (i64, i64),
}

impl<'a> Request<'a> {
    /// Reads `words`: both ends and the options. What the command's own name says already (`by`) is no option.
    fn parse(
        words: &[&'a [u8]],
        by: Option<By>,
        mut direction: Direction,
        storing: bool,
    ) -> Result<Self, Error> {
        let [low, high, options @ ..] = words else { return Err(Error::Syntax) };
        let fixed = by.is_some();
        let mut by = by;
        let mut with_scores = false;
        let mut limit = (0, -1);
        let mut rest = options;
        loop {
            rest = match rest {
                [] => break,
                [word, tail @ ..] if !storing && is(word, "withscores") => {
                    with_scores = true;
                    tail
                }
                [word, offset, count, tail @ ..] if is(word, "limit") => {
                    limit = (integer(offset)?, integer(count)?);
                    tail
                }
                [word, tail @ ..] if !fixed && direction == Direction::Forward && is(word, "rev") => {
                    direction = Direction::Backward;
                    tail
                }
                [word, tail @ ..] if by.is_none() && is(word, "bylex") => {
                    by = Some(By::Lex);
                    tail
                }
                [word, tail @ ..] if by.is_none() && is(word, "byscore") => {
                    by = Some(By::Score);
                    tail
                }
                _ => return Err(Error::Syntax),
            };
        }
        let by = by.unwrap_or(By::Rank);
        if by == By::Rank && limit.1 != -1 {
            return Err(Error::Other(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && with_scores {
            return Err(Error::Other("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        // Backwards, the higher end comes first; but ranks are then counted from the end.
        let swapped = direction == Direction::Backward && by != By::Rank;
        let (low, high) = if swapped { (high, low) } else { (low, high) };
        Ok(Self { ends: Ends::parse(by, low, high)?, direction, with_scores, limit })
    }

    /// The rank to begin at and how many members to visit.
    fn plan(&self, set: &dyn SortedSet) -> (usize, usize) {
        let range = self.ends.ranks(set, self.direction);
        let (offset, count) = if matches!(self.ends, Ends::Rank(..)) { (0, -1) } else { self.limit };
        // A negative offset passes over everything, as in Redis.
        let passed = usize::try_from(offset).unwrap_or(usize::MAX).min(range.len());
        let left = range.len() - passed;
        let count = usize::try_from(count).map_or(left, |count| count.min(left));
        match self.direction {
            _ if count == 0 => (0, 0),
            Direction::Forward => (range.start + passed, count),
            Direction::Backward => (range.end - 1 - passed, count),
        }
    }
}

/// Visits `count` members from `rank` on; there must be as many.
fn visit(
    set: &dyn SortedSet,
    (rank, count): (usize, usize),
    direction: Direction,
    member: &mut dyn FnMut(&[u8], f64),
) {
    if count == 0 {
        return;
    }
    let mut left = count;
    set.walk(rank, direction, &mut |name, score| {
        member(name, score);
        left -= 1;
        left > 0
    });
}

fn range(c: &mut Context<'_>, by: Option<By>, direction: Direction) -> Result<(), Error> {
    let request = Request::parse(&c.args[2..], by, direction, false)?;
    let Some(set) = c.db.sorted_set(c.args[1])? else {
        c.reply.array(0);
        return Ok(());
    };
    let plan = request.plan(set);
    reply_members(&mut c.reply, plan.1, request.with_scores);
    visit(set, plan, request.direction, &mut |member, score| {
        reply_member(&mut c.reply, member, request.with_scores.then_some(score));
    });
    Ok(())
}

fn zrangestore(c: &mut Context<'_>) -> Result<(), Error> {
    let request = Request::parse(&c.args[3..], None, Direction::Forward, true)?;
    let mut members = Vec::new();
    if let Some(set) = c.db.sorted_set(c.args[2])? {
        visit(set, request.plan(set), request.direction, &mut |member, score| {
            members.push((member.to_vec(), score));
        });
    }
    store(c, c.args[1], &members, "zrangestore")
}

/// Puts `members` under `key`, whatever that held, and answers how many there are; nothing takes the key away.
pub(crate) fn store(
    c: &mut Context<'_>,
    key: &[u8],
    members: &[(Vec<u8>, f64)],
    event: &'static str,
) -> Result<(), Error> {
    let there = c.db.remove(key);
    if !members.is_empty() {
        let members: Vec<_> = members.iter().map(|(member, score)| (&member[..], *score)).collect();
        c.db.sorted_set_put(key, &members)?;
        c.db.notify(EventClass::SortedSet, event, key);
    } else if there {
        c.db.notify(EventClass::Generic, "del", key);
    }
    c.reply.count(members.len() as u64);
    Ok(())
}

fn count(c: &mut Context<'_>, by: By) -> Result<(), Error> {
    let ends = Ends::parse(by, c.args[2], c.args[3])?;
    let set = c.db.sorted_set(c.args[1])?;
    let count = set.map_or(0, |set| ends.ranks(set, Direction::Forward).len());
    c.reply.count(count as u64);
    Ok(())
}

fn remove(c: &mut Context<'_>, by: By, event: &'static str) -> Result<(), Error> {
    let key = c.args[1];
    let ends = Ends::parse(by, c.args[2], c.args[3])?;
    let mut members = Vec::new();
    if let Some(set) = c.db.sorted_set(key)? {
        let range = ends.ranks(set, Direction::Forward);
        visit(set, (range.start, range.len()), Direction::Forward, &mut |member, _| {
            members.push(member.to_vec());
        });
    }
    let gone: Vec<_> = members.iter().map(|member| &member[..]).collect();
    if !gone.is_empty() {
        c.db.sorted_set_remove(key, &gone)?;
        c.tell_shrunk(EventClass::SortedSet, event, key);
    }
    c.reply.count(members.len() as u64);
    Ok(())
}

#[cfg(test)]
mod tests;
