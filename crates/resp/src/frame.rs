//! Replies read back, for the client's side of a connection: tests, simulated clients, the command line. Every frame
//! owns its bytes; a server's data path has no business here.

use crate::number::parse_integer;
use alloc::vec::Vec;
use core::fmt;

/// How deep frames may be nested; deeper ones are refused instead of exhausting the stack.
pub const DEPTH_MAX: usize = 64;

/// One value of the protocol, of either version.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A short text.
    Simple(Vec<u8>),
    /// An error, of either form.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A byte string.
    Bulk(Vec<u8>),
    /// Nothing.
    Null,
    /// Nothing, where an array could be; version 2 only.
    NullArray,
    /// A sequence.
    Array(Vec<Frame>),
    /// Keys and values, in the order in which they came.
    Map(Vec<(Frame, Frame)>),
    /// Distinct values, in the order in which they came.
    Set(Vec<Frame>),
    /// A message that answers no request.
    Push(Vec<Frame>),
    /// A floating-point number.
    Double(f64),
    /// A truth.
    Bool(bool),
    /// An integer of any size, in decimal.
    BigNumber(Vec<u8>),
    /// A text for people.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Vec<u8>,
    },
}

/// The bytes aren't a frame; what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError(pub &'static str);

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reply can't be read: {}", self.0)
    }
}

impl core::error::Error for FrameError {}

impl Frame {
    /// Reads one frame from the front of `input`: the frame and the bytes it took, or nothing while it isn't whole.
    /// Attributes are skipped. A frame that arrives in pieces is read from its beginning each time.
    pub fn parse(input: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
        let mut parser = Parser { input, at: 0 };
        Ok(parser.frame(DEPTH_MAX)?.map(|frame| (frame, parser.at)))
    }

    /// The bytes of a text or byte string, of whichever form.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Frame::Simple(bytes) | Frame::Bulk(bytes) | Frame::BigNumber(bytes) => Some(bytes),
            Frame::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a sequence, of whichever form but a map.
    pub fn elements(&self) -> Option<&[Frame]> {
        match self {
            Frame::Array(elements) | Frame::Set(elements) | Frame::Push(elements) => Some(elements),
            _ => None,
        }
    }

    /// The error's text, if this is one.
    pub fn error(&self) -> Option<alloc::borrow::Cow<'_, str>> {
        match self {
            Frame::Error(text) => Some(alloc::string::String::from_utf8_lossy(text)),
            _ => None,
        }
    }
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
}

/// Each step answers `None` when the input ends before it does.
type Step<T> = Result<Option<T>, FrameError>;

/// Unwraps a step, or ends this one with it.
macro_rules! whole {
    ($step:expr) => {
        match $step? {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'a> Parser<'a> {
    fn frame(&mut self, depth: usize) -> Step<Frame> {
        let Some(depth) = depth.checked_sub(1) else { return Err(FrameError("it is nested too deep")) };
        let Some(&kind) = self.input.get(self.at) else { return Ok(None) };
        if !b"+-:$*_#,(!=%~>|".contains(&kind) {
            return Err(FrameError("it begins with no type that there is"));
        }
        self.at += 1;
        let line = whole!(self.line());
        Ok(Some(match kind {
            b'+' => Frame::Simple(line.to_vec()),
            b'-' => Frame::Error(line.to_vec()),
            b':' => Frame::Integer(integer(line)?),
            b'(' => Frame::BigNumber(line.to_vec()),
            b'_' => Frame::Null,
            b'#' => match line {
                b"t" => Frame::Bool(true),
                b"f" => Frame::Bool(false),
                _ => return Err(FrameError("a truth is neither t nor f")),
            },
            b',' => Frame::Double(double(line)?),
            b'$' if line == b"-1" => Frame::Null,
            b'*' if line == b"-1" => Frame::NullArray,
            b'$' => Frame::Bulk(whole!(self.body(line)).to_vec()),
            b'!' => Frame::Error(whole!(self.body(line)).to_vec()),
            b'=' => match whole!(self.body(line)) {
                [a, b, c, b':', text @ ..] => Frame::Verbatim { format: [*a, *b, *c], text: text.to_vec() },
                _ => return Err(FrameError("a verbatim text has no format")),
            },
            b'*' => Frame::Array(whole!(self.elements(line, depth))),
            b'~' => Frame::Set(whole!(self.elements(line, depth))),
            b'>' => Frame::Push(whole!(self.elements(line, depth))),
            b'%' => Frame::Map(whole!(self.pairs(line, depth))),
            _ => {
                whole!(self.pairs(line, depth));
                whole!(self.frame(depth))
            }
        }))
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.input[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\r') else { return Ok(None) };
        match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(FrameError("a line is ended by half")),
        }
    }

    fn body(&mut self, length: &[u8]) -> Step<&'a [u8]> {
        let length = count(length)?;
        let rest = &self.input[self.at..];
        let Some(with_end) = length.checked_add(2).and_then(|end| rest.get(..end)) else { return Ok(None) };
        let Some(body) = with_end.strip_suffix(b"\r\n") else {
            return Err(FrameError("a byte string is longer than it says"));
        };
        self.at += with_end.len();
        Ok(Some(body))
    }

    fn elements(&mut self, length: &[u8], depth: usize) -> Step<Vec<Frame>> {
        let length = count(length)?;
        let mut elements = Vec::new();
        for _ in 0..length {
            elements.push(whole!(self.frame(depth)));
        }
        Ok(Some(elements))
    }

    fn pairs(&mut self, length: &[u8], depth: usize) -> Step<Vec<(Frame, Frame)>> {
        let length = count(length)?;
        let mut pairs = Vec::new();
        for _ in 0..length {
            let key = whole!(self.frame(depth));
            pairs.push((key, whole!(self.frame(depth))));
        }
        Ok(Some(pairs))
    }
}

fn integer(text: &[u8]) -> Result<i64, FrameError> {
    parse_integer(text.strip_prefix(b"+").unwrap_or(text)).ok_or(FrameError("an integer isn't one"))
}

fn count(text: &[u8]) -> Result<usize, FrameError> {
    integer(text)?.try_into().map_err(|_| FrameError("a length is negative"))
}

fn double(text: &[u8]) -> Result<f64, FrameError> {
    core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(FrameError("a number isn't one"))
}

#[cfg(test)]
mod tests;
