//! Links to the other nodes. Each pair of nodes has two connections: each dials the other and sends on what it dialed,
//! so that neither waits for the other's idea of who should call. A link that breaks is made anew, sooner at first and
//! then about once a second; what was on its way is lost, and whoever needs an answer asks again.
//!
//! Nobody's message is read before both ends have proved that they know the cluster's secret. Without a secret, only
//! processes of this machine are talked to.

use crate::chance;
use crate::clock;
use crate::engine::{Inlet, poll_write_queue, write_queue};
use crate::frame;
use crate::handshake::{self, Call, HandshakeError, Identity, Secret};
use crate::outgoing::Outgoing;
use base::{Duration, NodeId, Rng};
use bytes::Bytes;
use node::api::{Input, PeerAddress};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How much may wait for one node; beyond it messages are dropped, which the protocols above repair.
const OUTGOING_BYTES_MAX: usize = frame::BYTES_MAX;
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait after the first failure.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// All links of a node.
pub struct Links {
    me: Identity,
    secret: Secret,
    rng: RefCell<Rng>,
    outgoing: RefCell<BTreeMap<NodeId, Rc<Link>>>,
    /// Accepted connections, each with what breaks it.
    pub(crate) incoming: RefCell<BTreeMap<NodeId, Rc<Notify>>>,
    /// Links for which something was queued in this round.
    dirty: RefCell<Vec<Rc<Link>>>,
}

