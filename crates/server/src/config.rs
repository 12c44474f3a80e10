//! From flags, environment and file to settings that are known to make sense. A setting is declared once, in
//! `Options`, and has one name in all three places.

use crate::handshake::Secret;
use clap::{Args, ValueEnum};
use node::api::Addresses;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How far the peer port lies above the clients'.
const PEER_PORT_OFFSET: u16 = 10_000;
/// How far the HTTP port lies above the clients'.
const HTTP_PORT_OFFSET: u16 = 2_000;
/// Shorter secrets can be guessed.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Everything that `sihai serve` can be told; what isn't there has its default.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Where the data lies [default: ./sihai-data]. Repeated: mirrors, each a whole copy.
    #[arg(long, value_name = "DIR", env = "SIHAI_DIR", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub dir: Vec<PathBuf>,
    /// The address to listen on [default: 127.0.0.1].
    #[arg(long, value_name = "ADDR", env = "SIHAI_BIND")]
    pub bind: Option<String>,
    /// The port for Redis clients [default: 6379].
    #[arg(long, value_name = "PORT", env = "SIHAI_PORT")]
    pub port: Option<Port>,
    /// The port for other nodes [default: the port + 10000].
    #[arg(long, value_name = "PORT", env = "SIHAI_PEER_PORT")]
    pub peer_port: Option<Port>,
    /// The port for probes and metrics [default: the port + 2000].
    #[arg(long, value_name = "PORT", env = "SIHAI_HTTP_PORT")]
    pub http_port: Option<Port>,
    /// Members of the cluster to join. A directory that belongs to one already needs none.
    #[arg(long, value_name = "HOST:PEERPORT", env = "SIHAI_JOIN", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_many")]
    pub join: Vec<String>,
    /// How many shards a new cluster gets [default: 16].
    #[arg(long, value_name = "N", env = "SIHAI_SHARDS")]
    pub shards: Option<u32>,
    /// The host by which others reach this node [default: --bind, or the address that the join used].
    #[arg(long, value_name = "HOST", env = "SIHAI_ADVERTISE")]
    pub advertise: Option<String>,
    /// Whether clients from other machines are turned away as long as no password is set [default: yes].
    #[arg(long, value_name = "yes|no", env = "SIHAI_PROTECTED_MODE")]
    pub protected_mode: Option<YesNo>,
    /// A file with the secret that all nodes of the cluster know; required off loopback.
    #[arg(long, value_name = "FILE", env = "SIHAI_CLUSTER_SECRET_FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// A TOML file with any of these settings.
    #[arg(long, value_name = "FILE", env = "SIHAI_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or a filter by module [default: info].
    #[arg(long, value_name = "LEVEL", env = "SIHAI_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// How it is logged [default: human].
    #[arg(long, value_name = "FORMAT", env = "SIHAI_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Settings that few need.
    #[command(flatten)]
    #[serde(flatten)]
    pub tuning: Tuning,
    /// For later.
    #[command(flatten)]
    #[serde(flatten)]
    pub tls: Tls,
}

