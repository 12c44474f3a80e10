//! The quorum maths against etcd's tables, every answer exactly. What the tables draw above an answer is a picture of the
//! question and is not compared.

mod etcd;

use base::{Index, Membership, ReplicaId};
use etcd::Case;
use raft::quorum::{VoteResult, joint, majority};
use std::collections::BTreeMap;

fn members(case: &Case) -> Membership {
    let set = |key: &str| {
        let values = case.options.get(key).into_iter().flatten();
        values.filter(|text| *text != "zero").map(|text| etcd::id(text.parse().expect("a voter"))).collect()
    };
    Membership { voters: set("cfg"), outgoing: set("cfgj"), ..Membership::default() }
}

/// Each voter's word: they are listed in the order of the voters, those of the first half first, nobody twice.
fn words(case: &Case, key: &str) -> BTreeMap<ReplicaId, String> {
    let mut order: Vec<u32> = Vec::new();
    for voters in ["cfg", "cfgj"].iter().filter(|key| case.option(key) != Some("zero")) {
        for voter in case.ids(voters) {
            if !order.contains(&voter) {
                order.push(voter);
            }
        }
    }
    let values = case.options.get(key).cloned().unwrap_or_default();
    order.into_iter().map(etcd::id).zip(values).filter(|(_, value)| value != "_").collect()
}

fn committed(case: &Case) -> String {
    let members = members(case);
    let reached: BTreeMap<ReplicaId, Index> = words(case, "idx")
        .into_iter()
        .map(|(id, text)| (id, Index(text.parse().expect("an index"))))
        .collect();
    let index = joint::reached(&members, |id| reached.get(&id).copied());
    if members.outgoing.is_empty() {
        assert_eq!(index, majority::reached(&members.voters, |id| reached.get(&id).copied()));
    }
    index.map_or_else(|| "∞".to_owned(), |index| index.0.to_string())
}

fn vote(case: &Case) -> String {
    let members = members(case);
    let votes = words(case, "votes");
    let said = |id: ReplicaId| votes.get(&id).map(|text| text == "y");
    let result = joint::vote_result(&members, said);
    if members.outgoing.is_empty() {
        assert_eq!(result, majority::vote_result(&members.voters, said));
    }
    match result {
        VoteResult::Pending => "VotePending",
        VoteResult::Lost => "VoteLost",
        VoteResult::Won => "VoteWon",
    }
    .to_owned()
}

#[test]
fn every_quorum_is_answered_as_etcd_answers_it() {
    let Some(tables) = etcd::tables("quorum") else { return };
    assert_eq!(tables.len(), 4);
    let mut count = 0;
    for (name, cases) in tables {
        for case in cases {
            let answer = match case.command.as_str() {
                "committed" => committed(&case),
                "vote" => vote(&case),
                other => panic!("unknown question {other}"),
            };
            let expected = case.answer.last().map(|line| line.trim_start_matches("<empty majority quorum>"));
            assert_eq!(Some(answer.as_str()), expected, "{name}.txt line {}", case.line);
            count += 1;
        }
    }
    assert!(count > 100, "only {count} questions were found");
}
