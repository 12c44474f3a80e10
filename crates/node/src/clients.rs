//! The connected clients: what each has set on its connection, and its replies in the order of its commands.
//!
//! Commands may finish out of order (they overlap over shards); replies never leave so. Every command that can't be
//! answered at once gets a `Ticket` for its place in the client's queue.

use crate::api::{ClientId, Effect, OutputLimits};
use crate::machine::WallClock;
use crate::timings::Timings;
use crate::transactions::Gathering;
use crate::users::Access;
use base::{DatabaseIndex, GroupId, Outbox, Time};
use bytes::Bytes;
use command::Spec;
use resp::Protocol;
use resp::request::Reader;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Replies of several parts.
mod parts;

/// Small replies wait in the queue without an allocation of their own.
type Waiting = SmallVec<[u8; 24]>;

/// Output that is smaller than this keeps its allocation for the next replies.
const OUTPUT_KEPT_BYTES: usize = 64 << 10;

/// The place of a command's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: u32,
    client: ClientId,
    sequence: u64,
    since: Time,
}

impl Ticket {
    /// Where its client is, or was.
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// When the command came; nothing that is tried for it may take longer than the request timeout from then on.
    pub fn since(&self) -> Time {
        self.since
    }

    /// Whose command it is.
    pub fn client(&self) -> ClientId {
        self.client
    }
}

/// One reply to come, or one that came before its turn.
#[derive(Debug)]
enum Place {
    Waiting {
        /// What was asked.
        spec: &'static Spec,
        group: Option<GroupId>,
        /// Whether the client wants no answer to this command (CLIENT REPLY).
        muted: bool,
        /// What follows the answer: changes of what it may tell.
        behind: Vec<u8>,
        /// Whether the client keeps what it learns here (CLIENT TRACKING), or what is pushed to it must come behind.
        kept: bool,
        /// Whether what comes behind it is the same reply's.
        joined: bool,
    },
    Ready {
        reply: Waiting,
        /// As above.
        kept: bool,
        /// As above.
        joined: bool,
    },
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Its name to the driver.
    pub id: ClientId,
    /// Where it comes from.
    pub address: String,
    /// When it connected.
    pub since: Time,
    /// When it last sent a command.
    pub last_command_at: Time,
    /// The command it sent last, for CLIENT LIST.
    pub last_command: &'static str,
    /// The protocol it asked for.
    pub protocol: Protocol,
    /// The database it selected.
    pub database: DatabaseIndex,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME and LIB-VER.
    pub library: (Vec<u8>, Vec<u8>),
    /// Whether it may do more than authenticate.
    pub authenticated: bool,
    /// Who it is, or would be if it authenticated no further.
    pub user: Arc<Access>,
    /// Whether it may do whatever it asks for: it is authenticated, as a user without bounds.
    pub trusted: bool,
    /// CLIENT REPLY OFF or SKIP.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// Set when the connection ends after its last reply; nothing more is read.
    pub closing: bool,
    /// It sends no more: the connection ends once all that it has sent is answered.
    finished: bool,
    /// Nothing is parsed until a read that asks a majority has been answered: what comes after it must not overtake it.
    pub held: bool,
    /// Parsing stopped because too many commands wait, or too much output.
    pub stopped: bool,
    /// Received and not yet parsed.
    pub input: Vec<u8>,
    /// When what is being parsed came: what had to wait for earlier commands has waited all the same.
    pub arrived: Time,
    /// Parses it.
    pub reader: Reader,
    /// Bytes that the driver could not yet hand to the socket.
    pub backlog: usize,
    /// Commands received.
    pub commands: u64,
    /// What it has said in REPLCONF.
    pub replica: ReplicaWishes,
    /// How many bytes its command is that asks for a description of clients, while it is answered.
    pub asking: usize,
    /// The command that is being taken.
    pub current: &'static Spec,
    /// What has become of it.
    pub fate: Fate,
    /// Whether it listens to channels, for the limits of its output.
    pub listens: bool,
    /// Since when more output waits than its soft limit.
    soft_since: Option<Time>,
    /// What it has on its way to EXEC.
    pub transaction: Gathering,
    output: Vec<u8>,
    /// What is pushed to it while that is kept apart.
    aside: Option<Vec<u8>>,
    queue: VecDeque<Place>,
    /// The sequence of the first place in the queue.
    first: u64,
    /// How many places in the queue are of answers that the client keeps.
    kept: u32,
    /// How many commands wait at each group.
    at_groups: SmallVec<[(GroupId, u32); 4]>,
    dirty: bool,
}

