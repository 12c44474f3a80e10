//! The leader's side of the lanes: requests of gateways, in the order in which each gateway sent them.
//!
//! A write is proposed if it is the next of its lane, answered from memory if it was done before, and refused if
//! something before it is missing. While a read of a lane asks a majority, what comes behind it in the lane waits, so
//! that no later write of the same connection overtakes it.

use crate::blocking::NOTHING;
use crate::disk::DiskQueue;
use crate::hub::{Hub, Verdict, Waiter};
use crate::memory::Memory;
use crate::op::{Op, Provenance, decode_op};
use crate::replica::Replica;
use crate::replica::locks::LOCKED;
use crate::wire::{Ask, Request};
use base::{NodeId, SessionId};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// What this leader has seen of one gateway's lane, in this term.
#[derive(Debug)]
pub struct Served {
    session: SessionId,
    /// The last write that was proposed here, or applied before this term.
    last: u64,
    /// What waits behind a read.
    held: VecDeque<Request>,
    /// The highest floor that it has told: for what lies below, nobody waits any more.
    settled: u64,
    /// What was refused without a place in the log, and how: a second copy of such a request is no new one. The lane goes on
    /// behind them by its floor.
    refused: BTreeMap<u64, Verdict>,
}

impl Served {
    /// For what lies below, nobody waits any more.
    fn settle(&mut self, floor: u64) {
        if floor > self.settled {
            self.settled = floor;
            self.refused = self.refused.split_off(&floor);
        }
    }
}

impl Replica {
    /// Takes a request from a gateway's lane.
    pub fn serve(&mut self, hub: &mut Hub, request: Request) {
        let waiter = Waiter::Remote { session: request.session, id: request.id };
        if !self.serves() {
            hub.tell(self.group, waiter, Verdict::Elsewhere(None));
            return;
        }
        let known = self.served.get(&request.session.node);
        if known.is_some_and(|known| known.session.start > request.session.start) {
            hub.tell(self.group, waiter, Verdict::Unknown);
            return;
        }
        if known.is_none_or(|known| known.session != request.session) {
            let last = self.machine.last_sequence(request.session);
            let served = Served {
                session: request.session,
                last,
                held: VecDeque::new(),
                settled: 0,
                refused: BTreeMap::new(),
            };
            self.served.insert(request.session.node, served);
        }
        let is_write = matches!(request.ask, Ask::Write { .. });
        let session = request.session;
        let waits = self.held_of(session).is_some_and(|held| !held.is_empty())
            || (is_write && self.asks_majority_for(session.node));
        if !waits {
            _ = self.serve_next(hub, request);
        } else if let Some(served) = self.served.get_mut(&session.node) {
            served.held.push_back(request);
        }
    }

    fn held_of(&self, session: SessionId) -> Option<&VecDeque<Request>> {
        self.served.get(&session.node).map(|served| &served.held)
    }

    /// Goes on with lanes that were held up by a read.
    pub(crate) fn serve_held(&mut self, hub: &mut Hub) {
        let nodes: Vec<NodeId> =
            self.served.iter().filter(|(_, lane)| !lane.held.is_empty()).map(|(node, _)| *node).collect();
        for node in nodes {
            while let Some(served) = self.served.get_mut(&node) {
                let Some(first) = served.held.front() else { break };
                if matches!(first.ask, Ask::Write { .. }) && self.asks_majority_for(node) {
                    break;
                }
                let Some(request) = self.served.get_mut(&node).and_then(|served| served.held.pop_front())
                else {
                    break;
                };
                if !self.serve_next(hub, request) {
                    break;
                }
            }
        }
    }

    /// A write of a lane was taken and not proposed: it, and what comes behind it, is yet to come.
    pub(crate) fn unserve(&mut self, from: Provenance) {
        if let Some(served) = self.served.get_mut(&from.session.node)
            && served.session == from.session
        {
            base::mark!("a_lane_goes_back");
            served.last = served.last.min(from.sequence.saturating_sub(1));
        }
    }

    /// This copy leads no more: what was held up must be asked elsewhere.
    pub(crate) fn stop_serving(&mut self, hub: &mut Hub) {
        for served in std::mem::take(&mut self.served).into_values() {
            for request in served.held {
                let waiter = Waiter::Remote { session: request.session, id: request.id };
                hub.tell(self.group, waiter, Verdict::Elsewhere(None));
            }
        }
    }

