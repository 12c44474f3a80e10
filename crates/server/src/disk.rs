//! The real disk: files over `std::fs`, and the thread that owns the store, so that an engine never waits for an fsync.
//!
//! Everything that waits when the thread comes round becomes one batch with one sync: the slower the disk, the larger
//! the batches. What it must never do: answer before the store has, or go on after the store has panicked.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use storage::{Disk, DiskCompletion, DiskFile, DiskRequest, LockError, Store};

/// The file whose lock says who has the directory.
const LOCK: &str = "lock";

/// How many bytes become one batch at most, unless one request alone is larger.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// How much is written at once where a file system can't reserve room in another way.
const FILL_BYTES: usize = 1 << 20;

/// A directory.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    /// Open as long as the directory is ours: the lock ends with it.
    lock: Option<File>,
}

/// A file in it.
#[derive(Debug)]
pub struct RealFile {
    file: File,
}

impl RealDisk {
    /// The directory at `path`; nothing is touched yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), lock: None }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether there is nothing in a directory yet, or no directory. Whoever can't tell takes it for one that is used.
pub fn is_new(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut files) => files.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and whatever of its path is missing, durably.
fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_directory(parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(parent)
}

impl Disk for RealDisk {
    type File = RealFile;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn lock(&mut self) -> Result<(), LockError> {
        create_directory(&self.path).map_err(LockError::Io)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(self.at(LOCK)).map_err(LockError::Io)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock = Some(file);
                Ok(())
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held),
            Err(error) => Err(LockError::Io(error.into())),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in std::fs::read_dir(&self.path)? {
            let name = file?.file_name().to_string_lossy().into_owned();
            if name != LOCK {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.at(name))?;
        Ok(RealFile { file })
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        let file = OpenOptions::new().read(true).write(true).open(self.at(name))?;
        Ok(RealFile { file })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.at(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    fn sync_files(files: &[&RealFile]) -> Vec<io::Result<()>> {
        sync_together(files)
    }
}

/// Syncs all at the same time. A thread is cheap beside an fsync, and with one directory there is none.
fn sync_together<F: DiskFile + Sync>(files: &[&F]) -> Vec<io::Result<()>> {
    let Some((last, others)) = files.split_last() else { return Vec::new() };
    std::thread::scope(|scope| {
        let others: Vec<_> = others
            .iter()
            .map(|file| {
                let syncing = std::thread::Builder::new().name("mirror".into());
                // Without another thread it takes longer, and is as good.
                syncing.spawn_scoped(scope, move || file.sync_data()).map_err(|_| file.sync_data())
            })
            .collect();
        let last = last.sync_data();
        let results = others.into_iter().map(|syncing| match syncing {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(result) => result,
        });
        results.chain([last]).collect()
    })
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, length) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => fill(&self.file, length),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lengthens a file by writing zeros, so that its room is really there.
fn fill(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut end = file.metadata()?.len();
    while end < length {
        let count = (length - end).min(FILL_BYTES as u64);
        file.write_all_at(&zeros[..count as usize], end)?;
        end += count;
    }
    Ok(())
}

/// What is called with every completion, on the disk's thread.
pub type Complete = Box<dyn Fn(DiskCompletion) + Send>;

/// Asks the disk's thread.
#[derive(Debug)]
pub struct DiskHandle {
    requests: Option<Sender<DiskRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl DiskHandle {
    /// Asks for something; the completion comes through the callback.
    pub fn submit(&self, request: DiskRequest) {
        let sent = self.requests.as_ref().map(|requests| requests.send(request));
        // The thread ends before its handle only by a panic, which takes the process with it.
        debug_assert!(matches!(sent, Some(Ok(()))), "the disk's thread has ended");
    }

    /// Waits until all that was asked is done, and gives the directories free.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic over there has stopped the process already.
            let _ = thread.join();
        }
    }
}

impl Drop for DiskHandle {
    fn drop(&mut self) {
        self.end();
    }
}

/// A panic of the store is a broken invariant: the process stops, once the panic's message is out.
struct StopsTheProcess;

impl Drop for StopsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// Starts the thread that owns `store`.
pub fn spawn<D>(store: Store<D>, complete: Complete) -> io::Result<DiskHandle>
where
    D: Disk + Send + 'static,
    D::File: Send,
{
    let (requests, waiting) = channel();
    let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
        let _stops = StopsTheProcess;
        run(store, &waiting, &complete);
    })?;
    Ok(DiskHandle { requests: Some(requests), thread: Some(thread) })
}

fn run<D: Disk>(mut store: Store<D>, waiting: &Receiver<DiskRequest>, complete: &Complete) {
    let mut out = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut bytes = first.weight();
        let mut batch = vec![first];
        while bytes < BATCH_BYTES_MAX
            && let Ok(request) = waiting.try_recv()
        {
            bytes += request.weight();
            batch.push(request);
        }
        store.serve(batch, &mut out);
        for completion in out.drain(..) {
            complete(completion);
        }
    }
}

#[cfg(test)]
mod tests;
