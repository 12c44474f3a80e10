//! What clients ask for, all through a run: some on few keys and all at once, some each for itself, pipelined or one by
//! one, through any node; what they hear goes into the `History`. Clients are told what happens to them and answer
//! with `Order`s; they know nothing of the world behind their connection.

/// The trade of those who move amounts between accounts.
pub mod accounts;
/// The trade of those who append to lists.
pub mod appends;
/// Which command comes next.
pub mod choice;
/// One client.
pub mod client;
/// Clients with a trade of their own.
pub mod crew;
/// The trade of those who fill queues, and wait for them.
pub mod queues;
/// Commands as bytes, and replies as what they say.
pub mod speech;

use crate::checkers::{Finding, ledger};
use crate::history::{
    Action, FAMILY_KEYS, History, KeyIndex, LedgerKey, MortalKey, Operation, Outcome, QUEUES, Reply, Size,
    Walk,
};
use base::Rng;
use choice::{Choice, Kind};
use client::{Client, Last, Pending, Purpose, Steps};
use crew::{Crew, Desk};
use node::resp::Frame;
use speech::{COUNTER, Known, PIECES};

/// What a client wants of the world.
#[derive(Debug)]
pub enum Order {
    /// Connect it to a host.
    Connect {
        /// Who.
        client: usize,
        /// Where to.
        host: usize,
    },
    /// Send on its connection.
    Send {
        /// Who.
        client: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// Break its connection.
    HangUp {
        /// Who.
        client: usize,
    },
    /// Ring [`Workload::alarm`].
    Alarm {
        /// Whom.
        client: usize,
        /// When.
        at: u64,
        /// With this name.
        token: u64,
    },
}

/// Who takes part in a world besides the clients that are always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Those who fill queues, and wait for them.
    pub queues: bool,
    /// Whether the queues lie on shards of their own.
    pub apart: bool,
    /// Those who move amounts between accounts.
    pub accounts: bool,
    /// Those who append to lists of different slots, in transactions.
    pub appends: bool,
    /// Those who move amounts between accounts on two shards.
    pub spread: bool,
}

/// How long no answer is within the promise: 5 s, on a clock that may be slow, and the way there and back.
pub const ANSWER_MAX: u64 = 6_000 * MILLI;

const MILLI: u64 = 1_000_000;
/// How many families are in use at a time.
const FAMILIES: usize = 5;
/// How many commands a family gets; with the reads at the end they stay below what the checker can take.
const FAMILY_CALLS: usize = 100;
/// A family with so many commands of unknown fate is left alone: every one doubles the checker's work.
const FAMILY_UNKNOWN: usize = 7;

/// All clients.
#[derive(Debug)]
pub struct Workload {
    clients: Vec<Client<Purpose>>,
    /// The walk by SCAN that each is on.
    walks: Vec<Option<Steps>>,
    /// Their clients come behind those that have no trade.
    crews: Vec<Crew>,
    choice: Choice,
    rng: Rng,
    hosts: usize,
    families: Vec<Family>,
    /// What remains to be read at the end, once that has begun.
    last: Option<Vec<Last>>,
    stopped: bool,
    /// The record.
    pub history: History,
    /// What clients themselves saw to be wrong.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Copy, Debug)]
struct Family {
    number: usize,
    kind: Kind,
    calls: usize,
    unknown: usize,
}

impl Workload {
    /// So many clients of so many hosts, and whoever else takes part.
    pub fn new(mut rng: Rng, clients: usize, hosts: usize, parts: Parts) -> Self {
        let mut workload = Self {
            clients: (0..clients).map(|client| Client::new(rng.fork(), client % hosts)).collect(),
            walks: (0..clients).map(|_| None).collect(),
            crews: Vec::new(),
            choice: Choice::new(rng.fork()),
            rng: rng.fork(),
            hosts,
            families: Vec::new(),
            last: None,
            stopped: false,
            history: History::default(),
            findings: Vec::new(),
        };
        (0..FAMILIES).for_each(|_| workload.add_family());
        if parts.queues {
            let trade = Box::new(queues::Queues { apart: parts.apart });
            workload.crews.push(Crew::new(trade, workload.clients(), hosts, &mut rng));
        }
        if parts.accounts {
            let trade = Box::new(accounts::Accounts::default());
            workload.crews.push(Crew::new(trade, workload.clients(), hosts, &mut rng));
        }
        if parts.spread {
            let trade = Box::new(accounts::Accounts::spread());
            workload.crews.push(Crew::new(trade, workload.clients(), hosts, &mut rng));
        }
        if parts.appends {
            let trade = Box::new(appends::Appends::default());
            workload.crews.push(Crew::new(trade, workload.clients(), hosts, &mut rng));
        }
        workload
    }

