//! What the meta group promises, command by command.

use super::programs::{self, LibraryRecord, Manner, Programs};
use super::{
    DATABASES, MemberState, Meta, MetaCommand, MetaOutcome, Mode, Setting, placement::VOTERS, setting,
};
use crate::api::{Addresses, Config, JoinRequest};
use crate::users::{self, PasswordDigest, User, rules};
use base::codec::{Decode, DecodeError, Encode};
use base::{DatabaseId, DatabaseIndex, Duration, GroupId, NodeId, ReplicaId, Rng};
use bytes::Bytes;
use script::{Flags, Function, Sha};

fn addresses(host: u32) -> Addresses {
    Addresses {
        client: format!("10.0.0.{host}:6379"),
        peer: format!("10.0.0.{host}:16379"),
        http: format!("10.0.0.{host}:8379"),
    }
}

fn founded(shards: u32) -> Meta {
    let config = Config { addresses: addresses(1), shards, ..Config::default() };
    let meta = Meta::founding(&config, 77, [3, 4]);
    meta.check();
    meta
}

fn apply(meta: &mut Meta, command: MetaCommand) -> MetaOutcome {
    let command = MetaCommand::from_bytes(command.to_bytes()).expect("what was written is read");
    let outcome = meta.apply(command);
    meta.check();
    assert_eq!(MetaOutcome::from_bytes(outcome.to_bytes()).as_ref(), Ok(&outcome));
    outcome
}

fn join(meta: &mut Meta, host: u32, nonce: u128) -> MetaOutcome {
    apply(meta, MetaCommand::AddNode { request: JoinRequest { nonce, addresses: addresses(host) } })
}

fn of(nodes: u32) -> Meta {
    let mut meta = founded(16);
    for host in 2..=nodes {
        assert_eq!(join(&mut meta, host, u128::from(host)), MetaOutcome::Joined { node: NodeId(host) });
    }
    meta
}

fn remove(meta: &mut Meta, node: u32, force: bool) -> MetaOutcome {
    apply(meta, MetaCommand::RemoveNode { node: NodeId(node), force })
}

/// Applies what must be refused, and checks that it leaves no trace.
fn refused(meta: &mut Meta, command: MetaCommand) -> String {
    let before = meta.clone();
    let MetaOutcome::Refused(why) = apply(meta, command.clone()) else { panic!("{command:?} was done") };
    assert_eq!(*meta, before, "what is refused leaves no trace");
    assert_eq!(meta.digest(), before.digest());
    why
}

#[test]
fn a_cluster_begins_with_one_node_and_one_copy_of_everything() {
    let meta = founded(16);
    assert_eq!(meta.active().map(|(id, _)| id).collect::<Vec<_>>(), [NodeId(1)]);
    assert_eq!(meta.placement().len(), 17);
    assert!(meta.placement().values().all(|placement| placement.replicas.len() == 1));
    assert_eq!((meta.cluster(), meta.hash_key(), meta.epoch(), meta.copies_wanted()), (77, [3, 4], 1, 1));
    assert_eq!(meta.copies_on(NodeId(1)).count(), 17);
    for index in 0..DATABASES {
        let expected = Some((DatabaseId(u64::from(index) + 1), Mode::Consistent));
        assert_eq!(meta.database(DatabaseIndex(index)), expected);
    }
    assert_eq!(meta.database(DatabaseIndex(DATABASES)), None);
}

#[test]
fn asking_twice_joins_once() {
    let mut meta = founded(16);
    assert_eq!(join(&mut meta, 2, 20), MetaOutcome::Joined { node: NodeId(2) });
    let epoch = meta.epoch();
    assert_eq!(join(&mut meta, 2, 20), MetaOutcome::Joined { node: NodeId(2) });
    assert_eq!((meta.active().count(), meta.epoch()), (2, epoch));
    // It asks again after it has moved.
    assert_eq!(join(&mut meta, 9, 20), MetaOutcome::Joined { node: NodeId(2) });
    assert_eq!(meta.active_member(NodeId(2)).map(|member| &member.addresses), Some(&addresses(9)));
    assert_eq!(meta.epoch(), epoch + 1);
}

