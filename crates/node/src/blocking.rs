//! The gateway's side of blocking commands (BLPOP, BLMOVE, BZPOPMIN, XREAD BLOCK …).
//!
//! A command is first tried as any other. If there is nothing, its client waits here, and the leaders of its keys are told for which. Each
//! offer of the leader leads to another try, under a number of its own and done once, until one gets something, or the client's time is
//! over. The gateway says who waits again and again, so that a new leader, or one that lost its memory, knows it soon.
//!
//! What was taken for a client that has gone meanwhile is put back.

use crate::api::{ClientId, Level};
use crate::clients::Ticket;
use crate::hub::{Waiter, Work};
use crate::node::{Copy, Node};
use crate::op::{Invocation, Op, Words, encode_op};
use crate::runs::{Plan, Whose};
use crate::scratch::Request;
use crate::waitlist::{WaitToken, Waiting};
use crate::wire::PeerMessage;
use base::{DatabaseId, DatabaseIndex, Duration, GroupId, NodeId, Time, UnixMillis};
use bytes::Bytes;
use command::Spec;
use command::spec::Keys;
use resp::Protocol;
use std::collections::BTreeMap;

/// How often the leader is told again who waits.
const REMIND: Duration = Duration::from_millis(500);

/// The commands of this node's clients that wait.
#[derive(Debug, Default)]
pub struct Blocked {
    commands: BTreeMap<u64, Command>,
    by_client: BTreeMap<ClientId, u64>,
    next: u64,
}

#[derive(Debug)]
struct Command {
    ticket: Ticket,
    /// The groups of the keys that it waits for, and the leaders that were told, when.
    groups: BTreeMap<GroupId, Option<(NodeId, Time)>>,
    /// Whether its keys lie on several shards, so that every try is a run.
    spans: bool,
    spec: &'static Spec,
    words: Vec<Bytes>,
    /// The number that its client has selected, and the database behind it.
    index: DatabaseIndex,
    database: DatabaseId,
    protocol: Protocol,
    since: UnixMillis,
    /// When its client no longer waits; `None`: never.
    deadline: Option<Time>,
    /// Since when it is tried, if it is.
    trying: Option<Time>,
    /// An offer came while it was tried.
    again: bool,
    /// Whether its try was an offer.
    offered: bool,
    /// Whether it was tried, and found nothing.
    waited: bool,
    /// Its client is to be let go as soon as the present try is over, with this answer; or it has gone (empty).
    ending: Option<Bytes>,
}

impl Command {
    /// The operation that gives back what this reply says was taken, and to which key, if anything would be lost otherwise.
    fn giving_back(&self, token: WaitToken, reply: &[u8]) -> Option<(Bytes, Vec<u8>)> {
        let words: Words<'_> = self.words.iter().map(|word| &word[..]).collect();
        let back = command::blocking::give_back(self.spec, &words, reply)?;
        let key = back.get(1)?.clone();
        let back: Words<'_> = back.iter().map(|word| &word[..]).collect();
        let spec = command::resolve(&back).ok()?;
        let invocation =
            Invocation { spec, database: self.database, target: None, protocol: self.protocol, words: back };
        let mut op = Vec::new();
        // What was taken needs no more memory than before, and must not be lost where that is short.
        encode_op(&mut op, &Op::Offered { token, invocation });
        Some((op.into(), key))
    }

    /// What the leader of the group of some of its keys is told.
    fn waiting(&self, is_of_group: impl Fn(&[u8]) -> bool) -> Waiting {
        let words: Words<'_> = self.words.iter().map(|word| &word[..]).collect();
        let keys = if self.spans { awaited(self.spec, &words) } else { self.spec.keys(&words) };
        let keys = keys.iter().filter(|key| is_of_group(key));
        Waiting {
            keys: keys.map(|key| (self.database, Bytes::copy_from_slice(key))).collect(),
            since: self.since,
            exclusive: self.spec.is_write(),
            hears_loss: self.spec.name == "xreadgroup",
        }
    }

    /// What is answered when its time is over.
    fn nothing(&self) -> Bytes {
        Bytes::from_static(match self.protocol {
            Protocol::Resp3 => b"_\r\n",
            // BLMOVE's and BRPOPLPUSH's, too, unlike what those answer in a transaction.
            Protocol::Resp2 => NOTHING,
        })
    }
}

/// The keys for which a command waits whose keys lie on several shards: where it takes from, not where it puts.
fn awaited<'a>(spec: &Spec, words: &[&'a [u8]]) -> Keys<'a> {
    let mut keys = spec.keys(words);
    if matches!(spec.name, "blmove" | "brpoplpush") {
        keys.truncate(1);
    }
    keys
}

impl Blocked {
    /// How many clients wait.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// Whether this client waits.
    pub fn waits(&self, client: ClientId) -> bool {
        self.by_client.contains_key(&client)
    }

