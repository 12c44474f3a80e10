//! Commands over the whole cluster: planned by shard, run at every shard's leader, merged here. SCAN goes from shard to
//! shard in the order of the slots, because its cursor is a place in that order; the others ask all shards at once.
//!
//! A part is an ordinary read or write of its group, so it finds the leader, waits for one, and is asked again as any
//! other. The parts of a read are not of one moment; FLUSHDB and FLUSHALL happen on all shards at once (`commits`).

use crate::clients::Ticket;
use crate::hub::{Waiter, Work};
use crate::node::Node;
use crate::op::{Invocation, Op, Words, encode_invocation, encode_op};
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::database::{Database, ScanPosition};
use base::{GroupId, Slot};
use bytes::Bytes;
use command::{Spec, scatter};
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// A command under way.
#[derive(Debug)]
pub struct Job {
    ticket: Ticket,
    protocol: Protocol,
    spec: &'static Spec,
    database: base::DatabaseId,
    words: Vec<Vec<u8>>,
    waiting: usize,
    parts: BTreeMap<GroupId, Bytes>,
    /// The first error that a part answered.
    failed: Option<Bytes>,
    /// How the parts are asked.
    stage: Stage,
}

impl Job {
    /// When its client asked.
    pub fn since(&self) -> base::Time {
        self.ticket.since()
    }
}

#[derive(Debug)]
enum Stage {
    /// All parts were asked at once.
    All,
    /// SCAN: pages are asked for, one after the other.
    Walking { keys: Vec<Vec<u8>>, wanted: usize },
    /// CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: pages of one slot.
    OfSlot {
        slot: Slot,
        /// What was found. A set, since a page may repeat keys of the one before it.
        keys: BTreeSet<Vec<u8>>,
        /// How many keys to answer; `None`: only how many there are.
        wanted: Option<usize>,
    },
}

/// What one shard answers, as bytes between nodes.
struct Part {
    count: u64,
    keys: Vec<Bytes>,
    next: Option<ScanPosition>,
}

impl Encode for Part {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.count);
        to.list(self.keys.iter());
        to.bool(self.next.is_some());
        if let Some(next) = self.next {
            to.u16(next.slot.number());
            to.u64(next.hash);
        }
    }
}

impl Decode for Part {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (count, keys) = (from.u64()?, from.list()?);
        let next = if from.bool()? {
            let slot = Slot::new(from.u16()?).ok_or(DecodeError::Invalid("a slot"))?;
            Some(ScanPosition { slot, hash: from.u64()? })
        } else {
            None
        };
        Ok(Self { count, keys, next })
    }
}

/// Runs one shard's part of a command that only reads; the merge is `Node::part_done`'s.
pub fn run_part(invocation: &Invocation<'_>, db: &dyn Database, seed: u64, to: &mut Vec<u8>) {
    let words = &invocation.words;
    let mut part = Part { count: db.len(), keys: Vec::new(), next: None };
    match invocation.spec.name {
        "scan" => {
            if let Ok(scan) = scatter::Scan::parse(words) {
                let page = scatter::scan_page(db, scan.cursor.position(), &scan);
                part.keys = page.keys.into_iter().map(Bytes::from).collect();
                part.next = page.next;
            }
        }
        "keys" => {
            part.keys = scatter::keys_matching(db, words[1]).into_iter().map(Bytes::from).collect();
        }
        "randomkey" => part.keys = db.pick(seed).into_iter().map(Bytes::from).collect(),
        _ => {}
    }
    part.encode(&mut Encoder::new(to));
}

