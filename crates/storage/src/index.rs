//! What the log says, in memory: for each group everything but the entries' contents, and where those lie. Recovery
//! replays records into it, and the running store keeps it up to date; both by the same functions.

use crate::op::{Doubt, Identity, SnapshotRecord};
use crate::record::{Append, GroupStart};
use base::{GroupId, HardState, Index, ReplicaId, Term, invariant};
use std::collections::{BTreeMap, VecDeque};

/// Where an Append's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which segment.
    pub segment: u32,
    /// Where its header begins.
    pub offset: u64,
    /// How long its payload is.
    pub payload_bytes: u32,
}

/// Entries that lie in one record. The record may hold more, which are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first that counts.
    pub first: Index,
    /// The last that counts.
    pub last: Index,
    /// Where.
    pub place: Place,
}

/// One replica.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Which.
    pub replica: ReplicaId,
    /// Its hard state.
    pub hard_state: HardState,
    /// Its snapshot.
    pub snapshot: Option<SnapshotRecord>,
    /// Whether its tail is in doubt.
    pub doubt: Option<Doubt>,
    /// Why it can't be trusted.
    pub damaged: Option<String>,
    /// During a replay: something unreadable may have concerned it, and nothing has yet shown that it didn't.
    pub suspect: bool,
    /// The entry before the first one that is here.
    base: (Index, Term),
    runs: VecDeque<Run>,
    /// Where each term begins, in order.
    terms: VecDeque<(Index, Term)>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Whose directory it is.
    pub identity: Option<Identity>,
    /// The replicas.
    pub groups: BTreeMap<GroupId, Group>,
    /// How many runs lie in each segment.
    live_runs: BTreeMap<u32, u64>,
}

impl Group {
    /// The last entry, or what the log begins after.
    pub fn last(&self) -> (Index, Term) {
        match (self.runs.back(), self.terms.back()) {
            (Some(run), Some((_, term))) => (run.last, *term),
            _ => self.base,
        }
    }

    /// The entry before the first one that is here.
    pub fn base(&self) -> (Index, Term) {
        self.base
    }

    /// The term of an entry that is here or is the base.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        if index < self.base.0 || index > self.last().0 {
            return None;
        }
        let after = self.terms.partition_point(|(start, _)| *start <= index);
        self.terms.get(after.checked_sub(1)?).map(|(_, term)| *term)
    }

    /// The runs, in order.
    pub fn runs(&self) -> &VecDeque<Run> {
        &self.runs
    }

    /// The run that has `index`.
    pub fn run_at(&self, index: Index) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.last < index);
        self.runs.get(at).filter(|run| run.first <= index)
    }

    /// Whether the log reaches down to the snapshot; if not, entries between are missing.
    pub fn is_whole(&self) -> bool {
        let snapshot =
            self.snapshot.as_ref().map_or((Index::ZERO, Term(0)), |record| (record.index, record.term));
        self.base == snapshot
    }

    /// Raises the doubt: another `last` may be lost.
    pub fn raise_doubt(&mut self, last: Option<(Term, Index)>) {
        let last = match self.doubt {
            None => last,
            Some(Doubt { last: known }) => known.zip(last).map(|(one, other)| one.max(other)),
        };
        self.doubt = Some(Doubt { last });
    }

    /// Notes why it can't be trusted; the first reason stays.
    pub fn damage(&mut self, why: impl FnOnce() -> String) {
        if self.damaged.is_none() {
            self.damaged = Some(why());
        }
    }

    /// What a new segment says of it.
    pub fn start(&self) -> GroupStart {
        GroupStart {
            replica: self.replica,
            hard_state: self.hard_state,
            snapshot: self.snapshot.clone(),
            doubt: self.doubt,
            damaged: self.damaged.clone(),
            last: self.last(),
        }
    }
}

fn release(live_runs: &mut BTreeMap<u32, u64>, run: &Run) {
    let count = live_runs.get_mut(&run.place.segment).expect("every run is counted");
    *count -= 1;
}

/// The log as of a replayed Append, a Snapshot or a checkpoint isn't what the records before say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

impl Contents {
    /// Begins a replica, in place of whatever was there.
    pub fn create(&mut self, group: GroupId, replica: ReplicaId) {
        self.remove(group);
        self.groups.insert(group, Group { replica, ..Group::default() });
    }

    /// Ends a replica.
    pub fn remove(&mut self, group: GroupId) {
        if let Some(group) = self.groups.remove(&group) {
            for run in &group.runs {
                release(&mut self.live_runs, run);
            }
        }
    }

