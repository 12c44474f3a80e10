//! A disk in memory. It outlives the process that it serves: clones are handles on one disk, which keeps what is
//! *live* (what a reader sees) apart from what is *durable* (what was synced), so that `MemoryDisk::crash` can lose,
//! keep or tear what lies between. Everything it does is decided by its caller and the seed it is given.
//!
//! The model: a write is torn by sectors of 512 bytes, any subset of which may have arrived; creating, removing and
//! renaming are durable in their order, up to some point, unless the directory was synced behind them; a synced file
//! whose name isn't durable is gone.

use crate::disk::{Disk, DiskFile, LockError};
use base::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// What survives or tears as one.
pub const SECTOR_BYTES: usize = 512;

/// A handle on a disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    shared: Arc<Mutex<Shared>>,
    lock: Option<Arc<Possession>>,
}

/// A handle on a file; it follows when the file is renamed, and fails when it is gone.
#[derive(Clone, Debug)]
pub struct MemoryFile {
    shared: Arc<Mutex<Shared>>,
    id: u64,
}

/// As long as it lives, somebody has the disk.
#[derive(Debug)]
struct Possession;

#[derive(Debug, Default)]
struct Shared {
    name: String,
    files: BTreeMap<u64, Content>,
    next_id: u64,
    live: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    /// What was done to the directory since it was last synced, in order.
    unsynced: Vec<Change>,
    holder: Weak<Possession>,
    capacity_bytes: Option<u64>,
    operations: u64,
    syncs: u64,
    /// Writes that reached blocks for the first time.
    first_writes: u64,
    /// The number of the operation that fails, and whether all after it fail too.
    fault: Option<(u64, bool)>,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String, u64),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// How far it was ever written.
    written_through: usize,
    /// Sectors that differ or may differ.
    dirty: BTreeSet<usize>,
}

impl Change {
    fn apply(&self, to: &mut BTreeMap<String, u64>) {
        match self {
            Change::Create(name, id) => {
                to.insert(name.clone(), *id);
            }
            Change::Remove(name) => {
                to.remove(name);
            }
            Change::Rename(from, name) => {
                if let Some(id) = to.remove(from) {
                    to.insert(name.clone(), id);
                }
            }
        }
    }
}

