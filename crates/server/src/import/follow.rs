//! What changes in a Redis after it was copied, carried over in its order, until somebody stops it.
//!
//! Transactions and scripts arrive as the commands that they were made of; each is applied by itself. Where one can't be
//! applied, following ends: going on would make a copy that isn't one.

use super::Choice;
use super::report::Progress;
use super::sender::Target;
use super::source::Copy;
use crate::connection::{Connection, push_command};
use crate::shown::{grouped, quoted};
use node::resp::Frame;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the origin is told how far the copy is; it hangs up on a replica that is silent for a minute.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);
/// How much is read at once, and with that applied in one go.
const CHUNK_BYTES: usize = 256 << 10;

/// Follows until a SIGINT. The error is a sentence.
pub fn follow(mut copy: Copy, target: &Target, choice: Choice) -> Result<(), String> {
    let stop = stop_at_interrupt();
    let mut follower = Follower::new(target.connect()?, target.address.clone(), choice);
    let mut progress = Progress::new(copy.offset, None);
    let hung_up =
        |error: std::io::Error| format!("the connection to the Redis that is followed broke: {error}");
    copy.connection.set_read_timeout(ACKNOWLEDGE_EVERY).map_err(hung_up)?;
    let mut input = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = copy.offset;
    let mut caught_up = false;
    let mut acknowledged = None;
    while !stop.load(Ordering::Relaxed) {
        if acknowledged.is_none_or(|at: Instant| at.elapsed() >= ACKNOWLEDGE_EVERY) {
            acknowledged = Some(Instant::now());
            acknowledge(&mut copy.connection, offset).map_err(hung_up)?;
        }
        match copy.connection.receive_some(&mut chunk) {
            Ok(0) => {
                return Err(format!(
                    "the Redis that is followed hung up at offset {offset}; all that it had sent is applied ({} commands)",
                    grouped(follower.applied)
                ));
            }
            Ok(count) => input.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if !std::mem::replace(&mut caught_up, true) {
                    progress.say("caught up with the origin; following until Ctrl-C");
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(hung_up(error)),
        }
        let taken = follower.take(&input)?;
        input.drain(..taken);
        offset += taken as u64;
        progress.show("following", follower.applied, offset);
    }
    progress.end();
    println!("stopped at offset {offset}: {} commands were applied", grouped(follower.applied));
    Ok(())
}

fn acknowledge(connection: &mut Connection, offset: u64) -> std::io::Result<()> {
    let mut request = Vec::new();
    push_command(&mut request, &[&b"REPLCONF"[..], b"ACK", offset.to_string().as_bytes()]);
    connection.send(&request)
}

/// A flag that a SIGINT sets, so that what is under way ends in order.
fn stop_at_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let spawned = std::thread::Builder::new().name("interrupt".into()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    });
    // Without it a SIGINT ends the process at once: less tidy, and no harm.
    drop(spawned);
    stop
}

/// Applies commands in their order.
struct Follower {
    connection: Connection,
    address: String,
    choice: Choice,
    /// The origin's database that the next command is about.
    database: u64,
    /// What is selected at the target.
    selected: Option<u64>,
    applied: u64,
}

impl Follower {
    fn new(connection: Connection, address: String, choice: Choice) -> Self {
        Self { connection, address, choice, database: 0, selected: None, applied: 0 }
    }

    /// Applies the commands at the front of `input`; answers how many bytes they are.
    fn take(&mut self, input: &[u8]) -> Result<usize, String> {
        let mut at = 0;
        let mut request = Vec::new();
        let mut sent: Vec<Vec<u8>> = Vec::new();
        loop {
            let found = Frame::parse(&input[at..])
                .map_err(|error| format!("what the Redis that is followed says can't be read: {error}"))?;
            let Some((frame, taken)) = found else { break };
            at += taken;
            let words: Option<Vec<Vec<u8>>> = frame
                .elements()
                .map(|words| words.iter().filter_map(Frame::as_bytes).map(<[u8]>::to_vec).collect());
            for command in translate(self, words.unwrap_or_default()) {
                push_command(&mut request, &command);
                sent.push(command.into_iter().take(2).collect::<Vec<_>>().join(&b' '));
            }
        }
        let broke = |error: std::io::Error| {
            format!(
                "the connection to {} broke while changes were applied: {error}. The copy isn't exact any more: begin anew \
                 with --replace",
                self.address
            )
        };
        self.connection.send(&request).map_err(broke)?;
        for command in &sent {
            if let Some(error) = self.connection.receive().map_err(broke)?.error() {
                return Err(format!(
                    "{} was refused by {}: {error}. What came behind it may be applied, so the copy isn't exact any more: \
                     begin anew with --replace",
                    quoted(command),
                    self.address
                ));
            }
            self.applied += 1;
        }
        Ok(at)
    }
}

/// What a command of the origin means for the target.
fn translate(follower: &mut Follower, words: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let Some(name) = words.first().map(|name| name.to_ascii_lowercase()) else { return Vec::new() };
    match &name[..] {
        b"ping" | b"replconf" | b"multi" | b"exec" => return Vec::new(),
        b"select" => {
            let number = words.get(1).and_then(|word| std::str::from_utf8(word).ok());
            follower.database = number.and_then(|number| number.parse().ok()).unwrap_or(follower.database);
            return Vec::new();
        }
        _ => {}
    }
    let all = follower.choice == Choice::default();
    let database = match follower.choice.place_of(follower.database) {
        Some(database) => database,
        // It empties the wanted database, too.
        None if name == b"flushall" => follower.choice.into.or(follower.choice.only).unwrap_or(0),
        None => return Vec::new(),
    };
    let mut commands = Vec::new();
    if follower.selected != Some(database) {
        follower.selected = Some(database);
        commands.push(vec![b"SELECT".to_vec(), database.to_string().into_bytes()]);
    }
    match &name[..] {
        b"flushall" if !all => commands.push(vec![b"FLUSHDB".to_vec()]),
        // Their keys may lie on several shards, and each can be dealt with by itself.
        b"del" | b"unlink" => {
            commands.extend(words[1..].iter().map(|key| vec![words[0].clone(), key.clone()]));
        }
        b"mset" => {
            let pairs = words[1..].chunks_exact(2);
            commands.extend(pairs.map(|pair| vec![b"SET".to_vec(), pair[0].clone(), pair[1].clone()]));
        }
        _ => commands.push(words),
    }
    commands
}
