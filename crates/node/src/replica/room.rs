//! What a leader asks of memory before it proposes, and what it has under way there.

use super::Replica;
use crate::hub::Hub;
use crate::op::{Invocation, Op};
use command::Flags;

/// What a key takes beside its bytes, about: for the estimate of what is under way.
const KEY_OVERHEAD_BYTES: u64 = 64;

impl Replica {
    /// Whether there is room for an operation, of which note is taken if there is. What was offered to a command that waits only
    /// changes its place.
    pub(crate) fn has_room(&mut self, hub: &mut Hub, op: &Op<'_>) -> bool {
        let takes = |invocation: &Invocation<'_>| invocation.spec.flags.has(Flags::DENYOOM);
        let bytes = match op {
            Op::Command(invocation) if takes(invocation) => bytes_of(invocation),
            Op::Transaction(transaction) if transaction.commands.iter().any(takes) => {
                transaction.commands.iter().map(bytes_of).sum()
            }
            _ => return true,
        };
        if hub.memory.is_full() {
            return false;
        }
        self.batch_growth += bytes;
        hub.memory.growing += bytes;
        true
    }

    /// What is under way may add so much to memory, about.
    pub(crate) fn growth(&self) -> u64 {
        self.batch_growth + self.inflight.iter().map(|inflight| inflight.growth).sum::<u64>()
    }
}

/// What a command may add, about.
fn bytes_of(invocation: &Invocation<'_>) -> u64 {
    invocation.words.iter().map(|word| word.len() as u64).sum::<u64>() + KEY_OVERHEAD_BYTES
}
