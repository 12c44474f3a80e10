//! What is known of a stream, its groups and their consumers.

use super::counters::Counters;
use super::{groups as group_errors, ids, read, wrong_options};
use crate::error::Error;
use crate::execute::Context;
use crate::words::{integer, is};
use base::database::streams::{ConsumerInfo, GroupInfo};
use base::database::{Direction, Stream, StreamId};
use resp::Writer;

/// How many entries and owed entries XINFO STREAM FULL shows, unless told.
const FULL_COUNT: i64 = 10;
/// How many entries one node of Redis's tree holds at most, by default.
const NODE_ENTRIES: usize = 100;

pub(super) fn stream(c: &mut Context<'_>) -> Result<(), Error> {
    let full = match &c.args[3..] {
        [] => None,
        [full] if is(full, "full") => Some(FULL_COUNT),
        [full, count, number] if is(full, "full") && is(count, "count") => {
            // As in Redis, the key's type is known before the number is read.
            ids::expect(c, c.args[2])?;
            Some(integer(number)?).map(|count| if count < 0 { FULL_COUNT } else { count })
        }
        _ => {
            ids::expect(c, c.args[2])?;
            return Err(wrong_options(c.args[1], "XINFO"));
        }
    };
    let stream = c.db.stream(c.args[2])?.ok_or(Error::NoSuchKey)?;
    let reply = &mut c.reply;
    let info = stream.info();
    reply.map(if full.is_some() { 9 } else { 10 });
    reply.text("length");
    reply.count(stream.len() as u64);
    // Clients of old insist on these two. There is no such tree here: they say how large Redis's would be.
    let nodes = stream.len().div_ceil(NODE_ENTRIES);
    reply.text("radix-tree-keys");
    reply.count(nodes as u64);
    reply.text("radix-tree-nodes");
    reply.count(nodes as u64 + 1);
    reply.text("last-generated-id");
    ids::write(reply, info.last_id);
    reply.text("max-deleted-entry-id");
    ids::write(reply, info.max_deleted_id);
    reply.text("entries-added");
    reply.count(info.entries_added);
    reply.text("recorded-first-entry-id");
    ids::write(reply, ids::oldest(stream).unwrap_or_default());
    match full {
        None => write_ends(reply, stream),
        Some(count) => {
            // None at all means all of them.
            let count = usize::try_from(count).ok().filter(|count| *count > 0).unwrap_or(usize::MAX);
            reply.text("entries");
            let entries = count.min(stream.len());
            read::write_entries(reply, stream, StreamId::MIN, Direction::Forward, entries);
            reply.text("groups");
            write_groups_in_full(reply, stream, count);
        }
    }
    Ok(())
}

fn write_ends(reply: &mut Writer<'_>, stream: &dyn Stream) {
    let mut groups = 0;
    stream.walk_groups(&mut |_, _| groups += 1);
    reply.text("groups");
    reply.count(groups);
    for (name, edge) in [("first-entry", ids::oldest(stream)), ("last-entry", ids::newest(stream))] {
        reply.text(name);
        if !edge.is_some_and(|id| ids::write_entry_at(reply, stream, id)) {
            reply.null();
        }
    }
}

/// The groups of a stream, by name.
fn all_groups(stream: &dyn Stream) -> Vec<(Vec<u8>, GroupInfo)> {
    let mut all = Vec::new();
    stream.walk_groups(&mut |name, info| all.push((name.to_vec(), info)));
    all
}

/// The consumers of a group, by name.
fn all_consumers(stream: &dyn Stream, group: &[u8]) -> Vec<(Vec<u8>, ConsumerInfo)> {
    let mut all = Vec::new();
    stream.walk_consumers(group, &mut |name, info| all.push((name.to_vec(), info)));
    all
}

