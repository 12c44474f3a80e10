//! The clients' side: accepting, reading into the engine's shared chunk, and writing what a socket didn't take at once.
//!
//! A client is one task, asleep while nothing comes; it owns no buffer, so that ten thousand idle ones cost little.
//! Replies are written by the engine's flush; the task takes over only when the socket is full. For every
//! `Input::Connected` there is exactly one `Input::Closed`, whoever hangs up, and nothing after it.

use crate::clock;
use crate::engine::{Engine, NodeCore, poll_write_queue, write_queue};
use crate::outgoing::Outgoing;
use base::Duration;
use bytes::Bytes;
use node::api::{ClientId, Input};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a client that is hung up on may take to read its last replies.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long what it still sends is thrown away, so that the last words aren't lost in a reset.
const LINGER: Duration = Duration::from_secs(1);
/// How long accepting pauses when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which the system asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// What clients above the limit are told; Redis's words.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// Numbers connections and counts them.
#[derive(Debug)]
pub struct ClientCounts {
    last: Cell<u64>,
    open: Cell<usize>,
    max: usize,
}

impl ClientCounts {
    /// For at most `max` clients at once.
    pub fn new(max: usize) -> Self {
        Self { last: Cell::new(0), open: Cell::new(0), max }
    }

    /// How many clients are connected.
    pub fn open(&self) -> usize {
        self.open.get()
    }
}

/// One client's connection.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    socket: RefCell<OwnedWriteHalf>,
    outgoing: RefCell<Outgoing>,
    /// Whether it waits for the engine's writing at the end of this round.
    pub(crate) dirty: Cell<bool>,
    reading: Cell<bool>,
    hung_up: Cell<bool>,
    /// The other side has said that it sends no more. Perhaps it has gone, perhaps it waits for its answers: the node
    /// hangs up when it has them.
    finished: Cell<bool>,
    broken: Cell<bool>,
    /// What the node was told last.
    backlog: Cell<usize>,
    task: RefCell<Option<Waker>>,
}

impl Client {
    /// Queues bytes until the end of the round.
    pub(crate) fn send(&self, bytes: Bytes) {
        if !self.hung_up.get() {
            self.outgoing.borrow_mut().push(bytes);
        }
    }

    /// Hangs up after what was sent.
    pub(crate) fn hang_up(&self) {
        self.hung_up.set(true);
        self.wake();
    }

    pub(crate) fn set_reading(&self, on: bool) {
        if self.reading.replace(on) != on && on {
            self.wake();
        }
    }

    /// Writes what the socket takes; the rest is the task's.
    pub(crate) fn write_now(&self, scratch: &mut Vec<u8>) {
        let mut outgoing = self.outgoing.borrow_mut();
        // While something is left from before, the task waits for the socket, and trying again would be in vain.
        if outgoing.is_empty() || self.broken.get() || self.backlog.get() > 0 {
            return;
        }
        if write_queue(&mut outgoing, scratch, &self.socket.borrow()).is_err() {
            self.broken.set(true);
        }
        if !outgoing.is_empty() || self.broken.get() {
            self.wake();
        }
    }

    /// How much is left, if the node was told otherwise.
    pub(crate) fn new_backlog(&self) -> Option<usize> {
        let bytes = self.outgoing.borrow().bytes();
        (self.backlog.replace(bytes) != bytes && !self.hung_up.get()).then_some(bytes)
    }

    fn wake(&self) {
        if let Some(waker) = self.task.take() {
            waker.wake();
        }
    }

    /// Has the task of `context` woken when the node wants something of it.
    fn sleep(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }

    fn poll_write(&self, scratch: &mut Vec<u8>, context: &mut Context<'_>) -> io::Result<()> {
        let mut outgoing = self.outgoing.borrow_mut();
        poll_write_queue(&mut outgoing, scratch, &mut self.socket.borrow_mut(), context)
    }
}

/// Why a client's task is done with its ordinary work.
enum End {
    /// The connection broke.
    Gone,
    /// The node hangs up.
    HungUp,
}

/// Accepts clients for ever.
pub async fn accept<C: NodeCore>(engine: Rc<Engine<C>>, listener: TcpListener) {
    let mut complained = false;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                complained = false;
                connect(&engine, stream, address, Bytes::new());
            }
            // The connection was gone before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !complained {
                    tracing::warn!("no client can be accepted at the moment: {error}; trying again");
                    complained = true;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a connected client in. `early` is what it has sent already.
