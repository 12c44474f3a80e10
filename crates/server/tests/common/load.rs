//! Clients that write, count and read through all nodes while something goes wrong, and hold every answer against what
//! was promised:
//!
//! - What was acknowledged is there at the end; what was refused as not executed isn't.
//! - A counter never repeats a value, and nobody, anywhere, reads or counts less than what anybody had seen before they
//!   asked. (INCR only grows, so this holds for whatever may have been executed late.)
//! - At the end a counter is what was acknowledged, plus at most what may have been executed.
//! - Every command is answered or refused within `ANSWER_MAX`.
//!
//! What it measures is what people wait for: how long each client went without success.

use super::{Client, Node, bulk, ok, request};
use node::resp::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// `request-timeout`, and what a busy machine adds.
pub const ANSWER_MAX: Duration = Duration::from_secs(7);
/// Counters that all clients share; their names lie on different shards.
const COUNTERS: usize = 6;
/// Between two commands of a client: the load is to be felt, not to be the trouble.
const PAUSE: Duration = Duration::from_millis(2);
/// Before a client that was refused, or found nobody, tries again.
const RETRY: Duration = Duration::from_millis(10);

fn ports_of(nodes: &[Node]) -> Vec<u16> {
    nodes.iter().map(|node| node.ports.client).collect()
}

fn counter_name(counter: usize) -> String {
    format!("counter:{counter}")
}

/// What all clients know.
struct Shared {
    ports: Vec<u16>,
    stop: AtomicBool,
    /// Raised when everybody shall go back to its own node.
    round: AtomicU32,
    /// The highest value of each counter that anybody has seen.
    seen: [AtomicI64; COUNTERS],
    /// Successes of each client.
    successes: Vec<AtomicU64>,
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Record>>,
}

/// What one client remembers.
#[derive(Default)]
struct Record {
    home: usize,
    successes: Vec<Instant>,
    acknowledged: Vec<u32>,
    refused: Vec<u32>,
    counted: Vec<(usize, i64)>,
    /// Counts that may have been executed, by counter.
    uncertain: [i64; COUNTERS],
    /// The longest that a command took that was answered or refused.
    slowest: Duration,
    /// Errors by first word, and how often.
    errors: BTreeMap<String, u32>,
}

/// Everything that was remembered.
pub struct History {
    records: Vec<Record>,
}

/// What became of one command.
enum Outcome {
    Done(Frame),
    /// Not executed, as the reply said.
    Refused,
    /// Perhaps executed.
    Uncertain,
}

impl Load {
    /// Starts `each` clients through every node.
    pub fn start(nodes: &[Node], each: usize) -> Self {
        let load = Self::start_at(ports_of(nodes), each);
        load.wait_success(|_| true);
        load
    }

    /// The same through whoever listens there; nothing is waited for.
    pub fn start_at(ports: Vec<u16>, each: usize) -> Self {
        let count = ports.len() * each;
        let shared = Arc::new(Shared {
            ports,
            stop: AtomicBool::new(false),
            round: AtomicU32::new(0),
            seen: std::array::from_fn(|_| AtomicI64::new(0)),
            successes: (0..count).map(|_| AtomicU64::new(0)).collect(),
        });
        let clients = (0..count)
            .map(|number| {
                let shared = shared.clone();
                std::thread::spawn(move || Worker::new(shared, number).work())
            })
            .collect();
        Self { shared, clients }
    }

    /// Waits until each client whose node is `concerned` has had a success from now on.
    pub fn wait_success(&self, concerned: impl Fn(usize) -> bool) {
        // One may have been on its way.
        self.wait_successes(2, concerned);
    }

    fn wait_successes(&self, wanted: u64, concerned: impl Fn(usize) -> bool) {
        let count = |number: usize| self.shared.successes[number].load(Ordering::SeqCst);
        let before: Vec<u64> = (0..self.shared.successes.len()).map(count).collect();
        let homes = self.shared.ports.len();
        super::wait_for("successes of all clients", || {
            self.watch();
            let has_enough = |(number, before): (usize, &u64)| {
                !concerned(number % homes) || count(number) >= before + wanted
            };
            before.iter().enumerate().all(has_enough).then_some(())
        });
    }

    /// Every client goes back to its own node, and all work for a while.
    pub fn next_round(&self) {
        self.shared.round.fetch_add(1, Ordering::SeqCst);
        self.wait_successes(100, |_| true);
    }

    /// A client that found a promise broken says so itself.
    fn watch(&self) {
        assert!(!self.has_given_up(), "a client gave up; it says why above");
    }

