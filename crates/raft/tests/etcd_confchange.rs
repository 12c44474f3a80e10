//! Changes of membership against etcd's tables, every answer exactly, with the progress that a leader would keep.

mod etcd;

use base::log::ConfigStep;
use base::{Index, Membership, Time};
use etcd::Case;
use raft::membership::{self, ConfigError};
use raft::progress::{Window, follow_members};
use std::collections::BTreeMap;

fn steps(case: &Case) -> Vec<ConfigStep> {
    let words = case.input.iter().flat_map(|line| line.split_whitespace());
    words.map(step).collect()
}

fn step(word: &str) -> ConfigStep {
    let id = etcd::id(word[1..].parse().expect("a replica"));
    match &word[..1] {
        "v" => ConfigStep::AddVoter(id),
        "l" => ConfigStep::AddLearner(id),
        "r" => ConfigStep::Remove(id),
        "u" => ConfigStep::Update(id),
        _ => panic!("unknown step {word}"),
    }
}

/// The tables' words for what can't be done.
fn refusal(command: &str, error: ConfigError) -> &'static str {
    match error {
        ConfigError::AlreadyJoint if command == "simple" => {
            "can't apply simple config change in joint config"
        }
        ConfigError::AlreadyJoint => "config is already joint",
        ConfigError::NotJoint => "can't leave a non-joint config",
        ConfigError::NoVoters => "removed all voters",
        ConfigError::NothingToJoin => "can't make a zero-voter config joint",
        ConfigError::TooManyVotersChange => "more than one voter changed without entering joint config",
    }
}

#[test]
fn every_change_of_members_is_answered_as_etcd_answers_it() {
    let Some(tables) = etcd::tables("confchange") else { return };
    assert_eq!(tables.len(), 9);
    for (name, cases) in tables {
        let mut members = Membership::default();
        let mut progress = BTreeMap::new();
        let window = Window { messages_max: 10, bytes_max: 1000 };
        for (last, case) in cases.iter().enumerate() {
            let changed = match case.command.as_str() {
                "simple" => membership::simple(&members, &steps(case)),
                "enter-joint" => membership::enter_joint(&members, &steps(case), case.is_on("autoleave")),
                "leave-joint" => membership::leave_joint(&members),
                other => panic!("unknown command {other}"),
            };
            let answer = match changed {
                Err(error) => vec![refusal(&case.command, error).to_owned()],
                Ok(changed) => {
                    members = changed;
                    follow_members(&mut progress, &members, Index(last as u64), window, Time::ZERO);
                    let lines = progress
                        .iter()
                        .map(|(id, progress)| etcd::describe_progress(*id, progress, &members, true));
                    [etcd::describe_members(&members)].into_iter().chain(lines).collect()
                }
            };
            assert_eq!(answer, case.answer, "{name}.txt line {}", case.line);
        }
    }
}
