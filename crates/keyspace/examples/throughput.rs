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

    let before = resident_bytes();
    let mut keyspace = Keyspace::new([1, 2]);
    keyspace.set_revision(1);
    let put = |keyspace: &mut Keyspace, key: &Key, change: usize, expiry| {
        let value = &values[(key.number() + change) % values.len()];
        keyspace.database(DATABASE, NOW).put_string(key.bytes(), value, expiry);
    };
    measure("SET, new keys", KEYS, || {
        for key in &keys {
            put(&mut keyspace, key, 0, Expiry::Clear);
        }
    });
    let resident = resident_bytes().saturating_sub(before);
    let payload: usize =
        keys.iter().map(|key| key.bytes().len() + values[key.number() % values.len()].len()).sum();
    println!(
        "memory a key: {:.1} B resident, {:.1} B by account, of which {:.1} B are key and value",
        resident as f64 / KEYS as f64,
        keyspace.memory_bytes() as f64 / KEYS as f64,
        payload as f64 / KEYS as f64
    );
    measure("SET, same length", KEYS, || {
        for key in keys.iter().rev() {
            put(&mut keyspace, key, 0, Expiry::Clear);
        }
    });
    measure("SET, other length", KEYS, || {
        for key in &keys {
            put(&mut keyspace, key, 7, Expiry::Clear);
        }
    });
    measure("GET", KEYS, || {
        let mut bytes = 0;
        for key in keys.iter().rev() {
            let view = keyspace.database(DATABASE, NOW);
            bytes += view.string(key.bytes()).ok().flatten().expect("it was put there").len();
        }
        black_box(bytes);
    });
    measure("SET with a time to live", KEYS, || {
        for key in &keys {
            let at = Expiry::At(NOW.plus(1 + key.number() as u64 * 7919 % 1_000_000));
            put(&mut keyspace, key, 7, at);
        }
    });
    let volatile = resident_bytes().saturating_sub(before);
    println!(
        "memory a volatile key: {:.1} B resident, {:.1} B by account",
        volatile as f64 / KEYS as f64,
        keyspace.memory_bytes() as f64 / KEYS as f64
    );
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
    measure("FLUSHDB and what it leaves behind, keys", KEYS, || {
        keyspace.set_revision(2);
        let start = Instant::now();
        keyspace.database(DATABASE, NOW).clear();
        println!("FLUSHDB itself: {:?}", start.elapsed());
        while keyspace.reclaim(1000) {}
    });
    one_hash_tag();
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

fn measure(what: &str, count: usize, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    println!("{what}: {:.2} M/s", count as f64 / elapsed.as_secs_f64() / 1e6);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
