//! A disk that can lie: it is `storage::memory::MemoryDisk`, and when told so says that something is synced which
//! isn't. Only a bug that is injected on purpose tells it so.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use storage::memory::{MemoryDisk, MemoryFile};
use storage::{Disk, DiskFile, LockError};

/// A disk of one host.
#[derive(Clone, Debug)]
pub struct Platter {
    /// What is really on it.
    pub disk: MemoryDisk,
    lies: Rc<Cell<bool>>,
}

/// A file on it.
#[derive(Debug)]
pub struct PlatterFile {
    file: MemoryFile,
    lies: Rc<Cell<bool>>,
}

impl Platter {
    /// An empty one.
    pub fn new(name: String) -> Self {
        Self { disk: MemoryDisk::new(name), lies: Rc::default() }
    }

    /// Another handle, for the next start.
    pub fn handle(&self) -> Self {
        Self { disk: self.disk.handle(), lies: Rc::clone(&self.lies) }
    }

    /// Whether it says that something is synced without syncing it.
    pub fn set_lies(&self, lies: bool) {
        self.lies.set(lies);
    }
}

impl Disk for Platter {
    type File = PlatterFile;

    fn name(&self) -> String {
        self.disk.name()
    }

    fn lock(&mut self) -> Result<(), LockError> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<PlatterFile> {
        Ok(PlatterFile { file: self.disk.create(name)?, lies: Rc::clone(&self.lies) })
    }

    fn open(&self, name: &str) -> io::Result<PlatterFile> {
        Ok(PlatterFile { file: self.disk.open(name)?, lies: Rc::clone(&self.lies) })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        if self.lies.get() { Ok(()) } else { self.disk.sync_directory() }
    }
}

impl DiskFile for PlatterFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.lies.get() { Ok(()) } else { self.file.sync_data() }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
}
