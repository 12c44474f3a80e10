//! Taking snapshots from the machine, and serving their pieces to who fetches them (`crate::install`). Taking goes piece
//! by piece between entries, so that the shard goes on.

use crate::hub::{DiskRead, Hub};
use crate::machine::State;
use crate::replica::Replica;
use crate::wire::ChunkName;
use base::codec::Encode;
use base::{Duration, Index, Membership, NodeId};
use bytes::Bytes;
use storage::{ChunkInfo, DiskRequest, Op as DiskOp, SnapshotId, SnapshotRecord, Token};

/// Pieces on their way to the disk at a time while a snapshot is taken: writing one down holds the engine up, and the
/// log's own writes wait behind it.
const WRITES_MAX: usize = 1;
/// For so long after a piece was served a new snapshot doesn't replace the present one, unless the log grows too much.
const SERVING: Duration = Duration::from_secs(2);

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Taking {
    id: SnapshotId,
    membership: Membership,
    chunks: Vec<ChunkInfo>,
    /// The pieces that are on their way to the disk.
    writing: Vec<Token>,
    complete: bool,
    /// Nothing was prepared when it was begun.
    plain: bool,
    /// The manifest, once it is on its way to the disk.
    sealed: Option<(Token, SnapshotRecord)>,
}

impl Taking {
    /// Whether its manifest is on its way to the disk.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }
}

impl Replica {
    /// Lets go of log entries in memory that no follower is likely to need.
    pub(crate) fn tend_cache(&mut self, config: &crate::Config) {
        let kept = self.raft.log_bytes() as u64;
        if kept > config.log_cache_bytes {
            self.raft.release_cached(self.machine.applied);
        }
    }

    // Taking.

    /// Whether the newest snapshot holds nothing that transactions over shards have done and that may be taken back. If not, one is
    /// taken as soon as there is no such thing.
    pub(crate) fn has_plain_snapshot(&mut self) -> bool {
        if !self.snapshot_is_plain {
            base::mark!("a_file_waits_for_the_outcome_of_a_transaction");
            (self.snapshot_asked, self.plain_asked) = (true, true);
        }
        self.snapshot_is_plain
    }

    /// Whether a snapshot is being taken.
    pub(crate) fn is_taking(&self) -> bool {
        self.taking.is_some()
    }

    /// Begins a snapshot if the log has grown long enough; whether it did.
    pub(crate) fn begin_snapshot_if_due(&mut self, hub: &mut Hub, log_bytes_max: u64, pinned: bool) -> bool {
        let long = self.log_bytes > log_bytes_max.max(self.snapshot_bytes);
        // A follower that fetches the present snapshot must be able to finish, or it would never catch up.
        let busy = hub.now.since(self.piece_served_at) < SERVING && self.log_bytes < log_bytes_max * 8;
        let blank = matches!(self.machine.state, State::Blank);
        // A log that is long with what isn't committed yet has nothing for another snapshot.
        let is_news = self.machine.applied > self.raft.snapshot_index();
        let wanted = self.snapshot_rotten
            || (is_news && self.snapshot_asked && (!self.plain_asked || self.machine.holds_nothing()))
            || (is_news && !busy && (long || (pinned && self.log_bytes > 0)));
        let due = self.taking.is_none()
            && self.install.is_none()
            && !blank
            && wanted
            && self.machine.can_be_written();
        if due {
            self.forget_partial(hub);
            self.begin_taking();
            self.go_on_taking(hub);
        }
        due
    }

    fn begin_taking(&mut self) {
        let index = self.machine.applied;
        let term = self.applied_term;
        let plain = self.machine.holds_nothing();
        #[cfg(feature = "bugs")]
        let index = self.mislabel(index);
        #[cfg(feature = "bugs")]
        let applied = std::mem::replace(&mut self.machine.applied, index);
        self.machine.begin_snapshot();
        #[cfg(feature = "bugs")]
        {
            self.machine.applied = applied;
        }
        self.log_bytes = 0;
        self.taking = Some(Taking {
            id: SnapshotId { index, term },
            membership: self.raft.membership().clone(),
            chunks: Vec::new(),
            writing: Vec::new(),
            complete: false,
            plain,
            sealed: None,
        });
    }

