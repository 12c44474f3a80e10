//! The peer port: other nodes that send us messages, and guests that ask to become members. Who comes in has proved
//! that it knows the secret; everybody else gets a sentence, and a line in the log, and costs little.

use crate::chance;
use crate::clock;
use crate::engine::Inlet;
use crate::frame::{self, FrameError, FrameReader};
use crate::handshake::{self, HANDSHAKE_TIMEOUT, Visitor};
use crate::join::{self, Tickets};
use crate::peers::Links;
use base::codec::{Decode, Encode};
use base::{Duration, NodeId, Time};
use bytes::Bytes;
use node::api::{Input, JoinRequest};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Strangers whose handshakes, or requests, are under way at once.
const STRANGERS_MAX: usize = 64;
/// How long somebody who is refused may take to read why.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a guest is kept waiting for an answer; it asks elsewhere much earlier.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long accepting pauses when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Lines about strangers that are logged in one [`LOG_WINDOW`]: a flood of them must not fill the disk.
const LOG_LINES_MAX: u32 = 20;
const LOG_WINDOW: Duration = Duration::from_secs(10);

/// Receives visitors.
pub struct Door {
    links: Rc<Links>,
    tickets: Rc<Tickets>,
    inlet: Rc<dyn Inlet>,
    strangers: Cell<usize>,
    logged: Cell<(Time, u32)>,
}

impl Door {
    /// For the node behind `inlet`.
    pub fn new(links: Rc<Links>, tickets: Rc<Tickets>, inlet: Rc<dyn Inlet>) -> Rc<Self> {
        Rc::new(Self { links, tickets, inlet, strangers: Cell::new(0), logged: Cell::default() })
    }

    /// Accepts for ever.
    pub async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((_, address)) if self.strangers.get() >= STRANGERS_MAX => {
                    self.log(format_args!(
                        "peer {address} was turned away: too many handshakes are under way"
                    ));
                }
                Ok((stream, address)) => {
                    tokio::task::spawn_local(self.clone().receive(stream, address));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!("no peer can be accepted at the moment: {error}; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn receive(self: Rc<Self>, mut stream: TcpStream, address: SocketAddr) {
        crate::client::prepare(&stream);
        if !self.links.secret().is_some() && !address.ip().to_canonical().is_loopback() {
            self.log(format_args!(
                "peer {address} was refused: off loopback a cluster secret is required (--cluster-secret-file)"
            ));
            return;
        }
        let stranger = Stranger::count(&self);
        let accepted =
            handshake::accept(&mut stream, self.links.me(), self.links.secret(), chance::bytes()).await;
        match accepted {
            Ok(Visitor::Member(node)) => {
                drop(stranger);
                self.listen(stream, node, address).await;
            }
            Ok(Visitor::Guest) => {
                if let Err(error) = self.serve_guest(&mut stream).await {
                    self.log(format_args!("the request of {address} to join was not answered: {error}"));
                }
            }
            Err(error) => {
                self.log(format_args!("peer {address} was refused: {error}"));
                // A socket closed with something unread takes the refusal back.
                let mut rest = [0; 1024];
                let _ = timeout(FAREWELL, stream.read(&mut rest)).await;
            }
        }
    }

    /// Passes on a member's messages until its connection breaks or it has made a new one.
    async fn listen(&self, mut stream: TcpStream, node: NodeId, address: SocketAddr) {
        tracing::info!("node {node} has linked up from {address}");
        let ended = Rc::new(Notify::new());
        if let Some(older) = self.links.incoming.borrow_mut().insert(node, ended.clone()) {
            older.notify_one();
        }
        let why = tokio::select! {
            why = self.pass_on(&mut stream, node) => why,
            () = ended.notified() => "it was given up".to_string(),
        };
        let mut incoming = self.links.incoming.borrow_mut();
        if incoming.get(&node).is_some_and(|newest| Rc::ptr_eq(newest, &ended)) {
            incoming.remove(&node);
        }
        tracing::info!("the link of node {node} from {address} ended: {why}");
    }

    async fn pass_on(&self, stream: &mut TcpStream, node: NodeId) -> String {
        let (mut read, _write) = stream.split();
        let mut frames = FrameReader::new(frame::BYTES_MAX);
        loop {
            match frames.fill(&mut read).await {
                Ok(true) => {}
                Ok(false) => return "it was closed".to_string(),
                Err(error) => return error.to_string(),
            }
            let now = clock::now();
            loop {
                match frames.cut() {
                    Ok(Some(bytes)) => self.inlet.input(now, Input::Peer { from: node, bytes }),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!(
                            "node {node} sends what can't be read: {error}; its link is broken off"
                        );
                        return error.to_string();
                    }
                }
            }
        }
    }

    /// One request, one answer.
    async fn serve_guest(&self, stream: &mut TcpStream) -> Result<(), String> {
        let (mut read, mut write) = stream.split();
        let request = timeout(HANDSHAKE_TIMEOUT, read_one(&mut read))
            .await
            .map_err(|_| "it said nothing".to_string())?
            .map_err(|error| error.to_string())?;
        let request = JoinRequest::from(
            join::Request::from_bytes(request).map_err(|error| format!("it can't be read: {error}"))?,
        );
        let (ticket, answer) = self.tickets.draw();
        self.inlet.input(clock::now(), Input::Join { ticket: ticket.number(), request });
        let reply = tokio::select! {
            reply = timeout(JOIN_TIMEOUT, answer) => reply,
            _ = read.read_u8() => return Err("it hung up before there was an answer".to_string()),
        };
        let Ok(Ok(reply)) = reply else { return Err("no answer is known yet; it asks again".to_string()) };
        let body = join::Reply(reply).to_bytes();
        let sent = async {
            write.write_all(&frame::header(&body)).await?;
            write.write_all(&body).await?;
            write.shutdown().await
        };
        sent.await.map_err(|error: io::Error| error.to_string())
    }

    fn log(&self, line: std::fmt::Arguments<'_>) {
        let now = clock::now();
        let (since, lines) = self.logged.get();
        if lines > 0 && now.since(since) < LOG_WINDOW {
            self.logged.set((since, lines + 1));
            if lines < LOG_LINES_MAX {
                tracing::warn!("{line}");
            }
            return;
        }
        if lines > LOG_LINES_MAX {
            tracing::warn!("{} more peers were turned away in the meantime", lines - LOG_LINES_MAX);
        }
        self.logged.set((now, 1));
        tracing::warn!("{line}");
    }
}

/// Somebody whose handshake or request is under way.
struct Stranger<'a>(&'a Door);

impl<'a> Stranger<'a> {
    fn count(door: &'a Door) -> Self {
        door.strangers.set(door.strangers.get() + 1);
        Self(door)
    }
}

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        self.0.strangers.set(self.0.strangers.get() - 1);
    }
}

/// The one frame of a conversation with somebody who isn't a member.
pub(crate) async fn read_one(read: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<Bytes, FrameError> {
    let mut frames = FrameReader::new(join::BYTES_MAX);
    loop {
        if let Some(frame) = frames.cut()? {
            return Ok(frame);
        }
        if !frames.fill(read).await? {
            return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}
