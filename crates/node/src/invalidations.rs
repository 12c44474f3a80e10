//! What has changed is told to the clients that keep it (CLIENT TRACKING). A client whose node keeps a copy of the shard is told by what
//! that copy applies: nothing of it is lost when a leader or a link is, and it never comes before the change is committed. A copy may be
//! behind the leader that answered a read, so a client may hear of a change that it has seen already; never the other way round.
//!
//! What a read brings is marked before it is asked for, and a client hears of a change behind the answers that may still be without it.
//!
//! Where what has changed can't be known (a copy was replaced by a snapshot, nobody leads for longer than an election takes, databases
//! were exchanged), the clients are told to throw everything away. Of a shard without a copy here nothing is heard: there every answer
//! is followed by its invalidation, so that nobody keeps what might become stale.

use crate::api::ClientId;
use crate::hub::{Hub, Waiter};
use crate::machine::Machine;
use crate::node::{Copy, Node};
use crate::op::Provenance;
use base::GroupId;
use bytes::Bytes;
use command::Spec;
use keyspace::{ChangedKey, Keyspace};
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// On which channel a client in version 2 of the protocol hears for another.
const CHANNEL: &str = "__redis__:invalidate";

/// A key that has changed, and by whom, where that is one of this node's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub what: ChangedKey,
    /// By whom.
    pub by: By,
}

/// Who has changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Nobody, or nobody here.
    Nobody,
    /// This client.
    Client(ClientId),
    /// The client of this blocking command.
    Blocked(u64),
    /// The client for whom this is committed.
    Commit(u64),
}

impl Change {
    /// Anything may have changed.
    pub fn anything() -> Self {
        Self { what: ChangedKey::All, by: By::Nobody }
    }
}

/// Leaves what an operation has changed for those who keep it.
pub(crate) fn note_changes(
    machine: &mut Machine,
    hub: &mut Hub,
    group: GroupId,
    from: Option<Provenance>,
    waiter: Waiter,
) {
    let by = hub.changer(group, from, waiter);
    let changed = machine.keyspace_mut().map(Keyspace::take_changed).unwrap_or_default();
    hub.changes.extend(changed.into_iter().map(|what| Change { what, by }));
}

impl Node {
    /// A client reads these keys; said before they are asked for. Whether it keeps what it reads.
    pub(crate) fn note_read(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) -> bool {
        let Some(client) = self.hub.clients.get(slot) else { return false };
        let id = client.id;
        let Some(tracker) = self.tracking.of(id).filter(|tracker| tracker.keeps()) else { return false };
        if !spec.is_readonly() {
            return false;
        }
        if !tracker.broadcast {
            for key in spec.keys(words) {
                self.tracking.mark(id, key);
            }
            self.make_room();
        }
        true
    }

    /// A client has asked to write these keys, and may keep what it has written. If nothing is heard of their groups, it may not, where it
    /// would have heard of every key.
    pub(crate) fn note_write(&mut self, slot: u32, heard: bool, spec: &Spec, words: &[&[u8]]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let id = client.id;
        let Some(tracker) = self.tracking.of(id) else { return };
        let broadcast = tracker.broadcast;
        self.hub.clients.keep_answer(slot);
        if broadcast && !heard {
            self.invalidate_read(slot, spec, words);
        }
    }

    /// Whether this node hears of all changes of a group in time: it keeps a copy, somebody leads it, and the disk takes what comes.
    pub(crate) fn hears_changes(&self, group: GroupId) -> bool {
        let copy = self.replicas.get(group.0 as usize).and_then(Copy::as_live);
        copy.is_some_and(|replica| replica.machine.keyspace().is_some())
            && !self.tracking.unheard.contains(&group)
    }

