//! Keeping house: what the disk answers, what happens because time has passed, and how a node ends.

use crate::api::{Effect, Level};
use crate::hub::{DiskRead, DiskWrite};
use crate::node::{Copy, Node};
use crate::wire::PeerMessage;
use base::{Duration, GroupId};
use bytes::Bytes;
use raft::Input as RaftInput;
use std::collections::BTreeMap;
use storage::{DiskCompletion, Failure, ReadError, Token, WriteError};

/// How often what has no moment of its own is looked at.
const TICK: Duration = Duration::from_millis(25);
/// How many entries of what was deleted a copy frees at each tick, beside those that every change frees.
const RECLAIMED_PER_TICK: usize = 5_000;
/// How often a copy that was lost here is asked for, until it is made anew.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A link must have been up for so long before leadership is handed to its other end, so that a node that has just
/// come back isn't burdened at once.
const SETTLE: Duration = Duration::from_millis(500);

impl Node {
    pub(crate) fn disk_done(&mut self, completion: DiskCompletion) {
        match completion {
            DiskCompletion::Written { token, report } => {
                if let Some(took) = self.hub.disk.written(token, self.hub.now) {
                    let wall = self.hub.wall();
                    self.hub.clients.timings.note_event("aof-fsync-always", took, wall);
                }
                if self.hub.disk.has_room(&mut self.hub.out) {
                    self.hub.note(Level::Info, "the disk has room again; writes go on");
                }
                self.disk.log_bytes = report.log_bytes;
                for note in report.notes {
                    self.hub.note(Level::Warn, note.0);
                }
                self.disk.degraded = report.degraded;
                // A segment or two more cost a restart little, and snapshots too often cost every write much; where there
                // is no room, room comes first.
                let long = report.segments > self.hub.config.log_segments_max || self.hub.disk.is_full();
                self.disk.pinned = report.oldest_segment_groups.into_iter().filter(|_| long).collect();
                match self.hub.disk_writes.remove(&token) {
                    Some(DiskWrite::Raft(marks)) => {
                        for (group, id, token) in marks {
                            let replica = self.replicas.get_mut(group.0 as usize).and_then(Copy::live);
                            if let Some(replica) = replica.filter(|replica| replica.id() == id) {
                                replica.step(&mut self.hub, RaftInput::Persisted { token });
                            }
                        }
                    }
                    Some(DiskWrite::Snapshot(group)) => {
                        if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                            replica.snapshot_written(&mut self.hub, token);
                        }
                    }
                    None => {}
                }
            }
            DiskCompletion::Entries { token, entries, .. } => self.disk_read(token, Some(entries), None),
            DiskCompletion::Chunk { token, bytes, .. } => self.disk_read(token, None, Some(bytes)),
            DiskCompletion::Found { token, numbers } => {
                let found = self.hub.disk_reads.remove(&token);
                let Some(DiskRead::Find(group)) = found else { return };
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    replica.pieces_found(&mut self.hub, token, &numbers);
                }
            }
            DiskCompletion::Failed { token, failure } => self.disk_failed(token, failure),
        }
    }

    fn disk_read(&mut self, token: Token, entries: Option<Vec<base::Entry>>, bytes: Option<Bytes>) {
        match self.hub.disk_reads.remove(&token) {
            Some(DiskRead::Piece { to, name }) => self.hub.send(to, &PeerMessage::Chunk { name, bytes }),
            Some(DiskRead::Load(group)) => self.loaded(group, token, bytes),
            Some(DiskRead::Export(job)) => self.export_read(job, bytes),
            Some(DiskRead::Entries(group, first)) => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    let entries = entries.unwrap_or_default();
                    replica.step(&mut self.hub, RaftInput::EntriesLoaded { first, entries });
                }
            }
            Some(DiskRead::Find(_)) | None => {}
        }
    }

    fn disk_failed(&mut self, token: Token, failure: Failure) {
        match failure {
            Failure::Read(error) => {
                let piece = match self.hub.disk_reads.get(&token) {
                    Some(DiskRead::Piece { name, .. }) => Some(*name),
                    _ => None,
                };
                // Whoever fetches a snapshot asks around for it.
                if piece.is_none() || error != ReadError::Absent {
                    self.hub.note(Level::Warn, format!("reading from the disk failed: {error}"));
                }
                self.disk_read(token, None, None);
                let Some(name) = piece.filter(|_| error != ReadError::Absent) else { return };
                if let Some(replica) = self.replicas.get_mut(name.group.0 as usize).and_then(Copy::live) {
                    replica.piece_rotten(&mut self.hub, name);
                }
            }
            Failure::Write(error @ WriteError::Full(_)) => {
                if self.hub.disk.found_full(token, self.hub.now) {
                    self.hub.note(
                        Level::Error,
                        format!(
                            "{error}; nothing acknowledged is lost. Writes are refused until there is room"
                        ),
                    );
                }
            }
            Failure::Write(error) => self.hub.fatal(error.to_string()),
        }
    }

    pub(crate) fn tick(&mut self) {
        self.next_tick = self.hub.now + TICK;
        self.refresh_view();
        let now = self.hub.now;
        if now >= self.next_beat {
            self.next_beat = now + self.hub.config.heartbeat_interval;
            self.beat();
            self.shed_copies();
        }
        if now >= self.next_ask {
            self.next_ask = now + ASK_AGAIN;
            self.ask_for_lost();
            self.hang_up_on_idle();
        }
        self.evict_clients();
        self.replace_silent_links();
        let placements: BTreeMap<GroupId, crate::meta::Placement> =
            self.meta().map(|meta| meta.placement().clone()).unwrap_or_default();
        let stopping = self.stopping.is_some() || self.hub.clock_off;
        self.tend_snapshots();
        for at in 0..self.replicas.len() {
            let wanted = placements.get(&GroupId(at as u32));
            self.go_on_loading(GroupId(at as u32), |load, hub| load.tend(hub, wanted));
            let Some(replica) = self.replicas[at].live() else { continue };
            replica.tend_install(&mut self.hub, wanted);
            replica.tend_cache(&self.hub.config);
            replica.time_out(&mut self.hub);
            replica.tend_waitlist(&mut self.hub);
            replica.tend_locks(&mut self.hub);
            if let Some(keyspace) = replica.machine.keyspace_mut() {
                keyspace.reclaim(RECLAIMED_PER_TICK);
            }
            if stopping {
                replica.hand_over(&mut self.hub);
            } else if let Some(wanted) = wanted {
                replica.tend_members(&mut self.hub, wanted);
                replica.tend_leadership(&mut self.hub, wanted, SETTLE);
            }
        }
        self.tend_lanes();
        self.greet_shards();
        self.tend_tracking();
        self.tend_blocked();
        self.tend_runs();
        self.tend_pause();
        self.tend_sleepers();
        self.hub.clients.tend_output();
        self.tend_broadcasts();
        self.tend_exports();
        self.tend_loading();
        self.hub.disk.retry(now, &mut self.hub.out);
        self.tend_stopping();
    }

    /// Goes on with the snapshot that is being taken, or has the next group begin one. One at a time: all groups' logs
    /// are long enough at about the same moment, and their pieces together would hold the engine up for as long as it
    /// takes to write down all that there is.
    fn tend_snapshots(&mut self) {
        let log_bytes_max = self.hub.config.log_bytes_max;
        let mut taking = false;
        for replica in self.replicas.iter_mut().filter_map(Copy::live) {
            replica.go_on_taking(&mut self.hub);
            taking |= replica.is_taking();
        }
        // From the one behind the last, so that one that is always due doesn't keep the others from their turn.
        let count = self.replicas.len();
        for step in 1..=count {
            if taking {
                return;
            }
            let at = (self.last_taken + step) % count;
            let Some(replica) = self.replicas[at].live() else { continue };
            let pinned = self.disk.pinned.contains(&replica.group);
            taking = replica.begin_snapshot_if_due(&mut self.hub, log_bytes_max, pinned);
            if taking {
                self.last_taken = at;
            }
        }
    }

    fn tend_lanes(&mut self) {
        let now = self.hub.now;
        let patience = self.hub.patience();
        for at in 0..self.lanes.len() {
            let group = GroupId(at as u32);
            let leader = self.leader_of(group);
            let hint = &mut self.hub.leaders[at];
            let missing = match leader {
                Some(_) => {
                    hint.missing_since = None;
                    false
                }
                None => now.since(*hint.missing_since.get_or_insert(now)) > patience,
            };
            if !self.lanes[at].is_empty() {
                self.lanes[at].give_up(&mut self.hub, missing);
                self.lanes_dirty.insert(group);
            }
        }
    }

    fn tend_loading(&mut self) {
        if !self.loading || !self.view.known {
            return;
        }
        // A voter keeps quiet for one election timeout, and may then wait for two and be beaten once.
        let waited = self.hub.now.since(self.started) > self.hub.patience() * 2;
        let decided = |group: GroupId| {
            let copy = &self.replicas[group.0 as usize];
            let led = self.leader_of(group).is_some();
            !matches!(copy, Copy::Loading(_)) && (led || waited)
        };
        if self.view.shards.iter().copied().all(decided) {
            self.loading = false;
        }
    }

    /// Begins to hand over what this node leads; when that is done, or takes too long, it is stopped.
    pub(crate) fn stop(&mut self) {
        self.stopping.get_or_insert(self.hub.now);
        // Whoever is handed a leadership must know by then not to hand it back.
        (self.next_tick, self.next_beat) = (self.hub.now, self.hub.now);
    }

    /// Whether it has begun to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    fn tend_stopping(&mut self) {
        let Some(since) = self.stopping else { return };
        let leads = self
            .replicas
            .iter()
            .filter_map(Copy::as_live)
            .any(|replica| replica.raft.is_leader() && replica.raft.membership().voters.len() > 1);
        let unsettled = self.replicas.iter().filter_map(Copy::as_live).any(|replica| !replica.is_settled());
        let patience = self.hub.config.request_timeout / 2;
        if ((!leads && !unsettled) || self.hub.now.since(since) > patience) && !self.stopped {
            self.stopped = true;
            self.hub.out.push(Effect::Stopped);
        }
    }
}
