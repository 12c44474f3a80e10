//! Why bytes are refused.

use std::fmt;

/// The bytes aren't a value, a dump or a file that this release reads; why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// They end before what they announce.
    Short,
    /// They are of a version that this release doesn't know.
    Version(u16),
    /// They aren't what was written.
    Checksum,
    /// The value belongs to a module.
    Module,
    /// The type of the value isn't known.
    Type(u8),
    /// A collection without elements, which no key holds.
    Empty,
    /// They contradict themselves; this is what they have.
    Malformed(&'static str),
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadValue::Short => write!(f, "the bytes end before what they announce"),
            BadValue::Version(version) => write!(
                f,
                "the bytes are of RDB version {version}, and this release reads up to {}",
                super::VERSION_FIELD_EXPIRY
            ),
            BadValue::Checksum => write!(f, "the checksum doesn't match: the bytes aren't what was written"),
            BadValue::Module => write!(f, "the value belongs to a Redis module, which can't be read here"),
            BadValue::Type(kind) => write!(f, "the value is of type {kind}, which this release doesn't know"),
            BadValue::Empty => write!(f, "the value is a collection without elements"),
            BadValue::Malformed(what) => write!(f, "the bytes aren't a value: they have {what}"),
        }
    }
}

impl std::error::Error for BadValue {}
