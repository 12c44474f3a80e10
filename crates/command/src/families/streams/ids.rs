//! Ids and entries: how requests write them and how replies do.

use crate::error::Error;
use crate::execute::Context;
use base::database::streams::Fields;
use base::database::{Direction, Stream, StreamId};
use resp::Writer;
use resp::number::IntegerText;

pub(super) const INVALID: Error = Error::Other("ERR Invalid stream ID specified as stream command argument");

/// An unsigned number, leading zeros allowed.
fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// An id; `sequence` is what it has where the word names only milliseconds.
pub(super) fn exact(word: &[u8], sequence: u64) -> Result<StreamId, Error> {
    let mut halves = word.splitn(2, |byte| *byte == b'-');
    let ms = halves.next().and_then(number).ok_or(INVALID)?;
    let sequence = match halves.next() {
        Some(half) => number(half).ok_or(INVALID)?,
        None => sequence,
    };
    Ok(StreamId { ms, sequence })
}

/// An id, or `-` and `+` for the first and the last that there can be.
pub(super) fn any(word: &[u8], sequence: u64) -> Result<StreamId, Error> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => exact(word, sequence),
    }
}

/// The first id of a range; `(` leaves out the id itself.
pub(super) fn range_start(word: &[u8]) -> Result<StreamId, Error> {
    match word {
        [b'(', id @ ..] if !id.is_empty() => {
            exact(id, 0)?.next().ok_or(Error::Other("ERR invalid start ID for the interval"))
        }
        _ => any(word, 0),
    }
}

/// The last id of a range; `(` leaves out the id itself.
pub(super) fn range_end(word: &[u8]) -> Result<StreamId, Error> {
    match word {
        [b'(', id @ ..] if !id.is_empty() => {
            exact(id, u64::MAX)?.previous().ok_or(Error::Other("ERR invalid end ID for the interval"))
        }
        _ => any(word, u64::MAX),
    }
}

/// The id that XADD shall give its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: the next one, by the time.
    Next,
    /// `ms-*`: the next one in this millisecond.
    NextIn(u64),
    /// This one.
    Exact(StreamId),
}

impl NewId {
    pub(super) fn parse(word: &[u8]) -> Result<Self, Error> {
        match word {
            b"*" => Ok(Self::Next),
            [ms @ .., b'-', b'*'] => number(ms).map(Self::NextIn).ok_or(INVALID),
            _ => exact(word, 0).map(Self::Exact),
        }
    }

    /// The id behind `last` at the time `now`, if there is one as it was asked for.
    pub(super) fn behind(self, last: StreamId, now: u64) -> Option<StreamId> {
        let id = match self {
            Self::Next if now > last.ms => StreamId { ms: now, sequence: 0 },
            Self::Next => last.next()?,
            Self::NextIn(ms) if ms == last.ms => StreamId { ms, sequence: last.sequence.checked_add(1)? },
            Self::NextIn(ms) => StreamId { ms, sequence: 0 },
            Self::Exact(id) => id,
        };
        (id > last).then_some(id)
    }
}

/// An id as replies show it.
pub(super) fn text(id: StreamId) -> Vec<u8> {
    let (ms, sequence) = (IntegerText::unsigned(id.ms), IntegerText::unsigned(id.sequence));
    [ms.as_bytes(), b"-", sequence.as_bytes()].concat()
}

/// Writes an id.
pub(super) fn write(reply: &mut Writer<'_>, id: StreamId) {
    let (ms, sequence) = (IntegerText::unsigned(id.ms), IntegerText::unsigned(id.sequence));
    let (ms, sequence) = (ms.as_bytes(), sequence.as_bytes());
    let mut text = [b'-'; 2 * resp::number::INTEGER_CHARS_MAX + 1];
    let length = ms.len() + 1 + sequence.len();
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len() + 1..length].copy_from_slice(sequence);
    reply.bulk(&text[..length]);
}

/// Writes an entry: its id, and its fields with their values.
pub(super) fn write_entry(reply: &mut Writer<'_>, id: StreamId, fields: Fields<'_>) {
    reply.array(2);
    write(reply, id);
    reply.array(fields.words().count());
    fields.words().for_each(|word| reply.bulk(word));
}

/// Writes the entry with this id, if it is there; whether it is.
pub(super) fn write_entry_at(reply: &mut Writer<'_>, stream: &dyn Stream, id: StreamId) -> bool {
    let mut there = false;
    stream.walk(id, Direction::Forward, &mut |found, fields| {
        there = found == id;
        if there {
            write_entry(reply, id, fields);
        }
        false
    });
    there
}

/// Whether there is an entry with this id.
pub(super) fn is_there(stream: &dyn Stream, id: StreamId) -> bool {
    edge(stream, id, Direction::Forward) == Some(id)
}

/// The first entry from `from` on in `direction`.
pub(super) fn edge(stream: &dyn Stream, from: StreamId, direction: Direction) -> Option<StreamId> {
    let mut found = None;
    stream.walk(from, direction, &mut |id, _| {
        found = Some(id);
        false
    });
    found
}

/// The oldest entry.
pub(super) fn oldest(stream: &dyn Stream) -> Option<StreamId> {
    edge(stream, StreamId::MIN, Direction::Forward)
}

/// The newest entry.
pub(super) fn newest(stream: &dyn Stream) -> Option<StreamId> {
    edge(stream, StreamId::MAX, Direction::Backward)
}

/// How many entries there are from `from` to `to`, both included.
pub(super) fn count_within(stream: &dyn Stream, from: StreamId, to: StreamId) -> usize {
    let up_to_end = to.next().map_or_else(|| stream.len(), |behind| stream.count_below(behind));
    up_to_end.saturating_sub(stream.count_below(from))
}

/// The stream under `key`, where a command insists on it.
pub(super) fn expect<'a>(c: &'a Context<'_>, key: &[u8]) -> Result<&'a dyn Stream, Error> {
    c.db.stream(key)?.ok_or(Error::NoSuchKey)
}
