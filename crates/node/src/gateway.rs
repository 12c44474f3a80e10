//! Where clients' commands come in and find their way: to the shard of their keys on this node, to another node's by a
//! lane, to all shards, or to an answer right here. Every node is a gateway for every key.

use crate::api::{ClientId, Effect};
use crate::blocking::NOTHING;
use crate::clients::Fate;
use crate::disk::DiskQueue;
use crate::export::Export;
use crate::hub::{Verdict, Waiter, Work};
use crate::lanes::{self, Lane};
use crate::memory::Memory;
use crate::migration::Migration;
use crate::node::{Copy, Node};
use crate::op::{Invocation, Op, Words, encode_invocation, encode_op};
use crate::replica::Replica;
use crate::routes::Route;
use crate::runs::{Plan, Whose};
use crate::scatter::Job;
use crate::scratch::Request;
use crate::split::Split;
use crate::transactions::is_immediate;
use crate::users::Access;
use base::{DatabaseId, GroupId, Time};
use bytes::Bytes;
use command::{Place, Spec};
use resp::Writer;
use resp::request::{Limits, Progress, Reader};
use std::borrow::Cow;
use std::sync::Arc;

/// A write larger than this is refused: it would be one log entry, and one message to every copy.
pub const WRITE_BYTES_MAX: usize = 32 << 20;

/// The answer to a write that would be on too few nodes (`min-replicas-to-write`), as Redis says it.
pub(crate) const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";

/// What a client may send while its next command waits for an earlier one, before reading from it pauses.
const HELD_BYTES_MAX: usize = 1 << 20;

impl Node {
    pub(crate) fn connected(&mut self, id: ClientId, address: String, loopback: bool) {
        let refusal = if self.hub.clients.len() >= self.hub.config.clients_max {
            Some("-ERR max number of clients reached\r\n")
        } else if self.hub.config.protected_mode && !loopback && (self.is_open() || !self.view.known) {
            Some(
                "-DENIED Sihai is running in protected mode because no password is set: only clients on this machine \
                 are served. Set one with CONFIG SET requirepass from this machine, or start with --protected-mode no \
                 if the network keeps strangers out\r\n",
            )
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.hub.counters.connections_refused += 1;
            self.hub.out.push(Effect::Send { client: id, bytes: Bytes::from_static(refusal.as_bytes()) });
            self.hub.out.push(Effect::Close { client: id });
            return;
        }
        self.hub.counters.connections += 1;
        let user = self.view.users.default().clone();
        let reader = Reader::new(Limits { unauthenticated: !self.is_open(), ..Limits::default() });
        let now = self.hub.now;
        self.hub.clients.connect(id, address, now, user, reader);
    }

    pub(crate) fn received(&mut self, id: ClientId, bytes: Bytes) {
        let Some(slot) = self.hub.clients.slot(id) else { return };
        self.hub.counters.bytes_in += bytes.len() as u64;
        let Some(client) = self.hub.clients.get(slot) else { return };
        if client.closing {
            return;
        }
        if client.input.is_empty() || !(client.held || client.stopped) {
            client.arrived = self.hub.now;
        }
        if client.held || client.stopped {
            client.input.extend_from_slice(&bytes);
            if client.input.len() > HELD_BYTES_MAX {
                self.stop_reading(slot);
            }
        } else if client.input.is_empty() {
            let consumed = self.parse(slot, &bytes);
            if let Some(client) = self.hub.clients.get(slot) {
                client.input.extend_from_slice(&bytes[consumed..]);
            }
        } else {
            client.input.extend_from_slice(&bytes);
            self.parse_input(slot);
        }
    }

