//! Days on which something else is wrong: a full disk, a directory of somebody else, a neighbour of another cluster.
//! Each is refused or survived, with a sentence that helps, and nothing acknowledged is lost.

mod common;

use common::{Client, Dir, Node, Ports, alone, bulk, cluster, ok, request, run, sihai, wait_for};
use node::resp::Frame;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

/// A small file system of its own, in a namespace that nobody else sees and that is gone with its holder.
struct SmallDisk {
    holder: Child,
    _open: ChildStdin,
    at: String,
}

impl SmallDisk {
    /// None where the machine doesn't let us; says so.
    fn new(dir: &Dir, mebibytes: u32) -> Option<Self> {
        let at = dir.at("small");
        std::fs::create_dir(&at).expect("it can be made");
        let script = format!("mount -t tmpfs -o size={mebibytes}m none '{at}' && echo mounted && exec cat");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut holder) = holder else {
            println!("SKIPPED: `unshare` isn't installed, so there is no small file system to fill");
            return None;
        };
        let mut line = String::new();
        let said = BufReader::new(holder.stdout.take().expect("it was asked for")).read_line(&mut line);
        let open = holder.stdin.take().expect("it was asked for");
        if said.is_err() || line.trim() != "mounted" {
            println!("SKIPPED: this machine lets nobody mount a file system of his own");
            // It has ended already, or ends by this.
            let _ = holder.kill();
            let _ = holder.wait();
            return None;
        }
        Some(Self { holder, _open: open, at })
    }

    /// A path there, as this process sees it.
    fn path(&self, name: &str) -> String {
        format!("/proc/{}/root{}/{name}", self.holder.id(), self.at)
    }

    /// A node whose data lies there.
    fn node(&self, ports: Ports) -> Node {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["--target", &holder, "--user", "--mount", "--preserve-credentials", "--"]);
        let inner = sihai(&["serve"]);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SIHAI_")) {
            command.env_remove(name);
        }
        Node::start_by(command, ports, &["--dir", &format!("{}/data", self.at), "--segment-bytes", "1mb"])
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_goes_on_when_there_is_room() {
    let _alone = alone();
    let dir = Dir::new("full");
    let Some(disk) = SmallDisk::new(&dir, 24) else { return };
    std::fs::write(disk.path("ballast"), vec![1; 12 << 20]).expect("there is room for it");
    let mut node = disk.node(Ports::free());
    node.wait_ready();
    let mut client = node.client();
    let value = "v".repeat(50_000);
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for number in 0..2000 {
        let key = format!("big:{number}");
        let reply = client.call(&["SET", &key, &value]);
        if reply == ok() {
            acknowledged.push(key);
            continue;
        }
        let sentence = reply.error().expect("it is refused").to_string();
        if refused.is_empty() {
            println!("after {} writes: {sentence}", acknowledged.len());
        }
        // What found the disk full itself may be written once there is room.
        if !sentence.starts_with("UNKNOWN") {
            let known = "TRYAGAIN not executed: the disk of the shard's leader is full";
            assert!(sentence.starts_with(known), "{sentence}");
            refused.push(key);
        }
        if refused.len() == 20 {
            break;
        }
    }
    assert_eq!(refused.len(), 20, "24 MiB are full at last");
    node.wait_said("Writes are refused until there is room");
    for key in &acknowledged {
        assert_eq!(client.call(&["GET", key]), bulk(&value), "{key}");
    }

    std::fs::remove_file(disk.path("ballast")).expect("it is ours");
    let freed = Instant::now();
    wait_for("writes go on", || (client.call(&["SET", "after", "1"]) == ok()).then_some(()));
    println!("writes go on {} ms after there is room", freed.elapsed().as_millis());
    for key in &refused {
        assert_eq!(client.call(&["GET", key]), Frame::Null, "{key} was refused");
    }
    assert!(!node.has_ended());

    node.kill();
    let mut node = disk.node(node.ports);
    node.wait_ready();
    let mut client = node.client();
    assert_eq!(client.call(&["GET", "after"]), bulk("1"));
    for key in &acknowledged {
        assert_eq!(client.call(&["GET", key]), bulk(&value), "{key}");
    }
}

#[test]
fn a_neighbour_of_another_cluster_is_told_so_and_not_listened_to() {
    let dir = Dir::new("neighbour");
    let mut ours = cluster(&dir, 2);
    // Somebody else's node now answers where ours was.
    ours[1].kill();
    let mut theirs = Node::start(ours[1].ports, &["--dir", &dir.at("theirs")]);
    theirs.wait_ready();
    ours[0].wait_said("it refuses: this node belongs to cluster");
    theirs.wait_said("it belongs to cluster");
    assert_eq!(ours[0].client().call(&["PING"]), Frame::Simple(b"PONG".to_vec()));
    assert_eq!(theirs.client().call(&["SET", "a", "b"]), ok());
}

