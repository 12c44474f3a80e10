//! A ledger alone: what it says of one transaction after the other, and its bytes.

use super::*;
use crate::locks::Lock;
use crate::operation::Check;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use base::codec::{Decode, Encode};
use base::{GroupId, NodeId, SessionId};

/// A shard that has nothing but one number.
#[derive(Debug, Default)]
struct Number(u64);

impl Shard for Number {
    type Undo = u64;

    fn version(&self, _: DatabaseId, _: &[u8]) -> u64 {
        self.0
    }

    fn is_evicted(&self, session: SessionId) -> bool {
        session.start == 0
    }

    fn execute(&mut self, _: TxId, operations: &Bytes) -> Result<(Bytes, u64), Bytes> {
        if operations.is_empty() {
            return Err(Bytes::from_static(b"no"));
        }
        self.0 += 1;
        Ok((operations.clone(), self.0 - 1))
    }

    fn commit(&mut self, _: u64) {}

    fn revert(&mut self, undo: u64) {
        self.0 = undo;
    }
}

fn id(timestamp: u64) -> TxId {
    TxId { timestamp: Timestamp(timestamp), session: SessionId { node: NodeId(1), start: 2 }, sequence: 3 }
}

fn both() -> Participants {
    Participants::new([GroupId(5), GroupId(4)]).expect("there are two")
}

fn prepare_of(id: TxId, key: &'static [u8]) -> Prepare {
    let lock = Lock { database: DatabaseId(7), key: Some(Bytes::from_static(key)), mode: Mode::Exclusive };
    let operations = Bytes::from_static(b"op");
    Prepare { id, participants: both(), locks: Locks::new([lock]), checks: Vec::new(), operations }
}

fn prepare(ledger: &mut Ledger<u64>, shard: &mut Number, id: TxId, key: &'static [u8]) -> Finding {
    apply(ledger, shard, Operation::Prepare(prepare_of(id, key)))
}

fn apply(ledger: &mut Ledger<u64>, shard: &mut Number, operation: Operation) -> Finding {
    let finding = ledger.apply(operation, shard).unwrap_or(Finding::Unknown);
    ledger.check();
    finding
}

fn resolve(id: TxId, decision: Decision) -> Operation {
    Operation::Resolve { id, participants: both(), decision, answered: false }
}

fn advance(floor: u64, forgotten: u64) -> Operation {
    Operation::Advance { floor: Timestamp(floor), forgotten: Timestamp(forgotten) }
}

fn prepared() -> Finding {
    Finding::Prepared(Bytes::from_static(b"op"))
}

#[test]
fn what_is_prepared_holds_its_locks_until_it_is_resolved() {
    let (mut ledger, mut shard) = (Ledger::default(), Number::default());
    assert_eq!(prepare(&mut ledger, &mut shard, id(1), b"k"), prepared());
    assert!(!ledger.allows(DatabaseId(7), Some(b"k"), Mode::Shared));
    assert_eq!(prepare(&mut ledger, &mut shard, id(2), b"k"), Finding::Aborted(Reason::Locked));
    assert_eq!(prepare(&mut ledger, &mut shard, id(3), b"other"), prepared());
    apply(&mut ledger, &mut shard, resolve(id(1), Decision::Commit));
    assert!(ledger.allows(DatabaseId(7), Some(b"k"), Mode::Exclusive));
    assert_eq!(prepare(&mut ledger, &mut shard, id(4), b"k"), prepared());
}

#[test]
fn a_tombstone_is_final_and_so_is_an_outcome() {
    let (mut ledger, mut shard) = (Ledger::default(), Number::default());
    let prevent = |id| Operation::Prevent { id, participants: both() };
    assert_eq!(apply(&mut ledger, &mut shard, prevent(id(1))), Finding::Aborted(Reason::Prevented));
    assert_eq!(prepare(&mut ledger, &mut shard, id(1), b"k"), Finding::Aborted(Reason::Prevented));
    assert_eq!(prepare(&mut ledger, &mut shard, id(2), b"k"), prepared());
    assert_eq!(apply(&mut ledger, &mut shard, prevent(id(2))), prepared(), "it comes too late");
    apply(&mut ledger, &mut shard, resolve(id(2), Decision::Commit));
    let committed = Finding::Committed(Some(Bytes::from_static(b"op")));
    assert_eq!(apply(&mut ledger, &mut shard, resolve(id(2), Decision::Abort)), committed);
    assert_eq!(shard.0, 1);
    assert_eq!(
        apply(&mut ledger, &mut shard, resolve(id(3), Decision::Abort)),
        Finding::Aborted(Reason::Elsewhere)
    );
    assert_eq!(prepare(&mut ledger, &mut shard, id(3), b"k"), Finding::Aborted(Reason::Elsewhere));
    assert_eq!(
        apply(&mut ledger, &mut shard, resolve(id(4), Decision::Commit)),
        Finding::Unknown,
        "a mistake"
    );
}

#[test]
fn an_abort_leaves_everything_as_it_was() {
    let (mut ledger, mut shard) = (Ledger::default(), Number(5));
    prepare(&mut ledger, &mut shard, id(1), b"k");
    assert_eq!(shard.0, 6);
    apply(&mut ledger, &mut shard, resolve(id(1), Decision::Abort));
    assert_eq!(shard.0, 5);
}

