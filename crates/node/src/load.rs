//! The one way from a snapshot on the disk to a group's state: piece by piece, each let go of before the next is read.
//! So begins a copy at its node's start, and so goes on a copy that has fetched a snapshot from others. A piece that
//! the disk gives back no more is fetched from another copy that holds the same snapshot.
//!
//! A copy that loads serves nothing and applies nothing, and nothing of its earlier state is in memory.

use crate::api::{Effect, Level};
use crate::fetch::{Fetch, PIECES_MAX};
use crate::hub::{DiskRead, Hub};
use crate::machine::Machine;
use crate::meta::Placement;
use crate::node::{Copy, Node};
use crate::wire::ChunkName;
use base::{GroupId, NodeId};
use bytes::Bytes;
use storage::{DiskRequest, Op as DiskOp, SnapshotRecord, Token};

/// A snapshot that is being read from the disk.
#[derive(Debug)]
pub struct Load {
    group: GroupId,
    record: SnapshotRecord,
    next: u32,
    machine: Option<Box<Machine>>,
    /// The piece that is being read.
    reading: Option<Token>,
    /// The piece that the disk has no more.
    fetch: Option<Fetch>,
}

/// What came of one step.
#[derive(Debug)]
pub enum Progress {
    /// There is more to come.
    Going,
    /// The state is whole.
    Whole(Box<Machine>),
    /// It can't be had, and why.
    Failed(String),
}

impl Load {
    /// Begins to read.
    pub fn begin(hub: &mut Hub, group: GroupId, record: SnapshotRecord) -> Self {
        let mut load = Self { group, record, next: 0, machine: None, reading: None, fetch: None };
        load.read_next(hub);
        load
    }

    /// The snapshot.
    pub fn record(&self) -> &SnapshotRecord {
        &self.record
    }

    fn read_next(&mut self, hub: &mut Hub) {
        let token = hub.disk_token();
        self.reading = Some(token);
        hub.disk_reads.insert(token, DiskRead::Load(self.group));
        hub.out.push(Effect::Disk(DiskRequest::ReadChunk {
            token,
            group: self.group,
            snapshot: self.record.id(),
            number: self.next,
        }));
    }

    /// A piece was read; `None` if it couldn't be.
    pub fn piece_read(&mut self, hub: &mut Hub, token: Token, bytes: Option<Bytes>) -> Progress {
        if self.reading.take_if(|reading| *reading == token).is_none() {
            return Progress::Going;
        }
        if let Some(bytes) = bytes {
            return self.take(hub, bytes);
        }
        let mut fetch = Fetch::new(hub, self.group, self.record.id(), None);
        fetch.know_members(hub, &self.record.membership);
        fetch.want(self.next);
        fetch.ask(hub, PIECES_MAX);
        self.fetch = Some(fetch);
        // Who has nobody to ask knows it at once.
        self.tend(hub, None)
    }

    /// Somebody has answered.
    pub fn piece_arrived(
        &mut self,
        hub: &mut Hub,
        from: NodeId,
        name: ChunkName,
        bytes: Option<Bytes>,
    ) -> Progress {
        let Some(fetch) = &mut self.fetch else { return Progress::Going };
        let expected = self.record.chunks.get(name.number as usize);
        let good = fetch.arrived(hub, from, name, bytes.as_ref(), expected);
        let Some(bytes) = bytes.filter(|_| good) else { return Progress::Going };
        self.fetch = None;
        base::mark!("a_rotten_piece_is_fetched_from_another_copy");
        hub.note(
            Level::Warn,
            format!("{}: a piece of its snapshot had rotted; it was repaired from node {from}", self.group),
        );
        let (snapshot, number) = (self.record.id(), self.next);
        let op = DiskOp::SnapshotChunk { group: self.group, snapshot, number, bytes: bytes.clone() };
        hub.disk_ops.push(op);
        self.take(hub, bytes)
    }

    fn take(&mut self, hub: &mut Hub, bytes: Bytes) -> Progress {
        let taken = match &mut self.machine {
            None => Machine::from_header(bytes).map(|machine| self.machine = Some(Box::new(machine))),
            Some(machine) => machine.load_chunk(&bytes),
        };
        if let Err(error) = taken {
            return Progress::Failed(error.to_string());
        }
        self.next += 1;
        if (self.next as usize) < self.record.chunks.len() {
            self.read_next(hub);
            return Progress::Going;
        }
        match self.machine.take() {
            // The header says which entry its state is as of; the record's is the same or the snapshot isn't what it says.
            Some(machine) if machine.applied == self.record.index => Progress::Whole(machine),
            _ => Progress::Failed("its snapshot isn't of the entry that it names".into()),
        }
    }

    /// Asks others for what hasn't come, or gives up.
    pub fn tend(&mut self, hub: &mut Hub, placement: Option<&Placement>) -> Progress {
        let Some(fetch) = &mut self.fetch else { return Progress::Going };
        fetch.know(hub, placement.into_iter().flat_map(Placement::all).map(|replica| replica.node));
        if fetch.tend(hub) {
            return Progress::Going;
        }
        Progress::Failed("a piece of its snapshot has rotted, and no copy that can be reached has it".into())
    }
}

impl Node {
    /// A piece of a snapshot was read; `None` if it couldn't be.
    pub(crate) fn loaded(&mut self, group: GroupId, token: Token, bytes: Option<Bytes>) {
        self.go_on_loading(group, |load, hub| load.piece_read(hub, token, bytes));
    }

    /// A piece has come from another copy, or that one hasn't it.
    pub(crate) fn piece_arrived(&mut self, from: NodeId, name: ChunkName, bytes: Option<Bytes>) {
        let live = self.replicas.get_mut(name.group.0 as usize).and_then(Copy::live);
        match live.filter(|replica| !replica.is_loading()) {
            Some(replica) => replica.piece_arrived(&mut self.hub, from, name, bytes),
            None => self.go_on_loading(name.group, |load, hub| load.piece_arrived(hub, from, name, bytes)),
        }
    }

    /// Takes a step with the snapshot that a copy loads, if it loads one.
    pub(crate) fn go_on_loading(
        &mut self,
        group: GroupId,
        step: impl FnOnce(&mut Load, &mut Hub) -> Progress,
    ) {
        let Some(copy) = self.replicas.get_mut(group.0 as usize) else { return };
        let (id, load) = match copy {
            Copy::None => return,
            Copy::Loading(loading) => (loading.id, &mut loading.load),
            Copy::Live(replica) => match (replica.id(), replica.loads()) {
                (id, Some(load)) => (id, load),
                (_, None) => return,
            },
        };
        match step(load, &mut self.hub) {
            Progress::Going => {}
            Progress::Whole(machine) => match copy {
                Copy::Live(replica) => replica.finish_install(&mut self.hub, *machine),
                _ => self.finish_loading(group, *machine),
            },
            Progress::Failed(why) => {
                if let Copy::Live(replica) = copy {
                    replica.abandon(&mut self.hub);
                }
                self.replace_damaged(group, id, &why);
            }
        }
    }
}
