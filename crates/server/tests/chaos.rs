//! Three nodes as processes, clients at work through all of them, and everything that issue and design promise about bad
//! hours: `kill -9`, SIGSTOP, the loss of all nodes at once, a cut cable. What the clients check is in
//! `common::load`; what they had to wait is printed.

mod common;

use common::load::{Load, median_and_worst};
use common::network::{self, Network};
use common::{Client, Dir, Node, Ports, alone, bulk, cluster, cluster_with, ok, wait_for, wait_voters};
use node::resp::Frame;
use std::time::{Duration, Instant};

/// How long clients whose node is well may be without success.
const WITHOUT_SUCCESS_MAX: Duration = Duration::from_secs(3);
/// Clients through every node.
const EACH: usize = 2;

/// So little log that groups compact theirs all the time, and whoever was away a moment is sent snapshots in pieces.
const TINY_LOGS: [&str; 8] = [
    "--log-bytes-max",
    "8kb",
    "--log-cache-bytes",
    "2kb",
    "--snapshot-chunk-bytes",
    "1kb",
    "--segment-bytes",
    "256kb",
];

/// How often each node is killed: more in a soak (`SIHAI_CHAOS_ROUNDS=100`).
fn rounds_wanted() -> usize {
    std::env::var("SIHAI_CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// The same node again, in its directory.
fn again(node: &Node, dir: &Dir, number: usize, flags: &[&str]) -> Node {
    Node::start(node.ports, &[&["--dir", &dir.at(&number.to_string())], flags].concat())
}

/// Prints what people would want to know, and holds it against the bound.
fn judge_gaps(what: &str, gaps: Vec<Duration>) {
    let (median, worst) = median_and_worst(gaps);
    println!("{what}: without success {} ms (median), {} ms (worst)", median.as_millis(), worst.as_millis());
    assert!(worst < WITHOUT_SUCCESS_MAX, "{what}: {worst:?} without success");
}

#[test]
fn an_empty_cluster_of_three_is_ready_within_two_seconds_of_the_third_join() {
    let _alone = alone();
    let dir = Dir::new("grow");
    let mut nodes = cluster(&dir, 2);
    let target = format!("127.0.0.1:{}", nodes[0].ports.peer);
    let begun = Instant::now();
    nodes.push(Node::start(Ports::free(), &["--dir", &dir.at("2"), "--join", &target]));
    for node in &mut nodes {
        node.wait_ready();
        wait_voters(node, 3);
    }
    let took = begun.elapsed();
    println!("three voters of every group {} ms after the third node was started", took.as_millis());
    // 2 s on a machine of one's own; tests share theirs.
    assert!(took < Duration::from_secs(6), "{took:?}");
    let mut clients: Vec<Client> = nodes.iter().map(Node::client).collect();
    for number in 0..200 {
        let (key, value) = (format!("key:{number}"), number.to_string());
        assert_eq!(clients[number % 3].call(&["SET", &key, &value]), ok());
        for client in &mut clients {
            assert_eq!(client.call(&["GET", &key]), bulk(&value));
        }
    }
}

#[test]
fn kill_9_of_any_node_loses_nothing_and_is_felt_briefly() {
    kill_each("kill -9", &[]);
}

#[test]
fn kill_9_amid_snapshots_loses_nothing_and_is_felt_briefly() {
    kill_each("kill -9 amid snapshots", &TINY_LOGS);
}

fn kill_each(what: &str, flags: &[&str]) {
    let _alone = alone();
    let dir = Dir::new("kill-any");
    let mut nodes = cluster_with(&dir, 3, flags, |_| {});
    let load = Load::start(&nodes, EACH);
    let mut rounds = Vec::new();
    for victim in (0..3).cycle().take(3 * rounds_wanted()) {
        load.next_round();
        let killed = Instant::now();
        nodes[victim].kill();
        load.wait_success(|_| true);
        nodes[victim] = again(&nodes[victim], &dir, victim, flags);
        nodes[victim].wait_ready();
        println!("{what}: node {} is ready again after {} ms", victim + 1, killed.elapsed().as_millis());
        load.wait_success(|_| true);
        rounds.push((victim, killed, Instant::now()));
    }
    let history = load.conclude(&nodes);
    println!("{what}: {}", history.summary());
    let gaps = |of_victim: bool| {
        let of_round = |(victim, from, to): &(usize, Instant, Instant)| {
            history.gaps(*from, *to, |home| (home == *victim) == of_victim)
        };
        rounds.iter().flat_map(of_round).collect()
    };
    judge_gaps(&format!("{what}, clients of the other nodes"), gaps(false));
    judge_gaps(&format!("{what}, clients of the killed node, who go elsewhere"), gaps(true));
}

#[test]
fn a_node_that_is_stopped_for_four_seconds_never_answers_from_the_past() {
    let _alone = alone();
    let dir = Dir::new("pause");
    let nodes = cluster(&dir, 3);
    let load = Load::start(&nodes, EACH);
    let mut rounds = Vec::new();
    // Of three nodes, each leads a third of the keys: two rounds stop leaders as well as followers.
    for victim in [0, 2].into_iter().cycle().take(2 * rounds_wanted()) {
        load.next_round();
        let mut questioners: Vec<Client> = (0..load.seen().len()).map(|_| nodes[victim].client()).collect();
        for client in &mut questioners {
            assert_eq!(client.call(&["PING"]), Frame::Simple(b"PONG".to_vec()));
        }
        let stopped = Instant::now();
        nodes[victim].pause();
        std::thread::sleep(Duration::from_secs(4));
        // The questions wait in its sockets when it wakes up and still believes that it leads.
        let seen = load.seen();
        for (client, (counter, _)) in questioners.iter_mut().zip(&seen) {
            client.send(&common::request(&["GET", counter])).expect("it is connected");
        }
        nodes[victim].resume();
        let resumed = Instant::now();
        for (client, (counter, seen)) in questioners.iter_mut().zip(&seen) {
            match client.reply().expect("it is answered").expect("it is answered") {
                Frame::Bulk(text) => {
                    let now: i64 = String::from_utf8_lossy(&text).parse().expect("it is a number");
                    assert!(now >= *seen, "{counter} is {now}, and {seen} had been seen");
                }
                other => assert!(other.error().is_some(), "{other:?}"),
            }
        }
        load.wait_success(|_| true);
        println!("node {} serves {} ms after SIGCONT", victim + 1, resumed.elapsed().as_millis());
        rounds.push((victim, stopped, Instant::now()));
    }
    let history = load.conclude(&nodes);
    println!("SIGSTOP: {}", history.summary());
    let gaps = rounds
        .iter()
        .flat_map(|(victim, from, to)| history.gaps(*from, *to, |home| home != *victim))
        .collect();
    judge_gaps("SIGSTOP for 4 s, clients of the other nodes", gaps);
}

#[test]
fn all_nodes_killed_at_once_lose_nothing_and_serve_again_soon() {
    let _alone = alone();
    let dir = Dir::new("kill-all");
    let mut nodes = cluster(&dir, 3);
    let load = Load::start(&nodes, EACH);
    for round in 0..2 * rounds_wanted() {
        load.next_round();
        for node in &mut nodes {
            node.kill();
        }
        let mut majority = Instant::now();
        for number in 0..3 {
            if number == 2 {
                majority = Instant::now();
            }
            // A different one comes last in each round.
            let number = (number + round) % 3;
            nodes[number] = again(&nodes[number], &dir, number, &[]);
        }
        load.wait_success(|_| true);
        let took = majority.elapsed();
        println!("all killed: all clients served {} ms after a majority was started", took.as_millis());
        assert!(took < WITHOUT_SUCCESS_MAX, "{took:?}");
        for node in &mut nodes {
            node.wait_ready();
        }
    }
    let history = load.conclude(&nodes);
    println!("all killed: {}", history.summary());
}

#[test]
fn a_cut_off_node_refuses_the_majority_goes_on_and_a_healed_node_serves() {
    let _alone = alone();
    let Some(network) = Network::new() else { return };
    let dir = Dir::new("cut");
    let flags = ["--advertise", network::HOST];
    let mut nodes = cluster_with(&dir, 3, &flags, |ports| network.serve(ports.peer));
    for node in &mut nodes {
        node.wait_ready();
        wait_voters(node, 3);
    }
    let load = Load::start(&nodes, EACH);
    let mut rounds = Vec::new();
    for victim in (0..3).cycle().take(3 * rounds_wanted()) {
        load.next_round();
        let cut = Instant::now();
        network.cut_off(victim as u32 + 1);
        let refused = wait_refusal(&nodes[victim]);
        println!("cut off, node {} refuses after {} ms", victim + 1, cut.elapsed().as_millis());
        assert!(refused < WITHOUT_SUCCESS_MAX, "{refused:?}");
        refuses_at_once(&nodes[victim]);
        load.wait_success(|home| home != victim);
        network.heal();
        let healed = Instant::now();
        load.wait_success(|_| true);
        println!("healed, node {} serves after {} ms", victim + 1, healed.elapsed().as_millis());
        nodes[victim].wait_ready();
        rounds.push((victim, cut, healed));
    }
    let history = load.conclude(&nodes);
    println!("cut: {}", history.summary());
    let gaps = rounds
        .iter()
        .flat_map(|(victim, from, to)| history.gaps(*from, *to, |home| home != *victim))
        .collect();
    judge_gaps("cut, clients on the majority's side", gaps);
}

/// Asks until the node knows that it is alone; the longest that one question took.
fn wait_refusal(node: &Node) -> Duration {
    let mut client = node.client();
    let mut longest = Duration::ZERO;
    wait_for("NOQUORUM", || {
        let begun = Instant::now();
        // A write that was sent to a leader is known to have failed only at its timeout; a read, or what comes later,
        // needn't wait.
        let reply = client.call(&["GET", "cut"]);
        longest = longest.max(begun.elapsed());
        reply.error().is_some_and(|error| error.starts_with("NOQUORUM")).then_some(())
    });
    longest
}

/// Once it knows, nobody waits: for writes, for reads, on any shard, and over all of them.
fn refuses_at_once(node: &Node) {
    let mut client = node.client();
    let keys: Vec<String> = (0..40).map(|number| format!("any:{number}")).collect();
    let mut slowest = Duration::ZERO;
    // Each of its shards finds out by itself, within an election timeout of the others.
    wait_for("every shard knows", || {
        let all = keys
            .iter()
            .all(|key| client.call(&["GET", key]).error().is_some_and(|error| error.starts_with("NOQUORUM")));
        all.then_some(())
    });
    for key in &keys {
        for command in [&["GET", key][..], &["SET", key, "1"], &["DBSIZE"]] {
            let begun = Instant::now();
            let reply = client.call(command);
            slowest = slowest.max(begun.elapsed());
            assert!(
                reply.error().is_some_and(|error| error.starts_with("NOQUORUM")),
                "{command:?}: {reply:?}"
            );
        }
    }
    println!("then it takes at most {} ms to refuse", slowest.as_millis());
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
