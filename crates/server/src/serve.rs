//! The life of a node: ports, disk, cluster, engine, and the end. Reads from top to bottom.

use crate::client;
use crate::clock;
use crate::config::Settings;
use crate::disk::{self, RealDisk};
use crate::engine::{Ending, Engine, NodeCore};
use crate::handshake::Identity;
use crate::http::{self, Desk, Question};
use crate::join::{self, Welcome};
use crate::loading::{self, Early};
use crate::logging;
use crate::machine;
use crate::peers::Links;
use crate::ports;
use crate::workers::Workers;
use base::{Duration, Time};
use node::Node;
use node::api::{Addresses, Input, PeerAddress};
use node::overview::Overview;
use node::scripts::Work;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use storage::{Op, Recovery, Store};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a node may take to hand over what it leads.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the clocks are compared and the machine is measured.
const TICK: Duration = Duration::from_secs(1);
/// A look at everything takes too long for every flush.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// The length of a new directory's first segment, which holds little more than whose it is.
const FIRST_SEGMENT_BYTES: u64 = 256 << 10;
/// How long the name of a member to join may take to resolve when only our own address is wanted.
const RESOLVE_TIMEOUT: Duration = Duration::from_millis(500);

impl NodeCore for Node {
    fn overview(&self, now: Time) -> Overview {
        Node::overview(self, now)
    }
}

/// The open ports.
struct Ports {
    client: TcpListener,
    peer: TcpListener,
    numbers: [u16; 3],
}

/// Runs a node until it is told to stop. The error is a sentence for whoever started it.
pub fn run(settings: Settings) -> Result<(), String> {
    let started = clock::now();
    let clients_max = ports::clients_that_fit(settings.node.clients_max);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| format!("the runtime can't be started: {error}"))?;
    runtime.block_on(live(settings, clients_max, started))
}

async fn live(mut settings: Settings, clients_max: usize, started: Time) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let desk = Desk::default();
    let ports = open_ports(&settings, &desk)?;
    // A new directory is opened again once it is known whose it is: nothing large is allocated, and then read, before.
    let is_new = settings.dirs.iter().all(|dir| disk::is_new(dir));
    let segment_bytes = if is_new { FIRST_SEGMENT_BYTES } else { settings.segment_bytes };
    let (store, recovery) = open_store(&settings, segment_bytes)?;
    let begun = tokio::select! {
        begun = begin(&settings, &ports, clients_max, store, recovery) => begun?,
        () = signals.next() => return Ok(()),
    };
    let Begun { store, recovery, identity, addresses, peers, early } = begun;
    logging::banner(&settings, &addresses, identity.cluster, identity.node.0);
    settings.node.addresses = addresses;
    settings.node.clients_max = clients_max;

    let (completed, completions) = mpsc::unbounded_channel();
    let handle = disk::spawn(
        store,
        Box::new(move |completion| {
            // Nobody waits for it only at the very end.
            let _ = completed.send(completion);
        }),
    )
    .map_err(|error| format!("the disk's thread can't be started: {error}"))?;
    let (worked, works) = mpsc::unbounded_channel();
    let workers = Workers::spawn(move |work| {
        // As above.
        let _ = worked.send(work);
    })
    .map_err(|error| format!("the threads for scripts can't be started: {error}"))?;
    let links = Rc::new(Links::new(identity, settings.secret.clone()));
    let node = Node::new(settings.node.clone(), recovery, peers, clock::now(), clock::wall());
    let (engine, ended) = Engine::new(
        node,
        links,
        Box::new(move |request| handle.submit(request)),
        Box::new(move |work| workers.submit(work)),
        client::ClientCounts::new(clients_max),
    );
    engine.step(clock::now(), Input::WallClock(clock::wall()));
    spawn_local(complete(engine.clone(), completions));
    spawn_local(give_back(engine.clone(), works));
    spawn_local(tick(engine.clone(), settings.dirs[0].clone()));
    spawn_local(report(engine.clone(), desk.open()));
    spawn_local(engine.door().accept(ports.peer));
    for Early { stream, address, bytes } in early {
        client::connect(&engine, stream, address, bytes);
    }
    spawn_local(client::accept(engine.clone(), ports.client));
    spawn_local(announce(engine.clone(), started));
    run_to_end(&engine, ended, &mut signals).await
}

