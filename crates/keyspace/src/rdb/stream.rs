//! Streams. Entries are kept in nodes: a node has an id, from which the ids of its entries count, and a listpack that
//! begins with the fields of its first entry, so that entries with the same fields needn't repeat them:
//!
//! ```text
//! node   := live, deleted, count of fields, fields…, 0, entries…
//! entry  := flags, milliseconds since the node's, sequence since the node's, (values… | count of fields, (field, value)…),
//!           elements of the entry before this one
//! ```
//!
//! Behind the nodes stand what the stream knows beside its entries, and its groups.

use super::listpack::{self, Element, Writer};
use super::read::{distinct, repeated};
use super::string::{read_number, read_owned, read_string, take_array, write_number, write_string};
use super::value::{ConsumerValue, GroupValue, StreamValue};
use super::{BadValue, types};
use base::UnixMillis;
use base::database::streams::{Fields, GroupInfo, PendingEntry, StreamId, StreamInfo};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A node has at most so many entries and about so many bytes: Redis's own defaults.
const NODE_ENTRIES_MAX: usize = 100;
const NODE_BYTES_MAX: usize = 4096;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;

/// Flags and the two parts of the id.
const ENTRY_HEAD_ELEMENTS: usize = 3;

/// Entries that share long fields are longer by themselves than in their node; by more than this, nobody wrote them.
const GROWTH_MAX: usize = 256;

/// Stands for a number or time that isn't known: minus one.
const UNKNOWN: u64 = u64::MAX;

/// Takes a stream from the front.
pub fn read(kind: u8, from: &mut &[u8]) -> Result<StreamValue, BadValue> {
    let mut entries = Vec::new();
    for _ in 0..read_number(from)? {
        let id: [u8; 16] = read_string(from)?
            .as_ref()
            .try_into()
            .map_err(|_| BadValue::Malformed("a stream with a node under no id"))?;
        read_node(id_of(&id), &read_string(from)?, &mut entries)?;
    }
    if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(BadValue::Malformed("a stream whose ids don't ascend"));
    }
    if read_number(from)? != entries.len() as u64 {
        return Err(BadValue::Malformed("a stream with another count of entries than it announces"));
    }
    let mut stream = StreamValue { entries, ..StreamValue::default() };
    stream.info.last_id = read_id(from)?;
    if stream.entries.last().is_some_and(|(id, _)| *id > stream.info.last_id) {
        return Err(BadValue::Malformed("a stream with an entry above its last id"));
    }
    stream.info.entries_added = stream.entries.len() as u64;
    if kind != types::STREAM_1 {
        // The first id follows from the entries.
        read_id(from)?;
        stream.info.max_deleted_id = read_id(from)?;
        stream.info.entries_added = read_number(from)?;
    }
    stream.groups = repeated(from, |from| read_group(kind, &stream, from))?;
    if !distinct(stream.groups.iter().map(|group| group.name.as_slice())) {
        return Err(BadValue::Malformed("a stream with a group twice"));
    }
    Ok(stream)
}

