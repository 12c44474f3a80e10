//! Users: how they prove who they are, and what they may do. They belong to the whole cluster, so the meta group keeps them; a gateway
//! holds each compiled ([`Access`](crate::users::Access)), so that asking whether a command may run costs next to nothing.
//!
//! A user is kept as the rules that it was given, not as the commands that they mean: a release with more commands reads the same rules.
//! For the same reason [`User::change_all`](crate::users::User::change_all) knows no command names: it must come to the same state on
//! every release. Names are checked once, where a rule is read ([`Rule::parse`](crate::users::Rule::parse)). Of passwords only digests
//! are kept, logged or shown.

/// What a user may do, ready to be asked.
mod access;
/// How users and rules are written to logs and snapshots.
mod codec;
/// Of whom what was refused, for ACL LOG.
pub mod log;
/// Passwords, of which only a digest is kept.
pub mod password;
/// The rules of ACL SETUSER.
pub mod rules;

pub use access::{Access, Denied};
pub use password::PasswordDigest;
pub use rules::{Fault, KeyPattern, Rule, SelectorRule};

use bytes::Bytes;

/// Who a connection is until it says otherwise. It always exists.
pub const DEFAULT: &[u8] = b"default";

/// How many users there may be.
pub const USERS_MAX: usize = 10_000;
/// How long a user's name may be, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// How many bytes a user's rules and digests may take, as snapshots write them.
pub const USER_BYTES_MAX: usize = 32 << 10;

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether any password is right.
    pub any_password: bool,
    /// Whether RESTORE is to check what this user gives it. It always does; this is only kept, as Redis keeps it.
    pub sanitizes: bool,
    /// The passwords that are right, in the order in which they were added.
    pub passwords: Vec<PasswordDigest>,
    /// What it may do.
    pub root: Selector,
    /// What else it may do. A command is allowed if one of all selectors allows all of it.
    pub selectors: Vec<Selector>,
}

/// Commands together with the keys and channels on which they are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Whether commands that no rule names are allowed.
    pub all_commands: bool,
    /// What is allowed or not beyond that; later rules win.
    pub commands: Vec<CommandRule>,
    /// Whether all keys are allowed; then there are no patterns.
    pub all_keys: bool,
    /// The keys that are allowed.
    pub keys: Vec<KeyPattern>,
    /// Whether all channels are allowed; then there are no patterns.
    pub all_channels: bool,
    /// The channels that are allowed.
    pub channels: Vec<Bytes>,
}

/// Allows or forbids commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRule {
    /// Whether it allows them.
    pub allow: bool,
    /// Which, in small letters: `@category`, `command`, `container|subcommand`, `command|first word`.
    pub what: Box<str>,
}

impl User {
    /// A new user: it can't log in, and may do nothing.
    pub fn new() -> Self {
        Self {
            enabled: false,
            any_password: false,
            sanitizes: true,
            passwords: Vec::new(),
            root: Selector::default(),
            selectors: Vec::new(),
        }
    }

    /// The default user of a new cluster: without a password, it may do everything.
    pub fn unrestricted() -> Self {
        let root = Selector { all_commands: true, all_keys: true, all_channels: true, ..Selector::default() };
        Self { enabled: true, any_password: true, root, ..Self::new() }
    }

    /// Whether it can be logged in as without a password.
    pub fn is_open(&self) -> bool {
        self.enabled && self.any_password
    }

    /// Whether this password lets it log in. Takes as long whichever of its passwords is right, or none.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let given = PasswordDigest::of(password);
        let right = self.passwords.iter().fold(false, |right, known| right | known.equals(&given));
        self.enabled && (self.any_password || right)
    }

    /// The selectors, the root first.
    pub fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// What ACL GETUSER calls its flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> + Clone {
        [
            (self.enabled, "on"),
            (!self.enabled, "off"),
            (self.any_password, "nopass"),
            (!self.sanitizes, "skip-sanitize-payload"),
            (self.sanitizes, "sanitize-payload"),
        ]
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
    }

    /// All its rules, as ACL LIST shows them: given to a new user, they make it this one.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for flag in self.flags() {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for password in &self.passwords {
            text.push(b'#');
            text.extend_from_slice(password.hex().as_bytes());
            text.push(b' ');
        }
        text.extend(self.root.describe());
        for selector in &self.selectors {
            text.extend_from_slice(b" (");
            text.extend(selector.describe());
            text.push(b')');
        }
        text
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

impl Selector {
    /// Its rules, as ACL LIST shows them.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.describe_keys();
        if !text.is_empty() {
            text.push(b' ');
        }
        if !self.all_channels {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend(channels);
            text.push(b' ');
        }
        text.extend_from_slice(self.describe_commands().as_bytes());
        text
    }

    /// Its rules about commands.
    pub fn describe_commands(&self) -> String {
        let mut text = if self.all_commands { "+@all" } else { "-@all" }.to_string();
        for rule in &self.commands {
            text.push_str(if rule.allow { " +" } else { " -" });
            text.push_str(&rule.what);
        }
        text
    }

    /// Its rules about keys; nothing if it may touch none.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        self.keys.iter().map(KeyPattern::describe).collect::<Vec<_>>().join(&b' ')
    }

    /// Its rules about channels; nothing if it may touch none.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|pattern| [b"&", &pattern[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }
}

#[cfg(test)]
mod tests;
