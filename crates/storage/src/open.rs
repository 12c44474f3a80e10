//! Opening: sort the directories, replay the log, bring the mirrors up to date, and begin a new segment, so that nothing
//! that an interrupted write may have left is ever taken for something newer.

use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, ReadError, WriteError};
use crate::format::{self, Format};
use crate::index::Contents;
use crate::mirror::{Mirror, Mirrors, segment_name, segment_of_name};
use crate::op::{Note, Op, Options, RecoveredGroup, Recovery};
use crate::record::Seal;
use crate::replay::Replay;
use crate::segments::SPARE;
use crate::snapshot;
use crate::store::{Current, Store};
use crate::survey::{self, Candidate, Survey};
use base::{GroupId, Index};
use std::collections::BTreeMap;
use std::io;

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

impl<D: Disk> Store<D> {
    /// Opens, or creates in empty directories; several disks are mirrors of each other. The count of starts in the
    /// identity, if there is one, is raised before this returns.
    pub fn open(disks: Vec<D>, options: Options) -> Result<(Self, Recovery), OpenError> {
        let mut survey = survey::survey(disks)?;
        let mut notes = std::mem::take(&mut survey.notes);
        let mut replay = survey::replay(&mut survey.members, true, &mut notes);
        notes.append(&mut replay.notes);
        if let Some(refusal) = survey::refusal(&mut survey.members) {
            return Err(refusal);
        }
        if replay.identity_lost {
            return Err(OpenError::Unreadable {
                disks: names(&survey.members).join(", "),
                why: "both copies of the record that says whose it is have rotted".into(),
            });
        }
        if survey.missing {
            notes.push(Note(
                "a mirror that took part isn't here; if it was the only one that had the newest writes, they are missing, so \
                 this node doesn't vote for logs that may lack them until the other copies have settled it"
                    .into(),
            ));
            for group in replay.contents.groups.values_mut() {
                group.raise_doubt(None);
            }
        }
        let Replay { mut contents, seal, batch, .. } = replay;
        if let Some(identity) = &mut contents.identity {
            identity.start += 1;
        }
        let mirrors = assemble(survey, &mut contents, notes)?;
        let mut store = Store::assemble(mirrors, contents, options);
        let begun = store.begin(seal, batch);
        begun.map_err(|error| store.open_error("beginning a new segment of the log", error))?;
        let recovery = store.recovery().map_err(|error| store.open_error("reading the log", error))?;
        Ok((store, recovery))
    }

    fn open_error(&self, doing: &'static str, error: WriteError) -> OpenError {
        let disk = self.mirrors.good.iter().map(|mirror| mirror.disk.name()).collect::<Vec<_>>().join(", ");
        match error {
            WriteError::Full(_) => OpenError::Full { disk },
            WriteError::Fatal(what) => OpenError::Io { disk, doing, error: io::Error::other(what) },
        }
    }

    /// Begins the first segment of this start, then tidies up.
    fn begin(&mut self, seal: Option<Seal>, batch: u64) -> Result<(), WriteError> {
        self.open_snapshots()?;
        if let Some(mirror) = self.mirrors.good.first() {
            for (number, file) in &mirror.segments {
                let length = file.len().map_err(|error| WriteError::Fatal(error.to_string()))?;
                self.segments.insert(*number, length);
            }
        }
        let last = self.segments.last_key_value().map_or(0, |(number, _)| *number);
        self.current = Current { segment: last, offset: 0, batch };
        let entries = self.take_tail(seal)?;
        self.begin_segment(seal, 0, &entries)?;
        // The log counts from now on; a mirror that was made new counts with it.
        self.mirrors.each("marking the directory", |mirror| {
            let format = Format { mirror: mirror.id, in_use: true };
            if format::read(&mirror.disk)? == format::Found::Good(format) {
                return Ok(());
            }
            format::write(&mirror.disk, format)
        })?;
        // What follows the end of the segment never counts again. One that can't be read at all stays as it is.
        if let Some(seal) = seal.filter(|seal| seal.offset > 0 && self.segments.contains_key(&seal.segment)) {
            self.mirrors
                .each("ending a segment", |mirror| mirror.segments[&seal.segment].set_len(seal.offset))?;
            self.segments.insert(seal.segment, seal.offset);
        }
        self.free_segments()?;
        self.write_all([].iter()).map(|report| self.mirrors.notes.splice(0..0, report.notes)).map(drop)
    }

    /// Entries of the last batch that are good although others of that batch aren't: they are written again, because the
    /// segment ends before that batch.
    fn take_tail(&mut self, seal: Option<Seal>) -> Result<Vec<Op>, WriteError> {
        let Some(seal) = seal else { return Ok(Vec::new()) };
        let mut found: Vec<(GroupId, Index, Index)> = Vec::new();
        for (id, group) in &self.contents.groups {
            let mut behind = group
                .runs()
                .iter()
                .filter(|run| run.place.segment == seal.segment && run.place.offset >= seal.offset);
            if let Some(first) = behind.next() {
                found.push((*id, first.first, group.last().0));
            }
        }
        let mut ops = Vec::new();
        for (group, first, last) in found {
            let entries = self.entries(group, first, last, u64::MAX);
            let entries = entries.map_err(|error| WriteError::Fatal(error.to_string()))?;
            self.contents.truncate(group, first);
            ops.push(Op::Append { group, entries });
        }
        Ok(ops)
    }