/// Takes elements one by one.
struct Elements<'a>(std::vec::IntoIter<Element<'a>>);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Element<'a>, BadValue> {
        self.0.next().ok_or(BadValue::Malformed("a stream with a node that is cut"))
    }

    fn integer(&mut self) -> Result<i64, BadValue> {
        self.next()?.integer().ok_or(BadValue::Malformed("a stream with bytes where a number should be"))
    }

    fn count(&mut self) -> Result<usize, BadValue> {
        usize::try_from(self.integer()?).map_err(|_| BadValue::Malformed("a stream with a count below zero"))
    }

    /// Packs so many elements behind those in `packed`, as long as that stays within `room`.
    fn pack(&mut self, packed: &mut Vec<u8>, room: &mut usize) -> Result<(), BadValue> {
        pack(self.next()?, packed, room)
    }

    fn is_at_end(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

fn pack(element: Element<'_>, packed: &mut Vec<u8>, room: &mut usize) -> Result<(), BadValue> {
    let before = packed.len();
    match element {
        Element::Bytes(bytes) => pack_word(bytes, packed),
        Element::Integer(integer) => pack_word(integer.to_string().as_bytes(), packed),
    }
    *room = room
        .checked_sub(packed.len() - before)
        .ok_or(BadValue::Malformed("a stream with entries that are too long for their node"))?;
    Ok(())
}

fn pack_word(word: &[u8], packed: &mut Vec<u8>) {
    // Strings are bounded far below 4 GiB.
    packed.extend_from_slice(&(word.len() as u32).to_le_bytes());
    packed.extend_from_slice(word);
}

fn read_node(base: StreamId, packed: &[u8], entries: &mut Vec<(StreamId, Vec<u8>)>) -> Result<(), BadValue> {
    let mut elements = Elements(listpack::read(packed)?.into_iter());
    let mut room = packed.len().saturating_mul(GROWTH_MAX);
    let (live, deleted, count) = (elements.count()?, elements.count()?, elements.count()?);
    let mut fields = Vec::new();
    for _ in 0..count {
        fields.push(elements.next()?);
    }
    if elements.integer()? != 0 {
        return Err(BadValue::Malformed("a stream with a node whose fields don't end"));
    }
    let (before, mut gone) = (entries.len(), 0);
    while !elements.is_at_end() {
        match read_entry(base, &fields, &mut elements, &mut room)? {
            Some(entry) => entries.push(entry),
            None => gone += 1,
        }
    }
    if (entries.len() - before, gone) != (live, deleted) {
        return Err(BadValue::Malformed("a stream with a node of another count than it announces"));
    }
    Ok(())
}

/// An entry, unless it is marked as deleted.
fn read_entry(
    base: StreamId,
    shared: &[Element<'_>],
    elements: &mut Elements<'_>,
    room: &mut usize,
) -> Result<Option<(StreamId, Vec<u8>)>, BadValue> {
    let flags = elements.integer()?;
    // Both parts count from the node's, around the end if need be.
    let ms = base.ms.wrapping_add(elements.integer()? as u64);
    let sequence = base.sequence.wrapping_add(elements.integer()? as u64);
    let mut packed = Vec::new();
    let count = if flags & SAME_FIELDS != 0 {
        for &field in shared {
            pack(field, &mut packed, room)?;
            elements.pack(&mut packed, room)?;
        }
        ENTRY_HEAD_ELEMENTS + shared.len()
    } else {
        let count = elements.count()?;
        for _ in 0..count {
            elements.pack(&mut packed, room)?;
            elements.pack(&mut packed, room)?;
        }
        ENTRY_HEAD_ELEMENTS + 1 + 2 * count
    };
    if elements.count()? != count {
        return Err(BadValue::Malformed("a stream with an entry that can't be walked backwards"));
    }
    if flags & DELETED != 0 {
        return Ok(None);
    }
    if packed.is_empty() {
        return Err(BadValue::Malformed("a stream with an entry without fields"));
    }
    packed.shrink_to_fit();
    Ok(Some((StreamId { ms, sequence }, packed)))
}

fn read_group(kind: u8, stream: &StreamValue, from: &mut &[u8]) -> Result<GroupValue, BadValue> {
    let name = read_owned(from)?;
    let last_delivered = read_id(from)?;
    let entries_read = match kind {
        types::STREAM_1 => entries_read_by(last_delivered, stream),
        _ => Some(read_number(from)?).filter(|&read| i64::try_from(read).is_ok()),
    };
    // What isn't acknowledged, first without the consumers; they come with the ids that they owe.
    let mut open = BTreeMap::new();
    for _ in 0..read_number(from)? {
        let id = id_of(&take_array(from)?);
        let (delivered_at, deliveries) = (read_time(from)?.unwrap_or(UnixMillis(0)), read_number(from)?);
        let entry = PendingEntry { consumer: Vec::new(), delivered_at, deliveries };
        if open.insert(id, (false, entry)).is_some() {
            return Err(BadValue::Malformed("a stream with an entry that is pending twice"));
        }
    }
    let consumers = repeated(from, |from| read_consumer(kind, &mut open, from))?;
    if !distinct(consumers.iter().map(|consumer| consumer.name.as_slice())) {
        return Err(BadValue::Malformed("a stream with a consumer twice"));
    }
    if open.values().any(|(owed, _)| !owed) {
        return Err(BadValue::Malformed("a stream with an entry that is pending by nobody"));
    }
    let pending = open.into_iter().map(|(id, (_, entry))| (id, entry)).collect();
    Ok(GroupValue { name, info: GroupInfo { last_delivered, entries_read }, consumers, pending })
}

fn read_consumer(
    kind: u8,
    open: &mut BTreeMap<StreamId, (bool, PendingEntry)>,
    from: &mut &[u8],
) -> Result<ConsumerValue, BadValue> {
    let name = read_owned(from)?;
    let seen_at = read_time(from)?.unwrap_or(UnixMillis(0));
    let active_at = if kind == types::STREAM_3 { read_time(from)? } else { Some(seen_at) };
    for _ in 0..read_number(from)? {
        match open.entry(id_of(&take_array(from)?)) {
            Entry::Occupied(mut entry) if !entry.get().0 => {
                let (owed, pending) = entry.get_mut();
                *owed = true;
                pending.consumer = name.clone();
            }
            _ => return Err(BadValue::Malformed("a stream with a consumer that owes what isn't pending")),
        }
    }
    Ok(ConsumerValue { name, seen_at, active_at })
}

/// How many entries a group has read that was delivered up to `id`, where that can be told without having counted.
fn entries_read_by(id: StreamId, stream: &StreamValue) -> Option<u64> {
    let StreamInfo { last_id, entries_added, .. } = stream.info;
    if id == last_id || (stream.entries.is_empty() && id < last_id) {
        return Some(entries_added);
    }
    let (first, count) = (stream.first_id(), stream.entries.len() as u64);
    match id.cmp(&first) {
        _ if id > last_id => None,
        std::cmp::Ordering::Less => Some(entries_added.saturating_sub(count)),
        std::cmp::Ordering::Equal => Some(entries_added.saturating_sub(count) + 1),
        std::cmp::Ordering::Greater => None,
    }
}

/// Milliseconds and sequence, big-endian.
fn id_of(bytes: &[u8; 16]) -> StreamId {
    let both = u128::from_be_bytes(*bytes);
    StreamId { ms: (both >> 64) as u64, sequence: both as u64 }
}

fn id_bytes(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.sequence)).to_be_bytes()
}

