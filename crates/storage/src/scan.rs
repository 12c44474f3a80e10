//! Reads one segment from all the mirrors that have it, and says what is there: which records are good on some mirror,
//! which aren't on any, and where the readable part ends. What it says must depend on nothing but the bytes.

use crate::record::{ALIGNMENT, Body, HEADER_BYTES, Header, Kind, Seal, SegmentStart};
use bytes::Bytes;

/// One record that has a readable header on some mirror.
#[derive(Debug)]
pub struct Item {
    /// Where its header begins.
    pub offset: u64,
    /// Its header.
    pub header: Header,
    /// What it says, if a mirror has an undamaged payload.
    pub body: Option<Body>,
}

/// A segment, read.
#[derive(Debug)]
pub struct Scan {
    /// Its records, by offset; the end mark in force isn't one of them.
    pub items: Vec<Item>,
    /// The first byte behind the last record.
    pub end: u64,
    /// Whether an end mark there says that nothing followed.
    pub clean: bool,
    /// That end mark; it names the last batch even if nothing else of that is readable.
    pub mark: Option<Header>,
    /// Where nothing could be made of the bytes between two records.
    pub gaps: Vec<(u64, u64)>,
    /// The bytes as they should be on every mirror, up to behind the end mark.
    pub truth: Vec<u8>,
}

/// What the first record of a segment says.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The salt of all its records.
    pub salt: u32,
    /// Its first batch.
    pub batch: u64,
    /// The rest.
    pub start: SegmentStart,
}

impl Opening {
    /// Where the segment before ends.
    pub fn seal(&self) -> Option<Seal> {
        self.start.previous
    }
}

fn payload<'i>(image: &'i [u8], offset: usize, header: &Header) -> Option<&'i [u8]> {
    let start = offset + HEADER_BYTES;
    let bytes = image.get(start..start.checked_add(header.payload_bytes as usize)?)?;
    (crc32c::crc32c(bytes) == header.payload_crc).then_some(bytes)
}

/// Finds the segment's first record, or its second copy, in any of the images.
pub fn opening(images: &[&[u8]], segment: u32) -> Option<Opening> {
    let longest = images.iter().map(|image| image.len()).max().unwrap_or(0);
    for offset in (0..longest).step_by(ALIGNMENT) {
        for image in images {
            let Some(window) = image.get(offset..offset + HEADER_BYTES) else { continue };
            if window[12] != Kind::Segment as u8 || window[16..20] != segment.to_le_bytes() {
                continue;
            }
            let Some(header) = Header::get(window) else { continue };
            let Some(bytes) = payload(image, offset, &header) else { continue };
            if let Ok(Body::Segment(start)) = Body::decode(&header, Bytes::copy_from_slice(bytes)) {
                return Some(Opening { salt: header.salt, batch: header.batch, start });
            }
        }
    }
    None
}

/// Where a header names its segment, and behind it the salt.
const SEGMENT_AT: usize = 16;

struct Reader<'i> {
    images: &'i [&'i [u8]],
    segment: u32,
    salt: u32,
    longest: usize,
}

