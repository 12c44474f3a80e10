//! What a group owes: who owes it, and how another consumer takes it over.

use super::{groups, ids};
use crate::error::Error;
use crate::execute::Context;
use crate::words::{integer, is};
use base::UnixMillis;
use base::database::streams::PendingEntry;
use base::database::{Stream, StreamId};

/// For how long an entry was not handed out, in milliseconds.
fn idle_ms(now: UnixMillis, pending: &PendingEntry) -> i64 {
    now.0.cast_signed().saturating_sub(pending.delivered_at.0.cast_signed())
}

/// Entries that were handed out less than so many milliseconds ago aren't claimed.
fn min_idle(word: &[u8], otherwise: &'static str) -> Result<i64, Error> {
    integer(word).map(|idle| idle.max(0)).map_err(|_| Error::Other(otherwise))
}

/// The stream under `key`, if it has this group.
fn expect_group<'a>(c: &'a Context<'_>, key: &[u8], group: &[u8]) -> Result<&'a dyn Stream, Error> {
    c.db.stream(key)?
        .filter(|stream| stream.group(group).is_some())
        .ok_or_else(|| groups::no_key_or_group(key, group))
}

/// The options of XCLAIM.
#[derive(Default)]
struct ClaimOptions {
    /// IDLE or TIME: when the entries count as handed out, if not now.
    delivered_at: Option<i64>,
    /// RETRYCOUNT.
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
    /// LASTID.
    last_delivered: StreamId,
}

impl ClaimOptions {
    fn parse(words: &[&[u8]], now: i64) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut rest = words;
        loop {
            rest = match rest {
                [] => return Ok(options),
                [word, tail @ ..] if is(word, "force") => {
                    options.force = true;
                    tail
                }
                [word, tail @ ..] if is(word, "justid") => {
                    options.just_ids = true;
                    tail
                }
                [word, value, tail @ ..] if is(word, "idle") => {
                    let idle = integer(value)
                        .map_err(|_| Error::Other("ERR Invalid IDLE option argument for XCLAIM"))?;
                    options.delivered_at = Some(now.saturating_sub(idle));
                    tail
                }
                [word, value, tail @ ..] if is(word, "time") => {
                    let time = integer(value)
                        .map_err(|_| Error::Other("ERR Invalid TIME option argument for XCLAIM"))?;
                    options.delivered_at = Some(time);
                    tail
                }
                [word, value, tail @ ..] if is(word, "retrycount") => {
                    let count = integer(value)
                        .map_err(|_| Error::Other("ERR Invalid RETRYCOUNT option argument for XCLAIM"))?;
                    options.deliveries = u64::try_from(count).ok();
                    tail
                }
                [word, value, tail @ ..] if is(word, "lastid") => {
                    options.last_delivered = ids::exact(value, 0)?;
                    tail
                }
                [word, ..] => {
                    let shown = String::from_utf8_lossy(word);
                    return Err(Error::Said(format!("ERR Unrecognized XCLAIM option '{shown}'").into()));
                }
            };
        }
    }

    /// When the entries count as handed out: what lies before 1970 or in the future is a client's miscalculation, and means now.
    fn delivered_at(&self, now: UnixMillis) -> UnixMillis {
        let at = self.delivered_at.and_then(|at| u64::try_from(at).ok());
        at.map(UnixMillis).filter(|at| *at <= now).unwrap_or(now)
    }
}

