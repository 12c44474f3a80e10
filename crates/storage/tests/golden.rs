//! The bytes of version 1, as `docs/formats/log.md` and `docs/formats/snapshot.md` draw them. A difference here is another
//! format: it needs another version, and a release that still reads this one. `SIHAI_BLESS=1` writes the files anew.

mod common;

use base::log::{ConfigChange, ConfigStep, Payload, Transition};
use base::{Entry, GroupId, Index, NodeId, ReplicaId, Term};
use bytes::Bytes;
use common::*;
use std::fmt::Write;
use storage::memory::MemoryDisk;
use storage::{Disk, DiskFile, Identity, Op, SnapshotId};

/// Sixteen bytes a line; lines that repeat the one above are a star, and so is the end of a file in zeros.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut above: &[u8] = &[];
    let mut starred = false;
    for (nth, line) in bytes.chunks(16).enumerate() {
        if line == above {
            if !starred {
                text.push_str("*\n");
            }
            starred = true;
            continue;
        }
        (above, starred) = (line, false);
        write!(text, "{:06x} ", nth * 16).expect("strings grow");
        for byte in line {
            write!(text, " {byte:02x}").expect("strings grow");
        }
        text.push('\n');
    }
    writeln!(text, "{:06x}", bytes.len()).expect("strings grow");
    text
}

/// The bytes that a dump shows.
fn undump(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut starred = false;
    for line in text.lines() {
        if line == "*" {
            starred = true;
            continue;
        }
        let mut fields = line.split_ascii_whitespace();
        let offset = usize::from_str_radix(fields.next().expect("an offset"), 16).expect("a number");
        if starred {
            let above = bytes[bytes.len() - 16..].to_vec();
            while bytes.len() < offset {
                bytes.extend_from_slice(&above);
            }
            starred = false;
        }
        bytes.extend(fields.map(|field| u8::from_str_radix(field, 16).expect("a byte")));
    }
    bytes
}

fn written() -> MemoryDisk {
    let disk = MemoryDisk::new("data");
    let (mut store, _) = open(&disk);
    let identity = Identity {
        cluster: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
        node: NodeId(1),
        start: 1,
        settings: Bytes::from_static(b"settings"),
    };
    let config = ConfigChange {
        transition: Transition::Auto,
        steps: vec![ConfigStep::AddVoter(ReplicaId::new(2, 5))],
        context: Bytes::from_static(b"context"),
    };
    let entries = [
        Entry { term: Term(1), index: Index(1), payload: Payload::Empty },
        Entry { term: Term(1), index: Index(2), payload: Payload::Config(config) },
        entry(2, 3, "a command"),
    ];
    store.write(&[Op::Identity(identity), create(G1), state(G1, 2, 3, 0)]).unwrap();
    store.write(&[append(G1, &entries), state(G1, 2, 3, 2)]).unwrap();
    store.write(&snapshot(G1, 2, 1, &["chunk zero", "chunk one"], false)).unwrap();
    store.write(&[create(G2), append(G2, &[entry(1, 1, "gone")])]).unwrap();
    store.write(&[Op::DropReplica { group: G2 }, Op::DoubtSettled { group: G1 }]).unwrap();
    disk
}

#[expect(clippy::disallowed_methods, reason = "a test that is asked to writes its golden file")]
fn compare(name: &str, expected: &str, bytes: &[u8]) {
    let found = dump(bytes);
    if std::env::var_os("SIHAI_BLESS").is_some() {
        let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &found).expect("the golden file can be written");
        return;
    }
    assert_eq!(found, expected, "{name}: these bytes are another format than version 1");
}

#[test]
fn the_bytes_of_version_1_are_what_they_were() {
    let disk = written();
    let of = |name: &str| disk.content(name).unwrap();
    compare("sihai", include_str!("golden/sihai.hex"), &of("sihai"));
    compare("log-00000001", include_str!("golden/log-00000001.hex"), &of("log-00000001"));
    compare("log-00000002", include_str!("golden/log-00000002.hex"), &of("log-00000002"));
    compare("snapshot-1-2-1", include_str!("golden/snapshot-1-2-1.hex"), &of("snapshot-1-2-1"));
}

#[test]
fn a_directory_of_version_1_is_read() {
    let disk = MemoryDisk::new("data");
    for (name, text) in [
        ("sihai", include_str!("golden/sihai.hex")),
        ("log-00000001", include_str!("golden/log-00000001.hex")),
        ("log-00000002", include_str!("golden/log-00000002.hex")),
        ("snapshot-1-2-1", include_str!("golden/snapshot-1-2-1.hex")),
    ] {
        disk.create(name).unwrap().write_at(0, &undump(text)).unwrap();
    }
    let (mut store, recovery) = open(&disk);
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    let identity = recovery.identity.unwrap();
    assert_eq!((identity.cluster, identity.start), (0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, 2));
    assert_eq!(recovery.groups.keys().copied().collect::<Vec<GroupId>>(), [G1]);
    let group = &recovery.groups[&G1];
    assert_eq!(group.entries, [entry(2, 3, "a command")]);
    assert_eq!((group.hard_state.term, group.hard_state.vote), (Term(2), Some(ReplicaId::new(3, 1))));
    let id = SnapshotId { index: Index(2), term: Term(1) };
    assert_eq!(store.chunk(G1, id, 1).unwrap(), "chunk one");
}
