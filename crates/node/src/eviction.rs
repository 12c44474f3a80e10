//! Room for what comes, where the policy lets keys go. The leaders on this node choose keys of their shards, over all of
//! these alike, and log that they go; the entry names the revision of each, so a key that changes meanwhile stays.
//!
//! Keys are looked for by drawing some by chance and keeping the best of all that were drawn lately, as Redis does: no
//! list is kept of how recently or how often keys are used, and each step costs the same however many keys there are.

use crate::hub::Waiter;
use crate::memory::{Choice, Limits, OVERSHOOT_BYTES_MAX};
use crate::node::{Copy, Node};
use crate::op::{Evicted, Op, encode_op};
use crate::replica::Replica;
use base::{DatabaseId, Rng, UnixMillis};
use bytes::Bytes;
use keyspace::victims::Candidate;
use std::collections::BTreeMap;

/// How many of the keys that were drawn are remembered.
const POOL_MAX: usize = 16;
/// How many keys are drawn in vain, because they are on their way out already, before it is said that there is none.
const DRAWS_MAX: u32 = 32;
/// How many keys go before one command at most, if what comes needs more room than the tenacity makes.
const KEYS_MAX: u64 = 4096;

/// The best of the keys that were drawn and didn't go yet, the best one last.
#[derive(Debug, Default)]
pub(crate) struct Pool(Vec<Pooled>);

#[derive(Clone, Debug)]
struct Pooled {
    rank: u64,
    /// Which copy on this node has it.
    copy: usize,
    database: DatabaseId,
    key: Bytes,
}

/// A key that was chosen.
#[derive(Debug)]
struct Victim {
    copy: usize,
    database: DatabaseId,
    key: Bytes,
    revision: u64,
    memory_bytes: u64,
}

/// A copy on this node that leads, and among how many of its keys can be chosen.
type Led = (usize, u64);

impl Victim {
    fn of(copy: usize, candidate: &Candidate<'_>) -> Self {
        Self {
            copy,
            database: candidate.database,
            key: Bytes::copy_from_slice(candidate.key),
            revision: candidate.revision,
            memory_bytes: candidate.memory_bytes,
        }
    }

    /// As the log names it.
    fn name(&self) -> Evicted<'_> {
        Evicted { database: self.database, key: &self.key, revision: self.revision }
    }
}

/// How many keys may go before one command: where Redis counts microseconds, this counts keys.
fn keys_max(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => (50 * u64::from(tenacity)).max(1),
        11..=99 => (11..=tenacity).fold(500, |keys, _| keys + keys * 3 / 20).min(KEYS_MAX),
        _ => KEYS_MAX,
    }
}

/// How good it is to lose a key; keys that weren't used since this copy began are the first, for want of a better guess.
fn rank(choice: Choice, candidate: &Candidate<'_>) -> u64 {
    match choice {
        Choice::LeastRecent => candidate.idle_s.into(),
        Choice::LeastFrequent => u64::from(u8::MAX - candidate.frequency) << 32 | u64::from(candidate.idle_s),
        Choice::Random | Choice::Soonest => 0,
    }
}

impl Pool {
    fn add(&mut self, pooled: Pooled) {
        let known = |other: &Pooled| {
            other.copy == pooled.copy && other.database == pooled.database && other.key == pooled.key
        };
        if self.0.iter().any(known) {
            return;
        }
        let at = self.0.partition_point(|other| other.rank < pooled.rank);
        if self.0.len() == POOL_MAX {
            if at == 0 {
                return;
            }
            self.0.remove(0);
            self.0.insert(at - 1, pooled);
        } else {
            self.0.insert(at, pooled);
        }
    }
}

impl Node {
    /// Has keys go, if there is no room for what is there and under way and the policy lets some go. A bounded step: what it
    /// doesn't come to is done before the next command, or by and by.
    #[inline]
    pub(crate) fn free_memory(&mut self) {
        if self.hub.memory.excess() > 0 {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let limits = self.hub.memory.limits;
        let Some(choice) = limits.policy.choice else { return };
        let volatile = limits.policy.volatile;
        let led: Vec<Led> = self
            .replicas
            .iter()
            .enumerate()
            .filter_map(|(at, copy)| {
                let replica = copy.as_live().filter(|replica| replica.may_decide(&self.hub))?;
                Some((at, replica.machine.keyspace()?.candidates(volatile)))
            })
            .collect();
        let now = self.hub.wall();
        let (mut chosen, mut count) = (BTreeMap::<usize, Vec<Victim>>::new(), 0);
        let keys_max = keys_max(limits.tenacity);
        let mut search = Search {
            copies: &self.replicas,
            led: &led,
            limits,
            now,
            rng: &mut self.hub.rng,
            pool: &mut self.pool,
        };
        let mut taken = Taken::default();
        let memory = &mut self.hub.memory;
        loop {
            let excess = memory.excess();
            if excess == 0 || count >= KEYS_MAX || (count >= keys_max && excess <= OVERSHOOT_BYTES_MAX) {
                break;
            }
            let Some(victim) = search.next(choice, &taken) else { break };
            memory.going += victim.memory_bytes;
            count += 1;
            taken.0.entry((victim.copy, victim.database)).or_default().insert(victim.key.clone());
            chosen.entry(victim.copy).or_default().push(victim);
        }
        memory.exhausted = count == 0 && !led.is_empty();
        for (copy, victims) in chosen {
            self.propose_eviction(copy, &victims);
        }
    }

    fn propose_eviction(&mut self, copy: usize, victims: &[Victim]) {
        let Some(replica) = self.replicas[copy].live() else { return };
        for victim in victims {
            // It was counted when it was chosen.
            self.hub.memory.going -= victim.memory_bytes;
            replica.condemn(&mut self.hub, (victim.database, victim.key.clone()), victim.memory_bytes);
        }
        let mut bytes = Vec::new();
        encode_op(&mut bytes, &Op::Evict(victims.iter().map(Victim::name).collect()));
        replica.write_encoded(&mut self.hub, Waiter::Nobody, None, &bytes);
    }
}

/// What was chosen in this step, by copy and database.
#[derive(Default)]
struct Taken(BTreeMap<(usize, DatabaseId), std::collections::BTreeSet<Bytes>>);

/// What is needed to choose a key.
struct Search<'a> {
    copies: &'a [Copy],
    led: &'a [Led],
    limits: Limits,
    now: UnixMillis,
    rng: &'a mut Rng,
    pool: &'a mut Pool,
}