#[test]
fn a_node_that_lost_its_disk_comes_back_as_another_in_its_place() {
    let mut meta = of(3);
    assert_eq!(join(&mut meta, 2, 99), MetaOutcome::Joined { node: NodeId(4) });
    assert_eq!(meta.nodes()[&NodeId(2)].state, MemberState::Removed);
    assert!(meta.is_removed(NodeId(2)) && meta.active_member(NodeId(2)).is_none());
    assert_eq!(meta.copies_on(NodeId(4)).count(), 17);
    assert_eq!(meta.copies_on(NodeId(2)).count(), 0);
    // What it asked under its old name arrives late, or it comes back from a copy of its old disk.
    let request = JoinRequest { nonce: 2, addresses: addresses(2) };
    let why = refused(&mut meta, MetaCommand::AddNode { request });
    assert!(why.contains("has been removed"), "{why}");
}

#[test]
fn the_only_full_copy_is_never_given_up_for_a_newcomer_at_its_address() {
    for nodes in 1..=2 {
        let mut meta = of(nodes);
        let request = JoinRequest { nonce: 99, addresses: addresses(1) };
        let why = refused(&mut meta, MetaCommand::AddNode { request });
        assert!(why.contains("the only full copy"), "{why}");
    }
    // The learner of two may be replaced.
    assert_eq!(join(&mut of(2), 2, 99), MetaOutcome::Joined { node: NodeId(3) });
}

#[test]
fn a_cluster_shrinks_below_three_only_by_force() {
    let mut meta = of(4);
    assert_eq!(remove(&mut meta, 2, false), MetaOutcome::Done);
    assert_eq!(remove(&mut meta, 2, false), MetaOutcome::Done, "removing twice removes once");
    for (node, copies) in [(3, 2), (4, 1)] {
        let why = refused(&mut meta, MetaCommand::RemoveNode { node: NodeId(node), force: false });
        assert!(why.contains("on one disk only"), "{why}");
        assert_eq!(remove(&mut meta, node, true), MetaOutcome::Done);
        assert_eq!(meta.copies_wanted(), copies);
    }
    let why = refused(&mut meta, MetaCommand::RemoveNode { node: NodeId(1), force: true });
    assert!(why.contains("the last one"), "{why}");
    refused(&mut meta, MetaCommand::RemoveNode { node: NodeId(7), force: true });
}

#[test]
fn a_copy_that_is_lost_comes_back_under_a_name_that_never_was() {
    let mut meta = of(3);
    let group = GroupId(5);
    let lost = meta.placement_of(group).and_then(|placement| placement.on_node(NodeId(2))).expect("a copy");
    let order: Vec<_> = meta.placement()[&group].replicas.iter().map(|replica| replica.node).collect();
    let MetaOutcome::Replaced { replica } =
        apply(&mut meta, MetaCommand::ReplaceReplica { group, replica: lost })
    else {
        panic!("one of three can be replaced")
    };
    assert_eq!(replica.node, lost.node);
    assert!(replica.generation > lost.generation);
    let now: Vec<_> = meta.placement()[&group].replicas.iter().map(|replica| replica.node).collect();
    assert_eq!(now, order);
    // Asked again, it is the same.
    let again = apply(&mut meta, MetaCommand::ReplaceReplica { group, replica: lost });
    assert_eq!(again, MetaOutcome::Replaced { replica });
    // The others' placement hasn't been touched, and stays so when somebody joins.
    assert_eq!(meta.placement()[&GroupId(6)], of(3).placement()[&GroupId(6)]);
    refused(&mut meta, MetaCommand::ReplaceReplica { group: GroupId(17), replica: lost });
    refused(&mut meta, MetaCommand::ReplaceReplica { group, replica: ReplicaId::new(9, 1) });
}

#[test]
fn the_only_full_copy_of_a_group_is_never_replaced() {
    let mut meta = of(2);
    let placement = meta.placement()[&GroupId(1)].clone();
    refused(&mut meta, MetaCommand::ReplaceReplica { group: GroupId(1), replica: placement.replicas[0] });
    let learner = MetaCommand::ReplaceReplica { group: GroupId(1), replica: placement.learners[0] };
    assert!(matches!(apply(&mut meta, learner), MetaOutcome::Replaced { .. }));
}