/// Answers a command over all shards where there is only this one, as in a transaction.
pub fn run_alone(invocation: &Invocation<'_>, db: &dyn Database, seed: u64, to: &mut Vec<u8>) {
    let mut writer = Writer::new(to, invocation.protocol);
    let words = &invocation.words;
    match invocation.spec.name {
        "scan" => match scatter::Scan::parse(words) {
            Ok(scan) => {
                let page = scatter::scan_page(db, scan.cursor.position(), &scan);
                scatter::reply_page(&mut writer, page.next, &page.keys);
            }
            Err(error) => writer.error(error),
        },
        "keys" => scatter::reply_keys(&mut writer, &scatter::keys_matching(db, words[1])),
        "randomkey" => writer.bulk_or_null(db.pick(seed).as_deref()),
        _ => writer.count(db.len()),
    }
}

impl Node {
    /// Begins a command over all shards.
    pub(crate) fn scatter(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        if let Err(error) = check_words(spec, words) {
            self.refuse(slot, error);
            return;
        }
        if let Some(job) = self.begin_job(slot, spec, words, Stage::All) {
            self.plan(job);
        }
    }

    /// Begins a walk over the keys of one slot in the client's database; `wanted`: how many to answer, or `None` to
    /// answer how many there are.
    pub(crate) fn scatter_slot(&mut self, slot: u32, of: Slot, wanted: Option<usize>) {
        let spec = command::lookup(b"scan").expect("SCAN is in the table");
        let page =
            scatter::SCAN_COUNT_MAX.min(wanted.unwrap_or(usize::MAX).max(scatter::SCAN_COUNT)).to_string();
        let words: [&[u8]; 4] = [b"scan", b"0", b"count", page.as_bytes()];
        let stage = Stage::OfSlot { slot: of, keys: BTreeSet::new(), wanted };
        if let Some(job) = self.begin_job(slot, spec, &words, stage) {
            self.ask_page(job, ScanPosition { slot: of, hash: 0 });
        }
    }