    /// Looks of which groups this node hears; where it hears no more, the clients are told to throw everything away.
    pub(crate) fn tend_tracking(&mut self) {
        if !self.hub.tracks {
            return;
        }
        let prompt = self.hub.disk.is_prompt(self.hub.now, self.hub.config.election_timeout);
        let mut newly = false;
        for group in self.view.shards.clone() {
            let missing = self.hub.leaders[group.0 as usize].missing_since;
            let led = missing.is_none_or(|since| self.hub.now.since(since) <= self.hub.patience());
            if led && prompt {
                self.tracking.unheard.remove(&group);
            } else {
                newly |= self.tracking.unheard.insert(group);
            }
        }
        if newly {
            base::mark!("changes_may_go_unheard");
            self.hub.changes.push(Change::anything());
        }
    }

    /// Forgets keys beyond `tracking-table-max-keys`: whoever keeps them is told to throw them away.
    pub(crate) fn make_room(&mut self) {
        while let Some(key) = self.tracking.one_too_many(self.hub.config.tracking_keys_max) {
            self.tell_readers(&key, By::Nobody);
        }
    }

    /// A client's command has been taken: what CLIENT CACHING said is over.
    pub(crate) fn end_caching(&mut self, slot: u32, name: &[u8]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let gathering = client.transaction.is_gathering();
        let id = client.id;
        if let Some(tracker) = self.tracking.of_mut(id)
            && !gathering
            && !name.eq_ignore_ascii_case(b"client")
        {
            tracker.caching = false;
        }
    }

    /// Whether this node's copies say which keys change.
    pub(crate) fn note_trackers(&mut self) {
        self.hub.tracks = !self.tracking.is_empty();
        if !self.hub.tracks {
            self.tracking.unheard = BTreeSet::new();
            self.hub.writers = BTreeMap::new();
        }
    }

    /// A connection is no more.
    pub(crate) fn client_gone(&mut self, id: ClientId) {
        self.hub.clients.close(id);
        self.subscriptions.forget(id);
        self.forget_tracker(id);
        self.monitors.remove(&id);
        self.pause.forget(id);
        self.blocked_client_gone(id);
    }

    /// A client keeps nothing any more.
    pub(crate) fn forget_tracker(&mut self, id: ClientId) {
        self.tracking.disable(id);
        self.note_trackers();
    }

    /// Finds out whose the blocking commands were, while they are known.
    pub(crate) fn name_changers(&mut self) {
        let mut changes = std::mem::take(&mut self.hub.changes);
        for change in &mut changes {
            let client = match change.by {
                By::Blocked(id) => self.blocked.client_of(id),
                By::Commit(id) => self.client_of_commit(id),
                By::Nobody | By::Client(_) => continue,
            };
            change.by = client.map_or(By::Nobody, By::Client);
        }
        self.hub.changes = changes;
    }

    /// Tells this node's clients what has changed, in the order in which it has.
    pub(crate) fn tell_changes(&mut self) {
        let mut flushed = false;
        let mut broadcast: BTreeMap<Bytes, BTreeMap<Bytes, By>> = BTreeMap::new();
        for change in std::mem::take(&mut self.hub.changes) {
            match change.what {
                // One command may empty many databases.
                ChangedKey::All if flushed => {}
                ChangedKey::All => {
                    flushed = true;
                    self.tell_all_changed();
                }
                ChangedKey::One(key) => {
                    flushed = false;
                    let key = Bytes::from(key);
                    self.tell_readers(&key, change.by);
                    for (prefix, _) in self.tracking.prefixes_of(&key) {
                        let by = broadcast
                            .entry(prefix.clone())
                            .or_default()
                            .entry(key.clone())
                            .or_insert(change.by);
                        if *by != change.by {
                            *by = By::Nobody;
                        }
                    }
                }
            }
        }
        for (prefix, keys) in broadcast {
            let clients: Vec<ClientId> = self
                .tracking
                .clients()
                .into_iter()
                .filter(|id| self.tracking.of(*id).is_some_and(|tracker| tracker.prefixes.contains(&prefix)))
                .collect();
            for id in clients {
                let no_loop = self.tracking.of(id).is_some_and(|tracker| tracker.no_loop);
                let told = keys.iter().filter(|(_, by)| !(no_loop && **by == By::Client(id)));
                let told: Vec<&[u8]> = told.map(|(key, _)| &key[..]).collect();
                if !told.is_empty() {
                    self.invalidate(id, Some(&told));
                }
            }
        }
    }

