//! A reply that is put together of several, as EXEC's is of its commands': its parts leave together and in their order once all of them
//! are there. What is pushed to the client meanwhile comes before or behind, never between.

use super::{Client, Clients, Fate, Place, ReplyMode, Ticket, Waiting, count_error, mark_dirty};
use base::{Duration, invariant};
use command::Spec;

/// A reply that is being put together.
#[derive(Debug)]
pub(crate) struct Parts {
    slot: u32,
    /// The command that is answered so.
    spec: &'static Spec,
    /// How long it took.
    took: Duration,
    muted: bool,
    kept: bool,
    behind: Vec<u8>,
    mode: ReplyMode,
}

impl Clients {
    /// Begins a reply with this, in a command's place, which must be the last of its client's; nothing if the client has gone.
    pub(crate) fn begin_parts(&mut self, ticket: Ticket, first: &[u8]) -> Option<Parts> {
        let (clock, now) = (self.clock, self.now);
        let client = self.slots[ticket.slot as usize].as_mut().filter(|client| client.id == ticket.client)?;
        invariant!(
            "nothing comes behind a command whose reply is put together",
            client.first + client.queue.len() as u64 == ticket.sequence + 1,
            "{ticket:?}"
        );
        let Some(Place::Waiting { spec, group, muted, behind, kept, .. }) = client.queue.pop_back() else {
            return None;
        };
        let reply = Waiting::from_slice(if muted { b"" } else { first });
        client.queue.push_back(Place::Ready { reply, kept: false, joined: true });
        client.kept -= u32::from(kept);
        if let Some(group) = group {
            client.leave(group);
        }
        let mode =
            std::mem::replace(&mut client.reply_mode, if muted { ReplyMode::Off } else { ReplyMode::On });
        let took = now.since(ticket.since);
        self.timings.note_call(spec, took, false, || clock.read(now));
        let slot = ticket.slot;
        self.hold_pushes(slot);
        Some(Parts { slot, spec, took, muted, kept, behind, mode })
    }

    /// Adds a part that is there.
    pub(crate) fn add_part(&mut self, parts: &Parts, spec: &'static Spec, reply: &[u8]) {
        count_error(&mut self.errors, reply);
        self.note_part(parts, spec, reply.first() == Some(&b'-'));
        let Some(client) = self.get(parts.slot) else { return };
        let reply = if parts.muted { b"" } else { reply };
        client.queue.push_back(Place::Ready { reply: Waiting::from_slice(reply), kept: false, joined: true });
    }

    /// From here to [`Clients::end_part`], what is answered to the client is a part, now or later.
    pub(crate) fn begin_part(&mut self, parts: &Parts, spec: &'static Spec) -> usize {
        let Some(client) = self.get(parts.slot) else { return 0 };
        client.current = spec;
        client.fate = Fate::Open;
        client.queue.len()
    }

    /// The part is answered, or will be; `from` is what its beginning said.
    pub(crate) fn end_part(&mut self, parts: &Parts, from: usize) {
        let Some(client) = self.get(parts.slot) else { return };
        client.join(from);
        let (spec, fate) = (client.current, client.fate);
        if let Fate::Answered { failed } = fate {
            self.note_part(parts, spec, failed);
        }
    }

    /// As [`Clients::end_part`], of a command that was refused and so never called.
    pub(crate) fn reject_part(&mut self, parts: &Parts, from: usize) {
        let Some(client) = self.get(parts.slot) else { return };
        client.join(from);
        let spec = client.current;
        self.timings.note_rejected(spec);
    }

    fn note_part(&mut self, parts: &Parts, spec: &'static Spec, failed: bool) {
        let (clock, now) = (self.clock, self.now);
        self.timings.note_call(spec, parts.took, failed, || clock.read(now));
    }

    /// Nothing more comes: the reply leaves once all its parts are there.
    pub(crate) fn end_parts(&mut self, parts: Parts) {
        let Some(client) = self.get(parts.slot) else { return };
        client.reply_mode = parts.mode;
        client.current = parts.spec;
        client.fate = Fate::Pending;
        if let Some(last) = client.queue.back_mut() {
            last.set_joined(false);
            last.set_kept(parts.kept);
            last.append(&parts.behind);
            client.kept += u32::from(parts.kept);
        }
        let resumes = client.held || client.stopped;
        self.release_pushes(parts.slot);
        let Some(client) = self.get(parts.slot) else { return };
        client.send_ready();
        if resumes {
            self.resumable.push(parts.slot);
        }
        self.touch(parts.slot);
    }

    /// From here to [`Clients::release_pushes`], what is pushed to a client is kept apart, to come behind what it is answered now.
    /// Whether it wasn't before.
    pub(crate) fn hold_pushes(&mut self, slot: u32) -> bool {
        let Some(client) = self.get(slot).filter(|client| client.aside.is_none()) else { return false };
        client.aside = Some(Vec::new());
        true
    }

    /// What was kept apart comes behind what has been answered, or will be: pushes that come meanwhile come behind it.
    pub(crate) fn release_pushes(&mut self, slot: u32) {
        let Some(client) = self.slots[slot as usize].as_mut() else { return };
        let pushed = client.aside.take().unwrap_or_default();
        if pushed.is_empty() {
            return;
        }
        match client.queue.back_mut() {
            Some(last) => {
                last.append(&pushed);
                client.kept += u32::from(!last.is_kept());
                last.set_kept(true);
            }
            None => client.output.extend_from_slice(&pushed),
        }
        mark_dirty(&mut self.dirty, client, slot);
    }
}

impl Client {
    /// Makes the places from here on parts of one reply.
    fn join(&mut self, from: usize) {
        for place in self.queue.range_mut(from..) {
            place.set_joined(true);
        }
    }

    /// Moves the replies that are there, up to the first that isn't, to what leaves.
    pub(super) fn send_ready(&mut self) {
        while let Some(count) = self.whole() {
            for place in self.queue.drain(..count) {
                let Place::Ready { reply, kept, .. } = place else { unreachable!("it is there") };
                self.first += 1;
                self.kept -= u32::from(kept);
                self.output.extend_from_slice(&reply);
            }
        }
    }

    /// How many places at the front are one reply, if it is there.
    fn whole(&self) -> Option<usize> {
        for (at, place) in self.queue.iter().enumerate() {
            match place {
                Place::Waiting { .. } => return None,
                Place::Ready { joined: true, .. } => {}
                Place::Ready { .. } => return Some(at + 1),
            }
        }
        None
    }
}

impl Place {
    /// What it holds beside itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Place::Waiting { behind, .. } => behind.capacity(),
            Place::Ready { reply, .. } if reply.spilled() => reply.capacity(),
            Place::Ready { .. } => 0,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Place::Waiting { kept: true, .. } | Place::Ready { kept: true, .. })
    }

    pub(super) fn set_kept(&mut self, on: bool) {
        let (Place::Waiting { kept, .. } | Place::Ready { kept, .. }) = self;
        *kept = on;
    }

    fn set_joined(&mut self, on: bool) {
        let (Place::Waiting { joined, .. } | Place::Ready { joined, .. }) = self;
        *joined = on;
    }

    /// Adds what comes behind the reply.
    fn append(&mut self, bytes: &[u8]) {
        match self {
            Place::Waiting { behind, .. } => behind.extend_from_slice(bytes),
            Place::Ready { reply, .. } => reply.extend_from_slice(bytes),
        }
    }
}
