//! One client: its connection, and what it waits for.

use crate::history::Walk;
use base::Rng;
use node::resp::{Frame, FrameError};
use std::collections::VecDeque;

/// A client; `P` says what its commands are for.
#[derive(Debug)]
pub struct Client<P> {
    /// Its own chance.
    pub rng: Rng,
    /// The host that it talks to.
    pub host: usize,
    /// Whether it has a connection.
    pub connected: bool,
    /// What came and isn't a whole reply yet.
    input: Vec<u8>,
    /// Commands that were sent and not answered, the oldest first.
    pub pending: VecDeque<Pending<P>>,
    /// Names the alarm that counts; earlier ones are ignored.
    pub alarm: u64,
    /// How long it waits for answers this time.
    pub patience: u64,
    /// When it last heard that a command took effect.
    pub succeeded: Option<u64>,
}

/// A command under way.
#[derive(Clone, Debug)]
pub struct Pending<P> {
    /// What it is for.
    pub purpose: P,
    /// When it was sent.
    pub sent: u64,
}

/// What a command is for, and where its fate is noted down.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// A command on a family: the family, and its place there.
    Family(usize, usize),
    /// INCR of the counter.
    Counter(usize),
    /// APPEND of a piece.
    Piece(usize),
    /// SET of a key of the ledger.
    Ledger(u32),
    /// SET of a mortal key.
    Mortal(usize),
    /// GET of a mortal key.
    Look(usize),
    /// One step of a walk.
    Scan,
    /// KEYS, all at once.
    Keys,
    /// DBSIZE; how many keys there may be at most.
    Size(i64),
    /// GET at the end.
    Last(Last),
}

/// What is read at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// All keys of a family.
    Family(usize),
    /// The counter.
    Counter,
    /// The pieces.
    Pieces,
    /// A key of the ledger.
    Ledger(u32),
}

/// A walk under way.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Where it goes on.
    pub cursor: Vec<u8>,
    /// What it has seen.
    pub walk: Walk,
}

impl<P> Client<P> {
    /// One that isn't connected.
    pub fn new(rng: Rng, host: usize) -> Self {
        Self {
            rng,
            host,
            connected: false,
            input: Vec::new(),
            pending: VecDeque::new(),
            alarm: 0,
            patience: 0,
            succeeded: None,
        }
    }

    /// Takes what came from the host.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole reply.
    pub fn reply(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        Ok(Frame::parse(&self.input)?.map(|(frame, used)| {
            self.input.drain(..used);
            frame
        }))
    }

    /// Forgets the connection; what was under way on it is handed back.
    pub fn disconnect(&mut self) -> VecDeque<Pending<P>> {
        self.connected = false;
        self.input.clear();
        std::mem::take(&mut self.pending)
    }
}