/// Where a group stands, in the words that both forms of XINFO share.
fn write_progress(reply: &mut Writer<'_>, counters: &Counters, info: GroupInfo) {
    reply.text("last-delivered-id");
    ids::write(reply, info.last_delivered);
    reply.text("entries-read");
    match info.entries_read {
        Some(read) => reply.count(read),
        None => reply.null(),
    }
    reply.text("lag");
    match counters.lag(info) {
        Some(lag) => reply.integer(lag),
        None => reply.null(),
    }
}

fn write_groups_in_full(reply: &mut Writer<'_>, stream: &dyn Stream, count: usize) {
    let counters = Counters::of(stream);
    let groups = all_groups(stream);
    reply.array(groups.len());
    for (group, info) in groups {
        reply.map(7);
        reply.text("name");
        reply.bulk(&group);
        write_progress(reply, &counters, info);
        reply.text("pel-count");
        reply.count(stream.pending_len(&group) as u64);
        reply.text("pending");
        write_pending(reply, stream, &group, None, count);
        reply.text("consumers");
        let consumers = all_consumers(stream, &group);
        reply.array(consumers.len());
        for (consumer, info) in consumers {
            reply.map(5);
            reply.text("name");
            reply.bulk(&consumer);
            reply.text("seen-time");
            reply.count(info.seen_at.0);
            reply.text("active-time");
            match info.active_at {
                Some(at) => reply.count(at.0),
                None => reply.integer(-1),
            }
            reply.text("pel-count");
            reply.count(info.pending as u64);
            reply.text("pending");
            write_pending(reply, stream, &group, Some(&consumer), count);
        }
    }
}

/// Writes what a group owes, or what one of its consumers does.
fn write_pending(
    reply: &mut Writer<'_>,
    stream: &dyn Stream,
    group: &[u8],
    consumer: Option<&[u8]>,
    count: usize,
) {
    let mut all = Vec::new();
    stream.walk_pending(group, consumer, StreamId::MIN, &mut |id, pending| {
        all.push((id, pending.clone()));
        all.len() < count
    });
    reply.array(all.len());
    for (id, pending) in all {
        reply.array(if consumer.is_some() { 3 } else { 4 });
        ids::write(reply, id);
        if consumer.is_none() {
            reply.bulk(&pending.consumer);
        }
        reply.count(pending.delivered_at.0);
        reply.count(pending.deliveries);
    }
}

pub(super) fn groups(c: &mut Context<'_>) -> Result<(), Error> {
    let stream = c.db.stream(c.args[2])?.ok_or(Error::NoSuchKey)?;
    let counters = Counters::of(stream);
    let groups = all_groups(stream);
    c.reply.array(groups.len());
    for (group, info) in groups {
        let mut consumers = 0;
        stream.walk_consumers(&group, &mut |_, _| consumers += 1);
        c.reply.map(6);
        c.reply.text("name");
        c.reply.bulk(&group);
        c.reply.text("consumers");
        c.reply.count(consumers);
        c.reply.text("pending");
        c.reply.count(stream.pending_len(&group) as u64);
        write_progress(&mut c.reply, &counters, info);
    }
    Ok(())
}

pub(super) fn consumers(c: &mut Context<'_>) -> Result<(), Error> {
    let (key, group) = (c.args[2], c.args[3]);
    let now = c.db.now();
    let stream = c.db.stream(key)?.ok_or(Error::NoSuchKey)?;
    if stream.group(group).is_none() {
        return Err(group_errors::no_group_of_key(key, group));
    }
    let consumers = all_consumers(stream, group);
    c.reply.array(consumers.len());
    for (consumer, info) in consumers {
        c.reply.map(4);
        c.reply.text("name");
        c.reply.bulk(&consumer);
        c.reply.text("pending");
        c.reply.count(info.pending as u64);
        c.reply.text("idle");
        c.reply.count(info.seen_at.until(now));
        c.reply.text("inactive");
        match info.active_at {
            Some(at) => c.reply.count(at.until(now)),
            None => c.reply.integer(-1),
        }
    }
    Ok(())
}
