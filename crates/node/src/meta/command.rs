//! What can be asked of the meta group, and what it answers. Both are written to logs and sent between nodes: a first
//! byte says in which version, and a variant's number is never used for another.

use super::codec::{u128_from, u128_to};
use super::programs::{LibraryRecord, Manner};
use crate::api::{Addresses, JoinRequest};
use crate::users::Rule;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{DatabaseIndex, GroupId, NodeId, ReplicaId};
use bytes::Bytes;

/// The version that is written.
const VERSION: u8 = 1;

/// Asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaCommand {
    /// Somebody wants to become a member. Asked twice with one nonce, it joins once. Who comes with the peer address of
    /// a member has lost that member's disk and takes its place.
    AddNode {
        /// What it said.
        request: JoinRequest,
    },
    /// A member takes part no longer; its copies are made anew elsewhere.
    RemoveNode {
        /// Who.
        node: NodeId,
        /// Whether also if fewer than three copies, or none beside the last, would remain.
        force: bool,
    },
    /// A member can be reached elsewhere.
    SetAddresses {
        /// Who.
        node: NodeId,
        /// Where.
        addresses: Addresses,
    },
    /// A copy that can't be repaired comes back on its node as a new one.
    ReplaceReplica {
        /// Its group.
        group: GroupId,
        /// The copy that is lost.
        replica: ReplicaId,
    },
    /// Sets a setting of the whole cluster.
    Set {
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Takes a setting back to its default.
    Unset {
        /// Which.
        key: String,
    },
    /// Sets several settings, or takes them back to their defaults: all of them, or none if one can't be.
    SetAll {
        /// Which, and to what.
        settings: Vec<Setting>,
    },
    /// Two numbers change the databases behind them.
    SwapDatabases {
        /// The one.
        a: DatabaseIndex,
        /// The other.
        b: DatabaseIndex,
    },
    /// Changes what a user may do, or makes it; all of it or, if a rule can't be carried out, nothing.
    SetUser {
        /// Its name.
        name: Bytes,
        /// The rules, in their order.
        rules: Vec<Rule>,
    },
    /// Removes users; those that there aren't are passed over.
    DeleteUsers {
        /// Their names.
        names: Vec<Bytes>,
    },
    /// Takes in libraries of functions: all of them, or none.
    PutLibraries {
        /// Which.
        libraries: Vec<LibraryRecord>,
        /// What becomes of those that are there.
        manner: Manner,
    },
    /// Deletes a library.
    DeleteLibrary {
        /// Its name.
        name: String,
    },
    /// Deletes all libraries.
    FlushLibraries,
    /// Keeps a script, so that all nodes know it by its SHA-1.
    LoadScript {
        /// Its text.
        text: Bytes,
    },
    /// Forgets all scripts.
    FlushScripts,
}

/// A setting and what it is to be; `None` is its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which.
    pub key: String,
    /// To what.
    pub value: Option<String>,
}

impl Encode for Setting {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.str(&self.key);
        to.bool(self.value.is_some());
        to.str(self.value.as_deref().unwrap_or_default());
    }
}

impl Decode for Setting {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (key, there, value) = (from.string()?, from.bool()?, from.string()?);
        Ok(Self { key, value: there.then_some(value) })
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaOutcome {
    /// It is so.
    Done,
    /// The node is a member under this id.
    Joined {
        /// Its id.
        node: NodeId,
    },
    /// The copy is to be made anew as this one.
    Replaced {
        /// The copy that is wanted now.
        replica: ReplicaId,
    },
    /// Nothing has changed; why, as a sentence.
    Refused(String),
    /// So many of those that were named are no more.
    Deleted(u32),
}

impl Encode for MetaCommand {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(VERSION);
        match self {
            MetaCommand::AddNode { request } => {
                to.u8(1);
                request.encode(to);
            }
            MetaCommand::RemoveNode { node, force } => {
                to.u8(2);
                to.u32(node.0);
                to.bool(*force);
            }
            MetaCommand::SetAddresses { node, addresses } => {
                to.u8(3);
                to.u32(node.0);
                addresses.encode(to);
            }
            MetaCommand::ReplaceReplica { group, replica } => {
                to.u8(4);
                to.u32(group.0);
                replica.encode(to);
            }
            MetaCommand::Set { key, value } => {
                to.u8(5);
                to.str(key);
                to.str(value);
            }
            MetaCommand::Unset { key } => {
                to.u8(6);
                to.str(key);
            }
            MetaCommand::SwapDatabases { a, b } => {
                to.u8(7);
                to.u32(a.0);
                to.u32(b.0);
            }
            MetaCommand::SetUser { name, rules } => {
                to.u8(8);
                to.bytes(name);
                to.list(rules.iter());
            }
            MetaCommand::DeleteUsers { names } => {
                to.u8(9);
                to.list(names.iter());
            }
            MetaCommand::SetAll { settings } => {
                to.u8(10);
                to.list(settings.iter());
            }
            MetaCommand::PutLibraries { libraries, manner } => {
                to.u8(11);
                to.list(libraries.iter());
                manner.encode(to);
            }
            MetaCommand::DeleteLibrary { name } => {
                to.u8(12);
                to.str(name);
            }
            MetaCommand::FlushLibraries => to.u8(13),
            MetaCommand::LoadScript { text } => {
                to.u8(14);
                to.bytes(text);
            }
            MetaCommand::FlushScripts => to.u8(15),
        }
    }
}