/// Settings that few need.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[command(next_help_heading = "Tuning")]
#[serde(default, rename_all = "kebab-case")]
pub struct Tuning {
    /// Nothing waits longer for its answer [default: 5s].
    #[arg(long, value_name = "TIME", env = "SIHAI_REQUEST_TIMEOUT")]
    pub request_timeout: Option<Time>,
    /// A follower that has heard nothing for this long, or up to twice this, starts an election [default: 300ms].
    #[arg(long, value_name = "TIME", env = "SIHAI_ELECTION_TIMEOUT")]
    pub election_timeout: Option<Time>,
    /// How often a leader is heard of when nothing happens [default: 60ms].
    #[arg(long, value_name = "TIME", env = "SIHAI_HEARTBEAT_INTERVAL")]
    pub heartbeat_interval: Option<Time>,
    /// Whether reads may rely on leases; no where machines are paused and resumed [default: yes].
    #[arg(long, value_name = "yes|no", env = "SIHAI_LEASE_READS")]
    pub lease_reads: Option<YesNo>,
    /// By how many thousandths clocks may run faster or slower than others [default: 50].
    #[arg(long, value_name = "N", env = "SIHAI_CLOCK_DRIFT_PERMILLE")]
    pub clock_drift_permille: Option<u32>,
    /// How far a wall clock may be off before its node neither leads nor expires [default: 500ms].
    #[arg(long, value_name = "TIME", env = "SIHAI_CLOCK_SKEW_MAX")]
    pub clock_skew_max: Option<Time>,
    /// Whether every command of a connection waits for the one before it [default: no].
    #[arg(long, value_name = "yes|no", env = "SIHAI_PIPELINE_ORDER_STRICT")]
    pub pipeline_order_strict: Option<YesNo>,
    /// How many clients may be connected [default: 10000].
    #[arg(long, value_name = "N", env = "SIHAI_CLIENTS_MAX")]
    pub clients_max: Option<usize>,
    /// Replies that may wait for one client before it is hung up on [default: 256mb].
    #[arg(long, value_name = "SIZE", env = "SIHAI_CLIENT_OUTPUT_BYTES_MAX")]
    pub client_output_bytes_max: Option<Size>,
    /// Commands of one client that may wait for their replies before reading from it pauses [default: 16384].
    #[arg(long, value_name = "N", env = "SIHAI_CLIENT_PENDING_MAX")]
    pub client_pending_max: Option<usize>,
    /// How long a segment of the log is [default: 64mb].
    #[arg(long, value_name = "SIZE", env = "SIHAI_SEGMENT_BYTES")]
    pub segment_bytes: Option<Size>,
    /// A group's log is compacted once it is longer than this and than its snapshot [default: 64mb].
    #[arg(long, value_name = "SIZE", env = "SIHAI_LOG_BYTES_MAX")]
    pub log_bytes_max: Option<Size>,
    /// With more segments of the log than this, groups take snapshots so that the oldest is freed [default: 4].
    #[arg(long, value_name = "N", env = "SIHAI_LOG_SEGMENTS_MAX")]
    pub log_segments_max: Option<u32>,
    /// Log that a group keeps in memory for followers that lag a little [default: 4mb].
    #[arg(long, value_name = "SIZE", env = "SIHAI_LOG_CACHE_BYTES")]
    pub log_cache_bytes: Option<Size>,
    /// How large a piece of a snapshot is, about [default: 256kb].
    #[arg(long, value_name = "SIZE", env = "SIHAI_SNAPSHOT_CHUNK_BYTES")]
    pub snapshot_chunk_bytes: Option<Size>,
}

/// Names that are kept free for TLS.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Tls {
    /// Comes later.
    #[arg(long, value_name = "FILE", hide = true, env = "SIHAI_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Comes later.
    #[arg(long, value_name = "FILE", hide = true, env = "SIHAI_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// Comes later.
    #[arg(long, value_name = "FILE", hide = true, env = "SIHAI_TLS_CA_FILE")]
    pub tls_ca_file: Option<PathBuf>,
}

/// How lines are logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Settings that make sense together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the data lies: one directory, or mirrors.
    pub dirs: Vec<PathBuf>,
    /// For Redis clients.
    pub client: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
    /// For probes and metrics.
    pub http: SocketAddr,
    /// Whom to ask to join.
    pub join: Vec<String>,
    /// How others call this machine, if that was said.
    pub advertise: Option<String>,
    /// What the cluster's members know.
    pub secret: Secret,
    /// How long a segment of the log is.
    pub segment_bytes: u64,
    /// What the node itself is told; its addresses are known only once its ports are open.
    pub node: node::Config,
    /// What is logged.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// A sentence about a setting that can't be.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn error<T>(sentence: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError(sentence.into()))
}

impl Options {
    /// Reads a configuration file's text; else a sentence of the reader's about what is wrong.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Adds what the file of --config says where nothing else was said, and makes sure that all of it makes sense.
    pub fn settle(mut self) -> Result<Settings, ConfigError> {
        if let Some(path) = self.config.take() {
            self = self.or(read_file(&path)?);
        }
        self.settings()
    }

