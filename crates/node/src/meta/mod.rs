//! What the meta group agrees on: who is a member and where, which node keeps a copy of which group, which databases
//! exist under which incarnation, and the settings of the whole cluster. Every node holds it, so that a node alone
//! still knows them.
//!
//! `Meta` is a state machine: `Meta::apply` is a pure function of the state and the command, and every replica
//! comes to the same state. It says what is *wanted*; that the groups' memberships follow is the work of their
//! leaders. It must never give out an id twice: neither a node's, nor a replica's, nor a database's.

/// How the state changes: one function a command.
mod apply;
/// The state written down: the content of meta's snapshots.
mod codec;
/// What can be asked of the meta group, and its answers.
pub mod command;
/// Which nodes keep copies of which groups: a pure function.
pub mod placement;
/// Libraries of functions and scripts that were loaded.
pub mod programs;

pub use command::{MetaCommand, MetaOutcome, Setting};
pub use placement::Placement;
pub use programs::Programs;

use crate::api::{Addresses, Config};
use crate::users::{self, PasswordDigest, User};
use base::codec::Encode;
use base::{DatabaseId, DatabaseIndex, Duration, GroupId, NodeId, ReplicaId, invariant};
use bytes::Bytes;
use routing::SlotMap;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many databases there are, as in Redis's default configuration.
pub const DATABASES: u32 = 16;

/// The version of the cluster's behaviour that this release founds; see [`Meta::version`].
pub const CLUSTER_VERSION: u32 = 1;

/// The settings that live in meta, by the names under which CONFIG knows them.
pub mod setting {
    /// The digest of the default user's password, as [`PasswordDigest`](crate::users::PasswordDigest) writes it. It is kept with that
    /// user; to set this is to change its password.
    pub const REQUIREPASS: &str = "requirepass";
    /// Letters of [`EventClasses`](base::database::EventClasses).
    pub const NOTIFY_KEYSPACE_EVENTS: &str = "notify-keyspace-events";
    /// Milliseconds; set at the founding.
    pub const ELECTION_TIMEOUT: &str = "election-timeout";
    /// Thousandths; set at the founding.
    pub const CLOCK_DRIFT: &str = "clock-drift";
    /// `yes` or `no`; set at the founding.
    pub const LEASE_READS: &str = "lease-reads";

    /// What every promise of a lease rests on. If two nodes differed in it, even for the moment that a change takes
    /// to spread, one could promise less than another relies on; so it is set once.
    pub const FOUNDED: [&str; 3] = [ELECTION_TIMEOUT, CLOCK_DRIFT, LEASE_READS];
}

/// The state of the meta group.
#[derive(Clone, PartialEq)]
pub struct Meta {
    cluster: u128,
    hash_key: [u64; 2],
    slots: SlotMap,
    epoch: u64,
    nodes: BTreeMap<NodeId, Member>,
    next_node: u32,
    next_generation: u32,
    placement: BTreeMap<GroupId, Placement>,
    databases: BTreeMap<DatabaseIndex, DatabaseRecord>,
    next_database: u64,
    settings: BTreeMap<String, String>,
    version: u32,
    users: BTreeMap<Bytes, User>,
    users_epoch: u64,
    programs: Programs,
}

/// Somebody who is or was a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it can be reached.
    pub addresses: Addresses,
    /// What it chose by chance before it asked to join; a request that comes twice is known by it.
    pub nonce: u128,
    /// Whether it still takes part.
    pub state: MemberState,
}

/// Whether a member takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It keeps copies and serves.
    Active,
    /// It left or lost its disk. Its id isn't given out again; should it come back, it joins as another node.
    Removed,
}

/// One incarnation of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRecord {
    /// Never used before or after.
    pub id: DatabaseId,
    /// What it prefers when copies can't talk.
    pub mode: Mode,
    /// What people call it.
    pub name: Option<String>,
    /// Whether it serves.
    pub state: DatabaseState,
}

/// What a database prefers when copies can't talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Agreement: copies by Raft, strict serializability.
    Consistent,
    /// Going on: a copy on every node, which agree once they can talk.
    Available,
    /// One node alone, without copies.
    Local,
}

impl Mode {
    /// What people read.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Consistent => "consistent",
            Mode::Available => "available",
            Mode::Local => "local",
        }
    }
}

