//! The data that a transaction works on, as far as a ledger must know them.

use crate::ids::TxId;
use base::{DatabaseId, SessionId};
use bytes::Bytes;

/// One shard's data. A ledger calls it while an entry is applied: everything here is a pure function of the log, on every replica
/// alike.
pub trait Shard {
    /// What takes an executed transaction back, and what it has to tell the outside if it counts. Cheap to keep; written into
    /// snapshots only if one is taken meanwhile.
    type Undo;

    /// The version of a key: what its last change left, 0 if it isn't there or has expired.
    fn version(&self, database: DatabaseId, key: &[u8]) -> u64;

    /// Whether this start of a gateway is known to be over, so that nothing of it may be executed any more.
    fn is_evicted(&self, session: SessionId) -> bool;

    /// Executes operations in place. They are seen by nobody else until the outcome is known, because they are locked; whoever listens
    /// to changes hears nothing yet. Fails, having changed nothing, with what the client is to hear.
    fn execute(&mut self, id: TxId, operations: &Bytes) -> Result<(Bytes, Self::Undo), Bytes>;

    /// The transaction counts: what it has to tell, it tells now.
    fn commit(&mut self, undo: Self::Undo);

    /// The transaction doesn't count: everything is as it was before.
    fn revert(&mut self, undo: Self::Undo);
}
