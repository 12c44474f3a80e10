//! The store: everything a node must find again.

use crate::disk::Disk;
use crate::error::{OpenError, ReadError, WriteError};
use crate::op::{Op, Options, Recovery, Report, SnapshotId};
use base::{Entry, GroupId, Index};
use bytes::Bytes;

/// One node's durable state on one or several mirrors.
#[derive(Debug)]
pub struct Store<D: Disk> {
    disks: Vec<D>,
    options: Options,
}

impl<D: Disk> Store<D> {
    /// Opens, or creates in empty directories; several disks are mirrors of each other.
    pub fn open(disks: Vec<D>, options: Options) -> Result<(Self, Recovery), OpenError> {
        if disks.is_empty() {
            return Err(OpenError::NoDisk);
        }
        Ok((Self { disks, options }, Recovery::default()))
    }

    /// Makes all of `ops` durable, with one sync for each mirror.
    pub fn write(&mut self, ops: &[Op]) -> Result<Report, WriteError> {
        self.write_all(ops.iter())
    }

    pub(crate) fn write_all<'o>(
        &mut self,
        _ops: impl Iterator<Item = &'o Op> + Clone,
    ) -> Result<Report, WriteError> {
        let _ = (&self.disks, &self.options);
        Err(WriteError::Fatal("the log is being written".into()))
    }

    /// Durable entries `first..=through`, about `bytes_max` bytes of them at most, but at least one.
    pub fn entries(
        &mut self,
        _group: GroupId,
        _first: Index,
        _through: Index,
        _bytes_max: u64,
    ) -> Result<Vec<Entry>, ReadError> {
        Err(ReadError::Absent)
    }

    /// One chunk of a complete snapshot.
    pub fn chunk(
        &mut self,
        _group: GroupId,
        _snapshot: SnapshotId,
        _number: u32,
    ) -> Result<Bytes, ReadError> {
        Err(ReadError::Absent)
    }
}
