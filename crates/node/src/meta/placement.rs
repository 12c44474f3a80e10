//! Which nodes keep copies of which groups. A pure function of the members and of what was placed before, so that
//! every replica of meta comes to the same answer.
//!
//! - One node: one copy of everything, which votes alone.
//! - Two nodes: the copy that voted goes on voting alone, the other learns. Two voters would need both disks for every
//!   write and be stopped by the loss of either.
//! - Three and more: three voters a shard. Nodes keep equally many copies, or one more, and are preferred as leaders
//!   equally often, or once more. What can stay where it is stays.
//! - Meta is on every node: three voters, five from five nodes on, and learners.
//!
//! A copy that stays on its node stays the same replica, also if it gets or loses its vote; a copy that comes to a node
//! is a new replica, also if that node kept the group before.

use base::{GroupId, NodeId, ReplicaId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many voters a shard has as soon as there are as many nodes.
pub const VOTERS: usize = 3;

/// How many voters meta has as soon as there are as many nodes.
pub const META_VOTERS: usize = 5;

/// The copies that a group shall have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Those that vote; the preferred leader comes first.
    pub replicas: Vec<ReplicaId>,
    /// Those that only learn.
    pub learners: Vec<ReplicaId>,
}

impl Placement {
    /// All copies, voters first.
    pub fn all(&self) -> impl Iterator<Item = ReplicaId> {
        self.replicas.iter().chain(&self.learners).copied()
    }

    /// The copy that `node` keeps.
    pub fn on_node(&self, node: NodeId) -> Option<ReplicaId> {
        self.all().find(|replica| replica.node == node)
    }

    /// Who leads the group if everything is as it should be.
    pub fn preferred_leader(&self) -> Option<NodeId> {
        self.replicas.first().map(|replica| replica.node)
    }
}

/// Places meta and `shards` on `members`, of whom there must be one at least, with as little movement from `previous`
/// as it takes. New replicas take their generations from `next_generation` on.
pub fn place(
    members: &BTreeSet<NodeId>,
    shards: &BTreeSet<GroupId>,
    previous: &BTreeMap<GroupId, Placement>,
    next_generation: &mut u32,
) -> BTreeMap<GroupId, Placement> {
    let nothing = Placement::default();
    let before = |group: GroupId| previous.get(&group).unwrap_or(&nothing);
    let mut plans = BTreeMap::from([(GroupId::META, plan_meta(members, before(GroupId::META)))]);
    if members.len() < VOTERS {
        plans.extend(shards.iter().map(|&shard| (shard, plan_alone(members, before(shard)))));
    } else {
        plans.extend(Spread::over(members, shards, previous).plans());
    }
    let placed = plans.into_iter().map(|(group, plan)| (group, plan.grant(before(group), next_generation)));
    placed.collect()
}

/// The nodes that shall keep a group.
struct Plan {
    /// With a vote; the preferred leader comes first.
    voters: Vec<NodeId>,
    /// Without.
    learners: Vec<NodeId>,
}

impl Plan {
    /// Names the replicas: who stays keeps its name.
    fn grant(self, before: &Placement, next_generation: &mut u32) -> Placement {
        let mut grant = |node: NodeId| {
            before.on_node(node).unwrap_or_else(|| {
                let fresh = ReplicaId { node, generation: *next_generation };
                *next_generation += 1;
                fresh
            })
        };
        Placement {
            replicas: self.voters.into_iter().map(&mut grant).collect(),
            learners: self.learners.into_iter().map(&mut grant).collect(),
        }
    }
}

fn plan_meta(members: &BTreeSet<NodeId>, before: &Placement) -> Plan {
    let wanted = match members.len() {
        0..VOTERS => return plan_alone(members, before),
        VOTERS..META_VOTERS => VOTERS,
        META_VOTERS.. => META_VOTERS,
    };
    let mut voters: Vec<NodeId> =
        before.replicas.iter().map(|replica| replica.node).filter(|node| members.contains(node)).collect();
    voters.truncate(wanted);
    // Whoever has learned until now needn't catch up.
    let learned = before.learners.iter().map(|replica| replica.node).filter(|node| members.contains(node));
    for node in learned.chain(members.iter().copied()) {
        if voters.len() < wanted && !voters.contains(&node) {
            voters.push(node);
        }
    }
    let learners = members.iter().copied().filter(|node| !voters.contains(node)).collect();
    Plan { voters, learners }
}

