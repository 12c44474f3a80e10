//! Those who append to lists and read them, in transactions over lists of different slots: what Elle calls list-append. Every element is
//! appended once; what is read tells the order. Some act by one plain command, which is a transaction, too.

use super::crew::{Sending, Trade};
use super::{MILLI, speech};
use crate::history::{Append, Fate, History, Micro, Outcome};
use node::resp::Frame;

const WORKERS: usize = 5;
/// How many lists are in use at a time.
const LISTS: usize = 4;
/// After so many transactions others are used, or what is read would grow beyond all bounds.
const TRANSACTIONS: usize = 60;

/// The trade.
#[derive(Debug, Default)]
pub struct Appends {
    /// What every command is for, by its number.
    steps: Vec<Step>,
    /// The transaction for which MULTI was answered, of each worker.
    begun: [Option<usize>; WORKERS],
    elements: u64,
    /// Lists to be read in the end, once that has begun.
    unread: Option<Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    worker: usize,
    what: What,
}

/// What a command is for: of which transaction, by its place in the history.
#[derive(Clone, Copy, Debug)]
enum What {
    Multi(usize),
    /// How it is answered shows at EXEC.
    Aside,
    Exec(usize),
    /// All of the transaction.
    Plain(usize),
    /// The same, at the end, of this list.
    Last(usize, usize),
}

type Answer = Result<bool, String>;

impl Appends {
    fn put(&mut self, worker: usize, words: &[&[u8]], what: What, to: &mut Sending) {
        speech::put(&mut to.bytes, words);
        to.commands.push(self.steps.len());
        self.steps.push(Step { worker, what });
    }

    fn put_micro(&mut self, worker: usize, micro: &Micro, what: What, to: &mut Sending) {
        match micro {
            Micro::Append { key, element } => {
                let element = element.to_string().into_bytes();
                self.put(worker, &[b"RPUSH", &speech::list_key(*key), &element], what, to);
            }
            Micro::Read { key, .. } => {
                self.put(worker, &[b"LRANGE", &speech::list_key(*key), b"0", b"-1"], what, to);
            }
        }
    }

    fn micro(&mut self, lists: usize, to: &mut Sending) -> Micro {
        // The newest lists.
        let key = lists - 1 - to.rng.below(LISTS as u64) as usize;
        if to.rng.chance(1, 2) {
            return Micro::Read { key, seen: Vec::new() };
        }
        self.elements += 1;
        Micro::Append { key, element: self.elements }
    }

    /// The fate of a transaction; what it read is filled in from its replies.
    fn settle(number: usize, fate: Fate, now: u64, history: &mut History) {
        let append = &mut history.appends[number];
        append.fate = fate;
        append.returned = (fate == Fate::Done).then_some(now);
    }

    fn done(number: usize, replies: &[Frame], now: u64, history: &mut History) -> Answer {
        let ops = &mut history.appends[number].ops;
        if replies.len() != ops.len() {
            return Err(format!("{} commands got {} replies", ops.len(), replies.len()));
        }
        for (micro, reply) in ops.iter_mut().zip(replies) {
            match (micro, reply) {
                (Micro::Append { .. }, Frame::Integer(_)) => {}
                (Micro::Read { seen, .. }, Frame::Array(elements)) => {
                    let number = |frame: &Frame| std::str::from_utf8(frame.as_bytes()?).ok()?.parse().ok();
                    let all: Option<Vec<u64>> = elements.iter().map(number).collect();
                    *seen = all.ok_or("a list holds what nobody has appended")?;
                }
                (micro, reply) => return Err(format!("{micro:?} was answered {reply:?}")),
            }
        }
        Self::settle(number, Fate::Done, now, history);
        Ok(true)
    }