    fn begin_job(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]], stage: Stage) -> Option<u64> {
        let client = self.hub.clients.get(slot)?;
        let (index, protocol) = (client.database, client.protocol);
        let Some(database) = self.database(index) else {
            self.refuse(slot, "ERR the selected database is gone or closing; SELECT another");
            return None;
        };
        let ticket = self.hub.clients.ticket(slot, None);
        // What comes behind a command over all shards waits for it, and it waits for nothing that is behind it.
        if let Some(client) = self.hub.clients.get(slot) {
            client.held = true;
        }
        let job = Job {
            ticket,
            protocol,
            spec,
            database,
            words: words.iter().map(|word| word.to_vec()).collect(),
            waiting: 0,
            parts: BTreeMap::new(),
            failed: None,
            stage,
        };
        self.next_job += 1;
        self.jobs.insert(self.next_job, job);
        Some(self.next_job)
    }

    fn plan(&mut self, id: u64) {
        let groups: Vec<GroupId> = self.view.shards.clone();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.spec.name == "scan" {
            let words: Words<'_> = job.words.iter().map(|word| &word[..]).collect();
            let scan = scatter::Scan::parse(&words).expect("the words were checked");
            let (position, wanted) = (scan.cursor.position(), scan.count.min(scatter::SCAN_COUNT_MAX));
            drop(words);
            job.stage = Stage::Walking { keys: Vec::new(), wanted };
            self.ask_page(id, position);
            return;
        }
        let databases = if job.spec.name == "flushall" {
            self.view.databases.iter().flatten().copied().collect()
        } else {
            vec![job.database]
        };
        job.waiting = groups.len() * databases.len();
        let (spec, protocol) = (job.spec, job.protocol);
        let words = job.words.clone();
        if spec.is_write() && groups.len() > 1 {
            // It happens on all shards at once, or on none.
            let Some(Job { ticket, database, .. }) = self.jobs.remove(&id) else { return };
            let words = words.iter().map(|word| &word[..]).collect();
            let invocation = Invocation { spec, database, target: None, protocol, words };
            return self.command_over_all(ticket, &invocation, &databases);
        }
        for group in groups {
            for database in &databases {
                let words = words.iter().map(|word| &word[..]).collect();
                let invocation = Invocation { spec, database: *database, target: None, protocol, words };
                self.ask_part(id, group, &invocation);
            }
        }
    }

    fn ask_part(&mut self, job: u64, group: GroupId, invocation: &Invocation<'_>) {
        let waiter = Waiter::Scatter { job, group };
        let mut bytes = Vec::new();
        if invocation.spec.is_write() {
            encode_op(&mut bytes, &Op::Command(invocation.clone()));
            self.forward(group, waiter, Work::Write(bytes.into()));
        } else {
            encode_invocation(&mut bytes, invocation);
            self.forward(group, waiter, Work::Read(bytes.into()));
        }
    }

    fn ask_page(&mut self, id: u64, from: ScanPosition) {
        let group = self.view.slots.group_of(from.slot);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.waiting = 1;
        let cursor = scatter::Cursor::of(from).0.to_string();
        let (spec, database, protocol) = (job.spec, job.database, job.protocol);
        let words = job.words.clone();
        let mut words: Words<'_> = words.iter().map(|word| &word[..]).collect();
        words[1] = cursor.as_bytes();
        self.ask_part(id, group, &Invocation { spec, database, target: None, protocol, words });
    }

    /// A part has answered, or can't be had: then it is an error for the whole.
    pub(crate) fn part_done(&mut self, id: u64, group: GroupId, part: Result<Bytes, Bytes>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.waiting = job.waiting.saturating_sub(1);
        match part {
            Err(error) => {
                job.failed.get_or_insert(error);
            }
            // A write's reply is a client's; a read's is a part, whose first byte may be anything.
            Ok(bytes) if job.spec.is_write() && bytes.first() == Some(&b'-') => {
                job.failed.get_or_insert(bytes);
            }
            Ok(bytes) => {
                job.parts.insert(group, bytes);
            }
        }
        if job.waiting == 0 {
            self.merge(id, group);
        }
    }

    fn note_slow_job(&mut self, job: &Job) {
        if self.is_slow(self.hub.now.since(job.since())) {
            let words: Vec<&[u8]> = job.words.iter().map(|word| &word[..]).collect();
            self.note_slow_answer(job.ticket, job.since(), job.spec, &words);
        }
    }

    fn merge(&mut self, id: u64, last: GroupId) {
        let Some(mut job) = self.jobs.remove(&id) else { return };
        self.note_slow_job(&job);
        if let Some(error) = job.failed.take() {
            self.hub.clients.answer(job.ticket, &error);
            return;
        }
        let mut reply = Vec::new();
        let mut writer = Writer::new(&mut reply, job.protocol);
        if job.spec.is_write() {
            writer.ok();
            self.hub.clients.answer(job.ticket, &reply);
            return;
        }
        let parts: Result<Vec<(GroupId, Part)>, DecodeError> = std::mem::take(&mut job.parts)
            .into_iter()
            .map(|(group, bytes)| Part::from_bytes(bytes).map(|part| (group, part)))
            .collect();
        let Ok(mut parts) = parts else {
            writer.error("ERR a node of another release answered something unknown");
            self.hub.clients.answer(job.ticket, &reply);
            return;
        };
        match (&mut job.stage, job.spec.name) {
            (Stage::Walking { keys, wanted }, _) => {
                let Some((_, page)) = parts.pop() else { return };
                keys.extend(page.keys.iter().map(|key| key.to_vec()));
                // Where this shard ends, the walk goes on at the next slot that another one has.
                let next = page.next.or_else(|| self.view.first_slot_after(last));
                match next {
                    Some(next) if keys.is_empty() || keys.len() < *wanted && page.next.is_none() => {
                        self.jobs.insert(id, job);
                        self.ask_page(id, next);
                        return;
                    }
                    next => scatter::reply_page(&mut writer, next, keys),
                }
            }
            (Stage::OfSlot { slot, keys, wanted }, _) => {
                let Some((_, page)) = parts.pop() else { return };
                let of_slot = page.keys.iter().filter(|key| base::slot_of(key) == *slot);
                keys.extend(of_slot.map(|key| key.to_vec()));
                let more = page
                    .next
                    .filter(|next| next.slot == *slot && wanted.is_none_or(|most| keys.len() < most));
                if let Some(next) = more {
                    self.jobs.insert(id, job);
                    self.ask_page(id, next);
                    return;
                }
                match wanted {
                    None => writer.count(keys.len() as u64),
                    Some(most) => {
                        let chosen: Vec<Vec<u8>> = std::mem::take(keys).into_iter().take(*most).collect();
                        scatter::reply_keys(&mut writer, &chosen);
                    }
                }
            }
            (Stage::All, "randomkey") => {
                let sizes: Vec<u64> = parts.iter().map(|(_, part)| part.count).collect();
                match scatter::random_shard(&sizes, self.hub.rng.next_u64()) {
                    None => writer.null(),
                    // The shard's own pick came with its size.
                    Some(chosen) => match parts[chosen].1.keys.first() {
                        Some(key) => writer.bulk(key),
                        None => writer.null(),
                    },
                }
            }
            (_, "keys") => {
                let keys: Vec<Vec<u8>> =
                    parts.iter().flat_map(|(_, part)| part.keys.iter().map(|key| key.to_vec())).collect();
                scatter::reply_keys(&mut writer, &keys);
            }
            _ => writer.count(parts.iter().map(|(_, part)| part.count).sum()),
        }
        self.hub.clients.answer(job.ticket, &reply);
    }
}