impl Decode for MetaCommand {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        known_version(from)?;
        Ok(match from.u8()? {
            1 => MetaCommand::AddNode { request: JoinRequest::decode(from)? },
            2 => MetaCommand::RemoveNode { node: NodeId(from.u32()?), force: from.bool()? },
            3 => MetaCommand::SetAddresses { node: NodeId(from.u32()?), addresses: Addresses::decode(from)? },
            4 => {
                MetaCommand::ReplaceReplica { group: GroupId(from.u32()?), replica: ReplicaId::decode(from)? }
            }
            5 => MetaCommand::Set { key: from.string()?, value: from.string()? },
            6 => MetaCommand::Unset { key: from.string()? },
            7 => MetaCommand::SwapDatabases { a: DatabaseIndex(from.u32()?), b: DatabaseIndex(from.u32()?) },
            8 => MetaCommand::SetUser { name: from.bytes()?, rules: from.list()? },
            9 => MetaCommand::DeleteUsers { names: from.list()? },
            10 => MetaCommand::SetAll { settings: from.list()? },
            11 => MetaCommand::PutLibraries { libraries: from.list()?, manner: Manner::decode(from)? },
            12 => MetaCommand::DeleteLibrary { name: from.string()? },
            13 => MetaCommand::FlushLibraries,
            14 => MetaCommand::LoadScript { text: Bytes::copy_from_slice(&from.bytes()?) },
            15 => MetaCommand::FlushScripts,
            _ => return Err(DecodeError::Invalid("a command for meta")),
        })
    }
}

impl Encode for MetaOutcome {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(VERSION);
        match self {
            MetaOutcome::Done => to.u8(1),
            MetaOutcome::Joined { node } => {
                to.u8(2);
                to.u32(node.0);
            }
            MetaOutcome::Replaced { replica } => {
                to.u8(3);
                replica.encode(to);
            }
            MetaOutcome::Refused(why) => {
                to.u8(4);
                to.str(why);
            }
            MetaOutcome::Deleted(count) => {
                to.u8(5);
                to.u32(*count);
            }
        }
    }
}

impl Decode for MetaOutcome {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        known_version(from)?;
        Ok(match from.u8()? {
            1 => MetaOutcome::Done,
            2 => MetaOutcome::Joined { node: NodeId(from.u32()?) },
            3 => MetaOutcome::Replaced { replica: ReplicaId::decode(from)? },
            4 => MetaOutcome::Refused(from.string()?),
            5 => MetaOutcome::Deleted(from.u32()?),
            _ => return Err(DecodeError::Invalid("an outcome of meta")),
        })
    }
}

fn known_version(from: &mut Decoder) -> Result<(), DecodeError> {
    if from.u8()? == VERSION { Ok(()) } else { Err(DecodeError::Invalid("the version of meta's words")) }
}

impl Encode for JoinRequest {
    fn encode(&self, to: &mut Encoder<'_>) {
        u128_to(to, self.nonce);
        self.addresses.encode(to);
    }
}

impl Decode for JoinRequest {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { nonce: u128_from(from)?, addresses: Addresses::decode(from)? })
    }
}

impl Encode for Addresses {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.str(&self.client);
        to.str(&self.peer);
        to.str(&self.http);
    }
}

impl Decode for Addresses {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { client: from.string()?, peer: from.string()?, http: from.string()? })
    }
}
