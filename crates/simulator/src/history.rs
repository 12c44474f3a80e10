//! What clients did and heard: the record that the checkers judge. A family is a handful of keys that share a slot, so
//! that commands may combine them; what happens in one family is independent of every other.

use crate::checkers::linearizability::Call;
use std::collections::BTreeSet;
use std::fmt;

/// How many keys a family has.
pub const FAMILY_KEYS: usize = 3;

/// One key of a family, by its place in it.
pub type KeyIndex = u8;

/// What a SET demands of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// It isn't there.
    Absent,
    /// It is there.
    Present,
}

/// What a SET makes of the key's time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It lives until it is deleted.
    Forever,
    /// As before.
    Keep,
    /// So many milliseconds.
    Millis(u64),
}

/// A command on the keys of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// GET.
    Get(KeyIndex),
    /// SET with its options.
    Set {
        /// The key.
        key: KeyIndex,
        /// Its new value.
        value: Vec<u8>,
        /// NX or XX.
        condition: Condition,
        /// Whether to answer the old value.
        get: bool,
        /// EX, PX, KEEPTTL or nothing.
        lifetime: Lifetime,
    },
    /// APPEND.
    Append(KeyIndex, Vec<u8>),
    /// STRLEN.
    Length(KeyIndex),
    /// INCRBY or DECRBY.
    Increase(KeyIndex, i64),
    /// DEL or UNLINK.
    Delete(Vec<KeyIndex>),
    /// EXISTS or TOUCH.
    Exists(Vec<KeyIndex>),
    /// GETDEL.
    GetDelete(KeyIndex),
    /// GETEX: PERSIST with `None`.
    GetExpire(KeyIndex, Option<u64>),
    /// MGET.
    GetMany(Vec<KeyIndex>),
    /// MSET.
    SetMany(Vec<(KeyIndex, Vec<u8>)>),
    /// MSETNX.
    SetManyAbsent(Vec<(KeyIndex, Vec<u8>)>),
    /// RENAME.
    Rename(KeyIndex, KeyIndex),
    /// COPY, with or without REPLACE.
    Copy(KeyIndex, KeyIndex, bool),
    /// PEXPIRE.
    Expire(KeyIndex, u64),
    /// PERSIST.
    Persist(KeyIndex),
    /// PTTL.
    TimeToLive(KeyIndex),
}

impl Action {
    /// Whether it can change nothing: then it doesn't matter whether it took effect.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Action::Get(_)
                | Action::Length(_)
                | Action::Exists(_)
                | Action::GetMany(_)
                | Action::TimeToLive(_)
        )
    }
}

/// An answer, apart from refusals.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// OK.
    Ok,
    /// Nothing.
    Nil,
    /// A number.
    Integer(i64),
    /// A value.
    Value(Vec<u8>),
    /// Values, some of which aren't there.
    Values(Vec<Option<Vec<u8>>>),
    /// An error that is an answer: its text.
    Error(String),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Ok => write!(f, "OK"),
            Reply::Nil => write!(f, "nil"),
            Reply::Integer(number) => write!(f, "{number}"),
            Reply::Value(value) => write!(f, "\"{}\"", String::from_utf8_lossy(value)),
            Reply::Values(values) => {
                let shown = values.iter().map(|value| value.as_deref().map(String::from_utf8_lossy));
                f.debug_list().entries(shown).finish()
            }
            Reply::Error(text) => write!(f, "error {text}"),
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No answer yet.
    Open,
    /// It took effect and answered.
    Done(Reply),
    /// It didn't take effect: NOQUORUM, TRYAGAIN, LOADING, or it never left the client.
    Refused,
    /// Nobody knows: UNKNOWN, a broken connection, patience at its end.
    Unknown,
}

/// One command with its time.
#[derive(Clone, Debug)]
pub struct Operation<A> {
    /// Who sent it.
    pub client: usize,
    /// What it does.
    pub action: A,
    /// When it was sent.
    pub called: u64,
    /// When its fate was heard.
    pub returned: u64,
    /// Its fate.
    pub outcome: Outcome,
    /// The one before it in its pipeline on the same keys, as a place in the same list.
    pub after: Option<usize>,
}

/// A key that is written once and never touched again.
#[derive(Clone, Debug)]
pub struct LedgerKey {
    /// When its SET was sent.
    pub called: u64,
    /// When its fate was heard.
    pub returned: u64,
    /// Its fate.
    pub outcome: Outcome,
    /// What was read there at the end, if it was read.
    pub read: Option<Reply>,
}

/// A key that is written once, with a time to live, and looked at now and then.
#[derive(Clone, Debug)]
pub struct MortalKey {
    /// When its SET was sent.
    pub called: u64,
    /// When its fate was heard.
    pub returned: u64,
    /// Its fate.
    pub outcome: Outcome,
    /// How long it was to live.
    pub millis: u64,
    /// Looks at it: when they were sent, when the answer came, and whether it was there.
    pub looks: Vec<(u64, u64, bool)>,
}