#[test]
fn every_refusal_is_a_tombstone() {
    let (mut ledger, mut shard) = (Ledger::default(), Number(5));
    let mut changed = prepare_of(id(1), b"k");
    changed.checks.push(Check { database: DatabaseId(7), key: Bytes::from_static(b"k"), version: 4 });
    let mut refused = prepare_of(id(2), b"k");
    refused.operations = Bytes::new();
    let mut evicted = prepare_of(id(3), b"k");
    evicted.id.session.start = 0;
    let reasons = [Reason::Changed, Reason::Refused(Bytes::from_static(b"no")), Reason::Evicted];
    for (refused, reason) in [changed, refused, evicted].into_iter().zip(reasons) {
        let id = refused.id;
        let finding = Finding::Aborted(reason);
        assert_eq!(apply(&mut ledger, &mut shard, Operation::Prepare(refused)), finding);
        assert_eq!(ledger.finding(id), finding);
    }
    assert!(ledger.locks().is_empty());
}

#[test]
fn the_floor_stops_below_what_is_prepared_and_forgets_only_what_it_has_passed() {
    let (mut ledger, mut shard) = (Ledger::default(), Number::default());
    for (timestamp, key) in [(10, b"a"), (20, b"b"), (30, b"c")] {
        prepare(&mut ledger, &mut shard, id(timestamp), key);
    }
    apply(&mut ledger, &mut shard, resolve(id(10), Decision::Commit));
    apply(&mut ledger, &mut shard, advance(25, 25));
    assert_eq!((ledger.floor(), ledger.forgotten()), (Timestamp(19), Timestamp(19)));
    assert_eq!(ledger.finding(id(10)), Finding::Forgotten(Timestamp(19)));
    assert_eq!(prepare(&mut ledger, &mut shard, id(10), b"a"), Finding::Forgotten(Timestamp(19)));
    apply(&mut ledger, &mut shard, resolve(id(20), Decision::Abort));
    apply(&mut ledger, &mut shard, advance(25, 19));
    assert_eq!(
        ledger.finding(id(24)),
        Finding::Absent(Timestamp(25)),
        "it was never here, and never will be"
    );
    assert_eq!(prepare(&mut ledger, &mut shard, id(24), b"a"), Finding::Absent(Timestamp(25)));
    assert_eq!(ledger.finding(id(20)), Finding::Aborted(Reason::Elsewhere), "not forgotten yet");
    apply(&mut ledger, &mut shard, advance(1, 1));
    assert_eq!((ledger.floor(), ledger.forgotten()), (Timestamp(25), Timestamp(19)), "it never falls");
}

fn of_all_kinds() -> (Ledger<u64>, Number) {
    let (mut ledger, mut shard) = (Ledger::default(), Number::default());
    for timestamp in 1..=4 {
        prepare(&mut ledger, &mut shard, id(0x10 * timestamp), b"k");
        let decision = if timestamp % 2 == 0 { Decision::Commit } else { Decision::Abort };
        apply(&mut ledger, &mut shard, resolve(id(0x10 * timestamp), decision));
    }
    apply(&mut ledger, &mut shard, advance(0x20, 0x20));
    prepare(&mut ledger, &mut shard, id(0x50), b"k");
    (ledger, shard)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_a_ledger_never_change() {
    let (ledger, _) = of_all_kinds();
    let record = |timestamp: &str| {
        alloc::format!(
            "{timestamp}00000000000000 01000000 0200000000000000 0300000000000000 02000000 04000000 05000000"
        )
    };
    let golden = [
        "01 2000000000000000 2000000000000000 03000000",
        &record("30"),
        "03 06",
        &record("40"),
        "02 01 02000000 6f70",
        &record("50"),
        "01 01000000 0700000000000000 01 01000000 6b 02000000 6f70 0200000000000000",
    ];
    assert_eq!(hex(&ledger.to_bytes()), golden.concat().replace(' ', ""));
}

#[test]
fn a_ledger_that_was_read_back_goes_on_as_the_other() {
    let (mut first, mut shard) = of_all_kinds();
    let mut second: Ledger<u64> = Ledger::from_bytes(first.to_bytes()).expect("it reads back");
    second.check();
    assert_eq!(first.to_bytes(), second.to_bytes());
    let mut other = Number(shard.0);
    for operation in [
        Operation::Prepare(prepare_of(id(0x60), b"k")),
        resolve(id(0x50), Decision::Abort),
        Operation::Prepare(prepare_of(id(0x70), b"k")),
        advance(0x65, 0x55),
    ] {
        assert_eq!(first.apply(operation.clone(), &mut shard), second.apply(operation, &mut other));
        assert_eq!((first.to_bytes(), shard.0), (second.to_bytes(), other.0));
    }
}

#[test]
fn bytes_that_are_no_ledger_are_refused() {
    let whole = of_all_kinds().0.to_bytes();
    for length in 0..whole.len() {
        assert!(Ledger::<u64>::from_bytes(whole.slice(..length)).is_err());
    }
    for at in 0..whole.len() {
        let mut bytes: Vec<u8> = whole.to_vec();
        bytes[at] ^= 0xff;
        if let Ok(ledger) = Ledger::<u64>::from_bytes(bytes.into()) {
            ledger.check();
        }
    }
    assert!(Ledger::<u64>::from_bytes(Bytes::from(vec![2])).is_err(), "another version");
}
