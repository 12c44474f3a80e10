//! What was deleted at once (a flush, a drop, a large collection) is freed little by little, a few entries with every later change: the
//! shard never stops for it.

use crate::deadlines::Deadlines;
use crate::table::Table;
use crate::types::Collection;

/// Tables, indexes and collections that nobody reads any more.
#[derive(Debug, Default)]
pub(crate) struct Graveyard {
    tables: Vec<Table>,
    deadlines: Vec<Deadlines>,
    collections: Vec<Collection>,
    /// How many keys and large collections were freed.
    freed: u64,
}

impl Graveyard {
    /// Takes a table to be freed.
    pub(crate) fn bury_table(&mut self, table: Table) {
        if table.len() > 0 {
            self.tables.push(table);
        }
    }

    /// Takes an index to be freed.
    pub(crate) fn bury_deadlines(&mut self, deadlines: Deadlines) {
        if deadlines.len() > 0 {
            self.deadlines.push(deadlines);
        }
    }

    /// Takes a collection to be freed.
    pub(crate) fn bury_collection(&mut self, collection: Collection) {
        self.collections.push(collection);
    }

    /// How many keys and large collections are still to be freed.
    pub(crate) fn len(&self) -> u64 {
        self.collections.len() as u64 + self.tables.iter().map(Table::len).sum::<u64>()
    }

    /// How many keys and large collections were freed little by little, ever.
    pub(crate) fn freed(&self) -> u64 {
        self.freed
    }

    fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.deadlines.is_empty() && self.collections.is_empty()
    }

    /// Frees about `limit` entries; whether anything is left.
    #[inline]
    pub(crate) fn dig(&mut self, limit: usize) -> bool {
        if self.is_empty() {
            return false;
        }
        if let Some(table) = self.tables.last_mut() {
            if !table.bury(limit) {
                self.freed += table.len();
                self.tables.pop();
            }
        } else if let Some(deadlines) = self.deadlines.last_mut() {
            if !deadlines.bury(limit) {
                self.deadlines.pop();
            }
        } else if let Some(collection) = self.collections.last_mut()
            && !collection.contents_mut().bury(limit)
        {
            self.freed += 1;
            self.collections.pop();
        }
        !self.is_empty()
    }
}
