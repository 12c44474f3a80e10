//! Shards: a log that commits in order after a while, a leader that may be lost with the end of it, and commands on one shard.

use super::store::{Action, DB, Store, Undo, encode, locks_of};
use super::{World, ms};
use base::codec::{Decode, Encode};
use base::{GroupId, Outbox, Time};
use bytes::Bytes;
use std::collections::VecDeque;
use twophase::bugs::Bugs;
use twophase::participant::{Effect, Input};
use twophase::{Finding, Ledger, Operation, Participant, ParticipantConfig, Reply, ReplyBody, Request, TxId};

/// What is in a shard's log.
#[derive(Clone, Debug)]
pub enum Entry {
    Transactional(u64, Operation),
    Plain(u64, Vec<Action>),
}

pub struct SimShard {
    pub ledger: Ledger<Undo>,
    pub store: Store,
    pub leader: Option<Leader>,
    /// Leaders that don't know yet that they are none, with what they had applied.
    deposed: Vec<(Leader, Ledger<Undo>, Store)>,
    term: u64,
    pub has_quorum: bool,
    /// How long an entry takes, beside what it always takes.
    pub commit_delay: base::Duration,
    /// What was put into the log about transactions, and not lost.
    pub logged: Vec<Operation>,
}

pub struct Leader {
    pub participant: Participant,
    under_way: VecDeque<Entry>,
    next_commit: Time,
    /// Reads over several shards that wait for what is under way: how many entries.
    barriers: Vec<(u64, usize)>,
    /// Commands on one shard that wait for locks.
    pub waiting: Vec<(u64, Vec<Action>)>,
}

impl SimShard {
    pub fn new(bugs: Bugs) -> Self {
        let mut ledger = Ledger::default();
        ledger.bugs = bugs;
        Self {
            ledger,
            store: Store::default(),
            leader: None,
            deposed: Vec::new(),
            term: 0,
            has_quorum: true,
            commit_delay: ms(0),
            logged: Vec::new(),
        }
    }
}

/// Which leader is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Leader,
    Deposed(usize),
}

impl World {
    /// A new leader has applied everything that was committed before it. It was loaded from a snapshot.
    pub fn lead(&mut self, group: GroupId) {
        let mut config = ParticipantConfig::new(group);
        config.bugs = self.bugs;
        (self.configure_shard)(&mut config);
        let (now, wall, bugs) = (self.now, self.wall(group.0), self.bugs);
        let shard = self.shards.get_mut(&group).expect("it is there");
        if shard.leader.is_some() {
            return;
        }
        if bugs == Bugs::default() {
            shard.ledger = Ledger::from_bytes(shard.ledger.to_bytes()).expect("a ledger reads back");
        }
        shard.term += 1;
        let participant = Participant::new(config);
        let leader = Leader {
            participant,
            under_way: VecDeque::new(),
            next_commit: now,
            barriers: Vec::new(),
            waiting: Vec::new(),
        };
        shard.leader = Some(leader);
        self.step_shard(group, Which::Leader, Input::Wall(wall));
        self.step_shard(group, Which::Leader, Input::Lead);
    }

    /// The leader is lost. Of what was under way the first part is committed, by the next leader; the rest never was.
    pub fn lose_leader(&mut self, group: GroupId, goes_on_talking: bool) {
        let shard = self.shards.get_mut(&group).expect("it is there");
        let Some(mut leader) = shard.leader.take() else { return };
        let kept = self.rng.below(leader.under_way.len() as u64 + 1) as usize;
        let before = (shard.ledger.clone(), shard.store.clone());
        let entries: Vec<Entry> = leader.under_way.drain(..).take(kept).collect();
        for entry in entries {
            self.apply(group, entry, false);
        }
        let shard = self.shards.get_mut(&group).expect("it is there");
        if goes_on_talking {
            shard.deposed.push((leader, before.0, before.1));
        }
        // Nobody else leads before its lease is over.
        let at = self.now + ms(300);
        self.schedule_lead(at, group);
    }

    pub fn forget_deposed(&mut self, group: GroupId) {
        self.shards.get_mut(&group).expect("it is there").deposed.clear();
    }

    pub fn request_arrives(&mut self, group: GroupId, request: Request) {
        let which = self.whom(group);
        self.step_shard(group, which, Input::Request(request));
    }

