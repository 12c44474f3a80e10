//! `sihai check`: reads everything in a stopped node's directories, changes nothing, and says what it found.

use crate::disk::Disk;
use crate::error::OpenError;
use crate::mirror::segment_name;
use crate::op::{Doubt, Identity, Note};
use crate::snapshot::{self, ChunkTable};
use crate::survey;
use base::{GroupId, Index, ReplicaId, Term};
use std::collections::BTreeMap;
use std::fmt;

/// What is in the directories.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// The directories that have the newest state.
    pub mirrors: Vec<String>,
    /// Those that missed something, are empty, or can't be read.
    pub degraded: Vec<String>,
    /// Whose they are.
    pub identity: Option<Identity>,
    /// How many segments the log has.
    pub segments: u32,
    /// How many bytes they are long, together.
    pub log_bytes: u64,
    /// How many batches are in them.
    pub batches: u64,
    /// How many records, second copies not counted.
    pub records: u64,
    /// The replicas.
    pub groups: BTreeMap<GroupId, GroupReport>,
    /// What is wrong, in sentences; nothing if all is well.
    pub faults: Vec<Note>,
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub struct GroupReport {
    /// Which.
    pub replica: ReplicaId,
    /// The newest term it has seen.
    pub term: Term,
    /// Its first entry behind the snapshot.
    pub first: Index,
    /// Its last entry, or that of its snapshot.
    pub last: Index,
    /// Its snapshot, with the number of chunks and of bytes.
    pub snapshot: Option<(Index, u32, u64)>,
    /// Whether its tail is in doubt.
    pub doubt: Option<Doubt>,
    /// Why it can't be trusted.
    pub damaged: Option<String>,
}

impl CheckReport {
    /// Whether a start would find everything as it was written.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Reads everything on `disks`, which must not be in use.
pub fn check<D: Disk>(disks: Vec<D>) -> Result<CheckReport, OpenError> {
    let mut survey = survey::survey(disks)?;
    let mut faults = std::mem::take(&mut survey.notes);
    let mut replay = survey::replay(&mut survey.members, false, &mut faults);
    faults.append(&mut replay.notes);
    if survey.missing {
        faults.push(Note("a mirror that took part isn't here".into()));
    }
    if replay.identity_lost {
        faults.push(Note("both copies of the record that says whose the log is have rotted".into()));
    }
    let mut report = CheckReport {
        mirrors: survey.members.iter().map(|member| member.disk.name()).collect(),
        degraded: survey.lost.clone(),
        identity: replay.contents.identity.clone(),
        batches: replay.batches,
        records: replay.records,
        ..CheckReport::default()
    };
    report.degraded.extend(survey.others.iter().map(|other| other.disk.name()));
    if let Some(member) = survey.members.first() {
        report.segments = member.segments.len() as u32;
        for number in &member.segments {
            let length =
                member.disk.open(&segment_name(*number)).and_then(|file| crate::disk::DiskFile::len(&file));
            report.log_bytes += length.unwrap_or(0);
        }
    }
    for (id, group) in &replay.contents.groups {
        if let Some(why) = &group.damaged {
            faults.push(Note(format!("{id} can't be trusted: {why}")));
        }
        let mut found = GroupReport {
            replica: group.replica,
            term: group.hard_state.term,
            first: group.base().0.next(),
            last: group.last().0,
            snapshot: None,
            doubt: group.doubt,
            damaged: group.damaged.clone(),
        };
        if let Some(record) = &group.snapshot {
            let bytes = record.chunks.iter().map(|chunk| chunk.bytes).sum();
            found.snapshot = Some((record.index, record.chunks.len() as u32, bytes));
            for member in &survey.members {
                let unreadable = unreadable_chunks(&member.disk, *id, record);
                if unreadable > 0 {
                    faults.push(Note(format!(
                        "{}: {unreadable} chunks of the {} of {id} are missing or have rotted",
                        member.disk.name(),
                        record.id()
                    )));
                }
            }
        }
        report.groups.insert(*id, found);
    }
    report.faults = faults;
    Ok(report)
}

/// How many of a snapshot's chunks aren't as its record says.
fn unreadable_chunks<D: Disk>(disk: &D, group: GroupId, record: &crate::op::SnapshotRecord) -> usize {
    let Ok(file) = disk.open(&snapshot::file_name(group, record.id())) else {
        return record.chunks.len().max(1);
    };
    let Ok(table) = ChunkTable::read(&file, group, record.id()) else { return record.chunks.len().max(1) };
    let good = |number: usize| {
        let located = table.find(number as u32, &record.chunks[number]);
        located.is_some_and(|located| matches!(snapshot::read_chunk(&file, located), Ok(Some(_))))
    };
    (0..record.chunks.len()).filter(|number| !good(*number)).count()
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "directories  {}", self.mirrors.join(", "))?;
        if !self.degraded.is_empty() {
            writeln!(f, "degraded     {}", self.degraded.join(", "))?;
        }
        match &self.identity {
            Some(identity) => writeln!(
                f,
                "identity     node {} of cluster {:032x}, started {} times",
                identity.node, identity.cluster, identity.start
            )?,
            None => writeln!(f, "identity     none yet")?,
        }
        writeln!(
            f,
            "log          {} segments, {} bytes, {} batches, {} records",
            self.segments, self.log_bytes, self.batches, self.records
        )?;
        for (id, group) in &self.groups {
            write!(
                f,
                "{:<12} replica {}, term {}, entries {} to {}",
                id.to_string(),
                group.replica,
                group.term.0,
                group.first.0,
                group.last.0
            )?;
            if let Some((index, chunks, bytes)) = group.snapshot {
                write!(f, ", snapshot at {} ({chunks} chunks, {bytes} bytes)", index.0)?;
            }
            match &group.doubt {
                Some(Doubt { last: Some((term, index)) }) => {
                    write!(f, ", tail in doubt up to {} of term {}", index.0, term.0)?;
                }
                Some(Doubt { last: None }) => write!(f, ", tail in doubt")?,
                None => {}
            }
            writeln!(f)?;
        }
        if self.faults.is_empty() {
            return writeln!(f, "all is well");
        }
        for fault in &self.faults {
            writeln!(f, "fault: {fault}")?;
        }
        Ok(())
    }
}