    /// How many clients there are, of every kind.
    pub fn clients(&self) -> usize {
        self.clients.len() + self.crews.iter().map(Crew::len).sum::<usize>()
    }

    /// Whether some have a trade of their own.
    pub fn has_crews(&self) -> bool {
        !self.crews.is_empty()
    }

    /// The crew that a client belongs to, if it does, and what crews need to write on.
    fn crew<'a>(
        &'a mut self,
        client: usize,
        now: u64,
        orders: &'a mut Vec<Order>,
    ) -> Option<(&'a mut Crew, Desk<'a>)> {
        let crew = self.crews.iter_mut().find(|crew| crew.has(client))?;
        let Self { history, findings, .. } = self;
        Some((crew, Desk { now, history, findings, orders }))
    }

    /// Begins: everybody comes within a second.
    pub fn begin(&mut self, orders: &mut Vec<Order>) {
        for client in 0..self.clients.len() {
            let at = self.rng.below(1_000) * MILLI;
            self.set_alarm(client, at, orders);
        }
        self.crews.iter_mut().for_each(|crew| crew.begin(orders));
    }

    /// Nothing goes wrong any more, and what went wrong is over.
    pub fn is_quiet(&mut self, now: u64) {
        self.history.quiet_since = Some(now);
    }

    /// No new commands from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.crews.iter_mut().for_each(Crew::stop);
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_empty()) && self.crews.iter().all(Crew::is_idle)
    }

    /// Reads everything once more.
    pub fn read_everything(&mut self, now: u64, orders: &mut Vec<Order>) {
        let families = (0..self.history.families.len()).map(Last::Family);
        let ledger = (0..self.history.ledger.len() as u32).map(Last::Ledger);
        let mut last: Vec<Last> = families.chain([Last::Counter, Last::Pieces]).chain(ledger).collect();
        last.reverse();
        self.last = Some(last);
        self.stopped = false;
        for client in 0..self.clients.len() {
            self.set_alarm(client, now, orders);
        }
        self.crews.iter_mut().for_each(|crew| crew.read_everything(now, orders));
    }

    /// Whether everything has been read.
    pub fn has_read_everything(&self) -> bool {
        self.last.as_ref().is_some_and(Vec::is_empty)
            && self.crews.iter().all(|crew| crew.has_read_everything(&self.history))
            && self.is_idle()
    }

    /// Clients none of whose commands took effect since `time`.
    pub fn without_success_since(&self, time: u64) -> Vec<usize> {
        let late = |&client: &usize| self.clients[client].succeeded.is_none_or(|at| at < time);
        let crews = self.crews.iter().flat_map(|crew| crew.without_success_since(time));
        (0..self.clients.len()).filter(late).chain(crews).collect()
    }

    /// What a client is doing, for people.
    pub fn describe(&self, client: usize) -> String {
        if let Some(crew) = self.crews.iter().find(|crew| crew.has(client)) {
            return crew.describe(client);
        }
        let Client { host, connected, pending, patience, .. } = &self.clients[client];
        let waits =
            pending.front().map(|pending| format!("{:?} since {} ms", pending.purpose, pending.sent / MILLI));
        format!(
            "client {client} of host {host}: connected {connected}, {} under way, the first {waits:?}, patience {} ms, \
             walking {}",
            pending.len(),
            patience / MILLI,
            self.walks[client].is_some()
        )
    }

    /// The connection is there.
    pub fn connected(&mut self, client: usize, now: u64, orders: &mut Vec<Order>) {
        if let Some((crew, mut desk)) = self.crew(client, now, orders) {
            return crew.connected(client, &mut desk);
        }
        self.clients[client].connected = true;
        self.send_more(client, now, orders);
    }

    /// The connection broke, or never came to be.
    pub fn closed(&mut self, client: usize, now: u64, orders: &mut Vec<Order>) {
        if let Some((crew, mut desk)) = self.crew(client, now, orders) {
            return crew.closed(client, &mut desk);
        }
        self.give_up(client, now);
        let this = &mut self.clients[client];
        // Usually somewhere else.
        if this.rng.chance(3, 4) {
            this.host = this.rng.below(self.hosts as u64) as usize;
        }
        let at = now + this.rng.between(5, 60) * MILLI;
        self.set_alarm(client, at, orders);
    }

    /// Bytes came.
    pub fn received(&mut self, client: usize, bytes: &[u8], now: u64, orders: &mut Vec<Order>) {
        if let Some((crew, mut desk)) = self.crew(client, now, orders) {
            return crew.received(client, bytes, &mut desk);
        }
        self.clients[client].receive(bytes);
        loop {
            match self.clients[client].reply() {
                Ok(None) => break,
                Ok(Some(frame)) => match self.clients[client].pending.pop_front() {
                    Some(pending) => self.answered(client, pending, frame, now),
                    None => self.complain(now, client, &format!("a reply to nothing: {frame:?}")),
                },
                Err(error) => {
                    self.complain(now, client, &error.to_string());
                    orders.push(Order::HangUp { client });
                    return self.closed(client, now, orders);
                }
            }
        }
        if self.clients[client].pending.is_empty() {
            let pause = self.pause(client);
            self.set_alarm(client, now + pause, orders);
        }
    }

    /// The alarm that was ordered rings. `hindered` is until when the client's host was stopped or not yet running.
    pub fn alarm(&mut self, client: usize, token: u64, now: u64, hindered: u64, orders: &mut Vec<Order>) {
        if let Some((crew, mut desk)) = self.crew(client, now, orders) {
            return crew.alarm(client, token, hindered, &mut desk);
        }
        let this = &mut self.clients[client];
        if token != this.alarm {
            return;
        }
        if let Some(oldest) = this.pending.front() {
            if now - oldest.sent >= ANSWER_MAX && hindered < oldest.sent {
                let text =
                    format!("no answer to {:?}, sent {} ms ago", oldest.purpose, (now - oldest.sent) / MILLI);
                self.complain(now, client, &text);
            }
            orders.push(Order::HangUp { client });
            self.closed(client, now, orders);
        } else if !this.connected {
            if !self.stopped {
                orders.push(Order::Connect { client, host: this.host });
            }
        } else if this.wants_to_leave(self.last.is_none()) {
            // Clients come and go.
            orders.push(Order::HangUp { client });
            self.closed(client, now, orders);
        } else {
            self.send_more(client, now, orders);
        }
    }

    /// What a node said to a client that had gone.
    pub fn said_in_vain(&mut self, client: usize, bytes: &[u8]) {
        if let Some(crew) = self.crews.iter_mut().find(|crew| crew.has(client)) {
            crew.said_in_vain(bytes, &mut self.history);
        }
    }

    fn complain(&mut self, now: u64, client: usize, text: &str) {
        let text = format!("client {client} at {} ms: {text}", now / MILLI);
        self.findings.push(Finding::new("replies", text));
    }

    fn pause(&mut self, client: usize) -> u64 {
        if self.last.is_some() {
            return MILLI;
        }
        let rng = &mut self.clients[client].rng;
        match rng.below(10) {
            0..=3 => rng.between(1, 10) * MILLI,
            4..=8 => rng.between(10, 150) * MILLI,
            _ => rng.between(100, 600) * MILLI,
        }
    }

    fn set_alarm(&mut self, client: usize, at: u64, orders: &mut Vec<Order>) {
        let this = &mut self.clients[client];
        this.alarm += 1;
        orders.push(Order::Alarm { client, at, token: this.alarm });
    }

    fn send_more(&mut self, client: usize, now: u64, orders: &mut Vec<Order>) {
        if self.stopped || !self.clients[client].pending.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        if self.last.is_some() {
            (0..16).for_each(|_| self.put_last(client, now, &mut bytes));
        } else {
            let rng = &mut self.clients[client].rng;
            let commands = if rng.chance(1, 4) { rng.between(2, 7) } else { 1 };
            (0..commands).for_each(|_| self.put_command(client, now, &mut bytes));
        }
        if bytes.is_empty() {
            return;
        }
        let this = &mut self.clients[client];
        let impatient = self.last.is_none() && this.rng.chance(1, 10);
        this.patience = if impatient { this.rng.between(100, 3_000) * MILLI } else { ANSWER_MAX };
        let at = now + this.patience;
        orders.push(Order::Send { client, bytes });
        self.set_alarm(client, at, orders);
    }

    fn put_command(&mut self, client: usize, now: u64, bytes: &mut Vec<u8>) {
        let walking = self.walks[client].is_some();
        let purpose = match self.rng.below(106) {
            0..=69 if walking => self.put_scan(client, now, bytes),
            0..=69 => self.put_family(client, now, bytes),
            70..=77 => {
                speech::put(bytes, &[b"INCR", COUNTER]);
                self.history.counter.push(operation(client, (), now));
                Purpose::Counter(self.history.counter.len() - 1)
            }
            78..=85 => {
                let piece = format!("{}.{client};", self.history.pieces.len()).into_bytes();
                speech::put(bytes, &[b"APPEND", PIECES, &piece]);
                self.history.pieces.push(operation(client, piece, now));
                Purpose::Piece(self.history.pieces.len() - 1)
            }
            86..=95 => {
                let number = self.history.ledger.len() as u32;
                speech::put(bytes, &[b"SET", &speech::ledger_key(number), &ledger::value(number)]);
                let outcome = Outcome::Open;
                self.history.ledger.push(LedgerKey { called: now, returned: 0, outcome, read: None });
                Purpose::Ledger(number)
            }
            100..=101 => self.put_mortal(now, bytes),
            102..=105 if !self.history.mortals.is_empty() => self.put_look(bytes),
            96 => {
                speech::put(bytes, &[b"DBSIZE"]);
                Purpose::Size(0)
            }
            97 => {
                speech::put(bytes, &[b"KEYS", b"*"]);
                Purpose::Keys
            }
            _ => self.put_scan(client, now, bytes),
        };
        self.under_way(client, purpose, now);
    }

    fn put_mortal(&mut self, now: u64, bytes: &mut Vec<u8>) -> Purpose {
        let number = self.history.mortals.len();
        let millis = self.rng.between(1_500, 7_000);
        let text = millis.to_string();
        speech::put(bytes, &[b"SET", &speech::mortal_key(number), b"alive", b"PX", text.as_bytes()]);
        let outcome = Outcome::Open;
        self.history.mortals.push(MortalKey { called: now, returned: 0, outcome, millis, looks: Vec::new() });
        Purpose::Mortal(number)
    }

    /// Looks at one of the last mortal keys: some live, some have just gone.
    fn put_look(&mut self, bytes: &mut Vec<u8>) -> Purpose {
        let count = self.history.mortals.len();
        let number = count - 1 - self.rng.below(count.min(12) as u64) as usize;
        speech::put(bytes, &[b"GET", &speech::mortal_key(number)]);
        Purpose::Look(number)
    }

    fn under_way(&mut self, client: usize, purpose: Purpose, now: u64) {
        self.history.commands += 1;
        self.clients[client].pending.push_back(Pending { purpose, sent: now });
    }

    fn put_family(&mut self, client: usize, now: u64, bytes: &mut Vec<u8>) -> Purpose {
        let which = self.rng.below(self.families.len() as u64) as usize;
        if self.families[which].calls >= FAMILY_CALLS || self.families[which].unknown >= FAMILY_UNKNOWN {
            self.families.swap_remove(which);
            self.add_family();
            return self.put_family(client, now, bytes);
        }
        let family = &mut self.families[which];
        family.calls += 1;
        let number = family.number;
        let action = self.choice.action(family.kind);
        speech::put_action(bytes, number, &action, &mut self.rng);
        self.note_family(client, number, action, now)
    }

    fn note_family(&mut self, client: usize, family: usize, action: Action, now: u64) -> Purpose {
        let before = self.clients[client].pending.iter().rev().find_map(|pending| match pending.purpose {
            Purpose::Family(other, place) if other == family => Some(place),
            _ => None,
        });
        let operations = &mut self.history.families[family];
        operations.push(Operation { after: before, ..operation(client, action, now) });
        Purpose::Family(family, operations.len() - 1)
    }

    fn add_family(&mut self) {
        let number = self.history.families.len();
        self.history.families.push(Vec::new());
        self.families.push(Family { number, kind: Kind::any(&mut self.rng), calls: 0, unknown: 0 });
    }

    fn put_scan(&mut self, client: usize, now: u64, bytes: &mut Vec<u8>) -> Purpose {
        let under_way = self.clients[client].pending.iter().any(|p| matches!(p.purpose, Purpose::Scan));
        if under_way {
            // A walk goes on from its last answer.
            return self.put_family(client, now, bytes);
        }
        let steps = self.walks[client].get_or_insert_with(|| Steps {
            cursor: b"0".to_vec(),
            walk: Walk { began: now, ended: 0, ledger: Vec::new(), strangers: Vec::new(), at_once: false },
        });
        let count = self.rng.between(3, 60).to_string();
        speech::put(bytes, &[b"SCAN", &steps.cursor, b"COUNT", count.as_bytes()]);
        Purpose::Scan
    }

    fn put_last(&mut self, client: usize, now: u64, bytes: &mut Vec<u8>) {
        let Some(last) = self.last.as_mut().and_then(Vec::pop) else { return };
        match last {
            Last::Family(family) => {
                let action = Action::GetMany((0..FAMILY_KEYS as KeyIndex).collect());
                speech::put_action(bytes, family, &action, &mut self.rng);
            }
            Last::Counter => speech::put(bytes, &[b"GET", COUNTER]),
            Last::Pieces => speech::put(bytes, &[b"GET", PIECES]),
            Last::Ledger(number) => speech::put(bytes, &[b"GET", &speech::ledger_key(number)]),
        }
        self.under_way(client, Purpose::Last(last), now);
    }

    fn answered(&mut self, client: usize, pending: Pending<Purpose>, frame: Frame, now: u64) {
        match pending.purpose {
            Purpose::Scan if frame.error().is_none() => self.scanned(client, &frame, now),
            Purpose::Keys if frame.error().is_none() => self.listed(client, &pending, &frame, now),
            purpose => {
                let outcome = speech::outcome_of(frame);
                let pending = Pending { purpose, sent: pending.sent };
                self.settle(client, &pending, outcome, now);
            }
        }
    }

    /// Whatever was under way will never be answered.
    fn give_up(&mut self, client: usize, now: u64) {
        for pending in self.clients[client].disconnect() {
            self.settle(client, &pending, Outcome::Unknown, now);
        }
    }

    /// Notes down a command's fate.
    fn settle(&mut self, client: usize, pending: &Pending<Purpose>, outcome: Outcome, now: u64) {
        match &outcome {
            Outcome::Done(_) => {
                self.history.answered += 1;
                self.clients[client].succeeded = Some(now);
            }
            Outcome::Refused => self.history.refused += 1,
            Outcome::Unknown | Outcome::Open => self.history.unknown += 1,
        }
        if let Outcome::Done(Reply::Error(text)) = &outcome
            && !matches!(pending.purpose, Purpose::Family(..))
        {
            self.complain(now, client, &format!("{:?} was answered {text:?}", pending.purpose));
        }
        let history = &mut self.history;
        match pending.purpose {
            Purpose::Family(family, place) => self.settle_family(family, place, outcome, now),
            Purpose::Counter(place) => conclude(&mut history.counter[place], outcome, now),
            Purpose::Piece(place) => conclude(&mut history.pieces[place], outcome, now),
            Purpose::Ledger(number) => {
                let key = &mut history.ledger[number as usize];
                (key.returned, key.outcome) = (now, outcome);
            }
            Purpose::Mortal(number) => {
                let key = &mut history.mortals[number];
                (key.returned, key.outcome) = (now, outcome);
            }
            Purpose::Look(number) => {
                if let Outcome::Done(reply) = outcome {
                    history.mortals[number].looks.push((pending.sent, now, reply != Reply::Nil));
                }
            }
            Purpose::Size(_) => {
                if let Outcome::Done(Reply::Integer(keys)) = outcome {
                    // Whatever was ever written, the two that all share, and the queues.
                    let pairs = history.accounts.len() + history.spread.len();
                    let alone = history.ledger.len() + history.mortals.len() + 2 * pairs + history.lists;
                    let keys_max = (alone + FAMILY_KEYS * history.families.len() + 2 + QUEUES) as i64;
                    history.sizes.push(Size { called: pending.sent, returned: now, keys, keys_max });
                }
            }
            Purpose::Last(last) => self.settle_last(client, pending, last, outcome, now),
            Purpose::Scan | Purpose::Keys => {}
        }
    }

    fn settle_family(&mut self, family: usize, place: usize, outcome: Outcome, now: u64) {
        let operation = &mut self.history.families[family][place];
        if let Some(active) = self.families.iter_mut().find(|active| active.number == family) {
            match outcome {
                Outcome::Refused => active.calls -= 1,
                Outcome::Unknown if operation.action.is_read() => active.calls -= 1,
                Outcome::Unknown => active.unknown += 1,
                _ => {}
            }
        }
        conclude(operation, outcome, now);
    }

    fn settle_last(
        &mut self,
        client: usize,
        pending: &Pending<Purpose>,
        last: Last,
        outcome: Outcome,
        now: u64,
    ) {
        let Outcome::Done(reply) = outcome else {
            self.last.as_mut().expect("the end has begun").push(last);
            return;
        };
        let history = &mut self.history;
        match last {
            Last::Family(family) => {
                let action = Action::GetMany((0..FAMILY_KEYS as KeyIndex).collect());
                let mut read = operation(client, action, pending.sent);
                conclude(&mut read, Outcome::Done(reply), now);
                history.families[family].push(read);
            }
            Last::Counter => history.counter_read = Some(reply),
            Last::Pieces => history.pieces_read = Some(reply),
            Last::Ledger(number) => history.ledger[number as usize].read = Some(reply),
        }
    }

    fn scanned(&mut self, client: usize, frame: &Frame, now: u64) {
        self.history.answered += 1;
        self.clients[client].succeeded = Some(now);
        let (Some((cursor, keys)), Some(mut steps)) = (speech::scan_reply(frame), self.walks[client].take())
        else {
            return self.complain(now, client, &format!("SCAN was answered {frame:?}"));
        };
        self.note_keys(&mut steps.walk, keys);
        if cursor == b"0" {
            steps.walk.ended = now;
            self.history.walks.push(steps.walk);
        } else {
            steps.cursor = cursor;
            self.walks[client] = Some(steps);
        }
    }

    fn listed(&mut self, client: usize, pending: &Pending<Purpose>, frame: &Frame, now: u64) {
        self.history.answered += 1;
        self.clients[client].succeeded = Some(now);
        let Some(keys) = speech::keys_reply(frame) else {
            return self.complain(now, client, &format!("KEYS was answered {frame:?}"));
        };
        let mut walk = Walk {
            began: pending.sent,
            ended: now,
            ledger: Vec::new(),
            strangers: Vec::new(),
            at_once: true,
        };
        self.note_keys(&mut walk, keys);
        self.history.walks.push(walk);
    }

    fn note_keys(&self, walk: &mut Walk, keys: Vec<Vec<u8>>) {
        for key in keys {
            match speech::recognize(&key) {
                Known::Ledger(number) => walk.ledger.push(number),
                Known::Family(family) if family < self.history.families.len() => {}
                Known::Mortal(number) if number < self.history.mortals.len() => {}
                Known::Account(pair) if pair < self.history.accounts.len() => {}
                Known::List(list) if list < self.history.lists => {}
                Known::Spread(pair) if pair < self.history.spread.len() => {}
                Known::Shared => {}
                Known::Family(_)
                | Known::Mortal(_)
                | Known::Account(_)
                | Known::List(_)
                | Known::Spread(_)
                | Known::Stranger => walk.strangers.push(key),
            }
        }
    }
}

impl Client<Purpose> {
    /// Whether it is time to leave, while there is no hurry.
    fn wants_to_leave(&mut self, no_hurry: bool) -> bool {
        no_hurry && self.rng.chance(1, 60)
    }
}

fn operation<A>(client: usize, action: A, now: u64) -> Operation<A> {
    Operation { client, action, called: now, returned: 0, outcome: Outcome::Open, after: None }
}

fn conclude<A>(operation: &mut Operation<A>, outcome: Outcome, now: u64) {
    (operation.returned, operation.outcome) = (now, outcome);
}
