//! Snapshots on the move: taking them from the machine, and fetching them from another replica.
//!
//! Taking goes piece by piece between entries, so that the shard goes on. Fetching writes every piece to the disk and
//! loads it beside the present state; only when the last piece and the manifest are durable does the new state replace
//! the old one. Any replica that holds the same snapshot may serve its pieces, and a broken fetch goes on where it
//! stopped.

use crate::api::Level;
use crate::hub::{DiskRead, Hub};
use crate::machine::{Machine, State};
use crate::replica::Replica;
use crate::wire::{ChunkName, PeerMessage};
use base::codec::{Decode, Encode};
use base::{Duration, Index, Membership, NodeId, ReplicaId, Term, Time};
use bytes::Bytes;
use raft::Input;
use storage::{ChunkInfo, DiskRequest, Op as DiskOp, SnapshotId, SnapshotRecord, Token};

/// Pieces on their way to the disk at a time while a snapshot is taken: writing one down holds the engine up, and the
/// log's own writes wait behind it.
const WRITES_MAX: usize = 1;
/// Pieces asked for at a time while a snapshot is fetched.
const ASKED_MAX: usize = 4;
/// A piece that hasn't come for this long is asked for again, of somebody else if there is one.
const PIECE_PATIENCE: Duration = Duration::from_millis(500);
/// For so long after a piece was served a new snapshot doesn't replace the present one, unless the log grows too much.
const SERVING: Duration = Duration::from_secs(2);
/// A fetch that goes nowhere for this long is given up; Raft starts another.
const FETCH_PATIENCE: Duration = Duration::from_secs(10);

/// A snapshot that is being taken.
#[derive(Debug)]
pub struct Taking {
    id: SnapshotId,
    membership: Membership,
    chunks: Vec<ChunkInfo>,
    /// The pieces that are on their way to the disk.
    writing: Vec<Token>,
    complete: bool,
    /// The manifest, once it is on its way to the disk.
    sealed: Option<(Token, SnapshotRecord)>,
}

/// A snapshot that is being fetched.
#[derive(Debug)]
pub struct Install {
    record: SnapshotRecord,
    from: NodeId,
    /// The piece to load next; pieces are loaded in order.
    next: u32,
    /// Pieces that came and wait for those before them.
    arrived: std::collections::BTreeMap<u32, Bytes>,
    asked_through: u32,
    asked_at: Time,
    progress_at: Time,
    machine: Option<Machine>,
    /// Everything is here; the manifest is on its way to the disk, by this write.
    sealing: Option<Token>,
}

