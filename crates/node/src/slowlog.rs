//! The slow log of this node: commands of its clients that took longer than `slowlog-log-slower-than`, from when they came to when
//! their answer was known, agreement of a majority and its disks included.

use crate::hub::{Hub, Waiter};
use crate::op::{BatchReader, encode_op};
use bytes::Bytes;
use std::collections::VecDeque;

/// A command with more words is shown with the rest counted.
const WORDS_MAX: usize = 32;
/// A longer word is shown with the rest counted.
const WORD_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub id: u64,
    /// When, in Unix seconds.
    pub at_s: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Its words, shortened.
    pub words: Vec<Bytes>,
    /// Where its client is.
    pub address: String,
    /// What its client calls itself.
    pub name: Vec<u8>,
}

/// The newest of them.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    next: u64,
}

impl SlowLog {
    /// Adds one; of more than `entries_max` the oldest go.
    pub fn add(&mut self, mut entry: Entry, entries_max: usize) {
        entry.id = self.next;
        self.next += 1;
        self.entries.push_front(entry);
        self.entries.truncate(entries_max);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The words as they are kept: not too many, and none too long.
pub fn shortened(words: &[&[u8]]) -> Vec<Bytes> {
    let kept = if words.len() > WORDS_MAX { WORDS_MAX - 1 } else { words.len() };
    let mut shown: Vec<Bytes> = words[..kept]
        .iter()
        .map(|word| match word.split_at_checked(WORD_BYTES_MAX) {
            Some((front, rest)) if !rest.is_empty() => {
                let mut front = front.to_vec();
                front.extend_from_slice(format!("... ({} more bytes)", rest.len()).as_bytes());
                front.into()
            }
            _ => Bytes::copy_from_slice(word),
        })
        .collect();
    if words.len() > kept {
        shown.push(format!("... ({} more arguments)", words.len() - kept).into());
    }
    shown
}

/// Tells the slow log of those operations of a batch for which somebody has waited long.
pub(crate) fn note_slow(hub: &mut Hub, batch: &[u8], waiters: &[Waiter]) {
    let Some(least) = hub.config.slower_than else { return };
    let now = hub.now;
    let is_slow = |waiter: &Waiter| matches!(waiter, Waiter::Client(ticket) | Waiter::Exec(ticket) if now.since(ticket.since()) >= least);
    // A batch that isn't slow is not read again.
    if !waiters.iter().any(is_slow) {
        return;
    }
    let Ok(mut reader) = BatchReader::new(batch) else { return };
    for waiter in waiters {
        let Ok(Some((_, op))) = reader.next() else { return };
        if is_slow(waiter) {
            let mut bytes = Vec::new();
            encode_op(&mut bytes, &op);
            hub.note_slow(*waiter, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_s: u64) -> Entry {
        Entry { id: 0, at_s, took_us: 1, words: Vec::new(), address: String::new(), name: Vec::new() }
    }

    #[test]
    fn the_newest_are_kept_under_growing_numbers() {
        let mut log = SlowLog::default();
        for at_s in 0..5 {
            log.add(entry(at_s), 2);
        }
        assert_eq!(log.iter().map(|entry| (entry.id, entry.at_s)).collect::<Vec<_>>(), [(4, 4), (3, 3)]);
        log.clear();
        log.add(entry(9), 2);
        assert_eq!(log.iter().map(|entry| entry.id).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn long_words_and_many_words_are_counted() {
        let long = vec![b'A'; 129];
        let mut words: Vec<&[u8]> = vec![b"sadd", &long];
        assert_eq!(shortened(&words)[1], format!("{}... (1 more bytes)", "A".repeat(128)));
        words.resize(33, b"x");
        let shown = shortened(&words);
        assert_eq!((shown.len(), &shown[31][..]), (32, &b"... (2 more arguments)"[..]));
        words.resize(32, b"x");
        assert_eq!(shortened(&words)[31], "x");
    }
}