impl Content {
    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.extend(from / SECTOR_BYTES..=(to - 1) / SECTOR_BYTES);
        }
    }

    fn resize(&mut self, length: usize) {
        let (low, high) = (self.live.len().min(length), self.live.len().max(length));
        self.live.resize(length, 0);
        self.touch(low, high);
    }

    fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.settle(sector);
        }
    }

    /// Copies one sector from live to durable, as far as it is in both.
    fn settle(&mut self, sector: usize) {
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES).min(self.live.len()).min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&self.live[from..to]);
        }
    }

    fn crash(&mut self, rng: &mut Rng) {
        let fate = rng.below(3);
        let keeps_length = match fate {
            0 => false,
            1 => true,
            _ => rng.chance(1, 2),
        };
        if keeps_length {
            self.durable.resize(self.live.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if fate == 1 || (fate == 2 && rng.chance(1, 2)) {
                self.settle(sector);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

impl Shared {
    /// Counts one operation and says whether it fails.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.fault {
            Some((at, for_ever)) if self.operations == at || (for_ever && self.operations > at) => {
                Err(io::Error::other("injected: the disk doesn't answer"))
            }
            _ => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.live.values().map(|id| self.files[id].live.len() as u64).sum()
    }

    fn make_room(&self, more: u64) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if self.used_bytes() + more > capacity => {
                Err(io::Error::new(io::ErrorKind::StorageFull, "injected: no space left"))
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    fn grow(&mut self, id: u64, length: usize) -> io::Result<&mut Content> {
        let more = length.saturating_sub(self.files[&id].live.len());
        if more > 0 {
            self.make_room(more as u64)?;
        }
        let content = self.files.get_mut(&id).expect("a handle keeps its file");
        if more > 0 {
            content.resize(length);
        }
        Ok(content)
    }
}

fn absent(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

impl MemoryDisk {
    /// An empty disk, called `name` in messages.
    pub fn new(name: impl Into<String>) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { name: name.into(), ..Shared::default() })), lock: None }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder of the lock panics")
    }

    /// A handle that holds no lock, as another process or the next start has it.
    pub fn handle(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), lock: None }
    }

    /// Another disk with the same files, all of them durable.
    pub fn duplicate(&self, name: impl Into<String>) -> Self {
        let shared = self.shared();
        let copy = Self::new(name);
        {
            let mut target = copy.shared();
            target.next_id = shared.next_id;
            target.live.clone_from(&shared.live);
            target.durable.clone_from(&shared.live);
            for (id, content) in &shared.files {
                let bytes = content.live.clone();
                let written_through = bytes.len();
                let content =
                    Content { durable: bytes.clone(), live: bytes, written_through, ..Content::default() };
                target.files.insert(*id, content);
            }
        }
        copy
    }

    /// The power goes: of what wasn't synced each file loses all, keeps all or keeps any of its sectors, and the
    /// directory keeps a beginning of what was done to it. Injected faults end, and nobody holds the lock.
    pub fn crash(&self, rng: &mut Rng) {
        let mut shared = self.shared();
        for content in shared.files.values_mut() {
            content.crash(rng);
        }
        let kept = rng.below(shared.unsynced.len() as u64 + 1) as usize;
        let changes = std::mem::take(&mut shared.unsynced);
        let mut durable = std::mem::take(&mut shared.durable);
        for change in &changes[..kept] {
            change.apply(&mut durable);
        }
        shared.live.clone_from(&durable);
        let names: BTreeSet<u64> = durable.values().copied().collect();
        shared.durable = durable;
        shared.files.retain(|id, _| names.contains(id));
        shared.fault = None;
        shared.holder = Weak::new();
    }

    /// The process is killed: everything written stays, nobody holds the lock, injected faults end.
    pub fn kill(&self) {
        let mut shared = self.shared();
        shared.fault = None;
        shared.holder = Weak::new();
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&self) {
        let mut shared = self.shared();
        let name = std::mem::take(&mut shared.name);
        let next_id = shared.next_id;
        *shared = Shared { name, next_id, ..Shared::default() };
    }

    /// The `nth` operation from now on fails, the first being 1; with `for_ever`, so do all after it.
    pub fn fail_nth(&self, nth: u64, for_ever: bool) {
        let mut shared = self.shared();
        shared.fault = Some((shared.operations + nth, for_ever));
    }

    /// The disk works again.
    pub fn end_faults(&self) {
        self.shared().fault = None;
    }

    /// How many operations were asked of the disk, failed ones included.
    pub fn operations(&self) -> u64 {
        self.shared().operations
    }

    /// How many of them synced a file.
    pub fn syncs(&self) -> u64 {
        self.shared().syncs
    }

    /// How many writes reached blocks that had only been allocated before, or not even that.
    pub fn first_writes(&self) -> u64 {
        self.shared().first_writes
    }

    /// How many bytes its files may take together; `None` is no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared().capacity_bytes = bytes;
    }

    /// How many bytes its files take.
    pub fn used_bytes(&self) -> u64 {
        self.shared().used_bytes()
    }

    /// The names of its files, in order.
    pub fn names(&self) -> Vec<String> {
        self.shared().live.keys().cloned().collect()
    }

    /// What a file holds.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let shared = self.shared();
        shared.live.get(name).map(|id| shared.files[id].live.clone())
    }

    /// Bit rot: flips the bits of `mask` in one byte, on the platter and for readers alike. Says whether that byte is there.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut shared = self.shared();
        let Some(id) = shared.live.get(name).copied() else { return false };
        let content = shared.files.get_mut(&id).expect("every name has its file");
        let offset = offset as usize;
        if let Some(byte) = content.durable.get_mut(offset) {
            *byte ^= mask;
        }
        match content.live.get_mut(offset) {
            Some(byte) => {
                *byte ^= mask;
                true
            }
            None => false,
        }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn name(&self) -> String {
        self.shared().name.clone()
    }

    fn lock(&mut self) -> Result<(), LockError> {
        let mut shared = self.shared.lock().expect("no holder of the lock panics");
        shared.operate().map_err(LockError::Io)?;
        if shared.holder.strong_count() > 0 {
            return Err(LockError::Held);
        }
        let possession = Arc::new(Possession);
        shared.holder = Arc::downgrade(&possession);
        self.lock = Some(possession);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut shared = self.shared();
        shared.operate()?;
        Ok(shared.live.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut shared = self.shared();
        shared.operate()?;
        if shared.live.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("there is a file {name}")));
        }
        let id = shared.next_id;
        shared.next_id += 1;
        shared.files.insert(id, Content::default());
        shared.change(Change::Create(name.into(), id));
        Ok(MemoryFile { shared: Arc::clone(&self.shared), id })
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let mut shared = self.shared();
        shared.operate()?;
        let id = *shared.live.get(name).ok_or_else(|| absent(name))?;
        Ok(MemoryFile { shared: Arc::clone(&self.shared), id })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut shared = self.shared();
        shared.operate()?;
        if !shared.live.contains_key(name) {
            return Err(absent(name));
        }
        shared.change(Change::Remove(name.into()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut shared = self.shared();
        shared.operate()?;
        if !shared.live.contains_key(from) {
            return Err(absent(from));
        }
        shared.change(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut shared = self.shared();
        shared.operate()?;
        shared.durable = shared.live.clone();
        shared.unsynced.clear();
        let named: BTreeSet<u64> = shared.live.values().copied().collect();
        shared.files.retain(|id, _| named.contains(id));
        Ok(())
    }
}

impl MemoryFile {
    fn operate(&self) -> io::Result<MutexGuard<'_, Shared>> {
        let mut shared = self.shared.lock().expect("no holder of the lock panics");
        shared.operate()?;
        if shared.files.contains_key(&self.id) {
            Ok(shared)
        } else {
            Err(io::Error::other("the file is gone, or the disk lost power since it was opened"))
        }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let shared = self.operate()?;
        let live = &shared.files[&self.id].live;
        let from = (offset as usize).min(live.len());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.operate()?;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        let content = shared.grow(self.id, to)?;
        content.live[from..to].copy_from_slice(bytes);
        content.touch(from, to);
        if to > content.written_through {
            content.written_through = to;
            shared.first_writes += 1;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut shared = self.operate()?;
        shared.syncs += 1;
        shared.files.get_mut(&self.id).expect("a handle keeps its file").sync();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.operate()?.files[&self.id].live.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut shared = self.operate()?;
        shared.grow(self.id, length as usize)?.resize(length as usize);
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.operate()?.grow(self.id, length as usize)?;
        Ok(())
    }
}
