//! Data directories in which anything may have happened to any byte: opening one never panics and never reserves what a
//! length only announces, and what was opened once opens again as the same.
//!
//! A directory that is well is made first; then bytes in it are changed, as the fuzzer likes, and the checksums are put
//! right again if it likes, so that it also gets to what stands behind them. With a second mirror, what is broken on one
//! can be whole on the other.
#![no_main]

use base::log::Payload;
use base::{Entry, GroupId, HardState, Index, Membership, NodeId, ReplicaId, Term};
use bytes::Bytes;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use storage::memory::MemoryDisk;
use storage::{
    ChunkInfo, Disk, DiskFile, DiskRequest, Identity, Op, Options, SnapshotId, SnapshotRecord, Store, Token,
};

/// How long the header of a record or of a snapshot's chunk is: docs/formats draws both.
const HEADER_BYTES: usize = 64;

#[derive(Arbitrary, Debug)]
enum Edit<'a> {
    /// Somewhere in a file.
    Bytes {
        disk: bool,
        file: u8,
        at: u16,
        bytes: &'a [u8],
    },
    /// In a record, which is easier to hit so.
    Record {
        disk: bool,
        file: u8,
        record: u8,
        at: u8,
        bytes: &'a [u8],
    },
    Length {
        disk: bool,
        file: u8,
        length: u16,
    },
    Remove {
        disk: bool,
        file: u8,
    },
    Rename {
        disk: bool,
        from: u8,
        to: u8,
        to_segment: Option<u32>,
    },
}

fn options(salt: u32) -> Options {
    Options { segment_bytes: Options::SEGMENT_BYTES_MIN, salt, snapshot_sync_bytes: 1024 }
}

fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    Entry { term: Term(term), index: Index(index), payload: Payload::Command(Bytes::from(vec![7; bytes])) }
}

/// Two mirrors of a node that has been started three times.
fn sound() -> &'static [MemoryDisk; 2] {
    static DISKS: OnceLock<[MemoryDisk; 2]> = OnceLock::new();
    DISKS.get_or_init(|| {
        let disks = [MemoryDisk::new("one"), MemoryDisk::new("two")];
        let open = |salt| Store::open(disks.iter().map(MemoryDisk::handle).collect(), options(salt));
        let (mut store, _) = open(1).expect("empty disks can be used");
        let identity =
            Identity { cluster: 3, node: NodeId(1), start: 0, settings: Bytes::from_static(b"settings") };
        let mut ops = vec![Op::Identity(identity)];
        for group in [GroupId(0), GroupId(1)] {
            let state = HardState { term: Term(2), vote: Some(ReplicaId::new(1, 1)), commit: Index(3) };
            ops.push(Op::CreateReplica { group, replica: ReplicaId::new(1, 1) });
            ops.push(Op::HardState { group, state });
            ops.push(Op::Append { group, entries: (1..5).map(|index| entry(1, index, 20)).collect() });
        }
        store.write(&ops).expect("there is room");
        let (group, id) = (GroupId(1), SnapshotId { index: Index(3), term: Term(1) });
        let chunks = [&b"first"[..], b"second"];
        let mut ops = Vec::new();
        for (number, chunk) in (0..).zip(chunks) {
            ops.push(Op::SnapshotChunk { group, snapshot: id, number, bytes: Bytes::from_static(chunk) });
        }
        let membership = Membership::of_voters([ReplicaId::new(1, 1)]);
        let chunks = chunks.map(ChunkInfo::of).to_vec();
        let snapshot = SnapshotRecord { index: id.index, term: id.term, membership, chunks };
        ops.push(Op::SnapshotDone { group, snapshot, reset_log: false });
        store.write(&ops).expect("there is room");
        for index in 5..9 {
            let entries = vec![entry(2, index, 3_000)];
            store.write(&[Op::Append { group: GroupId(0), entries }]).expect("there is room");
        }
        drop(store);
        let (mut store, _) = open(2).expect("it can be opened again");
        store.write(&[Op::Append { group, entries: vec![entry(2, 5, 9)] }]).expect("there is room");
        drop(store);
        disks
    })
}

fn name_of(disk: &MemoryDisk, file: u8) -> Option<String> {
    let names = disk.names();
    (!names.is_empty()).then(|| names[usize::from(file) % names.len()].clone())
}

fn read(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    disk.content(name).expect("it was listed")
}

fn write(disk: &MemoryDisk, name: &str, at: usize, bytes: &[u8]) {
    disk.open(name).and_then(|file| file.write_at(at as u64, bytes)).expect("memory can be written");
}

/// Where the records of a segment, or the chunks of a snapshot, begin.
fn headers(bytes: &[u8], is_segment: bool) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 0usize);
    while let Some(header) = bytes.get(at..at.saturating_add(HEADER_BYTES)) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        found.push(at);
        let number =
            |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
        let payload = if is_segment { number(8) as u32 as usize } else { number(16) as usize };
        let skipped = if is_segment && header[12] == 11 { number(48) as usize } else { 0 };
        let end = at.saturating_add(HEADER_BYTES).saturating_add(payload);
        let end = if is_segment { end.saturating_add(7) & !7 } else { end };
        at = end.saturating_add(skipped);
    }
    found
}

