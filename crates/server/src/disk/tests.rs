use super::{RealDisk, is_new, spawn, sync_together};
use base::log::Payload;
use base::{Entry, GroupId, Index, ReplicaId, Term};
use bytes::Bytes;
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex};
use std::time::Duration;
use storage::{DiskCompletion, DiskFile, DiskRequest, Op, OpenError, Options, Store, Token};

const GROUP: GroupId = GroupId(1);

fn entry(index: u64) -> Entry {
    let payload = Payload::Command(Bytes::from(format!("entry {index}")));
    Entry { term: Term(1), index: Index(index), payload }
}

fn options() -> Options {
    Options { segment_bytes: 64 << 10, ..Options::default() }
}

#[test]
fn what_the_thread_acknowledged_is_there_after_a_restart() {
    let dir = crate::test_dir("disk");
    let nested = dir.join("some").join("where");
    let (store, _) = Store::open(vec![RealDisk::new(&nested)], options()).unwrap();
    let (sender, completions) = channel();
    let disk = spawn(store, Box::new(move |completion| sender.send(completion).unwrap())).unwrap();
    let create = Op::CreateReplica { group: GROUP, replica: ReplicaId::new(1, 1) };
    disk.submit(DiskRequest::Write { token: Token(0), ops: vec![create] });
    for index in 1..=1000 {
        let ops = vec![Op::Append { group: GROUP, entries: vec![entry(index)] }];
        disk.submit(DiskRequest::Write { token: Token(index), ops });
    }
    for token in 0..=1000 {
        let completion = completions.recv().unwrap();
        assert!(
            matches!(&completion, DiskCompletion::Written { token: Token(found), .. } if *found == token),
            "{completion:?}"
        );
    }
    let error = Store::open(vec![RealDisk::new(&nested)], options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    disk.close();
    let (_store, recovery) = Store::open(vec![RealDisk::new(&nested)], options()).unwrap();
    assert_eq!(recovery.groups[&GROUP].entries.len(), 1000);
    assert!(recovery.notes.is_empty(), "{:?}", recovery.notes);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn two_real_directories_mirror_each_other_and_a_lost_one_comes_back() {
    let dir = crate::test_dir("mirrors");
    let disks = || vec![RealDisk::new(dir.join("a")), RealDisk::new(dir.join("b"))];
    let (mut store, _) = Store::open(disks(), options()).unwrap();
    let create = Op::CreateReplica { group: GROUP, replica: ReplicaId::new(1, 1) };
    let entries = (1..=100).map(entry).collect();
    store.write(&[create, Op::Append { group: GROUP, entries }]).unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.join("a")).unwrap();
    let (store, recovery) = Store::open(disks(), options()).unwrap();
    assert_eq!(recovery.groups[&GROUP].entries.len(), 100);
    drop(store);
    let (_store, recovery) = Store::open(vec![RealDisk::new(dir.join("a"))], options()).unwrap();
    assert_eq!(recovery.groups[&GROUP].entries.len(), 100);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_directory_is_new_until_something_is_in_it() {
    let dir = crate::test_dir("new");
    assert!(is_new(&dir));
    assert!(is_new(&dir.join("missing")));
    std::fs::write(dir.join("lock"), "").expect("it can be written");
    assert!(!is_new(&dir));
    assert!(!is_new(&dir.join("lock")), "a file is no directory");
}

/// A file whose sync ends only once so many others are being synced as well.
#[derive(Debug)]
struct Sociable<'a> {
    syncing: &'a (Mutex<usize>, Condvar),
    wanted: usize,
    fails: bool,
}

impl DiskFile for Sociable<'_> {
    fn sync_data(&self) -> io::Result<()> {
        let (count, changed) = self.syncing;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let waited = changed.wait_timeout_while(count, Duration::from_secs(20), |count| *count < self.wanted);
        assert!(!waited.unwrap().1.timed_out(), "the others are synced only when this one is done");
        if self.fails { Err(io::Error::other("it can't be synced")) } else { Ok(()) }
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn mirrors_are_synced_at_the_same_time_and_each_failure_is_told_of_its_own() {
    let syncing = (Mutex::new(0), Condvar::new());
    let files = [false, true, false].map(|fails| Sociable { syncing: &syncing, wanted: 3, fails });
    let results = sync_together(&files.each_ref());
    let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false]);
    assert!(sync_together::<Sociable<'_>>(&[]).is_empty());
}