pub(super) fn xclaim(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, consumer) = (c.args[1], c.args[2], c.args[3]);
    let now = c.db.now();
    let stream = expect_group(c, key, group)?;
    let min_idle = min_idle(c.args[4], "ERR Invalid min-idle-time argument for XCLAIM")?;
    let all: Vec<StreamId> = c.args[5..].iter().map_while(|word| ids::exact(word, 0).ok()).collect();
    let options = ClaimOptions::parse(&c.args[5 + all.len()..], now.0.cast_signed())?;
    if let Some(mut info) = stream.group(group)
        && options.last_delivered > info.last_delivered
    {
        info.last_delivered = options.last_delivered;
        c.db.group_put(key, group, info)?;
    }
    groups::meet_consumer(c, key, group, consumer)?;
    let mut claimed = Vec::new();
    for id in all {
        let Some(stream) = c.db.stream(key)? else { break };
        let pending = stream.pending(group, id);
        if !ids::is_there(stream, id) {
            // Nobody can do anything about an entry that was deleted.
            c.db.pending_remove(key, group, id)?;
            continue;
        }
        let deliveries = match pending {
            Some(pending) if min_idle > 0 && idle_ms(now, &pending) < min_idle => continue,
            Some(pending) => pending.deliveries,
            None if options.force => 1,
            None => continue,
        };
        let deliveries =
            options.deliveries.unwrap_or_else(|| deliveries.saturating_add(u64::from(!options.just_ids)));
        let delivered_at = options.delivered_at(now);
        c.db.pending_put(
            key,
            group,
            id,
            PendingEntry { consumer: consumer.to_vec(), delivered_at, deliveries },
        )?;
        claimed.push(id);
    }
    if !claimed.is_empty() {
        groups::note_active(c.db, key, group, consumer)?;
    }
    write_claimed(c, key, &claimed, options.just_ids)
}

/// Writes what was claimed: ids, or the entries.
fn write_claimed(c: &mut Context<'_>, key: &[u8], claimed: &[StreamId], just_ids: bool) -> Result<(), Error> {
    c.reply.array(claimed.len());
    let stream = c.db.stream(key)?;
    for id in claimed {
        if just_ids {
            ids::write(&mut c.reply, *id);
        } else if !stream.is_some_and(|stream| ids::write_entry_at(&mut c.reply, stream, *id)) {
            c.reply.null();
        }
    }
    Ok(())
}

/// XAUTOCLAIM looks at so many entries for each that it may claim.
const LOOKS: usize = 10;
/// The most that XAUTOCLAIM may be told to claim.
const CLAIMS_MAX: i64 = i64::MAX / 16;

/// What XAUTOCLAIM found.
#[derive(Default)]
struct Found {
    /// Entries to claim, with how often they were handed out.
    stale: Vec<(StreamId, u64)>,
    /// Entries that aren't there any more.
    deleted: Vec<StreamId>,
    /// Where to go on; zero at the end.
    next: StreamId,
}

fn find_stale(
    stream: &dyn Stream,
    group: &[u8],
    from: StreamId,
    count: usize,
    is_stale: impl Fn(&PendingEntry) -> bool,
) -> Found {
    let mut found = Found::default();
    let mut looks = count.saturating_mul(LOOKS);
    stream.walk_pending(group, None, from, &mut |id, pending| {
        if looks == 0 || found.stale.len() + found.deleted.len() == count {
            found.next = id;
            return false;
        }
        looks -= 1;
        if !ids::is_there(stream, id) {
            found.deleted.push(id);
        } else if is_stale(pending) {
            found.stale.push((id, pending.deliveries));
        }
        true
    });
    found
}

