use super::{Ending, Engine, NodeCore};
use crate::client::{self, ClientCounts};
use crate::handshake::{Identity, Secret};
use crate::peers::Links;
use crate::{clock, visitors};
use base::{Core, Duration, NodeId, Outbox, Time};
use bytes::Bytes;
use node::api::{ClientId, Effect, Input, PeerAddress};
use node::overview::Overview;
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What happened to a core, and what it shall do at its next flush.
#[derive(Default)]
struct Diary {
    inputs: Vec<String>,
    flushes: usize,
    /// Bytes from peers, together.
    peer_bytes: usize,
    next: Vec<Effect>,
    deadline: Option<Time>,
}

/// Answers every line of a client with the same line, at the flush; keeps a diary.
struct Echo {
    diary: Rc<RefCell<Diary>>,
    replies: Vec<Effect>,
}

impl Core for Echo {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, _: Time, input: Input, _: &mut Outbox<Effect>) {
        let mut diary = self.diary.borrow_mut();
        match input {
            Input::Connected { client, loopback, .. } => {
                diary.inputs.push(format!("connected {} {loopback}", client.0))
            }
            Input::Received { client, bytes } => {
                diary.inputs.push(format!("received {} {}", client.0, bytes.len()));
                self.replies.push(Effect::Send { client, bytes });
            }
            Input::Backlog { client, bytes } => diary.inputs.push(format!("backlog {} {bytes}", client.0)),
            Input::Finished { client } => {
                diary.inputs.push(format!("finished {}", client.0));
                self.replies.push(Effect::Close { client });
            }
            Input::Closed { client } => diary.inputs.push(format!("closed {}", client.0)),
            Input::PeerUp { node } => diary.inputs.push(format!("up {node}")),
            Input::PeerDown { node } => diary.inputs.push(format!("down {node}")),
            Input::Peer { from, bytes } => {
                diary.peer_bytes += bytes.len();
                diary.inputs.push(format!("frame {from} {}", bytes.len()));
            }
            other => diary.inputs.push(format!("{other:?}")),
        }
    }

    fn flush(&mut self, now: Time, out: &mut Outbox<Effect>) {
        let mut diary = self.diary.borrow_mut();
        diary.flushes += 1;
        if diary.deadline.is_some_and(|deadline| deadline <= now) {
            diary.deadline = None;
            diary.inputs.push("deadline".into());
        }
        for effect in self.replies.drain(..).chain(diary.next.drain(..)) {
            out.push(effect);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.diary.borrow().deadline
    }

    fn check(&self) {}
}

impl NodeCore for Echo {
    fn overview(&self, _: Time) -> Overview {
        Overview::default()
    }
}

/// One engine with its ports.
struct World {
    engine: Rc<Engine<Echo>>,
    diary: Rc<RefCell<Diary>>,
    ended: oneshot::Receiver<Ending>,
    client: SocketAddr,
    peer: SocketAddr,
}

impl World {
    async fn new(node: u32, secret: &str, clients_max: usize) -> Self {
        let diary = Rc::new(RefCell::new(Diary::default()));
        let me = Identity { cluster: 7, node: NodeId(node) };
        let links = Rc::new(Links::new(me, Secret::new(secret.as_bytes().to_vec())));
        let echo = Echo { diary: diary.clone(), replies: Vec::new() };
        let (engine, ended) =
            Engine::new(echo, links, Box::new(|_| {}), Box::new(|_| {}), ClientCounts::new(clients_max));
        let clients = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let peers = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let client = clients.local_addr().expect("it is bound");
        let peer = peers.local_addr().expect("it is bound");
        tokio::task::spawn_local(client::accept(engine.clone(), clients));
        let door: Rc<visitors::Door> = engine.door();
        tokio::task::spawn_local(door.accept(peers));
        Self { engine, diary, ended, client, peer }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.client).await.expect("somebody listens")
    }

    /// Has these effects carried out.
    fn carry_out(&self, effects: Vec<Effect>) {
        self.diary.borrow_mut().next.extend(effects);
        self.engine.want_flush();
    }

    /// Waits until the diary says so.
    async fn wait(&self, what: &str, condition: impl Fn(&Diary) -> bool) {
        let waiting = async {
            while !condition(&self.diary.borrow()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            panic!("in vain: {what}: {:?}", self.diary.borrow().inputs);
        }
    }

    async fn wait_input(&self, input: &str) {
        self.wait(input, |diary| diary.inputs.iter().any(|had| had == input)).await;
    }

    fn peer_address(&self, node: u32) -> PeerAddress {
        PeerAddress { node: NodeId(node), address: self.peer.to_string() }
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime can be made");
    runtime.block_on(test);
}

async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let reading = stream.read_exact(&mut bytes);
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it comes soon").expect("it comes");
    bytes
}

