//! Requests: bytes from a client to the words of a command, as arrays of bulk strings or as inline lines.
//!
//! The `Reader` keeps no bytes. Its caller owns the connection's input, hands in what was not consumed yet, again and
//! again as more arrives, and gets the places of the words in it. The reader remembers how far it came, so a request
//! that arrives in thousands of pieces is read once. What is announced is checked before it arrives, and nothing is
//! reserved for it.

use crate::number::INTEGER_CHARS_MAX;
use alloc::vec::Vec;
use core::fmt;

/// The longest line that is read as an inline command.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// The most words of one command.
pub const ARGS_MAX: usize = 1024 * 1024;
/// The longest bulk string, `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// The longest command altogether, `client-query-buffer-limit`.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The most words of a command before its client has authenticated.
pub const UNAUTHENTICATED_ARGS_MAX: usize = 10;
/// The longest bulk string before its client has authenticated.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;

/// Room for words that a reader keeps between commands; what a huge command needed beyond it is given back.
const KEPT_ARGS_MAX: usize = 1024;

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most words of one command.
    pub args_max: usize,
    /// The longest bulk string.
    pub bulk_bytes_max: usize,
    /// The longest inline line.
    pub inline_bytes_max: usize,
    /// The longest command altogether; below 4 GiB.
    pub command_bytes_max: usize,
    /// Whether the narrow limits for strangers hold, and their errors are given.
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            args_max: ARGS_MAX,
            bulk_bytes_max: BULK_BYTES_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            command_bytes_max: COMMAND_BYTES_MAX,
            unauthenticated: false,
        }
    }
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A whole command; its words are at [`Reader::args`] until the next call. The next input begins after it.
    Command {
        /// Bytes of the input that the command took.
        consumed: usize,
    },
    /// Nothing was asked (an empty line, an empty array): the next input begins after it.
    Empty {
        /// Bytes of the input that it took.
        consumed: usize,
    },
    /// More input must be appended to what was handed in.
    Incomplete {
        /// How many bytes at least are missing before anything can come of it, never zero. Announced by the client:
        /// a hint for how to grow a buffer, never a reason to reserve so much.
        needed: usize,
    },
}

/// The client doesn't speak the protocol. It is told so and disconnected: where the next command begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of words isn't a number, or too big.
    MultibulkLength,
    /// The count of words is too big for a client that has not authenticated.
    UnauthenticatedMultibulkLength,
    /// The length of a word isn't a number, or negative, or too big.
    BulkLength,
    /// The length of a word is too big for a client that has not authenticated.
    UnauthenticatedBulkLength,
    /// A word doesn't begin with a dollar sign, but with this.
    ExpectedDollar(u8),
    /// A word isn't followed by the end of its line.
    ExpectedLineEnd,
    /// An inline line is too long.
    TooBigInline,
    /// A command altogether is too long.
    TooBigCommand,
    /// The quotes of an inline line don't match.
    UnbalancedQuotes,
    /// A browser was talked into sending a request here.
    Http,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ProtocolError::MultibulkLength => "invalid multibulk length",
            ProtocolError::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            ProtocolError::BulkLength => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLength => "unauthenticated bulk length",
            ProtocolError::ExpectedDollar(byte) => {
                // A control byte would end or garble the error line that carries it.
                let shown = match *byte {
                    b'\r' | b'\n' => ' ',
                    byte if byte.is_ascii_graphic() || byte == b' ' => char::from(byte),
                    _ => '?',
                };
                return write!(f, "Protocol error: expected '$', got '{shown}'");
            }
            ProtocolError::ExpectedLineEnd => "expected CRLF after bulk string",
            ProtocolError::TooBigInline => "too big inline request",
            ProtocolError::TooBigCommand => "too big request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::Http => "this is not an HTTP port",
        };
        write!(f, "Protocol error: {text}")
    }
}

impl core::error::Error for ProtocolError {}

/// Where a word lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

