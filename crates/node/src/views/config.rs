//! CONFIG. A parameter is in the table only if it has a true value here. Each is fixed, or of this node and kept until
//! its next start, or of the whole cluster and kept in meta. Fixed parameters may be set to what they are, since tools
//! insist on it; for the same reason those of Redis are taken and kept that change nothing here (`inert`).

use crate::api::{Config, OutputLimit};
use crate::meta::{DATABASES, Meta, Setting, setting};
use crate::users::PasswordDigest;
use crate::views::split_address;
use base::Duration;
use base::database::EventClasses;
use resp::Writer;
use resp::request::BULK_BYTES_MAX;

/// How safe a write must be.
pub mod durability;
/// The limits by which encodings are called.
pub mod encodings;
/// What changes nothing here.
mod inert;
/// What the copies on a node may hold.
pub mod memory;
/// Parameters that are the whole cluster's.
mod shared;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigCommand {
    /// The parameters whose names match one of these patterns.
    Get(Vec<Vec<u8>>),
    /// Make these changes, all or none; none if every value is what it is already.
    Set(Vec<ConfigChange>),
    /// Set the counters of INFO to zero.
    ResetStat,
    /// What can be asked.
    Help,
}

/// A change to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// `maxclients`, of this node.
    ClientsMax(usize),
    /// `tracking-table-max-keys`, of this node.
    TrackingKeysMax(usize),
    /// `client-output-buffer-limit` of these classes, of this node.
    OutputLimits(Vec<(OutputClass, OutputLimit)>),
    /// `timeout`, of this node.
    IdleTimeout(Duration),
    /// `slowlog-log-slower-than`, of this node.
    SlowerThan(Option<Duration>),
    /// `slowlog-max-len`, of this node.
    SlowLogEntriesMax(usize),
    /// `latency-monitor-threshold`, of this node.
    LatencyThreshold(Duration),
    /// `busy-reply-threshold`, of this node.
    BusyAfter(Duration),
    /// `request-timeout`, of this node.
    RequestTimeout(Duration),
    /// `pipeline-order`, of this node.
    PipelineOrderStrict(bool),
    /// `protected-mode`, of this node.
    ProtectedMode(bool),
    /// `acllog-max-len`, of this node.
    AclLogLength(usize),
    /// `notify-keyspace-events`, of the cluster.
    Events(EventClasses),
    /// A setting of the cluster that meta keeps under the name that it has in Redis 7: a limit of OBJECT ENCODING, or one of memory.
    Shared {
        /// The name.
        key: &'static str,
        /// As it is kept.
        value: String,
    },
    /// `requirepass`, of the cluster; `None` lets everybody in.
    Password(Option<PasswordDigest>),
}

impl ConfigChange {
    /// What meta is to keep, if this concerns the whole cluster.
    pub fn for_meta(&self) -> Option<Setting> {
        let (key, value) = match self {
            Self::Events(classes) => (setting::NOTIFY_KEYSPACE_EVENTS, Some(classes.to_string())),
            Self::Shared { key, value } => (*key, Some(value.clone())),
            Self::Password(digest) => (setting::REQUIREPASS, digest.map(|digest| digest.to_string())),
            _ => return None,
        };
        Some(Setting { key: key.to_string(), value })
    }

    /// Makes it so, if this concerns one node.
    pub fn apply(&self, config: &mut Config) {
        match *self {
            Self::ClientsMax(count) => config.clients_max = count,
            Self::IdleTimeout(timeout) => config.idle_timeout = timeout,
            Self::SlowerThan(least) => config.slower_than = least,
            Self::SlowLogEntriesMax(count) => config.slow_log_entries_max = count,
            Self::LatencyThreshold(threshold) => config.latency_threshold = threshold,
            Self::OutputLimits(ref limits) => {
                for (class, limit) in limits {
                    let all = &mut config.output_limits;
                    *match class {
                        OutputClass::Normal => &mut all.normal,
                        OutputClass::Replica => &mut all.replica,
                        OutputClass::Pubsub => &mut all.pubsub,
                    } = *limit;
                }
            }
            Self::TrackingKeysMax(count) => config.tracking_keys_max = count,
            Self::BusyAfter(threshold) => config.busy_after = threshold,
            Self::RequestTimeout(timeout) => config.request_timeout = timeout,
            Self::PipelineOrderStrict(strict) => config.pipeline_order_strict = strict,
            Self::ProtectedMode(on) => config.protected_mode = on,
            Self::AclLogLength(count) => config.acl_log_length_max = count,
            Self::Password(_) | Self::Events(_) | Self::Shared { .. } => {}
        }
    }
}

