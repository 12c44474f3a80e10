//! Lists: elements in an order that commands choose.
//!
//! The blocking commands try once. With nothing there they say so by `Error::WouldBlock`, and whoever runs them waits;
//! a key of another type is an error at once.

use crate::error::{Error, Nothing};
use crate::execute::Context;
use crate::spec::{self, Flags as F, Group, KeyFlags as K, KeySpec, Place, Spec};
use crate::words::{at_least, block_seconds, integer, is};
use base::database::{Direction, EventClass};

const fn list(id: u16, name: &'static str, arity: i32) -> Spec {
    Spec::new(id, name, arity, Group::List, Place::Keys)
}

const fn push(id: u16, name: &'static str) -> Spec {
    list(id, name, -3).flags(&[F::WRITE, F::DENYOOM, F::FAST]).keys_at(spec::KEY_GROWN)
}

const fn blocking(id: u16, name: &'static str, arity: i32) -> Spec {
    list(id, name, arity).flags(&[F::WRITE, F::NOSCRIPT, F::BLOCKING])
}

/// From one list to the other.
const TWO_KEYS: &[KeySpec] =
    &[spec::at(1, 0, 1, &[K::RW, K::ACCESS, K::DELETE]), spec::at(2, 0, 1, &[K::RW, K::INSERT])];
/// All words but the timeout at the end.
const KEYS_BEFORE_TIMEOUT: &[KeySpec] = &[spec::at(1, -2, 1, &[K::RW, K::ACCESS, K::DELETE])];

/// As many keys as the word at `index` says.
const fn counted(index: usize) -> KeySpec {
    spec::counted(index, 1, &[K::RW, K::ACCESS, K::DELETE])
}

