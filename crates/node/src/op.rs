//! What a group's log says: batches of operations. One batch is one Raft entry; it holds everything that reached the
//! group's leader between two flushes.
//!
//! The bytes are drawn in `docs/formats/operations.md` and pinned by the tests below. Integers are varints (LEB128)
//! except the two in the header. Reading hands out slices of the entry: applying copies nothing but what the
//! keyspace keeps.

use crate::scratch::mutation::Mutation;
use crate::waitlist::WaitToken;
use base::{DatabaseId, SessionId, UnixMillis};
use command::{CommandId, Spec};
use resp::Protocol;
use smallvec::SmallVec;

/// The version of the batch format that this release writes.
const VERSION: u8 = 1;

/// The words of a command; few enough for the stack, most of the time.
pub type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// One thing that a group's state machine does.
#[derive(Clone, Debug)]
pub enum Op<'a> {
    /// A client's command.
    Command(Invocation<'a>),
    /// A change of the meta group's state: an encoded `MetaCommand`.
    Meta(&'a [u8]),
    /// The leader has seen that these keys' time has come.
    Expire(Vec<(DatabaseId, &'a [u8])>),
    /// Nothing but the batch's time: moves the ceiling on.
    Tick,
    /// A database is no more.
    Drop(DatabaseId),
    /// Commands that take effect together, at one moment.
    Transaction(Transaction<'a>),
    /// A command that waited tries to take what it was offered.
    Offered {
        /// Who was offered to.
        token: WaitToken,
        /// The command.
        invocation: Invocation<'a>,
    },
    /// The leader has no room for these keys any more.
    Evict(Vec<Evicted<'a>>),
    /// About a transaction over several shards: an encoded `twophase::Operation`.
    Transactional(&'a [u8]),
    /// What these keys hold, for a command that runs elsewhere. Only a query.
    Fetch(Vec<Wanted<'a>>),
}

/// A key that a command over several shards reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The database.
    pub database: DatabaseId,
    /// The key.
    pub key: &'a [u8],
    /// How much of it.
    pub what: What,
}

/// How much of a key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Whether it has changed.
    Version,
    /// Of which type it is, and when it expires: it is overwritten.
    Shape,
    /// All of it.
    Value,
}

/// A key that was chosen to go, unless it has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted<'a> {
    /// The database.
    pub database: DatabaseId,
    /// The key.
    pub key: &'a [u8],
    /// The shard revision of its last change when it was chosen.
    pub revision: u64,
}

/// Commands that take effect together, unless a key has changed that their client watches. A pure function of this and of the shard's
/// state. As a query it only reads.
#[derive(Clone, Debug, Default)]
pub struct Transaction<'a> {
    /// Keys that must still have these versions.
    pub watched: Vec<Watched<'a>>,
    /// What is to be done, in order.
    pub commands: Vec<Invocation<'a>>,
    /// What was done elsewhere, on the values that the watched versions stand for, and is to be done here, behind the commands.
    pub effects: Option<Effects<'a>>,
}

/// What commands did that ran elsewhere: mutators' calls, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects<'a> {
    /// Whether one of the commands is refused where memory is short.
    pub grows: bool,
    count: u64,
    bytes: &'a [u8],
}

impl<'a> Effects<'a> {
    /// So many calls, encoded one after the other.
    pub fn new(grows: bool, count: u64, bytes: &'a [u8]) -> Self {
        Self { grows, count, bytes }
    }

    /// How many bytes they take.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The calls.
    pub fn mutations(&self) -> impl Iterator<Item = Mutation<'a>> {
        let mut rest = self.bytes;
        // What was decoded was read to its end.
        std::iter::from_fn(move || if rest.is_empty() { None } else { Mutation::decode(&mut rest).ok() })
    }

    fn decode(rest: &mut &'a [u8]) -> Result<Self, BadBatch> {
        let flags = byte(rest)?;
        if flags > 1 {
            return Err(BadBatch("effects of another release"));
        }
        let count = varint(rest)?;
        let start = *rest;
        for _ in 0..count {
            Mutation::decode(rest)?;
        }
        Ok(Self { grows: flags == 1, count, bytes: &start[..start.len() - rest.len()] })
    }
}

/// A key and the version that its client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched<'a> {
    /// The database.
    pub database: DatabaseId,
    /// The key.
    pub key: &'a [u8],
    /// The shard revision of its last change; 0 if it wasn't there.
    pub version: u64,
}