#[test]
fn a_member_can_move_and_nobody_else() {
    let mut meta = of(2);
    let (placement, epoch) = (meta.placement().clone(), meta.epoch());
    let moved = MetaCommand::SetAddresses { node: NodeId(2), addresses: addresses(8) };
    assert_eq!(apply(&mut meta, moved.clone()), MetaOutcome::Done);
    assert_eq!(apply(&mut meta, moved), MetaOutcome::Done);
    assert_eq!((meta.placement(), meta.epoch()), (&placement, epoch + 1));
    refused(&mut meta, MetaCommand::SetAddresses { node: NodeId(3), addresses: addresses(3) });
    let endless = Addresses { client: "x".repeat(513), ..addresses(2) };
    refused(&mut meta, MetaCommand::SetAddresses { node: NodeId(2), addresses: endless });
}

#[test]
fn what_leases_rest_on_is_settled_at_the_founding() {
    let config = Config {
        election_timeout: Duration::from_millis(450),
        clock_drift_permille: 20,
        lease_reads: false,
        ..Config::default()
    };
    let mut meta = Meta::founding(&config, 1, [0, 0]);
    let timing = meta.timing();
    assert_eq!(timing.election_timeout, config.election_timeout);
    assert_eq!((timing.clock_drift_permille, timing.lease_reads), (20, false));
    for key in setting::FOUNDED {
        refused(&mut meta, MetaCommand::Set { key: key.to_string(), value: "1".to_string() });
        refused(&mut meta, MetaCommand::Unset { key: key.to_string() });
    }
}

#[test]
fn settings_are_set_and_unset_and_bounded() {
    let mut meta = founded(1);
    let set = |key: &str, value: &str| MetaCommand::Set { key: key.to_string(), value: value.to_string() };
    let why = refused(&mut meta, set(setting::REQUIREPASS, "secret"));
    assert!(!why.contains("secret"), "{why}");
    let digest = PasswordDigest::of(b"secret");
    assert_eq!(apply(&mut meta, set(setting::REQUIREPASS, &digest.to_string())), MetaOutcome::Done);
    assert_eq!(meta.password(), Some(digest));
    let secret = digest.to_string();
    assert!(!format!("{meta:?}").contains(&secret));
    apply(&mut meta, MetaCommand::Unset { key: setting::REQUIREPASS.to_string() });
    assert_eq!(meta.password(), None);
    refused(&mut meta, set(&"k".repeat(129), ""));
    refused(&mut meta, set("k", &"v".repeat(4097)));
    for number in meta.settings().len()..1024 {
        assert_eq!(apply(&mut meta, set(&number.to_string(), "")), MetaOutcome::Done);
    }
    refused(&mut meta, set("one more", ""));
}

/// What ACL SETUSER asks for.
fn set_user(name: &str, rules: &str) -> MetaCommand {
    let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
    MetaCommand::SetUser {
        name: Bytes::copy_from_slice(name.as_bytes()),
        rules: rules::parse_all(&words).expect(rules),
    }
}

fn delete_users(names: &[&str]) -> MetaCommand {
    MetaCommand::DeleteUsers {
        names: names.iter().map(|name| Bytes::copy_from_slice(name.as_bytes())).collect(),
    }
}

#[test]
fn users_are_made_and_changed_and_removed() {
    let mut meta = founded(1);
    assert_eq!(meta.users()[users::DEFAULT], User::unrestricted());
    let epoch = meta.users_epoch();
    assert_eq!(apply(&mut meta, set_user("alice", "on >pw ~a* +get")), MetaOutcome::Done);
    assert_eq!(apply(&mut meta, set_user("alice", "+set")), MetaOutcome::Done);
    assert_eq!(meta.users_epoch(), epoch + 2);
    let rules = String::from_utf8(meta.users()[&b"alice"[..]].describe()).expect("a text");
    assert!(rules.ends_with("~a* resetchannels -@all +get +set"), "{rules}");
    let why = refused(&mut meta, set_user("alice", "off <other"));
    assert!(why.starts_with("Error in ACL SETUSER modifier '!"), "{why}");
    refused(&mut meta, set_user("nobody", "~* ~a"));
    let why = refused(&mut meta, delete_users(&["alice", "default"]));
    assert_eq!(why, "The 'default' user cannot be removed");
    assert_eq!(apply(&mut meta, delete_users(&["alice", "alice", "bob"])), MetaOutcome::Deleted(1));
    assert_eq!(meta.users_epoch(), epoch + 3);
    assert_eq!(apply(&mut meta, delete_users(&["alice"])), MetaOutcome::Deleted(0));
    assert_eq!((meta.users_epoch(), meta.users().len()), (epoch + 3, 1));
}