/// Says what a parameter is at the moment.
type Show = fn(&Config, &Meta) -> String;
/// Reads a new value, or says what is wrong with it.
type Read = fn(&str) -> Result<ConfigChange, String>;

/// The most that `acllog-max-len` may be: the entries are in memory.
const ACL_LOG_LENGTH_MAX: u64 = 1 << 20;

struct Parameter {
    name: &'static str,
    value: Show,
    /// Without, the parameter is fixed.
    set: Option<Read>,
}

const fn fixed(name: &'static str, value: Show) -> Parameter {
    Parameter { name, value, set: None }
}

const fn settable(name: &'static str, value: Show, set: Read) -> Parameter {
    Parameter { name, value, set: Some(set) }
}

fn show_busy_after(config: &Config, _: &Meta) -> String {
    config.busy_after.as_millis().to_string()
}

fn read_busy_after(value: &str) -> Result<ConfigChange, String> {
    integer(value, 0, i32::MAX as u64).map(|millis| ConfigChange::BusyAfter(Duration::from_millis(millis)))
}

/// Durations are in milliseconds, sizes in bytes.
const PARAMETERS: [Parameter; 43] = [
    fixed("acl-pubsub-default", |_, _| "resetchannels".to_string()),
    settable(
        "acllog-max-len",
        |config, _| config.acl_log_length_max.to_string(),
        |value| integer(value, 0, ACL_LOG_LENGTH_MAX).map(|count| ConfigChange::AclLogLength(count as usize)),
    ),
    fixed("appendfsync", |_, _| "always".to_string()),
    fixed("appendonly", |_, _| "yes".to_string()),
    settable(
        "client-output-buffer-limit",
        |config, _| output_limits(config),
        |value| parse_output_limits(value).map(ConfigChange::OutputLimits),
    ),
    settable("busy-reply-threshold", show_busy_after, read_busy_after),
    fixed(setting::CLOCK_DRIFT, |_, meta| meta.timing().clock_drift_permille.to_string()),
    fixed("bind", |config, _| split_address(&config.addresses.client).0.to_string()),
    fixed("clock-skew-max", |config, _| config.clock_skew_max.as_millis().to_string()),
    fixed("cluster-enabled", |_, _| "no".to_string()),
    fixed("daemonize", |_, _| "no".to_string()),
    fixed("databases", |_, _| DATABASES.to_string()),
    fixed(setting::ELECTION_TIMEOUT, |_, meta| meta.timing().election_timeout.as_millis().to_string()),
    fixed("heartbeat-interval", |config, _| config.heartbeat_interval.as_millis().to_string()),
    settable(
        "latency-monitor-threshold",
        |config, _| config.latency_threshold.as_millis().to_string(),
        |value| {
            integer(value, 0, i32::MAX as u64)
                .map(|millis| ConfigChange::LatencyThreshold(Duration::from_millis(millis)))
        },
    ),
    fixed("lazyfree-lazy-eviction", |_, _| yes_no(true)),
    fixed("lazyfree-lazy-expire", |_, _| yes_no(true)),
    fixed("lazyfree-lazy-server-del", |_, _| yes_no(true)),
    fixed("lazyfree-lazy-user-del", |_, _| yes_no(true)),
    fixed("lazyfree-lazy-user-flush", |_, _| yes_no(true)),
    fixed(setting::LEASE_READS, |_, meta| yes_no(meta.timing().lease_reads)),
    fixed("log-bytes-max", |config, _| config.log_bytes_max.to_string()),
    fixed("log-segments-max", |config, _| config.log_segments_max.to_string()),
    settable("lua-time-limit", show_busy_after, read_busy_after),
    settable(
        "maxclients",
        |config, _| config.clients_max.to_string(),
        |value| integer(value, 1, u32::MAX.into()).map(|count| ConfigChange::ClientsMax(count as usize)),
    ),
    settable(
        setting::NOTIFY_KEYSPACE_EVENTS,
        |_, meta| meta.events().to_string(),
        |value| {
            let classes =
                EventClasses::parse(value).ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
            Ok(ConfigChange::Events(classes))
        },
    ),
    settable("pipeline-order", pipeline_order, |value| match value.to_ascii_lowercase().as_str() {
        "shard" => Ok(ConfigChange::PipelineOrderStrict(false)),
        "strict" => Ok(ConfigChange::PipelineOrderStrict(true)),
        _ => Err("argument(s) must be one of the following: shard, strict".to_string()),
    }),
    fixed("port", |config, _| split_address(&config.addresses.client).1.to_string()),
    settable(
        "protected-mode",
        |config, _| yes_no(config.protected_mode),
        |value| boolean(value).map(ConfigChange::ProtectedMode),
    ),
    fixed("proto-max-bulk-len", |_, _| BULK_BYTES_MAX.to_string()),
    fixed("replica-ignore-maxmemory", |_, _| yes_no(true)),
    fixed("replicaof", |_, _| String::new()),
    settable(
        "request-timeout",
        |config, _| config.request_timeout.as_millis().to_string(),
        |value| {
            let millis = integer(value, 10, 3_600_000)?;
            Ok(ConfigChange::RequestTimeout(Duration::from_millis(millis)))
        },
    ),
    settable(
        setting::REQUIREPASS,
        |_, meta| digest(meta),
        |value| Ok(ConfigChange::Password(password(value))),
    ),
    fixed("shards", |_, meta| meta.slots().groups().len().to_string()),
    fixed("slave-ignore-maxmemory", |_, _| yes_no(true)),
    fixed("slaveof", |_, _| String::new()),
    settable(
        "slowlog-log-slower-than",
        |config, _| config.slower_than.map_or("-1".to_string(), |least| least.as_micros().to_string()),
        |value| match value.parse::<i64>() {
            Ok(micros) => Ok(ConfigChange::SlowerThan(u64::try_from(micros).ok().map(Duration::from_micros))),
            Err(_) => Err("argument couldn't be parsed into an integer".to_string()),
        },
    ),
    settable(
        "slowlog-max-len",
        |config, _| config.slow_log_entries_max.to_string(),
        |value| integer(value, 0, 1 << 20).map(|count| ConfigChange::SlowLogEntriesMax(count as usize)),
    ),
    fixed("snapshot-chunk-bytes", |config, _| config.snapshot_chunk_bytes.to_string()),
    settable(
        "timeout",
        |config, _| config.idle_timeout.as_secs().to_string(),
        |value| {
            integer(value, 0, i32::MAX as u64)
                .map(|seconds| ConfigChange::IdleTimeout(Duration::from_secs(seconds)))
        },
    ),
    fixed("tls-port", |_, _| "0".to_string()),
    settable(
        "tracking-table-max-keys",
        |config, _| config.tracking_keys_max.to_string(),
        |value| {
            integer(value, 0, u64::MAX)
                .map(|count| ConfigChange::TrackingKeysMax(usize::try_from(count).unwrap_or(usize::MAX)))
        },
    ),
];