#[test]
fn what_many_clients_sent_is_answered_by_one_flush() {
    run(async {
        let world = World::new(1, "", 100).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(world.connect().await);
        }
        world.wait_input("connected 20 true").await;
        let before = world.diary.borrow().flushes;
        // Written without letting the engine run in between, as if it had been busy.
        for client in &clients {
            assert_eq!(client.try_write(b"hello\n").expect("there is room"), 6);
        }
        for client in &mut clients {
            assert_eq!(read(client, 6).await, b"hello\n");
        }
        let flushes = world.diary.borrow().flushes - before;
        assert!(flushes <= 3, "{flushes} flushes for 20 clients that were ready together");
    });
}

#[test]
fn every_client_that_came_is_said_to_have_gone_once_whoever_hangs_up() {
    run(async {
        let world = World::new(1, "", 100).await;
        let gone = world.connect().await;
        world.wait_input("connected 1 true").await;
        drop(gone);
        world.wait_input("closed 1").await;
        let mut sent_away = world.connect().await;
        world.wait_input("connected 2 true").await;
        world.carry_out(vec![
            Effect::Send { client: ClientId(2), bytes: Bytes::from(vec![b'x'; 3 << 20]) },
            Effect::Close { client: ClientId(2) },
            Effect::Send { client: ClientId(2), bytes: Bytes::from_static(b"too late") },
        ]);
        let mut last_words = Vec::new();
        sent_away.read_to_end(&mut last_words).await.expect("it is closed in order");
        assert_eq!(last_words.len(), 3 << 20);
        drop(sent_away);
        world.wait_input("closed 2").await;
        assert_eq!(world.engine.counts.open(), 0);
        let closed = world.diary.borrow().inputs.iter().filter(|input| input.starts_with("closed")).count();
        assert_eq!(closed, 2);
    });
}

#[test]
fn a_slow_reader_is_reported_until_it_has_caught_up() {
    run(async {
        let world = World::new(1, "", 100).await;
        let mut slow = world.connect().await;
        world.wait_input("connected 1 true").await;
        let pieces =
            (0..64).map(|_| Effect::Send { client: ClientId(1), bytes: Bytes::from(vec![b'x'; 1 << 20]) });
        world.carry_out(pieces.collect());
        let backlog = |diary: &Diary| {
            diary.inputs.iter().any(|input| input.starts_with("backlog 1 ") && input != "backlog 1 0")
        };
        world.wait("a backlog", backlog).await;
        assert_eq!(read(&mut slow, 64 << 20).await.len(), 64 << 20);
        world.wait_input("backlog 1 0").await;
    });
}

#[test]
fn nothing_is_read_from_a_client_that_shall_wait() {
    run(async {
        let world = World::new(1, "", 100).await;
        let mut client = world.connect().await;
        world.wait_input("connected 1 true").await;
        let reading = |on| vec![Effect::Reading { client: ClientId(1), on }];
        world.carry_out(reading(false));
        world.engine.flushed().await;
        client.write_all(b"later\n").await.expect("there is room");
        // Somebody else's whole round trip goes by.
        let mut other = world.connect().await;
        other.write_all(b"now\n").await.expect("there is room");
        assert_eq!(read(&mut other, 4).await, b"now\n");
        assert!(!world.diary.borrow().inputs.contains(&"received 1 6".to_string()));
        world.carry_out(reading(true));
        assert_eq!(read(&mut client, 6).await, b"later\n");
    });
}

#[test]
fn clients_above_the_limit_are_told_so() {
    run(async {
        let world = World::new(1, "", 2).await;
        let _two = (world.connect().await, world.connect().await);
        world.wait_input("connected 2 true").await;
        let mut third = world.connect().await;
        let mut said = String::new();
        third.read_to_string(&mut said).await.expect("it is closed in order");
        assert_eq!(said, "-ERR max number of clients reached\r\n");
    });
}