#[test]
fn users_are_bounded_in_number_name_and_rules() {
    let mut meta = founded(1);
    refused(&mut meta, set_user(&"n".repeat(users::NAME_BYTES_MAX + 1), "on"));
    assert_eq!(apply(&mut meta, set_user(&"n".repeat(users::NAME_BYTES_MAX), "on")), MetaOutcome::Done);
    let why = refused(&mut meta, set_user("a", &format!("~{}", "k".repeat(users::USER_BYTES_MAX))));
    assert!(why.contains("too many rules"), "{why}");
    while meta.users().len() < users::USERS_MAX {
        let name = meta.users().len().to_string();
        assert_eq!(meta.apply(set_user(&name, "on")), MetaOutcome::Done);
    }
    let why = refused(&mut meta, set_user("one more", "on"));
    assert!(why.contains("no more are kept"), "{why}");
    assert_eq!(apply(&mut meta, set_user("77", "off")), MetaOutcome::Done);
}

#[test]
fn the_setting_of_a_password_is_that_of_the_default_user() {
    let mut meta = founded(1);
    apply(&mut meta, set_user("default", ">one >two"));
    let digest = PasswordDigest::of(b"secret");
    let key = || setting::REQUIREPASS.to_string();
    apply(&mut meta, MetaCommand::Set { key: key(), value: digest.to_string() });
    assert_eq!((meta.password(), meta.setting(setting::REQUIREPASS)), (Some(digest), None));
    assert_eq!(meta.users()[users::DEFAULT].passwords, [digest]);
    assert!(!meta.users()[users::DEFAULT].is_open());
    apply(&mut meta, MetaCommand::Unset { key: key() });
    assert_eq!(meta.users()[users::DEFAULT], User::unrestricted());
}

#[test]
fn a_state_without_users_is_read_with_its_password() {
    let hex: String = include_str!("golden/state-1.hex").split_whitespace().collect();
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { panic!("pairs of digits") };
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| digit(*high) * 16 + digit(*low)).collect();
    let meta = Meta::from_bytes(Bytes::from(bytes.clone())).expect("version 1 is read");
    meta.check();
    assert_eq!(meta.users().len(), 1);
    assert_eq!(meta.users()[users::DEFAULT], User::unrestricted());
    // One setting more, behind the others.
    let digest = PasswordDigest::of(b"secret");
    let first = bytes.windows(11).position(|name| name == b"clock-drift").expect("a setting");
    let (before, after) = bytes.split_at(bytes.len() - 4);
    let mut with = before.to_vec();
    with[first - 8] += 1;
    for text in [setting::REQUIREPASS.as_bytes(), digest.to_string().as_bytes()] {
        with.extend((text.len() as u32).to_le_bytes());
        with.extend(text);
    }
    with.extend(after);
    let meta = Meta::from_bytes(Bytes::from(with)).expect("version 1 is read");
    assert_eq!((meta.password(), meta.users()[users::DEFAULT].is_open()), (Some(digest), false));
}

#[test]
fn two_numbers_change_their_databases() {
    let mut meta = founded(1);
    let swap = |a, b| MetaCommand::SwapDatabases { a: DatabaseIndex(a), b: DatabaseIndex(b) };
    assert_eq!(apply(&mut meta, swap(0, 3)), MetaOutcome::Done);
    assert_eq!(meta.database(DatabaseIndex(0)).map(|(id, _)| id), Some(DatabaseId(4)));
    assert_eq!(meta.database(DatabaseIndex(3)).map(|(id, _)| id), Some(DatabaseId(1)));
    assert_eq!(meta.database_by_id(DatabaseId(1)).map(|(index, _)| index), Some(DatabaseIndex(3)));
    assert_eq!(apply(&mut meta, swap(2, 2)), MetaOutcome::Done);
    refused(&mut meta, swap(0, 16));
}