#[test]
fn a_copied_data_directory_is_found_out() {
    let dir = Dir::new("copied");
    let mut nodes = cluster(&dir, 2);
    // Node 1 runs; its directory, copied while it was stopped, is started where node 2 was.
    nodes[0].kill();
    nodes[1].kill();
    copy(&dir.at("0"), &dir.at("copy"));
    nodes[0] = Node::start(nodes[0].ports, &["--dir", &dir.at("0")]);
    let double = Node::start(nodes[1].ports, &["--dir", &dir.at("copy")]);
    nodes[0].wait_said("it refuses: this is node 1, as you say you are: is a data directory used twice");
    double.wait_said("is a data directory used twice");
}

fn copy(from: &str, to: &str) {
    std::fs::create_dir(to).expect("it can be made");
    for file in std::fs::read_dir(from).expect("it is there").map(|file| file.expect("it can be read")) {
        let to = std::path::Path::new(to).join(file.file_name());
        std::fs::copy(file.path(), to).expect("it can be copied");
    }
}

#[test]
fn directories_of_two_nodes_are_no_mirrors() {
    let dir = Dir::new("mixed");
    let mut nodes = cluster(&dir, 2);
    for node in &mut nodes {
        node.kill();
    }
    let flags = nodes[0].ports.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let said = run(&[&["serve", "--dir", &dir.at("0"), "--dir", &dir.at("1")][..], &flags].concat());
    assert_eq!(said.code, Some(1), "{}", said.err);
    println!("{}", said.err.trim());
    assert_eq!(said.err.trim().lines().count(), 1, "{}", said.err);
    // Neither was touched.
    for (number, node) in nodes.iter_mut().enumerate() {
        *node = Node::start(node.ports, &["--dir", &dir.at(&number.to_string())]);
    }
    for node in &mut nodes {
        node.wait_ready();
    }
}

#[test]
fn join_is_only_a_hint_to_who_is_a_member_already() {
    let dir = Dir::new("hint");
    let mut first = Node::start(Ports::free(), &["--dir", &dir.at("first")]);
    first.wait_ready();
    assert_eq!(first.client().call(&["SET", "a", "b"]), ok());
    first.kill();
    let mut other = Node::start(Ports::free(), &["--dir", &dir.at("other")]);
    other.wait_ready();
    let target = format!("127.0.0.1:{}", other.ports.peer);
    let mut again = Node::start(first.ports, &["--dir", &dir.at("first"), "--join", &target]);
    again.wait_ready();
    assert_eq!(again.client().call(&["GET", "a"]), bulk("b"));
    assert_eq!(other.client().call(&["GET", "a"]), Frame::Null);
}

#[test]
fn who_has_the_wrong_secret_or_none_is_told_so_and_ends() {
    let dir = Dir::new("secrets");
    let (right, wrong) = (dir.at("right"), dir.at("wrong"));
    std::fs::write(&right, "the secret of the members").expect("it can be written");
    std::fs::write(&wrong, "the secret of other people").expect("it can be written");
    let with_secret = ["--cluster-secret-file", &right];
    let mut member = Node::start(Ports::free(), &[&["--dir", &dir.at("member")], &with_secret[..]].concat());
    member.wait_ready();
    let (target, data) = (format!("127.0.0.1:{}", member.ports.peer), dir.at("guest"));
    let nobody = format!("127.0.0.1:{}", Ports::free().peer);
    let ports = Ports::free().flags();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    // Somebody who can't be reached beside it changes nothing about that.
    let join = ["serve", "--dir", &data, "--join", &nobody, "--join", &target];
    for (secret, whose) in [
        (&["--cluster-secret-file", &wrong][..], "which has another cluster secret"),
        (&[], "which was given no cluster secret"),
    ] {
        let said = run(&[&join[..], &ports, secret].concat());
        assert_eq!(said.code, Some(1), "{}", said.err);
        let sentence = said.err.lines().last().expect("it says why");
        println!("{sentence}");
        assert!(sentence.starts_with(&format!("sihai: {target} refuses this node, {whose}")), "{sentence}");
        assert!(sentence.contains("--cluster-secret-file"), "{sentence}");
    }
    member.wait_said("it doesn't know this cluster's secret");

    // The same directory joins once it is given the right one.
    let mut guest =
        Node::start(Ports::free(), &[&["--dir", &data, "--join", &target], &with_secret[..]].concat());
    guest.wait_ready();
    assert_eq!(guest.client().call(&["SET", "a", "b"]), ok());
    assert_eq!(member.client().call(&["GET", "a"]), bulk("b"));
}

