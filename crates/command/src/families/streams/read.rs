//! What reads entries, and what hands them to the consumers of groups.

use super::counters::Counters;
use super::{groups, ids};
use crate::error::{Error, Nothing};
use crate::execute::Context;
use crate::words::{integer, is};
use base::database::streams::PendingEntry;
use base::database::{Database, Direction, Stream, StreamId};
use resp::{Protocol, Writer};

pub(super) fn xlen(c: &mut Context<'_>) -> Result<(), Error> {
    let length = c.db.stream(c.args[1])?.map_or(0, Stream::len);
    c.reply.count(length as u64);
    Ok(())
}

pub(super) fn xrange(c: &mut Context<'_>) -> Result<(), Error> {
    range(c, c.args[2], c.args[3], Direction::Forward)
}

pub(super) fn xrevrange(c: &mut Context<'_>) -> Result<(), Error> {
    range(c, c.args[3], c.args[2], Direction::Backward)
}

fn range(c: &mut Context<'_>, from: &[u8], to: &[u8], direction: Direction) -> Result<(), Error> {
    let (from, to) = (ids::range_start(from)?, ids::range_end(to)?);
    let mut count = None;
    let (options, rest) = c.args[4..].as_chunks::<2>();
    for [option, value] in options {
        if !is(option, "count") {
            return Err(Error::Syntax);
        }
        count = Some(usize::try_from(integer(value)?).unwrap_or(0));
    }
    if !rest.is_empty() {
        return Err(Error::Syntax);
    }
    match c.db.stream(c.args[1])? {
        None => c.reply.array(0),
        Some(_) if count == Some(0) => c.reply.null_array(),
        Some(stream) => {
            let count = count.unwrap_or(usize::MAX).min(ids::count_within(stream, from, to));
            let first = if direction == Direction::Forward { from } else { to };
            write_entries(&mut c.reply, stream, first, direction, count);
        }
    }
    Ok(())
}

/// Writes `count` entries from `from` on; there must be so many.
pub(super) fn write_entries(
    reply: &mut Writer<'_>,
    stream: &dyn Stream,
    from: StreamId,
    direction: Direction,
    count: usize,
) {
    reply.array(count);
    let mut left = count;
    if left == 0 {
        return;
    }
    stream.walk(from, direction, &mut |id, fields| {
        ids::write_entry(reply, id, fields);
        left -= 1;
        left > 0
    });
}

