//! What a driver gives a node and what it is asked to do. Two drivers exist: `server` (sockets, disks, clocks) and
//! `simulator` (a seeded world).

use crate::scripts::Work;
use base::{Duration, NodeId, UnixMillis};
use bytes::Bytes;
use storage::{DiskCompletion, DiskRequest};

/// A client's connection; the driver numbers them, never twice in one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// What can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// A client has connected.
    Connected {
        /// Its connection.
        client: ClientId,
        /// Its address, as `host:port`, for CLIENT LIST and messages.
        address: String,
        /// Whether it comes from this machine; others are turned away in protected mode.
        loopback: bool,
    },
    /// Bytes arrived from a client.
    Received {
        /// Its connection.
        client: ClientId,
        /// What arrived, from where the last input ended.
        bytes: Bytes,
    },
    /// Of what was sent to a client, this many bytes still wait in the driver because the client reads slowly.
    Backlog {
        /// Its connection.
        client: ClientId,
        /// Bytes not yet taken by the socket.
        bytes: usize,
    },
    /// The client sends no more, and may wait for what it is owed: once that was sent, [`Effect::Close`] follows.
    Finished {
        /// Its connection.
        client: ClientId,
    },
    /// The client has gone, or its connection broke.
    Closed {
        /// Its connection.
        client: ClientId,
    },
    /// A link to a member is up and authenticated; what was sent before may be lost.
    PeerUp {
        /// The member at its other end.
        node: NodeId,
    },
    /// The link to a member broke.
    PeerDown {
        /// The member at its other end.
        node: NodeId,
    },
    /// One frame arrived from an authenticated member.
    Peer {
        /// Who sent it.
        from: NodeId,
        /// What [`Effect::Peer`] carried there.
        bytes: Bytes,
    },
    /// Somebody who knows the cluster's secret asks to become a member. Answered by [`Effect::JoinReply`] with the same
    /// ticket, or not at all where no answer is known in time: then it asks again, somewhere else.
    Join {
        /// Names the request to the driver.
        ticket: u64,
        /// Who asks.
        request: JoinRequest,
    },
    /// The disk has done something.
    Disk(DiskCompletion),
    /// What [`Effect::Work`] asked for is done.
    Worked(Box<Work>),
    /// A reading of the wall clock, taken together with `now`. Given at the start, then at least once a second, and
    /// whenever the clock is seen to have jumped.
    WallClock(UnixMillis),
    /// What came of [`Effect::Migrate`].
    Migrated {
        /// Its name.
        job: u64,
        /// What came of it.
        outcome: Migrated,
    },
    /// Facts about the machine that the driver measures now and then, for INFO.
    Machine(Machine),
    /// Stop: hand over what is led and say [`Effect::Stopped`].
    Shutdown,
}

/// What a node asks of its driver. Effects are carried out in order.
#[derive(Debug)]
pub enum Effect {
    /// Bytes for a client.
    Send {
        /// Its connection.
        client: ClientId,
        /// Replies, in order.
        bytes: Bytes,
    },
    /// Hang up, after what was sent.
    Close {
        /// Its connection.
        client: ClientId,
    },
    /// Read no more from this client, or go on reading: so that a deep pipeline or a slow reader can't fill the memory.
    Reading {
        /// Its connection.
        client: ClientId,
        /// Whether to read.
        on: bool,
    },
    /// One frame for a member. Sent if there is a link, dropped otherwise: whoever needs an answer asks again.
    Peer {
        /// Who shall get it.
        to: NodeId,
        /// Several messages of `wire`.
        bytes: Bytes,
    },
    /// The members to keep links with, this node not among them. Replaces what was said before.
    Peers(Vec<PeerAddress>),
    /// Break and make anew the link to a member from which nothing has come for too long.
    Relink {
        /// The member.
        node: NodeId,
    },
    /// The answer to [`Input::Join`].
    JoinReply {
        /// The request's name.
        ticket: u64,
        /// The answer.
        reply: JoinReply,
    },
    /// Work for the disk; answered by [`Input::Disk`].
    Disk(DiskRequest),
    /// Say this to another server, as its client, and hear its answers; answered by [`Input::Migrated`].
    Migrate {
        /// Names the request.
        job: u64,
        /// `host:port`.
        address: String,
        /// How long connecting, and each silence, may take.
        timeout: Duration,
        /// Requests.
        bytes: Bytes,
        /// How many answers they have.
        replies: usize,
    },
    /// Something that takes long (a script): to be carried out with a [`Bench`](crate::scripts::Bench), away from the thread that steps
    /// this node, and given back by [`Input::Worked`].
    Work(Box<Work>),
    /// Something a person should know; the driver logs it.
    Note(Level, String),
    /// Everything is handed over and durable: the process may end.
    Stopped,
    /// The node can't go on (a failed fsync, say); the process must end, unsuccessfully, with this sentence.
    Fatal(String),
}

