//! Turns the segments' records into what the log says, and decides about what is unreadable.
//!
//! A batch is written only when the one before it is durable. So whatever is unreadable *before the last batch* was
//! durable once and has rotted: the groups it concerns are damaged. The *last batch* is ambiguous: the power may have
//! gone while it was being written, when nobody was told of it, or it was acknowledged and has rotted. The groups it
//! concerns are in doubt.
//!
//! Where even a header is unreadable, any group may be concerned. Then a group is suspect until a later record shows
//! by the term of the entry before it, or a later segment by its first records, that nothing is missing (Raft's log
//! matching property: logs that agree on the term at an index agree up to it).

use crate::index::{Contents, Group, Place};
use crate::op::Note;
use crate::record::{Body, Copies, Kind, Seal};
use crate::scan::{Item, Opening, Scan};
use base::{GroupId, Index, Term};
use std::collections::{BTreeMap, BTreeSet};

/// What has been replayed so far.
#[derive(Debug, Default)]
pub struct Replay {
    /// What the log says.
    pub contents: Contents,
    /// Which mirrors take part.
    pub mirrors: Vec<u32>,
    /// The newest batch.
    pub batch: u64,
    /// Where the last segment ends.
    pub seal: Option<Seal>,
    /// For people.
    pub notes: Vec<Note>,
    /// An unreadable record, both copies of it, said whose directory this is.
    pub identity_lost: bool,
    /// How many good records were read, second copies not counted.
    pub records: u64,
    /// How many batches.
    pub batches: u64,
    /// Whether a segment has been replayed.
    begun: bool,
}

/// One segment to be replayed.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'s> {
    /// Its number.
    pub number: u32,
    /// What is in it; nothing if not even its first record is readable.
    pub content: Option<(&'s Opening, &'s Scan)>,
    /// Where the next segment says that it ends; nothing for the last one.
    pub seal: Option<Seal>,
    /// Whether it is the last one.
    pub is_last: bool,
}

/// The records of one batch.
struct Records<'s> {
    number: u64,
    /// The best copy of each, by order.
    by_order: BTreeMap<u32, &'s Item>,
    count: u32,
    /// Where it begins, as far as that is readable.
    start: u64,
}

/// What is known to be lost in the last batch.
#[derive(Default)]
struct Tail {
    /// Nothing more counts of these groups' entries.
    blocked: BTreeSet<GroupId>,
    /// Nothing more counts of anybody's.
    all_blocked: bool,
    /// The last entry that may be lost, by group.
    lost: BTreeMap<GroupId, Option<(Term, Index)>>,
}

impl Tail {
    fn block(&mut self, group: GroupId, last: Option<(Term, Index)>) {
        self.blocked.insert(group);
        let known = self.lost.entry(group).or_insert(last);
        *known = known.zip(last).map(|(one, other)| one.max(other));
    }

    fn blocks(&self, group: GroupId) -> bool {
        self.all_blocked || self.blocked.contains(&group)
    }
}

/// Sorts a segment's records into batches.
fn batches<'s>(scan: &'s Scan) -> Vec<Records<'s>> {
    let mut batches: Vec<Records<'s>> = Vec::new();
    let mut end = 0;
    for item in &scan.items {
        let header = &item.header;
        if batches.last().is_none_or(|batch| batch.number != header.batch) {
            batches.push(Records {
                number: header.batch,
                by_order: BTreeMap::new(),
                count: header.count,
                start: end,
            });
        }
        end = item.offset.saturating_add(header.span()).min(scan.end);
        let batch = batches.last_mut().expect("one was pushed if there was none");
        // Padding and end marks have no order among the records.
        if header.order < batch.count {
            let known = batch.by_order.entry(header.order).or_insert(item);
            if known.body.is_none() && item.body.is_some() {
                *known = item;
            }
        }
    }
    if let Some(mark) = scan.mark.filter(|mark| batches.last().is_none_or(|batch| batch.number < mark.batch))
    {
        batches.push(Records {
            number: mark.batch,
            by_order: BTreeMap::new(),
            count: mark.count,
            start: end,
        });
    }
    batches
}

impl Records<'_> {
    /// Whether no record is missing. The count is only announced: nothing may take as long as it is high.
    fn is_complete(&self) -> bool {
        self.by_order.len() == self.count as usize
    }

    /// Whether a record is missing or unreadable that anybody would miss.
    fn is_faulty(&self) -> bool {
        !self.is_complete() || self.by_order.values().any(|item| is_fault(item))
    }
}

/// An unreadable record that had only one copy and wasn't entries was only a hint.
fn is_fault(item: &Item) -> bool {
    item.body.is_none() && (item.header.copy != Copies::Only || item.header.kind == Kind::Append)
}

impl Replay {
    fn note(&mut self, text: String) {
        self.notes.push(Note(text));
    }

