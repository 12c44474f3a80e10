//! Pieces of a snapshot, from whoever has them. Every piece is asked of one copy of the group at a time: of the likeliest
//! first, of the next one if that one is silent or hasn't it.
//!
//! It only asks and judges: what has come is the caller's, who also bounds how many pieces are under way.

use crate::api::Level;
use crate::hub::Hub;
use crate::wire::{ChunkName, PeerMessage};
use base::{Duration, GroupId, Membership, NodeId, Time};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use storage::{ChunkInfo, SnapshotId};

/// Pieces under way at a time: asked for, or come and not yet written.
pub const PIECES_MAX: usize = 4;
/// A piece that hasn't come for this long is asked for again, of somebody else if there is one.
const PIECE_PATIENCE: Duration = Duration::from_millis(500);
/// When nobody who can be reached has had a piece for this long, there is no hope for it.
const FETCH_PATIENCE: Duration = Duration::from_secs(10);

/// Pieces of one snapshot that are wanted.
#[derive(Debug)]
pub struct Fetch {
    group: GroupId,
    id: SnapshotId,
    /// Who may have them.
    holders: Vec<NodeId>,
    /// Which of them is asked first: who had the last piece.
    first: usize,
    /// Pieces that nobody was asked for yet.
    wanted: BTreeSet<u32>,
    asked: BTreeMap<u32, Asked>,
    /// When a piece came last.
    progress_at: Time,
}

/// A piece that was asked for.
#[derive(Debug)]
struct Asked {
    /// Since when.
    since: Time,
    /// Who is asked at the moment; nobody if nobody who may have it can be reached.
    of: Option<NodeId>,
    /// When that one was asked.
    at: Time,
    /// Who said that it hasn't the piece, since all were asked last.
    denied: BTreeSet<NodeId>,
}

impl Fetch {
    /// Wants nothing yet. `likeliest`: who has the snapshot for certain.
    pub fn new(hub: &Hub, group: GroupId, id: SnapshotId, likeliest: Option<NodeId>) -> Self {
        Self {
            group,
            id,
            holders: likeliest.into_iter().filter(|node| *node != hub.me).collect(),
            first: 0,
            wanted: BTreeSet::new(),
            asked: BTreeMap::new(),
            progress_at: hub.now,
        }
    }

    /// These nodes may have pieces, too.
    pub fn know(&mut self, hub: &Hub, nodes: impl Iterator<Item = NodeId>) {
        for node in nodes {
            if node != hub.me && !self.holders.contains(&node) {
                self.holders.push(node);
            }
        }
    }

    /// All that keep a copy may have pieces, too.
    pub fn know_members(&mut self, hub: &Hub, membership: &Membership) {
        self.know(hub, membership.members().into_iter().map(|replica| replica.node));
    }

    /// Wants a piece, unless it is under way.
    pub fn want(&mut self, number: u32) {
        if !self.asked.contains_key(&number) {
            self.wanted.insert(number);
        }
    }

    /// Whether all that was wanted has come.
    pub fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.asked.is_empty()
    }

    /// Asks for what is wanted, as long as fewer than `room` pieces are.
    pub fn ask(&mut self, hub: &mut Hub, room: usize) {
        while self.asked.len() < room {
            let Some(number) = self.wanted.pop_first() else { return };
            let asked = Asked { since: hub.now, of: None, at: hub.now, denied: BTreeSet::new() };
            self.asked.insert(number, asked);
            self.ask_next(hub, number);
        }
    }

    /// Asks the next one who may have the piece and can be reached.
    fn ask_next(&mut self, hub: &mut Hub, number: u32) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        let position = |node: NodeId| self.holders.iter().position(|holder| *holder == node);
        let from = asked.of.and_then(position).map_or(self.first, |last| last + 1);
        let count = self.holders.len();
        let next = (0..count).map(|step| (from + step) % count).find(|at| {
            let node = self.holders[*at];
            !asked.denied.contains(&node) && hub.peers.get(&node).is_some_and(|peer| peer.up)
        });
        if asked.of.is_some() && asked.of == self.holders.get(self.first).copied() {
            self.first = next.unwrap_or(self.first);
        }
        asked.of = next.map(|at| self.holders[at]);
        asked.at = hub.now;
        if let Some(node) = asked.of {
            let SnapshotId { index, term } = self.id;
            hub.send(node, &PeerMessage::ChunkRequest(ChunkName { group: self.group, index, term, number }));
        }
    }

    /// A piece has come, or somebody hasn't it; whether it is wanted and as it should be.
    pub fn arrived(
        &mut self,
        hub: &mut Hub,
        from: NodeId,
        name: ChunkName,
        bytes: Option<&Bytes>,
        expected: Option<&ChunkInfo>,
    ) -> bool {
        if (SnapshotId { index: name.index, term: name.term }) != self.id {
            return false;
        }
        let Some(asked) = self.asked.get_mut(&name.number) else { return false };
        if let Some(bytes) = bytes {
            if expected == Some(&ChunkInfo::of(bytes)) {
                self.asked.remove(&name.number);
                self.progress_at = hub.now;
                self.first = self.holders.iter().position(|holder| *holder == from).unwrap_or(self.first);
                return true;
            }
            hub.note(
                Level::Warn,
                format!(
                    "{}: a piece of a snapshot arrived damaged, or of another snapshot of the same entry; asking \
                     elsewhere",
                    self.group
                ),
            );
        }
        asked.denied.insert(from);
        if asked.of == Some(from) {
            self.ask_next(hub, name.number);
        }
        false
    }

    /// Asks others for what hasn't come. Whether there is still hope: there is none once all have said no, or when for
    /// long nobody who can be reached has had a piece.
    pub fn tend(&mut self, hub: &mut Hub) -> bool {
        let now = hub.now;
        let overdue = |asked: &Asked| now.since(asked.since.max(self.progress_at)) > FETCH_PATIENCE;
        let denied = |asked: &Asked| self.holders.iter().all(|holder| asked.denied.contains(holder));
        if self.asked.values().any(|asked| overdue(asked) || denied(asked)) {
            return false;
        }
        let late = |asked: &Asked| now.since(asked.at) > PIECE_PATIENCE;
        let numbers: Vec<u32> =
            self.asked.iter().filter(|(_, asked)| late(asked)).map(|(number, _)| *number).collect();
        for number in numbers {
            self.ask_next(hub, number);
            if let Some(asked) = self.asked.get_mut(&number).filter(|asked| asked.of.is_none()) {
                // Who had it not may have it by now, for others fetch it too.
                asked.denied.clear();
                self.ask_next(hub, number);
            }
        }
        true
    }
}
