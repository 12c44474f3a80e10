//! Keys on their way into a node: several connections, each with a thread, take batches in turn and say what came of them.
//!
//! A key is never executed twice with two outcomes: where it isn't known whether a RESTORE took effect (the connection
//! broke, or the node says UNKNOWN), the key is sent again, and if it is there then, its value is compared.

use super::parcel::{Command, Parcel};
use super::report::Counts;
use crate::connection::{Connection, Credentials, push_command};
use crate::shown::quoted;
use node::rdb::file::Key;
use node::rdb::{Value, read_dump};
use node::resp::Frame;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a node may be away, or without a majority, before the import gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is left alone after it couldn't be reached or couldn't do something.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one reply may take; a node answers within five seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Batches that wait for a connection, for each of them.
const WAITING: usize = 2;

/// What happens to a key that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It ends the import.
    Refuse,
    /// It stays.
    Keep,
    /// It is replaced.
    Replace,
}

/// Where to, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// HOST:PORT.
    pub address: String,
    /// Who the import is there.
    pub credentials: Credentials,
    /// What happens to keys that exist.
    pub existing: Existing,
    /// Keys that exist with the very same value may have been put there by this import when it ran before.
    pub resumed: bool,
}

impl Target {
    /// A connection that may be used. The error is a sentence.
    pub fn connect(&self) -> Result<Connection, String> {
        let Self { address, credentials, .. } = self;
        let mut connection = Connection::open(address, TIMEOUT).map_err(|error| {
            format!("no node answers at {address}: {error}. Is it running, and is that its client port?")
        })?;
        let refused = connection
            .authenticate(credentials)
            .map_err(|error| format!("the connection to {address} broke: {error}"))?;
        match refused {
            None => Ok(connection),
            Some(error) => Err(format!("{address} doesn't accept the password: {error}")),
        }
    }
}

/// Keys of one database.
#[derive(Debug)]
pub struct Batch {
    /// Batches are numbered in their order.
    pub number: u64,
    /// The database that they go to.
    pub database: u64,
    /// The keys.
    pub keys: Vec<Key>,
}

/// What came of a batch; the error is a sentence.
#[derive(Debug)]
pub struct Done {
    /// Which one.
    pub number: u64,
    /// What came of its keys.
    pub outcome: Result<Counts, String>,
}

/// The connections.
#[derive(Debug)]
pub struct Courier {
    batches: Option<SyncSender<Batch>>,
    done: Receiver<Done>,
    workers: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Courier {
    /// Opens `connections` connections.
    pub fn new(target: &Target, connections: usize) -> io::Result<Self> {
        let (batches, waiting) = sync_channel(connections * WAITING);
        let (told, done) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let stop = Arc::new(AtomicBool::new(false));
        let workers = (0..connections).map(|number| {
            let worker = Worker {
                target: target.clone(),
                connection: None,
                database: None,
                stop: stop.clone(),
                request: Vec::new(),
            };
            let (waiting, told) = (waiting.clone(), told.clone());
            std::thread::Builder::new()
                .name(format!("import-{number}"))
                .spawn(move || worker.run(&waiting, &told))
        });
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Self { batches: Some(batches), done, workers, stop })
    }

    /// Takes a batch, once there is room for it. False if nobody takes batches any more.
    pub fn send(&self, batch: Batch) -> bool {
        self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok())
    }

    /// What has come of batches since this was last asked.
    pub fn try_done(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// Waits for what came of a batch; `None` after [`Courier::finish`] when there are no more.
    pub fn wait_done(&self) -> Option<Done> {
        self.done.recv().ok()
    }

    /// No more batches come.
    pub fn finish(&mut self) {
        self.batches = None;
    }

    /// Whoever is at it stops as soon as it knows what became of what it has sent.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.batches = None;
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.stop();
        for worker in self.workers.drain(..) {
            // Who panicked has said so.
            let _ = worker.join();
        }
    }
}

/// One connection, made anew when it breaks.
struct Worker {
    target: Target,
    connection: Option<Connection>,
    /// What is selected on it.
    database: Option<u64>,
    stop: Arc<AtomicBool>,
    request: Vec<u8>,
}

/// A key under way.
struct Item {
    parcel: Parcel,
    at: usize,
    /// Whether it may be there because it was sent before.
    maybe: bool,
}

/// What a node said to a RESTORE.
enum Said {
    Done,
    Exists,
    /// It wasn't executed, and may be later.
    Later(String),
    /// It may have been executed.
    Unknown(String),
    Refused(String),
}

