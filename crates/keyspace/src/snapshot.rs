//! A snapshot under way. It fixes the state at one revision and walks it in the order of entries, a chunk at a time,
//! while the shard goes on: an entry that changes before the walk has reached it is handed over as it was. What is
//! newer than the snapshot's revision isn't in it. Nothing is copied, except a string that is written into in place: of a
//! collection the snapshot holds the old version, which shares with the new one all that hasn't changed. What was handed
//! over takes memory until the next chunk.
//!
//! A long value is written in pieces, so that a chunk stays near its budget and no chunk takes long.

use crate::chunk::Writer;
use crate::graveyard::Graveyard;
use crate::mutators::Store;
use crate::part::Cursor;
use crate::position::Position;
use crate::record::Record;
use crate::table::Table;
use crate::types::Collection;
use base::DatabaseId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Values up to this length are written whole.
pub(crate) const WHOLE_BYTES_MAX: usize = 64 << 10;

/// What a snapshot has seen, and what it was handed.
#[derive(Debug)]
pub(crate) struct Snapshot {
    revision: u64,
    /// The first place that the walk hasn't reached; `None` when it is through.
    next: Option<(DatabaseId, Position)>,
    /// Databases that were emptied before the walk was through with them, as they were.
    taken_over: BTreeMap<DatabaseId, Table>,
    /// Records that changed before the walk reached them, and how much of their values is written.
    kept: VecDeque<Kept>,
    kept_bytes: u64,
    /// Long values in the tables that the walk has reached, and how much of each is written.
    long: BTreeMap<(DatabaseId, Position, Box<[u8]>), Cursor>,
    /// Records that came back as they were before the snapshot. What it has to say of their keys it was handed when they
    /// changed, or it says nothing of them.
    restored: BTreeSet<(DatabaseId, Position, Box<[u8]>)>,
}

/// A record that was handed over, with its collection.
#[derive(Debug)]
struct Kept {
    database: DatabaseId,
    record: Record,
    collection: Option<Collection>,
    written: Cursor,
}

impl Kept {
    /// What it takes that nothing else does, at most. What a collection shares with its newer version isn't known.
    fn cost(&self) -> u64 {
        self.record.cost() + self.collection.as_ref().map_or(0, Collection::cost)
    }
}

impl Snapshot {
    /// A snapshot of everything up to this revision.
    pub(crate) fn new(revision: u64) -> Self {
        Self {
            revision,
            next: Some((DatabaseId(0), Position::FIRST)),
            taken_over: BTreeMap::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            long: BTreeMap::new(),
            restored: BTreeSet::new(),
        }
    }

    /// The revision whose state it is.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Bytes of the old records it was handed and has still to write.
    pub(crate) fn retained_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// Whether a record that is about to change belongs to the snapshot and isn't written yet.
    #[inline]
    pub(crate) fn is_owed(&self, database: DatabaseId, position: Position, record: &Record) -> bool {
        record.revision() <= self.revision
            && !self.is_restored(database, position, record)
            && (self.next.is_some_and(|next| (database, position) >= next)
                || (!self.long.is_empty() && self.long.contains_key(&long_key(database, position, record))))
    }

    /// A record takes the place again that it had before it was changed by what doesn't count. What was there meanwhile was
    /// handed over, if it is owed.
    pub(crate) fn restored(&mut self, database: DatabaseId, position: Position, record: &Record) {
        if record.revision() <= self.revision {
            self.restored.insert(long_key(database, position, record));
        }
    }

    #[inline]
    fn is_restored(&self, database: DatabaseId, position: Position, record: &Record) -> bool {
        !self.restored.is_empty() && self.restored.contains(&long_key(database, position, record))
    }

    /// Takes a record that is owed and has left its table, or been changed there, with its collection as it was.
    pub(crate) fn keep(
        &mut self,
        database: DatabaseId,
        position: Position,
        record: Record,
        collection: Option<Collection>,
    ) {
        let written = if self.long.is_empty() {
            None
        } else {
            self.long.remove(&long_key(database, position, &record))
        };
        let kept = Kept { database, record, collection, written: written.unwrap_or_default() };
        self.kept_bytes += kept.cost();
        self.kept.push_back(kept);
    }

    /// Takes the table of a database that is emptied, or gives it back if it isn't needed.
    pub(crate) fn take_over(&mut self, database: DatabaseId, table: Table) -> Option<Table> {
        let is_owed = self.next.is_some_and(|(next, _)| next <= database)
            || self.long.keys().any(|&(of, ..)| of == database);
        // What was filled again after an earlier emptying is all newer than the snapshot.
        if !is_owed || self.taken_over.contains_key(&database) {
            return Some(table);
        }
        self.taken_over.insert(database, table);
        None
    }

    /// The next chunk of about this size, or `None` if all is written.
    pub(crate) fn next_chunk(
        &mut self,
        stores: &[Store],
        graveyard: &mut Graveyard,
        budget_bytes: usize,
    ) -> Option<Vec<u8>> {
        let mut chunk = Writer::new(self.revision, budget_bytes);
        while !chunk.is_full()
            && (self.write_kept(graveyard, &mut chunk) || self.write_long(stores, &mut chunk))
        {}
        while !chunk.is_full() && self.walk(stores, graveyard, &mut chunk) {
            while !chunk.is_full() && self.write_long(stores, &mut chunk) {}
        }
        chunk.finish()
    }