/// The family's part of the table.
pub(crate) const SPECS: &[Spec] = &[
    push(523, "lpush")
        .docs("1.0.0", "O(N) for N elements", "Puts elements at the beginning of a list, the last one first.")
        .does(|c| grow(c, End::Left, false)),
    push(524, "rpush")
        .docs("1.0.0", "O(N) for N elements", "Puts elements at the end of a list.")
        .does(|c| grow(c, End::Right, false)),
    push(525, "lpushx")
        .docs("2.2.0", "O(N) for N elements", "Puts elements at the beginning of a list that is there.")
        .does(|c| grow(c, End::Left, true)),
    push(526, "rpushx")
        .docs("2.2.0", "O(N) for N elements", "Puts elements at the end of a list that is there.")
        .does(|c| grow(c, End::Right, true)),
    list(527, "lpop", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("1.0.0", "O(N) for N elements answered", "Takes elements from the beginning of a list.")
        .does(|c| pop(c, End::Left, "lpop")),
    list(528, "rpop", -2)
        .flags(&[F::WRITE, F::FAST])
        .keys_at(spec::KEY_READ_AND_REMOVED)
        .docs("1.0.0", "O(N) for N elements answered", "Takes elements from the end of a list.")
        .does(|c| pop(c, End::Right, "rpop")),
    list(529, "llen", 2)
        .flags(&[F::READONLY, F::FAST])
        .keys_at(spec::KEY_LOOKED_AT)
        .docs("1.0.0", "O(1)", "Answers how many elements a list has.")
        .does(llen),
    list(530, "lindex", 3)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(log(N)) for N elements", "Answers the element at an index.")
        .does(lindex),
    list(531, "lset", 4)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_TOUCHED_UP)
        .docs("1.0.0", "O(log(N)) for N elements", "Puts another element at an index.")
        .does(lset),
    list(532, "linsert", 5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(spec::KEY_GROWN)
        .docs(
            "2.2.0",
            "O(N) for N elements up to the one looked for",
            "Puts an element before or after another.",
        )
        .does(linsert),
    list(533, "lrange", 4)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("1.0.0", "O(log(N)+M) for N elements of which M are answered", "Answers a range of elements.")
        .does(lrange),
    list(534, "lrem", 4)
        .flags(&[F::WRITE])
        .keys_at(spec::KEY_SHRUNK)
        .docs("1.0.0", "O(N+M*log(N)) for N elements of which M go", "Takes out the elements that equal one.")
        .does(lrem),
    list(535, "ltrim", 4)
        .flags(&[F::WRITE])
        .keys_at(spec::KEY_SHRUNK)
        .docs("1.0.0", "O(log(N)+M) for N elements of which M go", "Keeps a range of elements, and no other.")
        .does(ltrim),
    list(536, "lpos", -3)
        .flags(&[F::READONLY])
        .keys_at(spec::KEY_READ)
        .docs("6.0.6", "O(N) for N elements looked at", "Finds where elements equal one.")
        .does(lpos),
    list(537, "lmove", 5)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(TWO_KEYS)
        .docs("6.2.0", "O(1)", "Takes an element from an end of one list to an end of another.")
        .does(|c| {
            let (from, to) = (End::parse(c.args[3])?, End::parse(c.args[4])?);
            move_or(c, from, to, None)
        }),
    list(538, "rpoplpush", 3)
        .flags(&[F::WRITE, F::DENYOOM])
        .keys_at(TWO_KEYS)
        .docs("1.2.0", "O(1)", "Takes the last element of one list to the beginning of another.")
        .does(|c| move_or(c, End::Right, End::Left, None)),
    list(539, "lmpop", -4)
        .flags(&[F::WRITE, F::MOVABLEKEYS])
        .keys_at(&[counted(1)])
        .docs(
            "7.0.0",
            "O(N+M) for N keys and M elements answered",
            "Takes elements from the first list that is there.",
        )
        .does(|c| {
            let ask = Popping::parse(&c.args[1..])?;
            pop_first(c, &ask, None)
        }),
    blocking(540, "blpop", -3)
        .keys_at(KEYS_BEFORE_TIMEOUT)
        .docs(
            "2.0.0",
            "O(N) for N keys",
            "Takes the first element of the first list that is there; waits for one.",
        )
        .does(|c| blocking_pop(c, End::Left)),
    blocking(541, "brpop", -3)
        .keys_at(KEYS_BEFORE_TIMEOUT)
        .docs(
            "2.0.0",
            "O(N) for N keys",
            "Takes the last element of the first list that is there; waits for one.",
        )
        .does(|c| blocking_pop(c, End::Right)),
    blocking(542, "blmove", 6)
        .flags(&[F::DENYOOM])
        .keys_at(TWO_KEYS)
        .docs(
            "6.2.0",
            "O(1)",
            "Takes an element from an end of one list to an end of another; waits for one.",
        )
        .does(|c| {
            let (from, to) = (End::parse(c.args[3])?, End::parse(c.args[4])?);
            block_seconds(c.args[5])?;
            move_or(c, from, to, Some(Nothing::Null))
        }),
    blocking(543, "brpoplpush", 4)
        .flags(&[F::DENYOOM])
        .keys_at(TWO_KEYS)
        .docs(
            "2.2.0",
            "O(1)",
            "Takes the last element of one list to the beginning of another; waits for one.",
        )
        .does(|c| {
            block_seconds(c.args[3])?;
            move_or(c, End::Right, End::Left, Some(Nothing::Null))
        }),
    list(544, "blmpop", -5)
        .flags(&[F::WRITE, F::BLOCKING, F::MOVABLEKEYS])
        .keys_at(&[counted(2)])
        .docs(
            "7.0.0",
            "O(N+M) for N keys and M elements answered",
            "Takes elements from the first list that is there; waits for one.",
        )
        .does(|c| {
            block_seconds(c.args[1])?;
            let ask = Popping::parse(&c.args[2..])?;
            pop_first(c, &ask, Some(Nothing::NullArray))
        }),
];

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The beginning.
    Left,
    /// The end.
    Right,
}

impl End {
    fn parse(word: &[u8]) -> Result<Self, Error> {
        if is(word, "left") {
            Ok(End::Left)
        } else if is(word, "right") {
            Ok(End::Right)
        } else {
            Err(Error::Syntax)
        }
    }

    /// What a push at this end is called.
    const fn push_event(self) -> &'static str {
        match self {
            End::Left => "lpush",
            End::Right => "rpush",
        }
    }

    /// What a pop at this end is called.
    const fn pop_event(self) -> &'static str {
        match self {
            End::Left => "lpop",
            End::Right => "rpop",
        }
    }
}

