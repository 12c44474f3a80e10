//! MIGRATE: keys are moved to another server, or copied there. This node reads them at their shards, gives them to the other server as its
//! client (the driver does, since a core opens no socket), and then deletes those that it took and that are still as they were read. A key
//! that has changed meanwhile stays: so nothing acknowledged is lost, and the client hears of it.

use crate::api::{Effect, Migrated};
use crate::clients::Ticket;
use crate::hub::Waiter;
use crate::node::Node;
use crate::op::{Invocation, Op, Transaction, Watched, Words, encode_op};
use base::{DatabaseId, Duration, GroupId, Time};
use bytes::Bytes;
use command::Spec;
use command::families::migrate::Migrate;
use resp::{Frame, Protocol, Writer};
use std::collections::BTreeMap;

/// The most that is moved at a time by one command.
pub const MOVED_BYTES_MAX: usize = 256 << 20;
/// How many moves a node carries out at a time: each holds what it moves in memory, and a thread.
pub const MIGRATIONS_MAX: usize = 16;

/// A MIGRATE under way.
#[derive(Debug)]
pub(crate) struct Migration {
    ticket: Ticket,
    spec: &'static Spec,
    words: Vec<Bytes>,
    database: DatabaseId,
    copies: bool,
    keys: Vec<Moving>,
    stage: Stage,
    /// Of how many shards or keys an answer is waited for.
    waits: usize,
    failed: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Which revision each key has.
    Versions,
    /// What it holds.
    Values,
    /// The other server takes it.
    Elsewhere,
    /// It goes here.
    Deletion,
}

#[derive(Debug)]
struct Moving {
    key: Bytes,
    group: GroupId,
    /// Which revision it had before it was read.
    version: u64,
    /// For how many milliseconds more it lives (0: for ever), and what it holds as DUMP says it.
    value: Option<(u64, Bytes)>,
    /// Whether the other server has it.
    taken: bool,
}

impl Migration {
    /// When the command came.
    pub(crate) fn since(&self) -> Time {
        self.ticket.since()
    }

    fn of_group(&self, group: GroupId) -> impl Iterator<Item = usize> + '_ {
        self.keys.iter().enumerate().filter(move |(_, moving)| moving.group == group).map(|(at, _)| at)
    }

    fn fail(&mut self, error: Bytes) {
        self.failed.get_or_insert(error);
    }

    /// What the other server is told, and how many answers it owes.
    fn requests(&self) -> (Bytes, usize) {
        let words: Vec<&[u8]> = self.words.iter().map(|word| &word[..]).collect();
        let (mut bytes, mut count) = (Vec::new(), 0);
        let Ok(migrate) = Migrate::parse(&words) else { return (Bytes::new(), 0) };
        let mut say = |words: &[&[u8]]| {
            let mut writer = Writer::new(&mut bytes, Protocol::Resp2);
            writer.array(words.len());
            words.iter().for_each(|word| writer.bulk(word));
            count += 1;
        };
        match migrate.credentials {
            Some((Some(user), password)) => say(&[b"AUTH", user, password]),
            Some((None, password)) => say(&[b"AUTH", password]),
            None => {}
        }
        say(&[b"SELECT", migrate.database]);
        for (key, ttl_ms, value) in self.keys.iter().filter_map(|moving| {
            let (ttl_ms, value) = moving.value.as_ref()?;
            Some((&moving.key, ttl_ms.to_string(), value))
        }) {
            let restore: [&[u8]; 5] = [b"RESTORE", key, ttl_ms.as_bytes(), value, b"REPLACE"];
            say(&restore[..if migrate.replaces { 5 } else { 4 }]);
        }
        (bytes.into(), count)
    }
}