/// Whether a database serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// It does.
    Open,
    /// It is being emptied for a change of mode or a drop, and refuses everything.
    Closing,
}

/// What the safety of leases rests on, the same on every node since the founding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A follower that has heard nothing for this long starts an election.
    pub election_timeout: Duration,
    /// How much faster or slower than another a clock may run.
    pub clock_drift_permille: u32,
    /// Whether reads may rely on leases.
    pub lease_reads: bool,
}

impl Meta {
    /// The state in which a cluster begins: one node, one copy of everything, the databases undeclared and consistent.
    pub fn founding(config: &Config, cluster: u128, hash_key: [u64; 2]) -> Self {
        // The founder never asked to join; the cluster's id is as random as a nonce.
        let founder =
            Member { addresses: config.addresses.clone(), nonce: cluster, state: MemberState::Active };
        let databases = (0..DATABASES).map(|index| {
            let id = DatabaseId(u64::from(index) + 1);
            let record =
                DatabaseRecord { id, mode: Mode::Consistent, name: None, state: DatabaseState::Open };
            (DatabaseIndex(index), record)
        });
        let settings = [
            (setting::ELECTION_TIMEOUT, config.election_timeout.as_millis().to_string()),
            (setting::CLOCK_DRIFT, config.clock_drift_permille.to_string()),
            (setting::LEASE_READS, if config.lease_reads { "yes" } else { "no" }.to_string()),
        ];
        let mut meta = Self {
            cluster,
            hash_key,
            slots: SlotMap::even(1, config.shards),
            epoch: 0,
            nodes: BTreeMap::from([(NodeId(1), founder)]),
            next_node: 2,
            next_generation: 1,
            placement: BTreeMap::new(),
            databases: databases.collect(),
            next_database: u64::from(DATABASES) + 1,
            settings: settings.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
            version: CLUSTER_VERSION,
            users: founding_users(),
            users_epoch: 0,
            programs: Programs::default(),
        };
        meta.place();
        meta
    }

    /// The cluster's id.
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// The secret under which keys are hashed, the same on every replica.
    pub fn hash_key(&self) -> [u64; 2] {
        self.hash_key
    }

    /// Which group keeps which slot.
    pub fn slots(&self) -> &SlotMap {
        &self.slots
    }