/// Puts the checksums of a file right, wherever there are some.
fn seal(disk: &MemoryDisk, name: &str) {
    let mut bytes = read(disk, name);
    if name == "sihai" {
        for at in [0, 4096] {
            if let Some(copy) = bytes.get_mut(at..at + 32) {
                let crc = crc32c::crc32c(&copy[4..]);
                copy[..4].copy_from_slice(&crc.to_le_bytes());
            }
        }
    } else if name.starts_with("log-") {
        for at in headers(&bytes, true) {
            let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
            if let Some(payload) = bytes.get(at + HEADER_BYTES..(at + HEADER_BYTES).saturating_add(length)) {
                let crc = crc32c::crc32c(payload);
                bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
            }
            let crc = crc32c::crc32c(&bytes[at + 4..at + HEADER_BYTES]);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        }
    } else {
        for at in headers(&bytes, false) {
            let crc = crc32c::crc32c(&bytes[at + 4..at + HEADER_BYTES]);
            bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        }
    }
    write(disk, name, 0, &bytes);
}

fn apply(disks: &[MemoryDisk; 2], edit: Edit<'_>) {
    let disk_of = |second: bool| &disks[usize::from(second)];
    match edit {
        Edit::Bytes { disk, file, at, bytes } => {
            let disk = disk_of(disk);
            if let Some(name) = name_of(disk, file) {
                write(disk, &name, at.into(), bytes);
            }
        }
        Edit::Record { disk, file, record, at, bytes } => {
            let disk = disk_of(disk);
            let Some(name) = name_of(disk, file) else { return };
            let headers = headers(&read(disk, &name), name.starts_with("log-"));
            if let Some(header) = headers.get(usize::from(record) % headers.len().max(1)) {
                write(disk, &name, header + usize::from(at), bytes);
            }
        }
        Edit::Length { disk, file, length } => {
            let disk = disk_of(disk);
            if let Some(name) = name_of(disk, file) {
                disk.open(&name).and_then(|file| file.set_len(length.into())).expect("it can be cut");
            }
        }
        Edit::Remove { disk, file } => {
            let disk = disk_of(disk);
            if let Some(name) = name_of(disk, file) {
                disk.remove(&name).expect("it can be removed");
            }
        }
        Edit::Rename { disk, from, to, to_segment } => {
            let disk = disk_of(disk);
            let Some(from) = name_of(disk, from) else { return };
            let named = to_segment.map(|number| format!("log-{number:08x}"));
            if let Some(to) = named.or_else(|| name_of(disk, to)).filter(|to| *to != from) {
                disk.rename(&from, &to).expect("it can be renamed");
            }
        }
    }
}

/// Everything that recovery found can be read again, or is refused with a reason.
fn read_everything(store: &mut Store<MemoryDisk>, recovery: &storage::Recovery) {
    let mut requests = Vec::new();
    for (group, found) in &recovery.groups {
        let token = Token(requests.len() as u64);
        if let (Some(first), Some(last)) = (found.entries.first(), found.entries.last()) {
            let (group, first, through) = (*group, first.index, last.index);
            requests.push(DiskRequest::ReadEntries { token, group, first, through, bytes_max: u64::MAX });
        }
        if let Some(snapshot) = &found.snapshot {
            for number in 0..snapshot.chunks.len().min(100) as u32 {
                let (group, snapshot) = (*group, snapshot.id());
                requests.push(DiskRequest::ReadChunk { token, group, snapshot, number });
            }
        }
    }
    let (asked, mut answers) = (requests.len(), Vec::new());
    store.serve(requests, &mut answers);
    assert_eq!(answers.len(), asked);
}

fuzz_target!(|input: (bool, bool, u32, Vec<Edit<'_>>)| {
    let (mirrored, sealed, salt, edits) = input;
    let disks = sound().each_ref().map(|disk| disk.duplicate(disk.name()));
    for edit in edits {
        apply(&disks, edit);
    }
    if sealed {
        for disk in &disks {
            disk.names().iter().for_each(|name| seal(disk, name));
        }
    }
    let used = &disks[..if mirrored { 2 } else { 1 }];
    let handles = || used.iter().map(MemoryDisk::handle).collect::<Vec<_>>();
    if let Ok(report) = storage::check(handles()) {
        assert!(!report.to_string().is_empty());
    }
    let Ok((mut store, recovery)) = Store::open(handles(), options(salt)) else { return };
    read_everything(&mut store, &recovery);
    drop(store);
    let (store, again) = Store::open(handles(), options(salt.wrapping_add(1))).expect("it opened before");
    assert_eq!(again.groups, recovery.groups);
    drop(store);
});
