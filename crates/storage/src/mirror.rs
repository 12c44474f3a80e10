//! The directories that hold the same: every file operation goes to all of them, and one that fails takes part no
//! longer, as long as another is good.

use crate::disk::{Disk, DiskFile};
use crate::error::WriteError;
use crate::op::{Note, SnapshotId};
use crate::record::SANE_NUMBER_MAX;
use base::GroupId;
use std::collections::BTreeMap;
use std::io;

/// One directory.
#[derive(Debug)]
pub struct Mirror<D: Disk> {
    /// The directory.
    pub disk: D,
    /// Its number among the mirrors, never used again.
    pub id: u32,
    /// The log's segments, open.
    pub segments: BTreeMap<u32, D::File>,
    /// The snapshots' files, open.
    pub snapshots: BTreeMap<(GroupId, SnapshotId), D::File>,
}

impl<D: Disk> Mirror<D> {
    /// The file of a snapshot.
    pub fn snapshot(&self, key: (GroupId, SnapshotId)) -> io::Result<&D::File> {
        self.snapshots.get(&key).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// All that take part.
#[derive(Debug)]
pub struct Mirrors<D: Disk> {
    /// Those that are good.
    pub good: Vec<Mirror<D>>,
    /// The names of those that aren't any more, or weren't found.
    pub degraded: Vec<String>,
    /// What has happened since somebody asked.
    pub notes: Vec<Note>,
    /// A mirror was dropped, and the log doesn't say so yet.
    pub changed: bool,
}

/// Whether a disk said that it has no room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What the segment of this number is called.
pub fn segment_name(number: u32) -> String {
    format!("log-{number:08x}")
}

/// The number of the segment that is called so.
pub fn segment_of_name(name: &str) -> Option<u32> {
    let number = u32::from_str_radix(name.strip_prefix("log-")?, 16).ok()?;
    (number < SANE_NUMBER_MAX && segment_name(number) == name).then_some(number)
}

impl<D: Disk> Mirrors<D> {
    /// Does the same on every good mirror. If it fails on some, they are dropped; if on all, nothing more is done: the
    /// disks are full, or the last one is lost.
    pub fn each(
        &mut self,
        doing: &str,
        mut act: impl FnMut(&mut Mirror<D>) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let mut failures: Vec<(usize, io::Error)> = Vec::new();
        for (nth, mirror) in self.good.iter_mut().enumerate() {
            if let Err(error) = act(mirror) {
                failures.push((nth, error));
            }
        }
        self.settle(doing, failures)
    }

    /// Syncs a file on every good mirror, in as much time as the slowest takes; failures are what they are in
    /// [`Mirrors::each`].
    pub fn sync_each(
        &mut self,
        doing: &str,
        file: impl Fn(&Mirror<D>) -> &D::File,
    ) -> Result<(), WriteError> {
        let files: Vec<&D::File> = self.good.iter().map(file).collect();
        let results = D::sync_files(&files).into_iter().enumerate();
        let failures = results.filter_map(|(nth, result)| Some((nth, result.err()?))).collect();
        self.settle(doing, failures)
    }

    /// Draws the conclusion from what failed, by the places of the mirrors.
    fn settle(&mut self, doing: &str, failures: Vec<(usize, io::Error)>) -> Result<(), WriteError> {
        if failures.is_empty() {
            return Ok(());
        }
        let nobody = failures.len() == self.good.len();
        let full = nobody && failures.iter().any(|(_, error)| is_full(error));
        let names: Vec<String> = self.good.iter().map(|mirror| mirror.disk.name()).collect();
        if nobody && !full {
            let said: Vec<String> =
                failures.iter().map(|(nth, error)| format!("{}: {error}", names[*nth])).collect();
            return Err(WriteError::Fatal(format!(
                "{doing} failed on every disk that was left ({}); what of it is durable can't be known, so this node stops; \
                 check the disk, then start it again",
                said.join("; ")
            )));
        }
        for (nth, error) in failures.into_iter().rev() {
            if !(full && is_full(&error)) {
                self.lose(nth, doing, &error);
            }
        }
        if full {
            return Err(WriteError::Full(format!(
                "{} has no room left ({doing}); nothing of the write counts, and reads go on; free some space",
                names.join(", ")
            )));
        }
        Ok(())
    }

    fn lose(&mut self, nth: usize, doing: &str, error: &io::Error) {
        let mirror = self.good.remove(nth);
        let name = mirror.disk.name();
        self.notes.push(Note(format!(
            "{name} takes part no longer: {doing} failed ({error}); the data is safe on the other mirrors; replace the disk \
             and start the node again, which copies everything back"
        )));
        self.degraded.push(name);
        self.changed = true;
    }

    /// The numbers of those that are good.
    pub fn ids(&self) -> Vec<u32> {
        self.good.iter().map(|mirror| mirror.id).collect()
    }
}

/// Reads a whole file.
pub fn read_all(file: &impl DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.len()? as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(filled as u64, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
