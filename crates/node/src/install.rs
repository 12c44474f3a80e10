//! Fetching a snapshot that the group's leader has offered, and mending the one that is here.
//!
//! Every piece is checked against the manifest and goes to the disk as it comes, in any order; none of it is loaded. When
//! all pieces and the manifest are durable, the present state is let go of and the new one is loaded from the disk, as
//! at a node's start: never are both in memory. Pieces that are on the disk stay there when the link breaks, when the
//! fetch is given up and when the node starts anew: if the same snapshot is offered again, only what is missing is
//! fetched.

use crate::api::{Effect, Level};
use crate::fetch::{Fetch, PIECES_MAX};
use crate::hub::{DiskRead, Hub};
use crate::invalidations::Change;
use crate::load::Load;
use crate::machine::{Machine, State};
use crate::meta::Placement;
use crate::replica::Replica;
use crate::transfer::Taking;
use crate::wire::ChunkName;
use base::codec::Decode;
use base::{Duration, GroupId, Index, Membership, NodeId, ReplicaId, Term, Time};
use bytes::Bytes;
use raft::Input;
use std::ops::Range;
use storage::{ChunkInfo, DiskRequest, Op as DiskOp, SnapshotId, SnapshotRecord, Token};

/// Pieces that are looked for on the disk at a time: so many, or so many bytes of them. Each is read, and the log's own
/// writes wait meanwhile.
const FIND_PIECES: usize = 64;
const FIND_BYTES: u64 = 2 << 20;
/// Pieces that nobody goes on fetching are removed after this.
const PARTIAL_PATIENCE: Duration = Duration::from_secs(60);

/// A snapshot that is being fetched.
#[derive(Debug)]
pub struct Install {
    record: SnapshotRecord,
    fetch: Fetch,
    /// Pieces on their way to the disk.
    writing: Vec<Token>,
    /// How many pieces were on the disk already.
    found: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Seeing which pieces are on the disk already: by this request, these.
    Finding { request: Token, looked: Range<u32> },
    /// Pieces come and go to the disk.
    Fetching,
    /// All are there; the manifest is on its way to the disk, by this write.
    Sealing(Token),
    /// All is durable, and is being loaded.
    Loading(Box<Load>),
}

/// Pieces on the disk of a snapshot that isn't being fetched at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Partial {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Since when nobody fetches it.
    pub since: Time,
}

