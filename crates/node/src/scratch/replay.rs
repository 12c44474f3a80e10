//! Effects are carried out at the shard of their keys, on every replica alike. The versions that came with them were found unchanged just
//! before, so the keys are as the run saw them; what doesn't fit all the same, because a faulty node sent it, does nothing.

use super::mutation::{Act, Mutation};
use base::UnixMillis;
use base::database::{Database, Hashes, Lists, Sets, SortedSets, Streams};
use keyspace::{Keyspace, View, rdb};

/// Carries out effects, in order.
pub fn carry_out<'a>(
    keyspace: &mut Keyspace,
    effects: impl IntoIterator<Item = Mutation<'a>>,
    now: UnixMillis,
) {
    for Mutation { database, key, act } in effects {
        match act {
            Act::Tell { class, event } => keyspace.note_told(database, class, event, key),
            act => {
                // What it answers the run has seen.
                let _ = replay(&mut keyspace.database(database, now), key, &act);
            }
        }
    }
}

/// Nothing where it doesn't fit.
fn replay(db: &mut View<'_>, key: &[u8], act: &Act<'_>) -> Option<()> {
    match act {
        Act::Put { value, expires_at } => {
            let mut rest = *value;
            let value = rdb::read_typed(&mut rest).ok().filter(|_| rest.is_empty())?;
            db.put_value(key, value, *expires_at).ok()
        }
        Act::PutString { value, expiry } => {
            db.put_string(key, value, *expiry);
            Some(())
        }
        Act::Splice { offset, part } => {
            let offset = usize::try_from(*offset).ok()?;
            let end = offset.checked_add(part.len())?;
            if end > rdb::STRING_BYTES_MAX {
                return None;
            }
            db.splice_string(key, offset, part).ok().map(drop)
        }
        Act::Remove => db.remove(key).then_some(()),
        Act::SetExpiry { at } => db.set_expiry(key, *at).then_some(()),
        Act::SetUsage { idle_ms, frequency } => {
            db.set_usage(key, *idle_ms, *frequency);
            Some(())
        }
        Act::Rename { to } => db.rename(key, to).then_some(()),
        Act::Copy { into, to } => db.copy(key, *into, to).then_some(()),
        Act::ListInsert { at, elements } => {
            let length = db.list(key).ok()?.map_or(0, |list| list.len());
            let at = usize::try_from(*at).ok().filter(|at| *at <= length)?;
            db.list_insert(key, at, elements).ok().map(drop)
        }
        Act::ListRemove { from, count } => {
            let length = db.list(key).ok()??.len();
            let from = usize::try_from(*from).ok().filter(|from| *from < length)?;
            let count = usize::try_from(*count).ok()?.min(length - from);
            db.list_remove(key, from, count).ok()
        }
        Act::ListReplace { at, element } => {
            db.list_replace(key, usize::try_from(*at).ok()?, element).ok().map(drop)
        }
        Act::SetAdd { members } => db.set_add(key, members).ok().map(drop),
        Act::SetRemove { members } => db.set_remove(key, members).ok().map(drop),
        Act::HashSet { fields, expiry } => db.hash_set(key, fields, *expiry).ok().map(drop),
        Act::HashRemove { fields } => db.hash_remove(key, fields).ok().map(drop),
        Act::HashSetExpiry { field, at } => db.hash_set_expiry(key, field, *at).ok().map(drop),
        Act::SortedSetPut { members } => db.sorted_set_put(key, members).ok().map(drop),
        Act::SortedSetRemove { members } => db.sorted_set_remove(key, members).ok().map(drop),
        act => replay_on_stream(db, key, act),
    }
}

fn replay_on_stream(db: &mut View<'_>, key: &[u8], act: &Act<'_>) -> Option<()> {
    match act {
        Act::StreamCreate => db.stream_create(key).ok().map(drop),
        Act::StreamAppend { id, fields } => {
            let last = db.stream(key).ok()?.map(|stream| stream.info().last_id);
            if last.unwrap_or_default() >= *id {
                return None;
            }
            db.stream_append(key, *id, *fields).ok()
        }
        Act::StreamRemove { ids } => db.stream_remove(key, ids).ok().map(drop),
        Act::StreamTrim { count } => db.stream_trim(key, usize::try_from(*count).ok()?).ok(),
        Act::StreamSetInfo { info } => db.stream_set_info(key, *info).ok().map(drop),
        Act::GroupPut { group, info } => db.group_put(key, group, *info).ok().map(drop),
        Act::GroupRemove { group } => db.group_remove(key, group).ok().map(drop),
        Act::ConsumerPut { group, consumer, info } => {
            db.consumer_put(key, group, consumer, *info).ok().map(drop)
        }
        Act::ConsumerRemove { group, consumer } => db.consumer_remove(key, group, consumer).ok().map(drop),
        Act::PendingPut { group, id, pending } => {
            db.pending_put(key, group, *id, pending.clone()).ok().map(drop)
        }
        Act::PendingRemove { group, id } => db.pending_remove(key, group, *id).ok().map(drop),
        _ => None,
    }
}
