//! All databases as one RDB file, for a client that asks as a replica does (SYNC, PSYNC): `redis-cli --rdb`, `sihai export`.
//!
//! Every shard is asked how far it has come, so that what was acknowledged before is in the file; this node's copy takes
//! a snapshot that reaches as far, at a moment when no transaction over shards waits for its outcome; and the snapshots' pieces are read from the disk one by one, turned into keys and sent as
//! the client takes them. So memory holds a piece, however slow the client, and no shard waits for it. Each shard is as of one
//! entry of its own log, all of them after the client asked.
//!
//! What it must never do: end a file as if it were whole when it isn't.

use crate::answers::Answered;
use crate::api::{Effect, Level};
use crate::clients::Ticket;
use crate::hub::{DiskRead, Waiter};
use crate::node::{Copy, Node};
use crate::op::{Invocation, Words, encode_invocation};
use base::{DatabaseId, Duration, GroupId, Index, Time};
use bytes::Bytes;
use command::Spec;
use keyspace::Gatherer;
use keyspace::rdb::file::{Key, Writer};
use keyspace::rdb::{VERSION, VERSION_FIELD_EXPIRY};
use std::collections::BTreeMap;
use storage::{DiskRequest, SnapshotId, SnapshotRecord};

/// No more is read while so much waits for the client.
const AHEAD_BYTES: usize = 2 << 20;
/// A client that takes nothing for this long is hung up on.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a client that waits hears that the node lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// The length of what marks the end.
const END_MARK_BYTES: usize = 40;

/// A file under way.
pub(crate) struct Export {
    ticket: Ticket,
    writer: Option<Writer>,
    /// What marks its end, in the stream.
    mark: Vec<u8>,
    /// What is said before the data.
    greeting: Vec<u8>,
    databases: BTreeMap<DatabaseId, u64>,
    parts: Vec<Part>,
    /// Whether the data have begun; then nothing but data can be said.
    begun: bool,
    /// The part that is being sent, and its next piece.
    at: usize,
    next: u32,
    reading: bool,
    gatherer: Gatherer,
    /// When the client last took something, or heard something.
    moved_at: Time,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("parts", &self.parts).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Export {
    /// When its client asked.
    pub(crate) fn since(&self) -> Time {
        self.ticket.since()
    }
}

/// One shard of it.
#[derive(Clone, Copy, Debug)]
struct Part {
    group: GroupId,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It was asked how far it is.
    Asked,
    /// A snapshot must reach this entry.
    Bounded(Index),
    /// This one does.
    Frozen { id: SnapshotId, pieces: u32 },
}

impl Node {
    /// Begins a file for a client that has said SYNC or PSYNC.
    pub(crate) fn begin_export(&mut self, slot: u32, spec: &Spec) -> Answered {
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let (wishes, index, protocol) = (client.replica, client.database, client.protocol);
        if !wishes.data_only && (wishes.listens || spec.name == "psync") {
            return Err("ERR Sihai has no stream of changes for replicas of Redis: it sends its data once, to who has said \
                 REPLCONF rdb-only 1 (redis-cli --rdb, sihai export)"
                .into());
        }
        if !wishes.finds_end {
            return Err(
                "ERR the data's length isn't known beforehand: say REPLCONF capa eof before SYNC (redis-cli --rdb does)".into()
            );
        }
        let Some(database) = self.database(index) else {
            return Err("ERR the selected database is gone or closing; SELECT another".into());
        };
        let writer = Writer::for_version(wishes.version.unwrap_or(VERSION));
        let mut mark = Vec::with_capacity(END_MARK_BYTES);
        while mark.len() < END_MARK_BYTES {
            mark.push(b"0123456789abcdef"[(self.hub.rng.next_u64() & 15) as usize]);
        }
        let mut greeting = Vec::new();
        if spec.name == "psync" {
            greeting.extend_from_slice(format!("+FULLRESYNC {:040x} 0\r\n", self.cluster).as_bytes());
        }
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            client.held = true;
        }
        let groups = self.view.shards.clone();
        let databases = self.view.databases.iter().zip(0..).filter_map(|(id, index)| Some(((*id)?, index)));
        let export = Export {
            ticket,
            writer,
            mark,
            greeting,
            databases: databases.collect(),
            parts: groups.iter().map(|group| Part { group: *group, stage: Stage::Asked }).collect(),
            begun: false,
            at: 0,
            next: 1,
            reading: false,
            gatherer: Gatherer::default(),
            moved_at: self.hub.now,
        };
        self.next_job += 1;
        let job = self.next_job;
        self.exports.insert(job, export);
        let spec = command::lookup(b"sync").expect("SYNC is in the table");
        let words = Words::from_slice(&[b"sync"]);
        let mut query = Vec::new();
        encode_invocation(&mut query, &Invocation { spec, database, target: None, protocol, words });
        let query = Bytes::from(query);
        for group in groups {
            self.query(group, Waiter::Export { job, group }, query.clone(), false);
        }
        Ok(())
    }