/// Counts from the end what is negative; what lies before the beginning stays negative.
fn from_front(at: i64, length: usize) -> i64 {
    if at < 0 { at.saturating_add(length as i64) } else { at }
}

/// The first index and the number of elements from `start` to `end`, both included.
fn range(start: i64, end: i64, length: usize) -> Option<(usize, usize)> {
    let start = from_front(start, length).max(0);
    let end = from_front(end, length).min(length as i64 - 1);
    (start <= end).then(|| (start as usize, (end - start) as usize + 1))
}

fn grow(c: &mut Context<'_>, end: End, only_if_there: bool) -> Result<(), Error> {
    let key = c.args[1];
    let before = c.db.list(key)?.map(|list| list.len());
    if only_if_there && before.is_none() {
        c.reply.integer(0);
        return Ok(());
    }
    let elements = &c.args[2..];
    let length = match end {
        End::Right => c.db.list_insert(key, before.unwrap_or(0), elements)?,
        End::Left => {
            let reversed: Vec<&[u8]> = elements.iter().rev().copied().collect();
            c.db.list_insert(key, 0, &reversed)?
        }
    };
    c.db.notify(EventClass::List, end.push_event(), key);
    c.reply.count(length as u64);
    Ok(())
}

/// LPOP and RPOP.
fn pop(c: &mut Context<'_>, end: End, command: &'static str) -> Result<(), Error> {
    let key = c.args[1];
    let count = match &c.args[2..] {
        [] => None,
        [count] => Some(at_least(count, 0, "ERR value is out of range, must be positive")?),
        _ => return Err(Error::Arity(command)),
    };
    if c.db.list(key)?.is_none() {
        match count {
            None => c.reply.null(),
            Some(_) => c.reply.null_array(),
        }
        return Ok(());
    }
    take(c, key, end, count)
}

/// Takes `count` elements from the list at `key`, which is there, and answers them as an array; without a count it is one,
/// by itself.
/// Whether there is a list to take from. Who comes hears of a key of another type; who has waited goes on waiting.
fn has_list(c: &Context<'_>, key: &[u8]) -> Result<bool, Error> {
    match c.db.list(key) {
        Ok(found) => Ok(found.is_some()),
        Err(_) if c.has_waited => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn take(c: &mut Context<'_>, key: &[u8], end: End, count: Option<usize>) -> Result<(), Error> {
    let Some(list) = c.db.list(key)? else { return Ok(()) };
    let length = list.len();
    let taken = count.unwrap_or(1).min(length);
    if count.is_some() {
        c.reply.array(taken);
    }
    if taken == 0 {
        return Ok(());
    }
    let (from, direction, first) = match end {
        End::Left => (0, Direction::Forward, 0),
        End::Right => (length - 1, Direction::Backward, length - taken),
    };
    let mut left = taken;
    list.walk(from, direction, &mut |_, element| {
        c.reply.bulk(element);
        left -= 1;
        left > 0
    });
    c.db.list_remove(key, first, taken)?;
    c.tell_shrunk(EventClass::List, end.pop_event(), key);
    Ok(())
}

fn llen(c: &mut Context<'_>) -> Result<(), Error> {
    let length = c.db.list(c.args[1])?.map_or(0, |list| list.len());
    c.reply.count(length as u64);
    Ok(())
}

fn lindex(c: &mut Context<'_>) -> Result<(), Error> {
    let Some(list) = c.db.list(c.args[1])? else {
        c.reply.null();
        return Ok(());
    };
    let index = from_front(integer(c.args[2])?, list.len());
    c.reply.bulk_or_null(usize::try_from(index).ok().and_then(|index| list.get(index)));
    Ok(())
}

fn lset(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let length = c.db.list(key)?.ok_or(Error::NoSuchKey)?.len();
    let index = usize::try_from(from_front(integer(c.args[2])?, length)).unwrap_or(usize::MAX);
    if !c.db.list_replace(key, index, c.args[3])? {
        return Err(Error::Other("ERR index out of range"));
    }
    c.db.notify(EventClass::List, "lset", key);
    c.reply.ok();
    Ok(())
}

fn linsert(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, pivot) = (c.args[1], c.args[3]);
    let behind = if is(c.args[2], "after") {
        1
    } else if is(c.args[2], "before") {
        0
    } else {
        return Err(Error::Syntax);
    };
    let Some(list) = c.db.list(key)? else {
        c.reply.integer(0);
        return Ok(());
    };
    let mut found = None;
    list.walk(0, Direction::Forward, &mut |index, element| {
        found = (element == pivot).then_some(index);
        found.is_none()
    });
    let Some(at) = found else {
        c.reply.integer(-1);
        return Ok(());
    };
    let length = c.db.list_insert(key, at + behind, &[c.args[4]])?;
    c.db.notify(EventClass::List, "linsert", key);
    c.reply.count(length as u64);
    Ok(())
}

fn lrange(c: &mut Context<'_>) -> Result<(), Error> {
    let (start, end) = (integer(c.args[2])?, integer(c.args[3])?);
    let list = c.db.list(c.args[1])?;
    let Some((list, (from, count))) = list.and_then(|list| Some((list, range(start, end, list.len())?)))
    else {
        c.reply.array(0);
        return Ok(());
    };
    c.reply.array(count);
    let mut left = count;
    list.walk(from, Direction::Forward, &mut |_, element| {
        c.reply.bulk(element);
        left -= 1;
        left > 0
    });
    Ok(())
}

fn lrem(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, wanted) = (c.args[1], c.args[3]);
    let count = integer(c.args[2])?;
    let Some(list) = c.db.list(key)? else {
        c.reply.integer(0);
        return Ok(());
    };
    let (from, direction) =
        if count < 0 { (list.len() - 1, Direction::Backward) } else { (0, Direction::Forward) };
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let mut found = Vec::new();
    list.walk(from, direction, &mut |index, element| {
        if element == wanted {
            found.push(index);
        }
        (found.len() as u64) < most
    });
    // From the back, so that the indexes before stay what they are; neighbours go together.
    found.sort_unstable();
    for run in found.chunk_by(|a, b| a + 1 == *b).rev() {
        c.db.list_remove(key, run[0], run.len())?;
    }
    if !found.is_empty() {
        c.tell_shrunk(EventClass::List, "lrem", key);
    }
    c.reply.count(found.len() as u64);
    Ok(())
}

