//! Groups and their consumers.

use super::{ids, wrong_options};
use crate::error::Error;
use crate::execute::Context;
use crate::words::{integer, is};
use base::database::streams::{ConsumerInfo, GroupInfo};
use base::database::{Database, EventClass, Stream, StreamId};

/// The options of XGROUP CREATE and SETID.
struct Options {
    /// MKSTREAM.
    make_stream: bool,
    /// ENTRIESREAD.
    entries_read: Option<u64>,
}

fn options(c: &Context<'_>, creates: bool) -> Result<Options, Error> {
    let mut options = Options { make_stream: false, entries_read: None };
    let mut rest = &c.args[5..];
    loop {
        rest = match rest {
            [] => break,
            [word, tail @ ..] if creates && is(word, "mkstream") => {
                options.make_stream = true;
                tail
            }
            [word, value, tail @ ..] if is(word, "entriesread") => {
                options.entries_read = match integer(value)? {
                    -1 => None,
                    read => Some(
                        u64::try_from(read)
                            .map_err(|_| Error::Other("ERR value for ENTRIESREAD must be positive or -1"))?,
                    ),
                };
                tail
            }
            _ => return Err(wrong_options(c.args[1], "XGROUP")),
        };
    }
    Ok(options)
}

/// The stream of XGROUP, which must be there.
fn expect_stream<'a>(c: &'a Context<'_>) -> Result<&'a dyn Stream, Error> {
    c.db.stream(c.args[2])?.ok_or(Error::Other(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
         option to create an empty stream automatically.",
    ))
}

/// The group of XGROUP, which must be there, and its stream.
fn expect_group<'a>(c: &'a Context<'_>) -> Result<(&'a dyn Stream, GroupInfo), Error> {
    let stream = expect_stream(c)?;
    let group = stream.group(c.args[3]).ok_or_else(|| no_group_of_key(c.args[2], c.args[3]))?;
    Ok((stream, group))
}

/// There is no such group of a stream that is there.
pub(super) fn no_group_of_key(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Error::Said(format!("NOGROUP No such consumer group '{group}' for key name '{key}'").into())
}

/// There is no such stream, or no such group of it.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> Error {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Error::Said(format!("NOGROUP No such key '{key}' or consumer group '{group}'").into())
}

pub(super) fn create(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, word) = (c.args[2], c.args[3], c.args[4]);
    let options = options(c, true)?;
    let stream = match c.db.stream(key)? {
        None if !options.make_stream => return expect_stream(c).map(drop),
        stream => stream,
    };
    if c.args.len() > 8 {
        return Err(wrong_options(c.args[1], "XGROUP"));
    }
    let last_delivered = match word {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.info().last_id),
        _ => ids::exact(word, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(group).is_some()) {
        return Err(Error::Other("BUSYGROUP Consumer Group name already exists"));
    }
    c.db.stream_create(key)?;
    c.db.group_put(key, group, GroupInfo { last_delivered, entries_read: options.entries_read })?;
    c.db.notify(EventClass::Stream, "xgroup-create", key);
    c.reply.ok();
    Ok(())
}

pub(super) fn setid(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, word) = (c.args[2], c.args[3], c.args[4]);
    let options = options(c, false)?;
    let (stream, mut info) = expect_group(c)?;
    if c.args.len() > 7 {
        return Err(wrong_options(c.args[1], "XGROUP"));
    }
    info.last_delivered = match word {
        b"$" => stream.info().last_id,
        _ => ids::any(word, 0)?,
    };
    info.entries_read = options.entries_read;
    c.db.group_put(key, group, info)?;
    c.db.notify(EventClass::Stream, "xgroup-setid", key);
    c.reply.ok();
    Ok(())
}

pub(super) fn destroy(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group) = (c.args[2], c.args[3]);
    expect_stream(c)?;
    let gone = c.db.group_remove(key, group)?;
    if gone {
        c.db.notify(EventClass::Stream, "xgroup-destroy", key);
    }
    c.reply.integer(i64::from(gone));
    Ok(())
}

pub(super) fn create_consumer(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, consumer) = (c.args[2], c.args[3], c.args[4]);
    let (stream, _) = expect_group(c)?;
    let new = stream.consumer(group, consumer).is_none();
    if new {
        meet_consumer(c, key, group, consumer)?;
    }
    c.reply.integer(i64::from(new));
    Ok(())
}

pub(super) fn delete_consumer(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, consumer) = (c.args[2], c.args[3], c.args[4]);
    expect_group(c)?;
    let owed = c.db.consumer_remove(key, group, consumer)?;
    if owed.is_some() {
        c.db.notify(EventClass::Stream, "xgroup-delconsumer", key);
    }
    c.reply.count(owed.unwrap_or(0) as u64);
    Ok(())
}

/// Notes that a consumer asks for something now; makes it if it is new. Its group must be there.
pub(super) fn meet_consumer(
    c: &mut Context<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
) -> Result<(), Error> {
    let seen_at = c.db.now();
    let before = c.db.stream(key)?.and_then(|stream| stream.consumer(group, consumer));
    let info = match before {
        Some(info) => ConsumerInfo { seen_at, ..info },
        None => ConsumerInfo { seen_at, active_at: None, pending: 0 },
    };
    c.db.consumer_put(key, group, consumer, info)?;
    if before.is_none() {
        c.db.notify(EventClass::Stream, "xgroup-createconsumer", key);
    }
    Ok(())
}

/// Notes that a consumer got something now.
pub(super) fn note_active(
    db: &mut dyn Database,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
) -> Result<(), Error> {
    let now = db.now();
    let info = db.stream(key)?.and_then(|stream| stream.consumer(group, consumer));
    if let Some(info) = info {
        db.consumer_put(key, group, consumer, ConsumerInfo { active_at: Some(now), ..info })?;
    }
    Ok(())
}

pub(super) fn xack(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group) = (c.args[1], c.args[2]);
    if c.db.stream(key)?.and_then(|stream| stream.group(group)).is_none() {
        c.reply.integer(0);
        return Ok(());
    }
    let all: Vec<StreamId> = c.args[3..].iter().map(|word| ids::exact(word, 0)).collect::<Result<_, _>>()?;
    let mut done = 0;
    for id in all {
        done += i64::from(c.db.pending_remove(key, group, id)?);
    }
    c.reply.integer(done);
    Ok(())
}