fn read_id(from: &mut &[u8]) -> Result<StreamId, BadValue> {
    Ok(StreamId { ms: read_number(from)?, sequence: read_number(from)? })
}

fn write_id(to: &mut Vec<u8>, id: StreamId) {
    write_number(to, id.ms);
    write_number(to, id.sequence);
}

/// A time, unless it lies before 1970, which stands for none.
fn read_time(from: &mut &[u8]) -> Result<Option<UnixMillis>, BadValue> {
    let ms = i64::from_le_bytes(take_array(from)?);
    Ok(u64::try_from(ms).ok().map(UnixMillis))
}

/// Appends a stream of the newest type.
///
/// # Panics
/// If an entry is pending by a consumer that isn't there.
pub fn write(to: &mut Vec<u8>, stream: &StreamValue, with_active: bool) {
    write_nodes(to, &stream.entries);
    write_number(to, stream.entries.len() as u64);
    write_id(to, stream.info.last_id);
    write_id(to, stream.first_id());
    write_id(to, stream.info.max_deleted_id);
    write_number(to, stream.info.entries_added);
    write_number(to, stream.groups.len() as u64);
    for group in &stream.groups {
        write_group(to, group, with_active);
    }
}

fn write_nodes(to: &mut Vec<u8>, entries: &[(StreamId, Vec<u8>)]) {
    let mut nodes: u64 = 0;
    let mut body = Vec::new();
    let mut rest = entries;
    while let Some((base, _)) = rest.first() {
        let (node, behind) = rest.split_at(node_len(rest));
        rest = behind;
        nodes += 1;
        write_string(&mut body, &id_bytes(*base));
        write_string(&mut body, &write_node(*base, node));
    }
    write_number(to, nodes);
    to.extend_from_slice(&body);
}

