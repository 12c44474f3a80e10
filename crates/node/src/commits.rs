//! The gateway's side of what concerns several shards: what each has to do is handed to `twophase`, which sees to it that it happens on all
//! or on none, and what came of it is handed back. What concerns one shard only is a plain entry of its log.

use crate::api::ClientId;
use crate::clients::Ticket;
use crate::hub::{Said, Waiter};
use crate::lanes;
use crate::locking::{self, Manner};
use crate::node::{Copy, Node};
use crate::op::{Invocation, Op, Transaction, encode_op};
use crate::routes::Route;
use crate::split::{Merge, Replies, Split, merge};
use base::{Core, GroupId, Outbox, SessionId, Time};
use bytes::Bytes;
use command::{Place, Spec};
use resp::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use twophase::gateway::{Effect, Input, Limit};
use twophase::{Gateway, GatewayConfig, Party, Reply, ReplyBody};

/// What a node does for its clients over several shards.
#[derive(Debug)]
pub(crate) struct Commits {
    pub(crate) gateway: Gateway,
    config: GatewayConfig,
    effects: Outbox<Effect>,
    under_way: BTreeMap<u64, Commit>,
    next: u64,
    /// Shards that haven't said yet how far their floor is.
    ungreeted: BTreeSet<GroupId>,
}

#[derive(Debug)]
struct Commit {
    after: After,
    since: Time,
    /// The only shard, if there is one and the protocol isn't needed.
    only: Option<GroupId>,
}

/// Who wants to hear what came of it.
#[derive(Debug)]
pub(crate) enum After {
    /// A client's EXEC.
    Exec(Ticket),
    /// A run of this node, in one of its rounds.
    Run(u64, u32),
    /// A client's command.
    Command {
        ticket: Ticket,
        spec: &'static Spec,
        protocol: Protocol,
        /// The shards that reply, in order, and how their replies become one.
        groups: Vec<GroupId>,
        merge: Merge,
    },
}

/// What came of it: every shard's replies, each behind its length; `None` if a watched or read key has changed and nothing was done; or
/// an error for the client.
pub(crate) type Committed = Result<Option<BTreeMap<GroupId, Bytes>>, Bytes>;

impl Commits {
    pub(crate) fn new(config: GatewayConfig) -> Self {
        Self {
            gateway: Gateway::new(config.clone()),
            config,
            effects: Outbox::new(),
            under_way: BTreeMap::new(),
            next: 0,
            ungreeted: BTreeSet::new(),
        }
    }

    /// When somebody began to wait.
    pub(crate) fn since(&self, id: u64) -> Option<Time> {
        Some(self.under_way.get(&id)?.since)
    }

    /// Whether the gateway wants something.
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    fn begin(&mut self, after: After, since: Time, only: Option<GroupId>) -> u64 {
        self.next += 1;
        self.under_way.insert(self.next, Commit { after, since, only });
        self.next
    }

    fn refusal(&self, limit: Limit) -> Bytes {
        let (most, what) = match limit {
            Limit::Participants => (self.config.participants_max, "shards"),
            Limit::Locks => (self.config.locks_max, "keys"),
            Limit::Bytes => (self.config.operations_bytes_max, "bytes"),
        };
        Bytes::from(format!(
            "-ERR not executed: a transaction over several shards takes at most {most} {what}. Split it\r\n"
        ))
    }
}

/// Not executed, and may be asked again: it had to wait for other transactions for too long, or for a leader.
fn try_again() -> Bytes {
    Bytes::from_static(
        b"-TRYAGAIN not executed: other transactions hold its keys, or one of its shards has no leader at the moment; retry\r\n",
    )
}

impl Node {
    /// Has shards do their parts, all at one moment or none: the one entry for whatever has several parts. If a checked key has
    /// another version, nothing is done anywhere. One shard alone takes it as one plain operation.
    pub(crate) fn commit_parts(
        &mut self,
        after: After,
        since: Time,
        parts: BTreeMap<GroupId, Transaction<'_>>,
    ) {
        if parts.len() != 1 {
            return self.commit_by_protocol(after, since, Manner::Each, parts);
        }
        let Some((group, transaction)) = parts.into_iter().next() else { return };
        let waiter = Waiter::Commit(self.commits.begin(after, since, Some(group)));
        let writes = changes(&transaction);
        let op = Op::Transaction(transaction);
        if writes {
            self.write(group, waiter, &op);
        } else {
            let mut query = Vec::new();
            encode_op(&mut query, &op);
            self.query(group, waiter, query.into(), false);
        }
    }

