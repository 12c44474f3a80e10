//! Several nodes as processes of one machine: they join, answer for each other, and go on when one is killed.

mod common;

use common::{Dir, Node, Ports, bulk, cluster, ok, run, wait_for, wait_voters};
use node::resp::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn three_nodes_join_and_read_each_others_writes_at_once() {
    let dir = Dir::new("three");
    let nodes = cluster(&dir, 3);
    for node in &nodes {
        wait_voters(node, 3);
    }
    let mut clients: Vec<_> = nodes.iter().map(Node::client).collect();
    for number in 0..60 {
        let (key, value) = (format!("key:{number}"), number.to_string());
        assert_eq!(clients[number % 3].call(&["SET", &key, &value]), ok());
        for client in &mut clients {
            assert_eq!(client.call(&["GET", &key]), bulk(&value));
        }
    }
}

#[test]
fn no_acknowledged_write_is_lost_when_nodes_are_killed_under_load() {
    let dir = Dir::new("killed");
    let mut nodes = cluster(&dir, 3);
    for node in &mut nodes {
        node.wait_ready();
        wait_voters(node, 3);
    }
    let stop = Arc::new(AtomicBool::new(false));
    // One writer through the node that stays: what it was told is written must be there at the end.
    let writer = {
        let (stop, port) = (stop.clone(), nodes[0].ports.client);
        std::thread::spawn(move || {
            let mut client = common::Client::connect(port);
            let mut acknowledged = Vec::new();
            for number in 0u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if client.call(&["SET", &format!("w:{number}"), &number.to_string()]) == ok() {
                    acknowledged.push(number);
                }
            }
            acknowledged
        })
    };
    for _ in 0..2 {
        for number in [1, 2] {
            nodes[number].kill();
            let flags = ["--dir", &dir.at(&number.to_string()), "--join", "127.0.0.1:1"];
            nodes[number] = Node::start(nodes[number].ports, &flags);
            nodes[number].wait_ready();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writer.join().expect("the writer ends");
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let mut client = nodes[1].client();
    for number in acknowledged {
        assert_eq!(client.call(&["GET", &format!("w:{number}")]), bulk(&number.to_string()));
    }
}

#[test]
fn who_waits_for_a_cluster_answers_loading_and_joins_when_it_appears() {
    let dir = Dir::new("waits");
    let founder = Ports::free();
    let target = format!("127.0.0.1:{}", founder.peer);
    let mut guest = Node::start(Ports::free(), &["--dir", &dir.at("guest"), "--join", &target]);
    guest.wait_said("hasn't let this node join yet");
    let mut client = guest.client();
    let reply = client.call(&["PING"]);
    assert!(reply.error().is_some_and(|error| error.starts_with("LOADING")), "{reply:?}");
    assert_eq!(guest.http("/readyz").map(|(status, _)| status), Some(503));
    assert_eq!(guest.http("/healthz").map(|(status, _)| status), Some(200));
    let mut first = Node::start(founder, &["--dir", &dir.at("first")]);
    first.wait_ready();
    guest.wait_ready();
    // The same connection goes on with the node.
    wait_for("PONG", || (client.call(&["PING"]) == Frame::Simple(b"PONG".to_vec())).then_some(()));
    assert!(guest.said().contains("this is node 2 of cluster"), "{}", guest.said());
}

#[test]
fn a_wrong_secret_is_said_on_both_sides() {
    let dir = Dir::new("secret");
    for (name, secret) in
        [("right", "correct horse battery staple"), ("wrong", "incorrect horse battery staple")]
    {
        std::fs::write(dir.at(name), secret).expect("it can be written");
    }
    let mut first =
        Node::start(Ports::free(), &["--dir", &dir.at("0"), "--cluster-secret-file", &dir.at("right")]);
    first.wait_ready();
    let target = format!("127.0.0.1:{}", first.ports.peer);
    let join = ["--join", target.as_str(), "--cluster-secret-file"];
    let (data, wrong) = (dir.at("1"), dir.at("wrong"));
    let stranger = Node::start(Ports::free(), &[&["--dir", &data][..], &join, &[&wrong]].concat());
    stranger.wait_said("the cluster secret differs");
    first.wait_said("doesn't know this cluster's secret");
    drop(stranger);
    let right = dir.at("right");
    let mut member = Node::start(Ports::free(), &[&["--dir", &data][..], &join, &[&right]].concat());
    member.wait_ready();
}

#[test]
fn status_shows_every_node() {
    let dir = Dir::new("shown");
    let nodes = cluster(&dir, 3);
    wait_voters(&nodes[2], 3);
    let text = wait_for("all is well", || {
        let said = run(&["status", "--addr", &format!("127.0.0.1:{}", nodes[2].ports.client)]);
        said.out.starts_with("All is well").then_some(said.out)
    });
    for node in &nodes {
        assert!(text.contains(&format!("127.0.0.1:{}", node.ports.client)), "{text}");
    }
    assert!(text.contains("on the disks of 2 nodes"), "{text}");
}

#[test]
fn a_node_that_is_told_to_stop_hands_over_first() {
    let dir = Dir::new("handover");
    let mut nodes = cluster(&dir, 3);
    wait_voters(&nodes[0], 3);
    let stopping = nodes.remove(0);
    let mut client = nodes[0].client();
    let mut stopping = stopping;
    assert!(stopping.terminate().success(), "{}", stopping.said());
    let begun = std::time::Instant::now();
    wait_for("writes go on", || (client.call(&["SET", "after", "1"]) == ok()).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(5));
}
