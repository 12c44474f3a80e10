//! One node as its users meet it: it starts, keeps what it acknowledged, says what is wrong, and isn't put off by
//! whatever is sent to its ports.

mod common;

use common::{Client, Dir, Node, Ports, bulk, ok, request, run, wait_for};
use node::resp::Frame;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn node(dir: &Dir) -> Node {
    let mut node = Node::start(Ports::free(), &["--dir", &dir.at("data")]);
    node.wait_ready();
    node
}

#[test]
fn a_new_node_is_ready_in_well_under_a_second() {
    let dir = Dir::new("quick");
    let begun = Instant::now();
    let node = node(&dir);
    let took = begun.elapsed();
    println!("ready {} ms after its start in a new directory", took.as_millis());
    // On a machine of its own; others run their tests beside this one.
    assert!(took < Duration::from_secs(3), "{took:?}: {}", node.said());
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let dir = Dir::new("kill");
    let mut node = node(&dir);
    let mut client = node.client();
    for number in 0..100 {
        assert_eq!(client.call(&["SET", &format!("key:{number}"), &number.to_string()]), ok());
    }
    node.kill();
    let mut again = Node::start(node.ports, &["--dir", &dir.at("data")]);
    again.wait_ready();
    let mut client = again.client();
    for number in 0..100 {
        assert_eq!(client.call(&["GET", &format!("key:{number}")]), bulk(&number.to_string()));
    }
}

