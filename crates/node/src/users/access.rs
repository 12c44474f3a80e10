//! A user's rules compiled: a bit for every command's number, and the patterns beside. Made when the rules change, asked at every
//! command of a user that may not do everything.

use super::{DEFAULT, Fault, KeyPattern, Selector, User};
use bytes::Bytes;
use command::categories::Category;
use command::spec::{Group, KeyFlags, KeyPlace};
use command::table::{COMMANDS, IDS, lookup_full};
use command::{CommandId, Flags, Spec, glob};

/// A user, and what it may do.
#[derive(Debug)]
pub struct Access {
    name: Bytes,
    user: User,
    selectors: Vec<Permissions>,
    unrestricted: bool,
}

/// Why a command is refused to a user. The greater reason is the one that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// It may not run it.
    Command,
    /// It may not do that to the key that is this word.
    Key(usize),
    /// It may not use the channel that is this word.
    Channel(usize),
    /// It may not read all keys, and by this option of SORT it would read any.
    Option(&'static str),
}

impl Denied {
    /// What the client is told, in Redis's words.
    pub fn text(self, spec: &Spec) -> String {
        let used = |what| {
            format!("NOPERM this user has no permissions to access one of the {what} used as arguments")
        };
        match self {
            Denied::Command => {
                format!("NOPERM this user has no permissions to run the '{}' command", spec.name)
            }
            Denied::Key(_) => used("keys"),
            Denied::Channel(_) => used("channels"),
            Denied::Option(option) => {
                format!("ERR {option} option of SORT denied due to insufficient ACL permissions.")
            }
        }
    }

    /// What EXEC answers in the place of a command that was allowed when it was gathered.
    pub fn text_at_exec(self, spec: &Spec) -> String {
        let why = match self {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
            Denied::Option(_) => return self.text(spec),
        };
        format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
             no longer allowed for the following reason: {why}"
        )
    }
}

impl Denied {
    /// What a script is told.
    pub fn text_in_script(self, spec: &Spec, user: &[u8]) -> String {
        match self {
            Denied::Command => format!(
                "ERR ACL failure in script: User {} has no permissions to run the '{}' command",
                String::from_utf8_lossy(user),
                spec.name
            ),
            Denied::Key(_) => "ERR ACL failure in script: No permissions to access a key".into(),
            Denied::Channel(_) => "ERR ACL failure in script: No permissions to access a channel".into(),
            Denied::Option(_) => self.text(spec),
        }
    }

    /// Why, with the name of the key or channel, as ACL DRYRUN tells it.
    pub fn tells(self, spec: &Spec, words: &[&[u8]]) -> String {
        let (word, what) = match self {
            Denied::Command => {
                return format!("This user has no permissions to run the '{}' command", spec.name);
            }
            Denied::Key(at) => (words.get(at), "key"),
            Denied::Channel(at) => (words.get(at), "channel"),
            Denied::Option(_) => return self.text(spec),
        };
        let word = String::from_utf8_lossy(word.copied().unwrap_or_default());
        format!("This user has no permissions to access the '{word}' {what}")
    }
}

/// One selector.
#[derive(Debug)]
struct Permissions {
    commands: CommandSet,
    /// Commands that are allowed if their first word is this one.
    first_words: Vec<(CommandId, Box<[u8]>)>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Bytes>,
}

/// Commands, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandSet([u64; IDS / 64]);

impl CommandSet {
    fn has(&self, id: CommandId) -> bool {
        self.0[usize::from(id.0) / 64] >> (id.0 % 64) & 1 == 1
    }

    fn set(&mut self, id: CommandId, allow: bool) {
        let (word, bit) = (&mut self.0[usize::from(id.0) / 64], 1 << (id.0 % 64));
        *word = if allow { *word | bit } else { *word & !bit };
    }
}

impl Access {
    /// What `user` may do under this name.
    pub fn new(name: Bytes, user: User) -> Self {
        let selectors: Vec<Permissions> = user.all_selectors().map(Permissions::compile).collect();
        let unrestricted = selectors.iter().any(Permissions::is_everything);
        Self { name, user, selectors, unrestricted }
    }

    /// Who connects to a node that doesn't know the users yet: it may do nothing, and can't log in.
    pub fn nobody() -> Self {
        Self::new(Bytes::from_static(DEFAULT), User::new())
    }

