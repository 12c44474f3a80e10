//! The life of the log's segments: a spare is allocated ahead, becomes the current one, is filled, and becomes a spare
//! again when no entry in it counts any more.

use crate::batch::{Batch, Destination};
use crate::disk::{Disk, DiskFile};
use crate::error::WriteError;
use crate::mirror::{is_full, segment_name};
use crate::op::{Op, Options};
use crate::record::{HEADER_BYTES, Kind, Seal, SegmentStart, aligned};
use crate::store::{Current, Store, must_not_be_full};
use base::codec::Encode;
use base::{GroupId, Index, Term};
use std::io;

/// The file that waits to become a segment.
pub const SPARE: &str = "spare";

/// While there is no spare, entries leave at least so much of the current segment to what could free room: hard states,
/// snapshots, replicas that end.
const RESERVE_BYTES: u64 = 16 << 10;

impl<D: Disk> Store<D> {
    fn segment_bytes(&self) -> u64 {
        self.options.segment_bytes.max(Options::SEGMENT_BYTES_MIN)
    }

    /// Sees to it that a batch of at most `bytes` fits the current segment. Nothing has happened if it says that the
    /// disk is full. Entries are refused while there is still room for what could free some.
    pub(crate) fn make_room(&mut self, bytes: u64, appends: bool) -> Result<(), WriteError> {
        let length = self.segments[&self.current.segment];
        let left = length.saturating_sub(self.current.offset);
        let fits = bytes <= left;
        if appends && self.spare_bytes.is_none() && (!fits || left - bytes < (length / 8).max(RESERVE_BYTES))
        {
            self.make_spare(bytes)?;
            if self.spare_bytes.is_none() {
                return Err(self.full());
            }
        }
        if fits {
            return Ok(());
        }
        let seal =
            Seal { segment: self.current.segment, offset: self.current.offset, batch: self.current.batch };
        self.begin_segment(Some(seal), bytes, &[])
    }

    fn full(&self) -> WriteError {
        let names: Vec<String> = self.mirrors.good.iter().map(|mirror| mirror.disk.name()).collect();
        WriteError::Full(format!(
            "{} has no room for another segment of the log, so writes are refused and nothing is lost; free some space",
            names.join(", ")
        ))
    }

    /// Begins the next segment: its first batch says all that must not be forgotten apart from the entries, and where
    /// the segment before ends. `entries` (appends) follow as a second batch. It becomes part of the log by its name,
    /// once it is durable.
    pub(crate) fn begin_segment(
        &mut self,
        seal: Option<Seal>,
        room_bytes: u64,
        entries: &[Op],
    ) -> Result<(), WriteError> {
        let number = self.current.segment + 1;
        let mut at = Current { segment: number, offset: 0, batch: self.current.batch + 1 };
        self.checkpoint(seal);
        let salt = self.options.salt;
        let mut checkpoint = std::mem::take(&mut self.batch);
        let destination = |batch| Destination { segment: number, salt, batch };
        let (bytes, counted) = checkpoint.finish(destination(at.batch));
        let mut bytes = bytes.to_vec();
        at.offset = counted;
        self.batch = Batch::default();
        if !entries.is_empty() {
            for op in entries {
                self.encode(op, at);
            }
            at.batch += 1;
            bytes.truncate(counted as usize);
            let (more, counted) = self.batch.finish(destination(at.batch));
            bytes.extend_from_slice(more);
            at.offset += counted;
        }
        let needed = aligned(bytes.len()) as u64 + room_bytes + HEADER_BYTES as u64;
        self.fill_spare(&bytes, needed)?;
        let name = segment_name(number);
        let put = self.mirrors.each("naming a segment", |mirror| {
            mirror.disk.rename(SPARE, &name)?;
            mirror.disk.sync_directory()
        });
        // From here on the segment may count, and it says that the one before has ended.
        put.map_err(must_not_be_full)?;
        let length = self.spare_bytes.take().unwrap_or(needed);
        self.written_through =
            if std::mem::take(&mut self.spare_is_used) { length } else { bytes.len() as u64 };
        self.segments.insert(number, length);
        self.spare_wanted = true;
        self.current = at;
        Ok(())
    }