    /// Counts the changes of members and placement.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Everybody who is or was a member.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Member> {
        &self.nodes
    }

    /// Those who take part.
    pub fn active(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.nodes
            .iter()
            .filter(|(_, member)| member.state == MemberState::Active)
            .map(|(&id, member)| (id, member))
    }

    /// The member `node`, if it takes part.
    pub fn active_member(&self, node: NodeId) -> Option<&Member> {
        self.nodes.get(&node).filter(|member| member.state == MemberState::Active)
    }

    /// Whether `node` was a member and is none any more.
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|member| member.state == MemberState::Removed)
    }

    /// Whether this state is new enough to have given out the replica's id.
    pub fn has_granted(&self, replica: ReplicaId) -> bool {
        replica.generation < self.next_generation
    }

    /// The copies that every group shall have, meta first.
    pub fn placement(&self) -> &BTreeMap<GroupId, Placement> {
        &self.placement
    }

    /// The copies that `group` shall have, if there is such a group.
    pub fn placement_of(&self, group: GroupId) -> Option<&Placement> {
        self.placement.get(&group)
    }

    /// The copies that `node` shall keep, by group.
    pub fn copies_on(&self, node: NodeId) -> impl Iterator<Item = (GroupId, ReplicaId)> {
        self.placement
            .iter()
            .filter_map(move |(&group, placement)| placement.on_node(node).map(|replica| (group, replica)))
    }

    /// How many copies every shard shall have, at the cluster's present size.
    pub fn copies_wanted(&self) -> usize {
        self.active().count().min(placement::VOTERS)
    }

    /// All databases, by the number that clients SELECT.
    pub fn databases(&self) -> &BTreeMap<DatabaseIndex, DatabaseRecord> {
        &self.databases
    }

    /// The incarnation and the mode behind a number, if it is open.
    pub fn database(&self, index: DatabaseIndex) -> Option<(DatabaseId, Mode)> {
        let record = self.databases.get(&index)?;
        (record.state == DatabaseState::Open).then_some((record.id, record.mode))
    }

    /// The number and the record of an incarnation, if it lives.
    pub fn database_by_id(&self, id: DatabaseId) -> Option<(DatabaseIndex, &DatabaseRecord)> {
        self.databases.iter().find(|(_, record)| record.id == id).map(|(&index, record)| (index, record))
    }

    /// Which keyspace events are told.
    pub fn events(&self) -> base::database::EventClasses {
        let flags = self.setting(setting::NOTIFY_KEYSPACE_EVENTS);
        flags.and_then(base::database::EventClasses::parse).unwrap_or_default()
    }

    /// The settings of the whole cluster.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// One of them.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// All users, by name.
    pub fn users(&self) -> &BTreeMap<Bytes, User> {
        &self.users
    }

    /// Counts the changes of users.
    pub fn users_epoch(&self) -> u64 {
        self.users_epoch
    }

    /// Libraries of functions, and scripts that were loaded.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The password that clients must give who don't name a user, if there is one; the first of several.
    pub fn password(&self) -> Option<PasswordDigest> {
        self.users.get(users::DEFAULT)?.passwords.first().copied()
    }

    /// What the safety of leases rests on.
    pub fn timing(&self) -> Timing {
        let defaults = Config::default();
        let number = |key: &str| self.setting(key).and_then(|value| value.parse::<u64>().ok());
        Timing {
            election_timeout: number(setting::ELECTION_TIMEOUT)
                .map_or(defaults.election_timeout, Duration::from_millis),
            clock_drift_permille: number(setting::CLOCK_DRIFT)
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(defaults.clock_drift_permille),
            lease_reads: self
                .setting(setting::LEASE_READS)
                .map_or(defaults.lease_reads, |value| value == "yes"),
        }
    }

    /// What all nodes agree to behave like: a new behaviour of apply is used only once every member knows it, and this
    /// says so.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A number that differs if two states do, but for chance.
    pub fn digest(&self) -> u64 {
        // FNV-1a, which is enough against accidents.
        self.to_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |digest, &byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Panics naming the broken invariant.
    pub fn check(&self) {
        if let Err(broken) = self.verify() {
            invariant!(broken, false, "meta at epoch {}", self.epoch);
        }
    }

    /// The first thing that no series of commands can have led to; what is read from a disk or a peer is asked the
    /// same as what was made here.
    fn verify(&self) -> Result<(), &'static str> {
        let hold = |holds: bool, name| if holds { Ok(()) } else { Err(name) };
        let active: BTreeSet<NodeId> = self.active().map(|(id, _)| id).collect();
        hold(!active.is_empty(), "a cluster has a member")?;
        hold(self.nodes.keys().all(|id| (1..self.next_node).contains(&id.0)), "node ids are given out once")?;
        let groups: BTreeSet<GroupId> = self.slots.groups().into_iter().chain([GroupId::META]).collect();
        hold(self.placement.keys().eq(groups.iter()), "every group is placed, and nothing else")?;
        for placement in self.placement.values() {
            let mut nodes = BTreeSet::new();
            for replica in placement.all() {
                hold(active.contains(&replica.node), "copies are kept by members")?;
                hold(nodes.insert(replica.node), "a node keeps at most one copy of a group")?;
                let granted = (1..self.next_generation).contains(&replica.generation);
                hold(granted, "generations are given out once")?;
            }
            hold(placement.replicas.len() % 2 == 1, "voters are odd in number")?;
        }
        let everywhere = self.placement[&GroupId::META].all().count() == active.len();
        hold(everywhere, "every node keeps a copy of meta")?;
        let mut incarnations = BTreeSet::new();
        for record in self.databases.values() {
            hold(
                (1..self.next_database).contains(&record.id.0) && incarnations.insert(record.id),
                "database ids are given out once",
            )?;
        }
        hold(self.users.contains_key(users::DEFAULT), "the default user exists")?;
        hold(!self.settings.contains_key(setting::REQUIREPASS), "passwords are kept with their users")?;
        Ok(())
    }
}

/// The default user alone, who may do everything.
fn founding_users() -> BTreeMap<Bytes, User> {
    BTreeMap::from([(Bytes::from_static(users::DEFAULT), User::unrestricted())])
}

impl fmt::Debug for Meta {
    /// Without the secrets: it may end up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("cluster", &self.cluster)
            .field("epoch", &self.epoch)
            .field("slots", &self.slots)
            .field("nodes", &self.nodes)
            .field("placement", &self.placement)
            .field("databases", &self.databases)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