impl Worker {
    fn run(mut self, waiting: &Mutex<Receiver<Batch>>, told: &Sender<Done>) {
        loop {
            let batch = match waiting.lock() {
                Ok(waiting) => waiting.recv(),
                Err(_) => return,
            };
            let Ok(batch) = batch else { return };
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let outcome = self.deliver(&batch);
            if told.send(Done { number: batch.number, outcome }).is_err() {
                return;
            }
        }
    }

    fn deliver(&mut self, batch: &Batch) -> Result<Counts, String> {
        let replace = self.target.existing == Existing::Replace;
        let mut counts = Counts::default();
        let mut items: Vec<Item> = batch
            .keys
            .iter()
            .enumerate()
            .map(|(at, key)| Item { parcel: Parcel::new(key, replace), at, maybe: self.target.resumed })
            .collect();
        let mut progress_at = Instant::now();
        while !items.is_empty() {
            let before = items.len();
            let trouble = match self.attempt(batch, &mut items, &mut counts)? {
                None => continue,
                Some(trouble) => trouble,
            };
            if items.len() < before {
                progress_at = Instant::now();
            }
            if progress_at.elapsed() > PATIENCE || self.stop.load(Ordering::Relaxed) {
                return Err(trouble);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(counts)
    }

    /// Sends what is left of a batch and takes out what is done. Whatever hinders, and may pass, is answered as a
    /// sentence; what can't be mended by waiting is an error.
    fn attempt(
        &mut self,
        batch: &Batch,
        items: &mut Vec<Item>,
        counts: &mut Counts,
    ) -> Result<Option<String>, String> {
        if let Err(trouble) = self.prepare(batch.database)? {
            return Ok(Some(trouble));
        }
        let address = self.target.address.clone();
        let Some(connection) = &mut self.connection else { return Ok(Some("there is no connection".into())) };
        self.request.clear();
        for item in items.iter() {
            push_command(&mut self.request, &item.parcel.first);
        }
        let mut broken = connection.send(&self.request).err();
        let mut said = Vec::new();
        while broken.is_none() && said.len() < items.len() {
            match connection.receive() {
                Ok(frame) => said.push(understand(&frame)),
                Err(error) => broken = Some(error),
            }
        }
        let mut trouble = broken.map(|error| {
            self.connection = None;
            format!("the connection to {address} broke: {error}")
        });
        let mut said = said.into_iter();
        for mut item in std::mem::take(items) {
            let key = &batch.keys[item.at];
            let (maybe, hindrance) = match said.next() {
                Some(Said::Done) => match self.complete(&item.parcel.rest)? {
                    Ok(()) => {
                        counts.imported += 1;
                        continue;
                    }
                    Err(hindrance) => {
                        // What was begun here is begun anew.
                        item.parcel.first.insert(4, b"REPLACE".to_vec());
                        (true, hindrance)
                    }
                },
                Some(Said::Exists) => match self.compare(key, item.maybe)? {
                    Ok(true) => {
                        counts.imported += 1;
                        continue;
                    }
                    Ok(false) if self.target.existing == Existing::Keep => {
                        counts.kept += 1;
                        continue;
                    }
                    Ok(false) => return Err(exists_already(key, batch.database, &address, item.maybe)),
                    Err(hindrance) => (item.maybe, hindrance),
                },
                Some(Said::Later(hindrance)) => (item.maybe, format!("{address} answers: {hindrance}")),
                Some(Said::Unknown(hindrance)) => (true, format!("{address} answers: {hindrance}")),
                Some(Said::Refused(error)) => {
                    let (key, database) = (quoted(&key.key), batch.database);
                    return Err(format!(
                        "the key {key} of database {database} wasn't taken by {address}: {error}"
                    ));
                }
                None => (true, String::new()),
            };
            item.maybe = maybe;
            if !hindrance.is_empty() {
                trouble.get_or_insert(hindrance);
            }
            items.push(item);
        }
        Ok(trouble)
    }

    /// Connects and selects, if need be. What may pass is the inner error.
    fn prepare(&mut self, database: u64) -> Result<Result<(), String>, String> {
        if self.connection.is_none() {
            self.database = None;
            match self.target.connect() {
                Ok(connection) => self.connection = Some(connection),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        if self.database == Some(database) {
            return Ok(Ok(()));
        }
        let number = database.to_string();
        match self.ask(&words(&[b"SELECT", number.as_bytes()])) {
            Err(trouble) => Ok(Err(trouble)),
            Ok(frame) => match understand(&frame) {
                Said::Done => {
                    self.database = Some(database);
                    Ok(Ok(()))
                }
                Said::Later(error) | Said::Unknown(error) => Ok(Err(error)),
                Said::Exists => Ok(Err("an answer to another question".into())),
                Said::Refused(error) => Err(format!(
                    "{} has no database {database} for this import: {error}. --db and --into choose one and rename it",
                    self.target.address
                )),
            },
        }
    }

    /// Has a key put together that doesn't fit into one command. The inner error: it isn't whole, and may be begun anew.
    fn complete(&mut self, rest: &[Command]) -> Result<Result<(), String>, String> {
        for command in rest {
            let frame = match self.ask(command) {
                Ok(frame) => frame,
                Err(trouble) => return Ok(Err(trouble)),
            };
            match frame.error().as_deref().map(|error| (first_word(error), error)) {
                None => {}
                Some(("NOQUORUM" | "TRYAGAIN" | "LOADING" | "UNKNOWN", error)) => {
                    return Ok(Err(error.into()));
                }
                Some((_, error)) => {
                    let (name, key) = (quoted(&command[0]), quoted(&command[1]));
                    return Err(format!(
                        "{name} for the key {key}, which is half written, was refused: {error}"
                    ));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Whether a key that exists is the one that was sent. The inner error: this couldn't be found out.
    fn compare(&mut self, key: &Key, maybe: bool) -> Result<Result<bool, String>, String> {
        if !maybe {
            return Ok(Ok(false));
        }
        let dump = match self.ask(&words(&[b"DUMP", &key.key])) {
            Ok(Frame::Bulk(dump)) => dump,
            // It has expired in the meantime, or something like that: it is sent again.
            Ok(Frame::Null) => return Ok(Err("a key came and went".into())),
            Ok(frame) => match understand(&frame) {
                Said::Refused(error) => {
                    return Err(format!("DUMP {} was refused: {error}", quoted(&key.key)));
                }
                _ => return Ok(Err("a key can't be compared now".into())),
            },
            Err(trouble) => return Ok(Err(trouble)),
        };
        let expires_at = match self.ask(&words(&[b"PEXPIRETIME", &key.key])) {
            Ok(Frame::Integer(at)) => u64::try_from(at).ok(),
            Ok(_) => return Ok(Err("a key can't be compared now".into())),
            Err(trouble) => return Ok(Err(trouble)),
        };
        let same = read_dump(&dump).is_ok_and(|there| normal(there) == normal(key.value.clone()));
        Ok(Ok(same && expires_at == key.expires_at.map(|at| at.0)))
    }

    /// Sends one command; if the connection breaks, it is gone.
    fn ask(&mut self, command: &Command) -> Result<Frame, String> {
        let Some(connection) = &mut self.connection else { return Err("the connection broke".into()) };
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        connection.call(&words).map_err(|error| {
            self.connection = None;
            format!("the connection to {} broke: {error}", self.target.address)
        })
    }
}

fn words(words: &[&[u8]]) -> Command {
    words.iter().map(|word| word.to_vec()).collect()
}

fn first_word(error: &str) -> &str {
    error.split(' ').next().unwrap_or_default()
}

fn understand(frame: &Frame) -> Said {
    let Some(error) = frame.error() else { return Said::Done };
    let text = error.clone().into_owned();
    match first_word(&error) {
        "BUSYKEY" => Said::Exists,
        "NOQUORUM" | "TRYAGAIN" | "LOADING" => Said::Later(text),
        "UNKNOWN" => Said::Unknown(text),
        _ => Said::Refused(text),
    }
}

/// A value whose members are in one order, to be compared.
pub fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Set(members) => members.sort_unstable(),
        Value::Hash(fields) => fields.sort_unstable_by(|a, b| a.field.cmp(&b.field)),
        Value::Stream(stream) => {
            stream.groups.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            for group in &mut stream.groups {
                group.consumers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            }
        }
        Value::String(_) | Value::List(_) | Value::SortedSet(_) => {}
    }
    value
}

fn exists_already(key: &Key, database: u64, address: &str, maybe: bool) -> String {
    let half = if maybe {
        ", with another value than the one that an interrupted import may have put there"
    } else {
        ""
    };
    format!(
        "the key {} exists already in database {database} of {address}{half}, and was left as it is. --replace would \
         replace such keys, --skip-existing keep them; what is in already stays in",
        quoted(&key.key)
    )
}