#[test]
fn who_cannot_reach_its_target_waits_for_it() {
    let dir = Dir::new("late");
    let target_ports = Ports::free();
    let target = format!("127.0.0.1:{}", target_ports.peer);
    let mut guest = Node::start(Ports::free(), &["--dir", &dir.at("guest"), "--join", &target]);
    guest.wait_said("hasn't let this node join yet");
    assert!(!guest.has_ended());
    let mut member = Node::start(target_ports, &["--dir", &dir.at("member")]);
    member.wait_ready();
    guest.wait_ready();
}

#[test]
fn ten_thousand_idle_clients_cost_little_and_one_more_is_told_why() {
    const CLIENTS: usize = 10_000;
    /// What the system gives to one address may not do for all of them.
    const EACH_ADDRESS: usize = 1_000;
    let _alone = alone();
    if let Err(why) = allow_open_files(CLIENTS as u64 + 500) {
        println!("SKIPPED: {why}");
        return;
    }
    let dir = Dir::new("idle");
    let mut node = Node::start(Ports::free(), &["--dir", &dir.at("data")]);
    node.wait_ready();
    if node.said().contains("leaves room for") {
        println!("SKIPPED: the node may not open that many files");
        return;
    }
    let before = node.memory_bytes();
    let begun = Instant::now();
    let from = |number: usize| [127, 0, 0, 1 + (number / EACH_ADDRESS) as u8];
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| Client::connect_from(from(number), node.ports.client)).collect();
    // The system takes connections in before the node does.
    wait_for("all are taken in", || {
        let Frame::Bulk(text) = clients[0].call(&["INFO", "clients"]) else { panic!("INFO is a text") };
        let count = format!("connected_clients:{CLIENTS}\r\n");
        String::from_utf8_lossy(&text).contains(&count).then_some(())
    });
    println!("{CLIENTS} clients are connected after {} ms", begun.elapsed().as_millis());

    let mut refused = Client::connect_from([127, 0, 0, 20], node.ports.client);
    let sentence = refused.reply().expect("it is told").expect("it is told");
    assert_eq!(sentence, Frame::Error(b"ERR max number of clients reached".to_vec()));
    assert_eq!(refused.reply().expect("it is hung up on"), None);
    let grown = node.memory_bytes().saturating_sub(before);
    println!("they take {} KiB", grown >> 10);
    assert!(grown < 64 << 20, "{grown} bytes");
    assert_eq!(clients[0].call(&["SET", "a", "b"]), ok());
    assert_eq!(clients[CLIENTS - 1].call(&["GET", "a"]), bulk("b"));

    // Who leaves makes room.
    clients.truncate(CLIENTS - 1);
    wait_for("there is room again", || {
        let mut client = Client::connect_from([127, 0, 0, 20], node.ports.client);
        client.try_call(&["GET", "a"]).is_ok_and(|reply| reply == bulk("b")).then_some(())
    });
}

/// Raises this process's own limit, as far as that is needed.
fn allow_open_files(needed: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        return Err(format!("{needed} open files are needed, and the hard limit is {maximum}"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit })
        .map_err(|error| format!("the limit of open files can't be raised to {needed}: {error}"))
}

#[test]
fn two_hundred_thousand_keys_are_back_soon_after_a_restart() {
    const KEYS: u32 = 200_000;
    let _alone = alone();
    let dir = Dir::new("many");
    let mut node = Node::start(Ports::free(), &["--dir", &dir.at("data")]);
    node.wait_ready();
    let mut client = node.client();
    let begun = Instant::now();
    let numbers: Vec<u32> = (0..KEYS).collect();
    for part in numbers.chunks(1000) {
        let batch: Vec<u8> =
            part.iter().flat_map(|n| request(&["SET", &format!("key:{n}"), &format!("value:{n}")])).collect();
        client.send(&batch).expect("it is open");
        for _ in part {
            assert_eq!(client.reply().expect("it is answered"), Some(ok()));
        }
    }
    println!("{KEYS} keys written in {} ms", begun.elapsed().as_millis());
    node.kill();
    let begun = Instant::now();
    let mut node = Node::start(node.ports, &["--dir", &dir.at("data")]);
    node.wait_ready();
    println!("ready with them {} ms after the start", begun.elapsed().as_millis());
    let mut client = node.client();
    assert_eq!(client.call(&["DBSIZE"]), Frame::Integer(i64::from(KEYS)));
    check_some(&mut client, KEYS);
}

fn check_some(client: &mut Client, keys: u32) {
    for n in (0..keys).step_by(997) {
        assert_eq!(client.call(&["GET", &format!("key:{n}")]), bulk(&format!("value:{n}")));
    }
}