/// A class of clients, as `client-output-buffer-limit` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputClass {
    /// Clients that ask.
    Normal,
    /// Copies of Redis's own kind.
    Replica,
    /// Clients that listen.
    Pubsub,
}

/// The limits as CONFIG GET shows them.
fn output_limits(config: &Config) -> String {
    let limits = &config.output_limits;
    let shown = [("normal", limits.normal), ("slave", limits.replica), ("pubsub", limits.pubsub)];
    let shown = shown.map(|(class, limit)| {
        format!("{class} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_time.as_secs())
    });
    shown.join(" ")
}

/// Classes with their limits, four words each.
fn parse_output_limits(value: &str) -> Result<Vec<(OutputClass, OutputLimit)>, String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let (classes, []) = words.as_chunks::<4>() else {
        return Err("Wrong number of arguments in buffer limit configuration.".to_string());
    };
    if classes.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_string());
    }
    let parse = |[class, hard, soft, seconds]: &[&str; 4]| {
        let class = match class.to_ascii_lowercase().as_str() {
            "normal" => OutputClass::Normal,
            "slave" | "replica" => OutputClass::Replica,
            "pubsub" => OutputClass::Pubsub,
            _ => return Err("Invalid client class specified in buffer limit configuration.".to_string()),
        };
        let limit = || {
            let soft_time = Duration::from_secs(seconds.parse::<u32>().ok()?.into());
            Some(OutputLimit { hard_bytes: size(hard)?, soft_bytes: size(soft)?, soft_time })
        };
        let limit = limit();
        limit.map(|limit| (class, limit)).ok_or_else(|| {
            "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_string()
        })
    };
    classes.iter().map(parse).collect()
}