/// How many of these entries go into one node: at least one. Their bytes stand for what they take when packed.
fn node_len(entries: &[(StreamId, Vec<u8>)]) -> usize {
    let mut bytes = 0;
    let fitting = entries.iter().take(NODE_ENTRIES_MAX).take_while(|(_, fields)| {
        bytes += fields.len();
        bytes <= NODE_BYTES_MAX
    });
    fitting.count().max(1)
}

/// A node that is not empty.
fn write_node(base: StreamId, entries: &[(StreamId, Vec<u8>)]) -> Vec<u8> {
    let fields_of = |packed| Fields::packed(packed).words().step_by(2);
    let shared = entries.first().map_or(&[][..], |(_, packed)| packed);
    let shared_len = fields_of(shared).count();
    let mut node = Writer::new();
    node.push_integer(entries.len() as i64);
    node.push_integer(0);
    node.push_integer(shared_len as i64);
    fields_of(shared).for_each(|field| node.push(field));
    node.push_integer(0);
    for (id, packed) in entries {
        let same = fields_of(packed).eq(fields_of(shared));
        node.push_integer(if same { SAME_FIELDS } else { 0 });
        node.push_integer(id.ms.wrapping_sub(base.ms) as i64);
        node.push_integer(id.sequence.wrapping_sub(base.sequence) as i64);
        let elements = if same {
            Fields::packed(packed).words().skip(1).step_by(2).for_each(|value| node.push(value));
            shared_len
        } else {
            let count = fields_of(packed).count();
            node.push_integer(count as i64);
            Fields::packed(packed).words().for_each(|word| node.push(word));
            1 + 2 * count
        };
        node.push_integer((ENTRY_HEAD_ELEMENTS + elements) as i64);
    }
    node.finish()
}

fn write_group(to: &mut Vec<u8>, group: &GroupValue, with_active: bool) {
    write_string(to, &group.name);
    write_id(to, group.info.last_delivered);
    write_number(to, group.info.entries_read.unwrap_or(UNKNOWN));
    write_number(to, group.pending.len() as u64);
    let mut owed: BTreeMap<&[u8], Vec<StreamId>> =
        group.consumers.iter().map(|consumer| (consumer.name.as_slice(), Vec::new())).collect();
    for (id, pending) in &group.pending {
        to.extend_from_slice(&id_bytes(*id));
        to.extend_from_slice(&pending.delivered_at.0.to_le_bytes());
        write_number(to, pending.deliveries);
        let ids = owed.get_mut(pending.consumer.as_slice());
        base::invariant!("what is pending is owed by a consumer of its group", ids.is_some());
        ids.into_iter().for_each(|ids| ids.push(*id));
    }
    write_number(to, group.consumers.len() as u64);
    for consumer in &group.consumers {
        write_string(to, &consumer.name);
        to.extend_from_slice(&consumer.seen_at.0.to_le_bytes());
        if with_active {
            to.extend_from_slice(&consumer.active_at.map_or(UNKNOWN, |at| at.0).to_le_bytes());
        }
        let ids = owed.remove(consumer.name.as_slice()).unwrap_or_default();
        write_number(to, ids.len() as u64);
        ids.iter().for_each(|id| to.extend_from_slice(&id_bytes(*id)));
    }
}
