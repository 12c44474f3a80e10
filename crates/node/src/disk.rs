//! The writes that are on their way to the disk, in their order, which nothing may change: what is durable must be a
//! prefix of what was given to the disk. So when one finds the disk full, it and all behind it wait until there is
//! room, and go again in the same order under the same names.

use crate::api::Effect;
use base::{Duration, Time};
use bytes::Bytes;
use std::collections::BTreeMap;
use storage::{DiskRequest, Op, Token};

/// A write that found the disk full is tried again after this.
const RETRY: Duration = Duration::from_millis(500);

/// The writes under way.
#[derive(Debug, Default)]
pub struct DiskQueue {
    /// Given to the disk and not durable yet, or kept back while it is full.
    pending: BTreeMap<Token, Pending>,
    full: bool,
    retry_at: Option<Time>,
}

#[derive(Debug)]
struct Pending {
    ops: Vec<Op>,
    /// Whether the disk has it and will answer.
    given: bool,
    since: Time,
}

impl DiskQueue {
    /// Whether the disk was full when it was last tried.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether there is room, and no write takes longer than `patience`.
    pub(crate) fn is_prompt(&self, now: Time, patience: Duration) -> bool {
        !self.full && self.pending.values().next().is_none_or(|oldest| now.since(oldest.since) < patience)
    }

    /// The error for a write that isn't taken because the disk is full.
    pub fn full_error() -> Bytes {
        Bytes::from_static(
            b"-TRYAGAIN not executed: the disk of the shard's leader is full. Free some space; nothing that was \
              acknowledged is lost\r\n",
        )
    }

    /// Gives a write to the disk, behind all others.
    pub(crate) fn write(&mut self, token: Token, ops: Vec<Op>, now: Time, out: &mut Vec<Effect>) {
        let given = !self.full;
        if given {
            // Kept until it is durable; entries share their bytes.
            out.push(Effect::Disk(DiskRequest::Write { token, ops: ops.clone() }));
        }
        self.pending.insert(token, Pending { ops, given, since: now });
    }

    /// A write is durable; how long it took.
    pub(crate) fn written(&mut self, token: Token, now: Time) -> Option<Duration> {
        self.pending.remove(&token).map(|pending| now.since(pending.since))
    }

    /// A write found the disk full. Whether that is news.
    pub(crate) fn found_full(&mut self, token: Token, now: Time) -> bool {
        if let Some(pending) = self.pending.get_mut(&token) {
            pending.given = false;
        }
        self.retry_at = Some(now + RETRY);
        !std::mem::replace(&mut self.full, true)
    }

    /// Tries again, once all that was given has been answered and some time has passed. Only the first write goes, to
    /// see whether there is room; whether it does.
    pub(crate) fn retry(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.retry_at.is_none_or(|at| at > now) || self.pending.values().any(|pending| pending.given) {
            return;
        }
        let Some((token, first)) = self.pending.iter_mut().next() else {
            self.full = false;
            self.retry_at = None;
            return;
        };
        self.retry_at = Some(now + RETRY);
        first.given = true;
        out.push(Effect::Disk(DiskRequest::Write { token: *token, ops: first.ops.clone() }));
    }

    /// There is room again, as the write that was tried has shown: the others go, in order. Whether that is news.
    pub(crate) fn has_room(&mut self, out: &mut Vec<Effect>) -> bool {
        if !std::mem::replace(&mut self.full, false) {
            return false;
        }
        self.retry_at = None;
        for (token, pending) in &mut self.pending {
            if !std::mem::replace(&mut pending.given, true) {
                out.push(Effect::Disk(DiskRequest::Write { token: *token, ops: pending.ops.clone() }));
            }
        }
        true
    }
}