pub fn connect<C: NodeCore>(engine: &Rc<Engine<C>>, stream: TcpStream, address: SocketAddr, early: Bytes) {
    let counts = &engine.counts;
    if counts.open.get() >= counts.max {
        // Whether the sentence gets there is the client's luck, as with any connection that isn't taken.
        let _ = stream.try_write(TOO_MANY);
        return;
    }
    prepare(&stream);
    counts.open.set(counts.open.get() + 1);
    let id = ClientId(counts.last.get() + 1);
    counts.last.set(id.0);
    let (read, write) = stream.into_split();
    let client = Rc::new(Client {
        id,
        socket: RefCell::new(write),
        outgoing: RefCell::default(),
        dirty: Cell::new(false),
        reading: Cell::new(true),
        hung_up: Cell::new(false),
        finished: Cell::new(false),
        broken: Cell::new(false),
        backlog: Cell::new(0),
        task: RefCell::new(None),
    });
    engine.insert(client.clone());
    let now = clock::now();
    let loopback = address.ip().to_canonical().is_loopback();
    engine.step(now, Input::Connected { client: id, address: address.to_string(), loopback });
    if !early.is_empty() {
        engine.step(now, Input::Received { client: id, bytes: early });
    }
    tokio::task::spawn_local(serve(engine.clone(), client, read));
}

/// Small replies leave at once, and a client whose machine has vanished is noticed some day.
pub(crate) fn prepare(stream: &TcpStream) {
    // Neither is needed for being right, and neither fails on a socket that is alive.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream)
        .set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3));
}

async fn serve<C: NodeCore>(engine: Rc<Engine<C>>, client: Rc<Client>, mut read: OwnedReadHalf) {
    let end = poll_fn(|context| poll_client(&engine, &client, &mut read, context)).await;
    // The node hears of the end when it is one; until then the client counts as connected.
    match end {
        End::Gone => {}
        End::HungUp => Box::pin(part(&engine, &client, &mut read)).await,
    }
    engine.remove(client.id);
    engine.counts.open.set(engine.counts.open.get() - 1);
    engine.step(clock::now(), Input::Closed { client: client.id });
}

/// Writes what was left over, and reads, until there is nothing to do.
fn poll_client<C: NodeCore>(
    engine: &Rc<Engine<C>>,
    client: &Client,
    read: &mut OwnedReadHalf,
    context: &mut Context<'_>,
) -> Poll<End> {
    if client.broken.get() {
        return Poll::Ready(End::Gone);
    }
    if client.hung_up.get() {
        return Poll::Ready(End::HungUp);
    }
    if client.backlog.get() > 0 {
        if engine.with_scratch(|scratch| client.poll_write(scratch, context)).is_err() {
            return Poll::Ready(End::Gone);
        }
        if let Some(bytes) = client.new_backlog() {
            engine.step(clock::now(), Input::Backlog { client: client.id, bytes });
        }
    }
    while client.reading.get() && !client.finished.get() {
        let Poll::Ready(received) = poll_read(engine, read, context) else { break };
        match received {
            Ok((bytes, _)) if bytes.is_empty() => {
                client.finished.set(true);
                engine.step(clock::now(), Input::Finished { client: client.id });
            }
            Ok((bytes, more)) => {
                engine.step(clock::now(), Input::Received { client: client.id, bytes });
                if more {
                    // Others first: the round must come to its end.
                    context.waker().wake_by_ref();
                    break;
                }
            }
            Err(_) => return Poll::Ready(End::Gone),
        }
    }
    client.sleep(context);
    Poll::Pending
}

/// Reads what is there, without copying, and whether the chunk was filled. Nothing means that the other side is done.
fn poll_read<C: NodeCore>(
    engine: &Engine<C>,
    read: &mut OwnedReadHalf,
    context: &mut Context<'_>,
) -> Poll<io::Result<(Bytes, bool)>> {
    engine.with_chunk(|chunk| {
        let mut buffer = ReadBuf::new(chunk);
        match Pin::new(read).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let (count, full) = (buffer.filled().len(), buffer.remaining() == 0);
                Poll::Ready(Ok((chunk.split_to(count).freeze(), full)))
            }
        }
    })
}

/// Hangs up so that the last words arrive: writes them, says that nothing follows, and lets the other side finish.
async fn part<C: NodeCore>(engine: &Rc<Engine<C>>, client: &Client, read: &mut OwnedReadHalf) {
    let written = timeout(
        LAST_WORDS,
        poll_fn(|context| {
            let result = engine.with_scratch(|scratch| client.poll_write(scratch, context));
            if result.is_ok() && !client.outgoing.borrow().is_empty() {
                return Poll::Pending;
            }
            Poll::Ready(result)
        }),
    );
    if !matches!(written.await, Ok(Ok(()))) {
        return;
    }
    if socket2::SockRef::from(read.as_ref()).shutdown(Shutdown::Write).is_err() {
        return;
    }
    // A socket that is closed while something is unread is reset, and the other side loses what it hasn't read yet.
    let drained = timeout(LINGER, async {
        loop {
            match poll_fn(|context| poll_read(engine, read, context)).await {
                Ok((bytes, _)) if !bytes.is_empty() => tokio::task::yield_now().await,
                _ => return,
            }
        }
    });
    // Whoever goes on sending is cut off.
    let _ = drained.await;
}