    /// What a client waits with.
    pub(crate) fn command_of(&self, client: ClientId) -> Option<(&'static Spec, &[Bytes])> {
        let command = self.commands.get(self.by_client.get(&client)?)?;
        Some((command.spec, &command.words))
    }

    /// Whose command this is.
    pub(crate) fn client_of(&self, id: u64) -> Option<ClientId> {
        Some(self.commands.get(&id)?.ticket.client())
    }

    /// When a command's present try began; what is tried for it has its own time.
    pub(crate) fn tried_at(&self, id: u64) -> Option<Time> {
        self.commands.get(&id)?.trying
    }
}

/// The reply that says that there is nothing, as far as nodes are concerned; a client gets what its protocol and command say.
pub(crate) const NOTHING: &[u8] = b"*-1\r\n";

/// Whether a reply says that there is nothing.
pub(crate) fn is_nothing(reply: &[u8]) -> bool {
    [&b"*-1\r\n"[..], b"$-1\r\n", b"_\r\n"].iter().any(|nothing| reply.starts_with(nothing))
}

impl Node {
    /// The groups for whose keys a command waits whose keys lie on several shards.
    pub(crate) fn awaited_groups(&self, invocation: &Invocation<'_>) -> Vec<GroupId> {
        let keys = awaited(invocation.spec, &invocation.words);
        keys.iter().map(|key| self.view.slots.group_of_key(key)).collect()
    }

    /// Takes a command that may wait for keys of these groups; false if its words say that it doesn't. `spans`: it has to see keys of
    /// several shards at once.
    pub(crate) fn block(
        &mut self,
        slot: u32,
        groups: &[GroupId],
        spans: bool,
        invocation: &Invocation<'_>,
    ) -> bool {
        let Some(timeout_ms) = command::blocking::timeout_ms(invocation.spec, &invocation.words) else {
            return false;
        };
        let now = self.hub.now;
        let ticket = self.hub.clients.ticket(slot, groups.first().copied().filter(|_| !spans));
        let Some(client) = self.hub.clients.get(slot) else { return true };
        // Whoever waits sends nothing meanwhile that counts.
        client.held = true;
        let index = client.database;
        self.blocked.next += 1;
        let id = self.blocked.next;
        let command = Command {
            ticket,
            groups: groups.iter().map(|group| (*group, None)).collect(),
            spans,
            spec: invocation.spec,
            words: invocation.words.iter().map(|word| Bytes::copy_from_slice(word)).collect(),
            index,
            database: invocation.database,
            protocol: invocation.protocol,
            since: self.hub.wall(),
            deadline: timeout_ms.map(|millis| now + Duration::from_millis(millis)),
            trying: None,
            again: false,
            offered: false,
            waited: false,
            ending: None,
        };
        self.blocked.by_client.insert(ticket.client(), id);
        self.blocked.commands.insert(id, command);
        self.attempt_blocked(id, false);
        true
    }

    /// Of a blocking command only the try that got something takes time; the client meant to wait.
    fn note_slow_try(&mut self, id: u64, since: Time) {
        if !self.is_slow(self.hub.now.since(since)) {
            return;
        }
        let Some(command) = self.blocked.commands.get(&id) else { return };
        let (ticket, spec, words) = (command.ticket, command.spec, command.words.clone());
        let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        self.note_slow_answer(ticket, since, spec, &words);
    }

    /// Answers a client that has waited with what it has read. What changes behind that is not followed, so it may not keep it.
    fn end_waiting_read(&mut self, id: u64, reply: &[u8]) {
        let command = self.blocked.commands.get(&id).filter(|command| command.spec.is_readonly());
        let read = command.map(|command| (command.ticket, command.spec, command.words.clone()));
        self.end_waiting(id, reply);
        if let Some((ticket, spec, words)) =
            read.filter(|(ticket, ..)| self.hub.clients.of(*ticket).is_some())
        {
            let words: Words<'_> = words.iter().map(|word| &word[..]).collect();
            self.invalidate_read(ticket.slot(), spec, &words);
        }
    }

    fn attempt_blocked(&mut self, id: u64, offered: bool) {
        let now = self.hub.now;
        let token = WaitToken { session: self.hub.session, id };
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        command.trying = Some(now);
        command.again = false;
        command.offered = offered;
        let (spec, database, protocol, waited) =
            (command.spec, command.database, command.protocol, command.waited);
        let kept = command.words.clone();
        if command.spans {
            let request = Request { spec, database, target: None, protocol, words: kept };
            let whose = Whose::Blocked { id, waited };
            return self.start_run(Plan { whose, requests: vec![request], watched: Vec::new(), user: None });
        }
        let Some(group) = command.groups.keys().next().copied() else { return };
        let words: Words<'_> = kept.iter().map(|word| &word[..]).collect();
        let invocation = Invocation { spec, database, target: None, protocol, words };
        let waiter = Waiter::Blocked(id);
        if !spec.is_write() {
            let mut query = Vec::new();
            let op = if waited { Op::Offered { token, invocation } } else { Op::Command(invocation) };
            encode_op(&mut query, &op);
            self.query(group, waiter, query.into(), false);
        } else if offered {
            self.write(group, waiter, &Op::Offered { token, invocation });
        } else {
            self.write(group, waiter, &Op::Command(invocation));
        }
    }

