//! MULTI, EXEC and WATCH. Between MULTI and EXEC the gateway gathers a client's commands; EXEC sends them to the shard of their keys as one
//! operation, which takes effect at one moment or, if a watched key has changed, not at all. What needs no shard (PING, CLIENT …) is
//! answered here, once the shard has said that the transaction took effect.
//!
//! Where all keys, gathered and watched, lie on one shard, that is one operation of its log. Otherwise each shard gets its commands, and all
//! of them take effect together by two-phase commit (`commits`).

use crate::clients::Ticket;
use crate::commits::{After, Committed};
use crate::gateway::{NO_REPLICAS, WRITE_BYTES_MAX};
use crate::hub::Waiter;
use crate::locking::Manner;
use crate::memory::{Memory, OUT_OF_MEMORY};
use crate::node::Node;
use crate::op::{Invocation, Op, Transaction, Watched, Words, encode_op};
use crate::routes::Route;
use crate::runs::Whose;
use crate::scatter::{check_words, shard_of_scan};
use crate::scratch::Request;
use crate::split::{Merge, Replies, Split, merge};
use crate::users::Denied;
use crate::users::log::Context;
use base::{DatabaseId, DatabaseIndex, GroupId};
use bytes::Bytes;
use command::{Place, Spec};
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// The most commands that a transaction gathers.
pub const COMMANDS_MAX: usize = 100_000;

/// What a client has on its way to EXEC.
#[derive(Debug, Default)]
pub struct Gathering {
    /// The commands between MULTI and EXEC; nothing outside of them.
    commands: Option<Gathered>,
    /// What WATCH has seen.
    watched: Vec<WatchedKey>,
    /// What EXEC waits for.
    executing: Option<Executing>,
}