    /// The same by the protocol for several shards, however many there are.
    pub(crate) fn commit_by_protocol(
        &mut self,
        after: After,
        since: Time,
        manner: Manner,
        parts: BTreeMap<GroupId, Transaction<'_>>,
    ) {
        let now = self.hub.now;
        let patience = self.hub.patience();
        let leaderless = parts.keys().find(|group| {
            let hint = self.hub.leaders.get(group.0 as usize);
            let missing = hint.and_then(|hint| hint.missing_since);
            missing.is_some_and(|since| now.since(since) > patience) && self.leader_of(**group).is_none()
        });
        let ticket = self.commits.begin(after, since, None);
        if let Some(group) = leaderless {
            return self.committed(ticket, Err(lanes::no_quorum(*group)));
        }
        let deadline = since + self.hub.config.request_timeout;
        let input = if parts.values().any(changes) {
            let parts = parts.iter().map(|(group, part)| (*group, locking::part_that_changes(manner, part)));
            Input::Begin { ticket, parts: parts.collect(), deadline }
        } else {
            let parts = parts.into_iter().map(|(group, part)| (group, locking::part_that_reads(part)));
            Input::Read { ticket, parts: parts.collect(), deadline }
        };
        self.commits.gateway.step(now, input, &mut self.commits.effects);
    }

    /// Has every shard of a client's command do its part of it.
    pub(crate) fn command_over_shards(&mut self, slot: u32, invocation: &Invocation<'_>, split: &Split<'_>) {
        let mut parts = BTreeMap::new();
        split.add_to(invocation, &mut parts);
        let ticket = self.hub.clients.ticket(slot, None);
        if let Some(client) = self.hub.clients.get(slot) {
            // What comes behind it must not overtake it on any shard.
            client.held = true;
        }
        let Invocation { spec, protocol, .. } = *invocation;
        let groups = split.parts.keys().copied().collect();
        let after = After::Command { ticket, spec, protocol, groups, merge: split.merge.clone() };
        self.commit_by_protocol(after, ticket.since(), Split::manner(spec), parts);
    }

    /// Has every shard do a command over all of them, on these databases, at one moment.
    pub(crate) fn command_over_all(
        &mut self,
        ticket: Ticket,
        invocation: &Invocation<'_>,
        databases: &[base::DatabaseId],
    ) {
        let mut parts: BTreeMap<GroupId, Transaction<'_>> = BTreeMap::new();
        let mut groups = Vec::new();
        for group in self.view.shards.clone() {
            for database in databases {
                let part = Invocation { database: *database, ..invocation.clone() };
                parts.entry(group).or_default().commands.push(part);
                groups.push(group);
            }
        }
        let Invocation { spec, protocol, .. } = *invocation;
        let after = After::Command { ticket, spec, protocol, groups, merge: Merge::Same };
        self.commit_by_protocol(after, ticket.since(), Manner::Each, parts);
    }

    /// The client for whom something is committed, if it is known under this number.
    pub(crate) fn client_of_commit(&self, id: u64) -> Option<ClientId> {
        match &self.commits.under_way.get(&id)?.after {
            After::Exec(ticket) | After::Command { ticket, .. } => Some(ticket.client()),
            After::Run(run, _) => self.client_of_run(*run),
        }
    }

    /// What came of parts that one shard has taken as a plain operation.
    pub(crate) fn only_part_done(&mut self, id: u64, outcome: Result<Bytes, Bytes>) {
        let Some(group) = self.commits.under_way.get(&id).and_then(|commit| commit.only) else { return };
        let committed = outcome.map(|outcome| all_of([(group, outcome)]));
        self.committed(id, committed);
    }

    fn committed(&mut self, id: u64, committed: Committed) {
        let Some(commit) = self.commits.under_way.remove(&id) else { return };
        match commit.after {
            After::Exec(ticket) => self.executed_over_shards(ticket, committed),
            After::Run(run, round) => self.run_committed(run, round, committed.map(|done| done.is_some())),
            After::Command { ticket, spec, protocol, groups, merge: how } => {
                let mut reply = Vec::new();
                match &committed {
                    Ok(Some(parts)) => {
                        let rest = parts.iter().map(|(group, bytes)| (*group, &bytes[..])).collect();
                        let mut replies = Replies(rest);
                        let replies: Vec<(GroupId, &[u8])> =
                            groups.iter().map(|group| (*group, replies.next(*group))).collect();
                        let seed = self.hub.rng.next_u64();
                        merge(&how, spec, protocol, &replies, seed, &mut reply);
                    }
                    // Nothing of it was checked.
                    Ok(None) => reply.extend_from_slice(&try_again()),
                    Err(error) => reply.extend_from_slice(error),
                }
                self.hub.clients.answer(ticket, &reply);
            }
        }
    }

    // The protocol.

    /// Carries out what the gateway asks for, and delivers what was said.
    pub(crate) fn tend_commits(&mut self) {
        let now = self.hub.now;
        loop {
            self.commits.gateway.flush(now, &mut self.commits.effects);
            let mut effects = std::mem::take(&mut self.commits.effects);
            for effect in effects.drain() {
                match effect {
                    Effect::Request { to, request } => self.hub.said.push_back(Said::Request { to, request }),
                    Effect::Done { ticket, outcome } => self.concluded(ticket, outcome),
                }
            }
            if self.hub.said.is_empty() {
                break;
            }
            while let Some(said) = self.hub.said.pop_front() {
                self.pass_on(said);
            }
        }
    }