impl Replica {
    // Taking.

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
        let due = self.taking.is_none()
            && self.install.is_none()
            && !blank
            && !busy
            && (long || (pinned && self.log_bytes > 0));
        if due {
            self.begin_taking();
            self.go_on_taking(hub);
        }
        due
    }

    fn begin_taking(&mut self) {
        let index = self.machine.applied;
        let term = self.applied_term;
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
        if self.install.as_ref().is_some_and(|install| install.sealing == Some(token)) {
            self.finish_install(hub);
            return;
        }
        let Some(taking) = &mut self.taking else { return };
        if taking.sealed.as_ref().is_none_or(|(sealing, _)| *sealing != token) {
            taking.writing.retain(|piece| *piece != token);
            self.go_on_taking(hub);
            return;
        }
        let Some((_, record)) = self.taking.take().and_then(|taking| taking.sealed) else { return };
        self.snapshot_bytes = record.chunks.iter().map(|chunk| chunk.bytes).sum();
        hub.counters.snapshots_taken += 1;
        // What followers that are alive still need stays in memory, as far as memory goes.
        let keep = self.lowest_needed().min(record.index.next());
        self.raft.snapshot_taken(record.index, record.to_bytes(), keep);
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
    fn abandon_taking(&mut self, hub: &mut Hub) {
        if let Some(taking) = self.taking.take_if(|taking| taking.sealed.is_none()) {
            self.machine.abandon_snapshot();
            hub.disk_ops.push(DiskOp::SnapshotAbandon { group: self.group, snapshot: taking.id });
        }
    }

    // Fetching.

    pub(crate) fn begin_install(
        &mut self,
        hub: &mut Hub,
        from: ReplicaId,
        index: Index,
        term: Term,
        membership: Membership,
        manifest: Bytes,
    ) {
        let record = SnapshotRecord::from_bytes(manifest).ok();
        let record =
            record.filter(|record| record.index == index && record.term == term && !record.chunks.is_empty());
        let Some(record) = record else {
            hub.note(
                Level::Warn,
                format!("{}: {from} offered a snapshot without a list of its pieces", self.group),
            );
            self.step(hub, Input::SnapshotFailed { index });
            return;
        };
        self.abandon_taking(hub);
        let record = SnapshotRecord { membership, ..record };
        self.install = Some(Install {
            record,
            from: from.node,
            next: 0,
            arrived: Default::default(),
            asked_through: 0,
            asked_at: hub.now,
            progress_at: hub.now,
            machine: None,
            sealing: None,
        });
        self.ask_for_pieces(hub);
    }

    fn ask_for_pieces(&mut self, hub: &mut Hub) {
        let Some(install) = &mut self.install else { return };
        let total = install.record.chunks.len() as u32;
        while install.asked_through < total && install.asked_through < install.next + ASKED_MAX as u32 {
            let name = ChunkName {
                group: self.group,
                index: install.record.index,
                term: install.record.term,
                number: install.asked_through,
            };
            hub.send(install.from, &PeerMessage::ChunkRequest(name));
            install.asked_through += 1;
            install.asked_at = hub.now;
        }
    }

    /// A piece has come, or its holder has it no more.
    pub(crate) fn piece_arrived(&mut self, hub: &mut Hub, name: ChunkName, bytes: Option<Bytes>) {
        let Some(install) = &mut self.install else { return };
        let id = SnapshotId { index: name.index, term: name.term };
        if install.record.id() != id || install.sealing.is_some() || name.number < install.next {
            return;
        }
        let Some(bytes) = bytes else {
            self.give_up_install(hub, "its holder has taken a newer one");
            return;
        };
        let expected = install.record.chunks.get(name.number as usize);
        if expected != Some(&ChunkInfo::of(&bytes)) {
            hub.note(
                Level::Warn,
                format!("{}: a piece of a snapshot arrived damaged; asking again", self.group),
            );
            return;
        }
        install.arrived.insert(name.number, bytes);
        while let Some(bytes) = install.arrived.remove(&install.next) {
            let loaded = match &mut install.machine {
                None => Machine::from_header(bytes.clone()).map(|machine| install.machine = Some(machine)),
                Some(machine) => machine.load_chunk(&bytes),
            };
            if let Err(error) = loaded {
                let why = error.to_string();
                self.give_up_install(hub, &why);
                return;
            }
            let op = DiskOp::SnapshotChunk { group: self.group, snapshot: id, number: install.next, bytes };
            hub.disk_ops.push(op);
            install.next += 1;
            install.progress_at = hub.now;
        }
        if install.next as usize == install.record.chunks.len() {
            let record = install.record.clone();
            let op = DiskOp::SnapshotDone { group: self.group, snapshot: record, reset_log: true };
            install.sealing = Some(hub.write_apart(self.group, op));
        } else {
            self.ask_for_pieces(hub);
        }
    }

    /// Asks again for what hasn't come, or gives up.
    pub(crate) fn tend_install(&mut self, hub: &mut Hub) {
        let Some(install) = &mut self.install else { return };
        if install.sealing.is_some() {
            return;
        }
        if hub.now.since(install.progress_at) > FETCH_PATIENCE {
            self.give_up_install(hub, "nothing came for too long");
        } else if hub.now.since(install.asked_at) > PIECE_PATIENCE {
            install.asked_through = install.next;
            // Whoever leads now took part in making the log, so it may have the same snapshot; otherwise it says no.
            self.ask_for_pieces(hub);
        }
    }

    fn give_up_install(&mut self, hub: &mut Hub, why: &str) {
        let Some(install) = self.install.take() else { return };
        hub.note(
            Level::Warn,
            format!("{}: fetching a snapshot stopped: {why}; it will be tried again", self.group),
        );
        hub.disk_ops.push(DiskOp::SnapshotAbandon { group: self.group, snapshot: install.record.id() });
        self.step(hub, Input::SnapshotFailed { index: install.record.index });
    }

    fn finish_install(&mut self, hub: &mut Hub) {
        let Some(install) = self.install.take() else { return };
        let Some(mut machine) = install.machine else { return };
        // The header says which entry its state is as of; the record's is the same or the snapshot is not what it says.
        if machine.applied != install.record.index {
            hub.fatal(format!(
                "{}: a snapshot isn't of the entry that it names; nothing was served from it",
                self.group
            ));
            return;
        }
        #[cfg(feature = "bugs")]
        {
            machine.bugs = hub.config.bugs;
        }
        std::mem::swap(&mut self.machine, &mut machine);
        self.snapshot_bytes = install.record.chunks.iter().map(|chunk| chunk.bytes).sum();
        self.log_bytes = 0;
        self.applied_term = install.record.term;
        hub.counters.snapshots_installed += 1;
        self.forget_inflight(hub);
        self.step(hub, Input::SnapshotInstalled { index: install.record.index });
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
