//! Replies: values to bytes for a client, in the version of the protocol that it asked for. What version 2 lacks is
//! written as Redis writes it there, so that a command says what it means once.

use crate::number::{push_double, push_integer};
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

/// The version of the protocol that a client asked for with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Version 2, which every connection begins with.
    #[default]
    Resp2,
    /// Version 3: maps, sets, doubles, booleans, pushes.
    Resp3,
}

/// Appends replies to a connection's output.
#[derive(Debug)]
pub struct Writer<'a> {
    to: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Writer<'a> {
    /// Appends to `to`.
    pub fn new(to: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { to, protocol }
    }

    /// The version that is written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How many bytes were written to the buffer, by this writer and before it.
    pub fn position(&self) -> usize {
        self.to.len()
    }

    /// Takes back what was written after `position`, as when a command fails half-way.
    pub fn truncate(&mut self, position: usize) {
        self.to.truncate(position);
    }

    /// A writer to the same place, for a helper that takes one by value.
    pub fn reborrow(&mut self) -> Writer<'_> {
        Writer { to: self.to, protocol: self.protocol }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.to.extend_from_slice(b"+OK\r\n");
    }

    /// A short text without line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error: its code, a space, a sentence. Line ends in it become spaces.
    pub fn error(&mut self, text: impl Display) {
        self.line(b'-', text);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A count; what exceeds an `i64` is written as the largest.
    #[inline]
    pub fn count(&mut self, value: u64) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A byte string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.to.reserve(value.len() + 16);
        self.header(b'$', value.len() as i64);
        self.to.extend_from_slice(value);
        self.to.extend_from_slice(b"\r\n");
    }

    /// A byte string, from a text.
    pub fn text(&mut self, value: &str) {
        self.bulk(value.as_bytes());
    }

    /// A byte string, or nothing.
    #[inline]
    pub fn bulk_or_null(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bulk(value),
            None => self.null(),
        }
    }

    /// Nothing, where a byte string could be.
    #[inline]
    pub fn null(&mut self) {
        self.to.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Nothing, where an array could be.
    pub fn null_array(&mut self) {
        self.to.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Announces `count` elements, which must follow.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// Announces `pairs` keys, each followed by its value; in version 2, an array of both in turn.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', 2 * pairs as i64),
            Protocol::Resp3 => self.header(b'%', pairs as i64),
        }
    }

    /// Announces `count` distinct elements; in version 2, an array.
    pub fn set(&mut self, count: usize) {
        self.header(if self.protocol == Protocol::Resp2 { b'*' } else { b'~' }, count as i64);
    }

    /// Announces a message of `count` elements that answers no request; in version 2, an array.
    pub fn push(&mut self, count: usize) {
        self.header(if self.protocol == Protocol::Resp2 { b'*' } else { b'>' }, count as i64);
    }

    /// A double; in version 2, a byte string.
    pub fn double(&mut self, value: f64) {
        match self.protocol {
            Protocol::Resp3 => {
                self.to.push(b',');
                push_double(self.to, value);
                self.to.extend_from_slice(b"\r\n");
            }
            Protocol::Resp2 => {
                let start = self.to.len();
                push_double(self.to, value);
                let length = self.to.len() - start;
                self.to.extend_from_slice(b"\r\n");
                // No double takes more than 99 characters, so its header has two digits at most: it is written
                // behind and turned to the front.
                let behind = self.to.len();
                self.header(b'$', length as i64);
                let header = self.to.len() - behind;
                self.to[start..].rotate_right(header);
            }
        }
    }

    /// A truth; in version 2, 1 or 0.
    pub fn bool(&mut self, value: bool) {
        self.to.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// An integer of any size in decimal; in version 2, a byte string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(digits),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// A text for people with its format (`txt`, `mkd`); in version 2, a byte string.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.to.extend_from_slice(&format);
                self.to.push(b':');
                self.to.extend_from_slice(text);
                self.to.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are replies already, in the version that is written: from another node, or kept from before.
    pub fn raw(&mut self, replies: &[u8]) {
        self.to.extend_from_slice(replies);
    }

    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        self.to.push(kind);
        push_integer(self.to, value);
        self.to.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, kind: u8, text: impl Display) {
        self.to.push(kind);
        // Writing to a `OneLine` can't fail; a `Display` that says so itself leaves a shorter text.
        let _ = write!(OneLine(self.to), "{text}");
        self.to.extend_from_slice(b"\r\n");
    }
}

/// Writes text so that it stays on one line, whatever a client smuggled into it.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        for byte in &mut self.0[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