    fn recovery(&mut self) -> Result<Recovery, WriteError> {
        let ids: Vec<GroupId> = self.contents.groups.keys().copied().collect();
        let mut groups = BTreeMap::new();
        for id in ids {
            let group = &self.contents.groups[&id];
            let (first, last) = (group.base().0.next(), group.last().0);
            let entries = if first > last { Ok(Vec::new()) } else { self.entries(id, first, last, u64::MAX) };
            if let Err(ReadError::Failed(why)) = entries {
                return Err(WriteError::Fatal(why));
            }
            let partial = self.partial(id);
            let group = self.contents.groups.get_mut(&id).expect("it was there");
            if let Err(error) = &entries {
                group.damage(|| error.to_string());
            }
            groups.insert(
                id,
                RecoveredGroup {
                    replica: group.replica,
                    hard_state: group.hard_state,
                    snapshot: group.snapshot.clone(),
                    partial,
                    entries: entries.unwrap_or_default(),
                    doubt: group.doubt,
                    damaged: group.damaged.clone(),
                },
            );
        }
        let notes = std::mem::take(&mut self.mirrors.notes);
        Ok(Recovery { identity: self.contents.identity.clone(), groups, notes })
    }
}

fn names<D: Disk>(candidates: &[Candidate<D>]) -> Vec<String> {
    candidates.iter().map(|candidate| candidate.disk.name()).collect()
}

/// Makes mirrors of the directories: the members as they are, the others as copies of the first member.
fn assemble<D: Disk>(
    survey: Survey<D>,
    contents: &mut Contents,
    mut notes: Vec<Note>,
) -> Result<Mirrors<D>, OpenError> {
    let Survey { mut members, others, mut lost, mut mirror_max, .. } = survey;
    let healthy = members.iter().filter(|member| !member.sick).count();
    if healthy > 0 && healthy < members.len() {
        for sick in members.extract_if(.., |member| member.sick) {
            notes.push(Note(format!("{} can't be read or repaired and takes no part", sick.disk.name())));
            lost.push(sick.disk.name());
        }
    }
    let source = members.first();
    let mut made = Vec::new();
    for mut other in others {
        mirror_max += 1;
        let name = other.disk.name();
        let was_in_use = other.in_use;
        match make_mirror(source, &mut other, mirror_max, contents) {
            Ok(()) => {
                if was_in_use {
                    notes.push(Note(format!(
                        "{name} had missed something and was copied anew from another mirror"
                    )));
                } else if source.is_some() {
                    notes.push(Note(format!("{name} is a new mirror, copied from another one")));
                }
                made.push(other);
            }
            Err(error) if source.is_none() && made.is_empty() => {
                return Err(OpenError::Io { disk: name, doing: "creating the data directory", error });
            }
            Err(error) => {
                notes.push(Note(format!("{name} can't be made a mirror ({error}) and takes no part")));
                lost.push(name);
            }
        }
    }
    members.append(&mut made);
    let mut good = Vec::new();
    for member in members {
        let mut segments = BTreeMap::new();
        for number in &member.segments {
            let file = member.disk.open(&segment_name(*number)).map_err(|error| OpenError::Io {
                disk: member.disk.name(),
                doing: "opening a segment of the log",
                error,
            })?;
            segments.insert(*number, file);
        }
        good.push(Mirror { disk: member.disk, id: member.mirror, segments, snapshots: BTreeMap::new() });
    }
    Ok(Mirrors { good, degraded: lost, notes, changed: false })
}

/// Empties a directory and fills it from `source`, if there is one. Until the log says that it takes part, it doesn't.
fn make_mirror<D: Disk>(
    source: Option<&Candidate<D>>,
    target: &mut Candidate<D>,
    id: u32,
    contents: &Contents,
) -> io::Result<()> {
    format::write(&target.disk, Format { mirror: id, in_use: false })?;
    for name in &target.files {
        if segment_of_name(name).is_some() || snapshot::of_file_name(name).is_some() || name == SPARE {
            target.disk.remove(name)?;
        }
    }
    target.mirror = id;
    target.segments.clear();
    if let Some(source) = source {
        for number in &source.segments {
            copy_file(&source.disk, &target.disk, &segment_name(*number))?;
            target.segments.insert(*number);
        }
        for (group, here) in &contents.groups {
            if let Some(record) = &here.snapshot {
                copy_file(&source.disk, &target.disk, &snapshot::file_name(*group, record.id()))?;
            }
        }
        // It still takes no part before a new segment names it.
        format::write(&target.disk, Format { mirror: id, in_use: true })?;
    }
    target.disk.sync_directory()
}

pub(crate) fn copy_file<D: Disk>(from: &D, to: &D, name: &str) -> io::Result<()> {
    match to.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (source, target) = (from.open(name)?, to.create(name)?);
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let count = source.read_at(offset, &mut buffer)?;
        if count == 0 {
            break;
        }
        target.write_at(offset, &buffer[..count])?;
        offset += count as u64;
    }
    target.sync_data()?;
    to.sync_directory()
}