#[test]
fn the_core_is_flushed_at_its_deadline() {
    run(async {
        let world = World::new(1, "", 2).await;
        let begun = clock::now();
        // A later deadline first: the earlier one must not wait for it.
        world.diary.borrow_mut().deadline = Some(begun + Duration::from_secs(60));
        world.carry_out(Vec::new());
        world.engine.flushed().await;
        world.diary.borrow_mut().deadline = Some(begun + Duration::from_millis(30));
        world.carry_out(Vec::new());
        world.wait_input("deadline").await;
        assert!(clock::now().since(begun) >= Duration::from_millis(30));
    });
}

#[test]
fn a_deadline_that_never_passes_starves_nobody() {
    run(async {
        let world = World::new(1, "", 2).await;
        let diary = world.diary.clone();
        let mut client = world.connect().await;
        world.wait_input("connected 1 true").await;
        let always = tokio::task::spawn_local(poll_fn(move |context| {
            diary.borrow_mut().deadline = Some(Time::ZERO);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        client.write_all(b"still there?\n").await.expect("there is room");
        assert_eq!(read(&mut client, 13).await, b"still there?\n");
        always.abort();
    });
}

#[test]
fn how_it_ends_is_told() {
    run(async {
        let world = World::new(1, "", 2).await;
        world.carry_out(vec![Effect::Fatal("the disk is gone".into()), Effect::Stopped]);
        assert_eq!(world.ended.await, Ok(Ending::Fatal("the disk is gone".into())));
    });
}

#[test]
fn nodes_link_up_and_their_frames_arrive_whole_and_in_order() {
    run(async {
        let (one, two) = (World::new(1, "a secret", 2).await, World::new(2, "a secret", 2).await);
        one.carry_out(vec![Effect::Peers(vec![two.peer_address(2)])]);
        one.wait_input("up 2").await;
        let sizes = [0, 1, 70_000, 3, 20 << 20, 5];
        let frames = sizes.map(|size| Effect::Peer { to: NodeId(2), bytes: Bytes::from(vec![7; size]) });
        one.carry_out(frames.into());
        two.wait("all frames", |diary| diary.peer_bytes == sizes.iter().sum::<usize>()).await;
        let wanted: Vec<String> = sizes.iter().map(|size| format!("frame 1 {size}")).collect();
        two.wait("all frames, in order", |diary| diary.inputs.ends_with(&wanted)).await;
        // Two has no link of its own, so one hears nothing from it.
        two.carry_out(vec![Effect::Peer { to: NodeId(1), bytes: Bytes::from_static(b"lost") }]);
        two.engine.flushed().await;
        assert_eq!(one.diary.borrow().peer_bytes, 0);
    });
}

#[test]
fn a_link_is_made_anew_when_it_breaks_and_ends_when_the_peer_is_no_longer_one() {
    run(async {
        let (one, two) = (World::new(1, "", 2).await, World::new(2, "", 2).await);
        one.carry_out(vec![Effect::Peers(vec![two.peer_address(2)])]);
        one.wait_input("up 2").await;
        one.carry_out(vec![Effect::Relink { node: NodeId(2) }]);
        one.wait_input("down 2").await;
        let ups = |wanted: usize| {
            move |diary: &Diary| diary.inputs.iter().filter(|had| *had == "up 2").count() == wanted
        };
        one.wait("a new link", ups(2)).await;
        // The other side breaks it.
        two.carry_out(vec![Effect::Relink { node: NodeId(1) }]);
        one.wait("a third link", ups(3)).await;
        one.carry_out(vec![Effect::Peers(Vec::new())]);
        one.wait("its end", |diary| diary.inputs.iter().filter(|had| *had == "down 2").count() == 3).await;
    });
}

#[test]
fn nodes_with_different_secrets_never_link_up() {
    run(async {
        let (one, two) = (World::new(1, "a secret", 2).await, World::new(2, "another", 2).await);
        one.carry_out(vec![Effect::Peers(vec![two.peer_address(2)])]);
        // Time for several tries.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(one.diary.borrow().inputs.is_empty(), "{:?}", one.diary.borrow().inputs);
        assert!(two.diary.borrow().inputs.is_empty(), "{:?}", two.diary.borrow().inputs);
    });
}