    fn concluded(&mut self, ticket: u64, outcome: twophase::Outcome) {
        use twophase::Outcome;
        let committed = match outcome {
            Outcome::Done(results) => Ok(all_of(results)),
            Outcome::Changed => Ok(None),
            Outcome::Refused(error) => Err(error),
            Outcome::TryAgain => Err(try_again()),
            Outcome::Unknown => Err(lanes::unknown()),
            Outcome::TooLarge(limit) => Err(self.commits.refusal(limit)),
        };
        self.committed(ticket, committed);
    }

    /// To whom it was said: here, or by the link to the node that leads. What finds nobody is said again.
    fn pass_on(&mut self, said: Said) {
        let to = match &said {
            Said::Request { to, .. } | Said::Reply { to: Party::Shard(to), .. } => self.leader_of(*to),
            Said::Reply { to: Party::Gateway(session), .. } => Some(session.node),
        };
        match to {
            Some(node) if node == self.hub.me => self.hear(said),
            Some(node) => self.hub.send(node, &crate::wire::PeerMessage::Transactional(said)),
            None => {}
        }
    }

    /// Something was said to this node.
    pub(crate) fn hear(&mut self, said: Said) {
        let now = self.hub.now;
        match said {
            Said::Request { to, request } => {
                self.free_memory();
                if let Some(replica) = self.replicas.get_mut(to.0 as usize).and_then(Copy::live) {
                    replica.asked(&mut self.hub, request);
                }
            }
            Said::Reply { to: Party::Shard(group), reply } => {
                if let Some(replica) = self.replicas.get_mut(group.0 as usize).and_then(Copy::live) {
                    replica.participate(&mut self.hub, twophase::participant::Input::Reply(reply));
                }
            }
            Said::Reply { to: Party::Gateway(session), reply } if session == self.hub.session => {
                if matches!(reply, Reply { body: ReplyBody::Floor { .. }, .. }) {
                    self.commits.ungreeted.remove(&reply.from);
                }
                self.commits.gateway.step(now, Input::Reply(reply), &mut self.commits.effects);
            }
            Said::Reply { .. } => {}
        }
    }

    /// A peer says something; nobody speaks for another node's gateway.
    pub(crate) fn heard_of_transactions(&mut self, from: base::NodeId, said: Said) {
        if let Said::Request { request, .. } = &said
            && let Party::Gateway(SessionId { node, .. }) = request.from
            && node != from
        {
            return;
        }
        self.hear(said);
    }

    /// Tells everybody who orders transactions how late it is.
    pub(crate) fn tell_wall(&mut self) {
        let (now, wall) = (self.hub.now, self.hub.wall());
        self.commits.gateway.step(now, Input::Wall(wall), &mut self.commits.effects);
        for replica in self.replicas.iter_mut().filter_map(Copy::live).filter(|replica| replica.serves()) {
            replica.participate(&mut self.hub, twophase::participant::Input::Wall(wall));
        }
    }

    /// Asks shards that haven't said it how far their floor is, as a gateway that has just started.
    pub(crate) fn greet_shards(&mut self) {
        let now = self.hub.now;
        for group in self.commits.ungreeted.clone() {
            if self.leader_of(group).is_some() {
                self.commits.gateway.step(now, Input::Greet(group), &mut self.commits.effects);
            }
        }
    }

    /// Shards that this node has heard of.
    pub(crate) fn meet_shards(&mut self, shards: &[GroupId]) {
        let new = shards.iter().filter(|group| !self.view.shards.contains(group));
        self.commits.ungreeted.extend(new.copied());
    }

    /// Whether a command's keys lie on several shards, so that it waits for whatever its connection has asked before.
    pub(crate) fn spans_shards(&self, spec: &Spec, words: &[&[u8]]) -> bool {
        spec.place == Place::Script
            || spec.place == Place::Keys
                && words.len() > 2
                && spec.may_name_several_keys()
                && !matches!(self.route(spec, words), Route::One(_))
    }
}

/// Whether a part changes anything.
fn changes(transaction: &Transaction<'_>) -> bool {
    transaction.effects.is_some() || transaction.commands.iter().any(|invocation| invocation.spec.is_write())
}

/// The replies of all parts, if all have found their keys unchanged: each outcome begins with a byte that says so.
fn all_of(outcomes: impl IntoIterator<Item = (GroupId, Bytes)>) -> Option<BTreeMap<GroupId, Bytes>> {
    let replies = |(group, outcome): (GroupId, Bytes)| {
        (outcome.first() == Some(&1)).then(|| (group, outcome.slice(1..)))
    };
    outcomes.into_iter().map(replies).collect()
}