/// One voter, and everybody else learns. The voter is the oldest member that voted before, so that it is the same for
/// all groups where it can be: the loss of one certain disk costs acknowledged writes, not that of either.
fn plan_alone(members: &BTreeSet<NodeId>, before: &Placement) -> Plan {
    let oldest = |replicas: &[ReplicaId]| {
        replicas.iter().map(|replica| replica.node).filter(|node| members.contains(node)).min()
    };
    let voter =
        oldest(&before.replicas).or_else(|| oldest(&before.learners)).or_else(|| members.first().copied());
    let learners = members.iter().copied().filter(|&node| Some(node) != voter).collect();
    Plan { voters: voter.into_iter().collect(), learners }
}

/// Shards on their way to an even spread over three nodes or more.
struct Spread<'a> {
    members: &'a BTreeSet<NodeId>,
    shards: &'a BTreeSet<GroupId>,
    previous: &'a BTreeMap<GroupId, Placement>,
    /// What each node keeps.
    held: BTreeMap<NodeId, BTreeSet<GroupId>>,
    /// What each node keeps that it didn't keep before.
    fresh: BTreeMap<NodeId, BTreeSet<GroupId>>,
    /// Who keeps each shard.
    holders: BTreeMap<GroupId, BTreeSet<NodeId>>,
}

impl<'a> Spread<'a> {
    /// Every shard on three nodes, every node with as many copies as the others or one more.
    fn over(
        members: &'a BTreeSet<NodeId>,
        shards: &'a BTreeSet<GroupId>,
        previous: &'a BTreeMap<GroupId, Placement>,
    ) -> Self {
        let nothing: BTreeMap<_, _> = members.iter().map(|&node| (node, BTreeSet::new())).collect();
        let holders = shards.iter().map(|&shard| (shard, BTreeSet::new())).collect();
        let mut spread = Self { members, shards, previous, held: nothing.clone(), fresh: nothing, holders };
        spread.keep();
        spread.fill();
        spread.level();
        spread
    }

    fn plans(self) -> impl Iterator<Item = (GroupId, Plan)> {
        let leaders = Leaders::among(&self).balanced();
        self.holders.into_iter().map(move |(shard, holders)| {
            let leader = leaders[&shard];
            let before = self.previous.get(&shard).map_or(&[][..], |placement| &placement.replicas);
            // Those who stay keep their order, those who come stand behind them.
            let staying = before.iter().map(|replica| replica.node).filter(|node| holders.contains(node));
            let mut voters = vec![leader];
            for node in staying.chain(holders.iter().copied()) {
                if !voters.contains(&node) {
                    voters.push(node);
                }
            }
            (shard, Plan { voters, learners: Vec::new() })
        })
    }

    /// What is on members stays there.
    fn keep(&mut self) {
        for &shard in self.shards {
            let before = self.previous.get(&shard);
            let nodes = before.into_iter().flat_map(Placement::all).map(|replica| replica.node);
            let staying: Vec<_> = nodes.filter(|node| self.members.contains(node)).take(VOTERS).collect();
            for node in staying {
                self.put(shard, node);
            }
        }
    }

    /// Shards with too few copies get more, where least is kept.
    fn fill(&mut self) {
        for &shard in self.shards {
            while self.holders[&shard].len() < VOTERS {
                let others = self.held.iter().filter(|(node, _)| !self.holders[&shard].contains(*node));
                let Some((&node, _)) = others.min_by_key(|(node, held)| (held.len(), **node)) else { break };
                self.put(shard, node);
            }
        }
    }

    /// Copies move to where less is kept, as long as that makes a difference: those that only just came where that
    /// does it, others where it must be.
    fn level(&mut self) {
        while let Some(chain) = self.fresh_chain().or_else(|| self.single_move()) {
            for Step { shard, from, to } in chain {
                self.take(shard, from);
                self.put(shard, to);
            }
        }
    }

    /// Moves of copies that weren't there before, so that none is made in vain.
    fn fresh_chain(&self) -> Option<Vec<Step>> {
        let loads = self.held.iter().map(|(&node, held)| (node, held.len())).collect();
        levelling_chain(&loads, &self.fresh, |shard| {
            self.members.iter().copied().filter(move |node| !self.holders[&shard].contains(node))
        })
    }

    /// A move from where most is kept to where least is kept, if they differ by more than one; rather not of a copy that
    /// is preferred as leader.
    fn single_move(&self) -> Option<Vec<Step>> {
        let (&from, most) = self.held.iter().max_by_key(|(node, held)| (held.len(), Reverse(**node)))?;
        let (&to, least) = self.held.iter().min_by_key(|(node, held)| (held.len(), **node))?;
        if most.len() < least.len() + 2 {
            return None;
        }
        // It keeps more shards than the other, so there is one that the other lacks.
        let mut movable = most.difference(least).copied();
        let first = movable.clone().next()?;
        let shard = movable.find(|&shard| !self.is_led_by(shard, from)).unwrap_or(first);
        Some(vec![Step { shard, from, to }])
    }