/// What has become of a command that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Open,
    /// It is answered, perhaps with an error.
    Answered {
        /// Whether it was one.
        failed: bool,
    },
    /// It will be answered later.
    Pending,
}

/// What a client that asks for everything, as a replica does, can do and wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplicaWishes {
    /// It finds the end of data whose length isn't announced.
    pub finds_end: bool,
    /// It wants no changes after the data.
    pub data_only: bool,
    /// It has a port: others shall find it there.
    pub listens: bool,
    /// The version of the file.
    pub version: Option<u16>,
}

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but this command's.
    SkipThis,
    /// All but the next command's.
    SkipNext,
}

impl Client {
    fn new(id: ClientId, address: String, now: Time, user: Arc<Access>, reader: Reader) -> Self {
        let authenticated = user.user().is_open();
        Self {
            id,
            address,
            since: now,
            last_command_at: now,
            last_command: "NULL",
            protocol: Protocol::Resp2,
            database: DatabaseIndex(0),
            name: Vec::new(),
            library: (Vec::new(), Vec::new()),
            authenticated,
            trusted: authenticated && user.is_unrestricted(),
            user,
            reply_mode: ReplyMode::On,
            no_evict: false,
            no_touch: false,
            closing: false,
            finished: false,
            held: false,
            stopped: false,
            input: Vec::new(),
            arrived: now,
            reader,
            backlog: 0,
            commands: 0,
            replica: ReplicaWishes::default(),
            asking: 0,
            current: &command::table::COMMANDS[0],
            fate: Fate::Open,
            listens: false,
            soft_since: None,
            transaction: Gathering::default(),
            output: Vec::new(),
            aside: None,
            queue: VecDeque::new(),
            first: 0,
            kept: 0,
            at_groups: SmallVec::new(),
            dirty: false,
        }
    }

    /// How many commands wait for their reply.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Whether a command of this client waits at `group`.
    #[inline]
    pub fn waits_at(&self, group: GroupId) -> bool {
        !self.queue.is_empty() && self.at_groups.iter().any(|(at, count)| *at == group && *count > 0)
    }

    /// How many answers that the client keeps have not left yet.
    pub fn kept_under_way(&self) -> u32 {
        self.kept
    }

    /// How large its output has room to become without asking for more.
    pub fn output_room(&self) -> usize {
        self.output.capacity()
    }

    /// What it holds in memory.
    pub fn memory_bytes(&self) -> usize {
        let waiting: usize = self.queue.iter().map(Place::bytes).sum();
        size_of::<Self>()
            + self.input.capacity()
            + self.asking
            + self.transaction.bytes()
            + waiting
            + self.output_room()
            + self.backlog
    }

    /// Bytes of replies that have not left.
    pub fn output_bytes(&self) -> usize {
        self.output.len() + self.backlog
    }

    /// Whether nothing more will be sent to it.
    fn is_done(&self) -> bool {
        // What is held or stopped has perhaps more to parse; of anything else, only half a command can be left.
        let parsed = self.finished && !self.held && !self.stopped;
        self.queue.is_empty() && (self.closing || parsed)
    }

    fn arrive(&mut self, group: GroupId) {
        match self.at_groups.iter_mut().find(|(at, _)| *at == group) {
            Some((_, count)) => *count += 1,
            None => self.at_groups.push((group, 1)),
        }
    }

    fn leave(&mut self, group: GroupId) {
        if let Some((_, count)) = self.at_groups.iter_mut().find(|(at, _)| *at == group) {
            *count -= 1;
        }
    }
}

