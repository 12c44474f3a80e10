//! What small collections cost in memory, and how fast they change: some hundred thousand elements in collections of 5, 30,
//! 60 and 120 short ones, of every type, on one thread. Run it in release:
//! `cargo run --release -p keyspace --example small_collections`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement reads the clock and /proc"
)]

use base::database::{Expiry, Hashes, Lists, Sets, SortedSets};
use base::{DatabaseId, UnixMillis};
use keyspace::{Keyspace, View};
use std::hint::black_box;

const ELEMENTS: usize = 1_000_000;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const DATABASE: DatabaseId = DatabaseId(1);
/// Changes go through the keys by steps of this many: a prime, so that they meet each once, in no order of memory.
const STRIDE: usize = 7_919;

/// A type of collection, as the measurement needs it.
struct Type {
    name: &'static str,
    /// Adds the element of this number.
    add: fn(&mut View<'_>, &[u8], usize),
    /// What is measured on full ones, with the number of an element that is there.
    operations: &'static [(&'static str, Operation)],
}

type Operation = fn(&mut View<'_>, &[u8], usize);

const TYPES: &[Type] = &[
    Type {
        name: "hash",
        add: |view, key, number| put_field(view, key, number, b"value1"),
        operations: &[
            ("HSET, new value", |view, key, number| put_field(view, key, number, b"value2")),
            ("HGET", |view, key, number| {
                let hash = view.hash(key).expect("a hash").expect("it is there");
                assert!(black_box(hash.get(&name(number), NOW)).is_some());
            }),
            ("HDEL and HSET", |view, key, number| {
                assert_eq!(view.hash_remove(key, &[&name(number)]), Ok(1));
                put_field(view, key, number, b"value1");
            }),
        ],
    },
    Type {
        name: "sorted set",
        add: |view, key, number| put_score(view, key, number, number),
        operations: &[
            ("ZADD, another score", |view, key, number| put_score(view, key, number, number + 7)),
            ("ZSCORE", |view, key, number| {
                let set = view.sorted_set(key).expect("a sorted set").expect("it is there");
                assert!(black_box(set.score(&name(number))).is_some());
            }),
            ("ZREM and ZADD", |view, key, number| {
                assert_eq!(view.sorted_set_remove(key, &[&name(number)]), Ok(1));
                put_score(view, key, number, number);
            }),
        ],
    },
    Type {
        name: "set",
        add: |view, key, number| assert_eq!(view.set_add(key, &[&name(number)]), Ok(1)),
        operations: &[
            ("SISMEMBER", |view, key, number| {
                let set = view.set(key).expect("a set").expect("it is there");
                assert!(black_box(set.contains(&name(number))));
            }),
            ("SREM and SADD", |view, key, number| {
                assert_eq!(view.set_remove(key, &[&name(number)]), Ok(1));
                assert_eq!(view.set_add(key, &[&name(number)]), Ok(1));
            }),
        ],
    },
    Type {
        name: "list",
        add: push,
        operations: &[("RPUSH and LPOP", |view, key, number| {
            push(view, key, number);
            view.list_remove(key, 0, 1).expect("a list");
        })],
    },
];

fn name(number: usize) -> [u8; 4] {
    let digit = |unit: usize| b'0' + (number / unit % 10) as u8;
    [b'f', digit(100), digit(10), digit(1)]
}

fn put_field(view: &mut View<'_>, key: &[u8], number: usize, value: &[u8]) {
    view.hash_set(key, &[(&name(number), value)], Expiry::Clear).expect("a hash");
}

fn put_score(view: &mut View<'_>, key: &[u8], number: usize, score: usize) {
    view.sorted_set_put(key, &[(&name(number), score as f64)]).expect("a sorted set");
}

fn push(view: &mut View<'_>, key: &[u8], number: usize) {
    let list = view.list(key).expect("a list");
    let end = list.map_or(0, |list| list.len());
    view.list_insert(key, end, &[&name(number)[3..]]).expect("a list");
}

/// Each measurement in a process of its own: what one has freed would hide what the next one takes.
fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    if let [of, size] = arguments[..] {
        return small(&TYPES[of], size);
    }
    let itself = std::env::current_exe().expect("a program has a path");
    for size in [5, 30, 60, 120] {
        for of in 0..TYPES.len() {
            let arguments = [of, size].map(|number| number.to_string());
            let status = std::process::Command::new(&itself).args(arguments).status();
            assert!(status.is_ok_and(|status| status.success()));
        }
    }
}

fn small(of: &Type, size: usize) {
    let count = ELEMENTS / size;
    let keys: Vec<String> = (0..count).map(|number| format!("{}:{number:06}", &of.name[..1])).collect();
    let mut keyspace = Keyspace::new([1, 2]);
    keyspace.set_revision(1);
    println!("{count} of type {} with {size} elements", of.name);
    let before = resident_bytes();
    measure("filled, elements", count * size, || {
        for number in 0..size {
            for key in &keys {
                (of.add)(&mut keyspace.database(DATABASE, NOW), key.as_bytes(), number);
            }
        }
    });
    println!(
        "  memory of one: {:.1} B resident, {:.1} B by account",
        resident_bytes().saturating_sub(before) as f64 / count as f64,
        keyspace.memory_bytes() as f64 / count as f64
    );
    for (name, operation) in of.operations {
        measure(name, count, || {
            for index in 0..count {
                let key = keys[index * STRIDE % count].as_bytes();
                operation(&mut keyspace.database(DATABASE, NOW), key, index % size);
            }
        });
    }
}

/// Prints the rate by the processor time that was really had, since others may use the machine, too.
fn measure(what: &str, count: usize, work: impl FnOnce()) {
    let had = processor_seconds();
    work();
    println!("  {what}: {:.2} M a second", count as f64 / (processor_seconds() - had) / 1e6);
}

fn processor_seconds() -> f64 {
    let times = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
