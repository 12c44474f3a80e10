//! Clients with a trade of their own: each has its part in it, and what they hear is judged together. A crew knows how
//! to come, to ask, to wait and to go; what to ask for and what the answer means is its trade's business.

use super::client::{Client, Pending};
use super::{ANSWER_MAX, MILLI, Order};
use crate::checkers::Finding;
use crate::history::History;
use base::Rng;
use node::resp::Frame;
use std::fmt;

/// What a crew does. A command is named by a number that its trade understands.
pub trait Trade: fmt::Debug {
    /// How many it takes.
    fn workers(&self) -> usize;

    /// What a worker sends next; nothing if it has a rest.
    fn next(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending);

    /// What a worker sends at the end, to read what there is; nothing if all is read or others do it.
    fn last(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending);

    /// Whether all has been read.
    fn has_read_everything(&self, history: &History) -> bool;

    /// An answer came. Whether it took effect, or what is wrong with it.
    fn answered(
        &mut self,
        command: usize,
        frame: Frame,
        now: u64,
        history: &mut History,
    ) -> Result<bool, String>;

    /// No answer will come; `left`: because the client itself has gone.
    fn lost(&mut self, command: usize, left: bool, now: u64, history: &mut History);

    /// A worker's connection is no more.
    fn went(&mut self, worker: usize);

    /// A node answered who had gone.
    fn said_in_vain(&mut self, frame: Frame, history: &mut History);
}

/// What a worker is about to send.
#[derive(Debug)]
pub struct Sending {
    /// The worker's chance.
    pub rng: Rng,
    /// The commands, as bytes.
    pub bytes: Vec<u8>,
    /// The commands' names.
    pub commands: Vec<usize>,
    /// How much longer than others they may take, because they wait for something.
    pub waits: u64,
    /// After what time the worker goes away, if it doesn't hear anything.
    pub patience: Option<u64>,
    /// How long it rests after the answer.
    pub rest: u64,
    /// Another worker, who goes away so much later, if it still waits.
    pub leaves: Option<(usize, u64)>,
}

/// What a crew writes on.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The time.
    pub now: u64,
    /// The record.
    pub history: &'a mut History,
    /// What is wrong.
    pub findings: &'a mut Vec<Finding>,
    /// What is wanted of the world.
    pub orders: &'a mut Vec<Order>,
}

/// A crew at work.
#[derive(Debug)]
pub struct Crew {
    trade: Box<dyn Trade>,
    /// The number of its first client.
    first: usize,
    hosts: usize,
    workers: Vec<Worker>,
    doing: Doing,
}

#[derive(Debug)]
struct Worker {
    client: Client<usize>,
    /// Until when what it waits for is promised to be answered, from the moment when it was sent.
    promised: u64,
    rest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Work,
    Nothing,
    LastReads,
}

impl Crew {
    /// One whose first client has this number.
    pub fn new(trade: Box<dyn Trade>, first: usize, hosts: usize, rng: &mut Rng) -> Self {
        let worker = |nth| Worker { client: Client::new(rng.fork(), nth % hosts), promised: 0, rest: 0 };
        let workers = (0..trade.workers()).map(worker).collect();
        Self { trade, first, hosts, workers, doing: Doing::Work }
    }

    /// How many clients it has.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Whether a client belongs to it.
    pub fn has(&self, client: usize) -> bool {
        (self.first..self.first + self.workers.len()).contains(&client)
    }

    /// Everybody comes within a second.
    pub fn begin(&mut self, orders: &mut Vec<Order>) {
        for worker in 0..self.workers.len() {
            let at = self.workers[worker].client.rng.below(1_000) * MILLI;
            self.set_alarm(worker, at, orders);
        }
    }

    /// No new commands.
    pub fn stop(&mut self) {
        self.doing = Doing::Nothing;
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.workers.iter().all(|worker| worker.client.pending.is_empty())
    }

    /// Reads what there is, a little later: what was under way for who has gone is done by then.
    pub fn read_everything(&mut self, now: u64, orders: &mut Vec<Order>) {
        self.doing = Doing::LastReads;
        for worker in 0..self.workers.len() {
            self.set_alarm(worker, now + 1_000 * MILLI, orders);
        }
    }

    /// Whether everything has been read.
    pub fn has_read_everything(&self, history: &History) -> bool {
        self.trade.has_read_everything(history)
    }

    /// Clients none of whose commands took effect since `time`.
    pub fn without_success_since(&self, time: u64) -> impl Iterator<Item = usize> {
        let late = move |worker: &Worker| worker.client.succeeded.is_none_or(|at| at < time);
        (self.first..).zip(&self.workers).filter(move |(_, worker)| late(worker)).map(|(client, _)| client)
    }

    /// What a client is doing, for people.
    pub fn describe(&self, client: usize) -> String {
        format!("client {client}, a worker: {:?} of {:?}", self.workers[client - self.first], self.trade)
    }

    /// The connection is there.
    pub fn connected(&mut self, client: usize, desk: &mut Desk<'_>) {
        self.workers[client - self.first].client.connected = true;
        self.act(client - self.first, desk);
    }

