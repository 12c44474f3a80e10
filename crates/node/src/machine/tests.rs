use super::{Machine, State};
use base::{DatabaseId, Index, UnixMillis};
use bytes::Bytes;
use keyspace::Keyspace;

#[test]
fn a_snapshot_whose_pieces_are_of_a_later_state_than_its_header_is_refused() {
    let mut later = Machine::new(State::Shard(Keyspace::new([1, 2])));
    let mut earlier = Machine::new(State::Shard(Keyspace::new([1, 2])));
    for index in 1..=5 {
        later.apply_empty(Index(index));
        if index <= 3 {
            earlier.apply_empty(Index(index));
        }
    }
    let State::Shard(keyspace) = &mut later.state else { panic!("it was made with one") };
    put(keyspace);
    let pieces = |machine: &mut Machine| {
        machine.begin_snapshot();
        std::iter::from_fn(|| machine.next_chunk(1_000)).collect::<Vec<_>>()
    };
    let (later, earlier) = (pieces(&mut later), pieces(&mut earlier));

    let mut honest = Machine::from_header(Bytes::from(later[0].clone())).expect("it is a header");
    assert_eq!(honest.load_chunk(&later[1]), Ok(()));
    honest.apply_empty(Index(6));

    let mut mixed = Machine::from_header(Bytes::from(earlier[0].clone())).expect("it is a header");
    assert!(mixed.load_chunk(&later[1]).is_err(), "the next entry would break an invariant");
}

fn put(keyspace: &mut Keyspace) {
    use base::database::{Database, Expiry};
    keyspace.database(DatabaseId(1), UnixMillis(0)).put_string(b"key", b"value", Expiry::Clear);
}

// Transactions over several shards.

mod prepared {
    use super::*;
    use crate::locking::{Manner, part_that_changes};
    use crate::machine::{Outcome, SNAPSHOT_WITHOUT_LEDGER};
    use crate::op::{BatchWriter, Invocation, Op, Transaction, Words};
    use base::codec::Encode;
    use base::database::Database;
    use base::{GroupId, NodeId, SessionId};
    use twophase::{Decision, Finding, Operation, Participants, Prepare, Timestamp, TxId};

    fn command<'a>(words: &[&'a [u8]]) -> Invocation<'a> {
        let spec = command::resolve(words).expect("there is such a command");
        let protocol = resp::Protocol::Resp2;
        let words = Words::from_slice(words);
        Invocation { spec, database: DatabaseId(1), target: None, protocol, words }
    }

    fn id() -> TxId {
        TxId { timestamp: Timestamp(9), session: SessionId { node: NodeId(1), start: 2 }, sequence: 3 }
    }

    fn both() -> Participants {
        Participants::new([GroupId(1), GroupId(2)]).expect("there are two")
    }

    fn prepare(commands: &[&[&[u8]]]) -> Operation {
        let commands = commands.iter().map(|words| command(words)).collect();
        let transaction = Transaction { commands, ..Transaction::default() };
        let part = part_that_changes(Manner::Each, &transaction);
        let (locks, checks, operations) = (part.locks, part.checks, part.operations);
        Operation::Prepare(Prepare { id: id(), participants: both(), locks, checks, operations })
    }

    fn resolve(decision: Decision) -> Operation {
        Operation::Resolve { id: id(), participants: both(), decision, answered: true }
    }

    fn apply(machine: &mut Machine, operation: &Operation) -> Option<Finding> {
        let mut found = None;
        let mut batch = BatchWriter::default();
        batch.push(None, &Op::Transactional(&operation.to_bytes()));
        let bytes = batch.finish(UnixMillis(5), 6);
        let index = machine.applied.next();
        let told = machine.apply(index, &bytes, |_, _, _, outcome| match outcome {
            Outcome::Found(finding) => found = finding,
            other => panic!("{other:?}"),
        });
        assert_eq!(told, Ok(()));
        found
    }

    fn shard() -> Machine {
        let mut machine = Machine::new(State::Shard(Keyspace::new([1, 2])));
        machine.apply_empty(Index(1));
        let State::Shard(keyspace) = &mut machine.state else { panic!("it was made with one") };
        put(keyspace);
        machine
    }

    fn reloaded(machine: &mut Machine) -> Machine {
        machine.begin_snapshot();
        let pieces: Vec<Vec<u8>> = std::iter::from_fn(|| machine.next_chunk(100)).collect();
        let mut other = Machine::from_header(Bytes::from(pieces[0].clone())).expect("it is a header");
        for piece in &pieces[1..] {
            other.load_chunk(piece).expect("it is a piece");
        }
        other
    }

    #[test]
    fn what_is_prepared_goes_on_from_a_snapshot_as_if_there_had_been_none() {
        for decision in [Decision::Commit, Decision::Abort] {
            let mut first = shard();
            let before = first.keyspace().map(Keyspace::digest);
            let found = apply(&mut first, &prepare(&[&[b"set", b"key", b"new"], &[b"set", b"more", b"1"]]));
            assert!(matches!(found, Some(Finding::Prepared(_))), "{found:?}");
            assert!(!first.holds_nothing() && first.can_be_written());
            let set = command(&[b"get", b"key"]);
            assert!(first.is_locked(&Op::Command(set.clone())));
            let mut second = reloaded(&mut first);
            assert_eq!(first.digest(), second.digest());
            assert!(second.is_locked(&Op::Command(set)));
            for machine in [&mut first, &mut second] {
                apply(machine, &resolve(decision));
                assert!(machine.holds_nothing());
            }
            assert_eq!(first.digest(), second.digest());
            let after = first.keyspace().map(Keyspace::digest);
            assert_eq!(after == before, decision == Decision::Abort, "its revision, too, is as it was");
        }
    }

    #[test]
    fn no_snapshot_is_begun_while_a_whole_database_may_come_back() {
        let mut machine = shard();
        apply(&mut machine, &prepare(&[&[b"flushdb"]]));
        assert!(!machine.can_be_written());
        assert_eq!(machine.keyspace().map(|keyspace| keyspace.len(DatabaseId(1))), Some(0));
        apply(&mut machine, &resolve(Decision::Abort));
        assert!(machine.can_be_written());
        let State::Shard(keyspace) = &mut machine.state else { panic!("it was made with one") };
        assert_eq!(keyspace.database(DatabaseId(1), UnixMillis(6)).string(b"key"), Ok(Some(&b"value"[..])));
    }

    /// Drawn in `docs/formats/snapshot.md`.
    #[test]
    fn the_bytes_of_a_shards_first_chunk_never_change() {
        let mut machine = shard();
        machine.begin_snapshot();
        let header = machine.next_chunk(100).expect("there is a header");
        let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = [
            "02 0100000000000000 0000000000000000 0000000000000000 00000000",
            "01 0100000000000000 0200000000000000",
            "01 0000000000000000 0000000000000000 00000000",
        ];
        assert_eq!(hex, golden.concat().replace(' ', ""));
        // What was written before there was a ledger is read.
        let mut old = header[..header.len() - 21].to_vec();
        old[0] = SNAPSHOT_WITHOUT_LEDGER;
        let old = Machine::from_header(Bytes::from(old)).expect("it is a header");
        assert!(old.holds_nothing());
    }
}
