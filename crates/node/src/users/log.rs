//! Of whom what was refused at this node, for ACL LOG: the latest, the same within a minute counted together.

use base::UnixMillis;
use std::collections::VecDeque;

/// Refusals of the same are one entry if they come within this time, in milliseconds.
const TOGETHER_MS: u64 = 60_000;
/// How many of the latest entries are looked at for the same.
const LOOKED_AT: usize = 10;

/// What a user lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The right password.
    Auth,
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
}

/// Where it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// As a command of its own.
    Toplevel,
    /// Between MULTI and EXEC, or by EXEC.
    Multi,
    /// By a script.
    Script,
}

impl Reason {
    /// What ACL LOG calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Auth => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }
}

impl Context {
    /// What ACL LOG calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Script => "lua",
        }
    }
}

/// What was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was lacking.
    pub reason: Reason,
    /// Where.
    pub context: Context,
    /// The command, key or channel.
    pub object: Vec<u8>,
    /// Whose it was, or who one wanted to be.
    pub user: Vec<u8>,
}

/// An entry of ACL LOG.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number; none is given twice while the node runs.
    pub id: u64,
    /// What was refused.
    pub refused: Refused,
    /// How often.
    pub count: u64,
    /// The client that it was refused to last, as CLIENT LIST describes it.
    pub client: String,
    /// The first time.
    pub created: UnixMillis,
    /// The last time.
    pub updated: UnixMillis,
}

/// What was refused here, the latest first; and how much of each, since the start.
#[derive(Debug, Default)]
pub struct AccessLog {
    entries: VecDeque<Entry>,
    next_id: u64,
    counts: [u64; 4],
}

impl AccessLog {
    /// Notes a refusal; no more than `length_max` are kept.
    pub fn note(&mut self, refused: Refused, client: String, now: UnixMillis, length_max: usize) {
        self.counts[refused.reason as usize] += 1;
        let same = self.entries.iter().take(LOOKED_AT).position(|entry| {
            entry.refused == refused && now.0.saturating_sub(entry.updated.0) <= TOGETHER_MS
        });
        let entry = match same.and_then(|at| self.entries.remove(at)) {
            Some(entry) => Entry { count: entry.count + 1, client, updated: now, ..entry },
            None => {
                let id = self.next_id;
                self.next_id += 1;
                Entry { id, refused, count: 1, client, created: now, updated: now }
            }
        };
        self.entries.push_front(entry);
        self.entries.truncate(length_max);
    }

    /// The entries, the latest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets them. What was counted stays counted.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How often what was lacking since the start, or since the counters were set to zero, in the order of [`Reason`].
    pub const fn counts(&self) -> [u64; 4] {
        self.counts
    }

    /// Sets the counters to zero.
    pub fn reset_counts(&mut self) {
        self.counts = [0; 4];
    }
}
