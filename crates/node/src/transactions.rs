//! MULTI, EXEC and WATCH. Between MULTI and EXEC the gateway gathers a client's commands; EXEC sends them to the shard of their keys as one
//! operation, which takes effect at one moment or, if a watched key has changed, not at all. What needs no shard (PING, CLIENT …) is
//! answered here, once the shard has said that the transaction took effect.
//!
//! All keys, gathered and watched, must lie on one shard as long as there is no two-phase commit; the gateway's routing says so.

use crate::clients::Ticket;
use crate::gateway::{NO_REPLICAS, RouteError, WRITE_BYTES_MAX};
use crate::hub::Waiter;
use crate::memory::{Memory, OUT_OF_MEMORY};
use crate::node::Node;
use crate::op::{Invocation, Op, Transaction, Watched, Words, encode_op};
use crate::users::Denied;
use crate::users::log::Context;
use base::{DatabaseId, DatabaseIndex, GroupId};
use bytes::Bytes;
use command::{Place, Spec};
use resp::{Protocol, Writer};

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
}

/// A transaction that was sent to its shard: what its reply is made of, in order.
#[derive(Debug)]
struct Executing {
    parts: Vec<Part>,
    protocol: Protocol,
}

#[derive(Debug)]
enum Part {
    /// The first of so many replies of the shard, to this command.
    Shard(&'static Spec, usize),
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
    transaction: Transaction<'a>,
    parts: Vec<Part>,
    group: Option<GroupId>,
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
        let alone = self.view.shards.len() == 1;
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
            match spec.place {
                Place::Keys => None,
                Place::Cluster if alone => None,
                Place::Cluster => Some(format!(
                    "ERR '{}' concerns all shards, and transactions over several shards come with two-phase commit",
                    spec.name
                )),
                Place::Connection | Place::Node => None,
            }
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

    /// Asks the shard for the versions of keys; OK is said when they are known.
    fn watch(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) {
        let group = match self.route(spec, words) {
            Ok(group) => group,
            Err(error) => return self.refuse(slot, error.says("WATCH was not executed")),
        };
        let Some(invocation) = self.invocation(slot, spec, words) else { return };
        let mut query = Vec::new();
        encode_op(&mut query, &Op::Command(invocation));
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            let database = self.view.databases.get(client.database.0 as usize).copied().flatten();
            let Some(database) = database else { return };
            let index = client.database;
            client.transaction.watched.extend(words[1..].iter().map(|key| WatchedKey {
                index,
                database,
                key: Bytes::copy_from_slice(key),
                version: UNSEEN,
            }));
            // What comes behind rests on what is seen here.
            client.held = true;
        }
        self.query(group, Waiter::Watch(ticket), query.into(), false);
    }

