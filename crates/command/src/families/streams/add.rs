//! What changes the entries of a stream.

use super::ids::{self, NewId};
use crate::error::Error;
use crate::execute::Context;
use crate::words::{integer, is};
use base::database::streams::Fields;
use base::database::{EventClass, Stream, StreamId};

/// Approximate trimming takes entries by so many at once, or all.
const APPROXIMATE_STEP: u64 = 100;
/// Approximate trimming takes no more than this, unless told so.
const APPROXIMATE_MAX: u64 = 100 * APPROXIMATE_STEP;

/// What is kept by trimming.
#[derive(Clone, Copy)]
enum Keep {
    /// MAXLEN: so many entries.
    Newest(u64),
    /// MINID: entries from this id on.
    From(StreamId),
}

/// The options of XTRIM, and of XADD before the id.
#[derive(Default)]
struct Options {
    keep: Option<Keep>,
    /// `~`
    approximate: bool,
    limit: Option<u64>,
    /// NOMKSTREAM.
    existing_only: bool,
}

impl Options {
    /// Reads options from the word at 2 on; answers the place of the first word that is none.
    fn parse(args: &[&[u8]], adds: bool) -> Result<(Self, usize), Error> {
        let mut options = Self::default();
        let mut at = 2;
        while let Some(&word) = args.get(at) {
            let more = args.len() - at - 1;
            if adds && word == b"*" {
                break;
            } else if more > 0 && (is(word, "maxlen") || is(word, "minid")) {
                at = options.take_strategy(args, at)?;
            } else if more > 0 && is(word, "limit") {
                let limit = integer(args[at + 1])?;
                let limit = u64::try_from(limit);
                options.limit =
                    Some(limit.map_err(|_| Error::Other("ERR The LIMIT argument must be >= 0."))?);
                at += 1;
            } else if adds && is(word, "nomkstream") {
                options.existing_only = true;
            } else if adds {
                // It must be the id, and is judged before what the options say together.
                NewId::parse(word)?;
                break;
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        options.check(adds)?;
        Ok((options, at))
    }

    /// Takes MAXLEN or MINID at `at`; answers the place of its last word.
    fn take_strategy(&mut self, args: &[&[u8]], at: usize) -> Result<usize, Error> {
        if self.keep.is_some() {
            return Err(Error::Other(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let mode = if args.len() > at + 2 { args[at + 1] } else { b"" };
        self.approximate = mode == b"~";
        let value = at + if matches!(mode, b"~" | b"=") { 2 } else { 1 };
        let keep = if is(args[at], "maxlen") {
            let length = u64::try_from(integer(args[value])?);
            Keep::Newest(length.map_err(|_| Error::Other("ERR The MAXLEN argument must be >= 0."))?)
        } else {
            Keep::From(ids::exact(args[value], 0)?)
        };
        self.keep = Some(keep);
        Ok(value)
    }

    fn check(&self, adds: bool) -> Result<(), Error> {
        if self.keep.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return Err(Error::Other(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.keep.is_none() && !adds {
            return Err(Error::Other("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if self.limit.is_some() && !self.approximate {
            return Err(Error::Other("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        Ok(())
    }

    /// How many of the oldest entries go.
    fn surplus(&self, stream: &dyn Stream) -> usize {
        let len = stream.len() as u64;
        let surplus = match self.keep {
            None => 0,
            Some(Keep::Newest(length)) => len.saturating_sub(length),
            Some(Keep::From(id)) => stream.count_below(id) as u64,
        };
        if !self.approximate {
            return surplus as usize;
        }
        // Redis cuts off whole nodes of its tree, of 100 entries by default. There are no such nodes here, but who asks for
        // about a length gets about what they know.
        let limit = match self.limit {
            None => APPROXIMATE_MAX,
            Some(0) => u64::MAX,
            Some(limit) => limit,
        };
        if surplus == len && len <= limit {
            return surplus as usize;
        }
        (surplus.min(limit) / APPROXIMATE_STEP * APPROXIMATE_STEP) as usize
    }
}

/// Trims and tells of it; answers how many entries went.
fn trim(c: &mut Context<'_>, key: &[u8], options: &Options) -> Result<usize, Error> {
    let surplus = c.db.stream(key)?.map_or(0, |stream| options.surplus(stream));
    if surplus > 0 {
        c.db.stream_trim(key, surplus)?;
        c.db.notify(EventClass::Stream, "xtrim", key);
    }
    Ok(surplus)
}

pub(super) fn xadd(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let (options, at) = Options::parse(c.args, true)?;
    let words = c.args.get(at + 1..).unwrap_or_default();
    if words.is_empty() || words.len() % 2 == 1 {
        return Err(Error::Arity("xadd"));
    }
    let id = NewId::parse(c.args[at])?;
    if id == NewId::Exact(StreamId::MIN) {
        return Err(Error::Other("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let last = match c.db.stream(key)? {
        None if options.existing_only => {
            c.reply.null();
            return Ok(());
        }
        None => StreamId::MIN,
        Some(stream) => stream.info().last_id,
    };
    if last == StreamId::MAX {
        return Err(Error::Other(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = id.behind(last, c.db.now().0).ok_or(Error::Other(
        "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    ))?;
    c.db.stream_append(key, id, Fields::packed(&Fields::pack(words)))?;
    c.db.notify(EventClass::Stream, "xadd", key);
    trim(c, key, &options)?;
    ids::write(&mut c.reply, id);
    Ok(())
}

pub(super) fn xtrim(c: &mut Context<'_>) -> Result<(), Error> {
    let (options, _) = Options::parse(c.args, false)?;
    let gone = trim(c, c.args[1], &options)?;
    c.reply.count(gone as u64);
    Ok(())
}

pub(super) fn xdel(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    if c.db.stream(key)?.is_none() {
        c.reply.integer(0);
        return Ok(());
    }
    let all: Vec<StreamId> = c.args[2..].iter().map(|word| ids::exact(word, 0)).collect::<Result<_, _>>()?;
    let gone = c.db.stream_remove(key, &all)?;
    if gone > 0 {
        c.db.notify(EventClass::Stream, "xdel", key);
    }
    c.reply.count(gone as u64);
    Ok(())
}

pub(super) fn xsetid(c: &mut Context<'_>) -> Result<(), Error> {
    let key = c.args[1];
    let id = ids::exact(c.args[2], 0)?;
    let mut added = None;
    let mut deleted = StreamId::MIN;
    let (options, rest) = c.args[3..].as_chunks::<2>();
    for [option, value] in options {
        if is(option, "entriesadded") {
            let count = u64::try_from(integer(value)?);
            added = Some(count.map_err(|_| Error::Other("ERR entries_added must be positive"))?);
        } else if is(option, "maxdeletedid") {
            deleted = ids::exact(value, 0)?;
            if id < deleted {
                return Err(Error::Other(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::Syntax);
        }
    }
    if !rest.is_empty() {
        return Err(Error::Syntax);
    }
    let stream = ids::expect(c, key)?;
    let mut info = stream.info();
    if id < info.max_deleted_id {
        return Err(Error::Other(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if ids::newest(stream).is_some_and(|newest| id < newest) {
        return Err(Error::Other(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| added < stream.len() as u64) {
        return Err(Error::Other(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    info.last_id = id;
    info.entries_added = added.unwrap_or(info.entries_added);
    if deleted != StreamId::MIN {
        info.max_deleted_id = deleted;
    }
    c.db.stream_set_info(key, info)?;
    c.db.notify(EventClass::Stream, "xsetid", key);
    c.reply.ok();
    Ok(())
}