/// A command with all that decides what it does: a pure function of this and of the shard's state.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// What the command table says about it.
    pub spec: &'static Spec,
    /// The database that the client selected.
    pub database: DatabaseId,
    /// The other database, for COPY and MOVE.
    pub target: Option<DatabaseId>,
    /// How the reply is written.
    pub protocol: Protocol,
    /// The command's words, its name first.
    pub words: Words<'a>,
}

/// Where a request came from, so that it takes effect once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The gateway's session.
    pub session: SessionId,
    /// Its place among the session's writes to this group, from 1.
    pub sequence: u64,
    /// The lowest sequence that the gateway still waits for; what is below may be forgotten.
    pub floor: u64,
}

/// Why an entry's bytes mean nothing to this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBatch(pub &'static str);

/// A batch that is being filled.
#[derive(Debug, Default)]
pub struct BatchWriter {
    bytes: Vec<u8>,
}

const HEADER_BYTES: usize = 17;

impl BatchWriter {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes it has so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an operation.
    pub fn push(&mut self, provenance: Option<Provenance>, op: &Op<'_>) {
        self.begin(provenance);
        encode_op(&mut self.bytes, op);
    }

    /// Adds an operation that [`encode_op`] wrote.
    pub fn push_encoded(&mut self, provenance: Option<Provenance>, op: &[u8]) {
        self.begin(provenance);
        self.bytes.extend_from_slice(op);
    }

    fn begin(&mut self, provenance: Option<Provenance>) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER_BYTES, 0);
        }
        match provenance {
            None => self.bytes.push(0),
            Some(from) => {
                self.bytes.push(1);
                for number in [u64::from(from.session.node.0), from.session.start, from.sequence, from.floor]
                {
                    put_varint(&mut self.bytes, number);
                }
            }
        }
    }

    /// Finishes the batch with the leader's time and the seed of its random choices, and starts an empty one.
    pub fn finish(&mut self, time: UnixMillis, seed: u64) -> Vec<u8> {
        let capacity = self.bytes.len();
        let mut bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity.min(64 << 10)));
        if bytes.is_empty() {
            bytes.resize(HEADER_BYTES, 0);
        }
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&time.0.to_le_bytes());
        bytes[9..17].copy_from_slice(&seed.to_le_bytes());
        bytes
    }
}

/// Reads a batch.
#[derive(Debug)]
pub struct BatchReader<'a> {
    rest: &'a [u8],
    /// The leader's time when it was proposed.
    pub time: UnixMillis,
    /// The seed of the batch's random choices.
    pub seed: u64,
}

impl<'a> BatchReader<'a> {
    /// Opens a batch.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BadBatch> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(BadBatch("a batch's header"))?;
        if header[0] != VERSION {
            return Err(BadBatch("a batch of another version"));
        }
        let number =
            |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
        Ok(Self { rest, time: UnixMillis(number(1)), seed: number(9) })
    }

    /// The next operation, or `None` at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is an iterator that can fail, and what fails must be looked at"
    )]
    pub fn next(&mut self) -> Result<Option<(Option<Provenance>, Op<'a>)>, BadBatch> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let provenance = match byte(&mut self.rest)? {
            0 => None,
            1 => Some(Provenance {
                session: SessionId {
                    node: base::NodeId(narrow(varint(&mut self.rest)?)?),
                    start: varint(&mut self.rest)?,
                },
                sequence: varint(&mut self.rest)?,
                floor: varint(&mut self.rest)?,
            }),
            _ => return Err(BadBatch("where an operation comes from")),
        };
        let op = decode_op(&mut self.rest)?;
        Ok(Some((provenance, op)))
    }
}

