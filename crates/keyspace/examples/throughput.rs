//! How fast one shard reads and writes on this machine, and what a key costs in memory: a million keys of 10 to 20
//! bytes with values of 3 to 100, in random order, on one thread. Run it in release:
//! `cargo run --release -p keyspace --example throughput`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement reads the clock and /proc"
)]

use base::database::{Database, Expiry, ScanPosition};
use base::{DatabaseId, Rng, UnixMillis};
use keyspace::Keyspace;
use std::hint::black_box;
use std::time::Instant;

const KEYS: usize = 1_000_000;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const DATABASE: DatabaseId = DatabaseId(1);

struct Key {
    bytes: [u8; 20],
    len: u8,
    number: u32,
}

impl Key {
    fn new(number: usize, rng: &mut Rng) -> Self {
        let mut bytes = [b'x'; 20];
        bytes[..10].copy_from_slice(format!("key:{number:06}").as_bytes());
        Self { bytes, len: 10 + rng.below(11) as u8, number: number as u32 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn number(&self) -> usize {
        self.number as usize
    }
}

fn main() {
    let mut rng = Rng::new(1);
    // In the order in which they are used, one after the other, as they would lie in a client's read buffer.
    let mut keys: Vec<Key> = (0..KEYS).map(|number| Key::new(number, &mut rng)).collect();
    for last in (1..keys.len()).rev() {
        keys.swap(last, rng.below(last as u64 + 1) as usize);
    }
    let values: Vec<Vec<u8>> = (0..1000).map(|_| vec![b'v'; 3 + rng.below(98) as usize]).collect();

    let mut keyspace = Keyspace::new([1, 2]);
    keyspace.set_revision(1);
    strings(&mut keyspace, &keys, &values);
    walks(&mut keyspace);
    flush(&mut keyspace);
    one_hash_tag();
}

/// SET and GET, and what the keys cost.
fn strings(keyspace: &mut Keyspace, keys: &[Key], values: &[Vec<u8>]) {
    let before = resident_bytes();
    let value = |key: &Key, change: usize| &values[(key.number() + change) % values.len()];
    let put = |keyspace: &mut Keyspace, key: &Key, change: usize, expiry| {
        keyspace.database(DATABASE, NOW).put_string(key.bytes(), value(key, change), expiry);
    };
    let payload: usize = keys.iter().map(|key| key.bytes().len() + value(key, 0).len()).sum();
    println!("key and value: {:.1} B", payload as f64 / KEYS as f64);
    measure("SET, new keys", KEYS, || {
        keys.iter().for_each(|key| put(keyspace, key, 0, Expiry::Clear));
    });
    print_memory("a key", before, keyspace);
    measure("SET, same length", KEYS, || {
        keys.iter().rev().for_each(|key| put(keyspace, key, 0, Expiry::Clear));
    });
    let get = |keyspace: &mut Keyspace| {
        measure("GET", KEYS, || {
            let mut bytes = 0;
            for key in keys.iter().rev() {
                let view = keyspace.database(DATABASE, NOW);
                bytes += view.string(key.bytes()).ok().flatten().expect("it was put there").len();
            }
            black_box(bytes);
        });
    };
    get(keyspace);
    measure("SET, other length", KEYS, || {
        keys.iter().for_each(|key| put(keyspace, key, 7, Expiry::Clear));
    });
    get(keyspace);
    measure("SET with a time to live", KEYS, || {
        for key in keys {
            let at = Expiry::At(NOW.plus(1 + key.number() as u64 * 7919 % 1_000_000));
            put(keyspace, key, 7, at);
        }
    });
    print_memory("a volatile key", before, keyspace);
}

/// What goes through all keys, or chooses among them.
fn walks(keyspace: &mut Keyspace) {
    measure("RANDOMKEY", 100_000, || {
        let view = keyspace.database(DATABASE, NOW);
        for seed in 0..100_000 {
            black_box(view.pick(seed));
        }
    });
    measure("SCAN, keys", KEYS, || {
        let view = keyspace.database(DATABASE, NOW);
        let mut from = Some(ScanPosition::default());
        let mut seen = 0;
        while let Some(position) = from {
            from = view.scan(position, 100, &mut |key, _| seen += key.len());
        }
        black_box(seen);
    });
    let mut chunks = Vec::new();
    measure("snapshot, keys written", KEYS, || {
        keyspace.begin_snapshot();
        while let Some(chunk) = keyspace.next_chunk(1 << 20) {
            chunks.push(chunk);
        }
    });
    let mut copy = Keyspace::new([1, 2]);
    measure("snapshot, keys loaded", KEYS, || {
        for chunk in &chunks {
            copy.load_chunk(chunk).expect("it was written a moment ago");
        }
    });
    assert_eq!(copy.digest(), keyspace.digest());
}

/// FLUSHDB, and what it leaves to be freed.
fn flush(keyspace: &mut Keyspace) {
    keyspace.set_revision(2);
    let start = Instant::now();
    keyspace.database(DATABASE, NOW).clear();
    println!("FLUSHDB: {:?}", start.elapsed());
    measure("what FLUSHDB left, keys freed", KEYS, || while keyspace.reclaim(1000) {});
}

/// Everything under one hash tag, so in one slot.
fn one_hash_tag() {
    let mut keyspace = Keyspace::new([1, 2]);
    keyspace.set_revision(1);
    let mut slowest = std::time::Duration::ZERO;
    measure("SET, new keys of one hash tag", KEYS, || {
        for number in 0..KEYS {
            let key = format!("{{tag}}:{number}");
            let start = Instant::now();
            keyspace.database(DATABASE, NOW).put_string(key.as_bytes(), b"value", Expiry::Clear);
            slowest = slowest.max(start.elapsed());
        }
    });
    println!("the slowest of them took {slowest:?}");
    measure("RANDOMKEY in one hash tag", 100_000, || {
        let view = keyspace.database(DATABASE, NOW);
        for seed in 0..100_000 {
            black_box(view.pick(seed));
        }
    });
    keyspace.check();
}

/// Prints the rate by the clock and by the processor time that was really had: on a machine that others use, too, the
/// second is what tells.
fn measure(what: &str, count: usize, work: impl FnOnce()) {
    let (start, had) = (Instant::now(), processor_seconds());
    work();
    let (elapsed, had) = (start.elapsed().as_secs_f64(), processor_seconds() - had);
    let rate = |seconds: f64| count as f64 / seconds / 1e6;
    println!("{what}: {:.2} M/s, {:.2} M a second of processor time", rate(elapsed), rate(had));
}

fn processor_seconds() -> f64 {
    let times = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn print_memory(what: &str, before: u64, keyspace: &Keyspace) {
    println!(
        "memory of {what}: {:.1} B resident, {:.1} B by account",
        resident_bytes().saturating_sub(before) as f64 / KEYS as f64,
        keyspace.memory_bytes() as f64 / KEYS as f64
    );
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
