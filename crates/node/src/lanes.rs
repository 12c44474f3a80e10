//! The gateway's side of forwarding: one lane to each group.
//!
//! Requests of a lane are numbered and sent in order; the group's leader, whoever it is at the moment, takes them in
//! order and each write once. When the leader changes, or a link breaks, or something got lost, everything that is
//! still unanswered is sent again in the same order. So the order of a connection's commands within a shard holds over
//! every failure, and nothing is done twice.
//!
//! A read can't be told to have happened before a write that was sent behind it and may be done by now, nor before another
//! read behind it that has been answered: such a read isn't sent again but refused with TRYAGAIN.

use crate::hub::{Hub, Verdict, Waiter, Work};
use crate::replica::locks::LOCKED;
use crate::wire::{Ask, Request};
use base::{Duration, GroupId, NodeId, Time};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};

/// After a refusal the lane waits this long for news of a leader before it asks again.
const PAUSE: Duration = Duration::from_millis(15);
/// What met a lock that is held for long is asked again after this.
const LOCK_PAUSE: Duration = Duration::from_millis(40);
/// What is unanswered for this long is sent again: it may have been lost.
const REPEAT: Duration = Duration::from_millis(700);

/// The requests of this node to one group.
#[derive(Debug)]
pub struct Lane {
    group: GroupId,
    next_id: u64,
    next_sequence: u64,
    waiting: VecDeque<Waiting>,
    /// How many at the front were sent to `target`.
    sent: usize,
    /// What met a lock that is held for long, and when it is asked again.
    again: VecDeque<(Time, Again)>,
    target: Option<NodeId>,
    not_before: Time,
}

#[derive(Debug)]
struct Again {
    waiter: Waiter,
    work: Work,
    since: Time,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    waiter: Waiter,
    since: Time,
    ask: Ask,
    /// When it was sent last; if ever, it may have been done.
    sent_at: Option<Time>,
    /// Something that the same client sent behind it has been done already: a read can't be done any more.
    overtaken: bool,
}

impl Lane {
    /// An empty lane.
    pub fn new(group: GroupId) -> Self {
        Self {
            group,
            next_id: 1,
            next_sequence: 1,
            waiting: VecDeque::new(),
            sent: 0,
            again: VecDeque::new(),
            target: None,
            not_before: Time::ZERO,
        }
    }