pub(super) fn xautoclaim(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group, consumer) = (c.args[1], c.args[2], c.args[3]);
    let min_idle = min_idle(c.args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let from = ids::range_start(c.args[5])?;
    let (mut count, mut just_ids) = (100, false);
    let mut rest = &c.args[6..];
    loop {
        rest = match rest {
            [] => break,
            [word, value, tail @ ..] if is(word, "count") => {
                let value = integer(value).ok().filter(|value| (1..=CLAIMS_MAX).contains(value));
                count = value.ok_or(Error::Other("ERR COUNT must be > 0"))? as usize;
                tail
            }
            [word, tail @ ..] if is(word, "justid") => {
                just_ids = true;
                tail
            }
            _ => return Err(Error::Syntax),
        };
    }
    let now = c.db.now();
    let stream = expect_group(c, key, group)?;
    let found =
        find_stale(stream, group, from, count, |pending| min_idle == 0 || idle_ms(now, pending) >= min_idle);
    groups::meet_consumer(c, key, group, consumer)?;
    for id in &found.deleted {
        c.db.pending_remove(key, group, *id)?;
    }
    for (id, deliveries) in &found.stale {
        let deliveries = deliveries.saturating_add(u64::from(!just_ids));
        let pending = PendingEntry { consumer: consumer.to_vec(), delivered_at: now, deliveries };
        c.db.pending_put(key, group, *id, pending)?;
    }
    if !found.stale.is_empty() {
        groups::note_active(c.db, key, group, consumer)?;
    }
    c.reply.array(3);
    ids::write(&mut c.reply, found.next);
    let claimed: Vec<StreamId> = found.stale.iter().map(|(id, _)| *id).collect();
    write_claimed(c, key, &claimed, just_ids)?;
    c.reply.array(found.deleted.len());
    found.deleted.iter().for_each(|id| ids::write(&mut c.reply, *id));
    Ok(())
}

pub(super) fn xpending(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group) = (c.args[1], c.args[2]);
    let words = &c.args[3..];
    if words.is_empty() {
        return summarize(c, key, group);
    }
    if !(3..=6).contains(&words.len()) {
        return Err(Error::Syntax);
    }
    let (min_idle, words) = match words {
        [option, idle, rest @ ..] if is(option, "idle") => (integer(idle)?, rest),
        _ => (0, words),
    };
    let (from, to, count, consumer) = match words {
        [from, to, count] => (from, to, count, None),
        // Redis ignores what comes behind the consumer.
        [from, to, count, consumer, ..] => (from, to, count, Some(*consumer)),
        _ => return Err(Error::Syntax),
    };
    let count = usize::try_from(integer(count)?).unwrap_or(0);
    let (from, to) = (ids::range_start(from)?, ids::range_end(to)?);
    let now = c.db.now();
    let stream = expect_group(c, key, group)?;
    let mut found = Vec::new();
    if count > 0 {
        stream.walk_pending(group, consumer, from, &mut |id, pending| {
            if id > to {
                return false;
            }
            if min_idle == 0 || idle_ms(now, pending) >= min_idle {
                found.push((id, pending.clone()));
            }
            found.len() < count
        });
    }
    c.reply.array(found.len());
    for (id, pending) in found {
        c.reply.array(4);
        ids::write(&mut c.reply, id);
        c.reply.bulk(&pending.consumer);
        c.reply.integer(idle_ms(now, &pending).max(0));
        c.reply.count(pending.deliveries);
    }
    Ok(())
}

/// XPENDING without a range: how many entries are owed, the first and the last of them, and how many by each consumer.
fn summarize(c: &mut Context<'_>, key: &[u8], group: &[u8]) -> Result<(), Error> {
    let stream = expect_group(c, key, group)?;
    let mut ends: Option<(StreamId, StreamId)> = None;
    stream.walk_pending(group, None, StreamId::MIN, &mut |id, _| {
        ends = Some((ends.map_or(id, |(first, _)| first), id));
        true
    });
    let mut consumers = Vec::new();
    stream.walk_consumers(group, &mut |name, info| {
        if info.pending > 0 {
            consumers.push((name.to_vec(), info.pending));
        }
    });
    let total = stream.pending_len(group);
    c.reply.array(4);
    c.reply.count(total as u64);
    let Some((first, last)) = ends else {
        c.reply.null();
        c.reply.null();
        c.reply.null_array();
        return Ok(());
    };
    ids::write(&mut c.reply, first);
    ids::write(&mut c.reply, last);
    c.reply.array(consumers.len());
    for (name, pending) in consumers {
        c.reply.array(2);
        c.reply.bulk(&name);
        c.reply.text(&pending.to_string());
    }
    Ok(())
}