#[derive(Debug, Default)]
struct Gathered {
    commands: Vec<(&'static Spec, Vec<Bytes>)>,
    bytes: usize,
    /// A command was refused, so EXEC will be.
    refused: bool,
}

#[derive(Debug)]
struct WatchedKey {
    /// Where it was watched: by its number, and what was behind that then.
    index: DatabaseIndex,
    database: DatabaseId,
    key: Bytes,
    version: u64,
    /// The WATCH that it came with.
    asked: Ticket,
}

/// A transaction that was sent to its shard: what its reply is made of, in order.
#[derive(Debug)]
struct Executing {
    parts: Vec<Part>,
    protocol: Protocol,
}

#[derive(Debug)]
enum Part {
    /// One reply of each of these shards in turn, to this command, and how they become one.
    Shard(&'static Spec, Vec<GroupId>, Merge),
    /// Answered by this node.
    Here(&'static Spec, Vec<Bytes>),
    /// Not allowed any more.
    Refused(&'static Spec, Vec<Bytes>, Denied),
}

impl Gathering {
    /// Whether MULTI was said and neither EXEC nor DISCARD.
    #[inline]
    pub fn is_gathering(&self) -> bool {
        self.commands.is_some()
    }

    /// How many commands were gathered, for CLIENT LIST.
    pub fn len(&self) -> Option<usize> {
        self.commands.as_ref().map(|gathered| gathered.commands.len())
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.len().is_none_or(|len| len == 0)
    }

    /// How many keys are watched.
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Whether one of the gathered commands is such.
    pub fn holds(&self, such: impl Fn(&Spec) -> bool) -> bool {
        self.commands.iter().flat_map(|gathered| &gathered.commands).any(|(spec, _)| such(spec))
    }

    /// How many bytes the words of the gathered commands are.
    pub fn bytes(&self) -> usize {
        self.commands.as_ref().map_or(0, |gathered| gathered.bytes)
    }

    /// What was gathered.
    pub(crate) fn commands(&self) -> &[(&'static Spec, Vec<Bytes>)] {
        self.commands.as_ref().map_or(&[], |gathered| &gathered.commands)
    }

    /// A command was refused before it could be gathered.
    pub fn refuse(&mut self) {
        if let Some(gathered) = &mut self.commands {
            gathered.refused = true;
        }
    }

    /// Forgets everything, as DISCARD does.
    pub fn discard(&mut self) {
        self.commands = None;
        self.watched = Vec::new();
    }
}

/// Whether a command is carried out at once, though it comes between MULTI and EXEC.
pub(crate) fn is_immediate(spec: &Spec) -> bool {
    matches!(spec.name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset")
}

/// What EXEC sends and what it will answer.
struct Plan<'a> {
    /// What each shard has to do.
    shards: BTreeMap<GroupId, Transaction<'a>>,
    parts: Vec<Part>,
    /// Replies must be merged, even if only one shard gives any.
    merges: bool,
}

/// Where a gathered command goes.
#[derive(Debug)]
enum Way<'a> {
    /// To one shard.
    One(GroupId),
    /// To several, each with its words.
    Several(Box<Split<'a>>),
    /// To these, all with the same words.
    All(Vec<GroupId>, Merge),
    /// To none: it runs here, with all others of its transaction.
    Here,
    /// To none: it is answered here, or not allowed.
    Nowhere,
}

impl Node {
    /// Answers MULTI, EXEC, DISCARD, WATCH and UNWATCH.
    pub(crate) fn about_transactions(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let gathering = client.transaction.is_gathering();
        match (spec.name, gathering) {
            ("multi", true) => self.refuse(slot, "ERR MULTI calls can not be nested"),
            ("multi", false) => {
                client.transaction.commands = Some(Gathered::default());
                self.hub.clients.answer_now(slot, |out| Writer::new(out, Protocol::Resp2).ok());
            }
            ("exec", false) => self.refuse(slot, "ERR EXEC without MULTI"),
            ("exec", true) => self.exec(slot),
            ("discard", false) => self.refuse(slot, "ERR DISCARD without MULTI"),
            ("watch", true) => self.refuse(slot, "ERR WATCH inside MULTI is not allowed"),
            ("watch", false) => self.watch(slot, spec, words),
            // UNWATCH inside a transaction comes when that has begun to be carried out: nothing is watched any more.
            _ => {
                if spec.name == "discard" {
                    client.transaction.discard();
                } else {
                    client.transaction.watched = Vec::new();
                }
                self.hub.clients.answer_now(slot, |out| Writer::new(out, Protocol::Resp2).ok());
            }
        }
    }

    /// Takes a command between MULTI and EXEC.
    pub(crate) fn gather(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        // As in Redis, whatever it is: gathering takes memory. What this node can't know, EXEC finds out.
        self.free_memory();
        let full = self.hub.memory.is_full();
        let Some(client) = self.hub.clients.get(slot) else { return };
        let Some(gathered) = &mut client.transaction.commands else { return };
        let bytes: usize = words.iter().map(|word| word.len()).sum();
        let error = if full {
            Some(OUT_OF_MEMORY.to_string())
        } else if spec.flags.has(command::Flags::NO_MULTI) {
            Some("ERR Command not allowed inside a transaction".to_string())
        } else if gathered.commands.len() >= COMMANDS_MAX || gathered.bytes + bytes > WRITE_BYTES_MAX {
            Some(format!(
                "ERR the transaction has become too large: it takes {COMMANDS_MAX} commands and {WRITE_BYTES_MAX} bytes \
                 (write-bytes-max). Split it"
            ))
        } else {
            None
        };
        if let Some(error) = error {
            gathered.refused = true;
            self.refuse(slot, error);
            return;
        }
        gathered.bytes += bytes;
        gathered.commands.push((spec, words.iter().map(|word| Bytes::copy_from_slice(word)).collect()));
        self.hub.clients.answer_now(slot, |out| Writer::new(out, Protocol::Resp2).simple("QUEUED"));
    }

    /// Asks the shards for the versions of keys; OK is said when they are known.
    fn watch(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let Some(invocation) = self.invocation(slot, spec, words) else { return };
        let mut keys: BTreeMap<GroupId, Words<'_>> = BTreeMap::new();
        for key in &words[1..] {
            let of_group = keys.entry(self.view.slots.group_of_key(key));
            of_group.or_insert_with(|| Words::from_slice(&words[..1])).push(key);
        }
        let ticket = self.hub.clients.ticket(slot, None);
        let Some(client) = self.hub.clients.get(slot) else { return };
        let (index, database) = (client.database, invocation.database);
        for words in keys.values() {
            client.transaction.watched.extend(words[1..].iter().map(|key| WatchedKey {
                index,
                database,
                key: Bytes::copy_from_slice(key),
                version: UNSEEN,
                asked: ticket,
            }));
        }
        // What comes behind rests on what is seen here.
        client.held = true;
        for (group, words) in keys {
            let mut query = Vec::new();
            encode_op(&mut query, &Op::Command(Invocation { words, ..invocation.clone() }));
            self.query(group, Waiter::Watch(ticket), query.into(), false);
        }
    }

    /// The versions of a shard's keys have come.
    pub(crate) fn watch_seen(&mut self, ticket: Ticket, group: GroupId, versions: Result<Bytes, Bytes>) {
        let slots = &self.view.slots;
        let Some(client) = self.hub.clients.of(ticket) else { return };
        let watched = &mut client.transaction.watched;
        let is_unseen = |key: &WatchedKey| key.asked == ticket && key.version == UNSEEN;
        match &versions {
            Ok(versions) => {
                let (versions, _) = versions.as_chunks::<8>();
                let unseen =
                    watched.iter_mut().filter(|key| is_unseen(key) && slots.group_of_key(&key.key) == group);
                for (watched, version) in unseen.zip(versions) {
                    watched.version = u64::from_le_bytes(*version);
                }
            }
            Err(_) => watched.retain(|key| key.asked != ticket),
        }
        let waits = watched.iter().any(is_unseen);
        match versions {
            Ok(_) if waits => {}
            Ok(_) => self.hub.clients.answer(ticket, b"+OK\r\n"),
            Err(error) => self.hub.clients.answer(ticket, &error),
        }
    }

    fn exec(&mut self, slot: u32) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let (protocol, database) = (client.protocol, client.database);
        let Some(gathered) = client.transaction.commands.take() else { return };
        let watched = std::mem::take(&mut client.transaction.watched);
        if gathered.refused {
            self.refuse(slot, "EXECABORT Transaction discarded because of previous errors.");
            return;
        }
        if self.lacks_replicas() && gathered.commands.iter().any(|(spec, _)| spec.is_write()) {
            self.refuse(slot, format_args!("EXECABORT Transaction discarded because of: {NO_REPLICAS}"));
            return;
        }
        // SWAPDB has put another database behind the number: what was watched isn't what the commands would find.
        let is_behind =
            |key: &WatchedKey| self.view.databases.get(key.index.0 as usize) == Some(&Some(key.database));
        if !watched.iter().all(is_behind) {
            self.hub.clients.answer_now(slot, |out| Writer::new(out, protocol).null_array());
            return;
        }
        let words: Vec<Words<'_>> =
            gathered.commands.iter().map(|(_, words)| words.iter().map(|word| &word[..]).collect()).collect();
        let denied: Vec<Option<Denied>> = gathered
            .commands
            .iter()
            .zip(&words)
            .map(|((spec, _), words)| self.denied(slot, spec, words))
            .collect();
        let ways = match self.ways_of(&gathered, &words, &denied) {
            Ok(ways) => ways,
            Err(error) => return self.refuse(slot, error),
        };
        let plan =
            match self.plan_transaction(&gathered, &words, &denied, &ways, &watched, database, protocol) {
                Ok(plan) => plan,
                Err(error) => return self.refuse(slot, error),
            };
        let executing = Executing { parts: plan.parts, protocol };
        let mut shards = plan.shards;
        if shards.is_empty() {
            self.answer_alone(slot, executing);
            return;
        }
        let only =
            shards.first_key_value().map(|(group, _)| *group).filter(|_| shards.len() == 1 && !plan.merges);
        let ticket = self.hub.clients.ticket(slot, only);
        if let Some(client) = self.hub.clients.get(slot) {
            client.transaction.executing = Some(executing);
            client.held = true;
        }
        if !self.tracking.is_empty() {
            self.note_kept(slot, &gathered);
        }
        if let Some(commands) = shards.remove(&HERE) {
            let requests = commands.commands.iter().map(Request::of).collect();
            let watched = shards.values().flat_map(|part| &part.watched);
            let watched =
                watched.map(|of| (of.database, Bytes::copy_from_slice(of.key), of.version)).collect();
            let user = self.user_of(slot);
            return self.start_run(crate::runs::Plan { whose: Whose::Exec(ticket), requests, watched, user });
        }
        let only = only.and_then(|group| Some((group, shards.remove(&group)?)));
        let Some((group, transaction)) = only else {
            self.commit_by_protocol(After::Exec(ticket), ticket.since(), Manner::Each, shards);
            return;
        };
        let writes = transaction.commands.iter().any(|invocation| invocation.spec.is_write());
        let op = Op::Transaction(transaction);
        if writes {
            self.write(group, Waiter::Exec(ticket), &op);
        } else {
            let mut query = Vec::new();
            encode_op(&mut query, &op);
            self.query(group, Waiter::Exec(ticket), query.into(), false);
        }
    }

    /// Notes which keys the client keeps of the transaction that was sent last.
    fn note_kept(&mut self, slot: u32, gathered: &Gathered) {
        for (spec, words) in gathered.commands.iter().filter(|(spec, _)| spec.place == Place::Keys) {
            let words: Words<'_> = words.iter().map(|word| &word[..]).collect();
            let keys = spec.keys(&words);
            let heard = keys.iter().all(|key| self.hears_changes(self.view.slots.group_of_key(key)));
            if spec.is_write() {
                self.note_write(slot, heard, spec, &words);
            } else if self.note_read(slot, spec, &words) {
                self.hub.clients.keep_answer(slot);
                if !heard {
                    self.invalidate_read(slot, spec, &words);
                }
            }
        }
    }

    /// Where each of the gathered commands goes; or why one can't, as an error for the client.
    fn ways_of<'a>(
        &self,
        gathered: &Gathered,
        words: &[Words<'a>],
        denied: &[Option<Denied>],
    ) -> Result<Vec<Way<'a>>, String> {
        let alone = self.view.shards.len() == 1;
        let way_of = |spec: &'static Spec, words: &Words<'a>, denied: &Option<Denied>| match spec.place {
            _ if denied.is_some() => Ok(Way::Nowhere),
            Place::Connection | Place::Node => Ok(Way::Nowhere),
            Place::Script => Ok(Way::Here),
            Place::Cluster if alone => Ok(Way::One(self.view.shards[0])),
            Place::Cluster => check_words(spec, words)
                .map(|()| self.way_over_all(spec, words))
                .map_err(|error| error.text().into_owned()),
            Place::Keys => match self.route(spec, words) {
                Route::One(group) => Ok(Way::One(group)),
                // What one shard answers decides what another one does.
                Route::Several(_) if Split::manner(spec) != Manner::Each => Ok(Way::Here),
                Route::Several(split) => Ok(Way::Several(split)),
                Route::Here => Ok(Way::Here),
            },
        };
        let commands = gathered.commands.iter().zip(words).zip(denied);
        let ways: Result<Vec<Way<'a>>, String> =
            commands.map(|(((spec, _), words), denied)| way_of(spec, words, denied)).collect();
        let mut ways = ways.map_err(|error| aborted(&error))?;
        if ways.iter().any(|way| matches!(way, Way::Here)) {
            for way in ways.iter_mut().filter(|way| !matches!(way, Way::Nowhere)) {
                *way = Way::Here;
            }
        }
        Ok(ways)
    }

    fn way_over_all<'a>(&self, spec: &Spec, words: &[&[u8]]) -> Way<'a> {
        match spec.name {
            "scan" => {
                let group = shard_of_scan(words, &self.view.slots).unwrap_or(self.view.shards[0]);
                Way::All(vec![group], Merge::Scattered(self.view.first_slot_after(group)))
            }
            _ if spec.is_write() => Way::All(self.view.shards.clone(), Merge::Same),
            _ => Way::All(self.view.shards.clone(), Merge::Scattered(None)),
        }
    }

    /// What is to be done where, and by whom it is answered; or why it can't be done, as an error for the client.
    #[expect(clippy::too_many_arguments, reason = "they are what is known of the transaction")]
    fn plan_transaction<'a, 'b: 'a>(
        &self,
        gathered: &Gathered,
        words: &[Words<'b>],
        denied: &[Option<Denied>],
        ways: &'a [Way<'_>],
        watched: &'a [WatchedKey],
        mut database: DatabaseIndex,
        protocol: Protocol,
    ) -> Result<Plan<'a>, String> {
        let mut plan = Plan { shards: BTreeMap::new(), parts: Vec::new(), merges: false };
        for WatchedKey { database, key, version, .. } in watched {
            let watched = Watched { database: *database, key, version: *version };
            let group = self.view.slots.group_of_key(key);
            plan.shards.entry(group).or_default().watched.push(watched);
        }
        let commands = gathered.commands.iter().zip(words).zip(denied).zip(ways);
        for ((((spec, kept), words), denied), way) in commands {
            let spec: &'static Spec = spec;
            if let Some(denied) = denied {
                plan.parts.push(Part::Refused(spec, kept.clone(), *denied));
                continue;
            }
            if matches!(way, Way::Nowhere) {
                if spec.name == "select"
                    && let Ok(index) = command::words::database_index(words[1])
                    && self.database(index).is_some()
                {
                    database = index;
                }
                plan.parts.push(Part::Here(spec, kept.clone()));
                continue;
            }
            let invocation =
                self.invocation_in(database, protocol, spec, words).map_err(|error| aborted(&error))?;
            // FLUSHALL is an operation on each database.
            let mut databases = BTreeSet::from([invocation.database]);
            if spec.name == "flushall" {
                databases.extend(self.view.databases.iter().flatten());
            }
            let mut groups = Vec::new();
            let mut add = |group: GroupId, plan: &mut Plan<'a>| {
                for database in &databases {
                    let part = Invocation { database: *database, ..invocation.clone() };
                    plan.shards.entry(group).or_default().commands.push(part);
                    groups.push(group);
                }
            };
            let merge = match way {
                Way::Nowhere => continue,
                Way::One(group) => {
                    add(*group, &mut plan);
                    Merge::Same
                }
                Way::Here => {
                    add(HERE, &mut plan);
                    Merge::Same
                }
                Way::All(all, merge) => {
                    all.iter().for_each(|group| add(*group, &mut plan));
                    plan.merges = true;
                    merge.clone()
                }
                Way::Several(split) => {
                    groups.extend(split.parts.keys());
                    split.add_to(&invocation, &mut plan.shards);
                    split.merge.clone()
                }
            };
            plan.parts.push(Part::Shard(spec, groups, merge));
        }
        Ok(plan)
    }

