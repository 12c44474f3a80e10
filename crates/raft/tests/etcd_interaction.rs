//! etcd's interaction scripts, replayed. After each step term, vote, commit index, log, members, role, leader and
//! progress are compared with what the script says; its log text, and how many messages carry what, are not.
//!
//! What can't apply, and why:
//! - `confchange_disable_validation`: lets a leader propose a change of members that can't be made. Sihai refuses it
//!   always, and has no switch for that; the script is replayed up to there.
//! - A refused change of members is refused; etcd puts an empty entry in its place, which is proposed here by hand.
//! - A follower refuses a proposal and names the leader; that a node forwards it is not Raft's business. It is taken to
//!   the leader by hand.
//! - Timeouts are drawn from another source of random numbers; only those that a script sets run out by themselves.
//! - Whether a follower counts as active is a matter of time here, and not compared.
//! - Requests for votes leave here only when the candidate's term is durable (`election.rs` says why); etcd sends them
//!   before. Where a script runs a candidate's disk by hand, the disk is done at once.

mod etcd;

use base::log::{ConfigStep, Transition};
use base::{ConfigChange, Core, Duration, Entry, HardState, Index, Membership, Outbox, Payload, Term, Time};
use bytes::Bytes;
use etcd::{Case, id};
use raft::{Body, Config, Effect, Input, Message, ProposeError, Raft, Recovered, Role};
use std::collections::{BTreeMap, VecDeque};

const TICK: Duration = Duration::from_millis(100);
const ELECTION_TICKS: u32 = 3;

/// What a replica showed when it was last asked for what is to be done.
#[derive(Clone, Debug, Default)]
struct Shown {
    hard_state: HardState,
    role: Role,
    leader: u32,
    log: Vec<Entry>,
}

struct Node {
    raft: Raft,
    now: Time,
    is_async: bool,
    is_conf_unchecked: bool,
    is_timeout_set: bool,
    ready: Vec<Effect>,
    writes: VecDeque<Vec<Effect>>,
    applies: VecDeque<Index>,
    stable: Vec<Entry>,
    shown: Shown,
}

#[derive(Default)]
struct Env {
    nodes: Vec<Node>,
    network: Vec<Message>,
    is_quiet: bool,
}

impl Node {
    fn step(&mut self, input: Option<Input>) -> Vec<Effect> {
        let mut out = Outbox::new();
        if let Some(input) = input {
            self.raft.step(self.now, input, &mut out);
            self.raft.check();
        }
        let at_once = out.drain().collect();
        self.raft.flush(self.now, &mut out);
        self.raft.check();
        if !self.is_timeout_set {
            self.raft.set_patience(TICK * 1000);
        }
        self.ready.extend(out.drain());
        at_once
    }

    fn hard_state(&self) -> HardState {
        HardState { term: self.raft.term(), vote: self.raft.vote(), commit: self.raft.commit_index() }
    }

    fn show(&mut self) {
        let log = self.raft.log();
        self.shown = Shown {
            hard_state: self.hard_state(),
            role: self.raft.role(),
            leader: self.raft.leader().map_or(0, |leader| leader.node.0),
            log: log.slice(log.first_index(), log.last_index(), usize::MAX),
        };
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.shown.hard_state != self.hard_state()
    }

    fn write(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let mut last = 0;
        for effect in effects {
            if let Effect::Persist { token, entries, .. } = effect {
                if let Some(first) = entries.first() {
                    self.stable.retain(|entry| entry.index < first.index);
                }
                self.stable.extend(entries);
                last = token;
            }
        }
        self.step(Some(Input::Persisted { token: last }))
    }

    fn applied(&mut self, index: Index) -> Vec<Effect> {
        let sent = self.step(Some(Input::Applied { index }));
        let keep_from = self.raft.first_index();
        self.raft.snapshot_taken(index, Bytes::new(), keep_from);
        sent
    }
}

