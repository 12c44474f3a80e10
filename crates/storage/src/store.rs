//! The store: everything a node must find again.
//!
//! The journey of a write: snapshot chunks go to their files; there must be room for the rest, else nothing has happened;
//! then the records are encoded and applied to what is in memory, written with one call and synced once on every mirror.
//! From the encoding on, whatever fails on the last good disk is fatal, because memory is ahead of it.

use crate::batch::{Batch, Destination, append_bound, batch_bound, control_bound, pieces};
use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WriteError};
use crate::index::{Contents, Place};
use crate::mirror::Mirrors;
use crate::op::{Op, Options, Report, SnapshotId};
use crate::record::{Body, HEADER_BYTES, Header, Kind, encode_mirrors};
use crate::snapshot::ChunkTable;
use base::codec::Encode;
use base::{Entry, GroupId, HardState, Index, Term, invariant};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// One node's durable state on one or several mirrors.
#[derive(Debug)]
pub struct Store<D: Disk> {
    pub(crate) mirrors: Mirrors<D>,
    pub(crate) contents: Contents,
    pub(crate) options: Options,
    pub(crate) current: Current,
    /// The length of every segment, the current one included.
    pub(crate) segments: BTreeMap<u32, u64>,
    /// How far the current segment's blocks have been written before, by whatever.
    pub(crate) written_through: u64,
    /// How long the file is that waits to become the next segment.
    pub(crate) spare_bytes: Option<u64>,
    /// Whether that file was a segment before, so that all its blocks have been written.
    pub(crate) spare_is_used: bool,
    /// Whether to look for room for a spare after the next write.
    pub(crate) spare_wanted: bool,
    pub(crate) snapshots: BTreeMap<(GroupId, SnapshotId), ChunkTable>,
    /// Snapshots whose files go once the batch that replaces them is durable.
    garbage: Vec<(GroupId, SnapshotId)>,
    /// During a write: the snapshots of a replica that the write drops. Those that it writes for the next replica of the
    /// group aren't among them.
    doomed: BTreeSet<(GroupId, SnapshotId)>,
    /// Bytes of chunks written since the file was last synced.
    pub(crate) unsynced_bytes: BTreeMap<(GroupId, SnapshotId), u64>,
    /// Snapshots' files that were created since the directory was last synced.
    pub(crate) unnamed: BTreeSet<(GroupId, SnapshotId)>,
    pub(crate) batch: Batch,
    failed: Option<WriteError>,
    /// The request that found no room and has not been done since; nothing that was asked for behind it may be done.
    pub(crate) refused: Option<crate::serve::Token>,
}

/// How far zeros are written behind a batch that reaches blocks for the first time.
const AHEAD_BYTES: u64 = 256 << 10;

/// How far the blocks of a segment shall have been written after a batch from `start` to `end`, its first to reach that
/// far. Syncing blocks that were only allocated before makes a file system write its own log too: a large batch
/// bears that, many small ones bear it together, by zeros that the first of them writes ahead.
fn written_ahead(start: u64, end: u64) -> u64 {
    if end - start < AHEAD_BYTES / 8 { end + AHEAD_BYTES } else { end }
}

/// Where the next batch goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current {
    /// The segment.
    pub segment: u32,
    /// The place in it: that of the end mark.
    pub offset: u64,
    /// The last batch.
    pub batch: u64,
}

impl<D: Disk> Store<D> {
    pub(crate) fn assemble(mirrors: Mirrors<D>, contents: Contents, options: Options) -> Self {
        Self {
            mirrors,
            contents,
            options,
            current: Current::default(),
            segments: BTreeMap::new(),
            written_through: 0,
            spare_bytes: None,
            spare_is_used: false,
            spare_wanted: true,
            snapshots: BTreeMap::new(),
            garbage: Vec::new(),
            doomed: BTreeSet::new(),
            unsynced_bytes: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            batch: Batch::default(),
            failed: None,
            refused: None,
        }
    }

    /// Makes all of `ops` durable, with one sync for each mirror.
    ///
    /// # Panics
    /// If an op contradicts what is there: entries that leave a gap, a group that isn't there, a snapshot with a chunk
    /// that wasn't written or isn't what its record says. The owner checks what comes from peers before.
    pub fn write(&mut self, ops: &[Op]) -> Result<Report, WriteError> {
        self.write_all(ops.iter())
    }