/// The seed of the operation at this place of a batch.
pub fn seed_of(batch_seed: u64, place: u64) -> u64 {
    // The odd constant spreads neighbours over the whole range (Knuth's multiplicative hashing).
    batch_seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Appends an operation.
pub fn encode_op(to: &mut Vec<u8>, op: &Op<'_>) {
    match op {
        Op::Command(invocation) => encode_invocation(to, invocation),
        Op::Meta(command) => {
            to.push(2);
            put_slice(to, command);
        }
        Op::Expire(keys) => {
            to.push(3);
            put_varint(to, keys.len() as u64);
            for (database, key) in keys {
                put_varint(to, database.0);
                put_slice(to, key);
            }
        }
        Op::Tick => to.push(4),
        Op::Drop(database) => {
            to.push(5);
            put_varint(to, database.0);
        }
        Op::Transaction(transaction) => {
            to.push(6);
            put_varint(to, transaction.watched.len() as u64);
            for watched in &transaction.watched {
                put_varint(to, watched.database.0);
                put_slice(to, watched.key);
                put_varint(to, watched.version);
            }
            let effects = transaction.effects.as_ref();
            put_varint(to, transaction.commands.len() as u64 + u64::from(effects.is_some()));
            for invocation in &transaction.commands {
                encode_invocation(to, invocation);
            }
            if let Some(effects) = effects {
                to.push(2);
                to.push(u8::from(effects.grows));
                put_varint(to, effects.count);
                to.extend_from_slice(effects.bytes);
            }
        }
        Op::Offered { token, invocation } => {
            to.push(7);
            for number in [u64::from(token.session.node.0), token.session.start, token.id] {
                put_varint(to, number);
            }
            encode_invocation(to, invocation);
        }
        Op::Evict(keys) => {
            to.push(8);
            put_varint(to, keys.len() as u64);
            for evicted in keys {
                put_varint(to, evicted.database.0);
                put_slice(to, evicted.key);
                put_varint(to, evicted.revision);
            }
        }
        Op::Transactional(operation) => {
            to.push(9);
            put_slice(to, operation);
        }
        Op::Fetch(keys) => {
            to.push(10);
            put_varint(to, keys.len() as u64);
            for wanted in keys {
                put_varint(to, wanted.database.0);
                put_slice(to, wanted.key);
                to.push(wanted.what as u8);
            }
        }
    }
}

/// Appends a command; also how a read travels to the leader.
pub fn encode_invocation(to: &mut Vec<u8>, invocation: &Invocation<'_>) {
    to.push(1);
    let flags = u8::from(invocation.protocol == Protocol::Resp3) | u8::from(invocation.target.is_some()) << 1;
    to.push(flags);
    put_varint(to, u64::from(invocation.spec.id.0));
    put_varint(to, invocation.database.0);
    if let Some(target) = invocation.target {
        put_varint(to, target.0);
    }
    put_varint(to, invocation.words.len() as u64);
    for word in &invocation.words {
        put_slice(to, word);
    }
}

/// Reads one operation from the front of `rest`.
pub fn decode_op<'a>(rest: &mut &'a [u8]) -> Result<Op<'a>, BadBatch> {
    match byte(rest)? {
        1 => Ok(Op::Command(decode_invocation(rest)?)),
        2 => Ok(Op::Meta(slice(rest)?)),
        3 => {
            let count = varint(rest)?;
            let mut keys = Vec::new();
            for _ in 0..count {
                keys.push((DatabaseId(varint(rest)?), slice(rest)?));
            }
            Ok(Op::Expire(keys))
        }
        4 => Ok(Op::Tick),
        5 => Ok(Op::Drop(DatabaseId(varint(rest)?))),
        6 => decode_transaction(rest).map(Op::Transaction),
        7 => {
            let node = base::NodeId(narrow(varint(rest)?)?);
            let session = SessionId { node, start: varint(rest)? };
            let token = WaitToken { session, id: varint(rest)? };
            Ok(Op::Offered { token, invocation: decode_command(rest)? })
        }
        8 => {
            let count = varint(rest)?;
            let mut keys = Vec::new();
            for _ in 0..count {
                let database = DatabaseId(varint(rest)?);
                keys.push(Evicted { database, key: slice(rest)?, revision: varint(rest)? });
            }
            Ok(Op::Evict(keys))
        }
        9 => Ok(Op::Transactional(slice(rest)?)),
        10 => {
            let count = varint(rest)?;
            let mut keys = Vec::new();
            for _ in 0..count {
                let (database, key) = (DatabaseId(varint(rest)?), slice(rest)?);
                let what = match byte(rest)? {
                    0 => What::Version,
                    1 => What::Shape,
                    2 => What::Value,
                    _ => return Err(BadBatch("how much of a key is wanted")),
                };
                keys.push(Wanted { database, key, what });
            }
            Ok(Op::Fetch(keys))
        }
        _ => Err(BadBatch("an operation's kind")),
    }
}