    pub fn reply_arrives(&mut self, group: GroupId, reply: Reply) {
        let which = self.whom(group);
        self.step_shard(group, which, Input::Reply(reply));
    }

    pub fn shard_wakes(&mut self, group: GroupId) {
        let wall = self.wall(group.0);
        let due = |participant: &Participant| participant.deadline().is_some_and(|at| at <= self.now);
        let Some(shard) = self.shards.get(&group) else { return };
        if shard.leader.as_ref().is_some_and(|leader| due(&leader.participant)) {
            self.step_shard(group, Which::Leader, Input::Wall(wall));
        }
    }

    /// Who gets a message: mostly who leads, sometimes who has led.
    fn whom(&mut self, group: GroupId) -> Which {
        let shard = &self.shards[&group];
        if !shard.deposed.is_empty() && (shard.leader.is_none() || self.rng.chance(1, 3)) {
            return Which::Deposed(shard.deposed.len() - 1);
        }
        Which::Leader
    }

    fn step_shard(&mut self, group: GroupId, which: Which, input: Input) {
        let now = self.now;
        let mut out = Outbox::new();
        let shard = self.shards.get_mut(&group).expect("it is there");
        let (leader, ledger) = match which {
            Which::Leader => (shard.leader.as_mut(), &shard.ledger),
            Which::Deposed(at) => match shard.deposed.get_mut(at) {
                Some((leader, ledger, _)) => (Some(leader), &*ledger),
                None => (None, &shard.ledger),
            },
        };
        let Some(leader) = leader else { return };
        leader.participant.step(now, ledger, input, &mut out);
        leader.participant.flush(now, ledger, &mut out);
        if self.bugs == Bugs::default() {
            leader.participant.check(ledger);
        }
        if let Some(at) = leader.participant.deadline() {
            self.wake_shard(at, group);
        }
        for effect in out.drain() {
            self.carry_out(group, which, effect);
        }
    }

    fn carry_out(&mut self, group: GroupId, which: Which, effect: Effect) {
        match effect {
            Effect::Propose { token, operation } => {
                let read_back = Operation::from_bytes(operation.to_bytes()).expect("an operation reads back");
                assert_eq!(read_back, operation);
                if which == Which::Leader {
                    if self.rng.chance(self.faults.not_proposed, 1000) {
                        let term = self.shards[&group].term;
                        return self.schedule_not_proposed(group, term, token);
                    }
                    self.propose(group, Entry::Transactional(token, operation));
                }
            }
            Effect::Reply { to, reply } => self.send_reply(to, &reply),
            Effect::Request { to, request } => self.send_request(to, &request),
            Effect::Barrier { token } => {
                if which != Which::Leader {
                    return;
                }
                let leader = self.shards.get_mut(&group).and_then(|shard| shard.leader.as_mut());
                let Some(leader) = leader else { return };
                match leader.under_way.len() {
                    0 => self.pass(group, token),
                    count => leader.barriers.push((token, count)),
                }
            }
            Effect::Serve { to, read, query, hold } => {
                let shard = &self.shards[&group];
                let store = match which {
                    Which::Leader => &shard.store,
                    Which::Deposed(at) => &shard.deposed[at].2,
                };
                let result = store.query(&query);
                self.send_reply(to, &Reply { from: group, body: ReplyBody::Served { read, hold, result } });
            }
            Effect::Freed => {
                let Some(leader) = self.shards.get_mut(&group).and_then(|shard| shard.leader.as_mut()) else {
                    return;
                };
                for (ticket, actions) in std::mem::take(&mut leader.waiting) {
                    self.plain_arrives(group, ticket, actions);
                }
            }
        }
    }

    fn pass(&mut self, group: GroupId, token: u64) {
        // A lease is renewed all the time, and nobody else leads for longer than it takes.
        let lease_until = Some(self.now + ms(250));
        self.step_shard(group, Which::Leader, Input::Passed { token, lease_until });
    }

    // The log.

