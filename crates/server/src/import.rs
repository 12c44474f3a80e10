//! `sihai import`: brings the keys of a Redis file, or of a running Redis, into a node that serves.
//!
//! Keys are read one by one (`source`), travel in batches over several connections (`sender`) as RESTORE commands
//! (`parcel`), and what has been acknowledged without a gap is noted beside the file (`state`), so that an interrupted
//! import goes on. What changes in a Redis in the meantime can follow (`follow`). A person sees how it goes (`report`).
//!
//! What it must never do: overwrite a key that it wasn't told to, or end well with something missing that it hasn't named.

/// What changes at the origin, carried over.
pub mod follow;
/// Keys as commands.
pub mod parcel;
/// How far it is.
pub mod report;
/// Keys on their way.
pub mod sender;
/// Where keys come from.
pub mod source;
/// How far it has come, on disk.
pub mod state;

use crate::cli::Import;
use crate::clock;
use crate::connection::Credentials;
use crate::shown::{elapsed, grouped, quoted};
use node::rdb::BadValue;
use node::rdb::file::{Item, Key, Mark, Reader, Skipped};
use report::{Counts, Progress};
use sender::{Batch, Courier, Done, Existing, Target};
use serde::{Deserialize, Serialize};
use source::{Dump, Origin};
use state::State;
use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of the source that are read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// A batch is sent when it has so many keys, or so many bytes of the source.
const BATCH_KEYS: usize = 512;
const BATCH_BYTES: u64 = 256 << 10;
/// How often it is written down how far it has come.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// So many keys that can't be taken are named, one by one.
const NAMED_MAX: u64 = 50;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was wanted is in.
    Complete,
    /// Something couldn't be taken, and was named.
    Incomplete,
}

/// Which keys are taken, and where they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Only those of this database.
    pub only: Option<u64>,
    /// Into this database instead of their own.
    pub into: Option<u64>,
}

impl Choice {
    /// Where the keys of a database go, if they are wanted.
    pub fn place_of(&self, database: u64) -> Option<u64> {
        let wanted = self.only.is_none_or(|only| only == database);
        wanted.then(|| self.into.unwrap_or(database))
    }
}

/// Imports. The error is a sentence.
pub fn run(arguments: &Import) -> Result<Ending, String> {
    let target = Target {
        address: arguments.addr.clone(),
        credentials: Credentials::from_file_or_environment(
            arguments.user.clone(),
            arguments.password_file.as_deref(),
            "SIHAI_AUTH",
        )?,
        existing: match (arguments.replace, arguments.skip_existing) {
            (true, _) => Existing::Replace,
            (false, true) => Existing::Keep,
            (false, false) => Existing::Refuse,
        },
        resumed: false,
    };
    match (&arguments.file, &arguments.from) {
        (Some(path), _) => import_file(arguments, target, path),
        (None, Some(url)) => copy_running(arguments, target, url),
        (None, None) => Err("name a file, or a running Redis with --from".into()),
    }
}

fn import_file(arguments: &Import, mut target: Target, path: &Path) -> Result<Ending, String> {
    let mut dump = Dump::open(path, arguments.state.as_deref())?;
    let choice = Choice { only: arguments.db, into: arguments.into };
    let known = if arguments.restart || arguments.dry_run { None } else { State::read(&dump.state_path)? };
    if let Some(state) = &known
        && (state.target != target.address || state.choice != choice)
    {
        return Err(format!(
            "{} is of an import into {} with other databases: give the same --addr, --db and --into, or --restart to \
             begin anew",
            dump.state_path.display(),
            state.target
        ));
    }
    let reader = dump.reader(known.as_ref())?;
    target.resumed = known.is_some();
    let mut progress = Progress::new(reader.position(), Some(dump.bytes));
    if let Some(state) = &known {
        let done = crate::shown::keys(state.counts.imported);
        progress.say(&format!("going on where an earlier import stopped: {done} were in"));
    }
    let keeps = (!arguments.dry_run).then(|| Keeps {
        path: dump.state_path.clone(),
        file_bytes: dump.bytes,
        saved_at: Instant::now(),
    });
    let mut run = Run::new(&target, choice, arguments, progress, keeps)?;
    run.counts = known.map(|state| state.counts).unwrap_or_default();
    if let Err(sentence) = run.pump(&mut dump.file, reader).and_then(|()| run.finish()) {
        return Err(run.failed(&sentence, true));
    }
    run.forget_state();
    Ok(run.end(arguments.dry_run))
}