/// Our connection to one node.
struct Link {
    node: NodeId,
    address: String,
    queue: RefCell<Outgoing>,
    /// There while the link is up.
    socket: RefCell<Option<OwnedWriteHalf>>,
    dirty: Cell<bool>,
    /// The socket was full when something was last written.
    full: Cell<bool>,
    broken: Cell<bool>,
    /// Messages were dropped since the link came up.
    dropped: Cell<bool>,
    retry: Notify,
    waker: RefCell<Option<Waker>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Links {
    /// For a node of this identity.
    pub fn new(me: Identity, secret: Secret) -> Self {
        Self {
            me,
            secret,
            rng: RefCell::new(Rng::new(chance::u64())),
            outgoing: RefCell::default(),
            incoming: RefCell::default(),
            dirty: RefCell::default(),
        }
    }

    /// Keeps links with exactly these nodes; those whose links were up and are given up are returned.
    pub fn set_peers(&self, peers: Vec<PeerAddress>, inlet: &Rc<dyn Inlet>) -> Vec<NodeId> {
        let mut down = Vec::new();
        let mut links = self.outgoing.borrow_mut();
        links.retain(|node, link| {
            let keep = peers.iter().any(|peer| peer.node == *node && peer.address == link.address);
            if !keep {
                if let Some(task) = link.task.take() {
                    task.abort();
                }
                if link.socket.take().is_some() {
                    down.push(*node);
                }
            }
            keep
        });
        for peer in peers.into_iter().filter(|peer| peer.node != self.me.node) {
            links.entry(peer.node).or_insert_with(|| {
                let link = Rc::new(Link::new(peer.node, peer.address));
                let caller = Caller {
                    me: self.me.clone(),
                    secret: self.secret.clone(),
                    rng: self.rng.borrow_mut().fork(),
                };
                let task = tokio::task::spawn_local(caller.keep(link.clone(), inlet.clone()));
                *link.task.borrow_mut() = Some(task.abort_handle());
                link
            });
        }
        down
    }

    /// Queues one frame until the end of the round; drops it if there is no link.
    pub fn send(&self, to: NodeId, body: Bytes) {
        let links = self.outgoing.borrow();
        let Some(link) = links.get(&to).filter(|link| link.socket.borrow().is_some()) else { return };
        let mut queue = link.queue.borrow_mut();
        if queue.bytes() + body.len() > OUTGOING_BYTES_MAX {
            if !link.dropped.replace(true) {
                tracing::warn!(
                    "node {to} reads too slowly: {} MiB wait for it, and messages are dropped",
                    queue.bytes() >> 20
                );
            }
            return;
        }
        queue.push(Bytes::copy_from_slice(&frame::header(&body)));
        queue.push(body);
        if !link.dirty.replace(true) {
            self.dirty.borrow_mut().push(link.clone());
        }
    }

    /// Writes what the sockets take.
    pub fn write_now(&self, scratch: &mut Vec<u8>) {
        let mut dirty = self.dirty.take();
        for link in dirty.drain(..) {
            link.dirty.set(false);
            link.write_now(scratch);
        }
        self.dirty.replace(dirty);
    }

    /// Breaks both connections with a node and dials it at once.
    pub fn relink(&self, node: NodeId) {
        if let Some(link) = self.outgoing.borrow().get(&node) {
            link.broken.set(true);
            link.wake();
            link.retry.notify_one();
        }
        if let Some(incoming) = self.incoming.borrow().get(&node) {
            incoming.notify_one();
        }
    }

    /// Who this node is.
    pub fn me(&self) -> &Identity {
        &self.me
    }

    /// What it proves itself with.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl Link {
    fn new(node: NodeId, address: String) -> Self {
        Self {
            node,
            address,
            queue: RefCell::default(),
            socket: RefCell::default(),
            dirty: Cell::new(false),
            full: Cell::new(false),
            broken: Cell::new(false),
            dropped: Cell::new(false),
            retry: Notify::new(),
            waker: RefCell::default(),
            task: RefCell::default(),
        }
    }

    fn write_now(&self, scratch: &mut Vec<u8>) {
        let socket = self.socket.borrow();
        let Some(socket) = socket.as_ref().filter(|_| !self.full.get() && !self.broken.get()) else { return };
        let mut queue = self.queue.borrow_mut();
        if write_queue(&mut queue, scratch, socket).is_err() {
            self.broken.set(true);
        }
        if !queue.is_empty() {
            self.full.set(true);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// From the handshake to the end; why it ended.
    async fn live(self: Rc<Self>, stream: TcpStream, inlet: &Rc<dyn Inlet>) -> io::Error {
        let (read, write) = stream.into_split();
        self.queue.borrow_mut().clear();
        self.full.set(false);
        self.broken.set(false);
        self.dropped.set(false);
        *self.socket.borrow_mut() = Some(write);
        inlet.input(clock::now(), Input::PeerUp { node: self.node });
        let why = self.carry(read).await;
        self.socket.take();
        self.queue.borrow_mut().clear();
        inlet.input(clock::now(), Input::PeerDown { node: self.node });
        why
    }

    /// Carries what is sent until the link breaks; why it did.
    async fn carry(&self, mut read: OwnedReadHalf) -> io::Error {
        let mut scratch = Vec::new();
        poll_fn(|context| {
            if self.broken.get() {
                return Poll::Ready(io::Error::other("it was given up"));
            }
            if self.full.get() {
                let mut socket = self.socket.borrow_mut();
                let Some(socket) = socket.as_mut() else {
                    return Poll::Ready(io::Error::other("it was given up"));
                };
                let mut queue = self.queue.borrow_mut();
                if let Err(error) = poll_write_queue(&mut queue, &mut scratch, socket, context) {
                    return Poll::Ready(error);
                }
                self.full.set(!queue.is_empty());
            }
            if let Poll::Ready(end) = poll_end(&mut read, context) {
                return Poll::Ready(end);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// The other side sends nothing on what we dialed: only its end is to be read.
fn poll_end(read: &mut OwnedReadHalf, context: &mut Context<'_>) -> Poll<io::Error> {
    let mut byte = [0; 1];
    let mut buffer = ReadBuf::new(&mut byte);
    match Pin::new(read).poll_read(context, &mut buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(error),
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(io::Error::other("it was closed")),
        Poll::Ready(Ok(())) => Poll::Ready(io::Error::other("something came where nothing should")),
    }
}

/// Who keeps one link.
struct Caller {
    me: Identity,
    secret: Secret,
    rng: Rng,
}

impl Caller {
    /// Dials, carries, and dials again, for ever.
    async fn keep(mut self, link: Rc<Link>, inlet: Rc<dyn Inlet>) {
        let (node, address) = (link.node, &link.address);
        let mut wait = RETRY_MIN;
        let mut said = String::new();
        loop {
            match self.dial(&link).await {
                Ok(stream) => {
                    tracing::info!("link to node {node} at {address} is up");
                    said.clear();
                    let since = clock::now();
                    let why = link.clone().live(stream, &inlet).await;
                    tracing::warn!("link to node {node} at {address} broke: {why}");
                    if clock::now().since(since) > RETRY_MAX {
                        wait = RETRY_MIN;
                        continue;
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != said {
                        tracing::warn!("no link to node {node} at {address}: {error}; trying again");
                        said = error;
                    }
                }
            }
            let jitter = 0.5 + self.rng.below(1000) as f64 / 2000.0;
            // Whoever asks for the link anew doesn't want to wait.
            if timeout(wait.mul_f64(jitter), link.retry.notified()).await.is_ok() {
                wait = RETRY_MIN;
            } else {
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
    }

    async fn dial(&mut self, link: &Link) -> Result<TcpStream, HandshakeError> {
        let mut stream = connect(&link.address, &self.secret).await?;
        let call = Call::Member { me: self.me.clone(), to: link.node };
        handshake::dial(&mut stream, &call, &self.secret, chance::bytes()).await?;
        Ok(stream)
    }
}

/// Connects to a peer port. Without a secret, only on this machine.
pub(crate) async fn connect(address: &str, secret: &Secret) -> io::Result<TcpStream> {
    let connecting = async {
        let mut last = io::Error::other("the name has no address");
        for resolved in tokio::net::lookup_host(address).await? {
            if !secret.is_some() && !resolved.ip().to_canonical().is_loopback() {
                last = io::Error::other(
                    "off loopback a cluster secret is required: start every node with --cluster-secret-file",
                );
                continue;
            }
            match TcpStream::connect(resolved).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let stream = timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")))?;
    crate::client::prepare(&stream);
    Ok(stream)
}