/// All connections. They lie in slots, so that a ticket finds its client without a search.
#[derive(Debug, Default)]
pub struct Clients {
    slots: Vec<Option<Client>>,
    free: Vec<u32>,
    by_id: BTreeMap<ClientId, u32>,
    dirty: Vec<u32>,
    /// Clients whose parsing stopped and may go on.
    resumable: Vec<u32>,
    spare: Vec<u8>,
    /// Errors answered, by first word.
    pub errors: BTreeMap<String, u64>,
    /// How often commands were called and how long they took.
    pub timings: Timings,
    /// The present input's time.
    pub now: Time,
    /// Wall time by it.
    pub clock: WallClock,
    /// Clients with more output than their soft limit.
    over_soft: BTreeSet<u32>,
}

impl Clients {
    /// Takes a connection in; answers its slot.
    pub fn connect(
        &mut self,
        id: ClientId,
        address: String,
        now: Time,
        user: Arc<Access>,
        reader: Reader,
    ) -> u32 {
        let client = Client::new(id, address, now, user, reader);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(client);
                slot
            }
            None => {
                self.slots.push(Some(client));
                self.slots.len() as u32 - 1
            }
        };
        self.by_id.insert(id, slot);
        slot
    }

    /// Forgets a connection; replies that still come for it go nowhere.
    pub fn close(&mut self, id: ClientId) -> bool {
        let Some(slot) = self.by_id.remove(&id) else { return false };
        self.slots[slot as usize] = None;
        self.free.push(slot);
        true
    }

    /// A client sends no more.
    pub fn finish(&mut self, id: ClientId) {
        let Some(slot) = self.slot(id) else { return };
        if let Some(client) = self.get(slot) {
            client.finished = true;
        }
        self.touch(slot);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Where a client is.
    pub fn slot(&self, id: ClientId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Where a client is that isn't being hung up on.
    pub fn open_slot(&self, id: ClientId) -> Option<u32> {
        let slot = self.slot(id)?;
        let client = self.slots.get(slot as usize)?.as_ref()?;
        (!client.closing).then_some(slot)
    }

    /// The client in a slot.
    pub fn get(&mut self, slot: u32) -> Option<&mut Client> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The client whose command it is, if it is still there.
    pub fn of(&mut self, ticket: Ticket) -> Option<&mut Client> {
        self.get(ticket.slot).filter(|client| client.id == ticket.client)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.by_id.values().filter_map(|slot| self.slots[*slot as usize].as_ref())
    }

    /// A place in the client's queue for a command that is answered later, by `group` if it is known.
    pub fn ticket(&mut self, slot: u32, group: Option<GroupId>) -> Ticket {
        let client = self.slots[slot as usize].as_mut().expect("the client is connected");
        if let Some(group) = group {
            client.arrive(group);
        }
        let muted = client.reply_mode != ReplyMode::On;
        client.fate = Fate::Pending;
        let spec = client.current;
        client.queue.push_back(Place::Waiting {
            spec,
            group,
            muted,
            behind: Vec::new(),
            kept: false,
            joined: false,
        });
        Ticket {
            slot,
            client: client.id,
            sequence: client.first + client.queue.len() as u64 - 1,
            since: client.arrived,
        }
    }

    /// Answers a command at once: in its turn, behind what still waits.
    #[inline]
    pub fn answer_now(&mut self, slot: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(client) = self.slots[slot as usize].as_mut() else { return };
        if client.queue.is_empty() {
            let before = client.output.len();
            write(&mut client.output);
            note_answer(&mut client.fate, &client.output[before..]);
            count_error(&mut self.errors, &client.output[before..]);
            if client.reply_mode != ReplyMode::On {
                client.output.truncate(before);
            }
            mark_dirty(&mut self.dirty, client, slot);
        } else {
            self.spare.clear();
            write(&mut self.spare);
            note_answer(&mut client.fate, &self.spare);
            count_error(&mut self.errors, &self.spare);
            if client.reply_mode != ReplyMode::On {
                self.spare.clear();
            }
            let reply = Waiting::from_slice(&self.spare);
            client.queue.push_back(Place::Ready { reply, kept: false, joined: false });
        }
    }

    /// Answers a command that waited; its client may have gone.
    pub fn answer(&mut self, ticket: Ticket, reply: &[u8]) {
        let Some(client) = self.slots[ticket.slot as usize].as_mut() else { return };
        if client.id != ticket.client || ticket.sequence < client.first {
            return;
        }
        let at = (ticket.sequence - client.first) as usize;
        let Some(place) = client.queue.get_mut(at) else { return };
        let Place::Waiting { spec, group, muted, behind, kept, joined } = place else { return };
        let (spec, group, kept, joined, behind) = (*spec, *group, *kept, *joined, std::mem::take(behind));
        let (clock, now) = (&self.clock, self.now);
        // Who waits for something to come wanted to wait.
        let waited = spec.flags.has(command::Flags::BLOCKING);
        let took = if waited { base::Duration::ZERO } else { now.since(ticket.since) };
        self.timings.note_call(spec, took, reply.first() == Some(&b'-'), || clock.read(now));
        count_error(&mut self.errors, reply);
        let reply = if *muted { b"" } else { reply };
        if at == 0 && !joined {
            client.queue.pop_front();
            client.first += 1;
            client.kept -= u32::from(kept);
            client.output.extend_from_slice(reply);
            client.output.extend_from_slice(&behind);
            client.send_ready();
            mark_dirty(&mut self.dirty, client, ticket.slot);
        } else {
            let mut reply = Waiting::from_slice(reply);
            reply.extend_from_slice(&behind);
            *place = Place::Ready { reply, kept, joined };
            if matches!(client.queue.front(), Some(Place::Ready { .. })) {
                client.send_ready();
                mark_dirty(&mut self.dirty, client, ticket.slot);
            }
        }
        if let Some(group) = group {
            client.leave(group);
        }
        if client.held || client.stopped {
            self.resumable.push(ticket.slot);
        }
    }

    /// Bytes for a client that answer no command, in their place among the replies that have left.
    pub fn push(&mut self, slot: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(client) = self.slots[slot as usize].as_mut() else { return };
        write(client.aside.as_mut().unwrap_or(&mut client.output));
        mark_dirty(&mut self.dirty, client, slot);
    }

    /// What the command that was taken last is answered, its client keeps.
    pub fn keep_answer(&mut self, slot: u32) {
        let Some(client) = self.get(slot) else { return };
        if let Some(last) = client.queue.back_mut().filter(|last| !last.is_kept()) {
            last.set_kept(true);
            client.kept += 1;
        }
    }

    /// As [`Clients::push`], but behind the answers under way that the client keeps: so it never takes for newer what is older.
    pub fn push_behind_kept(&mut self, slot: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let waits = |client: &&mut Client| client.kept > 0 && client.aside.is_none();
        let Some(client) = self.get(slot).filter(waits) else { return self.push(slot, write) };
        match client.queue.iter_mut().rev().find(|place| place.is_kept()) {
            Some(Place::Waiting { behind, .. }) => write(behind),
            Some(Place::Ready { reply, .. }) => {
                let mut more = Vec::new();
                write(&mut more);
                reply.extend_from_slice(&more);
            }
            None => {}
        }
    }

    /// A command has been taken: CLIENT REPLY SKIP concerns the one after it.
    pub fn command_done(&mut self, slot: u32) {
        if let Some(client) = self.slots[slot as usize].as_mut() {
            client.reply_mode = match client.reply_mode {
                ReplyMode::SkipNext => ReplyMode::SkipThis,
                ReplyMode::SkipThis => ReplyMode::On,
                mode => mode,
            };
        }
    }

    /// Something about a client's output or end has changed.
    pub fn touch(&mut self, slot: u32) {
        if let Some(client) = self.slots[slot as usize].as_mut() {
            mark_dirty(&mut self.dirty, client, slot);
        }
    }

    /// How much of what was sent to a client still waits in the driver.
    pub fn backlog(&mut self, slot: u32, bytes: usize) {
        let Some(client) = self.slots[slot as usize].as_mut() else { return };
        client.backlog = bytes;
        if client.stopped {
            self.resumable.push(slot);
        }
        mark_dirty(&mut self.dirty, client, slot);
    }

    /// Clients whose parsing stopped and may go on now, each once.
    pub fn take_resumable(&mut self) -> Vec<u32> {
        let mut slots = std::mem::take(&mut self.resumable);
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Whether some client may go on once the driver has said how much of its output still waits.
    pub fn has_resumable(&self) -> bool {
        !self.resumable.is_empty()
    }

    /// A client whose command was held up may go on.
    pub fn resume(&mut self, slot: u32) {
        self.resumable.push(slot);
    }

    /// What a client has not been sent yet is not worth the memory.
    pub fn drop_output(&mut self, slot: u32) {
        if let Some(client) = self.get(slot) {
            client.output = Vec::new();
            client.queue = VecDeque::new();
        }
    }

    /// Looks again at clients whose output has been waiting.
    pub fn tend_output(&mut self) {
        for slot in std::mem::take(&mut self.over_soft) {
            self.touch(slot);
        }
    }

    /// Hands all waiting output to the driver; answers how many bytes left.
    pub fn flush(&mut self, output_bytes_max: usize, limits: &OutputLimits, out: &mut Outbox<Effect>) -> u64 {
        let now = self.now;
        let mut sent = 0;
        for slot in std::mem::take(&mut self.dirty) {
            let Some(client) = self.slots[slot as usize].as_mut() else { continue };
            client.dirty = false;
            let limit = limits.of(client.listens);
            let waits = client.output_bytes();
            if limit.soft_bytes > 0 && waits > limit.soft_bytes {
                client.soft_since.get_or_insert(now);
                self.over_soft.insert(slot);
            } else {
                client.soft_since = None;
            }
            let long = client.soft_since.is_some_and(|since| now.since(since) > limit.soft_time);
            let overfull = long || (limit.hard_bytes > 0 && waits > limit.hard_bytes);
            if overfull {
                // What it doesn't read is not worth the memory.
                client.output = Vec::new();
            }
            if !client.output.is_empty() {
                sent += client.output.len() as u64;
                let bytes = take_output(&mut client.output);
                out.push(Effect::Send { client: client.id, bytes });
                if client.stopped {
                    self.resumable.push(slot);
                }
            }
            let overfull = overfull || client.backlog > output_bytes_max;
            if overfull || client.is_done() {
                out.push(Effect::Close { client: client.id });
            }
            if overfull {
                client.closing = true;
            }
        }
        sent
    }
}

/// The output as bytes for the driver. Small output is copied out, so that the buffer, grown to what the client needs,
/// serves again; large output is given away whole.
fn take_output(output: &mut Vec<u8>) -> Bytes {
    if output.len() < OUTPUT_KEPT_BYTES {
        let bytes = Bytes::copy_from_slice(output);
        output.clear();
        bytes
    } else {
        Bytes::from(std::mem::take(output))
    }
}

/// What was answered to a command at once; one that is answered later has its own time.
#[inline]
fn note_answer(fate: &mut Fate, reply: &[u8]) {
    if *fate != Fate::Pending {
        *fate = Fate::Answered { failed: reply.first() == Some(&b'-') };
    }
}

/// Counts an error reply by its first word.
#[inline]
fn count_error(errors: &mut BTreeMap<String, u64>, reply: &[u8]) {
    if let Some((b'-', text)) = reply.split_first() {
        let word = text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        *errors.entry(String::from_utf8_lossy(word).into_owned()).or_default() += 1;
    }
}

fn mark_dirty(dirty: &mut Vec<u32>, client: &mut Client, slot: u32) {
    if !client.dirty {
        client.dirty = true;
        dirty.push(slot);
    }
}