    /// Writes one record that was handed over, or a piece of it; whether there was one.
    fn write_kept(&mut self, graveyard: &mut Graveyard, chunk: &mut Writer) -> bool {
        let Some(kept) = self.kept.front_mut() else { return false };
        if let Some(next) = write(chunk, kept.database, &kept.record, kept.collection.as_ref(), kept.written)
        {
            kept.written = next;
        } else if let Some(kept) = self.kept.pop_front() {
            self.kept_bytes -= kept.cost();
            if let Some(collection) = kept.collection {
                collection.retire(graveyard);
            }
        }
        true
    }

    /// Writes a piece of a long value where it lies; whether there was one.
    fn write_long(&mut self, stores: &[Store], chunk: &mut Writer) -> bool {
        let Some(first) = self.long.first_entry() else { return false };
        let (database, position, key) = first.key();
        let table = table_of(stores, &self.taken_over, *database).expect("a long value is in a table");
        let entry = table.get(*position, key);
        let record = &entry.expect("a long value that changed was handed over").record;
        match write(chunk, *database, record, table.collection(record), *first.get()) {
            Some(next) => *first.into_mut() = next,
            None => _ = first.remove(),
        }
        true
    }

    /// Goes on through one array of entries; whether there was any.
    fn walk(&mut self, stores: &[Store], graveyard: &mut Graveyard, chunk: &mut Writer) -> bool {
        let Some((from_database, from)) = self.next else { return false };
        let emptied = self.taken_over.range(from_database..).next().map(|(&id, _)| id);
        let present =
            stores.get(stores.partition_point(|store| store.id < from_database)).map(|store| store.id);
        let Some(database) = emptied.into_iter().chain(present).min() else {
            self.next = None;
            return false;
        };
        let from = if database == from_database { from } else { Position::FIRST };
        let table = table_of(stores, &self.taken_over, database).expect("it has just been found");
        let slice = table.slice_from(from);
        let mut last = None;
        for entry in slice {
            // A long value is written before the walk goes on. Keys that share a position stay together, or the walk couldn't say where it is.
            if (chunk.is_full() || !self.long.is_empty()) && last != Some(entry.position) {
                self.next = Some((database, entry.position));
                return true;
            }
            last = Some(entry.position);
            let is_later = entry.record.revision() > self.revision;
            if is_later || self.is_restored(database, entry.position, &entry.record) {
                continue;
            }
            let collection = table.collection(&entry.record);
            if is_long(&entry.record, collection) {
                self.long.insert(long_key(database, entry.position, &entry.record), Cursor::default());
            } else {
                write(chunk, database, &entry.record, collection, Cursor::default());
            }
        }
        self.next = match last {
            Some(position) => position.next().map(|next| (database, next)),
            None => None,
        };
        if self.next.is_none() {
            self.next = database.0.checked_add(1).map(|next| (DatabaseId(next), Position::FIRST));
            if self.long.is_empty()
                && let Some(table) = self.taken_over.remove(&database)
            {
                graveyard.bury_table(table);
            }
        }
        true
    }

    /// Gives back what it holds, to be freed little by little.
    pub(crate) fn bury(self, graveyard: &mut Graveyard) {
        for table in self.taken_over.into_values() {
            graveyard.bury_table(table);
        }
        for collection in self.kept.into_iter().filter_map(|kept| kept.collection) {
            collection.retire(graveyard);
        }
    }
}

fn long_key(database: DatabaseId, position: Position, record: &Record) -> (DatabaseId, Position, Box<[u8]>) {
    (database, position, Box::from(record.key()))
}

fn table_of<'a>(
    stores: &'a [Store],
    taken_over: &'a BTreeMap<DatabaseId, Table>,
    database: DatabaseId,
) -> Option<&'a Table> {
    taken_over.get(&database).or_else(|| {
        let index = stores.binary_search_by_key(&database, |store| store.id).ok()?;
        Some(&stores[index].table)
    })
}

/// Whether a value is written in pieces.
fn is_long(record: &Record, collection: Option<&Collection>) -> bool {
    let bytes = collection.map_or(record.value().len() as u64, Collection::cost);
    bytes > WHOLE_BYTES_MAX as u64
}

/// Writes a record, or a piece of it from `written` on; where to go on, unless all is written.
fn write(
    chunk: &mut Writer,
    database: DatabaseId,
    record: &Record,
    collection: Option<&Collection>,
    written: Cursor,
) -> Option<Cursor> {
    let is_long = is_long(record, collection);
    let budget_bytes = chunk.room().max(WHOLE_BYTES_MAX);
    match collection {
        Some(collection) if is_long => chunk.part(database, record, collection, written, budget_bytes),
        Some(collection) => {
            chunk.collection(database, record, collection);
            None
        }
        None if is_long => {
            let length = record.value().len();
            let end = length.min(written.rank + budget_bytes);
            chunk.piece(database, record, written.rank, end);
            (end < length).then_some(Cursor { rank: end, ..written })
        }
        None => {
            chunk.whole(database, record);
            None
        }
    }
}