fn decode_transaction<'a>(rest: &mut &'a [u8]) -> Result<Transaction<'a>, BadBatch> {
    let mut transaction = Transaction::default();
    for _ in 0..varint(rest)? {
        transaction.watched.push(Watched {
            database: DatabaseId(varint(rest)?),
            key: slice(rest)?,
            version: varint(rest)?,
        });
    }
    for _ in 0..varint(rest)? {
        match byte(rest)? {
            1 if transaction.effects.is_none() => transaction.commands.push(decode_invocation(rest)?),
            2 if transaction.effects.is_none() => transaction.effects = Some(Effects::decode(rest)?),
            _ => return Err(BadBatch("a part of a transaction")),
        }
    }
    Ok(transaction)
}

/// Reads a command inside another operation.
fn decode_command<'a>(rest: &mut &'a [u8]) -> Result<Invocation<'a>, BadBatch> {
    if byte(rest)? != 1 {
        return Err(BadBatch("a command inside an operation"));
    }
    decode_invocation(rest)
}

fn decode_invocation<'a>(rest: &mut &'a [u8]) -> Result<Invocation<'a>, BadBatch> {
    let flags = byte(rest)?;
    if flags > 3 {
        return Err(BadBatch("a command's flags"));
    }
    let id = u16::try_from(varint(rest)?).map_err(|_| BadBatch("a command's number"))?;
    let spec = command::by_id(CommandId(id)).ok_or(BadBatch("a command of another release"))?;
    let database = DatabaseId(varint(rest)?);
    let target = if flags & 2 == 0 { None } else { Some(DatabaseId(varint(rest)?)) };
    let count = varint(rest)? as usize;
    let mut words = Words::new();
    for _ in 0..count {
        words.push(slice(rest)?);
    }
    if words.is_empty() || !spec.takes(words.len()) {
        return Err(BadBatch("a command's words"));
    }
    let protocol = if flags & 1 == 0 { Protocol::Resp2 } else { Protocol::Resp3 };
    Ok(Invocation { spec, database, target, protocol, words })
}

pub(crate) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

pub(crate) fn put_slice(to: &mut Vec<u8>, value: &[u8]) {
    put_varint(to, value.len() as u64);
    to.extend_from_slice(value);
}

pub(crate) fn byte(rest: &mut &[u8]) -> Result<u8, BadBatch> {
    let (first, after) = rest.split_first().ok_or(BadBatch("the end"))?;
    *rest = after;
    Ok(*first)
}

pub(crate) fn varint(rest: &mut &[u8]) -> Result<u64, BadBatch> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(rest)?;
        let bits = u64::from(next & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if next < 0x80 {
            return Ok(value);
        }
    }
    Err(BadBatch("a number"))
}

fn narrow(value: u64) -> Result<u32, BadBatch> {
    u32::try_from(value).map_err(|_| BadBatch("a number"))
}