/// What came of requests to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Migrated {
    /// There is no connection; nothing was said.
    Unreachable,
    /// The connection broke, or nothing came for too long; the answers that had come.
    Broke(Vec<u8>),
    /// All answers.
    Answered(Vec<u8>),
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The ordinary course of things.
    Info,
    /// Something is worse than it should be, and the node goes on.
    Warn,
    /// Somebody must do something.
    Error,
}

/// Where to reach a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Who.
    pub node: NodeId,
    /// `host:port` of its peer port.
    pub address: String,
}

/// What somebody says who wants to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// Random, made once and kept until the join succeeded, so that asking twice joins once.
    pub nonce: u128,
    /// Where its clients shall reach it.
    pub addresses: Addresses,
}

/// Where a node can be reached, each as `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By Redis clients.
    pub client: String,
    /// By other nodes.
    pub peer: String,
    /// By browsers, probes and Prometheus.
    pub http: String,
}

/// The answer to a [`JoinRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinReply {
    /// Be one of us.
    Welcome {
        /// The cluster's id.
        cluster: u128,
        /// The new member's id.
        node: NodeId,
        /// Everybody else.
        peers: Vec<PeerAddress>,
    },
    /// No, and why; a sentence.
    Refused(String),
}

/// What the driver measures about the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// Memory of the machine.
    pub memory_total_bytes: u64,
    /// Processor time of the process, user and system, in microseconds.
    pub cpu_us: (u64, u64),
    /// Bytes free where the data lies.
    pub disk_free_bytes: u64,
}

/// What a node is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it can be reached, as it tells others.
    pub addresses: Addresses,
    /// How many shards a new cluster gets; ignored in one that exists.
    pub shards: u32,
    /// Seed of everything that is chosen by chance.
    pub seed: u64,
    /// Nothing waits longer than this for its answer.
    pub request_timeout: Duration,
    /// A follower that has heard nothing for this long (up to twice, by chance) starts an election.
    pub election_timeout: Duration,
    /// How often a leader is heard of when nothing happens.
    pub heartbeat_interval: Duration,
    /// How much faster or slower than another a clock may run, in thousandths; leases are shorter by it.
    pub clock_drift_permille: u32,
    /// Whether reads may rely on leases; without, every read asks a majority. For machines that are paused and resumed.
    pub lease_reads: bool,
    /// How far a node's wall clock may be from the majority's before it neither leads nor expires.
    pub clock_skew_max: Duration,
    /// A group's log is compacted once it is longer than this and than its last snapshot.
    pub log_bytes_max: u64,
    /// With more segments of the log than this, groups that still need the oldest one take snapshots, so that it is freed.
    pub log_segments_max: u32,
    /// How many entries a group keeps in memory for followers that lag a little.
    pub log_cache_bytes: u64,
    /// About how many bytes of entries one message between copies carries; at least one entry, however large.
    pub append_bytes_max: usize,
    /// How large a piece of a snapshot is, about.
    pub snapshot_chunk_bytes: usize,
    /// Bytes of replies that may wait for one client before it is hung up on, whatever its class; with a fraction of them, reading from
    /// it pauses.
    pub client_output_bytes_max: usize,
    /// How much output may wait for a client of a class before it is hung up on.
    pub output_limits: OutputLimits,
    /// After how long a client is hung up on that sends nothing and waits for nothing; zero: never.
    pub idle_timeout: Duration,
    /// How long a command takes that is kept in the slow log; `None`: none is kept.
    pub slower_than: Option<Duration>,
    /// How many commands the slow log keeps.
    pub slow_log_entries_max: usize,
    /// From how long on something is noted for LATENCY; zero: nothing is.
    pub latency_threshold: Duration,
    /// From how long on the log tells of a script that runs; zero: never. It holds up nobody, so nobody else hears of it.
    pub busy_after: Duration,
    /// Commands of one client that may wait for their replies before reading from it pauses.
    pub client_pending_max: usize,
    /// How many keys that clients keep are remembered (CLIENT TRACKING); of more, some must be thrown away. 0 is no limit.
    pub tracking_keys_max: usize,
    /// How many clients may be connected.
    pub clients_max: usize,
    /// Whether clients from elsewhere are turned away as long as no password is set.
    pub protected_mode: bool,
    /// How many entries ACL LOG keeps.
    pub acl_log_length_max: usize,
    /// Whether every command waits for the one before it on its connection.
    pub pipeline_order_strict: bool,
    /// The version in `sihai version` and INFO.
    pub version: &'static str,
    /// What is broken on purpose, so that the simulator can prove that it would notice.
    #[cfg(feature = "bugs")]
    pub bugs: Bugs,
}

