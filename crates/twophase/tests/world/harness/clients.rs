//! Clients: what they want, what they hear, and whether that was true.

use super::checker::{Observed, check_strictly_serializable};
use super::store::{Action, DB, decode_result, encode, locks_of};
use super::{World, ms};
use base::{GroupId, NodeId, Time};
use bytes::Bytes;
use std::collections::BTreeMap;
use twophase::gateway::Input;
use twophase::{Check, Lock, Locks, Mode, Outcome, Part};

/// What a client does at one shard.
pub type Wish = BTreeMap<GroupId, Vec<Action>>;

#[derive(Clone, Debug)]
pub struct Client {
    pub wish: Wish,
    /// What it had read before, on whose versions it rests.
    pub seen: Vec<(Bytes, Vec<u64>)>,
    pub began: Time,
    pub ended: Option<Time>,
    pub outcome: Option<Outcome>,
    /// How many events had been handled when it was answered.
    pub steps: u64,
}

pub fn part(actions: &[Action]) -> Part {
    Part { locks: locks_of(actions), checks: Vec::new(), operations: encode(actions) }
}

impl World {
    /// Starts a transaction.
    pub fn begin(&mut self, gateway: u32, wish: Wish) -> u64 {
        self.begin_checked(gateway, wish, BTreeMap::new())
    }

    /// Starts a transaction that rests on the versions of what was read of these keys.
    pub fn begin_checked(
        &mut self,
        gateway: u32,
        wish: Wish,
        seen: BTreeMap<(GroupId, Bytes), (Vec<u64>, u64)>,
    ) -> u64 {
        let mut parts: BTreeMap<GroupId, Part> =
            wish.iter().map(|(group, actions)| (*group, part(actions))).collect();
        for ((group, key), (_, version)) in &seen {
            let part = parts.entry(*group).or_default();
            let lock = Lock { database: DB, key: Some(key.clone()), mode: Mode::Shared };
            part.locks = Locks::new(part.locks.iter().cloned().chain([lock]));
            part.checks.push(Check { database: DB, key: key.clone(), version: *version });
        }
        let ticket = self.note(wish);
        let client = self.clients.get_mut(&ticket).expect("it was noted");
        client.seen =
            seen.into_iter().map(|((group, key), (list, _))| (name_of(group, &key), list)).collect();
        let deadline = self.now + ms(5_000);
        self.step_gateway(NodeId(gateway), Input::Begin { ticket, parts, deadline });
        ticket
    }

    /// Reads at one moment.
    pub fn read(&mut self, gateway: u32, wish: Wish) -> u64 {
        let parts = wish.iter().map(|(group, actions)| (*group, part(actions))).collect();
        let ticket = self.note(wish);
        let deadline = self.now + ms(5_000);
        self.step_gateway(NodeId(gateway), Input::Read { ticket, parts, deadline });
        ticket
    }

    /// Does something at one shard, without the protocol.
    pub fn plain(&mut self, group: GroupId, actions: Vec<Action>) -> u64 {
        let ticket = self.note(BTreeMap::from([(group, actions.clone())]));
        self.plain_arrives(group, ticket, actions);
        ticket
    }

    fn note(&mut self, wish: Wish) -> u64 {
        let ticket = self.new_ticket();
        let began = self.now;
        let client = Client { wish, seen: Vec::new(), began, ended: None, outcome: None, steps: 0 };
        self.clients.insert(ticket, client);
        ticket
    }

    pub fn plain_done(&mut self, ticket: u64, group: GroupId, result: Bytes) {
        let (now, steps) = (self.now, self.steps);
        if let Some(client) = self.clients.get_mut(&ticket) {
            client.ended = Some(now);
            client.steps = steps;
            client.outcome = Some(Outcome::Done(BTreeMap::from([(group, result)])));
        }
    }

    pub fn outcome(&self, ticket: u64) -> Option<&Outcome> {
        self.clients[&ticket].outcome.as_ref()
    }

    /// What a client has read, list by list, shard by shard.
    pub fn lists(&self, ticket: u64) -> Vec<Vec<u64>> {
        match self.outcome(ticket) {
            Some(Outcome::Done(results)) => {
                results.values().flat_map(|result| decode_result(result.clone())).collect()
            }
            other => panic!("client {ticket} heard {other:?}"),
        }
    }

