//! The rules of ACL SETUSER: how they are read, and what each does to a user.

use super::{CommandRule, PasswordDigest, Selector, User};
use bytes::Bytes;
use command::categories::Category;
use command::table::lookup_full;
use std::fmt;

/// One rule, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `on`: it may log in.
    On,
    /// `off`: nobody logs in as this user any more. Who has, stays.
    Off,
    /// `nopass`: any password is right.
    AnyPassword,
    /// `resetpass`: no password is right.
    ResetPasswords,
    /// `sanitize-payload`, `skip-sanitize-payload`.
    Sanitize(bool),
    /// `>password`, `#digest`: one more password is right.
    AddPassword(PasswordDigest),
    /// `<password`, `!digest`: one less is.
    RemovePassword(PasswordDigest),
    /// `(rules)`: one more selector.
    AddSelector(Selector),
    /// `clearselectors`: none but the root.
    ClearSelectors,
    /// `reset`: as a new user.
    Reset,
    /// A rule for the root selector.
    Root(SelectorRule),
}

/// One rule about commands, keys or channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorRule {
    /// `allcommands`, `+@all`.
    AllCommands,
    /// `nocommands`, `-@all`.
    NoCommands,
    /// `+…`, `-…`.
    Command(CommandRule),
    /// `allkeys`, `~*`.
    AllKeys,
    /// `resetkeys`.
    ResetKeys,
    /// `~pattern`, `%RW~pattern`.
    Keys(KeyPattern),
    /// `allchannels`, `&*`.
    AllChannels,
    /// `resetchannels`.
    ResetChannels,
    /// `&pattern`.
    Channels(Bytes),
}

/// Keys, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// Whether what they hold may be read.
    pub read: bool,
    /// Whether it may be changed.
    pub write: bool,
    /// A glob pattern.
    pub pattern: Bytes,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It names a command or category that there isn't.
    Unknown,
    /// It makes no sense.
    Syntax,
    /// Keys are given where all are allowed already.
    KeysAfterAll,
    /// Channels are given where all are allowed already.
    ChannelsAfterAll,
    /// A password is to be removed that the user doesn't have.
    NoSuchPassword,
    /// A digest isn't one.
    BadDigest,
    /// A subcommand is to be allowed with one first word only.
    FirstWordOfSubcommand,
}

impl Fault {
    /// What Redis says about it.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::Unknown => "Unknown command or category name in ACL",
            Fault::Syntax => "Syntax error",
            Fault::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
                 Try 'resetkeys' to start with an empty list of patterns"
            }
            Fault::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Fault::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Fault::BadDigest => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Fault::FirstWordOfSubcommand => "Allowing first-arg of a subcommand is not supported",
        }
    }
}

/// Reads the words after ACL SETUSER's name. What is wrong is said as an error reply without its code says it.
pub fn parse_all(words: &[&[u8]]) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for word in join_selectors(words)? {
        // An empty word is no rule, as in Redis.
        if !word.is_empty() {
            rules.push(Rule::parse(&word).map_err(|fault| refusal(&word, fault))?);
        }
    }
    Ok(rules)
}

/// The sentence in which Redis refuses a rule.
pub fn refusal(rule: &[u8], fault: Fault) -> String {
    format!("Error in ACL SETUSER modifier '{}': {}", String::from_utf8_lossy(rule), fault.text())
}

/// Puts the words of a selector together that were given apart: `(~key +get)` is two.
fn join_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, String> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<&[u8]> = None;
    for word in words {
        match (open, joined.last_mut()) {
            (Some(_), Some(selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
            }
            _ => joined.push(word.to_vec()),
        }
        let ends = word.last() == Some(&b')');
        open = match open {
            None if word.first() == Some(&b'(') && !ends => Some(word),
            Some(_) if ends => None,
            open => open,
        };
    }
    match open {
        None => Ok(joined),
        Some(word) => Err(format!(
            "Unmatched parenthesis in acl selector starting at '{}'.",
            String::from_utf8_lossy(word)
        )),
    }
}

