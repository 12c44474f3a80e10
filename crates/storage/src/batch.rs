//! Builds the bytes of one batch: records in order, then the second copies of those that are written twice, then the end
//! mark. What isn't known until the batch has its place (segment, salt, number, count) is filled in by `Batch::finish`.

use crate::record::{
    APPEND_BYTES_MAX, COPY_DISTANCE_BYTES, Copies, HEADER_BYTES, Header, Kind, NO_ORDER, aligned,
};
use base::codec::{Encode, Encoder};
use base::{Entry, GroupId, Index, Payload, Term};
use std::ops::Range;

/// A batch that is being built. Its buffers are used again for the next one.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Placed>,
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// The segment.
    pub segment: u32,
    /// Its salt.
    pub salt: u32,
    /// The number of the batch.
    pub batch: u64,
}

#[derive(Debug)]
struct Placed {
    at: Range<usize>,
    header: Header,
    twice: bool,
}

/// Where a record came to lie in the batch.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// From the beginning of the batch to the record's.
    pub offset: u64,
    /// How long its payload is.
    pub payload_bytes: u32,
}

fn blank(kind: Kind, group: GroupId) -> Header {
    Header {
        payload_crc: 0,
        payload_bytes: 0,
        kind,
        copy: Copies::Only,
        segment: 0,
        salt: 0,
        batch: 0,
        order: NO_ORDER,
        count: 0,
        group,
        entries: 0,
        index: Index::ZERO,
        term: Term(0),
    }
}

impl Batch {
    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        // A rare huge batch shouldn't occupy memory for ever.
        self.bytes.shrink_to(16 << 20);
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn record(&mut self, mut header: Header, twice: bool, payload: impl FnOnce(&mut Encoder<'_>)) -> Spot {
        let start = self.bytes.len();
        self.bytes.resize(start + HEADER_BYTES, 0);
        payload(&mut Encoder::new(&mut self.bytes));
        let body = &self.bytes[start + HEADER_BYTES..];
        header.payload_bytes = u32::try_from(body.len()).expect("records are bounded far below 4 GiB");
        header.payload_crc = crc32c::crc32c(body);
        header.order = self.records.len() as u32;
        header.copy = if twice { Copies::First } else { Copies::Only };
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self.records.push(Placed { at: start..self.bytes.len(), header, twice });
        Spot { offset: start as u64, payload_bytes: header.payload_bytes }
    }

    /// Adds a record that is written twice.
    pub fn control(
        &mut self,
        kind: Kind,
        group: GroupId,
        place: (Index, Term),
        payload: impl FnOnce(&mut Encoder<'_>),
    ) {
        let header = Header { index: place.0, term: place.1, ..blank(kind, group) };
        self.record(header, true, payload);
    }

    /// Adds a record that is written once, because losing it would lose only a hint.
    pub fn hint(
        &mut self,
        kind: Kind,
        group: GroupId,
        place: (Index, Term),
        payload: impl FnOnce(&mut Encoder<'_>),
    ) {
        let header = Header { index: place.0, term: place.1, ..blank(kind, group) };
        self.record(header, false, payload);
    }

    /// Adds entries; `entries` isn't empty and fits one record.
    pub fn append(&mut self, group: GroupId, previous_term: Term, entries: &[Entry]) -> Spot {
        let last = entries.last().expect("an append has entries");
        let header = Header {
            entries: entries.len() as u32,
            index: last.index,
            term: last.term,
            ..blank(Kind::Append, group)
        };
        self.record(header, false, |to| {
            to.u64(previous_term.0);
            for entry in entries {
                entry.encode(to);
            }
        })
    }

    /// Completes the batch for its destination: the bytes to write, end mark included, and how many of them count, so
    /// that the next batch begins there.
    pub fn finish(&mut self, to: Destination) -> (&[u8], u64) {
        let count = self.records.len() as u32;
        let place = |header: &mut Header| {
            (header.segment, header.salt, header.batch, header.count) =
                (to.segment, to.salt, to.batch, count);
        };
        for record in &mut self.records {
            place(&mut record.header);
            record.header.put(&mut self.bytes[record.at.clone()]);
        }
        if let Some(last) = self.records.iter().rfind(|record| record.twice) {
            let start = last.at.end + COPY_DISTANCE_BYTES;
            if start > self.bytes.len() {
                let skipped = (start - self.bytes.len()).saturating_sub(HEADER_BYTES);
                let mut padding =
                    Header { index: Index(skipped as u64), ..blank(Kind::Padding, GroupId::META) };
                place(&mut padding);
                push_header(&mut self.bytes, &padding);
                self.bytes.resize(self.bytes.len() + skipped, 0);
            }
            for record in self.records.iter().filter(|record| record.twice) {
                let start = self.bytes.len();
                self.bytes.extend_from_within(record.at.clone());
                Header { copy: Copies::Second, ..record.header }.put(&mut self.bytes[start..]);
            }
        }
        let counted = self.bytes.len() as u64;
        let mut end = blank(Kind::End, GroupId::META);
        place(&mut end);
        push_header(&mut self.bytes, &end);
        (&self.bytes, counted)
    }

    /// The bytes of the finished batch with `count` zeros behind them.
    pub fn fill(&mut self, count: u64) -> &[u8] {
        self.bytes.resize(self.bytes.len() + count as usize, 0);
        &self.bytes
    }
}

fn push_header(bytes: &mut Vec<u8>, header: &Header) {
    let start = bytes.len();
    bytes.resize(start + HEADER_BYTES, 0);
    header.put(&mut bytes[start..]);
}

/// How many bytes an entry takes in an Append.
fn entry_bytes(entry: &Entry) -> usize {
    17 + match &entry.payload {
        Payload::Empty => 0,
        Payload::Command(bytes) => 4 + bytes.len(),
        Payload::Config(change) => 9 + 9 * change.steps.len() + change.context.len(),
    }
}

/// Splits entries into runs that each fit a record.
pub fn pieces(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let mut count = 0;
        for entry in rest {
            bytes += entry_bytes(entry);
            if count > 0 && bytes > APPEND_BYTES_MAX {
                break;
            }
            count += 1;
        }
        let (piece, others) = rest.split_at(count);
        rest = others;
        Some(piece)
    })
}

/// At most how many bytes these entries take in a batch.
pub fn append_bound(entries: &[Entry]) -> u64 {
    let bytes: usize = entries.iter().map(entry_bytes).sum();
    // Two neighbouring records together carry more than APPEND_BYTES_MAX.
    let records = 2 * bytes / APPEND_BYTES_MAX + 1;
    (bytes + records * (HEADER_BYTES + 8 + 8)) as u64
}

/// At most how many bytes a record with this payload takes that is written twice, apart from [`batch_bound`].
pub fn control_bound(payload_bytes: usize) -> u64 {
    2 * (HEADER_BYTES + payload_bytes + 8) as u64
}

/// At most what a batch takes beside its records: an end mark, and the distance to the second copies if there are any.
pub const fn batch_bound(has_copies: bool) -> u64 {
    (if has_copies { COPY_DISTANCE_BYTES + 2 * HEADER_BYTES } else { HEADER_BYTES }) as u64
}
