//! What a command is: its name, arity, flags and keys in Redis's terms, and where Sihai answers it.

use crate::error::Error;
use crate::execute::Execute;
use crate::words;
use base::DatabaseIndex;
use base::database::Database;
use smallvec::SmallVec;

/// A command's number in the log. Given out once, pinned by a test, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

/// Where a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By the gateway, from the connection's own state.
    Connection,
    /// At the shard of its keys.
    Keys,
    /// At every shard, merged: see [`scatter`](crate::scatter).
    Cluster,
    /// By the gateway, from what it knows of the node and the cluster.
    Node,
    /// By the gateway, which runs a script on values that it fetches from the shards of its keys.
    Script,
}

/// The families that COMMAND DOCS and ACL know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Strings.
    String,
    /// Strings, bit by bit.
    Bitmap,
    /// Elements in an order.
    List,
    /// Distinct members.
    Set,
    /// Fields with values.
    Hash,
    /// Members ordered by score.
    SortedSet,
    /// Logs with groups of consumers.
    Stream,
    /// Estimates of how many there are.
    HyperLogLog,
    /// Places on the earth.
    Geo,
    /// Channels.
    PubSub,
    /// Commands that take effect together.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// Any key.
    Generic,
    /// The connection.
    Connection,
    /// The server.
    Server,
    /// The cluster.
    Cluster,
}

impl Group {
    /// What COMMAND DOCS calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::List => "list",
            Group::Set => "set",
            Group::Hash => "hash",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::PubSub => "pubsub",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
        }
    }
}

/// Declares a set of named bits.
macro_rules! bits {
    ($(#[$doc:meta])* $set:ident { $($(#[$bit_doc:meta])* $bit:ident = $number:literal $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set(u32);

        impl $set {
            /// None of them.
            pub const NONE: Self = Self(0);
            $($(#[$bit_doc])* pub const $bit: Self = Self(1 << $number);)*
            const NAMES: &[(Self, &str)] = &[$((Self::$bit, $name),)*];

            /// These and those.
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Whether all of `other` are among these.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The names of these, as COMMAND INFO gives them.
            pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
                Self::NAMES.iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| *name)
            }
        }
    };
}

bits! {
    /// What COMMAND INFO says about a command, in its order.
    Flags {
        /// May change data: logged and replicated.
        WRITE = 0 "write",
        /// Only reads data: answered by the shard's leader.
        READONLY = 1 "readonly",
        /// Refused while memory is full.
        DENYOOM = 2 "denyoom",
        /// For administrators.
        ADMIN = 3 "admin",
        /// About channels.
        PUBSUB = 4 "pubsub",
        /// Not from scripts.
        NOSCRIPT = 5 "noscript",
        /// May wait.
        BLOCKING = 6 "blocking",
        /// While starting, too.
        LOADING = 7 "loading",
        /// Where the data may be old, too.
        STALE = 8 "stale",
        /// Not shown to MONITOR.
        SKIP_MONITOR = 9 "skip_monitor",
        /// Not kept in the slow log.
        SKIP_SLOWLOG = 10 "skip_slowlog",
        /// Cluster clients need not ask first.
        ASKING = 11 "asking",
        /// Takes constant or logarithmic time.
        FAST = 12 "fast",
        /// Before authentication, too.
        NO_AUTH = 13 "no_auth",
        /// What it does may have to be told to copies, though it changes no data by itself.
        MAY_REPLICATE = 14 "may_replicate",
        /// May be called without keys, though it has a place for them.
        NO_MANDATORY_KEYS = 19 "no_mandatory_keys",
        /// Not while data is loaded beside the old.
        NO_ASYNC_LOADING = 15 "no_async_loading",
        /// Not inside MULTI.
        NO_MULTI = 16 "no_multi",
        /// Its keys can't be told from their positions alone.
        MOVABLEKEYS = 17 "movablekeys",
        /// While a script runs too long, too.
        ALLOW_BUSY = 18 "allow_busy",
    }
}

bits! {
    /// The ACL categories that don't follow from flags and group.
    Categories {
        /// Works on all or many keys, or administers them.
        KEYSPACE = 0 "@keyspace",
        /// Should be used with care.
        DANGEROUS = 1 "@dangerous",
        /// About the connection itself.
        CONNECTION = 2 "@connection",
        /// Works on sets, though not on them alone.
        SET = 3 "@set",
        /// Works on sorted sets, though not on them alone.
        SORTED_SET = 4 "@sortedset",
        /// Works on lists, though not on them alone.
        LIST = 5 "@list",
        /// For administrators, though it needs no flag of theirs.
        ADMIN = 6 "@admin",
    }
}

bits! {
    /// What a command does to the keys of one [`KeySpec`].
    KeyFlags {
        /// Reads what is there.
        RO = 0 "RO",
        /// Reads and writes it.
        RW = 1 "RW",
        /// Overwrites it without reading.
        OW = 2 "OW",
        /// Removes it.
        RM = 3 "RM",
        /// The value reaches the client or another key.
        ACCESS = 4 "access",
        /// The value changes.
        UPDATE = 5 "update",
        /// Data is added.
        INSERT = 6 "insert",
        /// Data is removed.
        DELETE = 7 "delete",
        /// The word is not a key, though it is hashed like one.
        NOT_KEY = 8 "not_key",
        /// There may be keys that the specs don't find.
        INCOMPLETE = 9 "incomplete",
        /// What is done depends on the options.
        VARIABLE_FLAGS = 10 "variable_flags",
    }
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this word.
    Index(usize),
    /// After this word, looked for from the word `from` on.
    Keyword {
        /// The word, in capitals.
        keyword: &'static str,
        /// The word from which it is looked for.
        from: usize,
    },
    /// In a way that has no name: by the command's own code, if at all.
    Unknown,
}

/// Which words are keys, from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Every `step`th word up to `last`, counted from the beginning; negative, from the end of the words.
    Range {
        /// The last that may be a key.
        last: i32,
        /// From one key to the next.
        step: usize,
        /// If above 1: only the first `1/limit` of the words are keys.
        limit: usize,
    },
    /// As many as a word says.
    Count {
        /// Where the count is, from the beginning.
        count: usize,
        /// Where the first key is, from the beginning.
        first: usize,
        /// From one key to the next.
        step: usize,
    },
}