    /// The versions have come.
    pub(crate) fn watch_seen(&mut self, ticket: Ticket, versions: Result<Bytes, Bytes>) {
        if let Some(client) = self.hub.clients.of(ticket) {
            let unseen = client.transaction.watched.iter_mut().filter(|watched| watched.version == UNSEEN);
            match &versions {
                Ok(versions) => {
                    let (versions, _) = versions.as_chunks::<8>();
                    for (watched, version) in unseen.zip(versions) {
                        watched.version = u64::from_le_bytes(*version);
                    }
                }
                Err(_) => client.transaction.watched.retain(|watched| watched.version != UNSEEN),
            }
        }
        match versions {
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
        let plan = match self.plan_transaction(&gathered, &words, &denied, &watched, database, protocol) {
            Ok(plan) => plan,
            Err(error) => return self.refuse(slot, error),
        };
        let executing = Executing { parts: plan.parts, protocol };
        let Some(group) = plan.group else {
            self.answer_alone(slot, executing);
            return;
        };
        let writes = plan.transaction.commands.iter().any(|invocation| invocation.spec.is_write());
        let ticket = self.hub.clients.ticket(slot, Some(group));
        if let Some(client) = self.hub.clients.get(slot) {
            client.transaction.executing = Some(executing);
            client.held = true;
        }
        let op = Op::Transaction(plan.transaction);
        if !self.tracking.is_empty() {
            self.note_kept(slot, group, &gathered);
        }
        if writes {
            self.write(group, Waiter::Exec(ticket), &op);
        } else {
            let mut query = Vec::new();
            encode_op(&mut query, &op);
            self.query(group, Waiter::Exec(ticket), query.into(), false);
        }
    }

    /// Notes which keys the client keeps of the transaction that was sent last.
    fn note_kept(&mut self, slot: u32, group: GroupId, gathered: &Gathered) {
        let heard = self.hears_changes(group);
        for (spec, words) in gathered.commands.iter().filter(|(spec, _)| spec.place == Place::Keys) {
            let words: Words<'_> = words.iter().map(|word| &word[..]).collect();
            if spec.is_write() {
                self.note_write(slot, group, spec, &words);
            } else if self.note_read(slot, spec, &words) {
                self.hub.clients.keep_answer(slot);
                if !heard {
                    self.invalidate_read(slot, spec, &words);
                }
            }
        }
    }

    /// What is to be done where, and by whom it is answered; or why it can't be done, as an error for the client.
    fn plan_transaction<'a>(
        &self,
        gathered: &Gathered,
        words: &[Words<'a>],
        denied: &[Option<Denied>],
        watched: &'a [WatchedKey],
        mut database: DatabaseIndex,
        protocol: Protocol,
    ) -> Result<Plan<'a>, String> {
        let aborted = |why: &dyn std::fmt::Display| format!("EXECABORT Transaction discarded: {why}");
        let mut plan = Plan { transaction: Transaction::default(), parts: Vec::new(), group: None };
        for key in watched {
            self.join_group(&mut plan.group, self.view.slots.group_of_key(&key.key))
                .map_err(|e| aborted(&e))?;
            plan.transaction.watched.push(Watched {
                database: key.database,
                key: &key.key,
                version: key.version,
            });
        }
        for (((spec, kept), words), denied) in gathered.commands.iter().zip(words).zip(denied) {
            let spec: &'static Spec = spec;
            if let Some(denied) = denied {
                plan.parts.push(Part::Refused(spec, kept.clone(), *denied));
                continue;
            }
            if matches!(spec.place, Place::Connection | Place::Node) {
                if spec.name == "select"
                    && let Ok(index) = command::words::database_index(words[1])
                    && self.database(index).is_some()
                {
                    database = index;
                }
                plan.parts.push(Part::Here(spec, kept.clone()));
                continue;
            }
            let group =
                self.route(spec, words).map_err(|error| aborted(&error.says("nothing was executed")))?;
            self.join_group(&mut plan.group, group).map_err(|error| aborted(&error))?;
            let invocation =
                self.invocation_in(database, protocol, spec, words).map_err(|error| aborted(&error))?;
            // FLUSHALL is an operation on each database.
            let others = if spec.name == "flushall" {
                let all = self.view.databases.iter().flatten().copied();
                all.filter(|id| *id != invocation.database).collect()
            } else {
                Vec::new()
            };
            plan.parts.push(Part::Shard(spec, 1 + others.len()));
            plan.transaction.commands.push(invocation.clone());
            let elsewhere = |database| Invocation { database, ..invocation.clone() };
            plan.transaction.commands.extend(others.into_iter().map(elsewhere));
        }
        Ok(plan)
    }

    /// Adds a group to those of a transaction, of which there can be one.
    fn join_group(&self, known: &mut Option<GroupId>, group: GroupId) -> Result<(), String> {
        match *known {
            Some(first) if first != group => {
                Err(RouteError::CrossShard { first, second: group }.says("nothing was executed"))
            }
            _ => {
                *known = Some(group);
                Ok(())
            }
        }
    }

    /// A transaction's shard has answered.
    pub(crate) fn executed(&mut self, ticket: Ticket, outcome: Result<Bytes, Bytes>) {
        let Some(client) = self.hub.clients.of(ticket) else { return };
        let Some(executing) = client.transaction.executing.take() else { return };
        match outcome {
            Ok(outcome) => self.answer_parts(ticket, &executing, &outcome),
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
        self.answer_parts(ticket, &executing, &[1]);
    }

    /// Puts the client's reply together, of the shard's outcome and what is answered here, now or when it is known.
    fn answer_parts(&mut self, ticket: Ticket, executing: &Executing, outcome: &[u8]) {
        let slot = ticket.slot();
        let mut first = Vec::new();
        let mut writer = Writer::new(&mut first, executing.protocol);
        let Some((1, mut rest)) = outcome.split_first() else {
            writer.null_array();
            return self.hub.clients.answer(ticket, &first);
        };
        writer.array(executing.parts.len());
        let Some(parts) = self.hub.clients.begin_parts(ticket, &first) else { return };
        for part in &executing.parts {
            match part {
                Part::Shard(spec, count) => {
                    let (reply, mut after) = next_reply(rest);
                    for _ in 1..*count {
                        after = next_reply(after).1;
                    }
                    rest = after;
                    self.hub.clients.add_part(&parts, spec, reply);
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

/// The version of a watched key that the shard has not told yet. No key ever has it.
const UNSEEN: u64 = u64::MAX - 1;

/// The version that is told for a key that is just being changed: no key has it, so the transaction will find the key changed. Two changes
/// by one log entry can't be told apart.
pub(crate) const CHANGING: u64 = u64::MAX;

/// One reply of a transaction's outcome, and what is behind it.
pub(crate) fn next_reply(outcome: &[u8]) -> (&[u8], &[u8]) {
    let split = outcome
        .split_first_chunk::<4>()
        .and_then(|(length, rest)| rest.split_at_checked(u32::from_le_bytes(*length) as usize));
    // A shard of another release might answer less than it was asked.
    split.unwrap_or((b"-ERR a node of another release answered something unknown\r\n", b""))
}