    fn tell_readers(&mut self, key: &[u8], by: By) {
        for id in self.tracking.take(key) {
            let Some(tracker) = self.tracking.of(id) else { continue };
            if tracker.broadcast {
                continue;
            }
            let own = tracker.no_loop && by == By::Client(id);
            if own || self.answers_are_under_way(id) {
                // What it has written itself it may keep, and an answer that is still to come may be older or newer than
                // this change: of the next one it must hear in any case.
                self.tracking.mark(id, key);
            }
            if !own {
                self.invalidate(id, Some(&[key]));
            }
        }
    }

    fn answers_are_under_way(&mut self, id: ClientId) -> bool {
        let Some(slot) = self.hub.clients.slot(id) else { return false };
        self.hub.clients.get(slot).is_some_and(|client| client.kept_under_way() > 0)
    }

    /// Tells all clients that keep something to throw it away.
    fn tell_all_changed(&mut self) {
        self.tracking.clear();
        for id in self.tracking.clients() {
            let under_way = self.answers_are_under_way(id);
            if self.tracking.empties(id) || under_way {
                self.invalidate(id, None);
            }
        }
    }

    /// Tells one client, or whoever hears in its place, to throw away these keys, or everything.
    fn invalidate(&mut self, id: ClientId, keys: Option<&[&[u8]]>) {
        let Some(tracker) = self.tracking.of_mut(id) else { return };
        let redirect = tracker.redirect;
        let target = redirect.unwrap_or(id);
        let Some(slot) = self.hub.clients.open_slot(target) else {
            tracker.broken = true;
            self.tell_broken(id, target);
            return;
        };
        let listens = self.subscriptions.listens(target);
        let Some(client) = self.hub.clients.get(slot) else { return };
        let protocol = client.protocol;
        let write = |out: &mut Vec<u8>| {
            let mut writer = Writer::new(out, protocol);
            if protocol == Protocol::Resp3 {
                writer.push(2);
                writer.text("invalidate");
            } else {
                writer.push(3);
                writer.text("message");
                writer.text(CHANNEL);
            }
            match keys {
                Some(keys) => {
                    writer.array(keys.len());
                    keys.iter().for_each(|key| writer.bulk(key));
                }
                None => writer.null(),
            }
        };
        if redirect.is_some() && (protocol == Protocol::Resp3 || listens) {
            self.hub.clients.push(slot, write);
        } else if redirect.is_none() && protocol == Protocol::Resp3 {
            self.hub.clients.push_behind_kept(slot, write);
        }
    }

    /// Tells a client that nobody hears in its place any more.
    fn tell_broken(&mut self, id: ClientId, target: ClientId) {
        let Some(slot) = self.hub.clients.slot(id) else { return };
        let Some(client) = self.hub.clients.get(slot) else { return };
        if client.protocol == Protocol::Resp3 {
            self.hub.clients.push_behind_kept(slot, |out| {
                let mut writer = Writer::new(out, Protocol::Resp3);
                writer.push(2);
                writer.text("tracking-redir-broken");
                writer.count(target.0);
            });
        }
    }

    /// Of these keys nothing is heard: whoever has read them may not keep them.
    pub(crate) fn invalidate_read(&mut self, slot: u32, spec: &Spec, words: &[&[u8]]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let id = client.id;
        let keys: BTreeSet<&[u8]> = spec.keys(words).into_iter().collect();
        for key in keys {
            self.invalidate(id, Some(&[key]));
        }
    }
}