    /// The connection broke, or never came to be.
    pub fn closed(&mut self, client: usize, desk: &mut Desk<'_>) {
        self.go(client - self.first, false, desk);
    }

    fn go(&mut self, worker: usize, left: bool, desk: &mut Desk<'_>) {
        let client = &mut self.workers[worker].client;
        for Pending { purpose, .. } in client.disconnect() {
            desk.history.unknown += 1;
            self.trade.lost(purpose, left, desk.now, desk.history);
        }
        self.trade.went(worker);
        if client.rng.chance(3, 4) {
            client.host = client.rng.below(self.hosts as u64) as usize;
        }
        let at = desk.now + client.rng.between(5, 60) * MILLI;
        self.set_alarm(worker, at, desk.orders);
    }

    /// Bytes came.
    pub fn received(&mut self, client: usize, bytes: &[u8], desk: &mut Desk<'_>) {
        let worker = client - self.first;
        self.workers[worker].client.receive(bytes);
        loop {
            let this = &mut self.workers[worker].client;
            let wrong = match this.reply() {
                Ok(None) => break,
                Ok(Some(frame)) => match this.pending.pop_front() {
                    None => format!("a reply to nothing: {frame:?}"),
                    Some(pending) => {
                        let refused = matches!(frame, Frame::Error(_));
                        match self.trade.answered(pending.purpose, frame, desk.now, desk.history) {
                            Ok(true) => {
                                desk.history.answered += 1;
                                this.succeeded = Some(desk.now);
                                continue;
                            }
                            Ok(false) => {
                                desk.history.refused += u64::from(refused);
                                continue;
                            }
                            Err(wrong) => wrong,
                        }
                    }
                },
                Err(error) => error.to_string(),
            };
            return Self::complain(client, &wrong, desk);
        }
        let this = &self.workers[worker];
        if this.client.pending.is_empty() {
            let at = desk.now + this.rest;
            self.set_alarm(worker, at, desk.orders);
        }
    }

    /// The alarm that was ordered rings; `hindered` as in `Workload::alarm`.
    pub fn alarm(&mut self, client: usize, token: u64, hindered: u64, desk: &mut Desk<'_>) {
        let worker = client - self.first;
        let Worker { client: this, promised, .. } = &self.workers[worker];
        if token != this.alarm {
            return;
        }
        if let Some(oldest) = this.pending.front() {
            let waited = desk.now - oldest.sent;
            if waited >= *promised && hindered < oldest.sent {
                let text = format!("no answer to command {}, sent {} ms ago", oldest.purpose, waited / MILLI);
                Self::complain(client, &text, desk);
            }
            desk.orders.push(Order::HangUp { client });
            self.go(worker, true, desk);
        } else if this.connected {
            self.act(worker, desk);
        } else if self.doing != Doing::Nothing {
            desk.orders.push(Order::Connect { client, host: this.host });
        }
    }

    /// What a node said to a client that had gone.
    pub fn said_in_vain(&mut self, bytes: &[u8], history: &mut History) {
        let mut bytes = bytes;
        while let Ok(Some((frame, used))) = Frame::parse(bytes) {
            self.trade.said_in_vain(frame, history);
            bytes = &bytes[used..];
            if bytes.is_empty() {
                break;
            }
        }
    }

    fn complain(client: usize, text: &str, desk: &mut Desk<'_>) {
        let text = format!("client {client} at {} ms: {text}", desk.now / MILLI);
        desk.findings.push(Finding::new("replies", text));
    }

    fn act(&mut self, worker: usize, desk: &mut Desk<'_>) {
        let this = &mut self.workers[worker];
        if self.doing == Doing::Nothing || !this.client.pending.is_empty() {
            return;
        }
        let mut to = Sending {
            rng: this.client.rng.fork(),
            bytes: Vec::new(),
            commands: Vec::new(),
            waits: 0,
            patience: None,
            rest: MILLI,
            leaves: None,
        };
        if self.doing == Doing::Work {
            self.trade.next(worker, desk.now, desk.history, &mut to);
        } else {
            self.trade.last(worker, desk.now, desk.history, &mut to);
        }
        if to.commands.is_empty() {
            // In the last reads others may leave something to be done.
            return self.set_alarm(worker, desk.now + 50 * MILLI, desk.orders);
        }
        desk.history.commands += to.commands.len() as u64;
        let pending = to.commands.into_iter().map(|purpose| Pending { purpose, sent: desk.now });
        this.client.pending.extend(pending);
        this.promised = to.waits + ANSWER_MAX;
        this.rest = to.rest;
        let at = desk.now + to.patience.unwrap_or(this.promised);
        desk.orders.push(Order::Send { client: self.first + worker, bytes: to.bytes });
        self.set_alarm(worker, at, desk.orders);
        if let Some((other, later)) = to.leaves
            && !self.workers[other].client.pending.is_empty()
        {
            self.set_alarm(other, desk.now + later, desk.orders);
        }
    }

    fn set_alarm(&mut self, worker: usize, at: u64, orders: &mut Vec<Order>) {
        let this = &mut self.workers[worker].client;
        this.alarm += 1;
        orders.push(Order::Alarm { client: self.first + worker, at, token: this.alarm });
    }
}