    /// A shard has said how far it is, or can't.
    pub(crate) fn export_bounded(&mut self, job: u64, group: GroupId, reply: Result<Bytes, Bytes>) {
        let Some(export) = self.exports.get_mut(&job) else { return };
        let number = reply.map(|bytes| bytes.first_chunk().map(|bytes| Index(u64::from_le_bytes(*bytes))));
        match number {
            Ok(Some(index)) => {
                for part in export.parts.iter_mut().filter(|part| part.group == group) {
                    part.stage = Stage::Bounded(index);
                }
                self.go_on_exporting();
            }
            Ok(None) => {
                self.fail_export(job, b"-ERR a node of another release answered something unknown\r\n")
            }
            Err(error) => self.fail_export(job, &error),
        }
    }

    /// Goes on with every file as far as its client and the disk let it.
    pub(crate) fn go_on_exporting(&mut self) {
        let jobs: Vec<u64> = self.exports.keys().copied().collect();
        for job in jobs {
            if let Err(why) = self.step_export(job) {
                let error = format!("-ERR the data can't be given: {why}\r\n");
                self.fail_export(job, error.as_bytes());
            }
        }
    }

    /// What happens by itself: signs of life, and the end of patience.
    pub(crate) fn tend_exports(&mut self) {
        if self.exports.is_empty() {
            return;
        }
        self.go_on_exporting();
        let now = self.hub.now;
        let mut slow = Vec::new();
        for (job, export) in &mut self.exports {
            let silent = now.since(export.moved_at);
            if !export.begun && silent >= SIGN_OF_LIFE {
                export.moved_at = now;
                self.hub.clients.push(export.ticket.slot(), |out| out.push(b'\n'));
            } else if export.begun && silent >= PATIENCE {
                slow.push(*job);
            }
        }
        for job in slow {
            self.fail_export(job, b"-ERR nothing was taken for too long\r\n");
        }
    }