/// How much output may wait for clients of one class before they are hung up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Never more than these bytes; 0 is no limit.
    pub hard_bytes: usize,
    /// More than these bytes only for a while; 0 is no limit.
    pub soft_bytes: usize,
    /// For how long.
    pub soft_time: Duration,
}

/// The limits of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that ask.
    pub normal: OutputLimit,
    /// Copies of Redis's own kind, of which there are none here.
    pub replica: OutputLimit,
    /// Clients that listen.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The limit of a client that listens, or doesn't.
    pub fn of(&self, listens: bool) -> &OutputLimit {
        if listens { &self.pubsub } else { &self.normal }
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        let limit = |hard_bytes, soft_bytes, seconds| OutputLimit {
            hard_bytes,
            soft_bytes,
            soft_time: Duration::from_secs(seconds),
        };
        Self {
            normal: limit(0, 0, 0),
            replica: limit(256 << 20, 64 << 20, 60),
            pubsub: limit(32 << 20, 8 << 20, 60),
        }
    }
}

/// Known bugs, each of which a checker of the simulator must find.
#[cfg(feature = "bugs")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Bugs {
    /// Those of Raft.
    pub raft: raft::bugs::Bugs,
    /// A forwarded request that comes again is carried out again.
    pub forward_runs_twice: bool,
    /// A snapshot says to reach one entry further than it does.
    pub snapshot_drops_entry: bool,
    /// A node whose clock is off from the majority's leads and lets keys expire by it.
    pub trusts_any_clock: bool,
    /// What was taken for a client that has gone is not put back.
    pub taken_for_who_has_gone_is_lost: bool,
    /// Who is offered something and tries to take it takes twice, and hears of the second.
    pub offers_run_twice: bool,
    /// EXEC takes effect even if a watched key has changed.
    pub exec_ignores_watch: bool,
    /// What an aborted transaction over several shards has done stays.
    pub aborted_stays: bool,
    /// Plain commands see and change what transactions over several shards hold.
    pub plain_commands_ignore_locks: bool,
    /// What a command over several shards has read may have changed when its effects take place.
    pub runs_ignore_versions: bool,
    /// Those of the protocol for several shards.
    pub twophase: twophase::bugs::Bugs,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: Addresses::default(),
            shards: 16,
            seed: 0,
            request_timeout: Duration::from_secs(5),
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
            clock_drift_permille: 50,
            lease_reads: true,
            clock_skew_max: Duration::from_millis(500),
            log_bytes_max: 64 << 20,
            log_segments_max: 4,
            log_cache_bytes: 4 << 20,
            append_bytes_max: 1 << 20,
            snapshot_chunk_bytes: 256 << 10,
            client_output_bytes_max: 256 << 20,
            output_limits: OutputLimits::default(),
            idle_timeout: Duration::ZERO,
            slower_than: Some(Duration::from_millis(10)),
            slow_log_entries_max: 128,
            latency_threshold: Duration::ZERO,
            busy_after: Duration::from_secs(5),
            client_pending_max: 16_384,
            tracking_keys_max: 1_000_000,
            clients_max: 10_000,
            protected_mode: true,
            acl_log_length_max: 128,
            pipeline_order_strict: false,
            version: env!("CARGO_PKG_VERSION"),
            #[cfg(feature = "bugs")]
            bugs: Bugs::default(),
        }
    }
}