    fn propose(&mut self, group: GroupId, entry: Entry) {
        let delay = ms(1) + base::Duration::from_micros(self.rng.below(3_000));
        let shard = self.shards.get_mut(&group).expect("it is there");
        let delay = delay + shard.commit_delay;
        let Some(leader) = shard.leader.as_mut() else { return };
        leader.under_way.push_back(entry);
        leader.next_commit = leader.next_commit.max(self.now + delay);
        let (at, term) = (leader.next_commit, shard.term);
        self.schedule_commit(at, group, term);
    }

    pub fn not_proposed(&mut self, group: GroupId, term: u64, token: u64) {
        if self.shards[&group].term == term {
            self.step_shard(group, Which::Leader, Input::NotProposed { token });
        }
    }

    /// The oldest entry that is under way has reached a majority.
    pub fn committed(&mut self, group: GroupId, term: u64) {
        let shard = self.shards.get_mut(&group).expect("it is there");
        if shard.term != term || !shard.has_quorum {
            return;
        }
        let Some(entry) = shard.leader.as_mut().and_then(|leader| leader.under_way.pop_front()) else {
            return;
        };
        // What begins to wait while this is applied doesn't wait for it.
        let mut passed = Vec::new();
        if let Some(leader) = self.shards.get_mut(&group).and_then(|shard| shard.leader.as_mut()) {
            leader.barriers.retain_mut(|(token, count)| {
                *count -= 1;
                if *count == 0 {
                    passed.push(*token);
                }
                *count > 0
            });
        }
        self.apply(group, entry, true);
        for token in passed {
            self.pass(group, token);
        }
    }

    /// A majority is there again: what was under way goes on.
    pub fn resume(&mut self, group: GroupId) {
        let shard = &self.shards[&group];
        let (term, count) = (shard.term, shard.leader.as_ref().map_or(0, |leader| leader.under_way.len()));
        for _ in 0..count {
            let at = self.now + ms(1);
            self.schedule_commit(at, group, term);
        }
    }

    fn apply(&mut self, group: GroupId, entry: Entry, leads: bool) {
        let shard = self.shards.get_mut(&group).expect("it is there");
        match entry {
            Entry::Transactional(token, operation) => {
                shard.logged.push(operation.clone());
                let finding: Option<Finding> = shard.ledger.apply(operation, &mut shard.store);
                self.check_atomicity();
                if leads {
                    self.step_shard(group, Which::Leader, Input::Applied { token, finding });
                }
            }
            Entry::Plain(ticket, actions) => {
                let allowed = locks_of(&actions)
                    .iter()
                    .all(|lock| shard.ledger.allows(lock.database, lock.key.as_deref(), lock.mode));
                if !allowed && !self.bugs.locks_unchecked {
                    if leads {
                        self.plain_arrives(group, ticket, actions);
                    }
                    return;
                }
                let result = shard.store.run(TxId::default(), &encode(&actions)).expect("it is not refused");
                if leads {
                    self.plain_done(ticket, group, result.0);
                }
            }
        }
    }

    // Commands on one shard.

    /// What a reader sees of a list and its version, if it may see it at once.
    pub fn peek(&self, group: GroupId, key: &Bytes) -> Option<(Vec<u64>, u64)> {
        let shard = &self.shards[&group];
        let seen = shard.leader.is_some() && shard.ledger.allows(DB, Some(key), twophase::Mode::Shared);
        seen.then(|| shard.store.lists.get(key).cloned().unwrap_or_default())
    }

    pub fn plain_arrives(&mut self, group: GroupId, ticket: u64, actions: Vec<Action>) {
        let changes = actions.iter().any(|action| matches!(action, Action::Append(..)));
        let shard = self.shards.get_mut(&group).expect("it is there");
        let Some(leader) = shard.leader.as_mut() else { return };
        let (participant, ledger, unseen) = (&leader.participant, &shard.ledger, self.bugs.locks_unchecked);
        let allowed = locks_of(&actions).iter().all(|lock| match lock.mode {
            twophase::Mode::Exclusive if !unseen => {
                participant.allows_change(ledger, DB, lock.key.as_deref())
            }
            mode => ledger.allows(DB, lock.key.as_deref(), mode),
        });
        if !allowed {
            leader.waiting.push((ticket, actions));
        } else if changes {
            self.propose(group, Entry::Plain(ticket, actions));
        } else {
            let result: Bytes = shard.store.query(&encode(&actions));
            self.plain_done(ticket, group, result);
        }
    }
}