impl Env {
    fn node(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize - 1]
    }

    fn post(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Send(message) = effect {
                self.network.push(message);
            }
        }
    }

    fn add_nodes(&mut self, case: &Case) {
        let index = case.option("index").map_or(0, |text| text.parse().expect("an index"));
        for _ in 0..case.numbers()[0] {
            let number = self.nodes.len() as u32 + 1;
            let mut config = Config::new(id(number), 1);
            config.election_timeout = TICK * ELECTION_TICKS;
            config.heartbeat_interval = TICK;
            config.election_jitter = false;
            config.start_quietly = false;
            config.elects_itself = false;
            config.commit_notices = true;
            config.disk_patience = TICK * 1000;
            config.pre_vote = case.is_on("prevote");
            config.check_quorum = case.is_on("checkquorum");
            config.lease_reads = case.option("read-only") == Some("lease-based");
            config.step_down_on_removal = case.is_on("step-down-on-removal");
            if let Some(inflight) = case.option("inflight") {
                config.inflight_messages_max = inflight.parse().expect("a number");
            }
            let set = |key| case.ids(key).into_iter().map(id).collect();
            let membership =
                Membership { voters: set("voters"), learners: set("learners"), ..Membership::default() };
            let recovered = Recovered {
                hard_state: HardState { commit: Index(index), ..HardState::default() },
                membership,
                snapshot_index: Index(index),
                snapshot_term: Term(u64::from(index > 0)),
                ..Recovered::default()
            };
            let now = Time::from_millis(1000);
            let mut node = Node {
                raft: Raft::new(config, recovered, now),
                now,
                is_async: case.is_on("async-storage-writes"),
                is_conf_unchecked: case.is_on("disable-conf-change-validation"),
                is_timeout_set: false,
                ready: Vec::new(),
                writes: VecDeque::new(),
                applies: VecDeque::new(),
                stable: Vec::new(),
                shown: Shown::default(),
            };
            node.show();
            self.nodes.push(node);
        }
    }

    fn process_ready(&mut self, number: u32) {
        let node = self.node(number);
        node.show();
        let (mut writes, mut applied, mut posts) = (Vec::new(), None, Vec::new());
        for effect in std::mem::take(&mut node.ready) {
            match effect {
                Effect::Send(_) => posts.push(effect),
                Effect::Persist { .. } => writes.push(effect),
                Effect::Apply { entries } => applied = entries.last().map(|entry| entry.index),
                Effect::Restore { index, .. } => {
                    posts.extend(node.step(Some(Input::SnapshotInstalled { index })));
                    node.stable.clear();
                }
                _ => {}
            }
        }
        let waits = node.is_async && node.raft.role() != Role::Candidate;
        if waits && !writes.is_empty() {
            node.writes.push_back(writes);
        } else if !writes.is_empty() {
            posts.extend(node.write(writes));
        }
        if let Some(index) = applied {
            if node.is_async {
                node.applies.push_back(index);
            } else {
                posts.extend(node.applied(index));
            }
        }
        self.post(posts);
    }

    fn process_append(&mut self, number: u32) {
        let node = self.node(number);
        if let Some(writes) = node.writes.pop_front() {
            let posts = node.write(writes);
            self.post(posts);
        }
    }

    fn process_apply(&mut self, number: u32) {
        let node = self.node(number);
        if let Some(index) = node.applies.pop_front() {
            let posts = node.applied(index);
            self.post(posts);
        }
    }

    fn deliver(&mut self, number: u32, kind: Option<&str>, is_dropped: bool) -> bool {
        let takes = |message: &Message| {
            message.to == id(number)
                && (kind != Some("MsgApp") || matches!(message.body, Body::Append { .. }))
        };
        let (messages, rest) = std::mem::take(&mut self.network).into_iter().partition(takes);
        self.network = rest;
        let messages: Vec<Message> = messages;
        let is_any = !messages.is_empty();
        if !is_dropped {
            for message in messages {
                let node = self.node(number);
                let posts = node.step(Some(Input::Message(message)));
                node.ready.extend(posts);
            }
        }
        is_any
    }

    fn stabilize(&mut self, numbers: &[u32]) {
        let all: Vec<u32> = (1..=self.nodes.len() as u32).collect();
        let numbers = if numbers.is_empty() { &all } else { numbers };
        for round in 0.. {
            assert!(round < 1000, "the replicas don't come to rest");
            let mut is_done = true;
            for number in numbers {
                if self.node(*number).has_ready() {
                    is_done = false;
                    self.process_ready(*number);
                }
            }
            for number in numbers {
                is_done &= !self.deliver(*number, None, false);
            }
            for number in numbers {
                while !self.node(*number).writes.is_empty() {
                    is_done = false;
                    self.process_append(*number);
                }
            }
            for number in numbers {
                while !self.node(*number).applies.is_empty() {
                    is_done = false;
                    self.process_apply(*number);
                }
            }
            if is_done {
                break;
            }
        }
    }

    fn tick(&mut self, number: u32, ticks: u32) {
        let node = self.node(number);
        for _ in 0..ticks {
            node.now = node.now + TICK;
            node.step(None);
        }
    }

    fn send_snapshot(&mut self, from: u32, to: u32) {
        let raft = &self.node(from).raft;
        let index = raft.applied_index();
        let body = Body::Snapshot {
            index,
            term: raft.log().term(index).expect("it is known"),
            membership: raft.membership().clone(),
            manifest: Bytes::new(),
            sent: Time::ZERO,
        };
        let message = Message { from: id(from), to: id(to), term: raft.term(), body };
        self.network.push(message);
    }

    /// What the command answers, where the answer is compared as a whole.
    fn run(&mut self, case: &Case) -> Option<Vec<String>> {
        let number = || case.numbers()[0];
        match case.command.as_str() {
            "log-level" => self.is_quiet = case.words[0] == "none",
            "add-nodes" => self.add_nodes(case),
            "stabilize" => self.stabilize(&case.numbers()),
            "process-ready" => case.numbers().into_iter().for_each(|number| self.process_ready(number)),
            "process-append-thread" => {
                case.numbers().into_iter().for_each(|number| self.process_append(number));
            }
            "process-apply-thread" => {
                case.numbers().into_iter().for_each(|number| self.process_apply(number));
            }
            "deliver-msgs" => {
                for number in case.numbers() {
                    self.deliver(number, case.option("type"), false);
                }
                for number in case.ids("drop") {
                    self.deliver(number, case.option("type"), true);
                }
            }
            "raft-state" => return Some(self.raft_state()),
            "raft-log" => return Some(self.raft_log(number())),
            "status" => return Some(self.status(number())),
            "compact" => return Some(self.compact(case)),
            "send-snapshot" => self.send_snapshot(case.numbers()[0], case.numbers()[1]),
            _ => return self.run_on_node(case),
        }
        None
    }

    fn run_on_node(&mut self, case: &Case) -> Option<Vec<String>> {
        let number = case.words.first().map_or(0, |word| word.parse().expect("a replica"));
        if case.command == "transfer-leadership" {
            let (from, to) = (case.ids("from")[0], case.ids("to")[0]);
            let node = self.node(from);
            node.raft.transfer(node.now, id(to));
            node.step(None);
            return None;
        }
        let node = self.node(number);
        let mut refused = None;
        match case.command.as_str() {
            "campaign" => node.raft.campaign(node.now),
            "forget-leader" => node.raft.forget_leader(),
            "propose" => {
                let data = Bytes::from(case.words[1].clone());
                refused = node.raft.propose(data).err();
            }
            "propose-conf-change" => {
                refused = self.propose_config(number, case);
            }
            "report-unreachable" => {
                node.step(Some(Input::Unreachable { peer: id(case.numbers()[1]) }));
            }
            "set-randomized-election-timeout" => {
                node.is_timeout_set = true;
                node.raft
                    .set_patience(TICK * case.option("timeout").expect("a timeout").parse().expect("ticks"));
            }
            "tick-heartbeat" => self.tick(number, 1),
            "tick-election" => self.tick(number, ELECTION_TICKS),
            other => panic!("unknown command {other}"),
        }
        self.node(number).step(None);
        let is_refused = case.answer.iter().any(|line| line.contains("dropped"));
        assert_eq!(refused.is_some(), is_refused, "line {}: {refused:?}", case.line);
        None
    }

    fn propose_config(&mut self, number: u32, case: &Case) -> Option<ProposeError> {
        let raft = &mut self.node(number).raft;
        match raft.propose_config(change(case)) {
            Ok(_) => None,
            Err(ProposeError::NotLeader { leader: Some(leader) }) => {
                let refused = self.propose_config(leader.node.0, case);
                self.node(leader.node.0).step(None);
                refused
            }
            Err(_) if case.answer.iter().any(|line| line.contains("ignoring conf change")) => {
                raft.propose(Bytes::new()).err()
            }
            Err(refused) => Some(refused),
        }
    }

    fn raft_state(&self) -> Vec<String> {
        let line = |(place, node): (usize, &Node)| {
            let raft = &node.raft;
            let role = match raft.role() {
                Role::Follower => "StateFollower",
                Role::PreCandidate => "StatePreCandidate",
                Role::Candidate => "StateCandidate",
                Role::Leader => "StateLeader",
            };
            let voter = if raft.membership().is_voter(raft.id()) { "Voter" } else { "Non-Voter" };
            let leader = raft.leader().map_or(0, |leader| leader.node.0);
            format!("{}: {role} ({voter}) Term:{} Lead:{leader}", place + 1, raft.term().0)
        };
        self.nodes.iter().enumerate().map(line).collect()
    }

    fn raft_log(&mut self, number: u32) -> Vec<String> {
        let node = self.node(number);
        let (first, last) = (node.raft.first_index(), node.raft.last_index());
        if node.stable.is_empty() {
            return vec![format!("log is empty: first index={}, last index={}", first.0, last.0)];
        }
        node.stable.iter().filter(|entry| entry.index >= first).map(describe_entry).collect()
    }

    fn status(&mut self, number: u32) -> Vec<String> {
        let raft = &self.node(number).raft;
        let line = |(id, progress)| {
            // Whether a follower was heard is a matter of time here; the scripts' clocks stand still.
            etcd::describe_progress(id, progress, raft.membership(), true)
        };
        raft.progress().map(line).collect()
    }

    fn compact(&mut self, case: &Case) -> Vec<String> {
        let through = Index(u64::from(case.numbers()[1]));
        let node = self.node(case.numbers()[0]);
        let applied = node.raft.applied_index();
        node.raft.snapshot_taken(applied, Bytes::new(), through.next());
        node.stable.retain(|entry| entry.index > through);
        self.raft_log(case.numbers()[0])
    }
}

