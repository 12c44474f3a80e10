//! Dependencies point one way, and every one has its reason written down.
//!
//! The graph below is the one that ARCHITECTURE.md draws: protocol crates never see each other, `node` translates
//! between them, and what talks to the operating system stays in the drivers. A new crate, or a new edge, is a
//! decision: it is made by a line here that a reviewer sees.

use std::collections::{BTreeMap, BTreeSet};
use tidy::tree;
use toml::{Table, Value};

/// Which crates of the workspace each one may depend on, its tests included.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("resp", &["base"]),
    ("command", &["base", "resp"]),
    ("keyspace", &["base", "command"]),
    ("routing", &["base"]),
    ("raft", &["base"]),
    ("twophase", &["base"]),
    ("storage", &["base"]),
    ("script", &["base", "resp"]),
    ("node", &["base", "resp", "command", "keyspace", "routing", "raft", "twophase", "storage", "script"]),
    ("server", &["base", "node", "storage"]),
    ("simulator", &["base", "node", "storage"]),
    ("tidy", &[]),
];

/// What reaches sockets, files, clocks or the system's randomness, and the only crates that may have it.
const DRIVERS_ONLY: &[(&str, &[&str])] = &[
    ("tokio", &["server"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("mio", &["server"]),
    ("socket2", &["server"]),
    ("rustix", &["server"]),
    ("libc", &["server"]),
    ("nix", &["server"]),
    ("getrandom", &["server"]),
    ("rand", &["server"]),
    ("tracing-subscriber", &["server"]),
    ("clap", &["server", "simulator"]),
];

#[test]
fn crates_depend_only_on_those_before_them() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let members = tree::crates();
    let mut faults = Vec::new();
    for name in &members {
        let Some(may) = allowed.get(name.as_str()) else {
            faults.push(format!("{name} isn't in the graph of this test: add it with what it may depend on"));
            continue;
        };
        // A crate may ask itself, for its tests, for what it has behind a feature.
        let others = dependencies(name).into_keys().filter(|dependency| dependency != name);
        for dependency in others.filter(|dependency| members.contains(dependency)) {
            if !may.contains(&dependency.as_str()) {
                faults.push(format!("{name} may not depend on {dependency}"));
            }
        }
    }
    for (name, _) in ALLOWED.iter().filter(|(name, _)| !members.iter().any(|member| member == name)) {
        faults.push(format!("{name} is in the graph of this test, but not in crates/"));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_map_in_architecture_md_is_this_graph() {
    let page = tree::read("ARCHITECTURE.md");
    let mut drawn: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, cell) in page.lines().filter_map(row_of_map) {
        let may = match cell {
            "-" => BTreeSet::new(),
            "all above" => drawn.keys().copied().collect(),
            _ => cell.split(", ").collect(),
        };
        drawn.insert(name, may);
    }
    let allowed = ALLOWED.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    assert_eq!(drawn, allowed);
}

#[test]
fn only_the_drivers_reach_the_operating_system() {
    let mut faults = Vec::new();
    for name in tree::crates() {
        let found = dependencies(&name);
        for (outside, may) in DRIVERS_ONLY {
            if found.contains_key(*outside) && !may.contains(&name.as_str()) {
                faults
                    .push(format!("{name} may not depend on {outside}: it belongs to {}", may.join(" and ")));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_version_is_chosen_in_one_place() {
    let mut faults = Vec::new();
    for name in tree::crates() {
        for (dependency, value) in dependencies(&name) {
            let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
            if !inherited {
                faults.push(format!(
                    "{name} chooses {dependency} by itself: write `{dependency}.workspace = true`"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_dependency_says_what_for_and_why_this_one() {
    let reasons = tree::read("docs/decisions/dependencies.md");
    let listed: BTreeSet<&str> = reasons.lines().filter_map(crate_of_row).collect();
    let outside: BTreeSet<String> = workspace_dependencies();
    let silent: Vec<_> = outside.iter().filter(|name| !listed.contains(name.as_str())).collect();
    let gone: Vec<_> = listed.iter().filter(|name| !outside.contains(**name)).collect();
    assert!(
        silent.is_empty() && gone.is_empty(),
        "docs/decisions/dependencies.md has no row for {silent:?}, and one too many for {gone:?}"
    );
}

/// The first cell of a row `| crate | what for | why this one |` whose three cells all say something.
fn crate_of_row(line: &str) -> Option<&str> {
    let cells: Vec<&str> =
        line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [name, what_for, why] = cells[..] else { return None };
    let heading = name == "crate" || name.starts_with('-');
    (!heading && !what_for.is_empty() && !why.is_empty()).then_some(name.trim_matches('`'))
}

/// Name and dependencies in a row `` | `crate` | on the journey | may depend on | ``.
fn row_of_map(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> =
        line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [name, _, may] = cells[..] else { return None };
    Some((name.strip_prefix('`')?.strip_suffix('`')?, may))
}

/// The names in `[workspace.dependencies]`, and in those of `fuzz/`, that aren't crates of this workspace.
fn workspace_dependencies() -> BTreeSet<String> {
    let read = |path: &str| -> Table { tree::read(path).parse().expect("a manifest is TOML") };
    let (workspace, fuzz) = (read("Cargo.toml"), read("fuzz/Cargo.toml"));
    let tables = [&workspace["workspace"]["dependencies"], &fuzz["dependencies"]];
    let all = tables.iter().flat_map(|table| table.as_table().expect("dependencies are a table"));
    all.filter(|(_, value)| value.get("path").is_none()).map(|(name, _)| name.clone()).collect()
}

/// Everything a crate depends on, for whatever purpose and target, by the name of the package.
fn dependencies(name: &str) -> BTreeMap<String, Value> {
    let path = format!("crates/{name}/Cargo.toml");
    let manifest: Table = tree::read(&path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut found = BTreeMap::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    for table in per_target.chain([&manifest]) {
        for purpose in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table.get(purpose).and_then(Value::as_table).into_iter().flatten() {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.insert(package.to_string(), value.clone());
            }
        }
    }
    found
}
