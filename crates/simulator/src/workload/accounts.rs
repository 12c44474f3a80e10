//! Those who move amounts between two accounts that share a slot, or lie on two shards, so that their sum stays what it is: blindly in a
//! transaction, or after a look, under WATCH. Others look at both at once. Where they lie on two shards, some add to one alone, or look
//! at it alone, by plain commands. What they do is put down as commands on the
//! pair, for the search for an order that explains it.

use super::crew::{Sending, Trade};
use super::{MILLI, speech};
use crate::checkers::linearizability::Call;
use crate::history::{AccountAction, History, Outcome, Pair};
use node::resp::Frame;

const WORKERS: usize = 4;
/// How many commands a pair gets; with those under way and the last look they stay below what the checker can take.
const CALLS: usize = 100;
/// A pair with so many changes of unknown fate is left alone: every one doubles the checker's work.
const UNKNOWN: usize = 7;

/// The trade.
#[derive(Debug, Default)]
pub struct Accounts {
    /// What every command is for, by its number.
    steps: Vec<Step>,
    /// What each worker does next.
    plans: [Plan; WORKERS],
    /// How many changes of unknown fate the newest pair has seen.
    unknown: usize,
    /// Pairs to be looked at in the end, once that has begun.
    unread: Option<Vec<usize>>,
    /// Whether the accounts of a pair lie on two shards.
    is_spread: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Plan {
    /// Whatever comes to its mind.
    #[default]
    Anything,
    /// A transaction.
    Begin(Body),
    /// MULTI has been answered; what belongs into it, and EXEC.
    Finish(Body),
}

/// What is done to a pair.
#[derive(Clone, Copy, Debug)]
struct Body {
    pair: usize,
    action: AccountAction,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    worker: usize,
    sent: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Watch,
    /// MGET of a pair, and how much is to be moved if nothing changes meanwhile.
    Look(usize, Option<i64>),
    LastLook(usize),
    Multi(Body),
    /// A command in a transaction, or what ends one: how it is answered shows at EXEC.
    Aside,
    Exec(Body),
    /// A plain command on the first account.
    Plain(Body),
}

impl Accounts {
    /// Of accounts that lie on two shards.
    pub fn spread() -> Self {
        Self { is_spread: true, ..Self::default() }
    }

    fn keys(&self, pair: usize) -> [Vec<u8>; 2] {
        if self.is_spread { speech::spread_keys(pair) } else { speech::account_keys(pair) }
    }