    /// A bug on purpose: the snapshot says to reach one entry further than it does.
    #[cfg(feature = "bugs")]
    fn mislabel(&mut self, index: Index) -> Index {
        let shifted = self.machine.bugs.snapshot_drops_entry && self.raft.last_index() > index;
        if shifted { index.next() } else { index }
    }

    pub(crate) fn go_on_taking(&mut self, hub: &mut Hub) {
        let Some(taking) = &mut self.taking else { return };
        while !taking.complete && taking.writing.len() < WRITES_MAX {
            let Some(chunk) = self.machine.next_chunk(hub.config.snapshot_chunk_bytes) else {
                taking.complete = true;
                break;
            };
            let number = taking.chunks.len() as u32;
            taking.chunks.push(ChunkInfo::of(&chunk));
            let op = DiskOp::SnapshotChunk {
                group: self.group,
                snapshot: taking.id,
                number,
                bytes: Bytes::from(chunk),
            };
            taking.writing.push(hub.write_apart(self.group, op));
        }
        if taking.complete && taking.writing.is_empty() && taking.sealed.is_none() {
            let record = SnapshotRecord {
                index: taking.id.index,
                term: taking.id.term,
                membership: std::mem::take(&mut taking.membership),
                chunks: std::mem::take(&mut taking.chunks),
            };
            let op = DiskOp::SnapshotDone { group: self.group, snapshot: record.clone(), reset_log: false };
            taking.sealed = Some((hub.write_apart(self.group, op), record));
        }
    }

    /// A piece, or the manifest, of the snapshot that is being taken or fetched is durable. Both are known by their
    /// writes' names: an abandoned snapshot's may still be under way.
    pub(crate) fn snapshot_written(&mut self, hub: &mut Hub, token: Token) {
        if self.install_written(hub, token) {
            return;
        }
        let Some(taking) = &mut self.taking else { return };
        if taking.sealed.as_ref().is_none_or(|(sealing, _)| *sealing != token) {
            taking.writing.retain(|piece| *piece != token);
            self.go_on_taking(hub);
            return;
        }
        let Some(taking) = self.taking.take() else { return };
        let (plain, Some((_, record))) = (taking.plain, taking.sealed) else { return };
        hub.counters.snapshots_taken += 1;
        // What followers that are alive still need stays in memory, as far as memory goes.
        let keep = self.lowest_needed().min(record.index.next());
        self.raft.snapshot_taken(record.index, record.to_bytes(), keep);
        self.set_snapshot(record, plain);
        hub.dirty.push(self.group);
    }

    fn lowest_needed(&self) -> Index {
        if !self.raft.is_leader() {
            return Index(u64::MAX);
        }
        let me = self.raft.id();
        let followers = self.raft.progress().filter(|(id, _)| *id != me);
        followers.map(|(_, progress)| progress.matched().next()).min().unwrap_or(Index(u64::MAX))
    }

    /// A snapshot whose manifest is under way is as good as done, and nothing is to be undone.
    pub(crate) fn abandon_taking(&mut self, hub: &mut Hub) {
        if let Some(taking) = self.taking.take_if(|taking| taking.sealed.is_none()) {
            self.machine.abandon_snapshot();
            hub.disk_ops.push(DiskOp::SnapshotAbandon { group: self.group, snapshot: taking.id });
        }
    }
}

/// Asks the disk for a piece that a peer wants.
pub(crate) fn serve_piece(hub: &mut Hub, to: NodeId, name: ChunkName) {
    let token = hub.disk_token();
    hub.disk_reads.insert(token, DiskRead::Piece { to, name });
    hub.out.push(crate::api::Effect::Disk(DiskRequest::ReadChunk {
        token,
        group: name.group,
        snapshot: SnapshotId { index: name.index, term: name.term },
        number: name.number,
    }));
}