    fn step_export(&mut self, job: u64) -> Result<(), String> {
        let Some(export) = self.exports.get_mut(&job) else { return Ok(()) };
        let Some(client) = self.hub.clients.of(export.ticket) else {
            self.exports.remove(&job);
            return Ok(());
        };
        let waiting = client.output_bytes();
        for part in &mut export.parts[export.at..] {
            let replica = self.replicas.get_mut(part.group.0 as usize).and_then(Copy::live);
            let Some(replica) = replica.filter(|replica| !replica.is_loading()) else {
                return Err(format!(
                    "this node has no copy of {} at the moment; ask one that has",
                    part.group
                ));
            };
            // What is being read isn't replaced, unless the log grows out of all bounds.
            replica.piece_served_at = self.hub.now;
            match part.stage {
                Stage::Asked => {}
                Stage::Bounded(index) => {
                    let expires =
                        replica.machine.keyspace().is_some_and(keyspace::Keyspace::has_expiring_fields);
                    let version = export.writer.as_ref().map_or(VERSION, Writer::version);
                    if expires && version < VERSION_FIELD_EXPIRY {
                        return Err(format!(
                            "fields of hashes expire, and a file of RDB version {version} can't say so. Version \
                             {VERSION_FIELD_EXPIRY} can (sihai export --rdb-version {VERSION_FIELD_EXPIRY}), for Redis 7.4 and \
                             later, or Sihai"
                        ));
                    }
                    let SnapshotRecord { index: reached, chunks, .. } = &replica.snapshot;
                    let (id, pieces) = (replica.snapshot.id(), chunks.len() as u32);
                    if *reached >= index && pieces > 0 && replica.has_plain_snapshot() {
                        part.stage = Stage::Frozen { id, pieces };
                    } else if replica.applied() >= index {
                        replica.snapshot_asked = true;
                    }
                }
                Stage::Frozen { id, .. } if replica.snapshot.id() == id => {}
                Stage::Frozen { .. } => {
                    return Err(format!(
                        "the log of {} has grown so much meanwhile that its snapshot was replaced; the client is too slow, or \
                         the node too busy",
                        part.group
                    ));
                }
            }
        }
        let frozen = export.parts.iter().all(|part| matches!(part.stage, Stage::Frozen { .. }));
        if !frozen || export.reading || waiting >= AHEAD_BYTES {
            return Ok(());
        }
        if !std::mem::replace(&mut export.begun, true) {
            let greeting = std::mem::take(&mut export.greeting);
            let version = self.hub.config.version;
            if let Some(writer) = &mut export.writer {
                writer.aux(b"sihai-ver", version.as_bytes());
            }
            self.hub.clients.push(export.ticket.slot(), |out| {
                out.extend_from_slice(&greeting);
                out.extend_from_slice(b"$EOF:");
                out.extend_from_slice(&export.mark);
                out.extend_from_slice(b"\r\n");
            });
        }
        export.moved_at = self.hub.now;
        while let Some(Part { group, stage: Stage::Frozen { id, pieces } }) =
            export.parts.get(export.at).copied()
        {
            if export.next < pieces {
                let number = export.next;
                export.next += 1;
                export.reading = true;
                let token = self.hub.disk_token();
                self.hub.disk_reads.insert(token, DiskRead::Export(job));
                let read = DiskRequest::ReadChunk { token, group, snapshot: id, number };
                self.hub.out.push(Effect::Disk(read));
                return Ok(());
            }
            if !export.gatherer.is_empty() {
                return Err(format!("the snapshot of {group} ends within a value"));
            }
            (export.at, export.next) = (export.at + 1, 1);
        }
        self.end_export(job);
        Ok(())
    }

    /// A piece was read; nothing if it couldn't be.
    pub(crate) fn export_read(&mut self, job: u64, piece: Option<Bytes>) {
        let Some(export) = self.exports.get_mut(&job) else { return };
        export.reading = false;
        let now = self.hub.wall();
        let (Some(piece), Some(writer)) = (piece, &mut export.writer) else {
            return self.fail_export(job, b"-ERR a piece of a snapshot can't be read\r\n");
        };
        let mut unfit = None;
        let databases = &export.databases;
        let taken = export.gatherer.take(&piece, |found| {
            // What has expired, and was dropped, is nobody's.
            let Some(database) = databases.get(&found.database).copied() else { return };
            if found.expires_at.is_some_and(|at| at <= now) {
                return;
            }
            let keyspace::Found { key, value, expires_at, .. } = found;
            let key = Key { database, key, value, expires_at, idle_s: None, frequency: None };
            unfit = unfit.or(writer.key(&key).err());
        });
        let bytes = writer.take();
        if let Err(why) = taken {
            return self.fail_export(job, format!("-ERR {why}\r\n").as_bytes());
        }
        if let Some(why) = unfit {
            return self.fail_export(job, format!("-ERR {why}\r\n").as_bytes());
        }
        self.hub.clients.push(export.ticket.slot(), |out| out.extend_from_slice(&bytes));
    }

    fn end_export(&mut self, job: u64) {
        let Some(mut export) = self.exports.remove(&job) else { return };
        let mut bytes = export.writer.take().map(Writer::finish).unwrap_or_default();
        bytes.extend_from_slice(&export.mark);
        let slot = export.ticket.slot();
        self.hub.clients.answer(export.ticket, &bytes);
        self.hang_up(slot);
    }

    /// Says why, or, if data have been sent already, hangs up in the middle of them.
    fn fail_export(&mut self, job: u64, error: &[u8]) {
        let Some(export) = self.exports.remove(&job) else { return };
        if self.hub.clients.of(export.ticket).is_none() {
            return;
        }
        let slot = export.ticket.slot();
        if export.begun {
            let why = String::from_utf8_lossy(error.trim_ascii()).into_owned();
            self.hub.note(Level::Warn, format!("sending all data to a client was given up: {why}"));
            self.hub.clients.answer(export.ticket, b"");
            self.hang_up(slot);
        } else {
            self.hub.clients.answer(export.ticket, error);
        }
    }
}