    fn pairs<'a>(&self, history: &'a mut History) -> &'a mut Vec<Vec<Call<AccountAction, Pair>>> {
        if self.is_spread { &mut history.spread } else { &mut history.accounts }
    }

    fn put(&mut self, worker: usize, now: u64, words: &[&[u8]], what: What, to: &mut Sending) {
        speech::put(&mut to.bytes, words);
        to.commands.push(self.steps.len());
        self.steps.push(Step { worker, sent: now, what });
    }

    fn put_look(&mut self, worker: usize, now: u64, pair: usize, what: What, to: &mut Sending) {
        let [a, b] = self.keys(pair);
        self.put(worker, now, &[b"MGET", &a, &b], what, to);
    }

    fn begin(&mut self, worker: usize, now: u64, body: Body, to: &mut Sending) {
        self.put(worker, now, &[b"MULTI"], What::Multi(body), to);
    }

    fn finish(&mut self, worker: usize, now: u64, body: Body, to: &mut Sending) {
        let [a, b] = self.keys(body.pair);
        let text = |number: i64| number.to_string().into_bytes();
        let commands: [Vec<Vec<u8>>; 2] = match body.action {
            AccountAction::Look | AccountAction::LookAtFirst | AccountAction::Add(_) => {
                [vec![b"GET".to_vec(), a], vec![b"GET".to_vec(), b]]
            }
            AccountAction::Move(by) => {
                [vec![b"DECRBY".to_vec(), a, text(by)], vec![b"INCRBY".to_vec(), b, text(by)]]
            }
            AccountAction::MoveIfStill(seen, by) => {
                let (first, second) = moved(seen, by);
                [vec![b"SET".to_vec(), a, text(first)], vec![b"SET".to_vec(), b, text(second)]]
            }
        };
        for words in commands {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            self.put(worker, now, &words, What::Aside, to);
        }
        self.put(worker, now, &[b"EXEC"], What::Exec(body), to);
    }

    fn settle(&mut self, step: Step, body: Body, reply: Option<Pair>, now: u64, history: &mut History) {
        let Body { pair, action } = body;
        if reply.is_none() {
            if matches!(action, AccountAction::Look | AccountAction::LookAtFirst) {
                return;
            }
            self.unknown += usize::from(pair + 1 == self.pairs(history).len());
        }
        let returned = reply.map(|_| now);
        self.pairs(history)[pair].push(Call { called: step.sent, returned, action, reply, after: None });
    }

    fn looked(&mut self, step: Step, pair: usize, frame: Frame, now: u64, history: &mut History) -> Answer {
        let seen = match frame {
            Frame::Array(values) => two_numbers(&values),
            error => return refused(error),
        };
        let seen = seen.ok_or("MGET of two accounts didn't answer two numbers")?;
        let body = Body { pair, action: AccountAction::Look };
        self.settle(step, body, Some(seen), now, history);
        if let What::Look(_, Some(by)) = step.what
            && let plan @ Plan::Anything = &mut self.plans[step.worker]
        {
            *plan = Plan::Begin(Body { pair, action: AccountAction::MoveIfStill(seen, by) });
        }
        Ok(true)
    }

    fn executed(&mut self, step: Step, body: Body, frame: Frame, now: u64, history: &mut History) -> Answer {
        let reply = match (body.action, frame) {
            // A watched account has changed.
            (_, Frame::NullArray | Frame::Null) => return Ok(true),
            (AccountAction::MoveIfStill(seen, by), Frame::Array(replies)) => {
                let ok = |reply: &Frame| matches!(reply, Frame::Simple(text) if text == b"OK");
                (replies.len() == 2 && replies.iter().all(ok)).then(|| moved(seen, by))
            }
            (_, Frame::Array(replies)) => two_numbers(&replies),
            (_, Frame::Error(text)) if text.starts_with(b"UNKNOWN") => {
                self.settle(step, body, None, now, history);
                return Ok(false);
            }
            (_, error) => return refused(error),
        };
        let reply = reply.ok_or_else(|| format!("EXEC of {:?} was answered otherwise", body.action))?;
        self.settle(step, body, Some(reply), now, history);
        Ok(true)
    }
}

type Answer = Result<bool, String>;

impl Accounts {
    fn put_plain(&mut self, worker: usize, now: u64, body: Body, to: &mut Sending) {
        let [a, _] = self.keys(body.pair);
        match body.action {
            AccountAction::Add(by) => {
                let by = by.to_string().into_bytes();
                self.put(worker, now, &[b"INCRBY", &a, &by], What::Plain(body), to);
            }
            _ => self.put(worker, now, &[b"GET", &a], What::Plain(body), to),
        }
    }

    fn plainly(&mut self, step: Step, body: Body, frame: Frame, now: u64, history: &mut History) -> Answer {
        if let Frame::Error(text) = &frame {
            if text.starts_with(b"UNKNOWN") {
                self.settle(step, body, None, now, history);
                return Ok(false);
            }
            return refused(frame);
        }
        let number = number(&frame).ok_or("one account's answer was no number")?;
        self.settle(step, body, Some((number, 0)), now, history);
        Ok(true)
    }
}