    /// A transaction has run here: the replies of its commands, none if a watched key had changed.
    pub(crate) fn executed_here(&mut self, ticket: Ticket, outcome: Result<Vec<Vec<u8>>, Bytes>) {
        let committed = outcome.map(|replies| {
            let mut all = Vec::new();
            for reply in &replies {
                // Replies are bounded far below 4 GiB.
                all.extend_from_slice(&(reply.len() as u32).to_le_bytes());
                all.extend_from_slice(reply);
            }
            (!replies.is_empty()).then(|| BTreeMap::from([(HERE, all.into())]))
        });
        self.executed_over_shards(ticket, committed);
    }

    /// A transaction's only shard has answered.
    pub(crate) fn executed(&mut self, ticket: Ticket, group: GroupId, outcome: Result<Bytes, Bytes>) {
        let committed = outcome.map(|outcome| {
            (outcome.first() == Some(&1)).then(|| BTreeMap::from([(group, outcome.slice(1..))]))
        });
        self.executed_over_shards(ticket, committed);
    }

    /// A transaction's shards have answered.
    pub(crate) fn executed_over_shards(&mut self, ticket: Ticket, committed: Committed) {
        let Some(client) = self.hub.clients.of(ticket) else { return };
        let Some(executing) = client.transaction.executing.take() else { return };
        match committed {
            Ok(replies) => {
                let replies = replies.as_ref().map(|replies| {
                    Replies(replies.iter().map(|(group, bytes)| (*group, &bytes[..])).collect())
                });
                self.answer_parts(ticket, &executing, replies);
            }
            Err(error) if error == Memory::full_error() => {
                let error = format!("-EXECABORT Transaction discarded because of: {OUT_OF_MEMORY}\r\n");
                self.hub.clients.answer(ticket, error.as_bytes());
            }
            Err(error) => self.hub.clients.answer(ticket, &error),
        }
    }

