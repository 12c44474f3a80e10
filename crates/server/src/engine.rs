//! The engine: one thread that owns a node and the sockets of its clients and peers. Whatever is ready is read and
//! stepped straight into the core; once everything that was ready in this round has been stepped, the core is flushed
//! once, its effects are carried out in order, and each socket gets what is meant for it in one write.
//!
//! The order is the scheduler's: sockets that are ready are tasks in its queue, and the first step of a round puts the
//! flusher at the queue's end. So a round costs one wake-up, and per client one read and one write, however many
//! commands came.
//!
//! What it must never do: hold the core over an await, block (disks and HTTP have threads of their own), or sample the
//! time before the bytes that are judged by it were received.

use crate::client::{Client, ClientCounts};
use crate::clock::{self, WallJumps};
use crate::connection::visit;
use crate::join::Tickets;
use crate::outgoing::Outgoing;
use crate::peers::Links;
use crate::visitors::Door;
use base::{Core, Outbox, Time};
use bytes::BytesMut;
use node::api::{ClientId, Effect, Input, Level, Migrated};
use node::overview::Overview;
use node::scripts::Work;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use storage::DiskRequest;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

/// How much is read from a socket at once, about.
const CHUNK_BYTES: usize = 64 * 1024;
/// With less room than this a new chunk is begun.
const CHUNK_ROOM_MIN: usize = 16 * 1024;

/// What the engine drives: the node, or something like it in a test.
pub trait NodeCore: Core<Input = Input, Effect = Effect> + 'static {
    /// What the node knows at this moment.
    fn overview(&self, now: Time) -> Overview;
}

/// Where inputs go that don't come from clients; the engine, without its type.
pub trait Inlet {
    /// Steps the node with one input. `now` was sampled after the input was there.
    fn input(&self, now: Time, input: Input);
}

/// Why the engine came to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is handed over and durable.
    Stopped,
    /// The node can't go on, and why.
    Fatal(String),
}

/// One node on one thread. Shared by the tasks of that thread.
pub struct Engine<C> {
    core: RefCell<C>,
    out: RefCell<Outbox<Effect>>,
    /// An empty outbox with room, to swap with the one whose effects are being carried out.
    spare: RefCell<Outbox<Effect>>,
    clients: RefCell<HashMap<u64, Rc<Client>, BuildHasherDefault<Spread>>>,
    /// Clients for whom something was queued in this round.
    dirty: RefCell<Vec<Rc<Client>>>,
    /// What carrying out effects gave rise to: stepped afterwards.
    later: RefCell<Vec<Input>>,
    chunk: RefCell<BytesMut>,
    scratch: RefCell<Vec<u8>>,
    links: Rc<Links>,
    tickets: Rc<Tickets>,
    disk: Box<dyn Fn(DiskRequest)>,
    workers: Box<dyn Fn(Box<Work>)>,
    wall: WallJumps,
    flusher: Cell<Option<Waker>>,
    flush_wanted: Cell<bool>,
    /// Who wants to know of the next flush.
    watcher: Cell<Option<Waker>>,
    ending: Cell<Option<oneshot::Sender<Ending>>>,
    /// Clients and how many there may be.
    pub counts: ClientCounts,
}

impl<C: NodeCore> Engine<C> {
    /// Puts a node on this thread. `disk` and `workers` take the node's requests without waiting. The receiver hears how it ends.
    pub fn new(
        core: C,
        links: Rc<Links>,
        disk: Box<dyn Fn(DiskRequest)>,
        workers: Box<dyn Fn(Box<Work>)>,
        counts: ClientCounts,
    ) -> (Rc<Self>, oneshot::Receiver<Ending>) {
        let (ending, ended) = oneshot::channel();
        let engine = Rc::new(Self {
            core: RefCell::new(core),
            out: RefCell::default(),
            spare: RefCell::default(),
            clients: RefCell::default(),
            dirty: RefCell::default(),
            later: RefCell::default(),
            chunk: RefCell::default(),
            scratch: RefCell::default(),
            links,
            tickets: Rc::default(),
            disk,
            workers,
            wall: WallJumps::default(),
            flusher: Cell::new(None),
            flush_wanted: Cell::new(false),
            watcher: Cell::new(None),
            ending: Cell::new(Some(ending)),
            counts,
        });
        tokio::task::spawn_local(engine.clone().run_flusher());
        (engine, ended)
    }