fn copy_running(arguments: &Import, target: Target, url: &str) -> Result<Ending, String> {
    let mut origin = Origin::parse(url)?;
    if origin.told_password {
        eprintln!(
            "sihai: a password in an argument is seen by everybody on this machine (ps): --from-password-file FILE or \
             SIHAI_FROM_AUTH in the environment keep it to yourself"
        );
    }
    if origin.credentials.password.is_none() {
        origin.credentials = Credentials::from_file_or_environment(
            origin.credentials.user.take(),
            arguments.from_password_file.as_deref(),
            "SIHAI_FROM_AUTH",
        )?;
    }
    let choice = Choice { only: arguments.db.or(origin.database), into: arguments.into };
    let mut copy = origin.sync(arguments.follow)?;
    let mut run = Run::new(&target, choice, arguments, Progress::new(0, copy.total_bytes()), None)?;
    if let Err(sentence) = run.pump(&mut copy, Reader::new()).and_then(|()| run.finish()) {
        return Err(run.failed(&sentence, false));
    }
    if !arguments.follow {
        return Ok(run.end(arguments.dry_run));
    }
    let ending = run.end(arguments.dry_run);
    drop(run);
    follow::follow(copy, &target, choice)?;
    Ok(ending)
}

/// What has ended the reading.
enum Trouble {
    /// The source is damaged, or gone.
    Source(String),
    /// The keys can't be brought in.
    Target(String),
}

/// Where it is kept how far it is.
struct Keeps {
    path: PathBuf,
    file_bytes: u64,
    saved_at: Instant,
}

/// A batch that isn't acknowledged, or behind one that isn't.
struct Pending {
    number: u64,
    mark: Option<Mark>,
    counts: Counts,
    done: bool,
}

/// An import under way.
struct Run<'a> {
    target: &'a Target,
    choice: Choice,
    /// Nobody, if nothing is to be sent.
    courier: Option<Courier>,
    keys: Vec<Key>,
    database: u64,
    /// Where the batch that is being gathered begins.
    first_byte: u64,
    /// What was found since the last batch.
    found: Counts,
    next: u64,
    pending: VecDeque<Pending>,
    /// Everything before this mark is acknowledged.
    acknowledged: Option<Mark>,
    counts: Counts,
    named: u64,
    progress: Progress,
    keeps: Option<Keeps>,
}

impl<'a> Run<'a> {
    fn new(
        target: &'a Target,
        choice: Choice,
        arguments: &Import,
        progress: Progress,
        keeps: Option<Keeps>,
    ) -> Result<Self, String> {
        let courier = if arguments.dry_run {
            None
        } else {
            // Whether there is a node at all is found out before anything is read.
            target.connect()?;
            let connections = usize::from(arguments.connections.max(1));
            Some(
                Courier::new(target, connections)
                    .map_err(|error| format!("no thread can be begun: {error}"))?,
            )
        };
        Ok(Self {
            target,
            choice,
            courier,
            keys: Vec::new(),
            database: 0,
            first_byte: 0,
            found: Counts::default(),
            next: 0,
            pending: VecDeque::new(),
            acknowledged: None,
            counts: Counts::default(),
            named: 0,
            progress,
            keeps,
        })
    }

    /// Reads everything and sends it on its way.
    fn pump(&mut self, source: &mut dyn Read, mut reader: Reader) -> Result<(), String> {
        match self.read_all(source, &mut reader) {
            Ok(()) => Ok(()),
            Err(Trouble::Target(sentence)) => Err(sentence),
            Err(Trouble::Source(sentence)) => {
                // What could be read is brought in.
                let brought = self.send(reader.mark()).and_then(|()| self.finish());
                Err(brought.err().map_or(sentence.clone(), |error| format!("{sentence}. Besides, {error}")))
            }
        }
    }

