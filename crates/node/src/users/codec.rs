//! Users and rules written down: in meta's log and in its snapshots. A variant's number is never used for another.

use super::{CommandRule, KeyPattern, PasswordDigest, Rule, Selector, SelectorRule, User};
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};

/// The bits of a user's first byte.
const ENABLED: u8 = 1;
const ANY_PASSWORD: u8 = 2;
const SANITIZES: u8 = 4;
/// The bits of a selector's first byte.
const ALL_COMMANDS: u8 = 1;
const ALL_KEYS: u8 = 2;
const ALL_CHANNELS: u8 = 4;

/// The bits that are set; the others are read as nothing that was ever written.
fn bits_to(to: &mut Encoder<'_>, bits: [(bool, u8); 3]) {
    to.u8(bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
}

fn bits_from(from: &mut Decoder, bits: [u8; 3]) -> Result<[bool; 3], DecodeError> {
    let byte = from.u8()?;
    if byte & !bits.iter().sum::<u8>() != 0 {
        return Err(DecodeError::Invalid("the flags of a user"));
    }
    Ok(bits.map(|bit| byte & bit != 0))
}

impl Encode for User {
    fn encode(&self, to: &mut Encoder<'_>) {
        bits_to(
            to,
            [(self.enabled, ENABLED), (self.any_password, ANY_PASSWORD), (self.sanitizes, SANITIZES)],
        );
        to.list(self.passwords.iter());
        self.root.encode(to);
        to.list(self.selectors.iter());
    }
}

impl Decode for User {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let [enabled, any_password, sanitizes] = bits_from(from, [ENABLED, ANY_PASSWORD, SANITIZES])?;
        let (passwords, root, selectors) = (from.list()?, Selector::decode(from)?, from.list()?);
        Ok(Self { enabled, any_password, sanitizes, passwords, root, selectors })
    }
}

impl Encode for Selector {
    fn encode(&self, to: &mut Encoder<'_>) {
        bits_to(
            to,
            [(self.all_commands, ALL_COMMANDS), (self.all_keys, ALL_KEYS), (self.all_channels, ALL_CHANNELS)],
        );
        to.list(self.commands.iter());
        to.list(self.keys.iter());
        to.list(self.channels.iter());
    }
}

impl Decode for Selector {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let [all_commands, all_keys, all_channels] = bits_from(from, [ALL_COMMANDS, ALL_KEYS, ALL_CHANNELS])?;
        let (commands, keys, channels) = (from.list()?, from.list()?, from.list()?);
        Ok(Self { all_commands, commands, all_keys, keys, all_channels, channels })
    }
}

impl Encode for CommandRule {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(self.allow);
        to.str(&self.what);
    }
}

impl Decode for CommandRule {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { allow: from.bool()?, what: from.string()?.into() })
    }
}

impl Encode for KeyPattern {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(self.read);
        to.bool(self.write);
        to.bytes(&self.pattern);
    }
}

impl Decode for KeyPattern {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { read: from.bool()?, write: from.bool()?, pattern: from.bytes()? })
    }
}

impl Encode for PasswordDigest {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.bytes().iter().for_each(|byte| to.u8(*byte));
    }
}

impl Decode for PasswordDigest {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&from.take(32)?);
        Ok(Self::from_bytes(bytes))
    }
}

impl Encode for Rule {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Rule::On => to.u8(1),
            Rule::Off => to.u8(2),
            Rule::AnyPassword => to.u8(3),
            Rule::ResetPasswords => to.u8(4),
            Rule::Sanitize(sanitizes) => {
                to.u8(5);
                to.bool(*sanitizes);
            }
            Rule::AddPassword(digest) => {
                to.u8(6);
                digest.encode(to);
            }
            Rule::RemovePassword(digest) => {
                to.u8(7);
                digest.encode(to);
            }
            Rule::AddSelector(selector) => {
                to.u8(8);
                selector.encode(to);
            }
            Rule::ClearSelectors => to.u8(9),
            Rule::Reset => to.u8(10),
            Rule::Root(SelectorRule::AllCommands) => to.u8(11),
            Rule::Root(SelectorRule::NoCommands) => to.u8(12),
            Rule::Root(SelectorRule::Command(rule)) => {
                to.u8(13);
                rule.encode(to);
            }
            Rule::Root(SelectorRule::AllKeys) => to.u8(14),
            Rule::Root(SelectorRule::ResetKeys) => to.u8(15),
            Rule::Root(SelectorRule::Keys(keys)) => {
                to.u8(16);
                keys.encode(to);
            }
            Rule::Root(SelectorRule::AllChannels) => to.u8(17),
            Rule::Root(SelectorRule::ResetChannels) => to.u8(18),
            Rule::Root(SelectorRule::Channels(pattern)) => {
                to.u8(19);
                to.bytes(pattern);
            }
        }
    }
}

impl Decode for Rule {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Rule::On,
            2 => Rule::Off,
            3 => Rule::AnyPassword,
            4 => Rule::ResetPasswords,
            5 => Rule::Sanitize(from.bool()?),
            6 => Rule::AddPassword(PasswordDigest::decode(from)?),
            7 => Rule::RemovePassword(PasswordDigest::decode(from)?),
            8 => Rule::AddSelector(Selector::decode(from)?),
            9 => Rule::ClearSelectors,
            10 => Rule::Reset,
            11 => Rule::Root(SelectorRule::AllCommands),
            12 => Rule::Root(SelectorRule::NoCommands),
            13 => Rule::Root(SelectorRule::Command(CommandRule::decode(from)?)),
            14 => Rule::Root(SelectorRule::AllKeys),
            15 => Rule::Root(SelectorRule::ResetKeys),
            16 => Rule::Root(SelectorRule::Keys(KeyPattern::decode(from)?)),
            17 => Rule::Root(SelectorRule::AllChannels),
            18 => Rule::Root(SelectorRule::ResetChannels),
            19 => Rule::Root(SelectorRule::Channels(from.bytes()?)),
            _ => return Err(DecodeError::Invalid("a rule about a user")),
        })
    }
}