    /// What is answered to a write that has no place in the log.
    fn turned_away(&mut self, hub: &mut Hub, op: &[u8]) -> Option<Verdict> {
        if self.waitlist.is_empty() && !hub.memory.is_limited() {
            return None;
        }
        let op = decode_op(&mut &op[..]).ok()?;
        if matches!(&op, Op::Command(invocation) if self.comes_behind(invocation)) {
            // It waits at its gateway for an offer.
            return Some(Verdict::Done(Bytes::from_static(NOTHING)));
        }
        (hub.memory.is_limited() && !self.has_room(hub, &op)).then(|| Verdict::Refused(Memory::full_error()))
    }

    /// Takes the next request of a lane; false if a lock keeps it, and with it its lane.
    fn serve_next(&mut self, hub: &mut Hub, request: Request) -> bool {
        match self.meets_lock(hub, &request) {
            None => self.take_next(hub, request),
            Some(true) => {
                base::mark!("a_lane_waits_for_a_lock");
                let served = self.served.get_mut(&request.session.node).expect("the lane is known");
                served.held.push_front(request);
                return false;
            }
            Some(false) => {
                base::mark!("a_lane_goes_past_an_old_lock");
                let refusal = Verdict::Refused(Bytes::from_static(LOCKED));
                let Request { session, id, floor, ask, .. } = request;
                let served = self.served.get_mut(&session.node).expect("the lane is known");
                served.settle(floor);
                if let Ask::Write { sequence, .. } = ask {
                    served.refused.insert(sequence, refusal.clone());
                }
                hub.tell(self.group, Waiter::Remote { session, id }, refusal);
            }
        }
        true
    }

    /// Whether a lock keeps a request that would be carried out now; if so, whether its lane waits.
    fn meets_lock(&self, hub: &Hub, request: &Request) -> Option<bool> {
        if self.transactions.quiet {
            return None;
        }
        let served = self.served.get(&request.session.node)?;
        let reached = served.last.max(request.floor.saturating_sub(1));
        match &request.ask {
            Ask::Write { sequence, op } => {
                let is_next = *sequence == reached + 1
                    && *sequence >= served.settled
                    && !served.refused.contains_key(sequence);
                is_next.then(|| self.lane_waits(hub.now, op, true, true))?
            }
            Ask::Read { after, again, query } => {
                let in_order = *after <= reached && (*again || *after >= served.last);
                let behind = served.last > self.machine.last_sequence(request.session);
                in_order.then(|| self.lane_waits(hub.now, query, false, behind && !self.is_settled()))?
            }
        }
    }

    fn take_next(&mut self, hub: &mut Hub, request: Request) {
        let Request { session, id, floor, ask, .. } = request;
        let waiter = Waiter::Remote { session, id };
        let served = self.served.get_mut(&session.node).expect("the lane is known");
        served.settle(floor);
        let reached = served.last.max(floor.saturating_sub(1));
        match ask {
            Ask::Write { sequence, .. } if sequence < served.settled => {}
            Ask::Write { sequence, .. } if served.refused.contains_key(&sequence) => {
                let verdict = served.refused[&sequence].clone();
                hub.tell(self.group, waiter, verdict);
            }
            Ask::Write { sequence, .. } if sequence > served.last && hub.disk.is_full() => {
                let verdict = Verdict::Refused(DiskQueue::full_error());
                served.refused.insert(sequence, verdict.clone());
                hub.tell(self.group, waiter, verdict);
            }
            Ask::Write { sequence, op } if sequence > served.last => {
                if sequence > reached + 1 {
                    hub.tell(self.group, waiter, Verdict::Gap);
                    return;
                }
                if let Some(verdict) = self.turned_away(hub, &op) {
                    if let Some(served) = self.served.get_mut(&session.node) {
                        served.refused.insert(sequence, verdict.clone());
                    }
                    hub.tell(self.group, waiter, verdict);
                    return;
                }
                let Some(served) = self.served.get_mut(&session.node) else { return };
                served.last = sequence;
                self.write_encoded(hub, waiter, Some(Provenance { session, sequence, floor }), &op);
            }
            Ask::Write { sequence, .. } => match self.machine.reply_of(session, sequence) {
                Some(reply) => hub.tell(self.group, waiter, Verdict::Done(reply)),
                // It is on its way and will be answered when it is applied; or the gateway gave it up.
                None if sequence > self.machine.last_sequence(session) => {}
                None => hub.tell(self.group, waiter, Verdict::Unknown),
            },
            Ask::Read { after, again, query } => {
                // Frames may arrive in another order than they were sent: what was sent behind it must not come before.
                if after > reached || (!again && after < served.last) {
                    hub.tell(self.group, waiter, Verdict::Gap);
                    return;
                }
                let ordered = served.last > self.machine.last_sequence(session);
                self.read(hub, waiter, query, ordered);
            }
        }
    }
}