impl Reader<'_> {
    /// The best header at `offset`: of the newest batch, and a record rather than an end mark, because a mirror that
    /// missed the last write still has the mark of the one before.
    fn header(&self, offset: usize) -> Option<Header> {
        let mut best: Option<Header> = None;
        for image in self.images {
            let Some(window) = image.get(offset..offset + HEADER_BYTES) else { continue };
            if window[16..20] != self.segment.to_le_bytes() || window[20..24] != self.salt.to_le_bytes() {
                continue;
            }
            let Some(header) = Header::get(window) else { continue };
            let rank = |header: &Header| (header.batch, header.kind != Kind::End);
            if best.as_ref().is_none_or(|known| rank(&header) > rank(known)) {
                best = Some(header);
            }
        }
        best
    }

    /// The next readable header of `batch` or a later one from `offset` on. Most of a young segment is searched in vain
    /// at every start, so what can't be a header is passed over at the speed of memory.
    fn seek(&self, offset: usize, batch: u64) -> Option<usize> {
        let mut next: Vec<Option<usize>> =
            self.images.iter().map(|image| self.next_candidate(image, offset)).collect();
        loop {
            let at = next.iter().flatten().copied().min()?;
            if self.header(at).is_some_and(|header| header.batch >= batch) {
                return Some(at);
            }
            for (image, next) in self.images.iter().zip(&mut next) {
                if *next == Some(at) {
                    *next = self.next_candidate(image, at + ALIGNMENT);
                }
            }
        }
    }

    /// The first place from `offset` on where a header of this segment may be.
    fn next_candidate(&self, image: &[u8], offset: usize) -> Option<usize> {
        let mark = u64::from(self.segment) | u64::from(self.salt) << 32;
        let marks = image.get(offset + SEGMENT_AT..)?.chunks(ALIGNMENT);
        let found =
            marks.map(|bytes| bytes.first_chunk()).position(|bytes| bytes == Some(&mark.to_le_bytes()))?;
        Some(offset + found * ALIGNMENT)
    }

    /// Where the next record begins, at the end of the segment at the latest.
    fn behind(&self, offset: usize, header: &Header) -> usize {
        (offset as u64).saturating_add(header.span()).min(self.longest as u64) as usize
    }

    fn body(&self, offset: usize, header: &Header, truth: &mut Vec<u8>) -> Option<Body> {
        let image = self.images.iter().find(|image| payload(image, offset, header).is_some())?;
        let bytes = Bytes::copy_from_slice(payload(image, offset, header)?);
        let body = Body::decode(header, bytes.clone()).ok()?;
        let end = (offset + HEADER_BYTES + bytes.len()).max(self.behind(offset, header));
        truth.resize(truth.len().max(end), 0);
        header.put(&mut truth[offset..]);
        truth[offset + HEADER_BYTES..end].fill(0);
        truth[offset + HEADER_BYTES..offset + HEADER_BYTES + bytes.len()].copy_from_slice(&bytes);
        Some(body)
    }
}

/// Reads the segment. `limit` is where a later segment says that it ends.
pub fn scan(images: &[&[u8]], segment: u32, opening: &Opening, limit: Option<u64>) -> Scan {
    let longest = images.iter().map(|image| image.len()).max().unwrap_or(0);
    let longest = limit.map_or(longest, |limit| longest.min(limit as usize));
    let clipped: Vec<&[u8]> = images.iter().map(|image| &image[..image.len().min(longest)]).collect();
    let reader = Reader { images: &clipped, segment, salt: opening.salt, longest };
    let mut scan =
        Scan { items: Vec::new(), end: 0, clean: false, mark: None, gaps: Vec::new(), truth: Vec::new() };
    let (mut offset, mut batch) = (0, opening.batch);
    loop {
        let header = reader.header(offset).filter(|header| header.batch >= batch);
        match header {
            Some(header) if header.kind == Kind::End => {
                // If the batch after the next one is readable, the next one was complete once, and this mark is one
                // that a lost write should have replaced.
                match reader.seek(offset + HEADER_BYTES, header.batch + 2) {
                    Some(found) => {
                        scan.gaps.push((offset as u64, found as u64));
                        offset = found;
                    }
                    None => {
                        scan.truth.resize(offset + HEADER_BYTES, 0);
                        header.put(&mut scan.truth[offset..]);
                        (scan.clean, scan.mark) = (true, Some(header));
                        scan.end = offset as u64;
                        break;
                    }
                }
            }
            Some(header) => {
                batch = header.batch;
                let body = reader.body(offset, &header, &mut scan.truth);
                scan.items.push(Item { offset: offset as u64, header, body });
                offset = reader.behind(offset, &header);
                scan.end = offset as u64;
            }
            None => match reader.seek(offset, batch) {
                Some(found) => {
                    scan.gaps.push((offset as u64, found as u64));
                    offset = found;
                }
                None => break,
            },
        }
    }
    if limit.is_some() {
        scan.clean = true;
    }
    scan
}