    fn read_all(&mut self, source: &mut dyn Read, reader: &mut Reader) -> Result<(), Trouble> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut mark = reader.mark();
        self.first_byte = reader.position();
        loop {
            let next = reader.next_item();
            let item = next.map_err(|error| Trouble::Source(rotten(&error, reader.position())))?;
            if let Some(item) = item {
                self.take(item, mark).map_err(Trouble::Target)?;
                mark = reader.mark();
                if self.keys.len() >= BATCH_KEYS || reader.position() - self.first_byte >= BATCH_BYTES {
                    self.send(mark).map_err(Trouble::Target)?;
                    self.first_byte = reader.position();
                }
                continue;
            }
            match source.read(&mut chunk) {
                Ok(0) if reader.is_complete() => break,
                Ok(0) => reader.finish(),
                Ok(count) => reader.feed(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let position = reader.position();
                    let sentence = format!("the source can't be read behind byte {position}: {error}");
                    return Err(Trouble::Source(sentence));
                }
            }
        }
        self.send(mark).map_err(Trouble::Target)
    }

    /// `mark`: before this item.
    fn take(&mut self, item: Item, mark: Option<Mark>) -> Result<(), String> {
        match item {
            Item::Aux { .. } => {}
            Item::Function(source) => self.take_library(&source)?,
            Item::Skipped(Skipped::ModuleData { module }) => {
                self.found.left_out += 1;
                self.name(&format!("NOT taken: data of the module {module} that belong to no key"));
            }
            Item::Skipped(Skipped::ModuleValue { database, key, module }) => {
                self.found.read += 1;
                if self.choice.place_of(database).is_none() {
                    self.found.unwanted += 1;
                } else {
                    self.found.unreadable += 1;
                    let key = quoted(&key);
                    self.name(&format!(
                        "NOT taken: {key} of database {database}, a value of the module {module}"
                    ));
                }
            }
            Item::Skipped(Skipped::Empty { database, key }) => {
                // Redis drops them, too, when it loads a file.
                self.found.read += 1;
                self.found.unreadable += 1;
                let key = quoted(&key);
                self.name(&format!("NOT taken: {key} of database {database}, a collection without elements"));
            }
            Item::Key(key) => {
                self.found.read += 1;
                let Some(database) = self.choice.place_of(key.database) else {
                    self.found.unwanted += 1;
                    return Ok(());
                };
                if key.expires_at.is_some_and(|at| at <= clock::wall()) {
                    self.found.expired += 1;
                    return Ok(());
                }
                if database != self.database && !self.keys.is_empty() {
                    // The batch ends before this key, which is counted with the next.
                    let found = std::mem::take(&mut self.found);
                    self.found = Counts { read: found.read - 1, ..found };
                    self.send(mark)?;
                    self.found.read = 1;
                }
                self.database = database;
                self.keys.push(key);
            }
        }
        Ok(())
    }

    fn take_library(&mut self, source: &[u8]) -> Result<(), String> {
        if self.courier.is_none() {
            return Ok(());
        }
        let mut words: Vec<&[u8]> = vec![b"FUNCTION", b"LOAD"];
        if self.target.existing == Existing::Replace {
            words.push(b"REPLACE");
        }
        words.push(source);
        let reply = self.target.connect()?.call(&words);
        let reply =
            reply.map_err(|error| format!("the connection to {} broke: {error}", self.target.address))?;
        if let Some(error) = reply.error() {
            self.found.left_out += 1;
            let first = source.split(|byte| *byte == b'\n').next().unwrap_or_default();
            self.name(&format!("NOT taken: the library of functions {}: {error}", quoted(first)));
        }
        Ok(())
    }

    fn name(&mut self, line: &str) {
        self.named += 1;
        if self.named <= NAMED_MAX {
            self.progress.say(line);
        } else if self.named == NAMED_MAX + 1 {
            self.progress.say("NOT taken: more of them, which aren't named but counted");
        }
    }

    /// Sends what was gathered; everything before `mark` is in it or in earlier batches.
    fn send(&mut self, mark: Option<Mark>) -> Result<(), String> {
        let keys = std::mem::take(&mut self.keys);
        let counts = std::mem::take(&mut self.found);
        let number = self.next;
        self.next += 1;
        let mut pending = Pending { number, mark, counts, done: keys.is_empty() };
        match &self.courier {
            None => {
                pending.counts.imported += keys.len() as u64;
                pending.done = true;
                self.pending.push_back(pending);
            }
            Some(courier) => {
                let sent = keys.is_empty() || {
                    let batch = Batch { number, database: self.database, keys };
                    courier.send(batch)
                };
                self.pending.push_back(pending);
                if !sent {
                    return Err("the import's threads have ended".into());
                }
            }
        }
        while let Some(done) = self.courier.as_ref().and_then(Courier::try_done) {
            self.note(done)?;
        }
        self.advance()
    }

    fn note(&mut self, done: Done) -> Result<(), String> {
        let counts = done.outcome?;
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.number == done.number) {
            pending.counts.add(&counts);
            pending.done = true;
        }
        Ok(())
    }

    /// Counts what is acknowledged without a gap.
    fn settle(&mut self) {
        while self.pending.front().is_some_and(|first| first.done)
            && let Some(first) = self.pending.pop_front()
        {
            self.counts.add(&first.counts);
            self.acknowledged = first.mark.or(self.acknowledged);
        }
    }

    /// Counts, shows, and writes down now and then, how far it is.
    fn advance(&mut self) -> Result<(), String> {
        self.settle();
        let (keys, bytes) = (self.counts.imported, self.acknowledged.map_or(0, |mark| mark.position));
        let what = if self.courier.is_some() { "importing" } else { "reading" };
        self.progress.show(what, keys, bytes);
        match &self.keeps {
            Some(keeps) if keeps.saved_at.elapsed() >= SAVE_EVERY => self.save(),
            _ => Ok(()),
        }
    }

    fn save(&mut self) -> Result<(), String> {
        let (Some(keeps), Some(mark)) = (&mut self.keeps, self.acknowledged) else { return Ok(()) };
        keeps.saved_at = Instant::now();
        let state = State::new(mark, keeps.file_bytes, &self.target.address, self.choice, self.counts);
        state.write(&keeps.path).map_err(|error| {
            format!(
                "how far the import is can't be written to {}: {error}. --state FILE names another place",
                keeps.path.display()
            )
        })
    }

    /// Waits until everything is acknowledged.
    fn finish(&mut self) -> Result<(), String> {
        let Some(courier) = &mut self.courier else { return self.advance() };
        courier.finish();
        while let Some(done) = self.courier.as_ref().and_then(Courier::wait_done) {
            self.note(done)?;
            self.advance()?;
        }
        self.advance()?;
        if self.pending.is_empty() { Ok(()) } else { Err("the import's threads have ended too early".into()) }
    }

    /// Lets what is under way end, writes down how far it came, and says it.
    fn failed(&mut self, sentence: &str, resumable: bool) -> String {
        if let Some(courier) = &mut self.courier {
            courier.stop();
        }
        while let Some(done) = self.courier.as_ref().and_then(Courier::wait_done) {
            // The first trouble is the one that is told.
            let _ = self.note(done);
        }
        self.settle();
        let unsaved = self.save().err().map(|error| format!(" Besides, {error}")).unwrap_or_default();
        self.progress.end();
        let beyond: u64 = self.pending.iter().map(|pending| pending.counts.imported).sum();
        let more =
            if beyond > 0 { format!(" (and {} behind a gap)", grouped(beyond)) } else { String::new() };
        let again = match (resumable, self.courier.is_some()) {
            (_, false) => "",
            (true, _) => " The same command again goes on there.",
            (false, _) => " A copy of a running Redis can't be taken up again: begin anew, with --replace.",
        };
        format!("{sentence}.\nNOT complete: {}{more}.{again}{unsaved}", self.counts.sentence())
    }

    fn forget_state(&mut self) {
        if let Some(keeps) = self.keeps.take()
            && let Err(error) = std::fs::remove_file(&keeps.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            self.progress
                .say(&format!("{} can't be removed: {error}; nobody needs it", keeps.path.display()));
        }
    }

    fn end(&mut self, dry_run: bool) -> Ending {
        self.progress.end();
        let time = self.progress.elapsed();
        let rate = (self.counts.imported as f64 / time.as_secs_f64().max(0.001)) as u64;
        let would = if dry_run { "nothing was sent; of what was read: " } else { "" };
        println!(
            "{would}{}, in {} ({} a second)",
            self.counts.sentence(),
            elapsed(time),
            crate::shown::keys(rate)
        );
        if self.counts.is_incomplete() { Ending::Incomplete } else { Ending::Complete }
    }
}

fn rotten(error: &BadValue, position: u64) -> String {
    match error {
        BadValue::Short => {
            format!("the data are truncated: what begins at byte {position} isn't there to its end")
        }
        BadValue::Checksum => format!(
            "the data have rotten somewhere before byte {position}: they could be read, but their checksum is another. \
             What was imported may be wrong"
        ),
        BadValue::Version(_) => format!("{error}"),
        error => format!("what begins at byte {position} can't be read: {error}"),
    }
}