impl Rule {
    /// Reads a rule. The names of commands are checked here, and nowhere else.
    pub fn parse(word: &[u8]) -> Result<Self, Fault> {
        let digest = |hex| PasswordDigest::from_hex(hex).ok_or(Fault::BadDigest);
        Ok(match (word.to_ascii_lowercase().as_slice(), word) {
            (b"on", _) => Rule::On,
            (b"off", _) => Rule::Off,
            (b"nopass", _) => Rule::AnyPassword,
            (b"resetpass", _) => Rule::ResetPasswords,
            (b"sanitize-payload", _) => Rule::Sanitize(true),
            (b"skip-sanitize-payload", _) => Rule::Sanitize(false),
            (b"clearselectors", _) => Rule::ClearSelectors,
            (b"reset", _) => Rule::Reset,
            (_, [b'>', password @ ..]) => Rule::AddPassword(PasswordDigest::of(password)),
            (_, [b'<', password @ ..]) => Rule::RemovePassword(PasswordDigest::of(password)),
            (_, [b'#', hex @ ..]) => Rule::AddPassword(digest(hex)?),
            (_, [b'!', hex @ ..]) => Rule::RemovePassword(digest(hex)?),
            (_, [b'(', inside @ .., b')']) => {
                let mut selector = Selector::default();
                for word in inside.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
                    selector.change(&SelectorRule::parse(word)?)?;
                }
                Rule::AddSelector(selector)
            }
            _ => Rule::Root(SelectorRule::parse(word)?),
        })
    }
}

impl SelectorRule {
    fn parse(word: &[u8]) -> Result<Self, Fault> {
        Ok(match (word.to_ascii_lowercase().as_slice(), word) {
            (b"allcommands" | b"+@all", _) => SelectorRule::AllCommands,
            (b"nocommands" | b"-@all", _) => SelectorRule::NoCommands,
            (b"allkeys" | b"~*", _) => SelectorRule::AllKeys,
            (b"resetkeys", _) => SelectorRule::ResetKeys,
            (b"allchannels" | b"&*", _) => SelectorRule::AllChannels,
            (b"resetchannels", _) => SelectorRule::ResetChannels,
            (_, [b'~' | b'%', ..]) => SelectorRule::Keys(KeyPattern::parse(word)?),
            (_, [b'&', pattern @ ..]) => {
                SelectorRule::Channels(Bytes::copy_from_slice(without_spaces(pattern)?))
            }
            ([sign @ (b'+' | b'-'), what @ ..], _) => {
                let allow = *sign == b'+';
                check_command(what, allow)?;
                let what = std::str::from_utf8(what).map_err(|_| Fault::Unknown)?.into();
                SelectorRule::Command(CommandRule { allow, what })
            }
            _ => return Err(Fault::Syntax),
        })
    }
}

/// Whether there is such a command or category, here or in Redis.
fn check_command(what: &[u8], allow: bool) -> Result<(), Fault> {
    /// Whether it has subcommands.
    fn known(name: &[u8]) -> Result<bool, Fault> {
        match lookup_full(name) {
            Some(spec) => Ok(!spec.subcommands.is_empty()),
            None => Err(Fault::Unknown),
        }
    }
    if let [b'@', category @ ..] = what {
        return Category::parse(category).map(|_| ()).ok_or(Fault::Unknown);
    }
    // What is forbidden is forbidden with whatever words.
    let bar = what.iter().rposition(|byte| *byte == b'|').filter(|_| allow);
    let Some(bar) = bar else { return known(what).map(|_| ()) };
    let (name, word) = (&what[..bar], &what[bar + 1..]);
    let has_subcommands = known(name)?;
    if name.contains(&b'|') {
        Err(Fault::FirstWordOfSubcommand)
    } else if word.is_empty() {
        Err(Fault::Syntax)
    } else if !has_subcommands {
        // Whatever is shown to others must stay one word.
        without_spaces(word).map(|_| ())
    } else {
        known(what).map(|_| ())
    }
}

fn without_spaces(pattern: &[u8]) -> Result<&[u8], Fault> {
    let space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b || *byte == 0;
    if pattern.iter().any(space) { Err(Fault::Syntax) } else { Ok(pattern) }
}

impl KeyPattern {
    /// Reads `~pattern` or `%` with R, W or both before that.
    fn parse(word: &[u8]) -> Result<Self, Fault> {
        let tilde = word.iter().position(|byte| *byte == b'~').ok_or(Fault::Syntax)?;
        let (read, write) = match word[..tilde].to_ascii_uppercase().as_slice() {
            b"" | b"%RW" | b"%WR" => (true, true),
            b"%R" => (true, false),
            b"%W" => (false, true),
            _ => return Err(Fault::Syntax),
        };
        let pattern = Bytes::copy_from_slice(without_spaces(&word[tilde + 1..])?);
        Ok(Self { read, write, pattern })
    }

    /// The rule that it is.
    pub fn describe(&self) -> Vec<u8> {
        let rights: &[u8] = match (self.read, self.write) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            // Not the rule that allows all keys: more patterns may follow.
            _ if self.pattern == b"*"[..] => b"%RW~",
            _ => b"~",
        };
        [rights, &self.pattern].concat()
    }
}