    /// Replays one segment; they come in order.
    pub fn segment(&mut self, segment: Segment<'_>) {
        let Some((opening, scan)) = segment.content else {
            self.note(format!(
                "segment {} of the log can't be read at all; what it held is looked for in the segments behind it",
                segment.number
            ));
            self.contents.suspect_all();
            if segment.is_last {
                self.seal = Some(Seal { segment: segment.number, offset: 0, batch: self.batch });
            }
            return;
        };
        for (from, to) in &scan.gaps {
            self.note(format!(
                "segment {} of the log can't be read from byte {from} to {to}",
                segment.number
            ));
        }
        let batches = batches(scan);
        let mut expected = opening.batch;
        for (nth, batch) in batches.iter().enumerate() {
            if batch.number > expected {
                self.lost_batches(segment.number, expected, batch.number - 1);
            }
            expected = batch.number + 1;
            let is_checkpoint = batch.number == opening.batch;
            let is_last = segment.is_last && nth + 1 == batches.len();
            if is_last && !is_checkpoint && batch.is_faulty() {
                self.last_batch(segment.number, batch, scan);
                self.batches += 1;
                return;
            }
            self.durable_batch(segment.number, batch, is_checkpoint);
            self.batches += 1;
        }
        match segment.seal {
            Some(seal) if seal.segment == segment.number && seal.batch >= expected => {
                self.lost_batches(segment.number, expected, seal.batch);
            }
            _ => {}
        }
        self.batch = self.batch.max(expected - 1);
        self.begun = true;
        if segment.is_last {
            self.seal = Some(Seal { segment: segment.number, offset: scan.end, batch: self.batch });
            if !scan.clean {
                self.unclean_end(segment.number, scan.end);
            }
        }
    }

    fn lost_batches(&mut self, segment: u32, from: u64, to: u64) {
        self.note(format!(
            "batches {from} to {to} in segment {segment} of the log were durable and can't be read any more"
        ));
        self.contents.suspect_all();
    }

    fn unclean_end(&mut self, segment: u32, offset: u64) {
        self.note(format!(
            "the log's end at byte {offset} of segment {segment} can't be read: a write that the power cut short, or \
             something acknowledged that has rotted; until the other copies have settled which, this node doesn't vote for \
             logs that may lack it"
        ));
        for group in self.contents.groups.values_mut() {
            group.raise_doubt(None);
        }
    }

    fn damage(&mut self, group: GroupId, why: impl FnOnce() -> String) {
        self.contents.groups.entry(group).or_default().damage(why);
    }

    /// A batch that was durable: whatever is unreadable in it has rotted.
    fn durable_batch(&mut self, segment: u32, batch: &Records<'_>, is_checkpoint: bool) {
        for item in batch.by_order.values() {
            match &item.body {
                Some(Body::Append(append)) => self.durable_append(segment, item, append),
                Some(body) => self.control(item.header.group, body),
                None if is_fault(item) => self.rotten(segment, item),
                None => {}
            }
            self.records += 1;
        }
        if !batch.is_complete() {
            self.note(format!(
                "records of batch {} in segment {segment} of the log have rotted and don't tell whose they were",
                batch.number
            ));
            self.contents.suspect_all();
        } else if is_checkpoint {
            let mut named = BTreeSet::new();
            for item in batch.by_order.values() {
                if item.header.kind == Kind::Group {
                    named.insert(item.header.group);
                }
            }
            let gone: Vec<GroupId> =
                self.contents.groups.keys().copied().filter(|group| !named.contains(group)).collect();
            for group in gone {
                self.contents.remove(group);
            }
        }
    }

    fn durable_append(&mut self, segment: u32, item: &Item, append: &crate::record::Append) {
        let group = item.header.group;
        if self.contents.groups.get(&group).is_some_and(|group| group.damaged.is_some()) {
            return;
        }
        if self.contents.replay_append(group, append, place(segment, item)).is_err() {
            let first = item.header.first().0;
            self.damage(group, || format!("entries before {first} of its log have rotted"));
        }
    }

    fn rotten(&mut self, segment: u32, item: &Item) {
        let header = &item.header;
        let offset = item.offset;
        match header.kind {
            Kind::Identity => self.identity_lost = true,
            Kind::Segment | Kind::Mirrors | Kind::Padding | Kind::End => self.note(format!(
                "a record at byte {offset} of segment {segment} of the log has rotted; it concerns no data"
            )),
            Kind::Append => {
                let (first, last) = (header.first().0, header.index.0);
                self.damage(header.group, || {
                    format!(
                        "entries {first} to {last} of its log have rotted (segment {segment}, byte {offset})"
                    )
                });
            }
            kind => self.damage(header.group, || {
                format!("both copies of its {kind:?} record have rotted (segment {segment}, byte {offset})")
            }),
        }
    }

