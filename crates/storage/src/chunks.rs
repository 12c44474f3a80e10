//! The store's side of snapshots: chunks come in any order, are found again after a restart, are read, and are mended.
//!
//! A snapshot is complete once the log names it. Of one that isn't, chunks may be read and found again, but nothing is
//! promised; at most one such file a group outlives a restart. A complete one whose chunks have rotted still counts: the
//! owner may have them from elsewhere, and writes them behind the others.

use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WriteError};
use crate::op::{ChunkInfo, Note, SnapshotId, SnapshotRecord};
use crate::open::copy_file;
use crate::segments::SPARE;
use crate::snapshot::{self, ChunkTable};
use crate::store::Store;
use base::{GroupId, Index, Term};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

type Key = (GroupId, SnapshotId);

impl<D: Disk> Store<D> {
    // Writing.

    /// Whether the log names this snapshot.
    pub(crate) fn is_complete(&self, (group, id): Key) -> bool {
        self.complete(group).is_some_and(|record| record.id() == id)
    }

    fn complete(&self, group: GroupId) -> Option<&SnapshotRecord> {
        self.contents.groups.get(&group)?.snapshot.as_ref()
    }

    /// Makes sure that the snapshot's file is there.
    pub(crate) fn open_snapshot(&mut self, key: Key) -> Result<(), WriteError> {
        if self.snapshots.contains_key(&key) {
            return Ok(());
        }
        let name = snapshot::file_name(key.0, key.1);
        self.mirrors.each("creating a snapshot", |mirror| {
            if mirror.snapshots.contains_key(&key) {
                return Ok(());
            }
            // A damaged replica's files stay until it is replaced, and the next one may want the same snapshot.
            let created = match mirror.disk.create(&name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    mirror.disk.remove(&name).and_then(|()| mirror.disk.create(&name))
                }
                created => created,
            };
            mirror.snapshots.insert(key, created?);
            Ok(())
        })?;
        self.snapshots.insert(key, ChunkTable::default());
        self.unnamed.insert(key);
        Ok(())
    }

    pub(crate) fn write_chunk(&mut self, key: Key, number: u32, bytes: &Bytes) -> Result<(), WriteError> {
        self.open_snapshot(key)?;
        let mended = self.is_complete(key);
        let table = self.snapshots.get_mut(&key).expect("it was just opened");
        let (encoded, info) = snapshot::encode(key.0, key.1, number, bytes);
        let end = table.end;
        if std::mem::replace(&mut table.litter, true) {
            self.mirrors.each("cutting a snapshot", |mirror| mirror.snapshot(key)?.set_len(end))?;
        }
        let unsynced = self.unsynced_bytes.entry(key).or_default();
        *unsynced += encoded.len() as u64;
        let sync = mended || *unsynced >= self.options.snapshot_sync_bytes;
        if sync {
            *unsynced = 0;
        }
        self.mirrors.each("writing a snapshot", |mirror| mirror.snapshot(key)?.write_at(end, &encoded))?;
        if sync {
            self.mirrors.sync_each("syncing a snapshot", |mirror| &mirror.snapshots[&key])?;
        }
        table.litter = false;
        table.add(number, info);
        // What was fetched shall outlive a power cut, so its name must.
        if sync && self.unnamed.remove(&key) {
            self.mirrors.each("naming a snapshot", |mirror| mirror.disk.sync_directory())?;
        }
        Ok(())
    }

    pub(crate) fn remove_snapshot(&mut self, key: Key) -> Result<(), WriteError> {
        self.unsynced_bytes.remove(&key);
        self.unnamed.remove(&key);
        if self.snapshots.remove(&key).is_none() {
            return Ok(());
        }
        let name = snapshot::file_name(key.0, key.1);
        self.mirrors.each("removing a snapshot", |mirror| {
            mirror.snapshots.remove(&key);
            mirror.disk.remove(&name)
        })
    }

    // Reading.

    /// One chunk of a snapshot. Of one that is complete it is given as the log names it, or [`ReadError::Corrupt`].
    pub fn chunk(&mut self, group: GroupId, snapshot: SnapshotId, number: u32) -> Result<Bytes, ReadError> {
        let key = (group, snapshot);
        let table = self.snapshots.get(&key).ok_or(ReadError::Absent)?;
        let complete = self.complete(group).filter(|record| record.id() == snapshot);
        let rotten = match complete {
            None => ReadError::Absent,
            Some(record) if record.chunks.len() <= number as usize => return Err(ReadError::Absent),
            Some(_) => ReadError::Corrupt(format!(
                "chunk {number} of the {snapshot} of {group} has rotted on every disk; it must come from another copy of \
                 the group, or another snapshot in the place of this one"
            )),
        };
        let located = match complete {
            None => table.get(number),
            Some(record) => table.find(number, &record.chunks[number as usize]),
        };
        let Some(located) = located else { return Err(rotten) };
        let mut bad = Vec::new();
        let mut good = None;
        let mut failed = None;
        for (nth, mirror) in self.mirrors.good.iter().enumerate() {
            match mirror.snapshot(key).and_then(|file| snapshot::read_chunk(file, located)) {
                Ok(Some(bytes)) => {
                    good = Some(bytes);
                    break;
                }
                read => {
                    failed = failed.or(read.err());
                    bad.push(nth);
                }
            }
        }
        let Some(bytes) = good else {
            // What the disk doesn't show isn't lost yet.
            return Err(failed.filter(|error| error.kind() != io::ErrorKind::NotFound).map_or(
                rotten,
                |error| {
                    ReadError::Failed(format!(
                        "chunk {number} of the {snapshot} of {group} can't be read ({error})"
                    ))
                },
            ));
        };
        for nth in bad {
            self.mend(nth, "chunks of a snapshot", |mirror| {
                let file = mirror.snapshot(key)?;
                file.write_at(located.offset, &bytes)?;
                file.sync_data()
            });
        }
        Ok(bytes)
    }

    /// Which of these chunks of a snapshot are here, whole and on every mirror.
    pub fn find_chunks(
        &mut self,
        group: GroupId,
        snapshot: SnapshotId,
        chunks: &[(u32, ChunkInfo)],
    ) -> Vec<u32> {
        let key = (group, snapshot);
        let Some(table) = self.snapshots.get(&key) else { return Vec::new() };
        let mut found = Vec::new();
        for (number, info) in chunks {
            let Some(located) = table.find(*number, info) else { continue };
            let whole = self.mirrors.good.iter().all(|mirror| {
                let read = mirror.snapshot(key).and_then(|file| snapshot::read_chunk(file, located));
                matches!(read, Ok(Some(_)))
            });
            if whole {
                found.push(*number);
            }
        }
        found
    }

    // Opening.

    /// Opens the snapshots' files, copies those that a mirror lacks, and removes what no record names, except for the
    /// newest of each group that isn't complete: its owner may want to go on with it.
    pub(crate) fn open_snapshots(&mut self) -> Result<(), WriteError> {
        let mut complete = Vec::new();
        for (id, group) in &self.contents.groups {
            complete.extend(group.snapshot.as_ref().map(|record| (*id, record.clone())));
        }
        for (group, record) in complete {
            self.open_complete(group, &record)?;
        }
        for key in self.partials_on_disk() {
            self.open_partial(key);
        }
        let named: BTreeSet<String> =
            self.snapshots.keys().map(|key| snapshot::file_name(key.0, key.1)).collect();
        let groups = self.contents.groups.iter();
        let damaged: BTreeSet<GroupId> =
            groups.filter(|(_, group)| group.damaged.is_some()).map(|(id, _)| *id).collect();
        self.mirrors.each("removing what is left over", |mirror| {
            for name in mirror.disk.list()? {
                let left_over = snapshot::of_file_name(&name)
                    .is_some_and(|(group, _)| !named.contains(&name) && !damaged.contains(&group));
                if left_over || name == SPARE {
                    mirror.disk.remove(&name)?;
                }
            }
            Ok(())
        })
    }

    fn open_complete(&mut self, group: GroupId, record: &SnapshotRecord) -> Result<(), WriteError> {
        let key = (group, record.id());
        let found = self.open_files(key, |table| table.count(record) as u64);
        let found = found.map_err(|error| {
            WriteError::Fatal(format!("reading {}: {error}", snapshot::file_name(key.0, key.1)))
        })?;
        let Some((source, table)) = found else {
            let here = self.contents.groups.get_mut(&group).expect("its snapshot was found");
            here.damage(|| format!("its {} is missing or has rotted", key.1));
            return Ok(());
        };
        let lacking = record.chunks.len() - table.count(record);
        if lacking > 0 {
            let disk = self.mirrors.good[source].disk.name();
            self.mirrors.notes.push(Note(format!(
                "{disk}: {lacking} chunks of the {} of {group} have rotted; other copies of the group are asked for them",
                key.1
            )));
        }
        for (nth, copied) in self.equalize(key, source, &table) {
            let text = match copied {
                Ok(()) => "it was copied from another mirror".to_owned(),
                Err(error) => format!("it can't be copied from another mirror: {error}"),
            };
            let disk = self.mirrors.good[nth].disk.name();
            let note = format!("{disk}: the {} of {group} was missing or had rotted; {text}", key.1);
            self.mirrors.notes.push(Note(note));
        }
        self.snapshots.insert(key, table);
        Ok(())
    }

    /// What can't be opened is as if it had never been fetched.
    fn open_partial(&mut self, key: Key) {
        let Ok(Some((source, table))) = self.open_files(key, |table| table.end) else { return };
        let equal = self.equalize(key, source, &table).into_iter().all(|(_, copied)| copied.is_ok());
        if equal && table.end > 0 {
            self.snapshots.insert(key, table);
            return;
        }
        for mirror in &mut self.mirrors.good {
            mirror.snapshots.remove(&key);
        }
    }

    /// Opens a snapshot's file on all mirrors: which of them has the best one, by `worth`, and what is in it. An error if no
    /// mirror shows it and one failed when it was asked: what a disk doesn't show isn't lost yet.
    fn open_files(
        &mut self,
        key: Key,
        worth: impl Fn(&ChunkTable) -> u64,
    ) -> io::Result<Option<(usize, ChunkTable)>> {
        let name = snapshot::file_name(key.0, key.1);
        let mut best: Option<(usize, ChunkTable)> = None;
        let mut failed = None;
        for (nth, mirror) in self.mirrors.good.iter_mut().enumerate() {
            let opened = mirror.disk.open(&name);
            let read = opened.and_then(|file| Ok((ChunkTable::read(&file, key.0, key.1)?, file)));
            let (table, file) = match read {
                Ok(read) => read,
                Err(error) => {
                    failed = failed.or(Some(error).filter(|error| error.kind() != io::ErrorKind::NotFound));
                    continue;
                }
            };
            mirror.snapshots.insert(key, file);
            if best.as_ref().is_none_or(|(_, known)| worth(known) < worth(&table)) {
                best = Some((nth, table));
            }
        }
        match (best, failed) {
            (None, Some(error)) => Err(error),
            (best, _) => Ok(best),
        }
    }

    /// Copies a snapshot's file from one mirror to all whose file isn't the same; which those were, and whether it worked.
    fn equalize(&mut self, key: Key, source: usize, table: &ChunkTable) -> Vec<(usize, io::Result<()>)> {
        let name = snapshot::file_name(key.0, key.1);
        let mut copied = Vec::new();
        // The source is what it is, also if it fails just when it is looked at again: copied onto itself it would be lost.
        for nth in (0..self.mirrors.good.len()).filter(|nth| *nth != source) {
            let found =
                self.mirrors.good[nth].snapshot(key).and_then(|file| ChunkTable::read(file, key.0, key.1));
            if found.is_ok_and(|found| found == *table) {
                continue;
            }
            self.mirrors.good[nth].snapshots.remove(&key);
            let copy = copy_file(&self.mirrors.good[source].disk, &self.mirrors.good[nth].disk, &name);
            let mirror = &mut self.mirrors.good[nth];
            let opened = copy.and_then(|()| mirror.disk.open(&name));
            copied.push((nth, opened.map(|file| drop(mirror.snapshots.insert(key, file)))));
        }
        copied
    }

    /// Of each group the newest snapshot that isn't complete, if it is newer than the one that is.
    fn partials_on_disk(&self) -> Vec<Key> {
        let mut found: BTreeMap<GroupId, SnapshotId> = BTreeMap::new();
        for mirror in &self.mirrors.good {
            let names = mirror.disk.list().unwrap_or_default();
            for (group, id) in names.iter().filter_map(|name| snapshot::of_file_name(name)) {
                let Some(here) = self.contents.groups.get(&group).filter(|here| here.damaged.is_none())
                else {
                    continue;
                };
                let oldest = here.snapshot.as_ref().map_or(Index::ZERO, |record| record.index);
                if id.index > oldest {
                    let newest = found.entry(group).or_insert(id);
                    *newest = id.max(*newest);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The snapshot of a group that isn't complete, if there is one.
    pub(crate) fn partial(&self, group: GroupId) -> Option<SnapshotId> {
        let last = SnapshotId { index: Index(u64::MAX), term: Term(u64::MAX) };
        let all = self.snapshots.range((group, SnapshotId::default())..=(group, last));
        all.map(|(key, _)| *key).rfind(|key| !self.is_complete(*key)).map(|(_, id)| id)
    }
}
