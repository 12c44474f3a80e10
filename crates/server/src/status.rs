//! `sihai status`: asks a node, through the clients' port, how the cluster is, and shows it the way a person reads: first
//! whether all is well, then the nodes, the shards and the disks.

use crate::cli::Status;
use crate::connection::Connection;
use crate::shown::bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// How long a node may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks and prints. The error is a sentence.
pub fn run(arguments: &Status) -> Result<(), String> {
    let json = ask(arguments)?;
    if arguments.json {
        println!("{json}");
        return Ok(());
    }
    let report: Report = serde_json::from_str(&json).map_err(|error| {
        format!("{} answers what this release doesn't understand: {error}", arguments.addr)
    })?;
    print!("{}", render(&report));
    Ok(())
}

fn ask(arguments: &Status) -> Result<String, String> {
    let address = &arguments.addr;
    let mut connection = Connection::open(address, TIMEOUT).map_err(|error| {
        format!("no node answers at {address}: {error}. Is it running, and is that its client port?")
    })?;
    let mut call = |words: &[&[u8]]| {
        connection.call(words).map_err(|error| format!("the connection to {address} broke: {error}"))
    };
    if let Some(password) = &arguments.auth
        && let Some(error) = call(&[b"AUTH", password.as_bytes()])?.error()
    {
        return Err(format!("{address} doesn't accept the password: {error}"));
    }
    let reply = call(&[b"SIHAI", b"STATUS"])?;
    if let Some(error) = reply.error() {
        return Err(match error.split_once(' ') {
            Some(("LOADING", why)) => format!("the node at {address} isn't ready to answer: {why}"),
            Some(("NOAUTH", _)) => {
                format!("{address} wants a password: --auth, or SIHAI_AUTH in the environment")
            }
            _ => format!("{address} answers: {error}"),
        });
    }
    let bytes = reply.as_bytes().ok_or_else(|| format!("{address} doesn't seem to be Sihai"))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What is shown of a node's report; it says more.
#[derive(Debug, Deserialize)]
struct Report {
    version: String,
    cluster: String,
    node: u32,
    uptime_ms: u64,
    ready: bool,
    not_ready: Vec<String>,
    loading: bool,
    copies_wanted: u64,
    acknowledged_on_disks: u64,
    nodes: Vec<Node>,
    groups: Vec<Group>,
    disk: Disk,
    machine: Machine,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: u32,
    me: bool,
    client: String,
    linked: bool,
    silent_ms: u64,
    leads: u64,
    copies: u64,
    clock_ahead_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Group {
    group: u32,
    leader: Option<u32>,
    copies: Vec<Copy>,
}

#[derive(Debug, Deserialize)]
struct Copy {
    node: u32,
    voter: bool,
    lag: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Disk {
    log_bytes: u64,
    free_bytes: u64,
    degraded: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Machine {
    memory_bytes: u64,
}

fn render(report: &Report) -> String {
    let mut text = headline(report) + "\n";
    for why in &report.not_ready {
        let _ = writeln!(text, "  - {why}");
    }
    let _ = writeln!(text, "\n{}", nodes(report));
    let _ = writeln!(text, "{}", shards(report));
    let _ = writeln!(
        text,
        "Node {}: log {}, {} free on its disk, {} of memory",
        report.node,
        bytes(report.disk.log_bytes),
        bytes(report.disk.free_bytes),
        bytes(report.machine.memory_bytes)
    );
    for disk in &report.disk.degraded {
        let _ = writeln!(text, "  - {disk} takes no part any more: replace it and start the node again");
    }
    let _ = writeln!(
        text,
        "Cluster {} · sihai {} · seen from node {}, up {}",
        report.cluster,
        report.version,
        report.node,
        duration(report.uptime_ms)
    );
    text
}

/// How it is, in plain words.
fn headline(report: &Report) -> String {
    let shards: Vec<&Group> = report.groups.iter().filter(|group| group.group > 0).collect();
    let lost = shards.iter().filter(|group| group.leader.is_none()).count();
    if report.loading {
        return "The node is starting.".into();
    }
    if lost > 0 {
        let all = shards.len();
        return format!(
            "{lost} of {all} shards have no leader that this node knows of: their keys can't be used here."
        );
    }
    if !report.ready {
        return "Every shard serves, but not all is as it should be:".into();
    }
    let safety = match (report.acknowledged_on_disks, report.nodes.len()) {
        (0 | 1, 1) => "an acknowledged write is on this node's disk only".to_string(),
        (0 | 1, _) => "an acknowledged write is on one node's disk".to_string(),
        (disks, _) => format!("an acknowledged write is on the disks of {disks} nodes"),
    };
    let copies = match report.copies_wanted {
        1 => "one copy".to_string(),
        copies => format!("{copies} copies"),
    };
    format!("All is well: {} shards serve with {copies} each, and {safety}.", shards.len())
}

fn nodes(report: &Report) -> String {
    let mut lags: BTreeMap<u32, u64> = BTreeMap::new();
    for copy in report.groups.iter().flat_map(|group| &group.copies) {
        if let Some(lag) = copy.lag {
            let most = lags.entry(copy.node).or_default();
            *most = lag.max(*most);
        }
    }
    let rows = report.nodes.iter().map(|node| {
        let state = match (node.me, node.linked) {
            (true, _) => "up (asked)".to_string(),
            (false, true) => "up".to_string(),
            (false, false) => format!("not linked for {}", duration(node.silent_ms)),
        };
        let lag = match (node.me, lags.get(&node.id)) {
            (true, _) => "-".to_string(),
            (false, None) => "?".to_string(),
            (false, Some(0)) => "none".to_string(),
            (false, Some(lag)) => format!("{lag} entries"),
        };
        let clock = node.clock_ahead_ms.map_or("-".to_string(), |ahead| format!("{ahead:+} ms"));
        let (leads, copies) = (node.leads.to_string(), node.copies.to_string());
        [node.id.to_string(), state, node.client.clone(), leads, copies, lag, clock]
    });
    table(["NODE", "STATE", "CLIENTS", "LEADS", "COPIES", "LAG", "CLOCK"], rows)
}

/// Shards that are led and kept alike share a line.
fn shards(report: &Report) -> String {
    type Kept = (Option<u32>, Vec<u32>, Vec<u32>);
    let mut alike: BTreeMap<Kept, Vec<u32>> = BTreeMap::new();
    for group in report.groups.iter().filter(|group| group.group > 0) {
        let on =
            |voter| group.copies.iter().filter(|copy| copy.voter == voter).map(|copy| copy.node).collect();
        alike.entry((group.leader, on(true), on(false))).or_default().push(group.group);
    }
    let list = |nodes: &[u32]| match nodes {
        [] => "-".to_string(),
        nodes => nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
    };
    let rows = alike.iter().map(|((leader, voters, learners), shards)| {
        let leader = leader.map_or("nobody".to_string(), |leader| format!("node {leader}"));
        [ranges(shards), leader, list(voters), list(learners)]
    });
    table(["SHARDS", "LED BY", "COPIES ON", "CATCHING UP"], rows)
}

/// `1-3 5 7-8`, of ascending numbers.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![head.map(str::to_string)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn duration(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
