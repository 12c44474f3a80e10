//! What the engine asks and what it hears, and the group commit: everything that waits becomes one batch and one sync.

use crate::disk::Disk;
use crate::error::{ReadError, WriteError};
use crate::op::{ChunkInfo, Op, Report, SnapshotId};
use crate::store::Store;
use base::{Entry, GroupId, Index};
use bytes::Bytes;

/// Names a request, so that its completion finds back; chosen by who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What can be asked of a disk.
#[derive(Clone, Debug)]
pub enum DiskRequest {
    /// Make these durable.
    Write {
        /// The name of the request.
        token: Token,
        /// What, in order.
        ops: Vec<Op>,
    },
    /// Read entries that are durable.
    ReadEntries {
        /// The name of the request.
        token: Token,
        /// Of which group.
        group: GroupId,
        /// From here.
        first: Index,
        /// To here, inclusive.
        through: Index,
        /// About as many bytes at most; one entry is given in any case.
        bytes_max: u64,
    },
    /// Read a chunk of a snapshot, complete or not.
    ReadChunk {
        /// The name of the request.
        token: Token,
        /// Of which group.
        group: GroupId,
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Which.
        number: u32,
    },
    /// Read these chunks of a snapshot that isn't complete, and say which of them are here as they should be.
    FindChunks {
        /// The name of the request.
        token: Token,
        /// Of which group.
        group: GroupId,
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Their numbers, and what they must be. Each is read, so many of them keep the disk busy.
        chunks: Vec<(u32, ChunkInfo)>,
    },
}

/// What a disk answers; exactly one for each request.
#[derive(Clone, Debug)]
pub enum DiskCompletion {
    /// It is durable.
    Written {
        /// The name of the request.
        token: Token,
        /// How the disks are.
        report: Report,
    },
    /// Entries from the first one asked for on, as many as the bound allowed.
    Entries {
        /// The name of the request.
        token: Token,
        /// Of which group.
        group: GroupId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// A chunk.
    Chunk {
        /// The name of the request.
        token: Token,
        /// Of which group.
        group: GroupId,
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// Which.
        number: u32,
        /// What it says.
        bytes: Bytes,
    },
    /// The chunks that were found.
    Found {
        /// The name of the request.
        token: Token,
        /// Their numbers, in the order in which they were asked for.
        numbers: Vec<u32>,
    },
    /// It could not be done.
    Failed {
        /// The name of the request.
        token: Token,
        /// Why.
        failure: Failure,
    },
}

/// Why a request could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A write.
    Write(WriteError),
    /// A read.
    Read(ReadError),
}

impl DiskRequest {
    /// About how many bytes it makes the disk write; what bounds a batch.
    pub fn weight(&self) -> usize {
        let DiskRequest::Write { ops, .. } = self else { return 0 };
        let mut bytes = 0;
        for op in ops {
            bytes += match op {
                Op::Append { entries, .. } => entries.iter().map(Entry::weight).sum(),
                Op::SnapshotChunk { bytes, .. } => bytes.len(),
                _ => 64,
            };
        }
        bytes
    }
}

impl<D: Disk> Store<D> {
    /// Answers all of `batch` into `out`: the writes together, as one batch with one sync, then the reads, which see
    /// what was written. If there is no room for all the writes together, each is tried alone, in order.
    ///
    /// What is durable is always a beginning of what was asked for: once a write was refused, all that come behind it
    /// are, in this batch and in later ones, until that same write has been asked for again and done.
    pub fn serve(&mut self, batch: Vec<DiskRequest>, out: &mut Vec<DiskCompletion>) {
        let mut writes: Vec<(Token, Vec<Op>)> = Vec::new();
        let mut reads = Vec::new();
        for request in batch {
            match request {
                DiskRequest::Write { token, ops } => writes.push((token, ops)),
                read => reads.push(read),
            }
        }
        self.serve_writes(&writes, out);
        for read in reads {
            out.push(self.serve_read(read));
        }
    }

    fn serve_writes(&mut self, writes: &[(Token, Vec<Op>)], out: &mut Vec<DiskCompletion>) {
        if writes.is_empty() {
            return;
        }
        let together = match self.refused {
            None => self.write_all(writes.iter().flat_map(|(_, ops)| ops)),
            Some(_) => Err(behind_a_refused_one()),
        };
        let alone =
            self.refused.is_some() || (writes.len() > 1 && matches!(together, Err(WriteError::Full(_))));
        for (token, ops) in writes {
            let result = if alone { self.write_in_order(*token, ops) } else { together.clone() };
            if matches!(result, Err(WriteError::Full(_))) {
                self.refused.get_or_insert(*token);
            }
            out.push(match result {
                Ok(report) => DiskCompletion::Written { token: *token, report },
                Err(error) => DiskCompletion::Failed { token: *token, failure: Failure::Write(error) },
            });
        }
    }

    /// Writes unless something that was asked for earlier is still to be done.
    fn write_in_order(&mut self, token: Token, ops: &[Op]) -> Result<Report, WriteError> {
        if self.refused.is_some_and(|refused| refused != token) {
            return Err(behind_a_refused_one());
        }
        let result = self.write(ops);
        if result.is_ok() {
            self.refused = None;
        }
        result
    }

    fn serve_read(&mut self, request: DiskRequest) -> DiskCompletion {
        let (token, result) = match request {
            DiskRequest::ReadEntries { token, group, first, through, bytes_max } => (
                token,
                self.entries(group, first, through, bytes_max).map(|entries| DiskCompletion::Entries {
                    token,
                    group,
                    entries,
                }),
            ),
            DiskRequest::ReadChunk { token, group, snapshot, number } => (
                token,
                self.chunk(group, snapshot, number).map(|bytes| DiskCompletion::Chunk {
                    token,
                    group,
                    snapshot,
                    number,
                    bytes,
                }),
            ),
            DiskRequest::FindChunks { token, group, snapshot, chunks } => {
                let numbers = self.find_chunks(group, snapshot, &chunks);
                (token, Ok(DiskCompletion::Found { token, numbers }))
            }
            DiskRequest::Write { .. } => unreachable!("writes were sorted out above"),
        };
        result.unwrap_or_else(|error| DiskCompletion::Failed { token, failure: Failure::Read(error) })
    }
}

fn behind_a_refused_one() -> WriteError {
    WriteError::Full(
        "a write before this one found no room on the disk, and writes keep their order; nothing of it counts, and reads \
         go on; free some space"
            .to_string(),
    )
}