    fn settings(self) -> Result<Settings, ConfigError> {
        if self.tls.tls_cert_file.is_some()
            || self.tls.tls_key_file.is_some()
            || self.tls.tls_ca_file.is_some()
        {
            return error(
                "TLS comes in a later release: leave the --tls- flags out, and keep the ports in a network you trust",
            );
        }
        let bind = resolve(self.bind.as_deref())?;
        let secret = self.cluster_secret_file.as_deref().map_or(Ok(Secret::none()), read_secret)?;
        if !secret.is_some() && !bind.is_loopback() {
            return error(format!(
                "off loopback a cluster secret is required: whoever reaches a peer port on {bind} could rewrite \
                 everything. Make one (head -c 32 /dev/urandom | base64 > secret) and give it to every node with \
                 --cluster-secret-file secret"
            ));
        }
        let port = self.port.map_or(6379, |port| port.0);
        let beside = |given: Option<Port>, offset, flag| match (given, port) {
            (Some(given), _) => Ok(given.0),
            // Any free port for one means any free port for all.
            (None, 0) => Ok(0),
            (None, port) => port.checked_add(offset).ok_or_else(|| {
                ConfigError(format!("port {port} + {offset} is no port any more: say which one with {flag}"))
            }),
        };
        let peer_port = beside(self.peer_port, PEER_PORT_OFFSET, "--peer-port")?;
        let http_port = beside(self.http_port, HTTP_PORT_OFFSET, "--http-port")?;
        for (a, b) in [(port, peer_port), (port, http_port), (peer_port, http_port)] {
            if a == b && a != 0 {
                return error(format!("clients, peers and HTTP need a port each, and {a} was given twice"));
            }
        }
        for target in &self.join {
            check_host_port(target)?;
        }
        if let Some(host) = self.advertise.as_deref()
            && (host.is_empty() || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()))
        {
            return error("--advertise must be a host that other nodes can reach");
        }
        let dirs = if self.dir.is_empty() { vec![PathBuf::from("sihai-data")] } else { self.dir };
        Ok(Settings {
            dirs,
            client: SocketAddr::new(bind, port),
            peer: SocketAddr::new(bind, peer_port),
            http: SocketAddr::new(bind, http_port),
            join: self.join,
            advertise: self.advertise,
            secret,
            segment_bytes: self
                .tuning
                .segment_bytes
                .as_ref()
                .map_or(storage::Options::default().segment_bytes, |size| size.0),
            node: node_config(self.shards, self.protected_mode, self.tuning)?,
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or_default(),
        })
    }

    /// What is missing here is taken from `other`.
    fn or(self, other: Self) -> Self {
        macro_rules! first {
            ($($field:ident).+) => { self.$($field).+.or(other.$($field).+) };
        }
        Self {
            dir: if self.dir.is_empty() { other.dir } else { self.dir },
            join: if self.join.is_empty() { other.join } else { self.join },
            bind: first!(bind),
            port: first!(port),
            peer_port: first!(peer_port),
            http_port: first!(http_port),
            shards: first!(shards),
            advertise: first!(advertise),
            protected_mode: first!(protected_mode),
            cluster_secret_file: first!(cluster_secret_file),
            config: None,
            log_level: first!(log_level),
            log_format: first!(log_format),
            tuning: Tuning {
                request_timeout: first!(tuning.request_timeout),
                election_timeout: first!(tuning.election_timeout),
                heartbeat_interval: first!(tuning.heartbeat_interval),
                lease_reads: first!(tuning.lease_reads),
                clock_drift_permille: first!(tuning.clock_drift_permille),
                clock_skew_max: first!(tuning.clock_skew_max),
                pipeline_order_strict: first!(tuning.pipeline_order_strict),
                clients_max: first!(tuning.clients_max),
                client_output_bytes_max: first!(tuning.client_output_bytes_max),
                client_pending_max: first!(tuning.client_pending_max),
                segment_bytes: first!(tuning.segment_bytes),
                log_bytes_max: first!(tuning.log_bytes_max),
                log_segments_max: first!(tuning.log_segments_max),
                log_cache_bytes: first!(tuning.log_cache_bytes),
                snapshot_chunk_bytes: first!(tuning.snapshot_chunk_bytes),
            },
            tls: Tls {
                tls_cert_file: first!(tls.tls_cert_file),
                tls_key_file: first!(tls.tls_key_file),
                tls_ca_file: first!(tls.tls_ca_file),
            },
        }
    }
}

impl Settings {
    /// Where the node is reached, once its ports are open. `reachable` is this machine's address as others see it.
    pub fn addresses(&self, client: u16, peer: u16, http: u16, reachable: IpAddr) -> Addresses {
        let bound = self.client.ip();
        let host = match &self.advertise {
            Some(host) => host.clone(),
            None if bound.is_unspecified() => reachable.to_string(),
            None => bound.to_string(),
        };
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        Addresses {
            client: format!("{host}:{client}"),
            peer: format!("{host}:{peer}"),
            http: format!("{host}:{http}"),
        }
    }
}