/// Merges what shards have answered to a command that needs no second look; nothing if that can't be read. `after`: where a walk goes
/// on behind the shard that was asked.
pub fn merge_parts(
    spec: &Spec,
    protocol: Protocol,
    parts: &[(GroupId, &[u8])],
    after: Option<ScanPosition>,
    seed: u64,
    to: &mut Vec<u8>,
) -> Option<()> {
    let mut writer = Writer::new(to, protocol);
    let parts: Result<Vec<(GroupId, Part)>, DecodeError> = parts
        .iter()
        .map(|(group, bytes)| Part::from_bytes(Bytes::copy_from_slice(bytes)).map(|part| (*group, part)))
        .collect();
    let mut parts = parts.ok()?;
    match spec.name {
        "scan" => {
            let (_, page) = parts.pop()?;
            let keys: Vec<Vec<u8>> = page.keys.iter().map(|key| key.to_vec()).collect();
            // Where this shard ends, the walk goes on at the next slot that another one has.
            scatter::reply_page(&mut writer, page.next.or(after), &keys);
        }
        "randomkey" => {
            let sizes: Vec<u64> = parts.iter().map(|(_, part)| part.count).collect();
            // The shard's own pick came with its size.
            let chosen = scatter::random_shard(&sizes, seed).and_then(|chosen| parts[chosen].1.keys.first());
            writer.bulk_or_null(chosen.map(|key| &key[..]));
        }
        "keys" => {
            let keys: Vec<Vec<u8>> =
                parts.iter().flat_map(|(_, part)| part.keys.iter().map(|key| key.to_vec())).collect();
            scatter::reply_keys(&mut writer, &keys);
        }
        _ => writer.count(parts.iter().map(|(_, part)| part.count).sum()),
    }
    Some(())
}

/// The shard whose page a SCAN with these words asks for, if they are in order.
pub fn shard_of_scan(words: &[&[u8]], slots: &routing::SlotMap) -> Option<GroupId> {
    let scan = scatter::Scan::parse(words).ok()?;
    Some(slots.group_of(scan.cursor.position().slot))
}

pub(crate) fn check_words(spec: &Spec, words: &[&[u8]]) -> Result<(), command::Error> {
    match spec.name {
        "scan" => scatter::Scan::parse(words).map(|_| ()),
        "flushdb" | "flushall" => scatter::check_flush(words),
        _ => Ok(()),
    }
}
