//! Walks over the elements of one collection, a page a call: what HSCAN, SSCAN and ZSCAN have in common.

use crate::error::Error;
use crate::glob;
use crate::scatter::{SCAN_COUNT, SCAN_COUNT_MAX, reply_keys};
use crate::words::{integer, is};
use resp::Writer;
use resp::number::IntegerText;

/// The options of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElementScan<'a> {
    /// COUNT: about how many elements are looked at.
    pub(crate) count: usize,
    /// MATCH: which of them are answered.
    pattern: Option<&'a [u8]>,
}

impl<'a> ElementScan<'a> {
    /// Where the page begins. Redis reads this before it looks for the key, and the options after.
    pub(crate) fn cursor(word: &[u8]) -> Result<u64, Error> {
        let text = std::str::from_utf8(word).map_err(|_| Error::InvalidCursor)?;
        text.parse().map_err(|_| Error::InvalidCursor)
    }

    /// Reads the options.
    pub(crate) fn parse(words: &[&'a [u8]]) -> Result<Self, Error> {
        Self::parse_any(words, None).map(|(scan, _)| scan)
    }

    /// Reads the options, of which one without a value may be `flag`; whether it was there.
    pub(crate) fn parse_with(words: &[&'a [u8]], flag: &str) -> Result<(Self, bool), Error> {
        Self::parse_any(words, Some(flag))
    }

    fn parse_any(words: &[&'a [u8]], flag: Option<&str>) -> Result<(Self, bool), Error> {
        let mut scan = Self { count: SCAN_COUNT, pattern: None };
        let mut flagged = false;
        let mut rest = words;
        loop {
            rest = match rest {
                [] => return Ok((scan, flagged)),
                [word, tail @ ..] if flag.is_some_and(|flag| is(word, flag)) => {
                    flagged = true;
                    tail
                }
                [word, count, tail @ ..] if is(word, "count") => {
                    let count = integer(count)?;
                    if count < 1 {
                        return Err(Error::Syntax);
                    }
                    scan.count = usize::try_from(count).unwrap_or(usize::MAX).min(SCAN_COUNT_MAX);
                    tail
                }
                [word, pattern, tail @ ..] if is(word, "match") => {
                    scan.pattern = Some(*pattern).filter(|pattern| !glob::is_all(pattern));
                    tail
                }
                _ => return Err(Error::Syntax),
            };
        }
    }

    /// Whether an element is answered.
    pub(crate) fn wants(&self, element: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, element))
    }
}

/// Answers a page: where the next one begins, nothing at the end, and what was found.
pub(crate) fn reply_page(reply: &mut Writer<'_>, next: Option<u64>, words: &[Vec<u8>]) {
    reply.array(2);
    reply.bulk(IntegerText::unsigned(next.unwrap_or(0)).as_bytes());
    reply_keys(reply, words);
}
