//! The trace: a hash over every input that a node got and every effect that it asked for, in order and with their times.
//! Two runs of a seed that differ in anything differ in it.

use base::{Time, UnixMillis};
use node::api::{Effect, Input, JoinReply, Level};
use storage::{DiskCompletion, DiskRequest};

/// The hash so far.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    state: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { state: 0x5348_4149_0000_0001 }
    }
}

impl Trace {
    /// The hash of everything so far.
    pub fn value(self) -> u64 {
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn word(&mut self, word: u64) {
        self.state = (self.state.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    fn two(&mut self, kind: u64, value: u64) {
        self.word(kind);
        self.word(value);
    }

    fn with(&mut self, kind: u64, value: u64, bytes: &[u8]) {
        self.two(kind, value);
        self.bytes(bytes);
    }

    /// A host's turn begins.
    pub fn turn(&mut self, at: u64, host: usize, now: Time) {
        self.two(at, host as u64);
        self.word(now.as_nanos());
    }

    /// The node gets an input.
    pub fn input(&mut self, input: &Input) {
        match input {
            Input::Connected { client, address, loopback } => {
                self.with(1 + (u64::from(*loopback) << 8), client.0, address.as_bytes());
            }
            Input::Received { client, bytes } => self.with(2, client.0, bytes),
            Input::Backlog { client, bytes } => self.with(3, client.0, &bytes.to_le_bytes()),
            Input::Closed { client } => self.two(4, client.0),
            Input::PeerUp { node } => self.two(5, node.0.into()),
            Input::PeerDown { node } => self.two(6, node.0.into()),
            Input::Peer { from, bytes } => self.with(7, from.0.into(), bytes),
            Input::Join { ticket, request } => self.with(8, *ticket, &request.nonce.to_le_bytes()),
            Input::Disk(completion) => self.completion(completion),
            Input::Worked(work) => self.with(14, work.name().0, &work.name().1.to_le_bytes()),
            Input::WallClock(UnixMillis(millis)) => self.two(10, *millis),
            Input::Machine(machine) => self.two(11, machine.disk_free_bytes),
            Input::Shutdown => self.word(12),
            Input::Finished { client } => self.two(13, client.0),
            Input::Migrated { job, .. } => self.two(14, *job),
        }
    }

    fn completion(&mut self, completion: &DiskCompletion) {
        match completion {
            DiskCompletion::Written { token, report } => {
                self.with(20, token.0, &report.log_bytes.to_le_bytes())
            }
            DiskCompletion::Entries { token, entries, .. } => {
                self.with(21, token.0, &entries.len().to_le_bytes());
            }
            DiskCompletion::Chunk { token, bytes, .. } => self.with(22, token.0, bytes),
            DiskCompletion::Failed { token, .. } => self.two(23, token.0),
            DiskCompletion::Found { token, numbers } => {
                self.with(24, token.0, &numbers.len().to_le_bytes());
            }
        }
    }

    /// The node asks for something.
    pub fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { client, bytes } => self.with(40, client.0, bytes),
            Effect::Close { client } => self.two(41, client.0),
            Effect::Reading { client, on } => self.two(42 + (u64::from(*on) << 8), client.0),
            Effect::Peer { to, bytes } => self.with(43, to.0.into(), bytes),
            Effect::Peers(peers) => {
                self.word(44);
                peers.iter().for_each(|peer| self.with(45, peer.node.0.into(), peer.address.as_bytes()));
            }
            Effect::Relink { node } => self.two(46, node.0.into()),
            Effect::JoinReply { ticket, reply } => match reply {
                JoinReply::Welcome { node, .. } => self.with(47, *ticket, &node.0.to_le_bytes()),
                JoinReply::Refused(why) => self.with(48, *ticket, why.as_bytes()),
            },
            Effect::Work(work) => self.with(56, work.name().0, &work.name().1.to_le_bytes()),
            Effect::Disk(DiskRequest::Write { token, ops }) => {
                self.with(49, token.0, &ops.len().to_le_bytes());
            }
            Effect::Disk(DiskRequest::ReadEntries { token, group, first, .. }) => {
                self.with(50, token.0, &group.0.to_le_bytes());
                self.word(first.0);
            }
            Effect::Disk(DiskRequest::ReadChunk { token, group, number, .. }) => {
                self.with(51, token.0, &group.0.to_le_bytes());
                self.word((*number).into());
            }
            Effect::Disk(DiskRequest::FindChunks { token, group, chunks, .. }) => {
                self.with(55, token.0, &group.0.to_le_bytes());
                self.word(chunks.len() as u64);
            }
            Effect::Note(level, text) => {
                let level = match level {
                    Level::Info => 0,
                    Level::Warn => 1,
                    Level::Error => 2,
                };
                self.with(52, level, text.as_bytes());
            }
            Effect::Migrate { job, bytes, .. } => self.with(56, *job, bytes),
            Effect::Stopped => self.word(53),
            Effect::Fatal(why) => self.with(54, 0, why.as_bytes()),
        }
    }
}