#[test]
fn nodes_of_one_log_come_to_one_state_and_snapshots_carry_all_of_it() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let (mut one, mut other) = (founded(8), founded(8));
        for step in 0..40 {
            let command = any_command(&mut rng, &one);
            assert_eq!(apply(&mut one, command.clone()), apply(&mut other, command));
            assert_eq!(one.digest(), other.digest());
            if step % 10 == 0 {
                other = Meta::from_bytes(other.to_bytes()).expect("what was written is read");
            }
            let copies = one.placement()[&GroupId(1)].replicas.len();
            assert_eq!(copies, if one.active().count() >= VOTERS { VOTERS } else { 1 });
        }
        assert_eq!(one, other);
    }
}

fn any_command(rng: &mut Rng, meta: &Meta) -> MetaCommand {
    let host = 1 + rng.below(8) as u32;
    let node = NodeId(1 + rng.below(10) as u32);
    match rng.below(10) {
        8 => {
            let rule =
                *rng.pick(&["on", ">pw", "~a*", "+@read", "reset", "(+get)", "resetkeys"]).expect("a rule");
            set_user(&rng.below(3).to_string(), rule)
        }
        9 => delete_users(&[&rng.below(3).to_string()]),
        0..=2 => {
            let request = JoinRequest { nonce: u128::from(rng.below(30)), addresses: addresses(host) };
            MetaCommand::AddNode { request }
        }
        3 => MetaCommand::RemoveNode { node, force: rng.chance(1, 2) },
        4 => MetaCommand::SetAddresses { node, addresses: addresses(host) },
        5 => {
            let group = GroupId(rng.below(9) as u32);
            let copies: Vec<_> = meta.placement()[&group].all().collect();
            MetaCommand::ReplaceReplica { group, replica: *rng.pick(&copies).expect("a copy") }
        }
        6 => MetaCommand::Set { key: rng.below(5).to_string(), value: rng.next_u64().to_string() },
        _ => MetaCommand::SwapDatabases {
            a: DatabaseIndex(rng.below(16) as u32),
            b: DatabaseIndex(rng.below(16) as u32),
        },
    }
}

#[test]
fn bytes_that_no_series_of_commands_can_have_written_are_refused() {
    let bytes = of(3).to_bytes();
    for end in 0..bytes.len() {
        assert!(Meta::from_bytes(bytes.slice(..end)).is_err());
    }
    let mut newer = bytes.to_vec();
    newer[0] = 4;
    let error = Meta::from_bytes(Bytes::from(newer)).unwrap_err();
    assert_eq!(error, DecodeError::Invalid("the version of meta's state"));
    let mut rng = Rng::new(1);
    for _ in 0..2000 {
        let mut rotten = bytes.to_vec();
        rotten[rng.below(bytes.len() as u64) as usize] ^= 1 << rng.below(8);
        if let Ok(meta) = Meta::from_bytes(Bytes::from(rotten)) {
            meta.check();
        }
    }
}

