//! A disk as the store sees it: one flat directory of files that are read and written at offsets and synced when told.
//! The server implements it over the file system, `crate::memory` over a model that fails in every way that disks do.

use std::io;

/// Why a directory could not be taken into possession.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held,
    /// The disk refused.
    Io(io::Error),
}

/// One directory.
pub trait Disk {
    /// A file in it.
    type File: DiskFile + std::fmt::Debug;

    /// What to call it in messages: its path.
    fn name(&self) -> String;
    /// Takes exclusive possession until the value is dropped or its process ends. The directory is created if it isn't
    /// there.
    fn lock(&mut self) -> Result<(), LockError>;
    /// The names of the files in it, in any order; the lock's own file isn't one of them.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates an empty file; one with this name must not be there.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Deletes a file; what is done with handles on it afterwards need not work.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing `to`. Open handles follow.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes what was created, removed and renamed durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Syncs one file of each mirror, and says what became of each, by its place. A disk that waits does it for all at
    /// the same time, so that it takes as long as the slowest.
    fn sync_files(files: &[&Self::File]) -> Vec<io::Result<()>> {
        files.iter().map(|file| file.sync_data()).collect()
    }
}

/// One file.
pub trait DiskFile {
    /// Reads up to `buffer.len()` bytes from `offset` on; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`, growing the file if need be.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written, and the length, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// How long it is.
    fn len(&self) -> io::Result<u64>;
    /// Whether nothing is in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts it, or lengthens it by zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes it `length` bytes long and reserves their room, so that writing into it later can't find the disk full.
    fn allocate(&self, length: u64) -> io::Result<()>;
}