pub(crate) fn slice<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BadBatch> {
    let length = varint(rest)?;
    if length > rest.len() as u64 {
        return Err(BadBatch("a length"));
    }
    let (value, after) = rest.split_at(length as usize);
    *rest = after;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::mutation::Act;
    use base::NodeId;

    fn set<'a>(key: &'a [u8], value: &'a [u8]) -> Invocation<'a> {
        let spec = command::lookup(b"set").expect("there is SET");
        let words = Words::from_slice(&[b"set", key, value]);
        Invocation { spec, database: DatabaseId(1), target: None, protocol: Protocol::Resp3, words }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_a_batch_never_change() {
        let mut batch = BatchWriter::default();
        batch.push(None, &Op::Command(set(b"k", b"v")));
        let from = Provenance { session: SessionId { node: NodeId(3), start: 300 }, sequence: 7, floor: 5 };
        batch.push(Some(from), &Op::Tick);
        batch.push(None, &Op::Expire(vec![(DatabaseId(2), b"old")]));
        batch.push(None, &Op::Meta(b"m"));
        batch.push(None, &Op::Drop(DatabaseId(200)));
        let watched = vec![Watched { database: DatabaseId(1), key: b"w", version: 300 }];
        let commands = vec![set(b"k", b"v")];
        batch.push(None, &Op::Transaction(Transaction { watched: watched.clone(), commands, effects: None }));
        let token = WaitToken { session: from.session, id: 9 };
        batch.push(None, &Op::Offered { token, invocation: set(b"k", b"v") });
        let evicted = Evicted { database: DatabaseId(2), key: b"cold", revision: 300 };
        batch.push(None, &Op::Evict(vec![evicted]));
        batch.push(None, &Op::Transactional(b"tx"));
        let mut done = Vec::new();
        Mutation { database: DatabaseId(1), key: b"w", act: Act::Remove }.encode(&mut done);
        let effects = Some(Effects::new(true, 1, &done));
        batch.push(None, &Op::Transaction(Transaction { watched, commands: Vec::new(), effects }));
        let wanted = |what| Wanted { database: DatabaseId(2), key: b"w", what };
        batch.push(None, &Op::Fetch(vec![wanted(What::Version), wanted(What::Shape), wanted(What::Value)]));
        let bytes = batch.finish(UnixMillis(0x0102_0304), 0x0506);
        let id = format!("{:02x}", command::lookup(b"set").expect("there is SET").id.0);
        let golden = [
            "01 0403020100000000 0605000000000000",
            &format!("00 01 01 {id} 01 03 03736574 016b 0176"),
            "01 03 ac02 07 05 04",
            "00 03 01 02 036f6c64",
            "00 02 016d",
            "00 05 c801",
            &format!("00 06 01 01 0177 ac02 01 01 01 {id} 01 03 03736574 016b 0176"),
            &format!("00 07 03 ac02 09 01 01 {id} 01 03 03736574 016b 0176"),
            "00 08 01 02 04636f6c64 ac02",
            "00 09 027478",
            "00 06 01 01 0177 ac02 01 02 01 01 01 0177 04",
            "00 0a 03 02 0177 00 02 0177 01 02 0177 02",
        ];
        assert_eq!(hex(&bytes), golden.concat().replace(' ', ""));
    }

    #[test]
    fn a_batch_reads_back_as_it_was_written() {
        let mut batch = BatchWriter::default();
        let from =
            Provenance { session: SessionId { node: NodeId(9), start: 1 << 40 }, sequence: 1, floor: 1 };
        let mut invocation = set(b"key", b"value");
        invocation.target = Some(DatabaseId(77));
        batch.push(Some(from), &Op::Command(invocation));
        let bytes = batch.finish(UnixMillis(5), 6);
        assert!(batch.is_empty(), "a finished batch leaves an empty one");
        let mut reader = BatchReader::new(&bytes).expect("it was just written");
        assert_eq!((reader.time, reader.seed), (UnixMillis(5), 6));
        let (provenance, op) = reader.next().expect("it reads").expect("there is one");
        assert_eq!(provenance, Some(from));
        let Op::Command(read) = op else { panic!("a command was written") };
        assert_eq!(read.words.as_slice(), [b"set".as_slice(), b"key", b"value"]);
        assert_eq!((read.database, read.target), (DatabaseId(1), Some(DatabaseId(77))));
        assert_eq!(read.protocol, Protocol::Resp3);
        assert!(reader.next().expect("the end reads").is_none());
    }

    #[test]
    fn what_isn_t_a_batch_is_refused_and_never_panics() {
        let mut batch = BatchWriter::default();
        batch.push(None, &Op::Command(set(b"key", b"value")));
        let bytes = batch.finish(UnixMillis(5), 6);
        let read_all = |bytes: &[u8]| -> Result<usize, BadBatch> {
            let mut reader = BatchReader::new(bytes)?;
            let mut count = 0;
            while reader.next()?.is_some() {
                count += 1;
            }
            Ok(count)
        };
        for end in 0..bytes.len() {
            let empty = end == HEADER_BYTES;
            assert_eq!(read_all(&bytes[..end]).is_ok(), empty, "cut at {end}");
        }
        let mut rng = base::Rng::new(1);
        for _ in 0..20_000 {
            let mut broken = bytes.clone();
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(broken.len() as u64) as usize;
                broken[at] = rng.next_u64() as u8;
            }
            // Whether it can be read depends on what was hit; that nothing panics or reads on is the point.
            let _ = read_all(&broken);
        }
    }

    #[test]
    fn varints_hold_every_number_and_no_more() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(varint(&mut &bytes[..]), Ok(value));
        }
        let too_big = [0xff; 9].into_iter().chain([2]).collect::<Vec<u8>>();
        assert!(varint(&mut &too_big[..]).is_err());
        assert!(varint(&mut &[0x80; 11][..]).is_err());
    }
}