    /// A good record other than entries.
    fn control(&mut self, id: GroupId, body: &Body) {
        match body {
            Body::Segment(start) => self.mirrors.clone_from(&start.mirrors),
            Body::Mirrors(mirrors) => self.mirrors.clone_from(mirrors),
            Body::Identity(identity) => self.contents.identity = Some(identity.clone()),
            Body::Group(start) => {
                if self.contents.checkpoint(id, start, !self.begun).is_err() {
                    let last = start.last.0.0;
                    self.damage(id, || format!("entries up to {last} of its log have rotted"));
                }
            }
            Body::Create(replica) => self.contents.create(id, *replica),
            Body::Drop => self.contents.remove(id),
            Body::HardState(replica, state) => {
                if let Some(group) = self.of_replica(id, *replica) {
                    group.hard_state = *state;
                }
            }
            Body::Snapshot { record, reset_log } => {
                let damaged = self.contents.groups.get(&id).is_some_and(|group| group.damaged.is_some());
                if !damaged && self.contents.snapshot(id, (**record).clone(), *reset_log).is_err() {
                    let index = record.index.0;
                    self.damage(id, || format!("entries before its snapshot at {index} have rotted"));
                }
            }
            Body::Settled => {
                if let Some(group) = self.contents.groups.get_mut(&id) {
                    group.doubt = None;
                }
            }
            Body::Append(_) | Body::Nothing => {}
        }
    }

    fn of_replica(&mut self, id: GroupId, replica: base::ReplicaId) -> Option<&mut Group> {
        self.contents.groups.get_mut(&id).filter(|group| group.replica == replica)
    }

    /// The last batch, something in which is unreadable. What stands in two places counts if either is readable: it is
    /// never wrong to remember a term, a vote or a snapshot that nobody was told of. Entries count as long as nothing
    /// unreadable that may have concerned their group came before them.
    fn last_batch(&mut self, segment: u32, batch: &Records<'_>, scan: &Scan) {
        let mut tail = Tail::default();
        for (order, (found, item)) in (0..).zip(&batch.by_order) {
            // Something is missing before it.
            tail.all_blocked |= *found != order;
            self.records += 1;
            self.last_record(segment, item, &mut tail);
        }
        tail.all_blocked |= !batch.is_complete();
        self.batch = batch.number;
        self.begun = true;
        self.seal = Some(Seal { segment, offset: batch.start, batch: batch.number - 1 });
        self.note(format!(
            "the last batch, at byte {} of segment {segment} of the log, is partly unreadable: a write that the power cut \
             short, or something acknowledged that has rotted; until the other copies have settled which, this node doesn't \
             vote for logs that may lack it",
            batch.start
        ));
        for (id, last) in &tail.lost {
            if let Some(group) = self.contents.groups.get_mut(id) {
                group.raise_doubt(*last);
            }
        }
        if tail.all_blocked || !scan.clean {
            for group in self.contents.groups.values_mut() {
                group.raise_doubt(None);
            }
        }
    }

    fn last_record(&mut self, segment: u32, item: &Item, tail: &mut Tail) {
        let header = &item.header;
        let last = Some((header.term, header.index));
        match &item.body {
            Some(Body::Append(append)) => {
                let group = self.contents.groups.get(&header.group);
                let counts = group.is_some_and(|group| group.damaged.is_none())
                    && !tail.blocks(header.group)
                    && self.contents.replay_append(header.group, append, place(segment, item)).is_ok();
                if !counts {
                    tail.block(header.group, last);
                }
            }
            Some(Body::Settled) if tail.blocks(header.group) => {}
            Some(Body::Snapshot { reset_log: false, .. }) if tail.blocks(header.group) => {
                tail.block(header.group, last);
            }
            Some(body) => self.control(header.group, body),
            None if is_fault(item) => match header.kind {
                Kind::Append | Kind::Snapshot => tail.block(header.group, last),
                Kind::Identity | Kind::Mirrors => {}
                _ => tail.block(header.group, None),
            },
            None => {}
        }
    }

    /// Ends the replay: what is still suspect can't be trusted, nor a log with a hole.
    pub fn finish(&mut self) {
        for group in self.contents.groups.values_mut() {
            if group.suspect {
                group.damage(|| "a part of the log that may have held something of it has rotted".into());
            } else if !group.is_whole() {
                let (from, to) =
                    (group.base().0.0, group.snapshot.as_ref().map_or(0, |record| record.index.0));
                group.damage(|| format!("its log begins behind entry {from}, but its snapshot ends at {to}"));
            }
            group.suspect = false;
            let last = group.last().0;
            group.hard_state.commit = group.hard_state.commit.min(last);
        }
    }
}

fn place(segment: u32, item: &Item) -> Place {
    Place { segment, offset: item.offset, payload_bytes: item.header.payload_bytes }
}