/// A walk over all keys by SCAN, begun and finished.
#[derive(Clone, Debug)]
pub struct Walk {
    /// When it began.
    pub began: u64,
    /// When its last answer came.
    pub ended: u64,
    /// The ledger's keys among those returned.
    pub ledger: Vec<u32>,
    /// What was returned and nobody had ever written.
    pub strangers: Vec<Vec<u8>>,
    /// KEYS instead of SCAN.
    pub at_once: bool,
}

/// An answer of DBSIZE.
#[derive(Clone, Debug)]
pub struct Size {
    /// When it was asked.
    pub called: u64,
    /// When the answer came.
    pub returned: u64,
    /// The answer.
    pub keys: i64,
    /// How many different keys had been written by then, at most.
    pub keys_max: i64,
}

/// How many queues there are.
pub const QUEUES: usize = 3;
/// The queue with one producer and one consumer, in which order is looked at.
pub const ORDERED: QueueIndex = 0;

/// A queue, by its number.
pub type QueueIndex = u8;

/// A command on queues. An element is named by the place of its push in the record, so each is pushed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueAction {
    /// RPUSH of the element that is named after this very command.
    Push(QueueIndex),
    /// BLPOP (`left`) or BRPOP.
    Pop {
        /// The queues, in the order of preference.
        queues: Vec<QueueIndex>,
        /// From which end.
        left: bool,
    },
    /// BLMOVE from the left end of one to the right end of the other.
    Move(QueueIndex, QueueIndex),
    /// LRANGE of all that is in it, at the end.
    Rest(QueueIndex),
}

/// What happened to the queues.
#[derive(Debug, Default)]
pub struct Queues {
    /// All commands.
    pub calls: Vec<Operation<QueueAction>>,
    /// Calls whose client broke the connection while they were under way.
    pub left: BTreeSet<usize>,
    /// What nodes answered to clients that had gone.
    pub said_in_vain: Vec<Reply>,
}

/// What two accounts hold.
pub type Pair = (i64, i64);

/// A transaction on two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAction {
    /// Looks at both.
    Look,
    /// Moves this much from the first to the second.
    Move(i64),
    /// Moves this much, if they still hold what was seen under WATCH.
    MoveIfStill(Pair, i64),
    /// Adds this much to the first alone, by a command on one key; of the answer only the first number counts.
    Add(i64),
    /// Looks at the first alone; of the answer only the first number counts.
    LookAtFirst,
}

/// One thing that a transaction does with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Micro {
    /// RPUSH of what is appended nowhere else.
    Append {
        /// The list.
        key: usize,
        /// The element.
        element: u64,
    },
    /// LRANGE of all of it.
    Read {
        /// The list.
        key: usize,
        /// What was there, if there was an answer.
        seen: Vec<u64>,
    },
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It took effect and answered.
    Done,
    /// It did nothing, or was never begun.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A transaction on lists.
#[derive(Clone, Debug)]
pub struct Append {
    /// What it does, in order.
    pub ops: Vec<Micro>,
    /// When it was sent.
    pub called: u64,
    /// When it was answered, if it took effect.
    pub returned: Option<u64>,
    /// Its fate.
    pub fate: Fate,
}

/// Everything that clients did and heard.
#[derive(Debug, Default)]
pub struct History {
    /// Commands by family.
    pub families: Vec<Vec<Operation<Action>>>,
    /// INCR of the one counter that all clients share; the action is nothing.
    pub counter: Vec<Operation<()>>,
    /// What GET of the counter answered at the end.
    pub counter_read: Option<Reply>,
    /// APPEND of a unique piece, by number, to the one key that all clients share.
    pub pieces: Vec<Operation<Vec<u8>>>,
    /// What GET of that key answered at the end.
    pub pieces_read: Option<Reply>,
    /// Keys written once; the key of number n is the ledger's key n.
    pub ledger: Vec<LedgerKey>,
    /// Keys with a time to live; the key of number n is the mortal key n.
    pub mortals: Vec<MortalKey>,
    /// Walks by SCAN and KEYS that came to their end.
    pub walks: Vec<Walk>,
    /// Answers of DBSIZE.
    pub sizes: Vec<Size>,
    /// The queues.
    pub queues: Queues,
    /// Transactions by the pair of accounts that they are about; an answer is what the pair holds after it. Those that did
    /// nothing aren't here.
    pub accounts: Vec<Vec<Call<AccountAction, Pair>>>,
    /// Transactions on lists.
    pub appends: Vec<Append>,
    /// How many lists there are.
    pub lists: usize,
    /// The same of accounts that lie on two shards.
    pub spread: Vec<Vec<Call<AccountAction, Pair>>>,
    /// Since when nothing goes wrong any more, and what went wrong is over.
    pub quiet_since: Option<u64>,
    /// Commands sent, of every kind.
    pub commands: u64,
    /// Commands answered, apart from refusals.
    pub answered: u64,
    /// Commands refused.
    pub refused: u64,
    /// Commands of unknown fate.
    pub unknown: u64,
}