fn change(case: &Case) -> ConfigChange {
    let transition = match case.option("transition") {
        Some("implicit") => Transition::JointImplicit,
        Some("explicit") => Transition::JointExplicit,
        _ => Transition::Auto,
    };
    let step = |word: &str| {
        let id = id(word[1..].parse().expect("a replica"));
        match &word[..1] {
            "v" => ConfigStep::AddVoter(id),
            "l" => ConfigStep::AddLearner(id),
            "r" => ConfigStep::Remove(id),
            _ => ConfigStep::Update(id),
        }
    };
    let steps = case.input.iter().flat_map(|line| line.split_whitespace()).map(step).collect();
    ConfigChange { transition, steps, context: Bytes::new() }
}

/// An entry as the scripts write it, without what kind of change of members it was called.
fn describe_entry(entry: &Entry) -> String {
    let what = match &entry.payload {
        Payload::Empty => "EntryNormal \"\"".to_owned(),
        Payload::Command(bytes) => format!("EntryNormal {:?}", String::from_utf8_lossy(bytes)),
        Payload::Config(change) => {
            let steps: Vec<String> = change
                .steps
                .iter()
                .map(|step| match step {
                    ConfigStep::AddVoter(id) => format!("v{}", id.node.0),
                    ConfigStep::AddLearner(id) => format!("l{}", id.node.0),
                    ConfigStep::Remove(id) => format!("r{}", id.node.0),
                    ConfigStep::Update(id) => format!("u{}", id.node.0),
                })
                .collect();
            format!("Config {}", steps.join(" ")).trim_end().to_owned()
        }
    };
    format!("{}/{} {what}", entry.term.0, entry.index.0)
}