    /// Whether a client found a promise broken.
    pub fn has_given_up(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// The highest value of each counter that anybody has seen, with its name.
    pub fn seen(&self) -> Vec<(String, i64)> {
        let seen = self.shared.seen.iter().map(|seen| seen.load(Ordering::SeqCst));
        seen.enumerate().map(|(counter, seen)| (counter_name(counter), seen)).collect()
    }

    /// Ends the load, and holds what the cluster says now, through each of `nodes`, against everything that was said.
    pub fn conclude(self, nodes: &[Node]) -> History {
        self.conclude_at(&ports_of(nodes))
    }

    /// The same through whoever listens there.
    pub fn conclude_at(self, ports: &[u16]) -> History {
        self.shared.stop.store(true, Ordering::SeqCst);
        let told: Vec<_> = self.clients.into_iter().map(JoinHandle::join).collect();
        // A client that found a promise broken fails the test in its own words.
        let records =
            told.into_iter().map(|record| record.unwrap_or_else(|panic| resume_unwind(panic))).collect();
        let history = History { records };
        history.check(ports);
        history
    }
}

impl History {
    fn check(&self, ports: &[u16]) {
        let mut clients: Vec<Client> = ports.iter().map(|port| Client::connect(*port)).collect();
        for (number, record) in self.records.iter().enumerate() {
            let client = &mut clients[number % ports.len()];
            check_keys(
                client,
                number,
                &record.acknowledged,
                |n| bulk(&n.to_string()),
                "acknowledged and lost",
            );
            check_keys(client, number, &record.refused, |_| Frame::Null, "refused and executed");
        }
        for counter in 0..COUNTERS {
            let mut values = BTreeSet::new();
            for (_, value) in
                self.records.iter().flat_map(|record| &record.counted).filter(|(at, _)| *at == counter)
            {
                assert!(values.insert(*value), "counter {counter} has answered {value} twice");
            }
            let acknowledged = values.len() as i64;
            let uncertain: i64 = self.records.iter().map(|record| record.uncertain[counter]).sum();
            for client in &mut clients {
                let Frame::Bulk(text) = client.call(&["GET", &counter_name(counter)]) else {
                    panic!("it exists")
                };
                let now: i64 = String::from_utf8_lossy(&text).parse().expect("it is a number");
                assert!(
                    (acknowledged..=acknowledged + uncertain).contains(&now),
                    "counter {counter} is {now} after {acknowledged} acknowledged and {uncertain} uncertain counts"
                );
            }
        }
        let slowest = self.records.iter().map(|record| record.slowest).max().unwrap_or_default();
        assert!(slowest <= ANSWER_MAX, "a command took {slowest:?}");
    }

    /// For each client whose node is `concerned`: how long it went without success at most, between the two moments.
    pub fn gaps(&self, from: Instant, to: Instant, concerned: impl Fn(usize) -> bool) -> Vec<Duration> {
        let records = self.records.iter().filter(|record| concerned(record.home));
        records
            .map(|record| {
                let before = record.successes.iter().rev().find(|at| **at <= from).copied();
                let mut last = before.unwrap_or(from);
                let mut longest = Duration::ZERO;
                for success in record.successes.iter().filter(|at| **at > from) {
                    longest = longest.max(success.duration_since(last));
                    last = *success;
                    if last > to {
                        break;
                    }
                }
                longest.max(to.saturating_duration_since(last))
            })
            .collect()
    }

    /// One line about all of it.
    pub fn summary(&self) -> String {
        let sum = |count: fn(&Record) -> usize| self.records.iter().map(count).sum::<usize>();
        let mut errors: BTreeMap<&str, u32> = BTreeMap::new();
        for (error, count) in self.records.iter().flat_map(|record| &record.errors) {
            *errors.entry(error).or_default() += count;
        }
        let slowest = self.records.iter().map(|record| record.slowest).max().unwrap_or_default();
        format!(
            "{} clients, {} successes ({} writes and {} counts acknowledged, {} writes refused), errors {errors:?}, slowest \
             answer {} ms",
            self.records.len(),
            sum(|record| record.successes.len()),
            sum(|record| record.acknowledged.len()),
            sum(|record| record.counted.len()),
            sum(|record| record.refused.len()),
            slowest.as_millis()
        )
    }
}

/// Reads keys of a client's writes in batches, and compares.
fn check_keys(
    client: &mut Client,
    number: usize,
    keys: &[u32],
    wanted: impl Fn(u32) -> Frame,
    otherwise: &str,
) {
    for part in keys.chunks(200) {
        let batch: Vec<u8> = part.iter().flat_map(|n| request(&["GET", &write_name(number, *n)])).collect();
        client.send(&batch).expect("the node answers");
        for n in part {
            let found = client.reply().expect("the node answers").expect("the node answers");
            assert_eq!(found, wanted(*n), "{otherwise}: {}", write_name(number, *n));
        }
    }
}

fn write_name(client: usize, n: u32) -> String {
    format!("write:{client}:{n}")
}

/// The median and the worst of some times, in milliseconds.
pub fn median_and_worst(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let worst = times.last().copied().expect("there are some");
    (times[times.len() / 2], worst)
}

/// One client.
struct Worker {
    shared: Arc<Shared>,
    number: usize,
    at: usize,
    round: u32,
    connection: Option<Client>,
    record: Record,
}

impl Worker {
    fn new(shared: Arc<Shared>, number: usize) -> Self {
        let home = number % shared.ports.len();
        let record = Record { home, ..Record::default() };
        Self { shared, number, at: home, round: 0, connection: None, record }
    }