fn node_config(
    shards: Option<u32>,
    protected_mode: Option<YesNo>,
    tuning: Tuning,
) -> Result<node::Config, ConfigError> {
    let mut config = node::Config { seed: crate::chance::u64(), ..node::Config::default() };
    macro_rules! set {
        ($($field:ident = $value:expr;)*) => { $(if let Some(value) = $value { config.$field = value; })* };
    }
    set! {
        shards = shards;
        protected_mode = protected_mode.map(|choice| choice.0);
        request_timeout = tuning.request_timeout.map(|time| time.0);
        election_timeout = tuning.election_timeout.map(|time| time.0);
        heartbeat_interval = tuning.heartbeat_interval.map(|time| time.0);
        lease_reads = tuning.lease_reads.map(|choice| choice.0);
        clock_drift_permille = tuning.clock_drift_permille;
        clock_skew_max = tuning.clock_skew_max.map(|time| time.0);
        pipeline_order_strict = tuning.pipeline_order_strict.map(|choice| choice.0);
        clients_max = tuning.clients_max;
        client_output_bytes_max = tuning.client_output_bytes_max.map(|size| size.0 as usize);
        client_pending_max = tuning.client_pending_max;
        log_bytes_max = tuning.log_bytes_max.map(|size| size.0);
        log_segments_max = tuning.log_segments_max;
        log_cache_bytes = tuning.log_cache_bytes.map(|size| size.0);
        snapshot_chunk_bytes = tuning.snapshot_chunk_bytes.map(|size| size.0 as usize);
    }
    if config.shards == 0 || config.shards > u32::from(base::Slot::COUNT) {
        return error(format!("--shards must be between 1 and {}, the number of slots", base::Slot::COUNT));
    }
    if config.heartbeat_interval.is_zero() || config.heartbeat_interval * 3 > config.election_timeout {
        return error(format!(
            "--heartbeat-interval ({} ms) must be above zero and at most a third of --election-timeout ({} ms), or a \
             single lost message starts an election",
            config.heartbeat_interval.as_millis(),
            config.election_timeout.as_millis()
        ));
    }
    if config.request_timeout < config.election_timeout {
        return error(
            "--request-timeout must not be shorter than --election-timeout: no command would survive a change \
             of leader",
        );
    }
    if config.clock_drift_permille >= 500 {
        return error("--clock-drift-permille must be below 500, or leases are over before they begin");
    }
    if config.clients_max == 0 || config.client_pending_max == 0 || config.snapshot_chunk_bytes == 0 {
        return error("--clients-max, --client-pending-max and --snapshot-chunk-bytes must be above zero");
    }
    Ok(config)
}

fn read_file(path: &Path) -> Result<Options, ConfigError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("the configuration file {shown} can't be read: {error}")))?;
    Options::from_toml(&text)
        .map_err(|error| ConfigError(format!("the configuration file {shown} can't be used: {error}")))
}

fn read_secret(path: &Path) -> Result<Secret, ConfigError> {
    use std::io::Read;
    let shown = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| ConfigError(format!("the cluster secret {shown} can't be read: {error}")))?;
    let secret = bytes.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN || secret.len() as u64 > SECRET_BYTES_MAX {
        return error(format!(
            "the cluster secret {shown} has {} bytes; it must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}, nobody's \
             to guess (head -c 32 /dev/urandom | base64)",
            secret.len()
        ));
    }
    Ok(Secret::new(secret.to_vec()))
}

fn resolve(bind: Option<&str>) -> Result<IpAddr, ConfigError> {
    let Some(host) = bind else { return Ok(Ipv4Addr::LOCALHOST.into()) };
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = plain.parse() {
        return Ok(ip);
    }
    let resolved = (plain, 0).to_socket_addrs().ok().and_then(|addresses| {
        let addresses: Vec<_> = addresses.collect();
        addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
    });
    resolved.map(|address| address.ip()).ok_or_else(|| {
        ConfigError(format!(
            "--bind {host} is no address of this machine: give an IP address, or 0.0.0.0 for all"
        ))
    })
}

fn check_host_port(target: &str) -> Result<(), ConfigError> {
    let sound = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if sound {
        return Ok(());
    }
    error(format!(
        "--join {target} isn't HOST:PEERPORT; the peer port is the member's client port + 10000 by default"
    ))
}

/// A port's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

/// A yes or a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YesNo(pub bool);

/// A length of time: `5s`, `300ms`, `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A number of bytes: `64mb`, `1024`, `1gb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err(
                "this looks like a variable that Kubernetes makes for a service of the same name: set \
                 enableServiceLinks: false in the pod, or call the service something else"
                    .into(),
            );
        }
        text.parse().map(Port).map_err(|_| "a port is a number from 0 (any free one) to 65535".into())
    }
}

impl FromStr for YesNo {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "1" => Ok(YesNo(true)),
            "no" | "false" | "off" | "0" => Ok(YesNo(false)),
            _ => Err("say yes or no".into()),
        }
    }
}

impl FromStr for Time {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "say how long with a unit: 300ms, 5s, 2m".to_string();
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        let ms = match unit.as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(ms).map(|ms| Time(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "say how many bytes: 1048576, 64mb, 1gb".to_string();
        let (number, unit) = split_unit(text).ok_or_else(wrong)?;
        let bytes = match unit.as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(bytes).map(Size).ok_or_else(wrong)
    }
}

fn split_unit(text: &str) -> Option<(u64, String)> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// Reads a value of a file as the text that a flag would be: `yes`, `true`, `5`, `"5s"`.
struct AsText<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for AsText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, a number, or true or false")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "yes" } else { "no" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.visit_str(&value.to_string())
    }
}

macro_rules! read_as_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(AsText(PhantomData))
            }
        }
    )*};
}

read_as_text!(Port, YesNo, Time, Size);

/// `"a"` or `["a", "b"]`.
fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

#[cfg(test)]
mod tests;