    /// Voids the entries from `first` on.
    pub fn truncate(&mut self, group: GroupId, first: Index) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        while let Some(run) = group.runs.back_mut() {
            if run.last < first {
                break;
            }
            if run.first < first {
                run.last = first.prev();
                break;
            }
            release(&mut self.live_runs, run);
            group.runs.pop_back();
        }
        while group.terms.back().is_some_and(|(start, _)| *start >= first) {
            group.terms.pop_back();
        }
    }

    /// Voids the entries through `through`, which has `term`.
    fn compact(&mut self, group: GroupId, through: Index, term: Term) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        while let Some(run) = group.runs.front_mut() {
            if run.first > through {
                break;
            }
            if run.last > through {
                run.first = through.next();
                break;
            }
            release(&mut self.live_runs, run);
            group.runs.pop_front();
        }
        if group.runs.is_empty() {
            group.terms.clear();
        } else {
            let after = group.terms.partition_point(|(start, _)| *start <= through.next());
            if after > 0 {
                group.terms.drain(..after - 1);
                group.terms[0].0 = through.next();
            }
        }
        group.base = (through, term);
    }

    /// Notes that entries from `first` on, with these terms, lie at `place`, and that what was there is void.
    pub fn append(
        &mut self,
        group: GroupId,
        first: Index,
        terms: impl ExactSizeIterator<Item = Term>,
        place: Place,
    ) {
        self.truncate(group, first);
        let group = self.groups.get_mut(&group).expect("entries are appended to a group that is there");
        let last = Index(first.0 + terms.len() as u64 - 1);
        let mut newest = group.terms.back().map(|(_, term)| *term);
        for (nth, term) in terms.enumerate() {
            if newest != Some(term) {
                group.terms.push_back((Index(first.0 + nth as u64), term));
                newest = Some(term);
            }
        }
        group.runs.push_back(Run { first, last, place });
        *self.live_runs.entry(place.segment).or_default() += 1;
    }

    /// The same for a record that is replayed: first checks by the entry before it that the log up to there is whole.
    pub fn replay_append(&mut self, group: GroupId, append: &Append, place: Place) -> Result<(), Mismatch> {
        let first = append.entries.first().ok_or(Mismatch)?.index;
        let here = self.groups.get_mut(&group).ok_or(Mismatch)?;
        if first <= here.base.0 && here.is_whole() {
            return Err(Mismatch);
        }
        if first <= here.base.0 {
            // The entries below the base lie in segments that have been freed: a snapshot further on covers them.
            here.base = (first.prev(), append.previous_term);
            self.truncate(group, Index::ZERO);
        } else if here.term(first.prev()) != Some(append.previous_term) {
            return Err(Mismatch);
        }
        self.append(group, first, append.entries.iter().map(|entry| entry.term), place);
        if let Some(here) = self.groups.get_mut(&group) {
            here.suspect = false;
        }
        Ok(())
    }

    /// A snapshot is complete. Unless it voids the log, the log must have its last entry; a [`Mismatch`] if not.
    pub fn snapshot(
        &mut self,
        group: GroupId,
        record: SnapshotRecord,
        reset_log: bool,
    ) -> Result<(), Mismatch> {
        let here = self.groups.get_mut(&group).ok_or(Mismatch)?;
        let (index, term) = (record.index, record.term);
        if reset_log {
            here.base = (index, term);
            here.suspect = false;
            self.truncate(group, Index::ZERO);
        } else if here.term(index) == Some(term) {
            self.compact(group, index, term);
        } else if index >= here.base.0 || here.is_whole() {
            return Err(Mismatch);
        }
        // Else this is a replay whose oldest segments are freed, and a later snapshot covers what they held.
        if let Some(here) = self.groups.get_mut(&group) {
            here.snapshot = Some(record);
        }
        Ok(())
    }

    /// Takes a group as the beginning of a segment says it is; a [`Mismatch`] if the records before that say otherwise,
    /// or, unless this is the oldest segment (`trusted`), if they don't reach so far.
    pub fn checkpoint(&mut self, group: GroupId, start: &GroupStart, trusted: bool) -> Result<(), Mismatch> {
        if self.groups.get(&group).is_none_or(|here| here.replica != start.replica) {
            self.create(group, start.replica);
        }
        if let Some(record) = &start.snapshot {
            let here = &self.groups[&group];
            if here.snapshot.as_ref() != Some(record) {
                let reset = here.term(record.index) != Some(record.term);
                self.snapshot(group, record.clone(), reset)?;
            }
        }
        let here = self.groups.get_mut(&group).expect("it was created above");
        here.hard_state = start.hard_state;
        here.doubt = start.doubt;
        here.damaged.clone_from(&start.damaged);
        let agrees = here.term(start.last.0) == Some(start.last.1);
        if agrees {
            here.suspect = false;
            self.truncate(group, start.last.0.next());
            return Ok(());
        }
        if trusted {
            here.base = start.last;
            self.truncate(group, Index::ZERO);
            return Ok(());
        }
        Err(Mismatch)
    }

    /// Everything unreadable may concern every group.
    pub fn suspect_all(&mut self) {
        for group in self.groups.values_mut() {
            group.suspect = true;
        }
    }

    /// How many runs of entries lie in `segment`.
    pub fn live_runs(&self, segment: u32) -> u64 {
        self.live_runs.get(&segment).copied().unwrap_or(0)
    }

    /// Forgets the count of a segment that is gone.
    pub fn forget_segment(&mut self, segment: u32) {
        let count = self.live_runs.remove(&segment).unwrap_or(0);
        invariant!(
            "a segment that is freed holds no live entry",
            count == 0,
            "segment {segment} holds {count}"
        );
    }

    /// Groups with entries in `segment`, which is the oldest.
    pub fn groups_in(&self, segment: u32) -> Vec<GroupId> {
        if self.live_runs(segment) == 0 {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (id, group) in &self.groups {
            if group.runs.front().is_some_and(|run| run.place.segment == segment) {
                found.push(*id);
            }
        }
        found
    }
}