/// What is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A new command.
    Start,
    /// A line, up to here without an end.
    Inline { searched: usize },
    /// `$` and the length of a word.
    Header,
    /// A word of this length.
    Body { length: usize },
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    stage: Stage,
    /// Where in the input, counted from the command's first byte, the stage begins.
    at: usize,
    /// Words that are announced and not read.
    missing: usize,
    places: Vec<Place>,
    /// The words of an inline command, whose quotes and escapes are undone here.
    unquoted: Vec<u8>,
    inline: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Reader {
    /// For a connection with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Start,
            at: 0,
            missing: 0,
            places: Vec::new(),
            unquoted: Vec::new(),
            inline: false,
        }
    }

    /// Changes what the client may send from its next word on, as after AUTH.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Reads one command from `input`: everything that was received and not consumed, from a command's first byte on.
    /// After [`Progress::Incomplete`] it must be handed in again with more behind it.
    #[inline]
    pub fn next(&mut self, input: &[u8]) -> Result<Progress, ProtocolError> {
        if self.stage == Stage::Start {
            match input {
                [] => return Ok(Progress::Incomplete { needed: 1 }),
                [b'*', ..] => match self.start_array(input)? {
                    Some(progress) => return Ok(progress),
                    None => return self.words(input),
                },
                _ => {
                    self.begin();
                    self.inline = true;
                    self.stage = Stage::Inline { searched: 0 };
                }
            }
        }
        match self.stage {
            Stage::Inline { searched } => self.line(input, searched),
            _ => self.words(input),
        }
    }

    /// How many words the command has, its name included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// One word of the command that [`Reader::next`] found in this `input`.
    ///
    /// # Panics
    /// If there are not so many words, or `input` isn't what the command was found in.
    #[inline]
    pub fn arg<'a>(&'a self, input: &'a [u8], index: usize) -> &'a [u8] {
        let Place { start, end } = self.places[index];
        let from = if self.inline { &self.unquoted } else { input };
        &from[start as usize..end as usize]
    }

    /// The words of the command that [`Reader::next`] found in this `input`, its name first.
    #[inline]
    pub fn args<'a>(&'a self, input: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let from = if self.inline { &self.unquoted } else { input };
        self.places.iter().map(move |place| &from[place.start as usize..place.end as usize])
    }

    /// Forgets the last command.
    #[inline]
    fn begin(&mut self) {
        self.places.clear();
        if self.places.capacity() > KEPT_ARGS_MAX {
            self.places.shrink_to(KEPT_ARGS_MAX);
        }
        if self.inline {
            self.inline = false;
            self.unquoted = Vec::new();
        }
        self.at = 0;
    }

    /// Reads `*` and a count; answers at once unless words follow.
    #[inline]
    fn start_array(&mut self, input: &[u8]) -> Result<Option<Progress>, ProtocolError> {
        let (count, next) = match read_header(input, 1) {
            Header::Value(count, next) => (count, next),
            Header::Incomplete => return Ok(Some(Progress::Incomplete { needed: 1 })),
            Header::Invalid => return Err(ProtocolError::MultibulkLength),
        };
        self.begin();
        if count <= 0 {
            return Ok(Some(Progress::Empty { consumed: next }));
        }
        let count = usize::try_from(count).map_err(|_| ProtocolError::MultibulkLength)?;
        if count > self.limits.args_max {
            return Err(ProtocolError::MultibulkLength);
        }
        if self.limits.unauthenticated && count > UNAUTHENTICATED_ARGS_MAX {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.missing = count;
        self.at = next;
        self.stage = Stage::Header;
        Ok(None)
    }

    /// Reads words until all are there or the input ends.
    fn words(&mut self, input: &[u8]) -> Result<Progress, ProtocolError> {
        loop {
            let length = match self.stage {
                Stage::Body { length } => length,
                _ => match self.header(input)? {
                    Some(length) => length,
                    None => return Ok(Progress::Incomplete { needed: 1 }),
                },
            };
            let end = self.at + length;
            match input.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(ProtocolError::ExpectedLineEnd),
                None => {
                    self.stage = Stage::Body { length };
                    return Ok(Progress::Incomplete { needed: end + 2 - input.len() });
                }
            }
            // Commands are bounded below 4 GiB when their headers are read.
            self.places.push(Place { start: self.at as u32, end: end as u32 });
            self.at = end + 2;
            self.missing -= 1;
            if self.missing == 0 {
                self.stage = Stage::Start;
                return Ok(Progress::Command { consumed: self.at });
            }
            self.stage = Stage::Header;
        }
    }

    /// Reads `$` and a length, and moves behind it; nothing if it isn't whole yet.
    #[inline]
    fn header(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        match input.get(self.at) {
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedDollar(other)),
            None => return Ok(None),
        }
        let (length, next) = match read_header(input, self.at + 1) {
            Header::Value(length, next) => (length, next),
            Header::Incomplete => return Ok(None),
            Header::Invalid => return Err(ProtocolError::BulkLength),
        };
        let length = usize::try_from(length).map_err(|_| ProtocolError::BulkLength)?;
        if length > self.limits.bulk_bytes_max {
            return Err(ProtocolError::BulkLength);
        }
        if self.limits.unauthenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        let command_bytes_max = self.limits.command_bytes_max.min(u32::MAX as usize - 2);
        if next.saturating_add(length) > command_bytes_max {
            return Err(ProtocolError::TooBigCommand);
        }
        self.at = next;
        Ok(Some(length))
    }

    /// Reads an inline command, whose first `searched` bytes have no line end.
    fn line(&mut self, input: &[u8], searched: usize) -> Result<Progress, ProtocolError> {
        let limit = self.limits.inline_bytes_max;
        let Some(end) = input[searched..].iter().position(|&byte| byte == b'\n').map(|at| searched + at)
        else {
            if input.len() > limit {
                return Err(ProtocolError::TooBigInline);
            }
            self.stage = Stage::Inline { searched: input.len() };
            return Ok(Progress::Incomplete { needed: 1 });
        };
        if end > limit {
            return Err(ProtocolError::TooBigInline);
        }
        self.stage = Stage::Start;
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        split_line(line, &mut self.unquoted, &mut self.places)?;
        let consumed = end + 1;
        match self.args(input).next() {
            None => Ok(Progress::Empty { consumed }),
            Some(name) if name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:") => {
                Err(ProtocolError::Http)
            }
            Some(_) => Ok(Progress::Command { consumed }),
        }
    }
}

