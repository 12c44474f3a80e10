//! Money moves between accounts on different shards while nodes are killed and stopped: nobody ever sees a wrong sum, nothing that
//! was acknowledged is lost, nothing happens by half or twice, and what a dead node's transactions held is free again soon.

mod common;

use base::Rng;
use common::{Client, Dir, Node, alone, cluster, request, wait_for};
use node::resp::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many accounts; without tags in their names they lie on different shards.
const ACCOUNTS: usize = 12;
/// What each holds in the beginning.
const CAPITAL: i64 = 1_000;
/// Who moves money, two through each node.
const TELLERS: usize = 6;
/// Who adds it up, one through each node.
const AUDITORS: usize = 3;
/// Until when every account must be usable again after a node has died or was stopped.
const FREE_AGAIN_MAX: Duration = Duration::from_secs(5);

fn account(number: usize) -> String {
    format!("account:{number}")
}

fn accounts() -> Vec<String> {
    (0..ACCOUNTS).map(account).collect()
}

/// How many transfers a teller has made is written down by each of them, on one more shard.
fn journal(teller: usize) -> String {
    format!("journal:{teller}")
}

/// What a worker has heard.
#[derive(Debug, Default)]
struct Heard {
    done: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    /// Transfers that somebody else's change has stopped.
    changed: AtomicU64,
}

struct Worker {
    heard: Arc<Heard>,
    thread: JoinHandle<()>,
}

/// What came of trying something through a connection.
enum Tried {
    Done,
    Changed,
    Refused,
    /// Whoever asked doesn't know; the connection is of no more use if it broke.
    Unknown,
}