    fn work(mut self) -> Record {
        for n in 0u32.. {
            if self.shared.stop.load(Ordering::SeqCst) {
                break;
            }
            self.go_home();
            match n % 3 {
                0 => self.write(n),
                1 => self.count((n as usize / 3 + self.number) % COUNTERS),
                _ => self.read((n as usize / 3 + self.number) % COUNTERS),
            }
            std::thread::sleep(PAUSE);
        }
        self.record
    }

    /// Each round begins at one's own node, if it is there.
    fn go_home(&mut self) {
        let round = self.shared.round.load(Ordering::SeqCst);
        if self.round != round {
            self.round = round;
            self.at = self.record.home;
            self.connection = None;
        }
    }

    fn write(&mut self, n: u32) {
        let outcome = self.call(&["SET", &write_name(self.number, n), &n.to_string()]);
        match outcome {
            Outcome::Done(reply) => {
                assert_eq!(reply, ok());
                self.record.acknowledged.push(n);
            }
            Outcome::Refused => self.record.refused.push(n),
            Outcome::Uncertain => {}
        }
    }

    fn count(&mut self, counter: usize) {
        let before = self.shared.seen[counter].load(Ordering::SeqCst);
        match self.call(&["INCR", &counter_name(counter)]) {
            Outcome::Done(Frame::Integer(value)) => {
                assert!(
                    value > before,
                    "counter {counter} answered {value} after somebody had seen {before}"
                );
                self.shared.seen[counter].fetch_max(value, Ordering::SeqCst);
                self.record.counted.push((counter, value));
            }
            Outcome::Done(other) => panic!("INCR answered {other:?}"),
            Outcome::Refused => {}
            Outcome::Uncertain => self.record.uncertain[counter] += 1,
        }
    }

    fn read(&mut self, counter: usize) {
        let before = self.shared.seen[counter].load(Ordering::SeqCst);
        let value = match self.call(&["GET", &counter_name(counter)]) {
            Outcome::Done(Frame::Bulk(text)) => {
                String::from_utf8_lossy(&text).parse().expect("it is a number")
            }
            Outcome::Done(Frame::Null) => 0,
            Outcome::Done(other) => panic!("GET answered {other:?}"),
            Outcome::Refused | Outcome::Uncertain => return,
        };
        let port = self.shared.ports[self.at];
        assert!(
            value >= before,
            "stale: port {port} read {value} of counter {counter}, and {before} had been seen"
        );
        self.shared.seen[counter].fetch_max(value, Ordering::SeqCst);
    }

    fn call(&mut self, words: &[&str]) -> Outcome {
        if self.connection.is_none() {
            match Client::try_connect(self.shared.ports[self.at]) {
                Ok(client) => {
                    client.set_patience(ANSWER_MAX);
                    self.connection = Some(client);
                }
                Err(_) => {
                    self.elsewhere();
                    return Outcome::Refused;
                }
            }
        }
        let connection = self.connection.as_mut().expect("it was just made");
        let begun = Instant::now();
        let answer = connection.try_call(words);
        let took = begun.elapsed();
        match answer {
            Ok(reply) => {
                self.record.slowest = self.record.slowest.max(took);
                self.judge(reply)
            }
            Err(error) => {
                assert!(took < ANSWER_MAX, "{words:?}: no answer within {took:?}: {error}");
                self.elsewhere();
                Outcome::Uncertain
            }
        }
    }

    fn judge(&mut self, reply: Frame) -> Outcome {
        let Some(error) = reply.error() else {
            self.record.successes.push(Instant::now());
            self.shared.successes[self.number].fetch_add(1, Ordering::SeqCst);
            return Outcome::Done(reply);
        };
        let word = error.split(' ').next().unwrap_or_default().to_string();
        *self.record.errors.entry(word.clone()).or_default() += 1;
        std::thread::sleep(RETRY);
        match word.as_str() {
            "NOQUORUM" | "TRYAGAIN" | "LOADING" => Outcome::Refused,
            "UNKNOWN" => Outcome::Uncertain,
            _ => panic!("an error that nobody promised: {error}"),
        }
    }

    fn elsewhere(&mut self) {
        self.connection = None;
        self.at = (self.at + 1) % self.shared.ports.len();
        std::thread::sleep(RETRY);
    }
}