/// A number of bytes, perhaps with a unit.
fn size(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: usize = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_string()
}

/// In order within a shard, or over all.
fn pipeline_order(config: &Config, _: &Meta) -> String {
    if config.pipeline_order_strict { "strict" } else { "shard" }.to_string()
}

/// Only a digest is known, and that is what is shown.
fn digest(meta: &Meta) -> String {
    meta.password().map(|digest| digest.to_string()).unwrap_or_default()
}

/// A password, or its digest as CONFIG GET shows it.
fn password(value: &str) -> Option<PasswordDigest> {
    let given = (!value.is_empty()).then_some(value)?;
    Some(PasswordDigest::parse(given).unwrap_or_else(|| PasswordDigest::of(given.as_bytes())))
}

fn boolean(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_string()),
    }
}

fn integer(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let Ok(number) = value.parse::<i128>() else {
        return Err("argument couldn't be parsed into an integer".to_string());
    };
    let within = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
    within.ok_or_else(|| format!("argument must be between {least} and {most} inclusive"))
}

impl ConfigCommand {
    /// Reads the arguments after CONFIG, or says what is wrong with them as an error reply does.
    pub fn parse<A: AsRef<[u8]>>(arguments: &[A], config: &Config, meta: &Meta) -> Result<Self, String> {
        let Some((name, rest)) = arguments.split_first() else {
            return Err("ERR wrong number of arguments for 'config' command".to_string());
        };
        let name = String::from_utf8_lossy(name.as_ref()).into_owned();
        let rest: Vec<&[u8]> = rest.iter().map(AsRef::as_ref).collect();
        let lower = name.to_ascii_lowercase();
        match (lower.as_str(), rest.as_slice()) {
            ("get", [_, ..]) => Ok(Self::Get(rest.into_iter().map(<[u8]>::to_vec).collect())),
            ("set", [_, _, ..]) => parse_set(&rest, config, meta).map(Self::Set),
            ("resetstat", []) => Ok(Self::ResetStat),
            ("rewrite", []) => Err("ERR The server is running without a config file".to_string()),
            ("help", []) => Ok(Self::Help),
            (known @ ("get" | "set" | "resetstat" | "rewrite" | "help"), _) => {
                Err(format!("ERR wrong number of arguments for 'config|{known}' command"))
            }
            _ => {
                let shown: String = name.chars().take(128).collect();
                Err(format!("ERR unknown subcommand '{shown}'. Try CONFIG HELP."))
            }
        }
    }
}

