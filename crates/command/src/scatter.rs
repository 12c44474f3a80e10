//! Commands over the whole database. Each has a part that runs at every shard's leader, on that shard's share, and a
//! merge that the gateway runs on what the parts answered; how the parts travel is the node's business.
//!
//! SCAN's cursor names a place in the order (slot, keyed hash), which is the same on every replica: `Cursor`.

use crate::error::Error;
use crate::glob;
use crate::spec::{Categories, Flags as F, Group, Place, Spec};
use crate::words::{integer, is};
use base::database::{Database, Kind, ScanPosition};
use base::{Rng, Slot};
use resp::Writer;

const ALL_SUCCEED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const fn whole(id: u16, name: &'static str, arity: i32, group: Group) -> Spec {
    Spec::new(id, name, arity, group, Place::Cluster).category(Categories::KEYSPACE)
}

/// These commands' part of the table.
pub(crate) const SPECS: &[Spec] = &[
    whole(192, "scan", -2, Group::Generic)
        .flags(&[F::READONLY])
        .docs(
            "2.8.0",
            "O(1) a call, O(N) for a whole walk over N keys",
            "Walks over the keys, a page a call.",
        )
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"]),
    whole(193, "keys", 2, Group::Generic)
        .flags(&[F::READONLY])
        .category(Categories::DANGEROUS)
        .docs("1.0.0", "O(N) for N keys in the database", "Answers all keys that match a pattern.")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    whole(194, "randomkey", 1, Group::Generic)
        .flags(&[F::READONLY])
        .docs("1.0.0", "O(1)", "Answers a key chosen by chance.")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    whole(195, "dbsize", 1, Group::Server)
        .flags(&[F::READONLY, F::FAST])
        .docs("1.0.0", "O(1)", "Counts the keys of the database.")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    whole(196, "flushdb", -1, Group::Server)
        .flags(&[F::WRITE])
        .category(Categories::DANGEROUS)
        .docs("1.0.0", "O(N) for N keys in the database", "Deletes all keys of the database.")
        .tips(ALL_SUCCEED)
        .does(flush),
    whole(197, "flushall", -1, Group::Server)
        .flags(&[F::WRITE])
        .category(Categories::DANGEROUS)
        .docs("1.0.0", "O(N) for N keys altogether", "Deletes all keys of all databases.")
        .tips(ALL_SUCCEED)
        .does(flush),
];

/// Keys whose hashes agree in all but these low bits are always on one page.
const DROPPED_BITS: u32 = 14;

/// What SCAN's cursor says: a slot and the top 50 bits of a hash, in one number. A page ends at such a place, so the
/// place after (slot, hash) is (slot, hash with its low 14 bits cleared). 0 is both the beginning and, in an answer,
/// the end; no page ends at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Reads a client's cursor. Every number is one.
    pub fn parse(word: &[u8]) -> Result<Self, Error> {
        let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(word).ok().filter(|_| digits);
        text.and_then(|text| text.parse().ok()).map(Self).ok_or(Error::InvalidCursor)
    }

    /// The cursor of a place, or of the bucket that it lies in.
    pub const fn of(position: ScanPosition) -> Self {
        Self((position.slot.number() as u64) << (u64::BITS - DROPPED_BITS) | position.hash >> DROPPED_BITS)
    }

    /// The place where it goes on.
    pub const fn position(self) -> ScanPosition {
        ScanPosition {
            slot: Slot::of_hash((self.0 >> (u64::BITS - DROPPED_BITS)) as u16),
            hash: self.0 << DROPPED_BITS,
        }
    }
}

/// The words of SCAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Where the page begins.
    pub cursor: Cursor,
    /// COUNT: about how many keys are looked at.
    pub count: usize,
    /// MATCH: which of them are answered.
    pub pattern: Option<&'a [u8]>,
    /// TYPE: the name of the type that is answered; a name that no type has answers nothing.
    pub kind: Option<&'a [u8]>,
}

/// How many keys a page looks at unless COUNT says otherwise.
pub const SCAN_COUNT: usize = 10;
/// The most keys that one page looks at, whatever COUNT says; the cursor tells the client to go on.
pub const SCAN_COUNT_MAX: usize = 10_000;