/// A number and its line end.
enum Header {
    /// The number, and where what follows begins.
    Value(i64, usize),
    /// It isn't all there.
    Incomplete,
    /// It isn't one.
    Invalid,
}

/// Reads a canonical decimal number and CRLF, from `at` on. What is there is judged at once, so that an endless header
/// is refused after 20 bytes.
#[inline]
fn read_header(input: &[u8], at: usize) -> Header {
    let rest = &input[at..];
    // Nearly every header is one or two digits.
    match *rest {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => return Header::Value(i64::from(a - b'0'), at + 3),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            return Header::Value(i64::from(a - b'0') * 10 + i64::from(b - b'0'), at + 4);
        }
        _ => {}
    }
    let sign = usize::from(rest.first() == Some(&b'-'));
    let digits = rest[sign..].iter().take(INTEGER_CHARS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let end = sign + digits;
    let no_number = digits == 0 || digits == INTEGER_CHARS_MAX;
    let leading_zero = rest.get(sign) == Some(&b'0') && end > 1;
    match &rest[end..] {
        _ if leading_zero || digits == INTEGER_CHARS_MAX => Header::Invalid,
        [] => Header::Incomplete,
        _ if no_number => Header::Invalid,
        [b'\r'] => Header::Incomplete,
        [b'\r', b'\n', ..] => match crate::number::parse_integer(&rest[..end]) {
            Some(value) => Header::Value(value, at + end + 2),
            None => Header::Invalid,
        },
        _ => Header::Invalid,
    }
}

/// The second words of the commands at the front of `input`, most often their keys, as far as they are whole arrays of bulk strings.
/// Each comes with where in `input` its command ends. A cheap look at what comes next, to prepare for it: nothing is judged, and what
/// can't be read ends it.
pub fn keys_ahead(input: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut end = 0;
    core::iter::from_fn(move || {
        let rest = input.get(end..)?;
        let (count, mut at) = ahead(rest, b'*')?;
        let mut key: &[u8] = &[];
        for word in 0..count {
            let header = rest.get(at..)?;
            let (length, start) = ahead(header, b'$')?;
            let body = header.get(start..start + length)?;
            if word == 1 {
                key = body;
            }
            at += start + length + 2;
        }
        end += at;
        Some((key, end))
    })
}

/// A header of this kind: its number, and where the next thing begins.
#[inline]
fn ahead(input: &[u8], kind: u8) -> Option<(usize, usize)> {
    if *input.first()? != kind {
        return None;
    }
    match read_header(input, 1) {
        Header::Value(value, next) => Some((usize::try_from(value).ok()?, next)),
        Header::Incomplete | Header::Invalid => None,
    }
}

/// Splits a line into words as Redis does: spaces between them, `"…"` with escapes, `'…'` with `\'`; a NUL ends it.
fn split_line(line: &[u8], into: &mut Vec<u8>, places: &mut Vec<Place>) -> Result<(), ProtocolError> {
    let end = line.iter().position(|&byte| byte == 0).unwrap_or(line.len());
    let mut rest = &line[..end];
    loop {
        while let [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, tail @ ..] = rest {
            rest = tail;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let start = into.len() as u32;
        rest = split_word(rest, into)?;
        places.push(Place { start, end: into.len() as u32 });
    }
}

/// Takes one word, and answers what follows it.
fn split_word<'a>(mut rest: &'a [u8], into: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        match rest {
            [] => return Ok(rest),
            [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                rest = split_quoted(tail, into, *quote)?;
                // A closing quote ends the word.
                return match rest.first() {
                    None | Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => Ok(rest),
                    Some(_) => Err(ProtocolError::UnbalancedQuotes),
                };
            }
            [byte, tail @ ..] => {
                into.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Takes what stands before the closing `quote`, and answers what follows it.
fn split_quoted<'a>(mut rest: &'a [u8], into: &mut Vec<u8>, quote: u8) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [byte, tail @ ..] if *byte == quote => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) * 16 + hex(*low), tail)
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                };
                (byte, tail)
            }
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => (b'\'', tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        into.push(byte);
        rest = tail;
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
