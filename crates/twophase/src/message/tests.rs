//! The bytes of messages and of logged operations.

use super::*;
use crate::locks::{Lock, Mode};
use crate::operation::{Check, Operation};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use base::{DatabaseId, NodeId};

const SESSION: SessionId = SessionId { node: NodeId(1), start: 2 };
const ID: TxId = TxId { timestamp: Timestamp(0x11), session: SESSION, sequence: 3 };
const READ: ReadId = ReadId { session: SESSION, sequence: 4 };

const ID_HEX: &str = "1100000000000000 01000000 0200000000000000 0300000000000000";
const READ_HEX: &str = "01000000 0200000000000000 0400000000000000";
const BOTH_HEX: &str = "02000000 05000000 06000000";
const LOCKS_HEX: &str = "02000000 0700000000000000 02 0700000000000000 01 01000000 6b";

fn both() -> Participants {
    Participants::new([6, 5, 5].map(GroupId)).expect("there are two")
}

fn locks() -> Locks {
    let whole = Lock { database: DatabaseId(7), key: None, mode: Mode::Shared };
    let one = Lock { database: DatabaseId(7), key: Some(Bytes::from_static(b"k")), mode: Mode::Exclusive };
    Locks::new([one, whole])
}

fn prepare() -> Prepare {
    let checks = vec![Check { database: DatabaseId(7), key: Bytes::from_static(b"k"), version: 9 }];
    Prepare { id: ID, participants: both(), locks: locks(), checks, operations: Bytes::from_static(b"op") }
}

fn prepare_hex() -> String {
    format!(
        "{ID_HEX} {BOTH_HEX} {LOCKS_HEX} 01000000 0700000000000000 01000000 6b 0900000000000000 02000000 6f70"
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes are these, and read back; shorter ones don't.
fn pinned<T: Encode + Decode + PartialEq + core::fmt::Debug>(value: &T, golden: &str) {
    let bytes = value.to_bytes();
    assert_eq!(hex(&bytes), golden.replace(' ', ""), "{value:?}");
    assert_eq!(T::from_bytes(bytes.clone()).as_ref(), Ok(value));
    for length in 0..bytes.len() {
        assert!(T::from_bytes(bytes.slice(..length)).is_err(), "{value:?} cut to {length}");
    }
}

#[test]
fn the_bytes_of_operations_never_change() {
    let (id, participants) = (ID, both());
    pinned(&Operation::Prepare(prepare()), &format!("01 {}", prepare_hex()));
    let prevent = Operation::Prevent { id, participants: participants.clone() };
    pinned(&prevent, &format!("02 {ID_HEX} {BOTH_HEX}"));
    let resolve = Operation::Resolve { id, participants, decision: Decision::Commit, answered: false };
    pinned(&resolve, &format!("03 {ID_HEX} {BOTH_HEX} 01 00"));
    let advance = Operation::Advance { floor: Timestamp(2), forgotten: Timestamp(1) };
    pinned(&advance, "04 0200000000000000 0100000000000000");
}

#[test]
fn the_bytes_of_requests_never_change() {
    let (id, participants, gateway) = (ID, both(), "01 01000000 0200000000000000");
    let from = Party::Gateway(SESSION);
    let resolve = RequestBody::Resolve { id, participants, decision: Decision::Abort, answered: true };
    let cases = [
        (RequestBody::Prepare(prepare()), format!("01 {}", prepare_hex())),
        (
            RequestBody::Prevent { id, participants: both(), round: 8 },
            format!("02 {ID_HEX} {BOTH_HEX} 0800000000000000"),
        ),
        (RequestBody::Ask { id }, format!("03 {ID_HEX}")),
        (resolve, format!("04 {ID_HEX} {BOTH_HEX} 00 01")),
        (RequestBody::AskFloor { wanted: Timestamp(5) }, "05 0500000000000000".into()),
        (
            RequestBody::Read { read: READ, locks: locks(), query: Bytes::from_static(b"q") },
            format!("06 {READ_HEX} {LOCKS_HEX} 01000000 71"),
        ),
        (RequestBody::Release { read: READ }, format!("07 {READ_HEX}")),
    ];
    for (body, golden) in cases {
        pinned(&Request { from, body }, &format!("{gateway} {golden}"));
    }
    pinned(&Party::Shard(GroupId(3)), "02 03000000");
}

#[test]
fn the_bytes_of_replies_never_change() {
    let status = |finding| ReplyBody::Status { id: ID, round: 8, finding };
    let status_hex = |finding: &str| format!("01 {ID_HEX} 0800000000000000 {finding}");
    let refused = |refusal| ReplyBody::Refused { id: ID, refusal };
    let refused_hex = |refusal: &str| format!("02 {ID_HEX} {refusal}");
    let some = Bytes::from_static(b"r");
    let cases: Vec<(ReplyBody, String)> = vec![
        (status(Finding::Unknown), status_hex("01")),
        (status(Finding::Waiting), status_hex("02")),
        (status(Finding::Absent(Timestamp(5))), status_hex("03 0500000000000000")),
        (status(Finding::Aborted(Reason::Prevented)), status_hex("04 01")),
        (status(Finding::Aborted(Reason::Locked)), status_hex("04 02")),
        (status(Finding::Aborted(Reason::Changed)), status_hex("04 03")),
        (status(Finding::Aborted(Reason::Evicted)), status_hex("04 04")),
        (status(Finding::Aborted(Reason::Refused(some.clone()))), status_hex("04 05 01000000 72")),
        (status(Finding::Aborted(Reason::Elsewhere)), status_hex("04 06")),
        (status(Finding::Prepared(some.clone())), status_hex("05 01000000 72")),
        (status(Finding::Committed(None)), status_hex("06 00")),
        (status(Finding::Committed(Some(some.clone()))), status_hex("06 01 01000000 72")),
        (status(Finding::Forgotten(Timestamp(6))), status_hex("07 0600000000000000")),
        (refused(Refusal::Older(Timestamp(6))), refused_hex("01 0600000000000000")),
        (refused(Refusal::Waited), refused_hex("02")),
        (refused(Refusal::Busy), refused_hex("03")),
        (refused(Refusal::Ahead), refused_hex("04")),
        (refused(Refusal::NoLease), refused_hex("05")),
        (ReplyBody::Resolved { id: ID }, format!("03 {ID_HEX}")),
        (ReplyBody::Floor { floor: Timestamp(5) }, "04 0500000000000000".into()),
        (
            ReplyBody::Served { read: READ, hold: Duration::from_nanos(7), result: some },
            format!("05 {READ_HEX} 0700000000000000 01000000 72"),
        ),
        (ReplyBody::ReadRefused { read: READ, refusal: Refusal::Busy }, format!("06 {READ_HEX} 03")),
    ];
    for (body, golden) in cases {
        pinned(&Reply { from: GroupId(3), body }, &format!("03000000 {golden}"));
    }
}

#[test]
fn what_no_writer_writes_is_refused() {
    for (what, bytes) in [
        ("no shards", "00000000"),
        ("out of order", "02000000 06000000 05000000"),
        ("twice", "02000000 05000000 05000000"),
        ("more than there is", "ffffffff 05000000"),
    ] {
        assert!(Participants::from_bytes(unhex(bytes)).is_err(), "{what}");
    }
    let twice = format!("02000000 {0} {0}", "0700000000000000 01 01000000 6b");
    assert!(Locks::from_bytes(unhex(&twice)).is_err());
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}