/// Waits for the node's end, or for a signal and then for its end.
async fn run_to_end(
    engine: &Rc<Engine<Node>>,
    mut ended: oneshot::Receiver<Ending>,
    signals: &mut Signals,
) -> Result<(), String> {
    tokio::select! {
        ending = &mut ended => return conclude(ending.ok()),
        () = signals.next() => {}
    }
    tracing::info!("stopping: what this node leads is handed over");
    engine.step(clock::now(), Input::Shutdown);
    tokio::select! {
        ending = timeout(STOP_TIMEOUT, ended) => match ending {
            Ok(ending) => conclude(ending.ok()),
            Err(_) => {
                tracing::warn!(
                    "not everything was handed over within {} s; what was acknowledged is safe, others take over",
                    STOP_TIMEOUT.as_secs()
                );
                Ok(())
            }
        },
        () = signals.next() => {
            tracing::warn!("told to stop twice: stopped at once; what was acknowledged is safe");
            Ok(())
        }
    }
}

fn conclude(ending: Option<Ending>) -> Result<(), String> {
    match ending {
        Some(Ending::Stopped) => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(Ending::Fatal(why)) => Err(why),
        None => Err("the engine has ended without a word".into()),
    }
}

fn open_ports(settings: &Settings, desk: &Desk) -> Result<Ports, String> {
    let client = ports::listen(settings.client, "clients", "--port")?;
    let peer = ports::listen(settings.peer, "peers", "--peer-port")?;
    let http = ports::listen(settings.http, "HTTP", "--http-port")?;
    let number = |listener: &std::net::TcpListener| listener.local_addr().map(|address| address.port());
    let opened = || -> std::io::Result<Ports> {
        let numbers = [number(&client)?, number(&peer)?, number(&http)?];
        http::spawn(http, desk.clone())?;
        Ok(Ports { client: TcpListener::from_std(client)?, peer: TcpListener::from_std(peer)?, numbers })
    };
    opened().map_err(|error| format!("the ports can't be served: {error}"))
}

fn open_store(settings: &Settings, segment_bytes: u64) -> Result<(Store<RealDisk>, Recovery), String> {
    let options =
        storage::Options { segment_bytes, salt: crate::chance::u64() as u32, ..storage::Options::default() };
    let disks = settings.dirs.iter().map(RealDisk::new).collect();
    let (store, recovery) = Store::open(disks, options).map_err(|error| error.to_string())?;
    for note in &recovery.notes {
        tracing::warn!("{note}");
    }
    Ok((store, recovery))
}

/// What is known when a node belongs to a cluster.
struct Begun {
    store: Store<RealDisk>,
    recovery: Recovery,
    identity: Identity,
    addresses: Addresses,
    peers: Vec<PeerAddress>,
    early: Vec<Early>,
}

/// Finds out, or decides, which cluster this node belongs to.
async fn begin(
    settings: &Settings,
    ports: &Ports,
    clients_max: usize,
    store: Store<RealDisk>,
    recovery: Recovery,
) -> Result<Begun, String> {
    let [client, peer, http] = ports.numbers;
    if recovery.identity.is_some() || settings.join.is_empty() {
        let reachable = own_address(settings).await;
        let addresses = settings.addresses(client, peer, http, reachable);
        let (store, recovery) = match recovery.identity {
            Some(_) => (store, recovery),
            None => {
                let config = node::Config { addresses: addresses.clone(), ..settings.node.clone() };
                write_identity(settings, store, Node::found(&config, crate::chance::u128()))?
            }
        };
        return Begun::new(store, recovery, addresses, Vec::new(), Vec::new());
    }
    let (Welcome { cluster, node, peers }, addresses, early) = ask(settings, ports, clients_max).await?;
    let (store, recovery) = write_identity(settings, store, Node::join(cluster, node))?;
    join::forget_nonce(&settings.dirs[0]);
    Begun::new(store, recovery, addresses, peers, early)
}