/// What an answer says that each replica must have shown when it was done.
#[derive(Debug, Default)]
struct Expected {
    hard_state: Option<String>,
    role: Option<(u32, String)>,
    entries: BTreeMap<u64, String>,
    members: Option<String>,
}

fn expected(case: &Case) -> BTreeMap<u32, Expected> {
    let mut all: BTreeMap<u32, Expected> = BTreeMap::new();
    // A command about one replica doesn't name it again.
    let mut current = case.words.first().and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut in_entries = false;
    for line in case.answer.iter().map(|line| line.trim()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&">") {
            current = words[1].parse().expect("a replica");
        }
        let of = all.entry(current).or_default();
        let was_in_entries = in_entries;
        in_entries = false;
        if let Some(state) = line.strip_prefix("HardState ") {
            of.hard_state = Some(state.to_owned());
        } else if let Some(state) = line.strip_prefix("Lead:") {
            let (leader, role) = state.split_once(" State:").expect("a role");
            of.role = Some((leader.parse().expect("a leader"), role.to_owned()));
        } else if line == "Entries:" {
            in_entries = true;
        } else if was_in_entries && words.get(1).is_some_and(|word| word.starts_with("Entry")) {
            in_entries = true;
            let index = line.split(['/', ' ']).nth(1).and_then(|text| text.parse().ok()).expect("an index");
            of.entries.split_off(&index);
            of.entries.insert(index, line.to_owned());
        } else if line.contains("switched to configuration") {
            let number = words[1].parse().expect("a replica");
            let members = line.split_once("configuration ").expect("members").1.to_owned();
            all.entry(number).or_default().members = Some(members);
        }
    }
    all
}