impl User {
    /// Makes all changes or, if one of them can't be made, none; then the sentence says which and why.
    pub fn change_all(&mut self, rules: &[Rule]) -> Result<(), String> {
        let mut changed = self.clone();
        for rule in rules {
            changed.change(rule).map_err(|fault| refusal(rule.to_string().as_bytes(), fault))?;
        }
        *self = changed;
        Ok(())
    }

    fn change(&mut self, rule: &Rule) -> Result<(), Fault> {
        match rule {
            Rule::On => self.enabled = true,
            Rule::Off => self.enabled = false,
            Rule::AnyPassword => {
                self.any_password = true;
                self.passwords.clear();
            }
            Rule::ResetPasswords => {
                self.any_password = false;
                self.passwords.clear();
            }
            Rule::Sanitize(sanitizes) => self.sanitizes = *sanitizes,
            Rule::AddPassword(digest) => {
                self.any_password = false;
                if !self.passwords.contains(digest) {
                    self.passwords.push(*digest);
                }
            }
            Rule::RemovePassword(digest) => {
                let at = self.passwords.iter().position(|known| known == digest);
                self.passwords.remove(at.ok_or(Fault::NoSuchPassword)?);
            }
            Rule::AddSelector(selector) => self.selectors.push(selector.clone()),
            Rule::ClearSelectors => self.selectors.clear(),
            Rule::Reset => *self = User::new(),
            Rule::Root(rule) => self.root.change(rule)?,
        }
        Ok(())
    }
}

impl Selector {
    fn change(&mut self, rule: &SelectorRule) -> Result<(), Fault> {
        match rule {
            SelectorRule::AllCommands | SelectorRule::NoCommands => {
                self.all_commands = *rule == SelectorRule::AllCommands;
                self.commands.clear();
            }
            SelectorRule::Command(rule) => {
                // An earlier rule about the same, or about a part of it, has no effect any more.
                self.commands.retain(|earlier| {
                    let rest = earlier.what.strip_prefix(&*rule.what);
                    !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
                });
                self.commands.push(rule.clone());
            }
            SelectorRule::AllKeys => {
                self.all_keys = true;
                self.keys.clear();
            }
            SelectorRule::ResetKeys => {
                self.all_keys = false;
                self.keys.clear();
            }
            SelectorRule::Keys(_) if self.all_keys => return Err(Fault::KeysAfterAll),
            SelectorRule::Keys(added) => {
                match self.keys.iter_mut().find(|known| known.pattern == added.pattern) {
                    Some(known) => {
                        known.read |= added.read;
                        known.write |= added.write;
                    }
                    None => self.keys.push(added.clone()),
                }
            }
            SelectorRule::AllChannels => {
                self.all_channels = true;
                self.channels.clear();
            }
            SelectorRule::ResetChannels => {
                self.all_channels = false;
                self.channels.clear();
            }
            SelectorRule::Channels(_) if self.all_channels => return Err(Fault::ChannelsAfterAll),
            SelectorRule::Channels(pattern) => {
                if !self.channels.contains(pattern) {
                    self.channels.push(pattern.clone());
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    /// The rule as it could have been given, for messages: with digests, where there was a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Rule::On => b"on".to_vec(),
            Rule::Off => b"off".to_vec(),
            Rule::AnyPassword => b"nopass".to_vec(),
            Rule::ResetPasswords => b"resetpass".to_vec(),
            Rule::Sanitize(true) => b"sanitize-payload".to_vec(),
            Rule::Sanitize(false) => b"skip-sanitize-payload".to_vec(),
            Rule::AddPassword(digest) => format!("#{}", digest.hex()).into_bytes(),
            Rule::RemovePassword(digest) => format!("!{}", digest.hex()).into_bytes(),
            Rule::AddSelector(selector) => [b"(", &selector.describe()[..], b")"].concat(),
            Rule::ClearSelectors => b"clearselectors".to_vec(),
            Rule::Reset => b"reset".to_vec(),
            Rule::Root(rule) => rule.describe(),
        };
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl SelectorRule {
    fn describe(&self) -> Vec<u8> {
        match self {
            SelectorRule::AllCommands => b"+@all".to_vec(),
            SelectorRule::NoCommands => b"-@all".to_vec(),
            SelectorRule::Command(rule) => {
                format!("{}{}", if rule.allow { '+' } else { '-' }, rule.what).into_bytes()
            }
            SelectorRule::AllKeys => b"~*".to_vec(),
            SelectorRule::ResetKeys => b"resetkeys".to_vec(),
            SelectorRule::Keys(keys) => keys.describe(),
            SelectorRule::AllChannels => b"&*".to_vec(),
            SelectorRule::ResetChannels => b"resetchannels".to_vec(),
            SelectorRule::Channels(pattern) => [b"&", &pattern[..]].concat(),
        }
    }
}