fn ltrim(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let (start, end) = (integer(c.args[2])?, integer(c.args[3])?);
    if let Some(length) = c.db.list(key)?.map(|list| list.len()) {
        let (from, count) = range(start, end, length).unwrap_or((length, 0));
        c.db.list_remove(key, from + count, length - from - count)?;
        c.db.list_remove(key, 0, from)?;
        c.tell_shrunk(EventClass::List, "ltrim", key);
    }
    c.reply.ok();
    Ok(())
}

/// The options of LPOS.
struct Search {
    /// RANK: which match is the first to be answered, counted from 1; negative, from the end.
    rank: i64,
    /// COUNT: how many matches are answered, 0 for all.
    count: Option<usize>,
    /// MAXLEN: how many elements are compared, 0 for all.
    compared_max: usize,
}

impl Search {
    fn parse(words: &[&[u8]]) -> Result<Self, Error> {
        let mut search = Self { rank: 1, count: None, compared_max: 0 };
        let (options, rest) = words.as_chunks::<2>();
        for [option, value] in options {
            if is(option, "rank") {
                search.rank = integer(value)?;
                match search.rank {
                    0 => {
                        return Err(Error::Other(
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or \
                             use negative to start from the end of the list",
                        ));
                    }
                    i64::MIN => {
                        return Err(Error::Other(
                            "ERR value is out of range, value must between -9223372036854775807 and \
                             9223372036854775807",
                        ));
                    }
                    _ => {}
                }
            } else if is(option, "count") {
                search.count = Some(at_least(value, 0, "ERR COUNT can't be negative")?);
            } else if is(option, "maxlen") {
                search.compared_max = at_least(value, 0, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(Error::Syntax);
            }
        }
        if rest.is_empty() { Ok(search) } else { Err(Error::Syntax) }
    }
}

fn lpos(c: &mut Context<'_>) -> Result<(), Error> {
    let wanted = c.args[2];
    let search = Search::parse(&c.args[3..])?;
    let mut found = Vec::new();
    if let Some(list) = c.db.list(c.args[1])? {
        let (from, direction) =
            if search.rank < 0 { (list.len() - 1, Direction::Backward) } else { (0, Direction::Forward) };
        let mut passed_over = search.rank.unsigned_abs() - 1;
        let most = search.count.map_or(1, |count| if count == 0 { usize::MAX } else { count });
        let mut left = if search.compared_max == 0 { usize::MAX } else { search.compared_max };
        list.walk(from, direction, &mut |index, element| {
            if element == wanted {
                match passed_over.checked_sub(1) {
                    Some(rest) => passed_over = rest,
                    None => found.push(index),
                }
            }
            left -= 1;
            left > 0 && found.len() < most
        });
    }
    match search.count {
        Some(_) => {
            c.reply.array(found.len());
            found.iter().for_each(|index| c.reply.count(*index as u64));
        }
        None => match found.first() {
            Some(index) => c.reply.count(*index as u64),
            None => c.reply.null(),
        },
    }
    Ok(())
}

/// Moves an element from one list to another, or within one. With nothing to move it answers so, or blocks as `nothing`
/// says.
fn move_or(c: &mut Context<'_>, from: End, to: End, nothing: Option<Nothing>) -> Result<(), Error> {
    let (source, target) = (c.args[1], c.args[2]);
    let found = if has_list(c, source)? { c.db.list(source)? } else { None };
    let Some(list) = found else {
        return match nothing {
            Some(nothing) => Err(Error::WouldBlock(nothing)),
            None => {
                c.reply.null();
                Ok(())
            }
        };
    };
    let target_length = c.db.list(target)?.map_or(0, |list| list.len());
    let index = if from == End::Left { 0 } else { list.len() - 1 };
    let element = list.get(index).unwrap_or_default().to_vec();
    // First in, then out: within one list, the only element must not take the key, and its time to live, with it.
    let at = if to == End::Left { 0 } else { target_length };
    c.db.list_insert(target, at, &[&element])?;
    let shifted = usize::from(source == target && to == End::Left);
    let index = if from == End::Left { shifted } else { index + shifted };
    c.db.list_remove(source, index, 1)?;
    c.db.notify(EventClass::List, to.push_event(), target);
    c.tell_shrunk(EventClass::List, from.pop_event(), source);
    c.reply.bulk(&element);
    Ok(())
}

/// What LMPOP asks for.
struct Popping<'a, 'w> {
    keys: &'a [&'w [u8]],
    end: End,
    count: usize,
}

