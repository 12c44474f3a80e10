//! How far an import has come, in a file beside the dump, so that it can go on where it was interrupted. What is said
//! there was acknowledged; more may be in.

use super::Choice;
use super::report::Counts;
use node::rdb::file::Mark;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The form of what is written.
const VERSION: u32 = 1;
/// The bytes that are compared at once.
const CHUNK_BYTES: usize = 1 << 20;

/// How far an import has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The size of the dump.
    file_bytes: u64,
    /// Into which node, as it was named.
    pub target: String,
    /// Which keys were meant, and where to.
    pub choice: Choice,
    position: u64,
    rdb_version: u16,
    database: u64,
    /// Of everything before the position.
    checksum: u64,
    /// What came of it.
    pub counts: Counts,
}

impl State {
    /// Everything before this mark of a file of this size has been dealt with.
    pub fn new(mark: Mark, file_bytes: u64, target: &str, choice: Choice, counts: Counts) -> Self {
        Self {
            version: VERSION,
            file_bytes,
            target: target.into(),
            choice,
            position: mark.position,
            rdb_version: mark.version,
            database: mark.database,
            checksum: mark.checksum,
            counts,
        }
    }

    /// Where to go on.
    pub fn mark(&self) -> Mark {
        Mark {
            position: self.position,
            version: self.rdb_version,
            database: self.database,
            checksum: self.checksum,
        }
    }

    /// The state that this file holds, if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("the state file {} can't be read: {error}", path.display())),
        };
        let state: Option<Self> = serde_json::from_slice(&text).ok();
        state.filter(|state| state.version == VERSION).map(Some).ok_or_else(|| {
            format!(
                "{} isn't the state of an import that this release knows: give --restart to begin anew",
                path.display()
            )
        })
    }

    /// Replaces the state file by this, durably.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let beside = beside(path, ".new");
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    }

    /// Whether the beginning of `file` is what was read then; `file` is left where reading goes on.
    pub fn belongs_to(&self, file: &mut File, file_bytes: u64) -> io::Result<bool> {
        if file_bytes != self.file_bytes || self.position > file_bytes {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut checksum = node::rdb::Checksum::default();
        let mut left = self.position;
        let mut chunk = vec![0; CHUNK_BYTES];
        while left > 0 {
            let wanted = left.min(CHUNK_BYTES as u64) as usize;
            file.read_exact(&mut chunk[..wanted])?;
            checksum.update(&chunk[..wanted]);
            left -= wanted as u64;
        }
        Ok(checksum.finish() == self.checksum)
    }
}

/// A file's name with something behind it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