impl Node {
    /// Begins a MIGRATE; the client is answered when it is over.
    pub(crate) fn migrate(&mut self, slot: u32, spec: &'static Spec, words: &[&[u8]]) -> Result<(), String> {
        let migrate = Migrate::parse(words).map_err(|error| error.text().into_owned())?;
        let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
        let index = client.database;
        let database =
            self.database(index).ok_or("ERR the selected database is gone or closing; SELECT another")?;
        if self.migrations.len() >= MIGRATIONS_MAX {
            return Err(format!(
                "TRYAGAIN not executed: {MIGRATIONS_MAX} moves are under way on this node (migrations-max); retry"
            ));
        }
        let keys: Vec<Moving> = words[migrate.keys.clone()]
            .iter()
            .map(|key| Moving {
                key: Bytes::copy_from_slice(key),
                group: self.view.slots.group_of_key(key),
                version: 0,
                value: None,
                taken: false,
            })
            .collect();
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            // What comes behind must find the keys gone.
            client.held = true;
        }
        self.next_job += 1;
        let job = self.next_job;
        let migration = Migration {
            ticket,
            spec,
            words: words.iter().map(|word| Bytes::copy_from_slice(word)).collect(),
            database,
            copies: migrate.copies,
            keys,
            stage: Stage::Versions,
            waits: 0,
            failed: None,
        };
        self.migrations.insert(job, migration);
        self.ask_keys(job);
        Ok(())
    }

    /// Asks the shards of all keys: in the first stage for their versions, then for what they hold.
    fn ask_keys(&mut self, job: u64) {
        let Some(migration) = self.migrations.get_mut(&job) else { return };
        let (stage, database) = (migration.stage, migration.database);
        let mut groups: BTreeMap<GroupId, Vec<Bytes>> = BTreeMap::new();
        for moving in &migration.keys {
            groups.entry(moving.group).or_default().push(moving.key.clone());
        }
        migration.waits = groups.len();
        for (group, keys) in groups {
            let invocation = |name: &'static str, keys: &[Bytes]| {
                let spec = command::lookup(name.as_bytes()).expect("it is in the table");
                let words = std::iter::once(name.as_bytes()).chain(keys.iter().map(|key| &key[..]));
                (spec, words.map(<[u8]>::to_vec).collect::<Vec<_>>())
            };
            let mut query = Vec::new();
            match stage {
                Stage::Versions => {
                    let (spec, words) = invocation("watch", &keys);
                    encode_op(&mut query, &Op::Command(asked(spec, database, &words)));
                }
                _ => {
                    let commands: Vec<_> = keys
                        .iter()
                        .flat_map(|key| {
                            ["pttl", "dump"].map(|name| invocation(name, std::slice::from_ref(key)))
                        })
                        .collect();
                    let commands =
                        commands.iter().map(|(spec, words)| asked(spec, database, words)).collect();
                    encode_op(
                        &mut query,
                        &Op::Transaction(Transaction { commands, ..Transaction::default() }),
                    );
                }
            }
            self.query(group, Waiter::Migrate { job, at: group.0 }, query.into(), false);
        }
    }

    /// A shard has answered, or one of the keys was deleted there, or not.
    pub(crate) fn migration_answered(&mut self, job: u64, at: u32, reply: Result<Bytes, Bytes>) {
        let Some(migration) = self.migrations.get_mut(&job) else { return };
        migration.waits = migration.waits.saturating_sub(1);
        match (reply, migration.stage) {
            (Err(error), _) => migration.fail(error),
            (Ok(versions), Stage::Versions) => {
                let (versions, _) = versions.as_chunks::<8>();
                let keys: Vec<usize> = migration.of_group(GroupId(at)).collect();
                for (key, version) in keys.into_iter().zip(versions) {
                    migration.keys[key].version = u64::from_le_bytes(*version);
                }
            }
            (Ok(outcome), Stage::Values) => {
                let keys: Vec<usize> = migration.of_group(GroupId(at)).collect();
                let mut rest = outcome.get(1..).unwrap_or_default();
                for key in keys {
                    let mut next = || {
                        let (reply, after) = crate::split::next_reply(rest);
                        rest = after;
                        Frame::parse(reply).ok().flatten().map(|(frame, _)| frame)
                    };
                    let (ttl, value) = (next(), next());
                    if let (Some(Frame::Integer(ttl)), Some(Frame::Bulk(value))) = (ttl, value) {
                        // Its time may just have come: then it lives for a moment more there.
                        let ttl_ms = if ttl == -1 { 0 } else { u64::try_from(ttl).unwrap_or(0).max(1) };
                        migration.keys[key].value = Some((ttl_ms, value.into()));
                    }
                }
            }
            (Ok(outcome), _) => {
                if outcome.first() != Some(&1) {
                    let key =
                        migration.keys.get(at as usize).map(|moving| moving.key.clone()).unwrap_or_default();
                    let key = String::from_utf8_lossy(&key).replace(['\r', '\n'], " ");
                    migration.fail(Bytes::from(format!(
                        "-ERR '{key}' has changed while it was moved: it stays here as it is, and the target has what it \
                         held before. Delete that, or move it again with REPLACE\r\n"
                    )));
                }
            }
        }
        if migration.waits == 0 {
            self.go_on_migrating(job);
        }
    }

    /// The next stage of a move, all of whose answers are here.
    fn go_on_migrating(&mut self, job: u64) {
        let Some(migration) = self.migrations.get_mut(&job) else { return };
        match migration.stage {
            Stage::Versions | Stage::Values if migration.failed.is_some() => self.end_migration(job),
            Stage::Versions => {
                migration.stage = Stage::Values;
                self.ask_keys(job);
            }
            Stage::Values => {
                let values = migration.keys.iter().filter_map(|moving| moving.value.as_ref());
                let bytes: usize = values.map(|(_, value)| value.len()).sum();
                if migration.keys.iter().all(|moving| moving.value.is_none()) {
                    migration.fail(Bytes::from_static(b"+NOKEY\r\n"));
                } else if bytes > MOVED_BYTES_MAX {
                    migration.fail(Bytes::from(format!(
                        "-ERR not executed: what the keys hold takes {bytes} bytes, more than one MIGRATE moves \
                         ({MOVED_BYTES_MAX}, moved-bytes-max). Move fewer keys at a time\r\n"
                    )));
                }
                if migration.failed.is_some() {
                    return self.end_migration(job);
                }
                migration.stage = Stage::Elsewhere;
                let (bytes, replies) = migration.requests();
                let words: Vec<&[u8]> = migration.words.iter().map(|word| &word[..]).collect();
                let (host, port) = (String::from_utf8_lossy(words[1]), String::from_utf8_lossy(words[2]));
                let address =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                let timeout = Migrate::parse(&words).map_or(Duration::ZERO, |migrate| migrate.timeout);
                self.hub.out.push(Effect::Migrate { job, address, timeout, bytes, replies });
            }
            Stage::Elsewhere | Stage::Deletion => self.end_migration(job),
        }
    }

    /// The other server has answered, or not.
    pub(crate) fn migrated(&mut self, job: u64, outcome: Migrated) {
        let Some(migration) = self.migrations.get_mut(&job) else { return };
        let (replies, broke) = match outcome {
            Migrated::Unreachable => {
                migration.fail(Bytes::from_static(b"-IOERR error or timeout connecting to the client\r\n"));
                (Vec::new(), true)
            }
            Migrated::Broke(replies) => (replies, true),
            Migrated::Answered(replies) => (replies, false),
        };
        let mut rest = &replies[..];
        let mut next = || {
            let (frame, taken) = Frame::parse(rest).ok().flatten()?;
            rest = &rest[taken..];
            Some(frame.error().map_or(Ok(()), |error| Err(error.into_owned())))
        };
        let refused = |error: String| {
            Bytes::from(format!(
                "-ERR Target instance replied with error: {}\r\n",
                error.replace(['\r', '\n'], " ")
            ))
        };
        let has_credentials = {
            let words: Vec<&[u8]> = migration.words.iter().map(|word| &word[..]).collect();
            Migrate::parse(&words).is_ok_and(|migrate| migrate.credentials.is_some())
        };
        let opening: Vec<_> = (0..1 + usize::from(has_credentials)).map(|_| next()).collect();
        for error in opening.into_iter().flatten().filter_map(Result::err) {
            migration.failed.get_or_insert(refused(error));
        }
        let is_open = migration.failed.is_none();
        for moving in migration.keys.iter_mut().filter(|moving| moving.value.is_some()) {
            match next() {
                Some(Ok(())) => moving.taken = is_open,
                Some(Err(error)) => {
                    migration.failed.get_or_insert(refused(error));
                }
                None => {}
            }
            moving.value = None;
        }
        if broke {
            migration.fail(Bytes::from_static(b"-IOERR error or timeout reading to target instance\r\n"));
        }
        self.delete_moved(job);
    }

    /// Deletes what the other server has taken, each key if it is still as it was read.
    fn delete_moved(&mut self, job: u64) {
        let Some(migration) = self.migrations.get_mut(&job) else { return };
        migration.stage = Stage::Deletion;
        let database = migration.database;
        let gone: Vec<(u32, GroupId, Bytes, u64)> = migration
            .keys
            .iter()
            .enumerate()
            .filter(|(_, moving)| moving.taken && !migration.copies)
            .map(|(at, moving)| (at as u32, moving.group, moving.key.clone(), moving.version))
            .collect();
        migration.waits = gone.len();
        if gone.is_empty() {
            return self.end_migration(job);
        }
        let spec = command::lookup(b"del").expect("DEL is in the table");
        for (at, group, key, version) in gone {
            let words = [b"del".to_vec(), key.to_vec()];
            let watched = vec![Watched { database, key: &key, version }];
            let op = Op::Transaction(Transaction {
                watched,
                commands: vec![asked(spec, database, &words)],
                ..Transaction::default()
            });
            self.write(group, Waiter::Migrate { job, at }, &op);
        }
    }

    fn end_migration(&mut self, job: u64) {
        let Some(migration) = self.migrations.remove(&job) else { return };
        let words: Vec<&[u8]> = migration.words.iter().map(|word| &word[..]).collect();
        self.note_slow_answer(migration.ticket, migration.since(), migration.spec, &words);
        let reply = migration.failed.unwrap_or(Bytes::from_static(b"+OK\r\n"));
        self.hub.clients.answer(migration.ticket, &reply);
    }
}

fn asked<'a>(spec: &'static Spec, database: DatabaseId, words: &'a [Vec<u8>]) -> Invocation<'a> {
    let words: Words<'a> = words.iter().map(|word| &word[..]).collect();
    Invocation { spec, database, target: None, protocol: Protocol::Resp2, words }
}