    /// Whether nothing waits to be answered. What pauses before it is asked again has its client wait, so nothing overtakes it.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something pauses that may be asked again.
    pub fn has_due(&self, now: Time) -> bool {
        self.again.front().is_some_and(|(at, _)| *at <= now)
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The sequence of the next write that is put at the lane's end.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Puts work at the lane's end. `since` is when its client asked.
    pub fn push(&mut self, waiter: Waiter, work: Work, since: Time) {
        let ask = match work {
            Work::Write(op) => {
                let sequence = self.next_sequence;
                self.next_sequence += 1;
                Ask::Write { sequence, op }
            }
            Work::Read(query) => Ask::Read { after: self.next_sequence - 1, again: false, query },
        };
        self.waiting.push_back(Waiting {
            id: self.next_id,
            waiter,
            since,
            ask,
            sent_at: None,
            overtaken: false,
        });
        self.next_id += 1;
    }

    fn floor(&self) -> u64 {
        let first = self.waiting.iter().find_map(|waiting| match waiting.ask {
            Ask::Write { sequence, .. } => Some(sequence),
            Ask::Read { .. } => None,
        });
        first.unwrap_or(self.next_sequence)
    }

    /// What is to be sent to `leader` now, in order. Requests to this node itself are returned, too: the caller gives
    /// them to its own copy.
    pub fn due(&mut self, hub: &mut Hub, leader: Option<NodeId>) -> Vec<Request> {
        self.ask_again(hub.now);
        let Some(leader) = leader else { return Vec::new() };
        if self.waiting.is_empty() || hub.now < self.not_before {
            return Vec::new();
        }
        let oldest = self.waiting.front().and_then(|first| first.sent_at);
        let lost = self.sent > 0 && oldest.is_some_and(|at| hub.now.since(at) > REPEAT);
        if self.target != Some(leader) || lost {
            self.rewind(hub);
            self.target = Some(leader);
        }
        let floor = self.floor();
        let mut due = Vec::new();
        for waiting in self.waiting.iter_mut().skip(self.sent) {
            if let Ask::Read { again, .. } = &mut waiting.ask {
                *again = waiting.sent_at.is_some();
            }
            waiting.sent_at = Some(hub.now);
            due.push(Request {
                group: self.group,
                session: hub.session,
                id: waiting.id,
                floor,
                ask: waiting.ask.clone(),
            });
        }
        if !due.is_empty() {
            self.sent = self.waiting.len();
        }
        due
    }

    /// Everything unanswered must be sent again, but for reads that can't be.
    fn rewind(&mut self, hub: &mut Hub) {
        self.sent = 0;
        let mut writers = BTreeSet::new();
        let mut overtaken = Vec::new();
        for waiting in self.waiting.iter().rev().filter(|waiting| waiting.sent_at.is_some()) {
            let Waiter::Client(ticket) = waiting.waiter else { continue };
            match waiting.ask {
                Ask::Write { .. } => {
                    writers.insert(ticket.client());
                }
                Ask::Read { .. } if waiting.overtaken || writers.contains(&ticket.client()) => {
                    overtaken.push(waiting.id);
                }
                Ask::Read { .. } => {}
            }
        }
        for id in overtaken {
            base::mark!("read_overtaken");
            if let Some(waiting) = self.take(id) {
                hub.tell(self.group, waiting.waiter, Verdict::Refused(try_again()));
            }
        }
    }

    fn take(&mut self, id: u64) -> Option<Waiting> {
        let at = self.waiting.binary_search_by_key(&id, |waiting| waiting.id).ok()?;
        if at < self.sent {
            self.sent -= 1;
        }
        self.waiting.remove(at)
    }

    /// An answer came. What is not settled by it stays in the lane.
    pub fn answered(&mut self, hub: &mut Hub, from: NodeId, id: u64, verdict: Verdict) {
        match verdict {
            Verdict::Elsewhere(_) | Verdict::Gap => {
                // Only the news of the present target counts; an old one's refusal says nothing about it.
                if self.target == Some(from) && self.waiting.binary_search_by_key(&id, |w| w.id).is_ok() {
                    self.pause(hub);
                }
            }
            // It was asked elsewhere meanwhile, and may have been done there.
            Verdict::Refused(_) | Verdict::Unknown if self.target != Some(from) => {
                base::mark!("an_old_leader_refuses");
            }
            Verdict::Refused(error) if error == LOCKED && self.may_ask_again(hub, id) => {
                base::mark!("a_gateway_asks_again_for_a_lock");
                let Some(Waiting { waiter, since, ask, .. }) = self.take(id) else { return };
                let work = match ask {
                    Ask::Write { op, .. } => Work::Write(op),
                    Ask::Read { query, .. } => Work::Read(query),
                };
                if let Waiter::Client(ticket) = waiter
                    && let Some(client) = hub.clients.of(ticket)
                {
                    client.held = true;
                }
                self.again.push_back((hub.now + LOCK_PAUSE, Again { waiter, work, since }));
            }
            verdict => {
                if let Some(waiting) = self.take(id) {
                    self.note_overtaken(&waiting);
                    let (Ask::Write { op: asked, .. } | Ask::Read { query: asked, .. }) = &waiting.ask;
                    hub.note_slow(waiting.waiter, asked);
                    hub.tell(self.group, waiting.waiter, verdict);
                }
            }
        }
    }

    /// Whether a request that a lock has kept can be put at the lane's end without being overtaken by another of its client, and there is
    /// time.
    fn may_ask_again(&self, hub: &Hub, id: u64) -> bool {
        let Ok(at) = self.waiting.binary_search_by_key(&id, |waiting| waiting.id) else { return false };
        let asked = &self.waiting[at];
        let behind = match asked.waiter {
            Waiter::Client(ticket) => self.waiting.range(at + 1..).any(
                |later| matches!(later.waiter, Waiter::Client(other) if other.client() == ticket.client()),
            ),
            _ => false,
        };
        !behind && hub.now.since(asked.since) + LOCK_PAUSE < hub.config.request_timeout
    }

    /// Puts at the lane's end what a lock has kept, once it has paused.
    fn ask_again(&mut self, now: Time) {
        while self.again.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, Again { waiter, work, since })) = self.again.pop_front() else { return };
            self.push(waiter, work, since);
        }
    }

    /// Reads before an answered command of their client were done before it, or can't be done any more: a later look would
    /// show what the later command hadn't seen yet.
    fn note_overtaken(&mut self, answered: &Waiting) {
        let Waiter::Client(by) = answered.waiter else { return };
        for earlier in self.waiting.iter_mut().take_while(|earlier| earlier.id < answered.id) {
            if let Waiter::Client(ticket) = earlier.waiter
                && ticket.client() == by.client()
            {
                earlier.overtaken = true;
            }
        }
    }

    /// The link to a node broke: what was sent to it may be lost.
    pub fn link_lost(&mut self, node: NodeId) {
        if self.target == Some(node) {
            self.target = None;
        }
    }

    fn pause(&mut self, hub: &Hub) {
        self.target = None;
        self.not_before = hub.now + PAUSE;
    }

    /// Refuses what has waited too long; with `leaderless`, also everything that was never sent. Says what is known:
    /// a write that was sent may have been done.
    pub fn give_up(&mut self, hub: &mut Hub, leaderless: bool) {
        let limit = hub.config.request_timeout;
        let hopeless: Vec<u64> = self
            .waiting
            .iter()
            .filter(|waiting| {
                // Reads change nothing: without a leader they are as unexecuted as if never sent.
                let unsent = waiting.sent_at.is_none() || matches!(waiting.ask, Ask::Read { .. });
                hub.now.since(waiting.since) >= limit || (leaderless && unsent)
            })
            .map(|waiting| waiting.id)
            .collect();
        for id in hopeless {
            let Some(waiting) = self.take(id) else { continue };
            let verdict = match waiting.ask {
                Ask::Write { .. } if waiting.sent_at.is_some() => Verdict::Unknown,
                _ if leaderless => Verdict::Refused(no_quorum(self.group)),
                _ => Verdict::Refused(try_again()),
            };
            hub.tell(self.group, waiting.waiter, verdict);
        }
    }

    /// When it wants to be looked at again, if something waits.
    pub fn deadline(&self) -> Option<Time> {
        let waiting = if self.waiting.is_empty() { None } else { Some(self.not_before) };
        let again = self.again.front().map(|(at, _)| *at);
        [waiting, again].into_iter().flatten().min()
    }
}

/// Not executed: nobody leads the group, as far as this node can see.
pub fn no_quorum(group: GroupId) -> Bytes {
    Bytes::from(format!(
        "-NOQUORUM not executed: this node reaches no majority of {group}; the database is consistent, so it refuses \
         rather than answer wrongly. Retry here later, or at a node on the majority's side\r\n"
    ))
}

/// Not executed, and may be asked again.
pub fn try_again() -> Bytes {
    Bytes::from_static(b"-TRYAGAIN not executed: the shard's leader changed meanwhile; retry\r\n")
}

/// Perhaps executed.
pub fn unknown() -> Bytes {
    Bytes::from_static(
        b"-UNKNOWN the command may have been executed: no answer came in time (its shard's leader was lost, or is slow); \
          read before you retry\r\n",
    )
}

#[cfg(test)]
mod tests;