/// The options of XREAD and XREADGROUP.
struct Options<'a> {
    /// BLOCK; for how long to wait is [`blocking`](crate::blocking)'s.
    block: bool,
    /// COUNT: how many entries of each stream.
    count: usize,
    /// GROUP with its consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys begin; as many ids follow as there are keys.
    keys_at: usize,
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a [u8]], grouped: bool) -> Result<Self, Error> {
        let mut options = Self { block: false, count: usize::MAX, group: None, no_ack: false, keys_at: 0 };
        let mut at = 1;
        while let Some(&word) = args.get(at) {
            let more = args.len() - at - 1;
            if is(word, "block") && more > 0 {
                check_block(args[at + 1])?;
                options.block = true;
                at += 1;
            } else if is(word, "count") && more > 0 {
                options.count = match usize::try_from(integer(args[at + 1])?) {
                    Ok(count) if count > 0 => count,
                    _ => usize::MAX,
                };
                at += 1;
            } else if is(word, "streams") && more > 0 {
                options.keys_at = at + 1;
                break;
            } else if is(word, "group") && more >= 2 {
                options.group = Some((args[at + 1], args[at + 2]));
                at += 2;
            } else if is(word, "noack") {
                options.no_ack = true;
            } else {
                return Err(Error::Syntax);
            }
            if !grouped && (options.group.is_some() || options.no_ack) {
                let option = if options.no_ack { "NOACK" } else { "GROUP" };
                let text = format!(
                    "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
                );
                return Err(Error::Said(text.into()));
            }
            at += 1;
        }
        if options.keys_at == 0 {
            return Err(Error::Syntax);
        }
        if !(args.len() - options.keys_at).is_multiple_of(2) {
            let (name, symbol) = if grouped { ("xreadgroup", '>') } else { ("xread", '$') };
            let text = format!(
                "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified."
            );
            return Err(Error::Said(text.into()));
        }
        if grouped && options.group.is_none() {
            return Err(Error::Other("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }

    /// The place of the first id.
    fn ids_at(&self, args: &[&[u8]]) -> usize {
        self.keys_at + (args.len() - self.keys_at) / 2
    }

    /// The keys, each with its id as it was written.
    fn pairs<'w>(&self, args: &'w [&'a [u8]]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'w, 'a> {
        let (keys, ids) = args[self.keys_at..].split_at((args.len() - self.keys_at) / 2);
        keys.iter().copied().zip(ids.iter().copied())
    }

    /// What it comes to that there was nothing to read.
    fn nothing(&self, reply: &mut Writer<'_>) -> Result<(), Error> {
        if self.block {
            return Err(Error::WouldBlock(Nothing::NullArray));
        }
        reply.null_array();
        Ok(())
    }
}

/// Refuses what is no time in milliseconds to wait for.
fn check_block(word: &[u8]) -> Result<(), Error> {
    let millis = resp::number::parse_integer(word);
    match millis.ok_or(Error::Other("ERR timeout is not an integer or out of range"))? {
        // Beyond this a deadline can't be told from never.
        millis if millis > i64::MAX / 2 => Err(Error::Other("ERR timeout is out of range")),
        millis if millis < 0 => Err(Error::Other("ERR timeout is negative")),
        _ => Ok(()),
    }
}

/// What XREAD reads behind: an id, or what `$` and `+` mean at this moment.
fn read_behind(stream: Option<&dyn Stream>, word: &[u8]) -> Result<StreamId, Error> {
    let last = stream.map_or(StreamId::MIN, |stream| stream.info().last_id);
    match word {
        b"$" => Ok(last),
        // Behind what comes before the newest entry; where there is none, as `$`.
        b"+" => Ok(stream.and_then(ids::newest).and_then(StreamId::previous).unwrap_or(last)),
        b">" => Err(Error::Other(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => ids::exact(word, 0),
    }
}

/// The words of an XREAD that begins to wait, with ids in the place of `$` and `+`: what they mean when it begins is what they
/// mean when it is tried again. `None` if nothing has to be replaced.
pub fn blocking_words(db: &dyn Database, words: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let options = Options::parse(words, false).ok()?;
    let mut replaced = false;
    let mut all: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    for (at, (key, word)) in (options.ids_at(words)..).zip(options.pairs(words)) {
        if matches!(word, b"$" | b"+") {
            let id = read_behind(db.stream(key).ok()?, word).ok()?;
            all[at] = ids::text(id);
            replaced = true;
        }
    }
    replaced.then_some(all)
}

pub(super) fn xread(c: &mut Context<'_>) -> Result<(), Error> {
    let options = Options::parse(c.args, false)?;
    let mut ready = Vec::new();
    for (key, word) in options.pairs(c.args) {
        let stream = match c.db.stream(key) {
            // Who waits, waits for a stream.
            Err(_) if c.has_waited => continue,
            stream => stream?,
        };
        let behind = read_behind(stream, word)?;
        if let (Some(stream), Some(from)) = (stream, behind.next()) {
            let count = ids::count_within(stream, from, StreamId::MAX).min(options.count);
            if count > 0 {
                ready.push((key, stream, from, count));
            }
        }
    }
    if ready.is_empty() {
        return options.nothing(&mut c.reply);
    }
    begin_streams(&mut c.reply, ready.len());
    for (key, stream, from, count) in ready {
        begin_stream(&mut c.reply, key);
        write_entries(&mut c.reply, stream, from, Direction::Forward, count);
    }
    Ok(())
}

fn begin_streams(reply: &mut Writer<'_>, count: usize) {
    match reply.protocol() {
        Protocol::Resp2 => reply.array(count),
        Protocol::Resp3 => reply.map(count),
    }
}

fn begin_stream(reply: &mut Writer<'_>, key: &[u8]) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// What a consumer asks of a stream.
#[derive(Clone, Copy)]
enum Wish {
    /// `>`: what nobody in the group was handed yet.
    New,
    /// What it owes itself, behind this id.
    Owed(StreamId),
}

fn wish(c: &Context<'_>, key: &[u8], group: &[u8], word: &[u8]) -> Result<Wish, Error> {
    let stream = c.db.stream(key).map_err(|error| lost(c, error.into()))?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        let is_there = stream.is_some();
        let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
        let text = format!(
            "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
        );
        let error = Error::Said(text.into());
        return Err(if is_there { error } else { lost(c, error) });
    }
    match word {
        b">" => Ok(Wish::New),
        b"$" => Err(Error::Other(
            "ERR The $ ID is meaningless in the context of XREADGROUP: ask for new entries with the > ID, or for what \
             this consumer owes with a proper ID",
        )),
        b"+" => Err(Error::Other(
            "ERR The + ID is meaningless in the context of XREADGROUP: ask for new entries with the > ID, or for what \
             this consumer owes with a proper ID",
        )),
        _ => ids::exact(word, 0).map(Wish::Owed),
    }
}

/// An error for who has waited and hears that the stream is no more: as of Redis 7.2, with the words of Redis 7.0 behind it.
fn lost(c: &Context<'_>, error: Error) -> Error {
    if c.has_waited {
        Error::Said(format!("{}: the stream key no longer exists", error.text()).into())
    } else {
        error
    }
}

/// A consumer that asks is one from then on, and has been seen, whether it gets something or has to wait.
pub(super) fn xreadgroup(c: &mut Context<'_>) -> Result<(), Error> {
    let options = Options::parse(c.args, true)?;
    let Some((group, consumer)) = options.group else { return Err(Error::Syntax) };
    let wishes: Vec<(&[u8], Wish)> = options
        .pairs(c.args)
        .map(|(key, word)| Ok((key, wish(c, key, group, word)?)))
        .collect::<Result<_, Error>>()?;
    let mut served = 0;
    let mut answer = Vec::new();
    for (key, wish) in wishes {
        groups::meet_consumer(c, key, group, consumer)?;
        let mut out = Writer::new(&mut answer, c.reply.protocol());
        served += usize::from(match wish {
            Wish::New => hand_out(c.db, &mut out, key, (group, consumer), &options)?,
            Wish::Owed(behind) => repeat(c.db, &mut out, key, (group, consumer), behind, options.count)?,
        });
    }
    if served == 0 {
        return options.nothing(&mut c.reply);
    }
    begin_streams(&mut c.reply, served);
    c.reply.raw(&answer);
    Ok(())
}

/// Hands new entries to a consumer; whether there were any.
fn hand_out(
    db: &mut dyn Database,
    out: &mut Writer<'_>,
    key: &[u8],
    (group, consumer): (&[u8], &[u8]),
    options: &Options<'_>,
) -> Result<bool, Error> {
    let now = db.now();
    let Some(stream) = db.stream(key)? else { return Ok(false) };
    let Some(mut info) = stream.group(group) else { return Ok(false) };
    let Some(from) = info.last_delivered.next() else { return Ok(false) };
    let count = ids::count_within(stream, from, StreamId::MAX).min(options.count);
    if count == 0 {
        return Ok(false);
    }
    begin_stream(out, key);
    write_entries(out, stream, from, Direction::Forward, count);
    let counters = Counters::of(stream);
    let mut handed = Vec::with_capacity(count);
    stream.walk(from, Direction::Forward, &mut |id, _| {
        handed.push(id);
        counters.advance(&mut info, id);
        handed.len() < count
    });
    db.group_put(key, group, info)?;
    if !options.no_ack {
        for id in handed {
            let pending = PendingEntry { consumer: consumer.to_vec(), delivered_at: now, deliveries: 1 };
            db.pending_put(key, group, id, pending)?;
        }
        groups::note_active(db, key, group, consumer)?;
    }
    Ok(true)
}

/// Hands a consumer again what it owes, and counts that; an entry that was deleted meanwhile is shown without fields. Always answers
/// something, if only that it owes nothing.
fn repeat(
    db: &mut dyn Database,
    out: &mut Writer<'_>,
    key: &[u8],
    (group, consumer): (&[u8], &[u8]),
    behind: StreamId,
    count: usize,
) -> Result<bool, Error> {
    let now = db.now();
    let mut owed = Vec::new();
    let Some(stream) = db.stream(key)? else { return Ok(false) };
    if let Some(from) = behind.next() {
        stream.walk_pending(group, Some(consumer), from, &mut |id, pending| {
            owed.push((id, pending.deliveries));
            owed.len() < count
        });
    }
    begin_stream(out, key);
    out.array(owed.len());
    owed.retain(|(id, _)| {
        let there = ids::write_entry_at(out, stream, *id);
        if !there {
            out.array(2);
            ids::write(out, *id);
            out.null_array();
        }
        there
    });
    for (id, deliveries) in owed {
        let deliveries = deliveries.saturating_add(1);
        let pending = PendingEntry { consumer: consumer.to_vec(), delivered_at: now, deliveries };
        db.pending_put(key, group, id, pending)?;
    }
    Ok(true)
}