    pub(crate) fn write_all<'o>(
        &mut self,
        ops: impl Iterator<Item = &'o Op> + Clone,
    ) -> Result<Report, WriteError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.try_write(ops);
        if let Err(error @ WriteError::Fatal(_)) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn try_write<'o>(&mut self, ops: impl Iterator<Item = &'o Op> + Clone) -> Result<Report, WriteError> {
        self.doomed.clear();
        let mut done = false;
        for op in ops.clone() {
            self.write_chunks(op)?;
            done |= matches!(op, Op::SnapshotDone { .. });
        }
        if done {
            // Once for all of them: a node begins with a snapshot of every group.
            self.mirrors.each("naming a snapshot", |mirror| mirror.disk.sync_directory())?;
        }
        let (mut bound, mut appends, mut copies) = (0, false, false);
        for op in ops.clone() {
            let bytes = op_bound(op);
            bound += bytes;
            let is_append = matches!(op, Op::Append { .. });
            appends |= is_append;
            copies |= bytes > 0 && !is_append;
        }
        if bound > 0 {
            self.make_room(bound + batch_bound(copies), appends)?;
            self.batch.clear();
            for op in ops {
                self.encode(op, self.current);
            }
            self.commit()?;
        }
        while std::mem::take(&mut self.mirrors.changed) {
            self.write_mirrors()?;
        }
        self.clean_up().map_err(must_not_be_full)?;
        Ok(self.report())
    }

    /// What doesn't go into the log: chunks, and what must be durable before the log says that a snapshot is complete.
    fn write_chunks(&mut self, op: &Op) -> Result<(), WriteError> {
        match op {
            Op::SnapshotChunk { group, snapshot, number, bytes } => {
                self.doomed.remove(&(*group, *snapshot));
                self.write_chunk((*group, *snapshot), *number, bytes)
            }
            Op::DropReplica { group } => {
                let range = (*group, SnapshotId::default())
                    ..=(*group, SnapshotId { index: Index(u64::MAX), term: Term(u64::MAX) });
                self.doomed.extend(self.snapshots.range(range).map(|(key, _)| *key));
                Ok(())
            }
            Op::SnapshotAbandon { group, snapshot } if self.is_complete((*group, *snapshot)) => Ok(()),
            Op::SnapshotAbandon { group, snapshot } => self.remove_snapshot((*group, *snapshot)),
            Op::SnapshotDone { group, snapshot, .. } => {
                let key = (*group, snapshot.id());
                let whole = self
                    .snapshots
                    .get(&key)
                    .map_or(snapshot.chunks.is_empty(), |table| table.has_all(snapshot));
                invariant!("a snapshot that is done has all its chunks", whole, "{group}, {}", snapshot.id());
                self.unsynced_bytes.remove(&key);
                self.unnamed.remove(&key);
                self.open_snapshot(key)?;
                self.mirrors.sync_each("syncing a snapshot", |mirror| &mirror.snapshots[&key])
            }
            _ => Ok(()),
        }
    }

    /// Adds an op to the batch and to what is in memory. `at` is where the batch will be written.
    pub(crate) fn encode(&mut self, op: &Op, at: Current) {
        let none = (Index::ZERO, Term(0));
        match op {
            Op::Identity(identity) => {
                self.batch.control(Kind::Identity, GroupId::META, none, |to| identity.encode(to));
                self.contents.identity = Some(identity.clone());
            }
            Op::CreateReplica { group, replica } => {
                let free = !self.contents.groups.contains_key(group);
                invariant!("a replica is created where none is", free, "{group}");
                self.batch.control(Kind::Create, *group, none, |to| replica.encode(to));
                self.contents.create(*group, *replica);
            }
            Op::DropReplica { group } => {
                self.batch.control(Kind::Drop, *group, none, |_| {});
                self.contents.remove(*group);
                self.garbage.extend(self.doomed.iter().filter(|(of, _)| of == group));
            }
            Op::HardState { group, state } => self.encode_hard_state(*group, *state),
            Op::Append { group, entries } => self.encode_append(*group, entries, at),
            Op::SnapshotDone { group, snapshot, reset_log } => {
                let here = self.group(*group);
                let reset = *reset_log || here.term(snapshot.index) != Some(snapshot.term);
                let place = (snapshot.index, snapshot.term);
                self.batch.control(Kind::Snapshot, *group, place, |to| {
                    to.bool(reset);
                    snapshot.encode(to);
                });
                // The one before, and what was fetched of others that nobody can want any more.
                let through = (*group, SnapshotId { index: snapshot.index, term: Term(u64::MAX) });
                let older = self.snapshots.range((*group, SnapshotId::default())..=through);
                let done = snapshot.id();
                self.garbage.extend(older.map(|(key, _)| *key).filter(|(_, id)| *id != done));
                let taken = self.contents.snapshot(*group, snapshot.clone(), reset);
                invariant!("a snapshot covers what the log has", taken.is_ok(), "{group}");
            }
            Op::DoubtSettled { group } => {
                self.batch.control(Kind::Settled, *group, none, |_| {});
                self.group(*group).doubt = None;
            }
            Op::SnapshotChunk { .. } | Op::SnapshotAbandon { .. } => {}
        }
    }

    fn group(&mut self, group: GroupId) -> &mut crate::index::Group {
        match self.contents.groups.get_mut(&group) {
            Some(here) => here,
            None => panic!("broken invariant: what is written concerns a replica that is here: {group}"),
        }
    }

    fn encode_hard_state(&mut self, group: GroupId, state: HardState) {
        let here = self.group(group);
        let replica = here.replica;
        let promises = (here.hard_state.term, here.hard_state.vote) != (state.term, state.vote);
        here.hard_state = state;
        let payload = |to: &mut base::codec::Encoder<'_>| {
            replica.encode(to);
            state.encode(to);
        };
        // The commit index alone is a hint.
        if promises {
            self.batch.control(Kind::HardState, group, (state.commit, state.term), payload);
        } else {
            self.batch.hint(Kind::HardState, group, (state.commit, state.term), payload);
        }
    }

    fn encode_append(&mut self, group: GroupId, entries: &[Entry], at: Current) {
        for piece in pieces(entries) {
            let first = piece[0].index;
            let here = self.group(group);
            let previous = here.term(first.prev());
            let Some(previous_term) = previous.filter(|_| first > here.base().0) else {
                panic!(
                    "broken invariant: entries are appended without a gap: {group} has {:?}, then {first:?}",
                    here.last()
                );
            };
            let contiguous = piece.iter().zip(first.0..).all(|(entry, index)| entry.index.0 == index);
            invariant!("appended entries are contiguous", contiguous, "{group} from {first:?}");
            let spot = self.batch.append(group, previous_term, piece);
            let place = Place {
                segment: at.segment,
                offset: at.offset + spot.offset,
                payload_bytes: spot.payload_bytes,
            };
            self.contents.append(group, first, piece.iter().map(|entry| entry.term), place);
        }
    }

    /// Writes and syncs the batch that was encoded.
    fn commit(&mut self) -> Result<(), WriteError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let at = self.current;
        let destination = Destination { segment: at.segment, salt: self.options.salt, batch: at.batch + 1 };
        let (bytes, counted) = self.batch.finish(destination);
        let end = at.offset + bytes.len() as u64;
        let bytes = if end > self.written_through {
            let length = self.segments[&at.segment];
            self.written_through = written_ahead(at.offset, end).min(length).max(end);
            self.batch.fill(self.written_through - end)
        } else {
            bytes
        };
        self.mirrors
            .each("writing the log", |mirror| mirror.segments[&at.segment].write_at(at.offset, bytes))
            .and_then(|()| self.mirrors.sync_each("syncing the log", |mirror| &mirror.segments[&at.segment]))
            .map_err(must_not_be_full)?;
        self.current = Current { offset: at.offset + counted, batch: at.batch + 1, ..at };
        Ok(())
    }

    /// Makes durable which mirrors take part, before anything is acknowledged without one.
    fn write_mirrors(&mut self) -> Result<(), WriteError> {
        let ids = self.mirrors.ids();
        self.make_room(control_bound(4 + 4 * ids.len()) + batch_bound(true), false)
            .map_err(must_not_be_full)?;
        self.batch.clear();
        self.batch.control(Kind::Mirrors, GroupId::META, (Index::ZERO, Term(0)), |to| {
            encode_mirrors(&ids, to);
        });
        self.commit()
    }

    fn clean_up(&mut self) -> Result<(), WriteError> {
        for key in std::mem::take(&mut self.garbage) {
            self.remove_snapshot(key)?;
        }
        self.free_segments()?;
        if self.spare_wanted && self.spare_bytes.is_none() {
            self.spare_wanted = false;
            self.make_spare(0)?;
        }
        Ok(())
    }

    fn report(&mut self) -> Report {
        let mut snapshot_bytes = 0;
        for table in self.snapshots.values() {
            snapshot_bytes += table.end;
        }
        Report {
            degraded: self.mirrors.degraded.clone(),
            notes: std::mem::take(&mut self.mirrors.notes),
            log_bytes: self.segments.values().sum::<u64>() + self.spare_bytes.unwrap_or(0),
            snapshot_bytes,
            segments: self.segments.len() as u32,
            oldest_segment_groups: match self.segments.first_key_value() {
                Some((oldest, _)) if *oldest != self.current.segment => self.contents.groups_in(*oldest),
                _ => Vec::new(),
            },
        }
    }

    /// Durable entries `first..=through`, about `bytes_max` bytes of them at most, but at least one.
    pub fn entries(
        &mut self,
        group: GroupId,
        first: Index,
        through: Index,
        bytes_max: u64,
    ) -> Result<Vec<Entry>, ReadError> {
        let here = self.contents.groups.get(&group).ok_or(ReadError::Absent)?;
        let through = through.min(here.last().0);
        if first <= here.base().0 || first > through {
            return Err(ReadError::Absent);
        }
        let mut entries: Vec<Entry> = Vec::new();
        let (mut next, mut bytes) = (first, 0);
        while next <= through {
            let run = self.contents.groups.get(&group).and_then(|here| here.run_at(next).copied());
            let run = run.ok_or(ReadError::Absent)?;
            let append = self.read_append(group, run.place)?;
            let last = run.last.min(through);
            for entry in append.entries {
                if entry.index < next || entry.index > last {
                    continue;
                }
                bytes += entry.weight() as u64;
                if bytes > bytes_max && !entries.is_empty() {
                    return Ok(entries);
                }
                entries.push(entry);
            }
            next = run.last.next();
        }
        Ok(entries)
    }

    fn read_append(&mut self, group: GroupId, place: Place) -> Result<crate::record::Append, ReadError> {
        let mut buffer = vec![0; HEADER_BYTES + place.payload_bytes as usize];
        let mut bad = Vec::new();
        let mut good = None;
        let mut failed = None;
        for (nth, mirror) in self.mirrors.good.iter().enumerate() {
            let read =
                mirror.segments.get(&place.segment).map(|file| file.read_at(place.offset, &mut buffer));
            let whole = matches!(read, Some(Ok(count)) if count == buffer.len());
            failed = failed.or(read.and_then(Result::err));
            match whole.then(|| decode_append(group, place, &buffer)).flatten() {
                Some(append) => {
                    good = Some(append);
                    break;
                }
                None => bad.push(nth),
            }
        }
        let Some(append) = good else {
            let (segment, offset) = (place.segment, place.offset);
            if let Some(error) = failed {
                return Err(ReadError::Failed(format!(
                    "entries of {group} at byte {offset} of segment {segment} of the log can't be read ({error})"
                )));
            }
            return Err(ReadError::Corrupt(format!(
                "entries of {group} at byte {offset} of segment {segment} of the log have rotted on every disk; this copy \
                 of the group can't be trusted any more and is replaced by a new one from the others"
            )));
        };
        for nth in bad {
            self.mend(nth, "entries", |mirror| {
                let file = mirror.segments.get(&place.segment).ok_or(std::io::ErrorKind::NotFound)?;
                file.write_at(place.offset, &buffer)?;
                file.sync_data()
            });
        }
        Ok(append)
    }

    /// Writes what another mirror had good over what this one had not.
    pub(crate) fn mend(
        &mut self,
        nth: usize,
        what: &str,
        act: impl FnOnce(&crate::mirror::Mirror<D>) -> std::io::Result<()>,
    ) {
        let mirror = &self.mirrors.good[nth];
        let name = mirror.disk.name();
        let note = match act(mirror) {
            Ok(()) => format!("{name} had {what} that have rotted; they were repaired from another mirror"),
            Err(error) => {
                format!(
                    "{name} has {what} that have rotted and can't be repaired ({error}); another mirror has them"
                )
            }
        };
        self.mirrors.notes.push(crate::op::Note(note));
    }
}

