//! One error an operation, each a sentence: what happened, what it means for the data, what to do.

use std::fmt;
use std::io;

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// No directory was given.
    NoDisk,
    /// Another process has the directory.
    Locked {
        /// Which directory.
        disk: String,
    },
    /// The disk refused.
    Io {
        /// Which directory.
        disk: String,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// No room for a new segment of the log.
    Full {
        /// Which directory.
        disk: String,
    },
    /// The directory has files, but none that says it belongs to Sihai.
    Foreign {
        /// Which directory.
        disk: String,
        /// One of the files.
        file: String,
    },
    /// A newer release wrote the directory.
    Version {
        /// Which directory.
        disk: String,
        /// What it says.
        found: u32,
        /// The newest version that this release reads.
        known: u32,
    },
    /// The directories belong to different clusters or nodes.
    Identities {
        /// One directory, and whose it is.
        one: (String, String),
        /// Another, and whose that is.
        other: (String, String),
    },
    /// The directories were each used without the other, and both may hold something acknowledged.
    Diverged {
        /// One directory.
        one: String,
        /// The other.
        other: String,
    },
    /// Not even the beginning of the log is readable in any directory.
    Unreadable {
        /// Which directories.
        disks: String,
        /// What is wrong with them.
        why: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => write!(f, "no data directory was given; name at least one"),
            Self::Locked { disk } => write!(
                f,
                "{disk} is in use by another process, so nothing was touched; stop that process or choose another directory"
            ),
            Self::Io { disk, doing, error } => write!(
                f,
                "{disk}: {doing} failed ({error}); no data was changed; check the disk and the directory's permissions"
            ),
            Self::Full { disk } => write!(
                f,
                "{disk} has no room for the next segment of the log; what it holds is safe; free some space and start again"
            ),
            Self::Foreign { disk, file } => write!(
                f,
                "{disk} has a file {file:?} but isn't a data directory of Sihai, so nothing was touched; choose an empty or \
                 new directory"
            ),
            Self::Version { disk, found, known } => write!(
                f,
                "{disk} has format version {found}, and this release reads up to version {known}; nothing was touched; \
                 start the release that wrote it, or a newer one"
            ),
            Self::Identities { one, other } => write!(
                f,
                "{} belongs to {}, but {} belongs to {}; nothing was touched; give only directories of one node",
                one.0, one.1, other.0, other.1
            ),
            Self::Diverged { one, other } => write!(
                f,
                "{one} and {other} were each used without the other, so both may hold what the other lacks; nothing was \
                 touched; decide which one counts and start with the other emptied"
            ),
            Self::Unreadable { disks, why } => write!(
                f,
                "the log in {disks} can't be read ({why}); if no mirror or backup of it exists, empty the directory and let \
                 the node join its cluster again as a new one"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why nothing, or nobody knows what, of a write is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// No room: nothing of the write counts, and the store goes on; writes succeed again when there is room.
    Full(String),
    /// The last good disk failed. What of the write is durable can't be known: stop the process, and let the next start
    /// find out.
    Fatal(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(what) | Self::Fatal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for WriteError {}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It isn't here: never was, or a newer snapshot has taken its place.
    Absent,
    /// It was here and no disk gives it back as it was written. What of it other copies don't have is lost to this one.
    Corrupt(String),
    /// A disk failed when it was asked, and no other has it: it may be there all the same.
    Failed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "it isn't here, or a newer snapshot has taken its place"),
            Self::Corrupt(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ReadError {}