impl Replica {
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
        self.mending = None;
        let record = SnapshotRecord { membership, ..record };
        let mut fetch = Fetch::new(hub, self.group, record.id(), Some(from.node));
        fetch.know_members(hub, &record.membership);
        fetch.know_members(hub, self.raft.membership());
        let begun = self.partial.is_some_and(|partial| partial.id == record.id());
        if !begun {
            self.forget_partial(hub);
        }
        self.partial = None;
        if !begun {
            (0..record.chunks.len() as u32).for_each(|number| fetch.want(number));
        }
        let stage = match begun {
            true => self.find_pieces(hub, &record, 0),
            false => Stage::Fetching,
        };
        self.install = Some(Install { record, fetch, writing: Vec::new(), found: 0, stage });
        self.go_on_fetching(hub);
    }

    /// Asks the disk for some of the pieces.
    fn find_pieces(&self, hub: &mut Hub, record: &SnapshotRecord, from: u32) -> Stage {
        let mut bytes = 0;
        let all = record.chunks.iter().zip(0..).skip(from as usize).take(FIND_PIECES);
        let chunks: Vec<(u32, ChunkInfo)> = all
            .take_while(|(info, number)| {
                bytes += info.bytes;
                bytes <= FIND_BYTES || *number == from
            })
            .map(|(info, number)| (number, *info))
            .collect();
        // What was given to the disk before must be there when it looks.
        hub.flush_disk();
        let request = hub.disk_token();
        let looked = from..from + chunks.len() as u32;
        let (group, snapshot) = (self.group, record.id());
        hub.disk_reads.insert(request, DiskRead::Find(group));
        hub.out.push(Effect::Disk(DiskRequest::FindChunks { token: request, group, snapshot, chunks }));
        Stage::Finding { request, looked }
    }

    /// Which of the pieces that were looked for are on the disk.
    pub(crate) fn pieces_found(&mut self, hub: &mut Hub, token: Token, numbers: &[u32]) {
        let Some(mut install) = self.install.take() else { return };
        if let Stage::Finding { request, looked } = &install.stage
            && *request == token
        {
            install.found += numbers.len();
            let missing = looked.clone().filter(|number| !numbers.contains(number));
            missing.for_each(|number| install.fetch.want(number));
            let end = looked.end;
            install.stage = if (end as usize) < install.record.chunks.len() {
                self.find_pieces(hub, &install.record, end)
            } else {
                install.report_found(hub, self.group);
                Stage::Fetching
            };
        }
        self.install = Some(install);
        self.go_on_fetching(hub);
    }

    /// Asks for more pieces, or seals the snapshot if all are on the disk.
    fn go_on_fetching(&mut self, hub: &mut Hub) {
        let Some(install) = &mut self.install else { return };
        if !matches!(install.stage, Stage::Fetching) {
            return;
        }
        install.fetch.ask(hub, PIECES_MAX - install.writing.len());
        if install.fetch.is_done() && install.writing.is_empty() {
            let snapshot = install.record.clone();
            let op = DiskOp::SnapshotDone { group: self.group, snapshot, reset_log: true };
            install.stage = Stage::Sealing(hub.write_apart(self.group, op));
        }
    }

    /// A piece has come, or somebody hasn't it.
    pub(crate) fn piece_arrived(
        &mut self,
        hub: &mut Hub,
        from: NodeId,
        name: ChunkName,
        bytes: Option<Bytes>,
    ) {
        let Some(install) = &mut self.install else { return self.mend_arrived(hub, from, name, bytes) };
        let expected = install.record.chunks.get(name.number as usize);
        let good = install.fetch.arrived(hub, from, name, bytes.as_ref(), expected);
        let Some(bytes) = bytes.filter(|_| good) else { return };
        // Before anything is replaced it must be known that this release can read it.
        if name.number == 0
            && !Machine::from_header(bytes.clone()).is_ok_and(|machine| machine.applied == name.index)
        {
            self.give_up_install(hub, "it isn't of the entry that it names, or of another release");
            return;
        }
        let op = DiskOp::SnapshotChunk {
            group: self.group,
            snapshot: install.record.id(),
            number: name.number,
            bytes,
        };
        install.writing.push(hub.write_apart(self.group, op));
        self.go_on_fetching(hub);
    }

    /// A piece or the manifest of the snapshot that is being fetched is durable; whether it was one of those.
    pub(crate) fn install_written(&mut self, hub: &mut Hub, token: Token) -> bool {
        let Some(install) = &mut self.install else { return false };
        if matches!(install.stage, Stage::Sealing(sealing) if sealing == token) {
            // The old state ends here, before anything of the new one is in memory. The old log is gone from the disk as
            // well; Raft, which still has it, takes nothing into it before it hears that the snapshot is installed.
            self.machine = Machine::new(State::Blank);
            let load = Load::begin(hub, self.group, install.record.clone());
            install.stage = Stage::Loading(Box::new(load));
            return true;
        }
        let count = install.writing.len();
        install.writing.retain(|piece| *piece != token);
        let known = install.writing.len() < count;
        if known {
            self.go_on_fetching(hub);
        }
        known
    }

    /// The snapshot that replaces the state, while it is being loaded.
    pub(crate) fn loads(&mut self) -> Option<&mut Load> {
        match &mut self.install.as_mut()?.stage {
            Stage::Loading(load) => Some(load),
            Stage::Finding { .. } | Stage::Fetching | Stage::Sealing(_) => None,
        }
    }

    /// Whether a snapshot that replaces the state is being loaded.
    pub(crate) fn is_loading(&self) -> bool {
        self.install.as_ref().is_some_and(|install| matches!(install.stage, Stage::Loading(_)))
    }

    /// Asks again for what hasn't come, or gives up. `placement`: who may have it, too.
    pub(crate) fn tend_install(&mut self, hub: &mut Hub, placement: Option<&Placement>) {
        let nodes = placement.into_iter().flat_map(Placement::all).map(|replica| replica.node);
        self.tend_partial(hub);
        match &mut self.install {
            None => self.tend_mending(hub, nodes),
            Some(install) if matches!(install.stage, Stage::Fetching) => {
                install.fetch.know(hub, nodes);
                if !install.fetch.tend(hub) {
                    self.give_up_install(hub, "nobody who can be reached has the rest of it");
                }
            }
            Some(_) => {}
        }
    }

    /// What has come stays on the disk for a while.
    fn give_up_install(&mut self, hub: &mut Hub, why: &str) {
        let Some(install) = self.install.take() else { return };
        hub.note(
            Level::Warn,
            format!("{}: fetching a snapshot stopped: {why}; it will be tried again", self.group),
        );
        self.partial = Some(Partial { id: install.record.id(), since: hub.now });
        self.step(hub, Input::SnapshotFailed { index: install.record.index });
    }

    /// Pieces go when nobody has fetched on for long, or nobody can want them because the log has come so far.
    fn tend_partial(&mut self, hub: &mut Hub) {
        let Some(partial) = self.partial else { return };
        let overtaken = self.raft.commit_index() >= partial.id.index;
        if self.install.is_none() && (overtaken || hub.now.since(partial.since) > PARTIAL_PATIENCE) {
            base::mark!("pieces_that_nobody_asks_for_are_removed");
            self.forget_partial(hub);
        }
    }

    pub(crate) fn forget_partial(&mut self, hub: &mut Hub) {
        if let Some(partial) = self.partial.take() {
            hub.disk_ops.push(DiskOp::SnapshotAbandon { group: self.group, snapshot: partial.id });
        }
    }

    /// All of the new state is here.
    pub(crate) fn finish_install(&mut self, hub: &mut Hub, machine: Machine) {
        let Some(install) = self.install.take() else { return };
        self.machine = machine;
        if hub.tracks {
            base::mark!("changes_skipped_by_a_snapshot");
            hub.changes.push(Change::anything());
        }
        #[cfg(feature = "bugs")]
        {
            self.machine.bugs = hub.config.bugs;
            self.machine.ledger.bugs = hub.config.bugs.twophase;
        }
        let index = install.record.index;
        self.applied_term = install.record.term;
        self.log_bytes = 0;
        let plain = self.machine.holds_nothing();
        self.set_snapshot(install.record, plain);
        hub.counters.snapshots_installed += 1;
        self.forget_inflight(hub);
        self.step(hub, Input::SnapshotInstalled { index });
    }

    /// Another snapshot is the newest durable one.
    pub(crate) fn set_snapshot(&mut self, record: SnapshotRecord, plain: bool) {
        self.snapshot_bytes = record.chunks.iter().map(|chunk| chunk.bytes).sum();
        self.snapshot = record;
        self.snapshot_rotten = false;
        self.snapshot_asked = false;
        self.snapshot_is_plain = plain;
        self.plain_asked &= !plain;
        self.mending = None;
    }

    // Mending.

    /// A piece that a peer wanted has rotted. If it is of the newest snapshot, others may have it.
    pub(crate) fn piece_rotten(&mut self, hub: &mut Hub, name: ChunkName) {
        let id = SnapshotId { index: name.index, term: name.term };
        if self.snapshot.id() != id || self.install.is_some() || self.snapshot_rotten {
            return;
        }
        let mut fetch = self.mending.take().unwrap_or_else(|| Fetch::new(hub, self.group, id, None));
        fetch.know_members(hub, self.raft.membership());
        fetch.want(name.number);
        fetch.ask(hub, PIECES_MAX);
        self.mending = Some(fetch);
    }

    fn mend_arrived(&mut self, hub: &mut Hub, from: NodeId, name: ChunkName, bytes: Option<Bytes>) {
        let Some(fetch) = &mut self.mending else { return };
        let expected = self.snapshot.chunks.get(name.number as usize);
        let good = fetch.arrived(hub, from, name, bytes.as_ref(), expected);
        let Some(bytes) = bytes.filter(|_| good) else { return };
        fetch.ask(hub, PIECES_MAX);
        if fetch.is_done() {
            self.mending = None;
        }
        // A snapshot whose successor's manifest is on its way to the disk needs nothing any more.
        if self.taking.as_ref().is_some_and(Taking::is_sealed) {
            return;
        }
        base::mark!("a_rotten_piece_is_mended_while_the_node_runs");
        let number = name.number;
        hub.note(
            Level::Warn,
            format!(
                "{}: piece {number} of its snapshot had rotted; it was repaired from node {from}",
                self.group
            ),
        );
        hub.disk_ops.push(DiskOp::SnapshotChunk {
            group: self.group,
            snapshot: self.snapshot.id(),
            number,
            bytes,
        });
    }

    fn tend_mending(&mut self, hub: &mut Hub, nodes: impl Iterator<Item = NodeId>) {
        let Some(fetch) = &mut self.mending else { return };
        fetch.know(hub, nodes);
        if fetch.tend(hub) {
            return;
        }
        self.mending = None;
        self.snapshot_rotten = true;
        base::mark!("a_snapshot_that_nobody_can_mend_is_taken_anew");
        hub.note(
            Level::Warn,
            format!(
                "{}: a piece of its snapshot has rotted, and no copy that can be reached has it; a new snapshot takes its \
                 place",
                self.group
            ),
        );
    }
}

impl Install {
    fn report_found(&self, hub: &mut Hub, group: GroupId) {
        base::mark!("a_fetch_goes_on_where_it_stopped");
        let (found, total) = (self.found, self.record.chunks.len());
        let text = format!(
            "{group}: {found} of {total} pieces of the snapshot that is offered are on the disk already"
        );
        hub.note(Level::Info, text);
    }
}