impl Begun {
    fn new(
        store: Store<RealDisk>,
        recovery: Recovery,
        addresses: Addresses,
        peers: Vec<PeerAddress>,
        early: Vec<Early>,
    ) -> Result<Self, String> {
        let identity = recovery.identity.as_ref().ok_or("the directory forgot at once whose it is")?;
        let identity = Identity { cluster: identity.cluster, node: identity.node };
        Ok(Self { store, recovery, identity, addresses, peers, early })
    }
}

/// Asks to become a member, and tells clients meanwhile that this takes a moment.
async fn ask(
    settings: &Settings,
    ports: &Ports,
    clients_max: usize,
) -> Result<(Welcome, Addresses, Vec<Early>), String> {
    let nonce = join::nonce(&settings.dirs[0]).map_err(|error| error.to_string())?;
    tracing::info!("asking {} to join", settings.join.join(", "));
    let [client, peer, http] = ports.numbers;
    let (joined, begun) = watch::channel(false);
    let why = "sihai is starting: it waits for its cluster to let it join";
    let asking = async {
        let addresses = |local| settings.addresses(client, peer, http, local);
        let answer = join::ask(&settings.join, &settings.secret, nonce, addresses).await;
        joined.send_replace(true);
        answer
    };
    let (answer, early) = tokio::join!(asking, loading::answer(&ports.client, clients_max, why, begun));
    let (welcome, addresses) = answer.map_err(|error| error.to_string())?;
    tracing::info!("this is node {} of cluster {:032x} from now on", welcome.node, welcome.cluster);
    Ok((welcome, addresses, early))
}

/// Writes the first operations into the empty store, and opens it anew.
fn write_identity(
    settings: &Settings,
    mut store: Store<RealDisk>,
    ops: Vec<Op>,
) -> Result<(Store<RealDisk>, Recovery), String> {
    store.write(&ops).map_err(|error| format!("the directory can't be given to a node: {error}"))?;
    drop(store);
    open_store(settings, settings.segment_bytes)
}

/// This machine's address as the members to join, or others, see it; of interest only where all addresses are bound.
async fn own_address(settings: &Settings) -> IpAddr {
    let bound = settings.client.ip();
    if settings.advertise.is_some() || !bound.is_unspecified() {
        return bound;
    }
    let mut towards: Option<SocketAddr> = None;
    if let Some(target) = settings.join.first()
        && let Ok(Ok(mut found)) = timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(target)).await
    {
        towards = found.next();
    }
    let address = ports::reachable(towards, bound);
    tracing::info!("others are told to reach this node at {address}; --advertise says otherwise");
    address
}

/// Gives the node what the disk has done.
async fn complete(
    engine: Rc<Engine<Node>>,
    mut completions: mpsc::UnboundedReceiver<storage::DiskCompletion>,
) {
    while let Some(first) = completions.recv().await {
        let now = clock::now();
        engine.step(now, Input::Disk(first));
        while let Ok(next) = completions.try_recv() {
            engine.step(now, Input::Disk(next));
        }
    }
}

/// Gives the node what the workers have carried out.
async fn give_back(engine: Rc<Engine<Node>>, mut works: mpsc::UnboundedReceiver<Box<Work>>) {
    while let Some(work) = works.recv().await {
        engine.step(clock::now(), Input::Worked(work));
    }
}

/// Once a second: what time it is, and how the machine is.
async fn tick(engine: Rc<Engine<Node>>, dir: impl AsRef<Path>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let machine = machine::measure(dir.as_ref());
        let (now, wall) = (clock::now(), clock::wall());
        engine.step(now, Input::WallClock(wall));
        engine.step(now, Input::Machine(machine));
    }
}

/// Answers the HTTP thread.
async fn report(engine: Rc<Engine<Node>>, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        // Whoever asked may have lost patience.
        let _ = question.send(engine.overview());
    }
}

/// Says when everything serves.
async fn announce(engine: Rc<Engine<Node>>, started: Time) {
    while !engine.overview().ready {
        engine.flushed().await;
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    tracing::info!("ready in {} ms", clock::now().since(started).as_millis());
}

/// What tells a process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals can't be listened to: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