/// Which of a command's words are keys, and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What is done to them.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// Which words are keys from there.
    pub find: Find,
}

/// A key among a command's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// Which word it is.
    pub index: usize,
    /// What is done to it.
    pub flags: KeyFlags,
}

/// The keys of most commands fit on the stack.
pub type Keys<'a> = SmallVec<[&'a [u8]; 4]>;

/// What there is to know of a command or subcommand.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its number in the log.
    pub id: CommandId,
    /// Its name in small letters; of a subcommand `container|name`.
    pub name: &'static str,
    /// How many words it takes, its name included; negative: at least so many.
    pub arity: i32,
    /// What COMMAND INFO says about it.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// ACL categories beyond those of its flags and group.
    pub categories: Categories,
    /// Its family.
    pub group: Group,
    /// The version of Redis that had it first.
    pub since: &'static str,
    /// How its time grows.
    pub complexity: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Hints for proxies and clients, in Redis's words.
    pub tips: &'static [&'static str],
    /// Where it is answered.
    pub place: Place,
    /// What it does, if a shard answers it.
    pub execute: Option<Execute>,
    /// Its subcommands, if it has any.
    pub subcommands: &'static [Spec],
}

impl Spec {
    /// A command that a shard answers, at its keys.
    pub(crate) const fn new(id: u16, name: &'static str, arity: i32, group: Group, place: Place) -> Self {
        Self {
            id: CommandId(id),
            name,
            arity,
            flags: Flags::NONE,
            keys: &[],
            categories: Categories::NONE,
            group,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            tips: &[],
            place,
            execute: None,
            subcommands: &[],
        }
    }

    /// A command that is answered by the gateway, from what it knows.
    pub(crate) const fn at_node(mut self) -> Self {
        self.place = Place::Node;
        self
    }

    pub(crate) const fn flags(mut self, flags: &[Flags]) -> Self {
        let mut at = 0;
        while at < flags.len() {
            self.flags = self.flags.with(flags[at]);
            at += 1;
        }
        self
    }

    pub(crate) const fn category(mut self, category: Categories) -> Self {
        self.categories = self.categories.with(category);
        self
    }

    pub(crate) const fn keys_at(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }

    pub(crate) const fn docs(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    pub(crate) const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    pub(crate) const fn does(mut self, execute: Execute) -> Self {
        self.execute = Some(execute);
        self
    }

    pub(crate) const fn has(mut self, subcommands: &'static [Spec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// The name without its container's.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, name)| name)
    }

    /// Whether it may change data, and so is logged and replicated.
    #[inline]
    pub const fn is_write(&self) -> bool {
        self.flags.has(Flags::WRITE)
    }

    /// Whether it reads data and changes none.
    #[inline]
    pub const fn is_readonly(&self) -> bool {
        self.flags.has(Flags::READONLY)
    }

    /// Whether a key that it reads counts as used: not where it only asks what is known of the key.
    pub fn uses_what_it_reads(&self) -> bool {
        self.is_readonly()
            && !matches!(
                self.name,
                "exists"
                    | "type"
                    | "ttl"
                    | "pttl"
                    | "expiretime"
                    | "pexpiretime"
                    | "object|encoding"
                    | "object|freq"
                    | "object|idletime"
                    | "object|refcount"
                    | "memory|usage"
                    | "watch"
                    | "touch"
            )
    }

    /// Whether so many words, its name included, can be right.
    #[inline]
    pub const fn takes(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }

    /// Whether a request may have more than one key.
    #[inline]
    pub const fn may_name_several_keys(&self) -> bool {
        match self.keys {
            [] => false,
            [only] => !matches!(only.find, Find::Range { last: 0, .. }),
            _ => true,
        }
    }

    /// The keys among `args`, the command's name first. A request whose words don't say where its keys are (a count
    /// that isn't a number) has none here, and is refused where it runs.
    #[inline]
    pub fn keys<'a>(&self, args: &[&'a [u8]]) -> Keys<'a> {
        let mut keys = Keys::new();
        self.visit_keys(args, |place| keys.push(args[place.index]));
        keys
    }

    /// Which of `args` are keys, and what this very request does to each, also where that depends on its options.
    pub fn key_places(&self, args: &[&[u8]]) -> SmallVec<[KeyPlace; 4]> {
        let mut places = SmallVec::new();
        self.visit_keys(args, |place| {
            let flags = if place.flags.has(KeyFlags::VARIABLE_FLAGS) {
                self.flags_of_use(args, place.flags)
            } else {
                place.flags
            };
            places.push(KeyPlace { flags, ..place });
        });
        places
    }

    fn flags_of_use(&self, args: &[&[u8]], flags: KeyFlags) -> KeyFlags {
        let changed = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
        match self.name {
            "set" if args.iter().skip(3).any(|word| words::is(word, "get")) => changed,
            "set" => KeyFlags::OW.with(KeyFlags::UPDATE),
            "bitfield" if crate::families::bitfields::only_reads(args) => KeyFlags::RO.with(KeyFlags::ACCESS),
            "bitfield" => changed,
            _ => flags,
        }
    }

    /// The number of the other database that `args` name (COPY … DB, MOVE), which the gateway resolves into
    /// [`Context::target`](crate::Context::target).
    pub fn target(&self, args: &[&[u8]]) -> Result<Option<DatabaseIndex>, Error> {
        match self.name {
            "move" => words::database_index(args[2]).map(Some),
            "copy" => crate::families::generic::copy_options(args).map(|options| options.database),
            _ => Ok(None),
        }
    }

    /// The words with which a node waits, asked of the database on which the command has just found nothing: it runs those again when
    /// there may be something. They differ from `args` where those speak of the moment (`$` of XREAD), which must stay the moment at
    /// which the waiting began. `None`: run the same words.
    pub fn blocking_words(&self, db: &dyn Database, args: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
        match self.name {
            "xread" => crate::families::streams::blocking_words(db, args),
            _ => None,
        }
    }

    /// Patterns among `args` by which other keys are read (SORT), with a `*` that the command replaces by what it finds.
    pub fn key_patterns<'a>(&self, args: &[&'a [u8]]) -> Keys<'a> {
        if self.flags.has(Flags::MOVABLEKEYS) && matches!(self.name, "sort" | "sort_ro") {
            return crate::families::sort::patterns(args);
        }
        Keys::new()
    }

    /// The option by which this request reads keys that it doesn't name, which only who may read all keys may give.
    pub fn option_that_reads(&self, args: &[&[u8]]) -> Option<&'static str> {
        if matches!(self.name, "sort" | "sort_ro") {
            return crate::families::sort::option_that_reads(args);
        }
        None
    }

    fn visit_keys(&self, args: &[&[u8]], mut visit: impl FnMut(KeyPlace)) {
        if self.flags.has(Flags::MOVABLEKEYS)
            && self.name == "migrate"
            && let Some(first) = self.keys.first()
        {
            return crate::families::migrate::keys(args)
                .for_each(|index| visit(KeyPlace { index, flags: first.flags }));
        }
        for spec in self.keys {
            if spec.flags.has(KeyFlags::NOT_KEY) {
                continue;
            }
            spec.visit(args, &mut visit);
        }
        if self.flags.has(Flags::MOVABLEKEYS)
            && self.name == "sort"
            && let (Some(index), Some(stored)) = (crate::families::sort::stored(args), self.keys.last())
        {
            visit(KeyPlace { index, flags: stored.flags });
        }
    }
}