    /// A transaction that concerns no shard.
    fn answer_alone(&mut self, slot: u32, executing: Executing) {
        let ticket = self.hub.clients.ticket(slot, None);
        self.answer_parts(ticket, &executing, Some(Replies(BTreeMap::new())));
    }

    /// Puts the client's reply together, of the shards' replies and what is answered here, now or when it is known.
    fn answer_parts(&mut self, ticket: Ticket, executing: &Executing, replies: Option<Replies<'_>>) {
        let slot = ticket.slot();
        let mut first = Vec::new();
        let mut writer = Writer::new(&mut first, executing.protocol);
        let Some(mut replies) = replies else {
            writer.null_array();
            return self.hub.clients.answer(ticket, &first);
        };
        writer.array(executing.parts.len());
        let Some(parts) = self.hub.clients.begin_parts(ticket, &first) else { return };
        for part in &executing.parts {
            match part {
                Part::Shard(spec, groups, how) => {
                    let given: Vec<(GroupId, &[u8])> =
                        groups.iter().map(|group| (*group, replies.next(*group))).collect();
                    match (&given[..], how) {
                        ([(_, only)], Merge::Same) => self.hub.clients.add_part(&parts, spec, only),
                        _ => {
                            let (mut reply, seed) = (Vec::new(), self.hub.rng.next_u64());
                            merge(how, spec, executing.protocol, &given, seed, &mut reply);
                            self.hub.clients.add_part(&parts, spec, &reply);
                        }
                    }
                }
                Part::Refused(spec, words, denied) => {
                    let words: Words<'_> = words.iter().map(|word| &word[..]).collect();
                    self.note_denied(slot, spec, &words, *denied, Context::Multi);
                    let from = self.hub.clients.begin_part(&parts, spec);
                    self.refuse(slot, denied.text_at_exec(spec));
                    self.hub.clients.reject_part(&parts, from);
                }
                Part::Here(spec, words) => {
                    let words: Words<'_> = words.iter().map(|word| &word[..]).collect();
                    let from = self.hub.clients.begin_part(&parts, spec);
                    match spec.name {
                        "unwatch" => self.about_transactions(slot, spec, &words),
                        _ => self.answer_here(slot, spec, &words),
                    }
                    self.hub.clients.end_part(&parts, from);
                }
            }
        }
        self.hub.clients.end_parts(parts);
    }
}

/// In the place of the shards, where all commands run here. No shard is called so.
const HERE: GroupId = GroupId::META;

/// The version of a watched key that the shard has not told yet. No key ever has it.
const UNSEEN: u64 = u64::MAX - 1;

/// The version that is told for a key that is just being changed: no key has it, so the transaction will find the key changed. Two changes
/// by one log entry can't be told apart.
pub(crate) const CHANGING: u64 = u64::MAX;

fn aborted(why: &dyn std::fmt::Display) -> String {
    format!("EXECABORT Transaction discarded: {why}")
}
