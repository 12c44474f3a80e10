//! Looks at the directories before anything is decided: which of them hold a log, which hold the newest, which missed
//! something, and what the log says when each record is taken from whichever mirror has it good.

use crate::disk::{Disk, DiskFile, LockError};
use crate::error::OpenError;
use crate::format::{self, Format, Found};
use crate::mirror::{read_all, segment_name, segment_of_name};
use crate::op::{Identity, Note};
use crate::record::Body;
use crate::replay::{Replay, Segment};
use crate::scan::{self, Scan};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A directory, and what a first look at it says.
#[derive(Debug)]
pub struct Candidate<D> {
    /// The directory.
    pub disk: D,
    /// Its number, if it has one.
    pub mirror: u32,
    /// The numbers of its segments.
    pub segments: BTreeSet<u32>,
    /// Its other files.
    pub files: Vec<String>,
    /// Whether it holds a log.
    pub in_use: bool,
    /// How far its log goes, as far as it alone says.
    probe: Option<Probe>,
    /// It failed while it was read or repaired.
    pub sick: bool,
    /// The segments whose reading failed, and what the disk said.
    failed: BTreeMap<u32, io::Error>,
}

/// The number of a directory that has none, or whose number has rotted.
const UNNUMBERED: u32 = 0;

#[derive(Clone, Debug)]
struct Probe {
    newest: (u32, u64),
    mirrors: Vec<u32>,
    identity: Option<Identity>,
}

/// The directories, sorted.
#[derive(Debug)]
pub struct Survey<D> {
    /// Those that take part in the newest state of the log.
    pub members: Vec<Candidate<D>>,
    /// Those that are empty, or missed something.
    pub others: Vec<Candidate<D>>,
    /// The names of those that can't be used at all.
    pub lost: Vec<String>,
    /// The log says that mirrors take part which aren't here.
    pub missing: bool,
    /// For people.
    pub notes: Vec<Note>,
    /// The highest number that a mirror ever had here.
    pub mirror_max: u32,
}

fn io_error<D: Disk>(disk: &D, doing: &'static str, error: io::Error) -> OpenError {
    OpenError::Io { disk: disk.name(), doing, error }
}

/// Locks a directory and takes the first look.
fn look<D: Disk>(mut disk: D) -> Result<Candidate<D>, (D, OpenError)> {
    match disk.lock() {
        Ok(()) => {}
        Err(LockError::Held) => {
            let name = disk.name();
            return Err((disk, OpenError::Locked { disk: name }));
        }
        Err(LockError::Io(error)) => {
            let error = io_error(&disk, "locking the directory", error);
            return Err((disk, error));
        }
    }
    let (found, names) = match format::read(&disk).and_then(|found| Ok((found, disk.list()?))) {
        Ok(both) => both,
        Err(error) => {
            let error = io_error(&disk, "reading the directory", error);
            return Err((disk, error));
        }
    };
    let foreign = names.iter().find(|name| !format::may_be_in_empty(name));
    let format = match (found, foreign) {
        (Found::Nothing, Some(file)) => {
            let error = OpenError::Foreign { disk: disk.name(), file: file.clone() };
            return Err((disk, error));
        }
        (Found::Newer(found), _) => {
            let error = OpenError::Version { disk: disk.name(), found, known: crate::record::VERSION };
            return Err((disk, error));
        }
        (Found::Nothing, None) => Format { mirror: UNNUMBERED, in_use: false },
        // What the log says decides; a number that no mirror has lets it be copied anew if another one is good.
        (Found::Rotten, _) => Format { mirror: UNNUMBERED, in_use: true },
        (Found::Good(format), _) => format,
    };
    let segments = names.iter().filter_map(|name| segment_of_name(name)).collect();
    let mut candidate = Candidate {
        disk,
        mirror: format.mirror,
        segments,
        files: names,
        in_use: format.in_use,
        probe: None,
        sick: false,
        failed: BTreeMap::new(),
    };
    candidate.probe = candidate.probe();
    Ok(candidate)
}