    /// Runs until everybody was answered and everything is resolved and forgotten, and then judges all that was seen.
    pub fn settle_and_judge(&mut self) {
        self.heal();
        // Longer than the latest message and then any deadline and any lock of a dead gateway; then longer than outcomes are kept.
        self.run(ms(12_000));
        self.judge_quiet();
        self.run(ms(25_000));
        let remembered: usize = self.shards.values().map(|shard| shard.ledger.len()).sum();
        if remembered > 0 {
            self.fail(format!("{remembered} outcomes are never forgotten"));
        }
        self.judge_history();
    }

    /// Nothing is locked and nobody waits.
    pub fn judge_quiet(&mut self) {
        let mut faults = Vec::new();
        for (group, shard) in &self.shards {
            if shard.ledger.all_prepared().next().is_some() {
                faults.push(format!("locks of {group} are still held"));
            }
            let leader = shard.leader.as_ref();
            if leader.is_none_or(|leader| leader.participant.waiting() > 0 || !leader.waiting.is_empty()) {
                faults.push(format!("somebody still waits at {group}"));
            }
        }
        for (node, gateway) in &self.gateways {
            if gateway.in_flight() > 0 {
                faults.push(format!("clients of gateway {node} still wait"));
            }
        }
        faults.into_iter().for_each(|fault| self.fail(fault));
    }

    /// What clients heard is true, and fits into one order.
    pub fn judge_history(&mut self) {
        let mut finally = BTreeMap::new();
        for (group, shard) in &self.shards {
            for (key, (list, _)) in &shard.store.lists {
                finally.insert(name_of(*group, key), list.clone());
            }
        }
        let (mut observed, mut faults) = (Vec::new(), Vec::new());
        for (ticket, client) in &self.clients {
            let appends: Vec<(Bytes, u64)> = appends(&client.wish).collect();
            let times = |(key, value): &(Bytes, u64)| {
                finally.get(key).map_or(0, |l: &Vec<u64>| l.iter().filter(|v| *v == value).count())
            };
            let counts: Vec<usize> = appends.iter().map(times).collect();
            let (all, none) =
                (counts.iter().all(|count| *count == 1), counts.iter().all(|count| *count == 0));
            let mut reads = Vec::new();
            let (took_effect, ended) = match &client.outcome {
                Some(Outcome::Done(results)) => {
                    reads = reads_of(&client.wish, results);
                    reads.extend(client.seen.iter().cloned());
                    (all, client.ended.map(Time::as_nanos))
                }
                Some(Outcome::Unknown) | None => (all || none, None),
                Some(_) => (none, None),
            };
            if !took_effect {
                faults.push(format!(
                    "client {ticket} heard {:?}, and there is {counts:?} of {appends:?}",
                    client.outcome
                ));
            }
            let counts_as_done =
                matches!(client.outcome, Some(Outcome::Done(_))) || (all && !appends.is_empty());
            if counts_as_done && took_effect {
                let began = client.began.as_nanos();
                observed.push(Observed { name: *ticket, began, ended, reads, appends });
            }
        }
        if faults.is_empty()
            && let Err(what) = check_strictly_serializable(&observed, &finally)
        {
            faults.push(what);
        }
        faults.into_iter().for_each(|fault| self.fail(fault));
    }
}

fn name_of(group: GroupId, key: &Bytes) -> Bytes {
    Bytes::from(format!("{}/{}", group.0, String::from_utf8_lossy(key)))
}

fn appends(wish: &Wish) -> impl Iterator<Item = (Bytes, u64)> + '_ {
    wish.iter().flat_map(|(group, actions)| {
        actions.iter().filter_map(|action| match action {
            Action::Append(key, value) => Some((name_of(*group, key), *value)),
            _ => None,
        })
    })
}

/// What was read, as long as it wasn't changed by the same transaction before.
fn reads_of(wish: &Wish, results: &BTreeMap<GroupId, Bytes>) -> Vec<(Bytes, Vec<u64>)> {
    let mut reads = Vec::new();
    for (group, actions) in wish {
        let Some(result) = results.get(group) else { continue };
        let mut lists = decode_result(result.clone()).into_iter();
        for action in actions {
            match action {
                Action::Read(key) => reads.push((name_of(*group, key), lists.next().unwrap_or_default())),
                Action::Count => {
                    lists.next();
                }
                Action::Append(..) | Action::Refuse => {}
            }
        }
    }
    reads
}