    /// A try is over.
    pub(crate) fn blocked_tried(&mut self, id: u64, reply: Result<Bytes, Bytes>) {
        let now = self.hub.now;
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        let since = command.trying.take().unwrap_or(now);
        match reply {
            Ok(reply) if is_nothing(&reply) => {
                if !std::mem::replace(&mut command.waited, true) {
                    take_resolved_words(command, reply);
                }
                self.tell_tried(id);
                let Some(command) = self.blocked.commands.get_mut(&id) else { return };
                if let Some(last) = command.ending.take() {
                    self.end_waiting(id, &last);
                } else if command.deadline.is_some_and(|at| at <= now) {
                    let nothing = command.nothing();
                    self.end_waiting(id, &nothing);
                } else {
                    self.go_on_waiting(id);
                }
            }
            Ok(reply) => {
                if self.hub.clients.of(command.ticket).is_none() {
                    self.put_back(id, &reply);
                }
                self.note_slow_try(id, since);
                self.end_waiting_read(id, &reply);
            }
            // It was not done, and the client waits on for who leads next; but not at its first try.
            Err(error) if error.starts_with(b"-TRYAGAIN ") && command.waited && command.ending.is_none() => {
                self.go_on_waiting(id);
            }
            Err(error) => self.end_waiting(id, &error),
        }
    }

    fn go_on_waiting(&mut self, id: u64) {
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        if std::mem::take(&mut command.again) {
            // Where nobody knows of it, it comes behind those who wait there already.
            let offered = command.groups.values().any(Option::is_some);
            self.attempt_blocked(id, offered);
        } else {
            self.remind(id);
        }
    }

    /// Other databases may be behind the numbers that waiting clients have selected: they wait there from now on.
    pub(crate) fn follow_databases(&mut self) {
        let databases = &self.view.databases;
        let behind = |index: DatabaseIndex| databases.get(index.0 as usize).copied().flatten();
        let moved: Vec<(u64, Option<DatabaseId>)> = self
            .blocked
            .commands
            .iter()
            .map(|(id, command)| (*id, command, behind(command.index)))
            .filter(|(_, command, database)| *database != Some(command.database))
            .map(|(id, _, database)| (id, database))
            .collect();
        for (id, database) in moved {
            let Some(database) = database else {
                self.end_waiting(id, b"-ERR the selected database is gone or closing; SELECT another\r\n");
                continue;
            };
            self.wait_no_more(id);
            let Some(command) = self.blocked.commands.get_mut(&id) else { continue };
            command.database = database;
            if command.trying.is_some() {
                command.again = true;
            } else {
                self.attempt_blocked(id, false);
            }
        }
    }

    /// An offer has come for one of this node's commands.
    pub(crate) fn offered(&mut self, id: u64) {
        match self.blocked.commands.get_mut(&id) {
            Some(command) if command.trying.is_some() => command.again = true,
            Some(_) => self.attempt_blocked(id, true),
            // It waits no more, and who offers doesn't know.
            None => {}
        }
    }

    /// Tells the leaders of its keys that a command waits.
    fn remind(&mut self, id: u64) {
        let Some(command) = self.blocked.commands.get(&id) else { return };
        for group in command.groups.keys().copied().collect::<Vec<GroupId>>() {
            self.remind_leader(id, group);
        }
    }

