//! Choosing a key by a seed, from an order that is state: the same seed on the same keys gives the same one, on every
//! replica and after a snapshot was loaded, however differently their arrays are divided.

use crate::mutators::Store;
use crate::position::{HASH_BITS, Position};
use crate::record::Record;
use crate::slot::{Entry, Slot};
use base::{Rng, UnixMillis};

/// How often a key that has expired is drawn before the choice is made otherwise.
const DRAWS_MAX: usize = 64;
/// In a slot with fewer keys the arrays before the chosen key are counted.
const COUNTED_MAX: usize = 1024;
/// Windows of a large slot hold 32 to 64 keys on the average; this many practically never.
const WINDOW_AVERAGE_MIN: usize = 32;
const WINDOW_MAX: u64 = 4 * WINDOW_AVERAGE_MIN as u64;

/// A key that is there at `now`, each as likely as any other unless nearly all have expired.
pub(crate) fn pick(store: &Store, now: UnixMillis, seed: u64) -> Option<&Record> {
    let len = store.table.len();
    let last_deadline = store.deadlines.last();
    if store.deadlines.len() == len && last_deadline.is_none_or(|(at, _)| at <= now) {
        return None;
    }
    let mut rng = Rng::new(seed);
    let mut drawn = Position::FIRST;
    for _ in 0..DRAWS_MAX {
        let (number, slot, rank) = store.table.slot_of_nth(rng.below(len));
        let entry = draw(number, slot, rank, &mut rng);
        if entry.record.is_live(now) {
            return Some(&entry.record);
        }
        drawn = entry.position;
    }
    // Nearly all have expired. The one that expires last is found at once; if it has expired too, those that never
    // do are left, and are looked for in order.
    match last_deadline {
        Some((at, position)) if at > now => {
            store.table.group(position).iter().map(|entry| &entry.record).find(|r| r.gone_at() == Some(at))
        }
        _ => {
            let is_live = |entry: &&Entry| entry.record.is_live(now);
            let after = store.table.iter_from(drawn).find(is_live);
            after.or_else(|| store.table.iter().find(is_live)).map(|entry| &entry.record)
        }
    }
}

/// A key by chance, expired or not; `nth` is a number drawn below how many there are.
pub(crate) fn draw_any<'a>(store: &'a Store, nth: u64, rng: &mut Rng) -> &'a Record {
    let (number, slot, rank) = store.table.slot_of_nth(nth);
    &draw(number, slot, rank, rng).record
}

/// A key of a slot: the one of this rank, or in a large slot, where counting would take long, one of a window of the
/// hashes that is drawn until a second draw falls within it. The windows depend only on how many keys there are.
fn draw<'a>(number: u16, slot: &'a Slot, rank: u64, rng: &mut Rng) -> &'a Entry {
    let len = slot.len();
    if len <= COUNTED_MAX {
        return slot.nth(rank as usize);
    }
    let windows_log2 = (len / WINDOW_AVERAGE_MIN).ilog2();
    let width = 1u64 << (HASH_BITS - windows_log2);
    for _ in 0..DRAWS_MAX {
        let start = Position::of_slot(number).plus(rng.below(1 << windows_log2) * width);
        let index = rng.below(WINDOW_MAX);
        if let Some(entry) = nth_within(slot, start, width, index as usize) {
            return entry;
        }
    }
    // Only hashes that don't spread come to this.
    slot.nth(rank as usize)
}

fn nth_within(slot: &Slot, start: Position, width: u64, mut index: usize) -> Option<&Entry> {
    let last = start.plus(width - 1);
    let mut from = start;
    loop {
        let slice = slot.slice_from(from);
        let within = slice.partition_point(|entry| entry.position <= last);
        if let Some(entry) = slice[..within].get(index) {
            return Some(entry);
        }
        if within < slice.len() || within == 0 {
            return None;
        }
        index -= within;
        from = slice[within - 1].position.next().filter(|&next| next <= last)?;
    }
}
