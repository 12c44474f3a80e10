//! The clients of `common::load` are believed because they can fail: against a server that breaks a promise each of
//! them turns red and says which, and against one that keeps them all none does.

mod common;

use common::load::Load;
use node::resp::{Limits, Progress, Reader};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a server breaks its word, once it has answered a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// It keeps it.
    None,
    /// A write is acknowledged and not done.
    LosesWrite,
    /// A write is refused as not executed, and done.
    DoesWhatItRefuses,
    /// A read answers from the past.
    ReadsStale,
    /// A count answers what an earlier one has answered.
    RepeatsCount,
    /// A count is acknowledged and taken back later.
    LosesCount,
    /// A count is done twice and answered once.
    CountsTwice,
    /// What nobody may say.
    InventsError,
    /// A command isn't answered for too long.
    IsSlow,
}

/// A server with one copy of everything, in a thread for each client.
struct Liar {
    port: u16,
    data: Arc<Mutex<Data>>,
}

struct Data {
    lie: Lie,
    values: BTreeMap<Vec<u8>, i64>,
    counts: BTreeMap<Vec<u8>, u32>,
    /// How often it has lied.
    lies: u32,
}

/// How often a command is answered honestly before, so that there is something to lie about.
const HONEST: u32 = 20;

impl Liar {
    fn start(lie: Lie) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let data = Data { lie, values: BTreeMap::new(), counts: BTreeMap::new(), lies: 0 };
        let data = Arc::new(Mutex::new(data));
        let shared = data.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, data) = (stream.expect("it can be accepted"), shared.clone());
                std::thread::spawn(move || serve(stream, &data));
            }
        });
        Self { port, data }
    }

    fn lies(&self) -> u32 {
        self.data.lock().expect("nobody panics with it").lies
    }
}

/// Until the client has gone.
fn serve(mut stream: TcpStream, data: &Mutex<Data>) {
    let mut reader = Reader::new(Limits::default());
    let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        while let Ok(Progress::Command { consumed }) = reader.next(&input) {
            let words: Vec<Vec<u8>> = reader.args(&input).map(<[u8]>::to_vec).collect();
            input.drain(..consumed);
            let (reply, wait) = data.lock().expect("nobody panics with it").answer(&words);
            std::thread::sleep(wait);
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => input.extend_from_slice(&chunk[..count]),
        }
    }
}

impl Data {
    /// The reply, and how long it is kept back.
    fn answer(&mut self, words: &[Vec<u8>]) -> (String, Duration) {
        let (name, key) = (&words[0][..], &words[1]);
        let count = self.counts.entry(name.to_vec()).or_default();
        *count += 1;
        let is_counter = key.starts_with(b"counter:");
        let concerned = match self.lie {
            Lie::None => false,
            Lie::LosesWrite | Lie::DoesWhatItRefuses => name == b"SET",
            // Of the last counts some may not have been heard of yet.
            Lie::ReadsStale => name == b"GET" && is_counter && self.values.get(key) > Some(&10),
            Lie::RepeatsCount | Lie::LosesCount | Lie::CountsTwice => name == b"INCR",
            Lie::InventsError | Lie::IsSlow => true,
        };
        let lie = if concerned && *count > HONEST && self.lies == 0 { self.lie } else { Lie::None };
        self.lies += u32::from(lie != Lie::None);
        let value = self.values.get(key).copied();
        let reply = match (name, lie) {
            (_, Lie::InventsError) => "-ERR something else\r\n".to_string(),
            (b"SET", _) => {
                let text = String::from_utf8_lossy(&words[2]);
                if lie != Lie::LosesWrite {
                    self.values.insert(key.clone(), text.parse().expect("the load writes numbers"));
                }
                let refusal = "-TRYAGAIN not executed\r\n";
                if lie == Lie::DoesWhatItRefuses { refusal } else { "+OK\r\n" }.to_string()
            }
            (b"INCR", _) => {
                let before = value.unwrap_or(0);
                let (answered, after) = match lie {
                    Lie::RepeatsCount => (before, before),
                    Lie::LosesCount => (before + 1, before),
                    Lie::CountsTwice => (before + 1, before + 2),
                    _ => (before + 1, before + 1),
                };
                self.values.insert(key.clone(), after);
                format!(":{answered}\r\n")
            }
            (b"GET", Lie::ReadsStale) => bulk(1),
            (b"GET", _) => value.map_or("$-1\r\n".to_string(), bulk),
            (other, _) => panic!("the load sends no {}", String::from_utf8_lossy(other)),
        };
        (reply, if lie == Lie::IsSlow { Duration::from_secs(30) } else { Duration::ZERO })
    }
}

fn bulk(value: i64) -> String {
    let text = value.to_string();
    format!("${}\r\n{text}\r\n", text.len())
}

/// What clients say about a server that lies so; nothing if they believe it.
fn said_about(lie: Lie) -> Option<String> {
    let liar = Liar::start(lie);
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let load = Load::start_at(vec![liar.port], 3);
        let begun = Instant::now();
        common::wait_for("something to judge", || {
            let told = lie == Lie::None || liar.lies() > 0;
            (load.has_given_up() || (told && begun.elapsed() > Duration::from_secs(1))).then_some(())
        });
        load.conclude_at(&[liar.port]);
    }));
    assert_eq!(liar.lies() > 0, lie != Lie::None, "{lie:?} was told");
    let panic = judged.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .expect("a panic says something"),
    )
}

#[test]
fn a_server_that_keeps_every_promise_is_believed() {
    assert_eq!(said_about(Lie::None), None);
}

/// The clients say one of these about it: who meets it first decides which.
fn is_found_out(lie: Lie, sentences: &[&str]) {
    let said = said_about(lie).unwrap_or_else(|| panic!("nobody noticed: {lie:?}"));
    assert!(sentences.iter().any(|sentence| said.contains(sentence)), "{lie:?}: {said}");
}

#[test]
fn an_acknowledged_write_that_is_lost_is_noticed() {
    is_found_out(Lie::LosesWrite, &["acknowledged and lost"]);
}

#[test]
fn a_refused_write_that_was_executed_is_noticed() {
    is_found_out(Lie::DoesWhatItRefuses, &["refused and executed"]);
}

#[test]
fn a_stale_read_is_noticed() {
    is_found_out(Lie::ReadsStale, &["stale: port"]);
}

#[test]
fn a_count_that_is_repeated_is_noticed() {
    is_found_out(Lie::RepeatsCount, &["after somebody had seen", "twice"]);
}

#[test]
fn a_count_that_is_lost_is_noticed() {
    is_found_out(Lie::LosesCount, &["after somebody had seen", "stale: port", "twice"]);
}

#[test]
fn a_count_that_was_done_twice_is_noticed() {
    is_found_out(Lie::CountsTwice, &["acknowledged and 0 uncertain counts"]);
}

#[test]
fn an_error_that_nobody_promised_is_noticed() {
    is_found_out(Lie::InventsError, &["an error that nobody promised"]);
}

#[test]
fn an_answer_that_takes_too_long_is_noticed() {
    is_found_out(Lie::IsSlow, &["no answer within"]);
}