    /// Steps the core and asks for a flush at the end of this round.
    pub fn step(&self, now: Time, input: Input) {
        self.core.borrow_mut().step(now, input, &mut self.out.borrow_mut());
        self.want_flush();
    }

    /// What the node knows at this moment.
    pub fn overview(&self) -> Overview {
        self.core.borrow().overview(clock::now())
    }

    /// Returns after the next flush; one at a time may wait.
    pub async fn flushed(&self) {
        let mut waits = true;
        poll_fn(|context| {
            if std::mem::take(&mut waits) {
                self.watcher.set(Some(context.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// What receives other nodes on behalf of this one.
    pub fn door(self: &Rc<Self>) -> Rc<Door> {
        Door::new(self.links.clone(), self.tickets.clone(), self.clone())
    }

    /// Runs `read` on the shared chunk, which has room, and gives what it left unused back.
    pub(crate) fn with_chunk<T>(&self, read: impl FnOnce(&mut BytesMut) -> T) -> T {
        let mut chunk = self.chunk.borrow_mut();
        if chunk.len() < CHUNK_ROOM_MIN {
            // Whoever keeps something of the old chunk keeps it alive; if nobody does, it is used again.
            chunk.clear();
            if chunk.try_reclaim(CHUNK_BYTES) {
                chunk.resize(CHUNK_BYTES, 0);
            } else {
                *chunk = BytesMut::zeroed(CHUNK_BYTES);
            }
        }
        read(&mut chunk)
    }

    /// Where small pieces are gathered before they are written.
    pub(crate) fn with_scratch<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        write(&mut self.scratch.borrow_mut())
    }

    /// Takes a client in.
    pub(crate) fn insert(&self, client: Rc<Client>) {
        self.clients.borrow_mut().insert(client.id.0, client);
    }

    /// Forgets a client whose socket is closed.
    pub(crate) fn remove(&self, client: ClientId) {
        self.clients.borrow_mut().remove(&client.0);
    }

    fn want_flush(&self) {
        if !self.flush_wanted.replace(true)
            && let Some(waker) = self.flusher.take()
        {
            waker.wake();
        }
    }

    /// Flushes at the end of every round in which something was stepped, and when the core's deadline has come.
    async fn run_flusher(self: Rc<Self>) {
        let mut alarm = Alarm::default();
        loop {
            poll_fn(|context| self.poll_due(&mut alarm, context)).await;
            let now = clock::now();
            self.flush(now);
            let again = self.core.borrow().deadline().is_some_and(|deadline| deadline <= now);
            if again || self.flush_wanted.get() {
                // Sockets first: the next round begins with them.
                tokio::task::yield_now().await;
            }
        }
    }

    fn poll_due(&self, alarm: &mut Alarm, context: &mut Context<'_>) -> Poll<()> {
        if self.flush_wanted.get() {
            return Poll::Ready(());
        }
        if alarm.poll(self.core.borrow().deadline(), context).is_ready() {
            return Poll::Ready(());
        }
        self.flusher.set(Some(context.waker().clone()));
        Poll::Pending
    }

    fn flush(self: &Rc<Self>, now: Time) {
        if let Some(wall) = self.wall.look(now) {
            self.step(now, Input::WallClock(wall));
        }
        self.flush_wanted.set(false);
        self.core.borrow_mut().flush(now, &mut self.out.borrow_mut());
        let mut effects = self.out.replace(self.spare.take());
        for effect in effects.drain() {
            self.carry_out(effect);
        }
        self.spare.replace(effects);
        self.write_to_clients();
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
        self.with_scratch(|scratch| self.links.write_now(scratch));
        let later = self.later.take();
        if !later.is_empty() {
            let now = clock::now();
            for input in later {
                self.step(now, input);
            }
        }
    }

    fn carry_out(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Send { client, bytes } => {
                self.with_client(client, |client| client.send(bytes));
            }
            Effect::Close { client } => self.with_client(client, |client| client.hang_up()),
            Effect::Reading { client, on } => self.with_client(client, |client| client.set_reading(on)),
            Effect::Peer { to, bytes } => self.links.send(to, bytes),
            Effect::Peers(peers) => {
                let inlet: Rc<dyn Inlet> = self.clone();
                let down = self.links.set_peers(peers, &inlet);
                self.later.borrow_mut().extend(down.into_iter().map(|node| Input::PeerDown { node }));
            }
            Effect::Relink { node } => self.links.relink(node),
            Effect::JoinReply { ticket, reply } => self.tickets.answer(ticket, reply),
            Effect::Disk(request) => (self.disk)(request),
            Effect::Migrate { job, address, timeout, bytes, replies } => {
                let engine = self.clone();
                tokio::task::spawn_local(async move {
                    let visit = move || visit(&address, timeout, &bytes, replies);
                    let outcome = tokio::task::spawn_blocking(visit).await.unwrap_or(Migrated::Unreachable);
                    engine.step(clock::now(), Input::Migrated { job, outcome });
                });
            }
            Effect::Work(work) => (self.workers)(work),
            Effect::Note(level, text) => match level {
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
            Effect::Stopped => self.end(Ending::Stopped),
            Effect::Fatal(why) => self.end(Ending::Fatal(why)),
        }
    }

    /// Clients that have gone in the meantime are passed over.
    fn with_client(&self, id: ClientId, act: impl FnOnce(&Client)) {
        if let Some(client) = self.clients.borrow().get(&id.0) {
            act(client);
            if !client.dirty.replace(true) {
                self.dirty.borrow_mut().push(client.clone());
            }
        }
    }

    fn write_to_clients(&self) {
        let mut dirty = self.dirty.take();
        for client in dirty.drain(..) {
            client.dirty.set(false);
            self.with_scratch(|scratch| client.write_now(scratch));
            if let Some(bytes) = client.new_backlog() {
                self.later.borrow_mut().push(Input::Backlog { client: client.id, bytes });
            }
        }
        self.dirty.replace(dirty);
    }

    fn end(&self, ending: Ending) {
        if let Some(sender) = self.ending.take() {
            // Nobody listens only where a test has lost interest.
            let _ = sender.send(ending);
        }
    }
}

impl<C: NodeCore> Inlet for Engine<C> {
    fn input(&self, now: Time, input: Input) {
        self.step(now, input);
    }
}

/// Wakes the flusher at the core's deadline. A deadline that moves back leaves it armed: waking too early is cheaper
/// than setting a timer anew in every round.
#[derive(Default)]
struct Alarm {
    armed: Option<(Time, Pin<Box<Sleep>>)>,
}

impl Alarm {
    fn poll(&mut self, deadline: Option<Time>, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            match &mut self.armed {
                Some((at, sleep)) if *at <= deadline => {
                    if sleep.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    self.armed = None;
                }
                armed => {
                    let now = clock::now();
                    if deadline <= now {
                        return Poll::Ready(());
                    }
                    let at = Instant::now() + deadline.since(now);
                    match armed {
                        Some((time, sleep)) => {
                            *time = deadline;
                            sleep.as_mut().reset(at);
                        }
                        None => *armed = Some((deadline, Box::pin(tokio::time::sleep_until(at)))),
                    }
                }
            }
        }
    }
}

/// Connections are numbered by us, from 1: a multiplication spreads them well enough.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers of connections are hashed");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Writes what waits in `queue` through `write`, a `try_write_vectored` of some socket.
pub(crate) fn write_queue(
    queue: &mut Outgoing,
    scratch: &mut Vec<u8>,
    socket: &tokio::net::tcp::OwnedWriteHalf,
) -> std::io::Result<()> {
    queue.write(scratch, |slices| match slices {
        [one] => socket.try_write(one),
        several => socket.try_write_vectored(several),
    })
}

/// Writes what waits in `queue`, and has the task of `context` woken when the socket takes more, if something is left.
pub(crate) fn poll_write_queue(
    queue: &mut Outgoing,
    scratch: &mut Vec<u8>,
    socket: &mut tokio::net::tcp::OwnedWriteHalf,
    context: &mut Context<'_>,
) -> std::io::Result<()> {
    use tokio::io::AsyncWrite;
    queue.write(scratch, |slices| match Pin::new(&mut *socket).poll_write_vectored(context, slices) {
        Poll::Ready(written) => written,
        Poll::Pending => Err(std::io::ErrorKind::WouldBlock.into()),
    })
}

#[cfg(test)]
mod tests;