#[test]
fn sigterm_stops_a_node_cleanly() {
    let dir = Dir::new("term");
    let mut node = node(&dir);
    assert_eq!(node.client().call(&["SET", "a", "b"]), ok());
    assert!(node.terminate().success(), "{}", node.said());
    let said = run(&["check", "--dir", &dir.at("data")]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(said.out.contains("Everything is as it was written"), "{}", said.out);
    assert!(said.out.contains("node 1 of cluster"), "{}", said.out);
}

#[test]
fn probes_and_prometheus_are_answered() {
    let dir = Dir::new("http");
    let node = node(&dir);
    assert_eq!(node.http("/healthz").map(|(status, _)| status), Some(200));
    let (status, metrics) = node.http("/metrics").expect("it is served");
    assert_eq!(status, 200);
    assert!(metrics.contains("\nsihai_ready 1\n"), "{metrics}");
    let (status, report) = node.http("/status").expect("it is served");
    assert_eq!(status, 200);
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!((&report["node"], &report["ready"]), (&1.into(), &true.into()));
    assert_eq!(node.http("/nothing").map(|(status, _)| status), Some(404));
}

#[test]
fn status_says_how_it_is() {
    let dir = Dir::new("status");
    let node = node(&dir);
    let address = format!("127.0.0.1:{}", node.ports.client);
    let said = run(&["status", "--addr", &address]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("All is well: 16 shards serve"), "{}", said.out);
    let said = run(&["status", "--json", "--addr", &address]);
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    assert_eq!(report["ready"], true);
    let nobody = Ports::free().client;
    let said = run(&["status", "--addr", &format!("127.0.0.1:{nobody}")]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no node answers at"), "{}", said.err);
}

#[test]
fn flags_that_make_no_sense_are_refused_with_a_sentence() {
    for (flags, sentence) in [
        (&["--port", "notaport"][..], "a port is a number"),
        (&["--bind", "0.0.0.0"], "off loopback a cluster secret is required"),
        (&["--join", "10.0.0.1"], "isn't HOST:PEERPORT"),
        (&["--tls-cert-file", "cert"], "TLS comes in a later release"),
        (&["--log-level", "a=b=c"], "--log-level"),
        (&["--frobnicate"], "--frobnicate"),
    ] {
        let said = run(&[&["serve"][..], flags].concat());
        assert_eq!(said.code, Some(2), "{flags:?}: {}", said.err);
        assert!(said.err.contains(sentence), "{flags:?}: {}", said.err);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let dir = Dir::new("port");
    let node = node(&dir);
    let mut ports = Ports::free();
    ports.client = node.ports.client;
    let flags = ports.flags();
    let flags: Vec<&str> = ["serve", "--dir"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let other = dir.at("other");
    let said = run(&[&flags[..2], &[&other], &flags[2..]].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains(&format!("port {} for clients is in use", ports.client)), "{}", said.err);
    assert_eq!(said.err.trim().lines().count(), 1, "{}", said.err);
}

#[test]
fn a_directory_belongs_to_one_process() {
    let dir = Dir::new("twice");
    let node = node(&dir);
    let flags = Ports::free().flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let said = run(&[&["serve", "--dir", &dir.at("data")][..], &flags].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("is in use by another process"), "{}", said.err);
    assert_eq!(node.client().call(&["SET", "a", "b"]), ok());
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let dir = Dir::new("foreign");
    std::fs::create_dir(dir.at("data")).expect("it can be made");
    std::fs::write(dir.at("data/photo.jpg"), "holidays").expect("it can be written");
    let flags = Ports::free().flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let said = run(&[&["serve", "--dir", &dir.at("data")][..], &flags].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("photo.jpg"), "{}", said.err);
}

#[test]
fn garbage_is_answered_once_and_hung_up_on() {
    let dir = Dir::new("garbage");
    let mut node = node(&dir);
    let mut client = node.client();
    client.send(b"*1\r\n!garbage\r\n").expect("it is open");
    let reply = client.reply().expect("it is answered").expect("it is answered");
    assert!(reply.error().is_some_and(|error| error.contains("Protocol error")), "{reply:?}");
    assert_eq!(client.reply().expect("it is closed in order"), None);

    let mut peer = TcpStream::connect(("127.0.0.1", node.ports.peer)).expect("somebody listens");
    peer.set_read_timeout(Some(common::PATIENCE)).expect("it is a time");
    peer.write_all(&[0x5a; 4096]).expect("it is open");
    let mut said = Vec::new();
    // A reset is as good an end as any for somebody who sends this.
    let _ = peer.read_to_end(&mut said);
    node.wait_said("doesn't speak Sihai's protocol");
    assert!(!node.has_ended());
    assert_eq!(node.client().call(&["PING"]), Frame::Simple(b"PONG".to_vec()));
}

#[test]
fn a_bulk_of_600_megabytes_is_refused_when_it_is_announced() {
    let dir = Dir::new("bulk");
    let node = node(&dir);
    let before = node.memory_bytes();
    let mut client = node.client();
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$629145600\r\n").expect("it is open");
    let reply = client.reply().expect("it is answered").expect("it is answered");
    assert!(reply.error().is_some_and(|error| error.contains("invalid bulk length")), "{reply:?}");
    assert_eq!(client.reply().expect("it is closed in order"), None);
    assert!(node.memory_bytes() < before + (32 << 20));
}

#[test]
fn whoever_stops_sending_is_answered_to_the_last_command() {
    let dir = Dir::new("half");
    let node = node(&dir);
    let mut client = node.client();
    let mut sent = request(&["SET", "a", "0"]);
    for _ in 0..1000 {
        // Counting waits for the disk, and the size for all of it.
        sent.extend(request(&["INCR", "a"]));
        sent.extend(request(&["DBSIZE"]));
    }
    client.send(&sent).expect("it is open");
    client.stream().shutdown(std::net::Shutdown::Write).expect("it is open");
    assert_eq!(client.reply().expect("it is answered"), Some(ok()));
    for number in 1..=1000 {
        assert_eq!(client.reply().expect("it is answered"), Some(Frame::Integer(number)));
        assert_eq!(client.reply().expect("it is answered"), Some(Frame::Integer(1)));
    }
    assert_eq!(client.reply().expect("it is closed in order"), None);
}

#[test]
fn a_slow_reader_costs_bounded_memory_and_nobody_else_anything() {
    let dir = Dir::new("slow");
    let node = node(&dir);
    let value = "v".repeat(1 << 20);
    assert_eq!(node.client().call(&["SET", "big", &value]), ok());
    let before = node.memory_bytes();
    let mut slow = node.client();
    slow.stream().set_write_timeout(Some(Duration::from_millis(200))).expect("it is a time");
    // Asks for a gigabyte, and reads nothing of it.
    let ask = request(&["GET", "big"]).repeat(1024);
    let _ = slow.send(&ask);
    let mut other = node.client();
    for _ in 0..100 {
        assert_eq!(other.call(&["PING"]), Frame::Simple(b"PONG".to_vec()));
    }
    assert!(node.memory_bytes() < before + (400 << 20), "{} MiB", node.memory_bytes() >> 20);
    drop(slow);
    wait_for("its memory given back", || (node.memory_bytes() < before + (300 << 20)).then_some(()));
}

#[test]
fn hundreds_of_idle_clients_cost_little() {
    let dir = Dir::new("idle");
    let node = node(&dir);
    let before = node.memory_bytes();
    // As many as the limit of open files of an ordinary shell leaves room for; `bad_days` opens ten thousand.
    let clients: Vec<Client> = (0..700).map_while(|_| Client::try_connect(node.ports.client).ok()).collect();
    assert!(clients.len() > 500, "{}", clients.len());
    assert_eq!(node.client().call(&["PING"]), Frame::Simple(b"PONG".to_vec()));
    let each = node.memory_bytes().saturating_sub(before) / clients.len() as u64;
    assert!(each < 8 * 1024, "{each} bytes each");
}