impl<'a> Scan<'a> {
    /// Reads them.
    pub fn parse(args: &[&'a [u8]]) -> Result<Self, Error> {
        let cursor = Cursor::parse(args[1])?;
        let mut scan = Self { cursor, count: SCAN_COUNT, pattern: None, kind: None };
        let (options, rest) = args[2..].as_chunks::<2>();
        for [option, value] in options {
            if is(option, "count") {
                let count = integer(value)?;
                if count < 1 {
                    return Err(Error::Syntax);
                }
                scan.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if is(option, "match") {
                scan.pattern = Some(value).filter(|pattern| !glob::is_all(pattern)).copied();
            } else if is(option, "type") {
                scan.kind = Some(value);
            } else {
                return Err(Error::Syntax);
            }
        }
        if rest.is_empty() { Ok(scan) } else { Err(Error::Syntax) }
    }

    fn wants(&self, key: &[u8], kind: Kind) -> bool {
        self.kind.is_none_or(|name| is(name, kind.name()))
            && self.pattern.is_none_or(|pattern| glob::matches(pattern, key))
    }
}

/// What one shard found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys that were asked for.
    pub keys: Vec<Vec<u8>>,
    /// Where this shard's next page begins; nothing if it has no more keys.
    pub next: Option<ScanPosition>,
}

/// One shard's part of SCAN: its keys from `from` on. The page ends where a [`Cursor`] can point, and always after
/// `from`.
pub fn scan_page(db: &dyn Database, from: ScanPosition, scan: &Scan<'_>) -> Page {
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], kind: Kind| {
        if scan.wants(key, kind) {
            keys.push(key.to_vec());
        }
    };
    let mut at = from;
    let mut limit = scan.count.clamp(1, SCAN_COUNT_MAX);
    let next = loop {
        let Some(next) = db.scan(at, limit, &mut visit) else { break None };
        base::invariant!("a scan goes forward", next > at);
        // Going back to the bucket's beginning may repeat a key, which SCAN allows; skipping one it does not. If that
        // would be no step forward, the page goes on until it is one.
        let rounded = Cursor::of(next).position();
        if rounded > from {
            break Some(rounded);
        }
        at = next;
        limit = 1;
    };
    Page { keys, next }
}

/// Answers a page: the cursor and the keys. `next` is the place where the walk goes on, on whichever shard; nothing at
/// the end of all.
pub fn reply_page(reply: &mut Writer<'_>, next: Option<ScanPosition>, keys: &[Vec<u8>]) {
    reply.array(2);
    let cursor = next.map_or(Cursor(0), Cursor::of);
    reply.bulk(resp::number::IntegerText::unsigned(cursor.0).as_bytes());
    reply_keys(reply, keys);
}

/// One shard's part of KEYS: its keys that match.
pub fn keys_matching(db: &dyn Database, pattern: &[u8]) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let all = glob::is_all(pattern);
    let mut visit = |key: &[u8], _: Kind| {
        if all || glob::matches(pattern, key) {
            keys.push(key.to_vec());
        }
    };
    let mut from = ScanPosition::default();
    while let Some(next) = db.scan(from, SCAN_COUNT_MAX, &mut visit) {
        base::invariant!("a scan goes forward", next > from);
        from = next;
    }
    keys
}

/// One slot's keys, at most `limit` of them, for CLUSTER GETKEYSINSLOT.
pub fn keys_in_slot(
    db: &dyn Database,
    slot: Slot,
    limit: usize,
    slot_of: impl Fn(&[u8]) -> Slot,
) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut from = ScanPosition { slot, hash: 0 };
    while keys.len() < limit && from.slot == slot {
        let page = (limit - keys.len()).min(SCAN_COUNT_MAX);
        let next = db.scan(from, page, &mut |key, _| {
            if keys.len() < limit && slot_of(key) == slot {
                keys.push(key.to_vec());
            }
        });
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    keys
}

/// Answers keys, from however many shards.
pub fn reply_keys(reply: &mut Writer<'_>, keys: &[Vec<u8>]) {
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
}

/// RANDOMKEY: which of the shards, whose sizes these are, picks the key, so that every key is as likely as any other;
/// nothing if all are empty. The shard then picks with [`Database::pick`].
pub fn random_shard(sizes: &[u64], seed: u64) -> Option<usize> {
    let total = sizes.iter().try_fold(0u64, |sum, size| sum.checked_add(*size)).filter(|total| *total > 0)?;
    let mut chosen = Rng::new(seed).below(total);
    sizes.iter().position(|size| match chosen.checked_sub(*size) {
        Some(rest) => {
            chosen = rest;
            false
        }
        None => true,
    })
}

/// Checks the words of FLUSHDB and FLUSHALL: ASYNC and SYNC are taken, and mean the same.
pub fn check_flush(args: &[&[u8]]) -> Result<(), Error> {
    match args {
        [_] => Ok(()),
        [_, how] if is(how, "async") || is(how, "sync") => Ok(()),
        _ => Err(Error::Syntax),
    }
}

/// One shard's part of FLUSHDB, and of FLUSHALL for one database.
fn flush(c: &mut crate::Context<'_>) -> Result<(), Error> {
    check_flush(c.args)?;
    c.db.clear();
    c.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests;