fn decode_append(group: GroupId, place: Place, bytes: &[u8]) -> Option<crate::record::Append> {
    let header = Header::get(bytes)?;
    let payload = &bytes[HEADER_BYTES..];
    let expected = header.kind == Kind::Append
        && header.group == group
        && header.segment == place.segment
        && header.payload_bytes == place.payload_bytes
        && header.payload_crc == crc32c::crc32c(payload);
    match Body::decode(&header, Bytes::copy_from_slice(payload)) {
        Ok(Body::Append(append)) if expected => Some(append),
        _ => None,
    }
}

/// Room was made before, so a disk that is full now has broken its word; memory is ahead of it already.
pub(crate) fn must_not_be_full(error: WriteError) -> WriteError {
    match error {
        WriteError::Full(what) => WriteError::Fatal(format!(
            "{what}; the room had been reserved, so this node can't go on and stops"
        )),
        fatal @ WriteError::Fatal(_) => fatal,
    }
}

/// At most how many bytes an op takes in a batch.
fn op_bound(op: &Op) -> u64 {
    match op {
        Op::Append { entries, .. } if entries.is_empty() => 0,
        Op::Append { entries, .. } => append_bound(entries),
        Op::Identity(identity) => control_bound(32 + identity.settings.len()),
        Op::CreateReplica { .. } | Op::DropReplica { .. } | Op::DoubtSettled { .. } => control_bound(8),
        Op::HardState { .. } => control_bound(40),
        Op::SnapshotDone { snapshot, .. } => {
            let members = snapshot.membership.members().len() + snapshot.membership.learners_next.len();
            // A member may stand in two of the four sets.
            control_bound(64 + 2 * 8 * members + 12 * snapshot.chunks.len())
        }
        Op::SnapshotChunk { .. } | Op::SnapshotAbandon { .. } => 0,
    }
}