impl<D: Disk> Candidate<D> {
    /// The bytes of one segment; none if it isn't there or can't be read.
    fn image(&mut self, segment: u32) -> Vec<u8> {
        if !self.segments.contains(&segment) {
            return Vec::new();
        }
        let read = self.disk.open(&segment_name(segment)).and_then(|file| read_all(&file));
        read.unwrap_or_else(|error| {
            self.sick = true;
            self.failed.insert(segment, error);
            Vec::new()
        })
    }

    /// Whether it has a segment and let it be read.
    fn shows(&self, segment: u32) -> bool {
        self.segments.contains(&segment) && !self.failed.contains_key(&segment)
    }

    fn refuses(&mut self, segment: u32) -> Option<OpenError> {
        let error = self.failed.remove(&segment)?;
        Some(io_error(&self.disk, "reading a segment of the log", error))
    }

    fn probe(&mut self) -> Option<Probe> {
        if !self.in_use {
            return None;
        }
        let newest = *self.segments.last()?;
        let image = self.image(newest);
        let opening = scan::opening(&[&image], newest)?;
        let scan = scan::scan(&[&image], newest, &opening, None);
        let mut probe =
            Probe { newest: (newest, opening.batch), mirrors: opening.start.mirrors, identity: None };
        for item in &scan.items {
            probe.newest.1 = probe.newest.1.max(item.header.batch);
            match &item.body {
                Some(Body::Mirrors(mirrors)) => probe.mirrors.clone_from(mirrors),
                Some(Body::Identity(identity)) => probe.identity = Some(identity.clone()),
                _ => {}
            }
        }
        Some(probe)
    }
}

fn whose(identity: &Identity) -> String {
    format!("node {} of cluster {:032x}", identity.node, identity.cluster)
}

