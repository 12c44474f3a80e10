//! A disk that can lie: it is `storage::memory::MemoryDisk`, and when told so says that a file is synced before it is, as
//! a disk does whose cache forgets when the power goes. It owes one sync at most, and makes up for it before it changes
//! anything else: so only what was acknowledged last is ever at risk. Only a bug that is injected on purpose tells it so.

use base::Rng;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use storage::memory::{MemoryDisk, MemoryFile};
use storage::{Disk, DiskFile, LockError};

/// A disk of one host.
#[derive(Clone, Debug)]
pub struct Platter {
    /// What is really on it.
    pub disk: MemoryDisk,
    cache: Rc<Cache>,
}

/// A file on it.
#[derive(Debug)]
pub struct PlatterFile {
    file: MemoryFile,
    cache: Rc<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    lies: Cell<bool>,
    /// What was said to be synced and isn't.
    owed: RefCell<Option<MemoryFile>>,
}

impl Cache {
    /// Syncs what is owed.
    fn settle(&self) -> io::Result<()> {
        self.owed.take().map_or(Ok(()), |file| file.sync_data())
    }
}

impl Platter {
    /// An empty one.
    pub fn new(name: String) -> Self {
        Self { disk: MemoryDisk::new(name), cache: Rc::default() }
    }

    /// Another handle, for the next start.
    pub fn handle(&self) -> Self {
        Self { disk: self.disk.handle(), cache: Rc::clone(&self.cache) }
    }

    /// Whether it says that something is synced before it syncs it.
    pub fn set_lies(&self, lies: bool) {
        self.cache.lies.set(lies);
    }

    /// The power goes, and with it what wasn't synced.
    pub fn crash(&self, rng: &mut Rng) {
        self.cache.owed.take();
        self.disk.crash(rng);
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&self) {
        self.cache.owed.take();
        self.disk.wipe();
    }

    fn file(&self, file: MemoryFile) -> PlatterFile {
        PlatterFile { file, cache: Rc::clone(&self.cache) }
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
        self.cache.settle()?;
        Ok(self.file(self.disk.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<PlatterFile> {
        Ok(self.file(self.disk.open(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.cache.settle()?;
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.cache.settle()?;
        self.disk.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.cache.settle()?;
        self.disk.sync_directory()
    }
}

impl DiskFile for PlatterFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.cache.settle()?;
        self.file.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.cache.settle()?;
        if self.cache.lies.get() {
            self.cache.owed.replace(Some(self.file.clone()));
            return Ok(());
        }
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.cache.settle()?;
        self.file.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.cache.settle()?;
        self.file.allocate(length)
    }
}

#[cfg(test)]
mod tests {
    use super::Platter;
    use base::Rng;
    use storage::{Disk, DiskFile};

    /// Whether the first and the second of two writes, each said to be synced, outlive a loss of power.
    fn what_is_left(lies: bool, seed: u64) -> (bool, bool) {
        let platter = Platter::new("a disk".into());
        let file = platter.create("f").unwrap();
        file.allocate(2_048).unwrap();
        file.sync_data().unwrap();
        platter.sync_directory().unwrap();
        platter.set_lies(lies);
        for place in [0, 1_024] {
            file.write_at(place, b"x").unwrap();
            file.sync_data().unwrap();
        }
        platter.crash(&mut Rng::new(seed));
        let content = platter.disk.content("f").unwrap();
        (content[0] == b'x', content[1_024] == b'x')
    }

    #[test]
    fn a_disk_that_lies_loses_what_it_acknowledged_last_and_nothing_before() {
        assert!((0..20).all(|seed| what_is_left(false, seed) == (true, true)));
        let left: Vec<(bool, bool)> = (0..20).map(|seed| what_is_left(true, seed)).collect();
        assert!(left.iter().all(|(first, _)| *first), "{left:?}");
        assert!(left.iter().any(|(_, second)| !second), "{left:?}");
    }
}