    fn failed(number: usize, frame: Frame, now: u64, history: &mut History) -> Answer {
        let fate = match speech::outcome_of(frame) {
            Outcome::Refused => Fate::Refused,
            Outcome::Unknown => Fate::Unknown,
            other => return Err(format!("a transaction on lists was answered {other:?}")),
        };
        Self::settle(number, fate, now, history);
        Ok(false)
    }
}

impl Trade for Appends {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn next(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        to.rest = to.rng.below(60) * MILLI;
        if to.rng.chance(1, 30) {
            to.patience = Some(to.rng.below(1_500) * MILLI);
        }
        if let Some(number) = self.begun[worker].take() {
            history.appends[number].called = now;
            // From here on it may happen.
            history.appends[number].fate = Fate::Unknown;
            for micro in history.appends[number].ops.clone() {
                self.put_micro(worker, &micro, What::Aside, to);
            }
            return self.put(worker, &[b"EXEC"], What::Exec(number), to);
        }
        if history.appends.len() >= history.lists / LISTS * TRANSACTIONS {
            history.lists += LISTS;
        }
        let count = if to.rng.chance(1, 5) { 1 } else { to.rng.between(2, 5) };
        let ops: Vec<Micro> = (0..count).map(|_| self.micro(history.lists, to)).collect();
        let number = history.appends.len();
        let plain = ops.len() == 1 && to.rng.chance(2, 3);
        let fate = if plain { Fate::Unknown } else { Fate::Refused };
        history.appends.push(Append { ops: ops.clone(), called: now, returned: None, fate });
        if plain {
            self.put_micro(worker, &ops[0], What::Plain(number), to);
        } else {
            to.rest = 0;
            self.put(worker, &[b"MULTI"], What::Multi(number), to);
        }
    }

    fn last(&mut self, worker: usize, now: u64, history: &mut History, to: &mut Sending) {
        if worker > 0 {
            return;
        }
        if self.begun[worker].take().is_some() {
            self.put(worker, &[b"DISCARD"], What::Aside, to);
        }
        let unread = self.unread.get_or_insert_with(|| (0..history.lists).collect());
        for key in std::mem::take(unread) {
            let ops = vec![Micro::Read { key, seen: Vec::new() }];
            let number = history.appends.len();
            self.put_micro(worker, &ops[0], What::Last(number, key), to);
            history.appends.push(Append { ops, called: now, returned: None, fate: Fate::Unknown });
        }
    }

    fn has_read_everything(&self, _: &History) -> bool {
        self.unread.as_ref().is_some_and(Vec::is_empty)
    }

    fn answered(&mut self, command: usize, frame: Frame, now: u64, history: &mut History) -> Answer {
        let Step { worker, what } = self.steps[command];
        let is_error = matches!(frame, Frame::Error(_));
        match what {
            What::Multi(number) if !is_error => {
                self.begun[worker] = Some(number);
                Ok(true)
            }
            What::Multi(number) => Self::failed(number, frame, now, history),
            What::Aside => Ok(false),
            What::Exec(number) => match frame {
                Frame::Array(replies) => Self::done(number, &replies, now, history),
                frame => Self::failed(number, frame, now, history),
            },
            What::Plain(number) if !is_error => Self::done(number, &[frame], now, history),
            What::Plain(number) => Self::failed(number, frame, now, history),
            What::Last(number, _) if !is_error => Self::done(number, &[frame], now, history),
            What::Last(number, key) => {
                self.unread.get_or_insert_default().push(key);
                Self::failed(number, frame, now, history)
            }
        }
    }

    fn lost(&mut self, command: usize, _: bool, _: u64, _: &mut History) {
        // Its fate was unknown from the beginning, or nothing was begun.
        if let What::Last(_, key) = self.steps[command].what {
            self.unread.get_or_insert_default().push(key);
        }
    }

    fn went(&mut self, worker: usize) {
        // A transaction belongs to the connection.
        self.begun[worker] = None;
    }

    fn said_in_vain(&mut self, _: Frame, _: &mut History) {}
}