    fn remind_leader(&mut self, id: u64, group: GroupId) {
        let session = self.hub.session;
        let now = self.hub.now;
        let Some(command) = self.blocked.commands.get(&id) else { return };
        let waiting = command.waiting(|key| self.view.slots.group_of_key(key) == group);
        let Some(leader) = self.leader_of(group) else { return };
        if leader == self.hub.me {
            if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                replica.register(&mut self.hub, WaitToken { session, id }, waiting);
            }
        } else {
            self.hub.send(leader, &PeerMessage::Wait { group, session, id, waiting });
        }
        if let Some(command) = self.blocked.commands.get_mut(&id) {
            command.groups.insert(group, Some((leader, now)));
        }
    }

    /// A try over several shards that was an offer has found nothing. The leaders that made it can't see that from their logs; they
    /// are told, so that others have their turn.
    fn tell_tried(&mut self, id: u64) {
        let session = self.hub.session;
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        if !command.spans || !command.spec.is_write() || !std::mem::take(&mut command.offered) {
            return;
        }
        let told: Vec<(GroupId, NodeId)> =
            command.groups.iter().filter_map(|(group, told)| Some((*group, told.as_ref()?.0))).collect();
        for (group, leader) in told {
            if leader != self.hub.me {
                self.hub.send(leader, &PeerMessage::WaitTried { group, session, id });
            } else if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                replica.wait_tried(&mut self.hub, WaitToken { session, id });
            }
        }
    }

    /// Ends a client's waiting with a reply.
    fn end_waiting(&mut self, id: u64, reply: &[u8]) {
        self.wait_no_more(id);
        let Some(command) = self.blocked.commands.remove(&id) else { return };
        self.blocked.by_client.remove(&command.ticket.client());
        self.hub.clients.answer(command.ticket, reply);
    }

    /// Tells the leaders that know of it that a command waits there no more.
    fn wait_no_more(&mut self, id: u64) {
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        let session = self.hub.session;
        let told: Vec<(GroupId, NodeId)> =
            command.groups.iter_mut().filter_map(|(group, told)| Some((*group, told.take()?.0))).collect();
        for (group, leader) in told {
            if leader != self.hub.me {
                self.hub.send(leader, &PeerMessage::WaitNoMore { group, session, id });
            } else if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                replica.release(&mut self.hub, WaitToken { session, id });
            }
        }
    }

    /// A client has gone. What is being tried for it is waited for: if something is taken, it is put back.
    pub(crate) fn blocked_client_gone(&mut self, client: ClientId) {
        self.let_go(client, Bytes::new());
    }

    /// Ends a client's waiting, with this reply or with that which it would have got in the end; whether it waited.
    pub(crate) fn unblock_client(&mut self, client: ClientId, reply: Option<Bytes>) -> bool {
        let Some(id) = self.blocked.by_client.get(&client) else { return false };
        let reply = reply.or_else(|| self.blocked.commands.get(id).map(Command::nothing));
        self.let_go(client, reply.unwrap_or_default());
        true
    }

    fn let_go(&mut self, client: ClientId, reply: Bytes) {
        let Some(id) = self.blocked.by_client.get(&client).copied() else { return };
        let Some(command) = self.blocked.commands.get_mut(&id) else { return };
        if command.trying.is_some() {
            command.ending = Some(reply);
        } else {
            self.end_waiting(id, &reply);
        }
    }

    /// Ends what has waited long enough, and reminds leaders of the rest.
    pub(crate) fn tend_blocked(&mut self) {
        let now = self.hub.now;
        let idle = self.blocked.commands.iter().filter(|(_, command)| command.trying.is_none());
        let ids: Vec<u64> = idle.map(|(id, _)| *id).collect();
        for id in ids {
            let Some(command) = self.blocked.commands.get(&id) else { continue };
            if command.deadline.is_some_and(|at| at <= now) {
                let nothing = command.nothing();
                self.end_waiting(id, &nothing);
                continue;
            }
            let groups: Vec<_> = command.groups.iter().map(|(group, told)| (*group, *told)).collect();
            for (group, told) in groups {
                let leader = self.leader_of(group);
                let current = told.is_some_and(|(told, at)| Some(told) == leader && now.since(at) < REMIND);
                if !current {
                    self.remind_leader(id, group);
                }
            }
        }
    }

    /// Gives back what was taken for a client that has gone.
    fn put_back(&mut self, id: u64, reply: &[u8]) {
        #[cfg(feature = "bugs")]
        if self.hub.config.bugs.taken_for_who_has_gone_is_lost {
            return;
        }
        let Some(command) = self.blocked.commands.get(&id) else { return };
        let name = command.spec.name;
        let token = WaitToken { session: self.hub.session, id };
        let Some((op, key)) = command.giving_back(token, reply) else { return };
        let group = self.view.slots.group_of_key(&key);
        self.hub.note(Level::Info, format!("what '{name}' had taken for a client that has gone is put back"));
        self.forward(group, Waiter::Nobody, Work::Write(op));
    }
}

/// What the first try said: that there is nothing, and behind it the command's words, if those must not stay as they were (XREAD's `$`
/// means the newest entry of that moment).
fn take_resolved_words(command: &mut Command, mut reply: Bytes) {
    let end = reply.windows(2).position(|bytes| bytes == b"\r\n").map_or(reply.len(), |at| at + 2);
    let mut rest = reply.split_off(end);
    let mut words = Vec::new();
    while rest.len() >= 4 {
        let length = rest.split_to(4);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if length > rest.len() {
            return;
        }
        words.push(rest.split_to(length));
    }
    if !words.is_empty() {
        command.words = words;
    }
}