impl<'a, 'w> Popping<'a, 'w> {
    /// Reads the words from the number of keys on.
    fn parse(words: &'a [&'w [u8]]) -> Result<Self, Error> {
        let numkeys = at_least(words[0], 1, "ERR numkeys should be greater than 0")?;
        let rest = &words[1..];
        if numkeys >= rest.len() {
            return Err(Error::Syntax);
        }
        let (keys, options) = rest.split_at(numkeys);
        let end = End::parse(options[0])?;
        let count = match &options[1..] {
            [] => 1,
            [option, count] if is(option, "count") => {
                at_least(count, 1, "ERR count should be greater than 0")?
            }
            _ => return Err(Error::Syntax),
        };
        Ok(Self { keys, end, count })
    }
}

/// LMPOP and BLMPOP.
fn pop_first(c: &mut Context<'_>, ask: &Popping<'_, '_>, nothing: Option<Nothing>) -> Result<(), Error> {
    for key in ask.keys {
        if has_list(c, key)? {
            c.reply.array(2);
            c.reply.bulk(key);
            return take(c, key, ask.end, Some(ask.count));
        }
    }
    match nothing {
        Some(nothing) => Err(Error::WouldBlock(nothing)),
        None => {
            c.reply.null_array();
            Ok(())
        }
    }
}

/// BLPOP and BRPOP.
fn blocking_pop(c: &mut Context<'_>, end: End) -> Result<(), Error> {
    let args = c.args;
    let (timeout, keys) = args[1..].split_last().ok_or(Error::Syntax)?;
    block_seconds(timeout)?;
    for key in keys {
        if has_list(c, key)? {
            c.reply.array(2);
            c.reply.bulk(key);
            return take(c, key, end, None);
        }
    }
    Err(Error::WouldBlock(Nothing::NullArray))
}

#[cfg(test)]
mod tests;