#[test]
fn the_bytes_of_commands_and_outcomes_are_pinned() {
    let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let request = JoinRequest {
        nonce: 0x0102,
        addresses: Addresses { client: "a".to_string(), peer: "b".to_string(), http: String::new() },
    };
    let there = "0100000061010000006200000000";
    let commands = [
        (
            MetaCommand::AddNode { request: request.clone() },
            format!("0101{}{there}", "02010000000000000000000000000000"),
        ),
        (MetaCommand::RemoveNode { node: NodeId(5), force: true }, "01020500000001".to_string()),
        (
            MetaCommand::SetAddresses { node: NodeId(5), addresses: request.addresses },
            format!("010305000000{there}"),
        ),
        (
            MetaCommand::ReplaceReplica { group: GroupId(6), replica: ReplicaId::new(7, 8) },
            "0104060000000700000008000000".to_string(),
        ),
        (
            MetaCommand::Set { key: "k".to_string(), value: "v".to_string() },
            "0105010000006b0100000076".to_string(),
        ),
        (MetaCommand::Unset { key: "k".to_string() }, "0106010000006b".to_string()),
        (
            MetaCommand::SwapDatabases { a: DatabaseIndex(1), b: DatabaseIndex(2) },
            "01070100000002000000".to_string(),
        ),
        (set_user("a", "on -get"), "01080100000061020000000 10d0003000000676574".replace(' ', "")),
        (
            MetaCommand::SetAll {
                settings: vec![
                    Setting { key: "k".to_string(), value: Some("v".to_string()) },
                    Setting { key: "l".to_string(), value: None },
                ],
            },
            "010a020000000100000 06b010100000076010000006c0000000000".replace(' ', ""),
        ),
        (delete_users(&["a", "b"]), "0109020000000100000061 0100000062".replace(' ', "")),
        (
            MetaCommand::PutLibraries { libraries: vec![library("l", &["f"])], manner: Manner::Replace },
            "010b01000000 010000006c 0100000063 01000000 0100000066 00 00000000 01 02".replace(' ', ""),
        ),
        (MetaCommand::DeleteLibrary { name: "l".to_string() }, "010c010000006c".to_string()),
        (MetaCommand::FlushLibraries, "010d".to_string()),
        (MetaCommand::LoadScript { text: Bytes::from_static(b"s") }, "010e0100000073".to_string()),
        (MetaCommand::FlushScripts, "010f".to_string()),
    ];
    for (command, expected) in commands {
        assert_eq!(hex(command.to_bytes()), expected, "{command:?}");
        assert_eq!(MetaCommand::from_bytes(command.to_bytes()), Ok(command));
    }
    let outcomes = [
        (MetaOutcome::Done, "0101"),
        (MetaOutcome::Joined { node: NodeId(3) }, "010203000000"),
        (MetaOutcome::Replaced { replica: ReplicaId::new(7, 8) }, "01030700000008000000"),
        (MetaOutcome::Refused("no".to_string()), "0104020000006e6f"),
        (MetaOutcome::Deleted(2), "010502000000"),
    ];
    for (outcome, expected) in outcomes {
        assert_eq!(hex(outcome.to_bytes()), expected, "{outcome:?}");
    }
    assert!(MetaCommand::from_bytes(Bytes::from_static(&[1, 99])).is_err());
    assert!(MetaCommand::from_bytes(Bytes::from_static(&[9, 6, 0, 0, 0, 0])).is_err());
}

#[test]
fn several_settings_change_together_or_not_at_all() {
    let mut meta = founded(1);
    let all = |pairs: &[(&str, Option<&str>)]| MetaCommand::SetAll {
        settings: pairs
            .iter()
            .map(|(key, value)| Setting { key: key.to_string(), value: value.map(str::to_string) })
            .collect(),
    };
    apply(&mut meta, all(&[("a", Some("1")), ("b", Some("2"))]));
    assert_eq!((meta.setting("a"), meta.setting("b")), (Some("1"), Some("2")));
    refused(&mut meta, all(&[("a", Some("3")), (setting::CLOCK_DRIFT, Some("1"))]));
    refused(&mut meta, all(&[("b", None), (setting::REQUIREPASS, Some("clear"))]));
    assert_eq!((meta.setting("a"), meta.setting("b")), (Some("1"), Some("2")));
    apply(&mut meta, all(&[("a", None), ("b", Some("4"))]));
    assert_eq!((meta.setting("a"), meta.setting("b")), (None, Some("4")));
}