impl Trade for Accounts {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn next(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        to.rest = to.rng.below(3) * MILLI;
        if to.rng.chance(1, 30) {
            to.patience = Some(to.rng.below(1_500) * MILLI);
        }
        match std::mem::take(&mut self.plans[worker]) {
            Plan::Begin(body) => return self.begin(worker, now, body, to),
            Plan::Finish(body) => {
                to.rest = to.rng.between(5, 600) * MILLI;
                return self.finish(worker, now, body, to);
            }
            Plan::Anything => {}
        }
        let unknown = self.unknown;
        let pairs = self.pairs(history);
        let is_new = unknown >= UNKNOWN || pairs.last().is_none_or(|calls| calls.len() >= CALLS);
        if is_new {
            pairs.push(Vec::new());
        }
        let pair = pairs.len() - 1;
        if is_new {
            self.unknown = 0;
        }
        // Amounts that hardly come twice, so that no two ways lead to the same state.
        let by = to.rng.below(2_000_000) as i64 - 1_000_000;
        match to.rng.below(if self.is_spread { 11 } else { 8 }) {
            8 => self.put_plain(worker, now, Body { pair, action: AccountAction::Add(by) }, to),
            9..=10 => self.put_plain(worker, now, Body { pair, action: AccountAction::LookAtFirst }, to),
            0 => {
                to.rest = to.rng.between(5, 600) * MILLI;
                self.put_look(worker, now, pair, What::Look(pair, None), to);
            }
            1..=2 => self.begin(worker, now, Body { pair, action: AccountAction::Look }, to),
            3..=4 => self.begin(worker, now, Body { pair, action: AccountAction::Move(by) }, to),
            _ => {
                let [a, b] = self.keys(pair);
                self.put(worker, now, &[b"WATCH", &a, &b], What::Watch, to);
                self.put_look(worker, now, pair, What::Look(pair, Some(by)), to);
            }
        }
    }

    fn last(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        if worker > 0 {
            return;
        }
        if let Plan::Finish(_) = std::mem::take(&mut self.plans[worker]) {
            self.put(worker, now, &[b"DISCARD"], What::Aside, to);
        }
        let count = self.pairs(history).len();
        let unread = self.unread.get_or_insert_with(|| (0..count).collect());
        for pair in std::mem::take(unread) {
            self.put_look(worker, now, pair, What::LastLook(pair), to);
        }
    }

    fn has_read_everything(&self, _: &History) -> bool {
        self.unread.as_ref().is_some_and(Vec::is_empty)
    }

    fn answered(&mut self, command: usize, frame: Frame, now: u64, history: &mut History) -> Answer {
        let step = self.steps[command];
        let is_error = matches!(frame, Frame::Error(_));
        match step.what {
            What::Watch if is_error => {
                // What is seen next isn't watched.
                let next = &mut self.steps[command + 1].what;
                if let What::Look(pair, _) = *next {
                    *next = What::Look(pair, None);
                }
                refused(frame)
            }
            What::Multi(body) if !is_error => {
                self.plans[step.worker] = Plan::Finish(body);
                Ok(true)
            }
            What::Multi(_) => refused(frame),
            What::Watch | What::Aside => Ok(false),
            What::Look(pair, _) => self.looked(step, pair, frame, now, history),
            What::LastLook(pair) => {
                let answer = self.looked(step, pair, frame, now, history);
                if answer == Ok(false) {
                    self.unread.get_or_insert_default().push(pair);
                }
                answer
            }
            What::Exec(body) => self.executed(step, body, frame, now, history),
            What::Plain(body) => self.plainly(step, body, frame, now, history),
        }
    }

    fn lost(&mut self, command: usize, _: bool, now: u64, history: &mut History) {
        let step = self.steps[command];
        match step.what {
            What::Exec(body) | What::Plain(body) => self.settle(step, body, None, now, history),
            What::LastLook(pair) => self.unread.get_or_insert_default().push(pair),
            _ => {}
        }
    }

    fn went(&mut self, worker: usize) {
        // A transaction and what is watched belong to the connection.
        self.plans[worker] = Plan::Anything;
    }

    fn said_in_vain(&mut self, _: Frame, _: &mut History) {}
}

/// What a pair is after an amount has been moved.
pub fn moved((first, second): Pair, by: i64) -> Pair {
    (first - by, second + by)
}

/// An error that says that nothing was done, or a complaint.
fn refused(frame: Frame) -> Answer {
    match speech::outcome_of(frame) {
        Outcome::Refused | Outcome::Unknown => Ok(false),
        other => Err(format!("a transaction was answered {other:?}")),
    }
}

fn two_numbers(frames: &[Frame]) -> Option<Pair> {
    let [first, second] = frames else { return None };
    Some((number(first)?, number(second)?))
}

fn number(frame: &Frame) -> Option<i64> {
    match frame {
        Frame::Integer(number) => Some(*number),
        Frame::Bulk(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        // Nothing has been moved yet.
        Frame::Null => Some(0),
        _ => None,
    }
}