fn describe_hard_state(state: &HardState) -> String {
    let vote = state.vote.map_or_else(String::new, |vote| format!(" Vote:{}", vote.node.0));
    format!("Term:{}{vote} Commit:{}", state.term.0, state.commit.0)
}

fn without_kind(line: &str) -> String {
    line.replace("EntryConfChangeV2", "Config").replace("EntryConfChange", "Config")
}

fn compare(env: &Env, case: &Case, place: &str) -> usize {
    let mut compared = 0;
    for (number, expected) in expected(case) {
        let Some(node) = env.nodes.get((number as usize).wrapping_sub(1)) else { continue };
        if let Some(state) = expected.hard_state {
            assert_eq!(describe_hard_state(&node.shown.hard_state), state, "{place}: hard state of {number}");
            compared += 1;
        }
        if let Some((leader, role)) = expected.role {
            assert_eq!(node.shown.leader, leader, "{place}: leader of {number}");
            assert_eq!(format!("State{:?}", node.shown.role), role, "{place}: role of {number}");
            compared += 1;
        }
        if let Some(first) = expected.entries.keys().next().copied() {
            let log: Vec<String> =
                node.shown.log.iter().filter(|entry| entry.index.0 >= first).map(describe_entry).collect();
            let lines: Vec<String> = expected.entries.values().map(|line| without_kind(line)).collect();
            assert_eq!(log, lines, "{place}: log of {number}");
            compared += 1;
        }
        if let Some(members) = expected.members {
            let own = etcd::describe_members(node.raft.membership());
            assert_eq!(own, members, "{place}: members of {number}");
            compared += 1;
        }
    }
    compared
}

fn replay(name: &str, cases: &[Case]) -> usize {
    let mut env = Env::default();
    let mut compared = 0;
    for case in cases {
        let place = format!("{name}.txt line {} ({} {})", case.line, case.command, case.words.join(" "));
        if env.nodes.iter().any(|node| node.is_conf_unchecked)
            && case.command == "propose-conf-change"
            && case.input.is_empty()
        {
            break;
        }
        let answer = env.run(case);
        if case.answer.first().is_some_and(|line| line == "ok") {
            continue;
        }
        if let Some(answer) = answer {
            let wanted: Vec<String> =
                case.answer.iter().map(|line| without_kind(&line.replace(" inactive", ""))).collect();
            assert_eq!(answer, wanted, "{place}");
            compared += 1;
        }
        compared += compare(&env, case, &place);
    }
    compared
}

#[test]
fn every_script_goes_as_it_goes_in_etcd() {
    let Some(tables) = etcd::tables("interaction") else { return };
    assert_eq!(tables.len(), 28);
    let mut failed = Vec::new();
    for (name, cases) in &tables {
        match std::panic::catch_unwind(|| replay(name, cases)) {
            Ok(compared) => assert!(compared > 0, "{name}: nothing was compared"),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{} of {} scripts differ: {failed:?}", failed.len(), tables.len());
}