    fn was_on(&self, shard: GroupId, node: NodeId) -> bool {
        self.previous.get(&shard).is_some_and(|before| before.on_node(node).is_some())
    }

    fn is_led_by(&self, shard: GroupId, node: NodeId) -> bool {
        self.previous.get(&shard).and_then(Placement::preferred_leader) == Some(node)
    }

    fn put(&mut self, shard: GroupId, node: NodeId) {
        self.held.entry(node).or_default().insert(shard);
        self.holders.entry(shard).or_default().insert(node);
        if !self.was_on(shard, node) {
            self.fresh.entry(node).or_default().insert(shard);
        }
    }

    fn take(&mut self, shard: GroupId, node: NodeId) {
        for of_node in [&mut self.held, &mut self.fresh] {
            of_node.entry(node).or_default().remove(&shard);
        }
        self.holders.entry(shard).or_default().remove(&node);
    }
}

/// Who is preferred as leader, on the way to an even spread.
struct Leaders<'s, 'a> {
    spread: &'s Spread<'a>,
    of: BTreeMap<GroupId, NodeId>,
    led: BTreeMap<NodeId, BTreeSet<GroupId>>,
}

impl<'s, 'a> Leaders<'s, 'a> {
    /// Those who were preferred before; where they are gone, those who came next.
    fn among(spread: &'s Spread<'a>) -> Self {
        let led = spread.members.iter().map(|&node| (node, BTreeSet::new())).collect();
        let mut leaders = Self { spread, of: BTreeMap::new(), led };
        for (&shard, holders) in &spread.holders {
            let before = spread.previous.get(&shard);
            let staying = before.into_iter().flat_map(Placement::all).map(|replica| replica.node);
            let leader = staying.chain(holders.iter().copied()).find(|node| holders.contains(node));
            leaders.prefer(shard, leader.expect("every shard has copies"));
        }
        leaders
    }

    /// Moves preferences until the spread is as even as it can be; where the copies are spread evenly, that is: equally
    /// many for each node, or one more.
    fn balanced(mut self) -> BTreeMap<GroupId, NodeId> {
        while let Some(chain) = self.chain() {
            for step in chain {
                self.prefer(step.shard, step.to);
            }
        }
        self.of
    }

    fn chain(&self) -> Option<Vec<Step>> {
        let loads = self.led.iter().map(|(&node, led)| (node, led.len())).collect();
        levelling_chain(&loads, &self.led, |shard| self.spread.holders[&shard].iter().copied())
    }

    fn prefer(&mut self, shard: GroupId, node: NodeId) {
        if let Some(before) = self.of.insert(shard, node) {
            self.led.entry(before).or_default().remove(&shard);
        }
        self.led.entry(node).or_default().insert(shard);
    }
}

/// Something of a shard, a copy or the preference as leader, goes from one node to another.
struct Step {
    shard: GroupId,
    from: NodeId,
    to: NodeId,
}

/// The shortest chain of steps, each from the node that the one before it led to, from a node with a high load to one
/// whose load is lower by two at least, so that taking it makes the loads more even. If there is none, no other way of
/// giving is more even (Harvey, Ladner, Lovász and Tamir, "Semi-matchings for bipartite graphs and load balancing",
/// 2003). Each node may give what it has in `gives`, to those whom `takers` names.
fn levelling_chain<T: Iterator<Item = NodeId>>(
    loads: &BTreeMap<NodeId, usize>,
    gives: &BTreeMap<NodeId, BTreeSet<GroupId>>,
    takers: impl Fn(GroupId) -> T,
) -> Option<Vec<Step>> {
    let fewest = loads.values().min()?;
    let mut givers: Vec<_> = loads.iter().filter(|(_, load)| **load >= fewest + 2).collect();
    givers.sort_by_key(|(node, load)| (Reverse(**load), **node));
    givers.into_iter().find_map(|(&giver, load)| {
        // How each node was reached.
        let mut reached: BTreeMap<NodeId, Option<Step>> = BTreeMap::from([(giver, None)]);
        let mut queue = VecDeque::from([giver]);
        while let Some(from) = queue.pop_front() {
            for &shard in &gives[&from] {
                for to in takers(shard) {
                    if reached.contains_key(&to) {
                        continue;
                    }
                    reached.insert(to, Some(Step { shard, from, to }));
                    if loads[&to] + 2 <= *load {
                        return Some(way_to(to, reached));
                    }
                    queue.push_back(to);
                }
            }
        }
        None
    })
}

/// The steps that led to `end`, first to last.
fn way_to(end: NodeId, mut reached: BTreeMap<NodeId, Option<Step>>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = end;
    while let Some(step) = reached.remove(&at).flatten() {
        at = step.from;
        steps.push(step);
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests;
