//! What this replica has asked its disk for, and what waits for it. A vote or an acknowledgement is a promise that a
//! crash must not break, so it is held back here until what it promises is durable.

use crate::message::Message;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use base::{Duration, Index, Time};

/// One write under way.
#[derive(Clone, Copy, Debug)]
struct Write {
    token: u64,
    /// The last entry that is durable, and still in the log, once this write is.
    through: Index,
    since: Time,
}

/// Writes under way and messages that wait for them.
#[derive(Debug)]
pub(crate) struct Disk {
    issued: u64,
    done: u64,
    /// Term or vote changed since they were last handed over.
    pub(crate) is_hard_dirty: bool,
    /// The write that carries the newest term and vote.
    hard_token: u64,
    /// The commit index that was handed over last.
    pub(crate) hard_commit: Index,
    /// The first entry that was not handed over yet.
    pub(crate) log_from: Index,
    durable: Index,
    writes: VecDeque<Write>,
    /// Messages that wait for the write with this token.
    held: VecDeque<(u64, Message)>,
    /// Messages that wait for what the next flush hands over.
    waiting: Vec<Message>,
}

impl Disk {
    /// A disk that holds the log through `last`.
    pub(crate) fn new(last: Index, hard_commit: Index) -> Self {
        Self {
            issued: 0,
            done: 0,
            is_hard_dirty: false,
            hard_token: 0,
            hard_commit,
            log_from: last.next(),
            durable: last,
            writes: VecDeque::new(),
            held: VecDeque::new(),
            waiting: Vec::new(),
        }
    }

    /// How far the log is durable.
    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    /// Whether term and vote are durable as they are.
    pub(crate) fn is_hard_durable(&self) -> bool {
        !self.is_hard_dirty && self.hard_token <= self.done
    }

    /// Sends `message` only when everything that was decided so far is durable.
    pub(crate) fn hold(&mut self, message: Message) {
        self.waiting.push(message);
    }

    /// The log is replaced from `from` on: a write under way of what was there proves nothing about what comes there,
    /// even should the same entry come back.
    pub(crate) fn truncated(&mut self, from: Index) {
        self.log_from = self.log_from.min(from);
        self.durable = self.durable.min(from.prev());
        for write in &mut self.writes {
            write.through = write.through.min(from.prev());
        }
    }

    /// The log is replaced by a durable snapshot through `index`.
    pub(crate) fn replaced(&mut self, index: Index) {
        self.truncated(index.next());
        self.durable = index;
        self.log_from = index.next();
        for write in &mut self.writes {
            write.through = index;
        }
    }

    /// Hands over the log through `last`; the token to write it under.
    pub(crate) fn issue(&mut self, last: Index, now: Time) -> u64 {
        self.issued += 1;
        if self.is_hard_dirty {
            self.is_hard_dirty = false;
            self.hard_token = self.issued;
        }
        self.log_from = last.next();
        self.writes.push_back(Write { token: self.issued, through: last, since: now });
        self.issued
    }

    /// Ties the waiting messages to the last write; those that need no waiting any more go to `send`.
    pub(crate) fn bind(&mut self, send: &mut Vec<Message>) {
        for message in self.waiting.drain(..) {
            if self.issued <= self.done {
                send.push(message);
            } else {
                self.held.push_back((self.issued, message));
            }
        }
    }

    /// Everything through `token` is durable; what waited for it goes to `send`. Whether that is news.
    pub(crate) fn persisted(&mut self, token: u64, mut send: impl FnMut(Message)) -> bool {
        if token <= self.done || token > self.issued {
            return false;
        }
        self.done = token;
        while let Some(write) = self.writes.front().copied().filter(|write| write.token <= token) {
            self.durable = self.durable.max(write.through);
            self.writes.pop_front();
        }
        while self.held.front().is_some_and(|(held, _)| *held <= token) {
            if let Some((_, message)) = self.held.pop_front() {
                send(message);
            }
        }
        true
    }

    /// Whether the oldest write takes `patience` or longer.
    pub(crate) fn hangs(&self, now: Time, patience: Duration) -> bool {
        self.writes.front().is_some_and(|write| now.since(write.since) >= patience)
    }

    pub(crate) fn check(&self, last: Index) {
        base::invariant!("only the log is durable", self.durable <= last && self.durable < self.log_from);
        base::invariant!("writes end in order", self.writes.iter().all(|write| write.token > self.done));
        base::invariant!(
            "no write outlives its entries",
            self.writes.iter().all(|write| write.through <= last)
        );
    }
}