    /// The user's name.
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// Its rules.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether it may do everything, so that nothing need be asked.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Whether it may run this command with these words; some one selector must allow all of it.
    pub fn check(&self, spec: &Spec, words: &[&[u8]]) -> Result<(), Denied> {
        if self.unrestricted {
            return Ok(());
        }
        let keys = spec.key_places(words);
        let mut worst = Denied::Command;
        for selector in &self.selectors {
            match selector.check(spec, words, &keys) {
                Ok(()) => {
                    let option = spec.option_that_reads(words);
                    let option = option.filter(|_| !self.reads_all_keys(spec, words));
                    return option.map_or(Ok(()), |option| Err(Denied::Option(option)));
                }
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    /// Whether it may run this command on whatever keys.
    fn reads_all_keys(&self, spec: &Spec, words: &[&[u8]]) -> bool {
        let all = |keys: &KeyPattern| keys.read && keys.pattern == b"*"[..];
        self.selectors.iter().any(|selector| {
            (selector.all_keys || selector.keys.iter().any(all)) && selector.check(spec, words, &[]).is_ok()
        })
    }

    /// Whether it may listen to this channel or pattern.
    pub fn may_listen(&self, name: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| selector.allows_channel(name, is_pattern))
    }
}

impl Permissions {
    fn compile(selector: &Selector) -> Self {
        let mut permissions = Self {
            commands: CommandSet([if selector.all_commands { u64::MAX } else { 0 }; IDS / 64]),
            first_words: Vec::new(),
            all_keys: selector.all_keys,
            keys: selector.keys.clone(),
            all_channels: selector.all_channels,
            channels: selector.channels.clone(),
        };
        for rule in &selector.commands {
            // A name that this release doesn't know, from a newer one, stands for nothing that it could run.
            let _ = permissions.add(&rule.what, rule.allow);
        }
        permissions
    }

    fn add(&mut self, what: &str, allow: bool) -> Result<(), Fault> {
        if let Some(category) = what.strip_prefix('@') {
            let category = Category::parse(category.as_bytes()).ok_or(Fault::Unknown)?;
            let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
            all.filter(|spec| category.has(spec)).for_each(|spec| self.set(spec, allow));
            return Ok(());
        }
        if let Some(spec) = lookup_full(what.as_bytes()) {
            self.set(spec, allow);
            return Ok(());
        }
        let (name, word) = what.split_once('|').ok_or(Fault::Unknown)?;
        let spec = lookup_full(name.as_bytes()).filter(|spec| spec.subcommands.is_empty());
        self.first_words.push((spec.ok_or(Fault::Unknown)?.id, word.as_bytes().into()));
        Ok(())
    }

    /// Allows or forbids a command, with its subcommands and with whatever first words.
    fn set(&mut self, spec: &Spec, allow: bool) {
        for spec in std::iter::once(spec).chain(spec.subcommands) {
            self.commands.set(spec.id, allow);
            self.first_words.retain(|(id, _)| *id != spec.id);
        }
    }

    /// Whether every bit is set, also those of commands that there will be.
    fn is_everything(&self) -> bool {
        self.all_keys && self.all_channels && self.commands.0.iter().all(|word| *word == u64::MAX)
    }

    fn check(&self, spec: &Spec, words: &[&[u8]], keys: &[KeyPlace]) -> Result<(), Denied> {
        let by_word = |(id, word): &(CommandId, Box<[u8]>)| {
            *id == spec.id && words.get(1).is_some_and(|first| first.eq_ignore_ascii_case(word))
        };
        let allowed = self.commands.has(spec.id)
            || spec.flags.has(Flags::NO_AUTH)
            || self.first_words.iter().any(by_word);
        if !allowed {
            return Err(Denied::Command);
        }
        if !self.all_keys
            && let Some(place) = keys.iter().find(|place| !self.allows_key(words[place.index], place.flags))
        {
            return Err(Denied::Key(place.index));
        }
        if !self.all_channels
            && spec.group == Group::PubSub
            && let Some(denied) = self.denied_channel(spec, words)
        {
            return Err(Denied::Channel(denied));
        }
        Ok(())
    }

    fn allows_key(&self, key: &[u8], flags: KeyFlags) -> bool {
        let reads = flags.has(KeyFlags::ACCESS);
        let writes = [KeyFlags::INSERT, KeyFlags::DELETE, KeyFlags::UPDATE].iter().any(|f| flags.has(*f));
        self.keys
            .iter()
            .any(|keys| (keys.read || !reads) && (keys.write || !writes) && glob::matches(&keys.pattern, key))
    }

    /// The first channel of a command that may not be used.
    fn denied_channel(&self, spec: &Spec, words: &[&[u8]]) -> Option<usize> {
        let (count, is_pattern) = match spec.name {
            "publish" | "spublish" => (1, false),
            "subscribe" | "ssubscribe" => (usize::MAX, false),
            "psubscribe" => (usize::MAX, true),
            // Whoever listens may always stop, and who asks what is listened to hears nothing.
            _ => return None,
        };
        let channels = words.iter().enumerate().skip(1).take(count);
        channels.into_iter().find(|(_, name)| !self.allows_channel(name, is_pattern)).map(|(at, _)| at)
    }

    /// A pattern must be allowed as it is written; whether it is part of another can't be told.
    fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        let allows = |pattern: &Bytes| match is_pattern {
            true => pattern == name,
            false => glob::matches(pattern, name),
        };
        self.all_channels || self.channels.iter().any(allows)
    }
}