impl KeySpec {
    /// Whether the words say how many keys there are, and that can't be.
    pub(crate) fn is_malformed(&self, args: &[&[u8]]) -> bool {
        let (Begin::Index(begin), Find::Count { count, first, .. }) = (self.begin, self.find) else {
            return false;
        };
        let room = args.len().saturating_sub(begin + first);
        let count = args.get(begin + count).and_then(|word| resp::number::parse_integer(word));
        !count.and_then(|count| usize::try_from(count).ok()).is_some_and(|count| (1..=room).contains(&count))
    }

    fn visit(&self, args: &[&[u8]], visit: &mut impl FnMut(KeyPlace)) {
        let begin = match self.begin {
            Begin::Index(index) => index,
            Begin::Keyword { keyword, from } => {
                let found =
                    args.iter().skip(from).position(|word| word.eq_ignore_ascii_case(keyword.as_bytes()));
                let Some(found) = found else { return };
                from + found + 1
            }
            Begin::Unknown => return,
        };
        let (first, end, step) = match self.find {
            Find::Range { last, step, limit } => {
                let end = if last >= 0 {
                    begin + last as usize + 1
                } else if limit > 1 {
                    begin + args.len().saturating_sub(begin) / limit
                } else {
                    (args.len() + 1).saturating_sub(last.unsigned_abs() as usize)
                };
                (begin, end, step)
            }
            Find::Count { count, first, step } => {
                let Some(count) = args.get(begin + count).and_then(|word| resp::number::parse_integer(word))
                else {
                    return;
                };
                let room = args.len().saturating_sub(begin + first);
                let Some(count) = usize::try_from(count).ok().filter(|count| *count <= room) else { return };
                (begin + first, begin + first + count * step, step)
            }
        };
        let mut index = first;
        while index < end.min(args.len()) {
            visit(KeyPlace { index, flags: self.flags });
            index += step;
        }
    }
}

/// One key, the first word after the name.
macro_rules! first_key {
    ($name:ident, $($flag:ident)|+) => {
        pub(crate) const $name: &[KeySpec] = &[at(1, 0, 1, &[$(KeyFlags::$flag),+])];
    };
}

/// Keys from word `index` on: `last` and `step` as in [`Find::Range`].
pub(crate) const fn at(index: usize, last: i32, step: usize, flags: &[KeyFlags]) -> KeySpec {
    let mut all = KeyFlags::NONE;
    let mut next = 0;
    while next < flags.len() {
        all = all.with(flags[next]);
        next += 1;
    }
    KeySpec { flags: all, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 } }
}

/// As many keys as word `index` says, behind it, each `step` words after the one before.
pub(crate) const fn counted(index: usize, step: usize, flags: &[KeyFlags]) -> KeySpec {
    let find = Find::Count { count: 0, first: 1, step };
    KeySpec { find, ..at(index, 0, 1, flags) }
}

first_key!(KEY_READ, RO | ACCESS);
first_key!(KEY_LOOKED_AT, RO);
first_key!(KEY_REPLACED, OW | UPDATE);
first_key!(KEY_CREATED, OW | INSERT);
first_key!(KEY_READ_AND_CHANGED, RW | ACCESS | UPDATE);
first_key!(KEY_READ_AND_REMOVED, RW | ACCESS | DELETE);
first_key!(KEY_TOUCHED_UP, RW | UPDATE);
first_key!(KEY_GROWN, RW | INSERT);
first_key!(KEY_SHRUNK, RW | DELETE);