#[test]
fn the_bytes_of_the_state_are_pinned() {
    let mut meta = founded(2);
    join(&mut meta, 2, 20);
    join(&mut meta, 2, 21);
    apply(&mut meta, MetaCommand::Set { key: "k".to_string(), value: "v".to_string() });
    apply(&mut meta, set_user("a", "on >abc %R~x &y +@read -get (+set ~z)"));
    // Version 2 ended here.
    let before = bytes_of(include_str!("golden/state-2.hex"));
    assert_eq!(Meta::from_bytes(before.into()).as_ref(), Ok(&meta), "version 2 is still read");
    let library = library("l", &["f", "g"]);
    apply(&mut meta, MetaCommand::PutLibraries { libraries: vec![library], manner: Manner::Add });
    apply(&mut meta, MetaCommand::LoadScript { text: Bytes::from_static(b"forgotten") });
    apply(&mut meta, MetaCommand::FlushScripts);
    apply(&mut meta, MetaCommand::LoadScript { text: Bytes::from_static(b"return 1") });
    let written: String = meta.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let golden: String = include_str!("golden/state-3.hex").split_whitespace().collect();
    assert_eq!(written, golden, "the state is written otherwise than version 3 says");
    assert_eq!(Meta::from_bytes(meta.to_bytes()).as_ref(), Ok(&meta));
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { panic!("pairs of digits") };
    let byte =
        |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16).expect("digits");
    pairs.iter().map(byte).collect()
}

fn library(name: &str, functions: &[&str]) -> LibraryRecord {
    let function =
        |name: &&str| Function { name: name.to_string(), description: None, flags: Flags::NO_WRITES };
    let functions = functions.iter().map(function).collect();
    LibraryRecord { name: name.to_string(), code: Bytes::from_static(b"c"), functions }
}

#[test]
fn libraries_come_and_go_whole() {
    let mut meta = founded(1);
    let put = |libraries: &[LibraryRecord], manner| MetaCommand::PutLibraries {
        libraries: libraries.to_vec(),
        manner,
    };
    apply(&mut meta, put(&[library("a", &["f"])], Manner::Add));
    assert_eq!(refused(&mut meta, put(&[library("a", &["g"])], Manner::Add)), "Library a already exists");
    assert_eq!(refused(&mut meta, put(&[library("b", &["f"])], Manner::Add)), "Function f already exists");
    assert_eq!(refused(&mut meta, put(&[library("b", &[])], Manner::Add)), "No functions registered");
    // All of them, or none.
    refused(&mut meta, put(&[library("b", &["g"]), library("c", &["g"])], Manner::Add));
    apply(&mut meta, put(&[library("a", &["g", "h"])], Manner::Replace));
    assert!(meta.programs().function("f").is_none());
    assert_eq!(meta.programs().function("h").map(|(_, function)| &function.name[..]), Some("h"));
    assert_eq!(meta.programs().function_count(), 2);
    assert_eq!(refused(&mut meta, MetaCommand::DeleteLibrary { name: "b".to_string() }), "Library not found");
    apply(&mut meta, put(&[library("b", &["f"])], Manner::Flush));
    assert_eq!(meta.programs().libraries().map(|library| &library.name[..]).collect::<Vec<_>>(), ["b"]);
    apply(&mut meta, MetaCommand::DeleteLibrary { name: "b".to_string() });
    assert_eq!(meta.programs(), &Programs::default());
    apply(&mut meta, put(&[library("b", &["f"])], Manner::Add));
    apply(&mut meta, MetaCommand::FlushLibraries);
    assert_eq!(meta.programs().function_count(), 0);
}

#[test]
fn of_too_many_loaded_scripts_the_oldest_are_forgotten() {
    let mut meta = founded(1);
    let text = |number: usize| Bytes::from(format!("return {number}"));
    for number in 0..=programs::LOADED_MAX {
        meta.apply(MetaCommand::LoadScript { text: text(number) });
    }
    meta.check();
    assert_eq!(meta.programs().loaded().0, programs::LOADED_MAX);
    assert_eq!(meta.programs().script(Sha::of(&text(0))), None);
    assert_eq!(meta.programs().script(Sha::of(&text(1))), Some(&text(1)));
    let large = Bytes::from(vec![b' '; programs::LOADED_BYTES_MAX + 1]);
    assert!(refused(&mut meta, MetaCommand::LoadScript { text: large }).contains("loaded-scripts-bytes-max"));
    apply(&mut meta, MetaCommand::FlushScripts);
    assert_eq!((meta.programs().loaded(), meta.programs().flushes()), ((0, 0), 1));
}