/// Reads pairs of names and values. Nothing is changed unless all of them can be.
fn parse_set(arguments: &[&[u8]], config: &Config, meta: &Meta) -> Result<Vec<ConfigChange>, String> {
    let (pairs, []) = arguments.as_chunks::<2>() else { return Err("ERR syntax error".to_string()) };
    let mut seen: Vec<&str> = Vec::new();
    let mut changes = Vec::new();
    for [name, value] in pairs {
        let text = std::str::from_utf8(value).map_err(|_| "argument must be a text in UTF-8".to_string());
        if let Some((key, read)) = parse_shared(name, text) {
            match read {
                _ if seen.contains(&key) => return Err(failed(key, "duplicate parameter")),
                Ok(value) => changes.push(ConfigChange::Shared { key, value }),
                Err(why) => return Err(failed(key, &why)),
            }
            seen.push(key);
            continue;
        }
        let known = PARAMETERS.iter().find(|known| name.eq_ignore_ascii_case(known.name.as_bytes()));
        let Some(parameter) = known else {
            let shown: String = String::from_utf8_lossy(name).chars().take(128).collect();
            return Err(format!("ERR Unknown option or number of arguments for CONFIG SET - '{shown}'"));
        };
        let failed = |why: &str| Err(failed(parameter.name, why));
        if seen.contains(&parameter.name) {
            return failed("duplicate parameter");
        }
        seen.push(parameter.name);
        let Ok(value) = std::str::from_utf8(value) else { return failed("argument must be a text in UTF-8") };
        match parameter.set {
            Some(set) => match set(value) {
                Ok(change) => changes.push(change),
                Err(why) => return failed(&why),
            },
            None if (parameter.value)(config, meta).eq_ignore_ascii_case(value) => {}
            None => return failed("can't set immutable config"),
        }
    }
    Ok(changes)
}

/// The name under which meta keeps a setting, and the value as it is kept, or what is wrong with it.
fn parse_shared(name: &[u8], text: Result<&str, String>) -> Option<(&'static str, Result<String, String>)> {
    shared::parse(&encodings::PARAMETERS, name, &text)
        .or_else(|| shared::parse(&memory::PARAMETERS, name, &text))
        .or_else(|| shared::parse(&durability::PARAMETERS, name, &text))
        .or_else(|| shared::parse(&inert::PARAMETERS, name, &text))
}

fn failed(name: &str, why: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

/// The parameters whose names match one of `patterns`, each once, with their values.
pub fn get<A: AsRef<[u8]>>(patterns: &[A], config: &Config, meta: &Meta) -> Vec<(&'static str, String)> {
    let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.as_ref().to_ascii_lowercase()).collect();
    let matches = |pattern: &[u8], name: &str| {
        pattern == name.as_bytes()
            || (!inert::HIDDEN.contains(&name) && command::glob::matches(pattern, name.as_bytes()))
    };
    let wanted = |name: &str| patterns.iter().any(|pattern| matches(pattern, name));
    let found = PARAMETERS.iter().filter(|parameter| wanted(parameter.name));
    let found = found.map(|parameter| (parameter.name, (parameter.value)(config, meta)));
    let encodings = shared::show(&encodings::PARAMETERS, meta);
    let memory = shared::show(&memory::PARAMETERS, meta);
    let durability = shared::show(&durability::PARAMETERS, meta);
    let inert = shared::show(&inert::PARAMETERS, meta);
    let of_cluster = encodings.into_iter().chain(memory).chain(durability).chain(inert);
    let mut found: Vec<_> = found.chain(of_cluster.filter(|(name, _)| wanted(name))).collect();
    found.sort_unstable();
    found
}

/// Writes the answer to CONFIG GET.
pub fn answer_get<A: AsRef<[u8]>>(patterns: &[A], config: &Config, meta: &Meta, reply: &mut Writer<'_>) {
    let found = get(patterns, config, meta);
    reply.map(found.len());
    for (name, value) in found {
        reply.text(name);
        reply.text(&value);
    }
}

/// Writes the answer to CONFIG HELP.
pub fn help(reply: &mut Writer<'_>) {
    const LINES: [&str; 11] = [
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]",
        "    Return parameters matching the glob-like patterns and their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Set the configuration directives; those of data and users on all nodes, others on this one.",
        "RESETSTAT",
        "    Reset the statistics reported by the INFO command.",
        "REWRITE",
        "    Refused: a node's own settings come from its command line and file.",
        "HELP",
        "    Print this help.",
    ];
    reply.array(LINES.len());
    LINES.iter().for_each(|line| reply.simple(line));
}