fn work(
    ports: &[u16],
    home: usize,
    stop: &Arc<AtomicBool>,
    mut step: impl FnMut(&mut Client) -> std::io::Result<Tried> + Send + 'static,
) -> Worker {
    let (ports, stop) = (ports.to_vec(), stop.clone());
    let heard = Arc::new(Heard::default());
    let kept = heard.clone();
    let thread = std::thread::spawn(move || {
        let (mut host, mut client) = (home, None);
        while !stop.load(Ordering::Relaxed) {
            let Some(connected) = &mut client else {
                client = Client::try_connect(ports[host]).ok();
                match &client {
                    Some(client) => client.set_patience(Duration::from_secs(8)),
                    None => {
                        host = (host + 1) % ports.len();
                        std::thread::yield_now();
                    }
                }
                continue;
            };
            let count = match step(connected) {
                Ok(Tried::Done) => &heard.done,
                Ok(Tried::Changed) => &heard.changed,
                Ok(Tried::Refused) => &heard.refused,
                Ok(Tried::Unknown) => &heard.unknown,
                Err(_) => {
                    client = None;
                    host = (host + 1) % ports.len();
                    &heard.unknown
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Worker { heard: kept, thread }
}

/// Sends these commands at once and waits for all replies.
fn all(client: &mut Client, commands: &[Vec<String>]) -> std::io::Result<Vec<Frame>> {
    let bytes =
        commands.iter().flat_map(|words| request(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    client.send(&bytes.collect::<Vec<u8>>())?;
    let reply = |_| client.reply()?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into());
    commands.iter().map(reply).collect()
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|word| (*word).to_string()).collect()
}

/// What an EXEC says about its transaction; a connection on which MULTI was refused is no use for another one.
fn exec_said(replies: &[Frame], commands: usize) -> Tried {
    match replies.last() {
        Some(Frame::Array(done)) => {
            assert_eq!(done.len(), commands, "a transaction was answered by half: {replies:?}");
            let failed = done.iter().find(|reply| matches!(reply, Frame::Error(_)));
            assert!(failed.is_none(), "a command failed in a transaction: {failed:?}");
            Tried::Done
        }
        Some(Frame::Null | Frame::NullArray) => Tried::Changed,
        Some(Frame::Error(text)) if text.starts_with(b"UNKNOWN") => Tried::Unknown,
        Some(Frame::Error(text)) => {
            let known = [&b"TRYAGAIN"[..], b"NOQUORUM", b"LOADING", b"EXECABORT", b"ERR EXEC without MULTI"];
            let text_shown = String::from_utf8_lossy(text);
            assert!(known.iter().any(|word| text.starts_with(word)), "EXEC was answered {text_shown}");
            Tried::Refused
        }
        other => panic!("EXEC was answered {other:?}"),
    }
}

/// MULTI is sent alone first: were it refused, what follows would be carried out on its own.
fn begin(client: &mut Client) -> std::io::Result<bool> {
    Ok(!matches!(client.try_call(&["MULTI"])?, Frame::Error(_)))
}

/// Ten from Li Si, ten to Wang Wu, and a line in the journal: blindly, or after a look under WATCH.
fn transfer(client: &mut Client, teller: usize, rng: &mut Rng) -> std::io::Result<Tried> {
    let from = rng.below(ACCOUNTS as u64) as usize;
    let to = (from + 1 + rng.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
    let (from, to, amount) = (account(from), account(to), rng.between(1, 20) as i64);
    let mut commands = if rng.chance(1, 3) {
        let looks = all(client, &[words(&["WATCH", &from, &to]), words(&["MGET", &from, &to])])?;
        let held = match &looks[..] {
            [Frame::Simple(_), Frame::Array(held)] => numbers(held),
            _ => None,
        };
        let Some([first, second]) = held.as_deref() else {
            client.try_call(&["UNWATCH"])?;
            return Ok(Tried::Refused);
        };
        vec![
            words(&["SET", &from, &(first - amount).to_string()]),
            words(&["SET", &to, &(second + amount).to_string()]),
        ]
    } else {
        let amount = amount.to_string();
        vec![words(&["DECRBY", &from, &amount]), words(&["INCRBY", &to, &amount])]
    };
    if !begin(client)? {
        client.try_call(&["UNWATCH"])?;
        return Ok(Tried::Refused);
    }
    commands.extend([words(&["INCR", &journal(teller)]), words(&["EXEC"])]);
    let replies = all(client, &commands)?;
    Ok(exec_said(&replies, commands.len() - 1))
}

/// Adds up all accounts, by MGET or in a transaction: always the same.
fn audit(client: &mut Client, rng: &mut Rng) -> std::io::Result<Tried> {
    let names = accounts();
    let seen = if rng.chance(1, 2) {
        let mut mget = vec!["MGET"];
        mget.extend(names.iter().map(String::as_str));
        client.try_call(&mget)?
    } else {
        if !begin(client)? {
            return Ok(Tried::Refused);
        }
        let mut gets: Vec<Vec<String>> = names.iter().map(|name| words(&["GET", name])).collect();
        gets.push(words(&["EXEC"]));
        let mut replies = all(client, &gets)?;
        replies.pop().unwrap_or(Frame::Null)
    };
    match seen {
        Frame::Array(held) => {
            let held = numbers(&held).unwrap_or_else(|| panic!("an account holds no number: {held:?}"));
            let sum: i64 = held.iter().sum();
            assert_eq!(sum, ACCOUNTS as i64 * CAPITAL, "half a transfer was seen: {held:?}");
            Ok(Tried::Done)
        }
        Frame::Error(_) => Ok(Tried::Refused),
        other => panic!("the accounts were answered {other:?}"),
    }
}

fn numbers(frames: &[Frame]) -> Option<Vec<i64>> {
    let number = |frame: &Frame| match frame {
        Frame::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    };
    frames.iter().map(number).collect()
}

/// Every worker has done something more.
fn wait_success(workers: &[Worker]) {
    let before: Vec<u64> = workers.iter().map(|worker| worker.heard.done.load(Ordering::Relaxed)).collect();
    for (worker, before) in workers.iter().zip(before) {
        assert!(!worker.thread.is_finished(), "a worker has seen something that must not be");
        wait_for("a worker's success", || {
            (worker.thread.is_finished() || worker.heard.done.load(Ordering::Relaxed) > before).then_some(())
        });
    }
}

/// Changes every account through this node; how long it takes until all can be changed.
fn until_free(node: &Node, since: Instant) -> Duration {
    let mut client = node.client();
    for name in accounts() {
        wait_for("an account can be changed", || {
            matches!(client.call(&["INCRBY", &name, "0"]), Frame::Integer(_)).then_some(())
        });
    }
    since.elapsed()
}

#[test]
fn transfers_between_shards_stay_whole_while_nodes_die_and_stop() {
    let _alone = alone();
    let dir = Dir::new("transfers");
    let mut nodes = cluster(&dir, 3);
    let mut founder = nodes[0].client();
    let capital = CAPITAL.to_string();
    let mut mset = vec!["MSET"];
    let names = accounts();
    mset.extend(names.iter().flat_map(|name| [name.as_str(), capital.as_str()]));
    assert_eq!(founder.call(&mset), common::ok());

    let ports: Vec<u16> = nodes.iter().map(|node| node.ports.client).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let tellers: Vec<Worker> = (0..TELLERS)
        .map(|teller| {
            let mut rng = Rng::new(teller as u64 + 1);
            work(&ports, teller % 3, &stop, move |client| transfer(client, teller, &mut rng))
        })
        .collect();
    let auditors: Vec<Worker> = (0..AUDITORS)
        .map(|auditor| {
            let mut rng = Rng::new(auditor as u64 + 100);
            work(&ports, auditor % 3, &stop, move |client| audit(client, &mut rng))
        })
        .collect();
    wait_success(&tellers);
    wait_success(&auditors);

    let mut free = Vec::new();
    for victim in 0..3 {
        let other = (victim + 1) % 3;
        let since = Instant::now();
        nodes[victim].kill();
        free.push(until_free(&nodes[other], since));
        wait_success(&tellers);
        nodes[victim] = Node::start(nodes[victim].ports, &["--dir", &dir.at(&victim.to_string())]);
        nodes[victim].wait_ready();
        wait_success(&auditors);
    }
    for victim in [0, 2] {
        let since = Instant::now();
        nodes[victim].pause();
        free.push(until_free(&nodes[(victim + 1) % 3], since));
        // Long enough that everybody has given up on it.
        std::thread::sleep(Duration::from_secs(4).saturating_sub(since.elapsed()));
        nodes[victim].resume();
        wait_success(&tellers);
        wait_success(&auditors);
    }
    stop.store(true, Ordering::Relaxed);
    let heard: Vec<Arc<Heard>> = tellers.iter().map(|worker| worker.heard.clone()).collect();
    let looked: u64 = auditors.iter().map(|worker| worker.heard.done.load(Ordering::Relaxed)).sum();
    for worker in tellers.into_iter().chain(auditors) {
        worker.thread.join().expect("it has seen nothing that must not be");
    }

    println!("accounts could be changed again after {free:?}");
    for node in &nodes {
        let mut client = node.client();
        wait_for("the last sum", || {
            audit(&mut client, &mut Rng::new(7)).is_ok_and(|tried| matches!(tried, Tried::Done)).then_some(())
        });
        for (teller, heard) in heard.iter().enumerate() {
            let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
            let (done, unknown) = (count(&heard.done), count(&heard.unknown));
            let Frame::Bulk(text) = client.call(&["GET", &journal(teller)]) else { panic!("no journal") };
            let written: u64 = String::from_utf8_lossy(&text).parse().expect("it is a number");
            assert!(
                (done..=done + unknown).contains(&written),
                "teller {teller} was told of {done} transfers, doesn't know of {unknown}, and {written} were made"
            );
        }
    }
    let total = |of: fn(&Heard) -> &AtomicU64| -> u64 {
        heard.iter().map(|heard| of(heard).load(Ordering::Relaxed)).sum()
    };
    println!(
        "{} transfers, {} stopped by others' changes, {} refused, {} of unknown fate; {looked} sums, all right",
        total(|heard| &heard.done),
        total(|heard| &heard.changed),
        total(|heard| &heard.refused),
        total(|heard| &heard.unknown),
    );
    assert!(free.iter().all(|took| *took < FREE_AGAIN_MAX), "{free:?}");
}
