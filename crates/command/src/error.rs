//! Why a command was refused, in Redis's words: clients match on them. A refused command has changed nothing.

use base::database::WrongType;
use std::borrow::Cow;
use std::fmt;

/// How a command says that there was nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// Where a byte string could be.
    Null,
    /// Where an array could be.
    NullArray,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type than the command is for.
    WrongType,
    /// A word should be an integer, or is too big.
    NotAnInteger,
    /// A number is an integer, but doesn't fit 32 bits.
    OutOfRange,
    /// A word should be a floating-point number.
    NotAFloat,
    /// The words don't make sense together.
    Syntax,
    /// A time to live is impossible; the command's name.
    InvalidExpire(&'static str),
    /// A string would be longer than `proto-max-bulk-len`.
    StringTooLong,
    /// A counter would leave 64 bits.
    Overflow,
    /// A decrement can't be negated.
    DecrementOverflow,
    /// A floating-point counter would leave its range.
    NotFinite,
    /// A position in a string is negative.
    OffsetOutOfRange,
    /// A position in a bitmap is negative or too big.
    BitOffset,
    /// A bit is neither 0 nor 1.
    BitValue,
    /// The bit to look for is neither 0 nor 1.
    BitArgument,
    /// The key isn't there.
    NoSuchKey,
    /// The key is there already.
    BusyKey,
    /// The bytes given to RESTORE aren't a value.
    BadDump,
    /// The reply would be longer than any may be.
    ReplyTooLong,
    /// Source and target are the same key.
    SameObject,
    /// There is nothing to take yet, and the command may wait for it. What it answers where it may not: when its time is over, or in a
    /// transaction. XREADGROUP has made its consumer by then, and noted that it asked, as it does on every attempt.
    WouldBlock(Nothing),
    /// There is no database with this number.
    DatabaseIndex,
    /// A cursor isn't one.
    InvalidCursor,
    /// There is no such command; its name, and its first arguments for the message.
    UnknownCommand(Box<str>),
    /// There is no such subcommand; the subcommand's name and the command's.
    UnknownSubcommand(Box<str>, &'static str),
    /// EXPIRE has no such condition.
    UnsupportedOption(Box<str>),
    /// Too few or too many words; the command's full name.
    Arity(&'static str),
    /// Anything else that names what it is about: the whole text, its code first.
    Said(Box<str>),
    /// Anything else, with its code.
    Other(&'static str),
    /// Anything else that shows what was asked, with its code.
    Shown(Box<str>),
}

impl Error {
    /// Anything else: the whole text, its code first.
    pub const fn other(text: &'static str) -> Self {
        Self::Other(text)
    }

    /// The whole text, its code first.
    pub fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Error::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Error::NotAnInteger => "ERR value is not an integer or out of range",
            Error::OutOfRange => "ERR value is out of range, value must between -2147483648 and 2147483647",
            Error::NotAFloat => "ERR value is not a valid float",
            Error::Syntax => "ERR syntax error",
            Error::InvalidExpire(name) => {
                return Cow::Owned(format!("ERR invalid expire time in '{name}' command"));
            }
            Error::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Error::Overflow => "ERR increment or decrement would overflow",
            Error::DecrementOverflow => "ERR decrement would overflow",
            Error::NotFinite => "ERR increment would produce NaN or Infinity",
            Error::OffsetOutOfRange => "ERR offset is out of range",
            Error::BitOffset => "ERR bit offset is not an integer or out of range",
            Error::BitValue => "ERR bit is not an integer or out of range",
            Error::BitArgument => "ERR The bit argument must be 1 or 0.",
            Error::NoSuchKey => "ERR no such key",
            Error::BusyKey => "BUSYKEY Target key name already exists.",
            Error::BadDump => "ERR DUMP payload version or checksum are wrong",
            Error::ReplyTooLong => {
                "ERR the reply would be longer than 512 MB, nothing was done: ask for less at once"
            }
            Error::WouldBlock(_) => "ERR there is nothing yet, and nobody waits for it",
            Error::SameObject => "ERR source and destination objects are the same",
            Error::DatabaseIndex => "ERR DB index is out of range",
            Error::InvalidCursor => "ERR invalid cursor",
            Error::UnknownCommand(what) => {
                return Cow::Owned(format!("ERR unknown command {what}"));
            }
            Error::UnknownSubcommand(name, command) => {
                let command = command.to_ascii_uppercase();
                return Cow::Owned(format!("ERR unknown subcommand '{name}'. Try {command} HELP."));
            }
            Error::UnsupportedOption(option) => {
                return Cow::Owned(format!("ERR Unsupported option {option}"));
            }
            Error::Arity(name) => {
                return Cow::Owned(format!("ERR wrong number of arguments for '{name}' command"));
            }
            Error::Said(text) => text,
            Error::Other(text) => text,
            Error::Shown(text) => text,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::error::Error for Error {}

impl From<WrongType> for Error {
    fn from(_: WrongType) -> Self {
        Self::WrongType
    }
}
