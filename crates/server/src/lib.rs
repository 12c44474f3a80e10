//! The tokio driver and the one binary `sihai`.
//!
//! In the order of the journey: what a person asks for ([`cli`], [`config`]) becomes a running node ([`serve`]); its
//! engine ([`engine`]) reads clients ([`client`], [`outgoing`]) and other nodes ([`peers`], [`visitors`], [`frame`],
//! [`handshake`], [`join`]) and keeps what it is told on disk ([`disk`]); people and probes look at it ([`http`],
//! [`status`]), bring in what they had elsewhere ([`import`]) and take it out again
//! ([`export`]).
//!
//! This is where clocks, sockets, files and threads live, and nothing else: what is right or wrong is decided in the
//! cores, which the simulator runs as well.

/// The system's randomness.
pub mod chance;
/// Whether a stopped node's files are sound.
pub mod check;
/// What a person can ask for on the command line.
pub mod cli;
/// Reading clients and writing to them.
pub mod client;
/// The clocks of this machine.
pub mod clock;
/// From flags, environment and file to settings.
pub mod config;
/// How commands of the command line talk to a node.
pub mod connection;
/// Files, and the thread that waits for them.
pub mod disk;
/// One thread that owns a node and its sockets.
pub mod engine;
/// From a cluster into a file that Redis reads.
pub mod export;
/// How bytes between nodes are cut into messages.
pub mod frame;
/// How nodes make sure of each other.
pub mod handshake;
/// What probes and Prometheus ask.
pub mod http;
/// From a Redis file, or a running Redis, into a cluster.
pub mod import;
/// How a node becomes a member.
pub mod join;
/// What clients hear before there is a node.
pub mod loading;
/// Log lines, and the first lines.
pub mod logging;
/// What the machine says about itself.
pub mod machine;
/// What waits to be written to one socket.
pub mod outgoing;
/// Links to other nodes.
pub mod peers;
/// Opening ports.
pub mod ports;
/// The life of a node.
pub mod serve;
/// Sizes, times and names for people.
pub mod shown;
/// How a cluster is, for people.
pub mod status;
/// Who comes to the peer port.
pub mod visitors;
/// The threads that carry out what takes long: scripts.
pub mod workers;

/// An empty directory of its own for a test.
#[cfg(test)]
pub(crate) fn test_dir(name: &str) -> std::path::PathBuf {
    let dir =
        std::env::temp_dir().join(format!("sihai-{name}-{}-{:016x}", std::process::id(), chance::u64()));
    std::fs::create_dir_all(&dir).expect("the temporary directory can be written");
    dir
}