    /// Builds a segment's first batch.
    fn checkpoint(&mut self, seal: Option<Seal>) {
        self.batch.clear();
        let none = (Index::ZERO, Term(0));
        let start = SegmentStart { previous: seal, mirrors: self.mirrors.ids() };
        self.batch.control(Kind::Segment, GroupId::META, none, |to| start.encode(to));
        if let Some(identity) = &self.contents.identity {
            self.batch.control(Kind::Identity, GroupId::META, none, |to| identity.encode(to));
        }
        for (id, group) in &self.contents.groups {
            let start = group.start();
            self.batch.control(Kind::Group, *id, start.last, |to| start.encode(to));
        }
    }

    /// Writes and syncs the beginning of a segment into the spare file, which gets at least `needed` bytes.
    fn fill_spare(&mut self, bytes: &[u8], needed: u64) -> Result<(), WriteError> {
        if self.spare_bytes.is_none() {
            self.make_spare(needed)?;
        }
        let Some(length) = self.spare_bytes else { return Err(self.full()) };
        let number = self.current.segment + 1;
        self.mirrors.each("beginning a segment", |mirror| {
            let file = mirror.disk.open(SPARE)?;
            if length < needed {
                file.allocate(needed)?;
            }
            file.write_at(0, bytes)?;
            file.sync_data()?;
            mirror.segments.insert(number, file);
            Ok(())
        })?;
        self.spare_bytes = Some(length.max(needed));
        self.spare_is_used &= length >= needed;
        Ok(())
    }

    /// Allocates a spare of the usual length, or a shorter one of at least `needed` bytes where there is no room for
    /// that; none, if there is no room for that either.
    pub(crate) fn make_spare(&mut self, needed: u64) -> Result<(), WriteError> {
        let shortest = needed.max(Options::SEGMENT_BYTES_MIN);
        let mut length = self.segment_bytes().max(shortest);
        loop {
            let mut full = false;
            let made =
                self.mirrors.each("allocating a segment", |mirror| match allocate(&mirror.disk, length) {
                    Err(error) if is_full(&error) => {
                        full = true;
                        Ok(())
                    }
                    done => done,
                });
            made?;
            if !full {
                self.spare_bytes = Some(length);
                self.spare_is_used = false;
                return Ok(());
            }
            self.mirrors.each("giving back a segment", |mirror| match mirror.disk.remove(SPARE) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            })?;
            if length == shortest {
                return Ok(());
            }
            length = (length / 2).max(shortest);
        }
    }

    /// Gives back the oldest segments in which no entry counts any more: what else they say, a newer one says again.
    pub(crate) fn free_segments(&mut self) -> Result<(), WriteError> {
        let mut freed = false;
        while let Some((&oldest, &length)) = self.segments.first_key_value() {
            if oldest == self.current.segment || self.contents.live_runs(oldest) > 0 {
                break;
            }
            // Blocks that were written before are synced faster than new ones, so it even replaces a new spare.
            let recycle = length == self.segment_bytes();
            let name = segment_name(oldest);
            self.mirrors.each("freeing a segment", |mirror| {
                mirror.segments.remove(&oldest);
                if recycle { mirror.disk.rename(&name, SPARE) } else { mirror.disk.remove(&name) }
            })?;
            self.segments.remove(&oldest);
            self.contents.forget_segment(oldest);
            if recycle {
                self.spare_bytes = Some(length);
                self.spare_is_used = true;
            }
            freed = true;
        }
        if freed {
            // Before a spare is written over, no crash may bring its old name back.
            self.mirrors.each("freeing a segment", |mirror| mirror.disk.sync_directory())?;
        }
        Ok(())
    }
}

fn allocate<D: Disk>(disk: &D, length: u64) -> io::Result<()> {
    match disk.remove(SPARE) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.create(SPARE)?.allocate(length)
}