fn check_identities<D: Disk>(candidates: &[Candidate<D>]) -> Result<(), OpenError> {
    let mut known: Option<(&Candidate<D>, &Identity)> = None;
    for candidate in candidates {
        let Some(identity) = candidate.probe.as_ref().and_then(|probe| probe.identity.as_ref()) else {
            continue;
        };
        match known {
            None => known = Some((candidate, identity)),
            Some((other, theirs)) if (theirs.cluster, theirs.node) != (identity.cluster, identity.node) => {
                return Err(OpenError::Identities {
                    one: (other.disk.name(), whose(theirs)),
                    other: (candidate.disk.name(), whose(identity)),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Locks and sorts the directories.
pub fn survey<D: Disk>(disks: Vec<D>) -> Result<Survey<D>, OpenError> {
    let alone = disks.len() == 1;
    let (mut candidates, mut lost, mut notes, mut last_error) = (Vec::new(), Vec::new(), Vec::new(), None);
    for disk in disks {
        match look(disk) {
            Ok(candidate) => candidates.push(candidate),
            Err((disk, error @ OpenError::Io { .. })) if !alone => {
                notes.push(Note(format!("{error}; this mirror takes no part")));
                lost.push(disk.name());
                last_error = Some(error);
            }
            Err((_, error)) => return Err(error),
        }
    }
    if candidates.is_empty() {
        return Err(last_error.unwrap_or(OpenError::NoDisk));
    }
    check_identities(&candidates)?;
    let mirror_max = highest_number(&candidates);
    let best = candidates.iter().filter_map(|one| Some((one.probe.clone()?, one.mirror, one.disk.name())));
    // A copy that was made and not yet taken in has the same log as its source, which counts.
    let rank = |probe: &Probe, id: u32| (probe.mirrors.contains(&id), probe.newest);
    let Some((best, best_id, best_name)) = best.max_by_key(|(probe, id, _)| rank(probe, *id)) else {
        return without_log(candidates, lost, notes, mirror_max);
    };
    let (mut members, mut others) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for candidate in candidates {
        let takes_part = candidate.in_use && best.mirrors.contains(&candidate.mirror);
        let is_best = candidate.probe.is_some() && candidate.disk.name() == best_name;
        let knows_best = candidate.probe.as_ref().is_none_or(|probe| probe.mirrors.contains(&best_id));
        if !is_best && !knows_best && candidate.in_use {
            return Err(OpenError::Diverged { one: best_name, other: candidate.disk.name() });
        }
        if is_best || (takes_part && seen.insert(candidate.mirror)) {
            seen.insert(candidate.mirror);
            members.push(candidate);
        } else {
            others.push(candidate);
        }
    }
    let absent: Vec<u32> = best.mirrors.iter().copied().filter(|id| !seen.contains(id)).collect();
    let missing = match (&absent[..], &mut members[..]) {
        // The file with its number has rotted, but the log says which one it must be.
        ([id], [only]) if only.mirror == UNNUMBERED => {
            only.mirror = *id;
            false
        }
        (absent, _) => !absent.is_empty(),
    };
    Ok(Survey { members, others, lost, missing, notes, mirror_max })
}

fn highest_number<D>(candidates: &[Candidate<D>]) -> u32 {
    let mut highest = 0;
    for candidate in candidates {
        highest = highest.max(candidate.mirror);
        for id in candidate.probe.iter().flat_map(|probe| &probe.mirrors) {
            highest = highest.max(*id);
        }
    }
    highest
}

/// What a disk said that refused to show a segment which no other one has: what can't be read now may be read tomorrow, and
/// is no more lost than it has rotted.
pub fn refusal<D: Disk>(members: &mut [Candidate<D>]) -> Option<OpenError> {
    let failed: Vec<u32> = members.iter().flat_map(|member| member.failed.keys().copied()).collect();
    let only = failed.into_iter().find(|&segment| !members.iter().any(|member| member.shows(segment)))?;
    members.iter_mut().find_map(|member| member.refuses(only))
}

/// No directory has a log that can be read by itself: all are new, or what they had is lost.
fn without_log<D: Disk>(
    mut candidates: Vec<Candidate<D>>,
    lost: Vec<String>,
    notes: Vec<Note>,
    mirror_max: u32,
) -> Result<Survey<D>, OpenError> {
    if let Some(error) = refusal(&mut candidates) {
        return Err(error);
    }
    if let Some(used) = candidates.iter().find(|candidate| candidate.in_use) {
        let why = if used.segments.is_empty() {
            "it was begun, and none of its files is left"
        } else {
            "the beginning of its last segment has rotted, both copies of it"
        };
        let disks: Vec<String> = candidates.iter().map(|candidate| candidate.disk.name()).collect();
        return Err(OpenError::Unreadable { disks: disks.join(", "), why: why.into() });
    }
    Ok(Survey { members: Vec::new(), others: candidates, lost, missing: false, notes, mirror_max })
}

/// What a mirror must be given to have a segment as it should be.
#[derive(Debug)]
struct Repair {
    member: usize,
    offset: u64,
    bytes: std::ops::Range<usize>,
}

fn repairs(images: &[&[u8]], scan: &Scan) -> Vec<Repair> {
    let mut found: Vec<Repair> = Vec::new();
    for (member, image) in images.iter().enumerate() {
        let mut check = |from: usize, to: usize| {
            if image.get(from..to) != Some(&scan.truth[from..to]) {
                found.push(Repair { member, offset: from as u64, bytes: from..to });
            }
        };
        for (nth, item) in scan.items.iter().enumerate() {
            if item.body.is_some() {
                let next = scan.items.get(nth + 1).map_or(scan.end, |next| next.offset);
                let end = item.offset.saturating_add(item.header.span()).min(next);
                check(item.offset as usize, end as usize);
            }
        }
        let end = scan.end as usize;
        if scan.truth.len() >= end + crate::record::HEADER_BYTES {
            check(end, end + crate::record::HEADER_BYTES);
        }
    }
    found
}

/// Replays the log of the members, each record from whichever has it good. If told so, what one lacks is written to it.
pub fn replay<D: Disk>(members: &mut [Candidate<D>], repair: bool, notes: &mut Vec<Note>) -> Replay {
    let numbers: BTreeSet<u32> = members.iter().flat_map(|member| member.segments.iter().copied()).collect();
    let mut openings = BTreeMap::new();
    for number in &numbers {
        let opening = opening(members, *number);
        openings.insert(*number, opening);
    }
    let mut replay = Replay::default();
    let last = numbers.last().copied();
    for number in numbers {
        let is_last = Some(number) == last;
        let next = openings.range(number + 1..).find_map(|(_, opening)| opening.as_ref());
        let seal = next.and_then(|opening| opening.seal()).filter(|seal| seal.segment == number);
        let images: Vec<Vec<u8>> = members.iter_mut().map(|member| member.image(number)).collect();
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        let scanned = openings[&number]
            .as_ref()
            .map(|opening| (opening, scan::scan(&images, number, opening, seal.map(|seal| seal.offset))));
        if let (Some((_, scan)), true) = (&scanned, members.len() > 1) {
            mend(members, number, &images, scan, repair, notes);
        }
        let content = scanned.as_ref().map(|(opening, scan)| (*opening, scan));
        replay.segment(Segment { number, content, seal, is_last });
    }
    replay.finish();
    replay
}

/// The first record of a segment, from the first page of it if that is good.
fn opening<D: Disk>(members: &mut [Candidate<D>], number: u32) -> Option<scan::Opening> {
    for member in members.iter().filter(|member| member.segments.contains(&number)) {
        let mut page = [0; 4096];
        let read = member.disk.open(&segment_name(number)).and_then(|file| file.read_at(0, &mut page));
        if let Ok(count) = read
            && let Some(opening) = scan::opening(&[&page[..count]], number)
        {
            return Some(opening);
        }
    }
    let images: Vec<Vec<u8>> = members.iter_mut().map(|member| member.image(number)).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    scan::opening(&images, number)
}

fn mend<D: Disk>(
    members: &mut [Candidate<D>],
    number: u32,
    images: &[&[u8]],
    scan: &Scan,
    repair: bool,
    notes: &mut Vec<Note>,
) {
    let found = repairs(images, scan);
    let longest = images.iter().map(|image| image.len()).max().unwrap_or(0) as u64;
    for (nth, member) in members.iter_mut().enumerate() {
        let mine: Vec<&Repair> = found.iter().filter(|one| one.member == nth).collect();
        if mine.is_empty() {
            continue;
        }
        let name = member.disk.name();
        let records = mine.len();
        if !repair {
            notes.push(Note(format!(
                "{name}: {records} records of segment {number} are missing or have rotted; another mirror has them"
            )));
            continue;
        }
        match write_repairs(member, number, &mine, scan, longest) {
            Ok(()) => notes.push(Note(format!(
                "{name}: {records} records of segment {number} were missing or had rotted; they were repaired from another \
                 mirror"
            ))),
            Err(error) => {
                notes.push(Note(format!("{name}: segment {number} can't be repaired ({error})")));
                member.sick = true;
            }
        }
    }
}

fn write_repairs<D: Disk>(
    member: &mut Candidate<D>,
    number: u32,
    repairs: &[&Repair],
    scan: &Scan,
    length: u64,
) -> io::Result<()> {
    let name = segment_name(number);
    let file = if member.segments.contains(&number) {
        member.disk.open(&name)?
    } else {
        let file = member.disk.create(&name)?;
        file.allocate(length)?;
        file
    };
    for repair in repairs {
        file.write_at(repair.offset, &scan.truth[repair.bytes.clone()])?;
    }
    file.sync_data()?;
    if member.segments.insert(number) {
        member.disk.sync_directory()?;
    }
    Ok(())
}
