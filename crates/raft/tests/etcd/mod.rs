//! Reads the tables of another implementation, etcd's, from the directory that `SIHAI_ETCD_RAFT` names. They are not
//! part of this project; where the variable isn't set, the tests say that they were skipped.
#![allow(dead_code, reason = "every test file uses its own part")]

use base::{Membership, ReplicaId};
use raft::{Progress, ProgressState};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One question of a table and its answer.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub line: usize,
    pub command: String,
    /// Words without `=`.
    pub words: Vec<String>,
    /// `key=value` and `key=(value, …)`.
    pub options: BTreeMap<String, Vec<String>>,
    /// Lines after the command.
    pub input: Vec<String>,
    pub answer: Vec<String>,
}

impl Case {
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).and_then(|values| values.first()).map(String::as_str)
    }

    pub fn is_on(&self, key: &str) -> bool {
        self.option(key) == Some("true")
    }

    pub fn numbers(&self) -> Vec<u32> {
        self.words.iter().map(|word| word.parse().expect("a number")).collect()
    }

    pub fn ids(&self, key: &str) -> Vec<u32> {
        let values = self.options.get(key).into_iter().flatten();
        values.filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number")).collect()
    }
}

/// The tables of one kind by name, or `None` where there are none here.
pub fn tables(kind: &str) -> Option<Vec<(String, Vec<Case>)>> {
    let Some(root) = std::env::var_os("SIHAI_ETCD_RAFT") else {
        eprintln!("skipped: SIHAI_ETCD_RAFT isn't set");
        return None;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(PathBuf::from(root).join(kind))
        .expect("the tables are there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    Some(
        files
            .into_iter()
            .map(|path| {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                (name, parse(&std::fs::read_to_string(path).expect("a text")))
            })
            .collect(),
    )
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut case = Case { line: number + 1, ..command(line) };
        for (_, line) in lines.by_ref() {
            if line == "----" {
                break;
            }
            case.input.push(line.to_owned());
        }
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            case.answer.push(line.to_owned());
        }
        cases.push(case);
    }
    cases
}

fn command(line: &str) -> Case {
    let mut case = Case::default();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(value) = after.strip_prefix('=') {
            let (values, after) = if let Some(list) = value.strip_prefix('(') {
                list.split_once(')').expect("a list ends")
            } else {
                value.split_once(' ').unwrap_or((value, ""))
            };
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            case.options.insert(word.to_owned(), values);
            rest = after.trim_start();
        } else {
            if case.command.is_empty() {
                case.command = word.to_owned();
            } else {
                case.words.push(word.to_owned());
            }
            rest = after.trim_start();
        }
    }
    case
}

pub fn id(number: u32) -> ReplicaId {
    ReplicaId::new(number, 0)
}

/// The members as the tables write them.
pub fn describe_members(members: &Membership) -> String {
    let list = |set: &std::collections::BTreeSet<ReplicaId>| {
        let numbers: Vec<String> = set.iter().map(|id| id.node.0.to_string()).collect();
        format!("({})", numbers.join(" "))
    };
    let mut text = format!("voters={}", list(&members.voters));
    if members.is_joint() {
        text += &format!("&&{}", list(&members.outgoing));
    }
    if !members.learners.is_empty() {
        text += &format!(" learners={}", list(&members.learners));
    }
    if !members.learners_next.is_empty() {
        text += &format!(" learners_next={}", list(&members.learners_next));
    }
    if members.auto_leave {
        text += " autoleave";
    }
    text
}

/// A follower's progress as the tables write it.
pub fn describe_progress(
    id: ReplicaId,
    progress: &Progress,
    members: &Membership,
    is_active: bool,
) -> String {
    let state = match progress.state() {
        ProgressState::Probe => "StateProbe",
        ProgressState::Replicate => "StateReplicate",
        ProgressState::Snapshot => "StateSnapshot",
    };
    let mut text =
        format!("{}: {state} match={} next={}", id.node.0, progress.matched().0, progress.next().0);
    if members.learners.contains(&id) {
        text += " learner";
    }
    if progress.is_paused() {
        text += " paused";
    }
    if progress.pending_snapshot().0 > 0 {
        text += &format!(" pendingSnap={}", progress.pending_snapshot().0);
    }
    if !is_active {
        text += " inactive";
    }
    let inflights = progress.inflights();
    if !inflights.is_empty() {
        let full = if inflights.is_full() { "[full]" } else { "" };
        text += &format!(" inflight={}{full}", inflights.len());
    }
    text
}