    fn parse_input(&mut self, slot: u32) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let mut input = std::mem::take(&mut client.input);
        let consumed = self.parse(slot, &input);
        if let Some(client) = self.hub.clients.get(slot) {
            if consumed == input.len() {
                input = Vec::new();
            } else {
                input.drain(..consumed);
            }
            client.input = input;
        }
    }

    /// Runs the commands at the front of `data`; answers how many bytes they took.
    fn parse(&mut self, slot: u32, data: &[u8]) -> usize {
        let Some(client) = self.hub.clients.get(slot) else { return data.len() };
        if client.closing {
            return data.len();
        }
        let mut reader = std::mem::take(&mut client.reader);
        let mut authenticated = client.authenticated;
        let mut at = 0;
        let mut seen = 0;
        loop {
            if at >= seen {
                seen = at + self.look_ahead(slot, &data[at..]);
            }
            match reader.next(&data[at..]) {
                Ok(Progress::Command { consumed }) => {
                    let words: Words<'_> = reader.args(&data[at..]).collect();
                    let taken = self.command(slot, &words);
                    drop(words);
                    if !taken {
                        // It waits for what is before it and will be read again.
                        break;
                    }
                    at += consumed;
                    let limit = self.hub.config.client_pending_max;
                    let output_limit = self.hub.config.client_output_bytes_max / 8;
                    let Some(client) = self.hub.clients.get(slot) else { return data.len() };
                    if client.closing {
                        at = data.len();
                        break;
                    }
                    if client.authenticated != authenticated {
                        authenticated = client.authenticated;
                        reader.set_limits(Limits { unauthenticated: !authenticated, ..Limits::default() });
                    }
                    if client.pending() >= limit || client.output_bytes() >= output_limit {
                        self.stop_reading(slot);
                        break;
                    }
                    if client.held {
                        break;
                    }
                }
                Ok(Progress::Empty { consumed }) => at += consumed,
                Ok(Progress::Incomplete { .. }) => break,
                Err(error) => {
                    self.hub.clients.answer_now(slot, |out| {
                        Writer::new(out, resp::Protocol::Resp2).error(format_args!("ERR {error}"));
                    });
                    self.hang_up(slot);
                    at = data.len();
                    break;
                }
            }
        }
        if let Some(client) = self.hub.clients.get(slot) {
            client.reader = reader;
        }
        at
    }

    fn stop_reading(&mut self, slot: u32) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        if !client.stopped {
            client.stopped = true;
            let id = client.id;
            self.hub.out.push(Effect::Reading { client: id, on: false });
        }
    }

    /// Ends a connection after what it is still owed.
    pub(crate) fn hang_up(&mut self, slot: u32) {
        if let Some(client) = self.hub.clients.get(slot) {
            client.closing = true;
            let id = client.id;
            self.forget_tracker(id);
        }
        self.hub.clients.touch(slot);
    }

    /// Goes on with clients that had too much under way.
    pub(crate) fn resume_clients(&mut self) {
        for slot in self.hub.clients.take_resumable() {
            let limit = self.hub.config.client_pending_max / 2;
            let output_limit = self.hub.config.client_output_bytes_max / 16;
            let Some(client) = self.hub.clients.get(slot) else { continue };
            if client.held && client.pending() > 0 {
                continue;
            }
            client.held = false;
            if client.stopped {
                // Nothing was wrong with what is before it: there was only much of it.
                client.arrived = self.hub.now;
            }
            if client.stopped && (client.pending() > limit || client.output_bytes() > output_limit) {
                continue;
            }
            let id = client.id;
            if std::mem::take(&mut client.stopped) {
                self.hub.out.push(Effect::Reading { client: id, on: true });
            }
            if !client.input.is_empty() {
                self.parse_input(slot);
            }
            // If it has sent its last, this may have been all.
            self.hub.clients.touch(slot);
        }
    }

    /// Takes a command; false if it must wait for earlier ones of its connection.
    fn command(&mut self, slot: u32, words: &[&[u8]]) -> bool {
        if let Some(client) = self.hub.clients.get(slot) {
            client.fate = Fate::Open;
        }
        let taken = self.take_command(slot, words);
        if taken {
            self.note_taken(slot, words);
            self.hub.clients.command_done(slot);
            if !self.tracking.is_empty() {
                self.end_caching(slot, words.first().copied().unwrap_or_default());
            }
        }
        taken
    }

    /// Counts a command that was answered at once; one that waits is counted when it is answered.
    #[inline]
    fn note_taken(&mut self, slot: u32, words: &[&[u8]]) {
        let now = self.hub.now;
        let Some(client) = self.hub.clients.get(slot) else { return };
        let Fate::Answered { failed } = client.fate else { return };
        let (spec, took) = (client.current, now.since(client.arrived));
        let clock = self.hub.clock;
        self.hub.clients.timings.note_call(spec, took, failed, || clock.read(now));
        if self.is_slow(took) {
            self.note_slow(slot, spec, words, took);
        }
    }

    /// A command was refused before it could be carried out.
    fn note_rejected(&mut self, slot: u32, spec: &Spec) {
        self.hub.clients.timings.note_rejected(spec);
        self.reopen(slot);
    }

    /// There is no such command, or not with so many words.
    fn turn_away(&mut self, slot: u32, words: &[&[u8]], error: impl std::fmt::Display) {
        self.hub.counters.commands += 1;
        if let Some(client) = self.hub.clients.get(slot) {
            client.transaction.refuse();
        }
        self.refuse(slot, error);
        self.reopen(slot);
        if let Some(spec) = words.first().and_then(|name| command::lookup(name)) {
            self.hub.clients.timings.note_rejected(spec);
        }
    }

    fn take_command(&mut self, slot: u32, words: &[&[u8]]) -> bool {
        if self.loading {
            self.hub.counters.commands += 1;
            self.refuse(slot, "LOADING Sihai is starting: its shards don't serve yet. Retry in a moment");
            self.reopen(slot);
            return true;
        }
        let spec = match command::resolve(words) {
            Ok(spec) => spec,
            Err(error) => {
                self.turn_away(slot, words, error);
                return true;
            }
        };
        let now = self.hub.now;
        let strict = self.hub.config.pipeline_order_strict;
        let Some(client) = self.hub.clients.get(slot) else { return true };
        let gathers = client.transaction.is_gathering() && !is_immediate(spec);
        if !gathers
            && client.pending() > 0
            && (strict
                || spec.place == Place::Cluster
                || self.waits_for_earlier(spec)
                || self.spans_shards(spec, words))
        {
            if let Some(client) = self.hub.clients.get(slot) {
                client.held = true;
            }
            return false;
        }
        self.hub.counters.commands += 1;
        let Some(client) = self.hub.clients.get(slot) else { return true };
        client.commands += 1;
        client.last_command = spec.name;
        client.current = spec;
        client.last_command_at = now;
        if !client.trusted && !self.admit(slot, spec, words) {
            self.note_rejected(slot, spec);
            return true;
        }
        if !gathers && self.pause.is_on() && self.must_pause(slot, spec) {
            // It is counted when it is read again.
            self.hub.counters.commands -= 1;
            return false;
        }
        if spec.is_write() && self.lacks_replicas() {
            if let Some(client) = self.hub.clients.get(slot) {
                client.transaction.refuse();
            }
            self.refuse(slot, NO_REPLICAS);
            self.note_rejected(slot, spec);
            return true;
        }
        if self.must_only_listen(slot, spec) {
            let name = spec.name;
            self.refuse(
                slot,
                format_args!(
                    "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                     in this context"
                ),
            );
            self.note_rejected(slot, spec);
            return true;
        }
        if gathers {
            self.gather(slot, spec, words);
            self.reopen(slot);
            return true;
        }
        if !self.monitors.is_empty() {
            self.show_all(slot, spec, words);
        }
        match spec.place {
            _ if spec.group == command::spec::Group::Transactions => {
                self.about_transactions(slot, spec, words)
            }
            Place::Keys => self.keyed(slot, spec, words),
            Place::Script => self.scripted(slot, spec, words),
            Place::Cluster => self.scatter(slot, spec, words),
            Place::Connection | Place::Node => self.answer_here(slot, spec, words),
        }
        true
    }

    /// What was answered says nothing of how long the command takes.
    fn reopen(&mut self, slot: u32) {
        if let Some(client) = self.hub.clients.get(slot) {
            client.fate = Fate::Open;
        }
    }

    /// Hangs up on clients that have neither said nor waited for anything for longer than `timeout`.
    pub(crate) fn hang_up_on_idle(&mut self) {
        let (limit, now) = (self.hub.config.idle_timeout, self.hub.now);
        if limit == base::Duration::ZERO {
            return;
        }
        let idle = self.hub.clients.iter().filter(|client| {
            now.since(client.last_command_at) > limit
                && client.pending() == 0
                && !client.listens
                && !client.held
                && !self.monitors.contains(&client.id)
        });
        for id in idle.map(|client| client.id).collect::<Vec<ClientId>>() {
            if let Some(slot) = self.hub.clients.slot(id) {
                self.hang_up(slot);
            }
        }
    }

    /// Answers with an error.
    pub(crate) fn refuse(&mut self, slot: u32, error: impl std::fmt::Display) {
        self.hub.clients.answer_now(slot, |out| Writer::new(out, resp::Protocol::Resp2).error(error));
    }

    fn keyed(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let group = match self.route(spec, words) {
            Route::One(group) => group,
            Route::Several(split) => return self.keyed_over_shards(slot, spec, words, &split),
            Route::Here => return self.run_over_shards(slot, spec, words),
        };
        let Some(invocation) = self.invocation(slot, spec, words) else { return };
        if spec.flags.has(command::Flags::BLOCKING) && self.block(slot, &[group], false, &invocation) {
            return;
        }
        if spec.is_write() {
            self.submit_write(slot, group, &Op::Command(invocation));
            if self.hub.tracks {
                let heard = self.hears_changes(group);
                self.note_write(slot, heard, spec, words);
            }
        } else if self.tracking.is_empty() || !self.note_read(slot, spec, words) {
            self.submit_read(slot, group, &invocation);
        } else {
            self.submit_read(slot, group, &invocation);
            self.hub.clients.keep_answer(slot);
            if !self.hears_changes(group) {
                self.invalidate_read(slot, spec, words);
            }
        }
    }

    fn keyed_over_shards(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]], split: &Split<'_>) {
        let Some(invocation) = self.invocation(slot, spec, words) else { return };
        let keeps = !self.tracking.is_empty() && !spec.is_write() && self.note_read(slot, spec, words);
        self.command_over_shards(slot, &invocation, split);
        self.note_use_over_shards(slot, spec, words, keeps);
    }

    /// A script or function: it runs here.
    fn scripted(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let kept: Vec<Bytes> = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
        match self.script_of(spec, &kept) {
            Ok(_) => self.run_over_shards(slot, spec, words),
            Err(error) => self.refuse(slot, error),
        }
    }

    /// Who a connection is, if it may not do everything.
    pub(crate) fn user_of(&mut self, slot: u32) -> Option<Arc<Access>> {
        let client = self.hub.clients.get(slot)?;
        (!client.trusted).then(|| Arc::clone(&client.user))
    }

    /// A command that has to see keys of several shards at once.
    fn run_over_shards(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let Some(invocation) = self.invocation(slot, spec, words) else { return };
        if spec.flags.has(command::Flags::BLOCKING) {
            let groups = self.awaited_groups(&invocation);
            if self.block(slot, &groups, true, &invocation) {
                return;
            }
        }
        let keeps = !self.tracking.is_empty() && !spec.is_write() && self.note_read(slot, spec, words);
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            // What comes behind waits for it.
            client.held = true;
        }
        let requests = vec![Request::of(&invocation)];
        let user = self.user_of(slot);
        self.start_run(Plan { whose: Whose::Client(ticket), requests, watched: Vec::new(), user });
        self.note_use_over_shards(slot, spec, words, keeps);
    }

    /// Notes that the client keeps what it has asked for last.
    fn note_use_over_shards(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]], keeps: bool) {
        let keys = spec.keys(words);
        let heard = keys.iter().all(|key| self.hears_changes(self.view.slots.group_of_key(key)));
        if keeps {
            self.hub.clients.keep_answer(slot);
            if !heard {
                self.invalidate_read(slot, spec, words);
            }
        } else if self.hub.tracks && spec.is_write() {
            self.note_write(slot, heard, spec, words);
        }
    }

    /// The command with what the connection says about it; answers the client if that is impossible.
    pub(crate) fn invocation<'a>(
        &mut self,
        slot: u32,
        spec: &'static Spec,
        words: &[&'a [u8]],
    ) -> Option<Invocation<'a>> {
        let client = self.hub.clients.get(slot)?;
        let (index, protocol) = (client.database, client.protocol);
        match self.invocation_in(index, protocol, spec, words) {
            Ok(invocation) => Some(invocation),
            Err(error) => {
                self.refuse(slot, error);
                None
            }
        }
    }

    /// The command in this database and protocol; the error for the client if that is impossible.
    pub(crate) fn invocation_in<'a>(
        &self,
        index: base::DatabaseIndex,
        protocol: resp::Protocol,
        spec: &'static Spec,
        words: &[&'a [u8]],
    ) -> Result<Invocation<'a>, Cow<'static, str>> {
        let words_of = |error: command::Error| Cow::Owned(error.text().into_owned());
        let Some(database) = self.database(index) else {
            return Err("ERR the selected database is gone or closing; SELECT another".into());
        };
        let target = match spec.target(words).map_err(words_of)? {
            None => None,
            Some(other) => match self.database(other) {
                Some(id) => Some(id).filter(|id| *id != database),
                None => return Err(words_of(command::Error::DatabaseIndex)),
            },
        };
        if spec.is_write() {
            let bytes: usize = words.iter().map(|word| word.len()).sum();
            if bytes > WRITE_BYTES_MAX {
                let name = spec.name;
                return Err(Cow::Owned(format!(
                    "ERR '{name}' was not executed: its {bytes} bytes exceed write-bytes-max ({WRITE_BYTES_MAX}), the most \
                     that one log entry takes. Split the value"
                )));
            }
        }
        Ok(Invocation { spec, database, target, protocol, words: Words::from_slice(words) })
    }

    /// The open database behind a number.
    pub(crate) fn database(&self, index: base::DatabaseIndex) -> Option<DatabaseId> {
        self.view.databases.get(index.0 as usize).copied().flatten()
    }

    fn submit_write(&mut self, slot: u32, group: GroupId, op: &Op<'_>) {
        let ticket = self.hub.clients.ticket(slot, Some(group));
        self.write(group, Waiter::Client(ticket), op);
    }

    /// Has a group do something: here if its leader is here, or by the lane.
    pub(crate) fn write(&mut self, group: GroupId, waiter: Waiter, op: &Op<'_>) {
        self.free_memory();
        if let Some(replica) = leader(&mut self.replicas, &self.lanes, group) {
            if self.hub.disk.is_full() {
                self.hub.tell(group, waiter, Verdict::Refused(DiskQueue::full_error()));
            } else if matches!(op, Op::Command(invocation) if replica.comes_behind(invocation)) {
                self.hub.tell(group, waiter, Verdict::Done(Bytes::from_static(NOTHING)));
            } else if self.hub.memory.is_limited() && !replica.has_room(&mut self.hub, op) {
                self.hub.tell(group, waiter, Verdict::Refused(Memory::full_error()));
            } else if replica.holds_up(op) {
                let mut bytes = Vec::new();
                encode_op(&mut bytes, op);
                replica.park(&mut self.hub, waiter, Work::Write(bytes.into()));
            } else {
                replica.write(&mut self.hub, waiter, op);
            }
            return;
        }
        let mut bytes = Vec::new();
        encode_op(&mut bytes, op);
        self.forward(group, waiter, Work::Write(bytes.into()));
    }

    fn submit_read(&mut self, slot: u32, group: GroupId, invocation: &Invocation<'_>) {
        let ordered = self.hub.clients.get(slot).is_some_and(|client| client.waits_at(group));
        let hub = &mut self.hub;
        if !ordered
            && let Some(replica) = leader(&mut self.replicas, &self.lanes, group)
            && !replica.hides(invocation)
            && let Some(time) = replica.read_time(hub)
        {
            let seed = if invocation.spec.is_write() { 0 } else { hub.rng.next_u64() };
            let machine = &mut replica.machine;
            machine.set_clock(hub.wall());
            hub.clients.answer_now(slot, |out| machine.read(invocation, time, seed, out));
            return;
        }
        let mut query = Vec::new();
        encode_invocation(&mut query, invocation);
        let ticket = self.hub.clients.ticket(slot, Some(group));
        self.query(group, Waiter::Client(ticket), query.into(), ordered);
        // What comes behind a read that asks a majority must not overtake it.
        let round = self.replicas[group.0 as usize].live().is_some_and(|replica| replica.has_rounds());
        if round && let Some(client) = self.hub.clients.get(slot) {
            client.held = client.pending() > 0;
        }
    }

    /// Asks a group's leader: here, or by the lane.
    pub(crate) fn query(&mut self, group: GroupId, waiter: Waiter, query: Bytes, ordered: bool) {
        if let Some(replica) = leader(&mut self.replicas, &self.lanes, group) {
            replica.read(&mut self.hub, waiter, query, ordered);
        } else {
            self.forward(group, waiter, Work::Read(query));
        }
    }

    pub(crate) fn forward(&mut self, group: GroupId, waiter: Waiter, work: Work) {
        if matches!(waiter, Waiter::Client(_)) {
            self.hub.counters.forwarded += 1;
        }
        let since = self.asked_at(waiter);
        let client = if self.hub.tracks { self.client_behind(waiter) } else { None };
        let lane = &mut self.lanes[group.0 as usize];
        if self.hub.tracks
            && matches!(work, Work::Write(_))
            && let Some(client) = client
            && self.tracking.of(client).is_some_and(|tracker| tracker.no_loop)
        {
            self.hub.writers.insert((group, lane.next_sequence()), client);
        }
        lane.push(waiter, work, since);
        self.lanes_dirty.insert(group);
    }

    /// The client for whom something is done, if it is one of this node's.
    fn client_behind(&self, waiter: Waiter) -> Option<ClientId> {
        match waiter {
            Waiter::Blocked(id) => self.blocked.client_of(id),
            Waiter::Commit(id) => self.client_of_commit(id),
            waiter => waiter.client(),
        }
    }

    /// When somebody began to wait; what is tried anew for them doesn't begin anew.
    fn asked_at(&self, waiter: Waiter) -> Time {
        match waiter {
            Waiter::Client(ticket) | Waiter::Meta(ticket) | Waiter::Watch(ticket) | Waiter::Exec(ticket) => {
                ticket.since()
            }
            Waiter::Blocked(id) => self.blocked.tried_at(id).unwrap_or(self.hub.now),
            Waiter::Run { run, .. } => self.runs.since(run).unwrap_or(self.hub.now),
            Waiter::Scatter { job, .. } => self.jobs.get(&job).map_or(self.hub.now, Job::since),
            Waiter::Migrate { job, .. } => self.migrations.get(&job).map_or(self.hub.now, Migration::since),
            Waiter::Export { job, .. } => self.exports.get(&job).map_or(self.hub.now, Export::since),
            Waiter::Commit(id) => self.commits.since(id).unwrap_or(self.hub.now),
            Waiter::Join(_) | Waiter::Remote { .. } | Waiter::Participant(_) | Waiter::Nobody => self.hub.now,
        }
    }

    /// Looks at what came of operations that need more than a reply to a client.
    pub(crate) fn settle(&mut self, group: GroupId, waiter: Waiter, verdict: Verdict) {
        match waiter {
            Waiter::Remote { id, .. } => {
                let me = self.hub.me;
                self.lanes[group.0 as usize].answered(&mut self.hub, me, id, verdict);
                self.lanes_dirty.insert(group);
            }
            waiter => match verdict {
                // It may be done by another leader, and nothing behind it has been sent: it takes the lane.
                Verdict::Elsewhere(Some(work)) => self.forward(group, waiter, work),
                verdict => self.conclude(group, waiter, verdict),
            },
        }
    }

    fn conclude(&mut self, group: GroupId, waiter: Waiter, verdict: Verdict) {
        let reply = match verdict {
            Verdict::Done(reply) => Ok(reply),
            Verdict::Refused(error) => Err(error),
            Verdict::Elsewhere(_) | Verdict::Gap => Err(lanes::try_again()),
            Verdict::Unknown => Err(lanes::unknown()),
        };
        match waiter {
            Waiter::Client(ticket) => {
                let reply = reply.unwrap_or_else(|error| error);
                self.hub.clients.answer(ticket, &reply);
            }
            Waiter::Scatter { job, group: part } => self.part_done(job, part, reply),
            Waiter::Join(ticket) => self.join_decided(ticket, reply.ok()),
            Waiter::Meta(ticket) => self.meta_decided(ticket, reply),
            Waiter::Blocked(id) => self.blocked_tried(id, reply),
            Waiter::Migrate { job, at } => self.migration_answered(job, at, reply),
            Waiter::Export { job, group } => self.export_bounded(job, group, reply),
            Waiter::Watch(ticket) => self.watch_seen(ticket, group, reply),
            Waiter::Exec(ticket) => self.executed(ticket, group, reply),
            Waiter::Commit(id) => self.only_part_done(id, reply),
            Waiter::Run { run, round, part } => self.run_answered(run, round, part, reply),
            Waiter::Remote { .. } | Waiter::Participant(_) | Waiter::Nobody => {}
        }
    }
}

/// The copy on this node that leads `group` and serves, unless older requests to the group still wait in the lane.
fn leader<'a>(copies: &'a mut [Copy], lanes: &[Lane], group: GroupId) -> Option<&'a mut Replica> {
    let at = group.0 as usize;
    if !lanes.get(at)?.is_empty() {
        return None;
    }
    copies.get_mut(at)?.live().filter(|replica| replica.serves())
}