impl<'a> Search<'a> {
    fn replica(&self, copy: usize) -> Option<&'a Replica> {
        self.copies.get(copy)?.as_live()
    }

    /// The next key to go: one that has expired, if there is any, or else by the policy.
    fn next(&mut self, choice: Choice, taken: &Taken) -> Option<Victim> {
        if let Some(victim) = self.soonest(taken, Some(self.now)) {
            return Some(victim);
        }
        match choice {
            Choice::Soonest => self.soonest(taken, None),
            Choice::Random => self.draw(taken).map(|(copy, candidate)| Victim::of(copy, &candidate)),
            Choice::LeastRecent | Choice::LeastFrequent => self.best(choice, taken),
        }
    }

    fn is_free(&self, taken: &Taken, copy: usize, database: DatabaseId, key: &[u8]) -> bool {
        let chosen = taken.0.get(&(copy, database)).is_some_and(|keys| keys.contains(key));
        let is_free = |replica: &Replica| {
            !replica.room.is_condemned(database, key) && replica.may_let_go(database, key)
        };
        !chosen && self.replica(copy).is_some_and(is_free)
    }

    /// The key that expires next, by `until` if that is given.
    fn soonest(&self, taken: &Taken, until: Option<UnixMillis>) -> Option<Victim> {
        let firsts = self.led.iter().filter_map(|&(copy, _)| {
            let replica = self.replica(copy)?;
            let keyspace = replica.machine.keyspace()?;
            if until.is_some_and(|until| keyspace.next_expiry().is_none_or(|first| first > until)) {
                return None;
            }
            let chosen = taken.0.iter().filter(|((other, _), _)| *other == copy);
            let count = replica.room.condemned() + chosen.map(|(_, keys)| keys.len() as u64).sum::<u64>();
            let is_taken = |database, key: &[u8]| !self.is_free(taken, copy, database, key);
            let candidate = keyspace.next_to_expire(self.now, count, &is_taken)?;
            let in_time = until.is_none_or(|until| candidate.gone_at.is_some_and(|at| at <= until));
            in_time.then_some((copy, candidate))
        });
        let (copy, candidate) = firsts.min_by_key(|(_, candidate)| candidate.gone_at)?;
        Some(Victim::of(copy, &candidate))
    }

    /// A key by chance, each of all shards that are led here as likely as any other.
    fn draw(&mut self, taken: &Taken) -> Option<(usize, Candidate<'a>)> {
        let total: u64 = self.led.iter().map(|(_, keys)| keys).sum();
        if total == 0 {
            return None;
        }
        for _ in 0..DRAWS_MAX {
            let mut nth = self.rng.below(total);
            let led = self.led.iter().find(|(_, keys)| {
                let found = nth < *keys;
                if !found {
                    nth -= keys;
                }
                found
            });
            let copy = led?.0;
            let keyspace = self.replica(copy)?.machine.keyspace()?;
            let volatile = self.limits.policy.volatile;
            let Some(candidate) = keyspace.draw_candidate(volatile, self.now, self.rng) else { continue };
            if self.is_free(taken, copy, candidate.database, candidate.key) {
                return Some((copy, candidate));
            }
        }
        None
    }

    /// The best key of those that were drawn, now and lately.
    fn best(&mut self, choice: Choice, taken: &Taken) -> Option<Victim> {
        for _ in 0..self.limits.samples {
            let Some((copy, candidate)) = self.draw(taken) else { break };
            let key = Bytes::copy_from_slice(candidate.key);
            let (rank, database) = (rank(choice, &candidate), candidate.database);
            self.pool.add(Pooled { rank, copy, database, key });
        }
        while let Some(best) = self.pool.0.pop() {
            let volatile = self.limits.policy.volatile;
            let led = self.led.iter().any(|(copy, _)| *copy == best.copy);
            let keyspace = self.replica(best.copy).filter(|_| led).and_then(|r| r.machine.keyspace());
            let candidate = keyspace.and_then(|k| k.candidate(best.database, &best.key, self.now));
            let still = |candidate: &Candidate<'_>| {
                // Who was used meanwhile isn't the best any more.
                rank(choice, candidate) >= best.rank
                    && (!volatile || candidate.gone_at.is_some())
                    && self.is_free(taken, best.copy, best.database, &best.key)
            };
            if let Some(candidate) = candidate.filter(still) {
                return Some(Victim::of(best.copy, &candidate));
            }
        }
        None
    }
}
