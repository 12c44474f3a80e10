//! How the state of meta changes: one function a command, each either done whole or refused with a sentence and
//! without a trace. Nothing here may depend on anything but the state and the command: every replica does the same.

use super::placement::{self, VOTERS};
use super::programs::Manner;
use super::{DatabaseState, Member, MemberState, Meta, MetaCommand, MetaOutcome, Setting, setting};
use crate::api::{Addresses, JoinRequest};
use crate::users::{self, PasswordDigest, Rule, User};
use base::codec::Encode;
use base::{DatabaseIndex, GroupId, NodeId, ReplicaId};
use bytes::Bytes;
use std::collections::BTreeSet;

/// What keeps meta small whatever it is asked: an address, a setting's name, a setting's value, in bytes.
const ADDRESS_BYTES_MAX: usize = 512;
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 4096;
/// How many settings there may be.
const SETTINGS_MAX: usize = 1024;
/// How many ids are held back at the end of their range: more than one command can need.
const IDS_RESERVED: u32 = 1 << 20;

impl Meta {
    /// Makes the change, or says why not.
    pub fn apply(&mut self, command: MetaCommand) -> MetaOutcome {
        let ids_end = u32::MAX - IDS_RESERVED;
        if self.next_generation > ids_end || self.next_node > ids_end {
            return MetaOutcome::Refused("this cluster has used up all ids it can give out".to_string());
        }
        let outcome = match command {
            MetaCommand::AddNode { request } => self.add_node(request),
            MetaCommand::RemoveNode { node, force } => self.remove_node(node, force),
            MetaCommand::SetAddresses { node, addresses } => self.set_addresses(node, addresses),
            MetaCommand::ReplaceReplica { group, replica } => self.replace_replica(group, replica),
            MetaCommand::Set { key, value } => self.set(key, value),
            MetaCommand::Unset { key } => self.unset(&key),
            MetaCommand::SetAll { settings } => self.set_all(settings),
            MetaCommand::SwapDatabases { a, b } => self.swap_databases(a, b),
            MetaCommand::SetUser { name, rules } => self.set_user(name, &rules),
            MetaCommand::DeleteUsers { names } => self.delete_users(&names),
            MetaCommand::PutLibraries { libraries, manner } => self.programs.put(libraries, manner).map(done),
            MetaCommand::DeleteLibrary { name } => self.programs.delete(&name).map(done),
            MetaCommand::FlushLibraries => self.programs.put(Vec::new(), Manner::Flush).map(done),
            MetaCommand::LoadScript { text } => self.programs.load(text).map(done),
            MetaCommand::FlushScripts => {
                self.programs.flush_scripts();
                Ok(MetaOutcome::Done)
            }
        };
        outcome.unwrap_or_else(MetaOutcome::Refused)
    }

    fn add_node(&mut self, request: JoinRequest) -> Result<MetaOutcome, String> {
        bounded(&request.addresses)?;
        if request.addresses.peer.is_empty() {
            return Err("a node that joins must say at which address the others reach it".to_string());
        }
        let known = self.nodes.iter().find(|(_, member)| member.nonce == request.nonce);
        if let Some((&node, member)) = known {
            if member.state == MemberState::Removed {
                return Err(format!(
                    "this was node {node}, which has been removed from the cluster: \
                     to join as a new node, start with an empty directory"
                ));
            }
            self.set_addresses(node, request.addresses)?;
            return Ok(MetaOutcome::Joined { node });
        }
        // At one address lives one node: whoever was there has lost its disk, or this one couldn't be there.
        let before = self.active().find(|(_, member)| member.addresses.peer == request.addresses.peer);
        if let Some((before, _)) = before {
            if let Some(group) = self.depends_on(before) {
                return Err(format!(
                    "{} is the address of node {before}, which keeps the only full copy of {group}: \
                     it can't be replaced",
                    request.addresses.peer
                ));
            }
            self.retire(before);
        }
        let node = NodeId(self.next_node);
        self.next_node += 1;
        let member =
            Member { addresses: request.addresses, nonce: request.nonce, state: MemberState::Active };
        self.nodes.insert(node, member);
        self.place();
        Ok(MetaOutcome::Joined { node })
    }

    fn remove_node(&mut self, node: NodeId, force: bool) -> Result<MetaOutcome, String> {
        let Some(member) = self.nodes.get(&node) else {
            return Err(format!("there is no node {node}"));
        };
        if member.state == MemberState::Removed {
            return Ok(MetaOutcome::Done);
        }
        let remaining = self.active().count() - 1;
        if remaining == 0 {
            return Err(format!("node {node} is the last one: without it there is no cluster"));
        }
        if remaining < VOTERS && !force {
            return Err(format!(
                "without node {node} an acknowledged write would be on one disk only: add a node first, or force it"
            ));
        }
        self.retire(node);
        self.place();
        Ok(MetaOutcome::Done)
    }

    fn set_addresses(&mut self, node: NodeId, addresses: Addresses) -> Result<MetaOutcome, String> {
        bounded(&addresses)?;
        let Some(member) = self.nodes.get_mut(&node).filter(|member| member.state == MemberState::Active)
        else {
            return Err(format!("node {node} isn't a member"));
        };
        if member.addresses != addresses {
            member.addresses = addresses;
            self.epoch += 1;
        }
        Ok(MetaOutcome::Done)
    }

    fn replace_replica(&mut self, group: GroupId, replica: ReplicaId) -> Result<MetaOutcome, String> {
        let Some(placement) = self.placement.get_mut(&group) else {
            return Err(format!("there is no {group}"));
        };
        let Some(current) = placement.on_node(replica.node) else {
            return Err(format!("node {} keeps no copy of {group}", replica.node));
        };
        if current != replica {
            // Asked again, or about a copy that is gone anyway.
            return Ok(MetaOutcome::Replaced { replica: current });
        }
        if placement.replicas == [replica] {
            return Err(format!(
                "copy {replica} is the only full one of {group}: what it lost can't be got from anywhere else"
            ));
        }
        let fresh = ReplicaId { node: replica.node, generation: self.next_generation };
        self.next_generation += 1;
        self.epoch += 1;
        let places = placement.replicas.iter_mut().chain(&mut placement.learners);
        places.filter(|place| **place == replica).for_each(|place| *place = fresh);
        Ok(MetaOutcome::Replaced { replica: fresh })
    }

    fn set(&mut self, key: String, value: String) -> Result<MetaOutcome, String> {
        if setting::FOUNDED.contains(&key.as_str()) {
            return Err(format!("{key} is settled when a cluster is founded"));
        }
        if key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
            return Err("the setting is too long".to_string());
        }
        if key == setting::REQUIREPASS {
            let digest = PasswordDigest::parse(&value);
            self.set_password(Some(digest.ok_or("a password is kept as its digest only")?));
            return Ok(MetaOutcome::Done);
        }
        if self.settings.len() >= SETTINGS_MAX && !self.settings.contains_key(&key) {
            return Err("there are too many settings".to_string());
        }
        self.settings.insert(key, value);
        Ok(MetaOutcome::Done)
    }

    fn set_all(&mut self, settings: Vec<Setting>) -> Result<MetaOutcome, String> {
        let mut changed = self.clone();
        for Setting { key, value } in settings {
            match value {
                Some(value) => changed.set(key, value)?,
                None => changed.unset(&key)?,
            };
        }
        *self = changed;
        Ok(MetaOutcome::Done)
    }

    fn unset(&mut self, key: &str) -> Result<MetaOutcome, String> {
        if setting::FOUNDED.contains(&key) {
            return Err(format!("{key} is settled when a cluster is founded"));
        }
        if key == setting::REQUIREPASS {
            self.set_password(None);
        }
        self.settings.remove(key);
        Ok(MetaOutcome::Done)
    }

    fn swap_databases(&mut self, a: DatabaseIndex, b: DatabaseIndex) -> Result<MetaOutcome, String> {
        let record = |index: DatabaseIndex| {
            let record =
                self.databases.get(&index).ok_or_else(|| format!("there is no database {}", index.0))?;
            if record.state != DatabaseState::Open {
                return Err(format!("database {} is being closed", index.0));
            }
            Ok(record.clone())
        };
        let (of_a, of_b) = (record(a)?, record(b)?);
        if of_a.mode != of_b.mode {
            return Err(format!(
                "database {} is {} and database {} is {}: nothing moves between modes",
                a.0,
                of_a.mode.name(),
                b.0,
                of_b.mode.name()
            ));
        }
        self.databases.insert(a, of_b);
        self.databases.insert(b, of_a);
        Ok(MetaOutcome::Done)
    }

    /// Makes this the default user's only password, or lets everybody in.
    pub(super) fn set_password(&mut self, password: Option<PasswordDigest>) {
        let user = self.users.entry(Bytes::from_static(users::DEFAULT)).or_default();
        user.any_password = password.is_none();
        user.passwords = password.into_iter().collect();
        self.users_epoch += 1;
    }

    fn set_user(&mut self, name: Bytes, rules: &[Rule]) -> Result<MetaOutcome, String> {
        if name.len() > users::NAME_BYTES_MAX {
            return Err(format!("a user's name takes at most {} bytes", users::NAME_BYTES_MAX));
        }
        let known = self.users.get(&name);
        if known.is_none() && self.users.len() >= users::USERS_MAX {
            return Err(format!("there are {} users, and no more are kept: remove some", users::USERS_MAX));
        }
        let mut user = known.cloned().unwrap_or_else(User::new);
        user.change_all(rules)?;
        if user.to_bytes().len() > users::USER_BYTES_MAX {
            return Err(format!(
                "the user would have too many rules: they take at most {} bytes. Use patterns and categories that cover more",
                users::USER_BYTES_MAX
            ));
        }
        self.users.insert(name, user);
        self.users_epoch += 1;
        Ok(MetaOutcome::Done)
    }

    fn delete_users(&mut self, names: &[Bytes]) -> Result<MetaOutcome, String> {
        if names.iter().any(|name| name == users::DEFAULT) {
            return Err("The 'default' user cannot be removed".to_string());
        }
        let count = names.iter().filter(|name| self.users.remove(*name).is_some()).count();
        self.users_epoch += u64::from(count > 0);
        Ok(MetaOutcome::Deleted(count as u32))
    }

    /// Takes `node` out of the members; its copies are placed anew by what follows.
    fn retire(&mut self, node: NodeId) {
        if let Some(member) = self.nodes.get_mut(&node) {
            member.state = MemberState::Removed;
        }
    }

    /// A group of which only `node` has a vote, if there is one: without it, what was acknowledged would be lost.
    fn depends_on(&self, node: NodeId) -> Option<GroupId> {
        let alone = |replicas: &[ReplicaId]| matches!(replicas, [only] if only.node == node);
        self.placement.iter().find(|(_, placement)| alone(&placement.replicas)).map(|(&group, _)| group)
    }

    /// Places every group on the members of now, under the next epoch.
    pub(super) fn place(&mut self) {
        let members: BTreeSet<NodeId> = self.active().map(|(id, _)| id).collect();
        let shards = self.slots.groups();
        self.placement = placement::place(&members, &shards, &self.placement, &mut self.next_generation);
        self.epoch += 1;
    }
}

fn done((): ()) -> MetaOutcome {
    MetaOutcome::Done
}

fn bounded(addresses: &Addresses) -> Result<(), String> {
    let long = [&addresses.client, &addresses.peer, &addresses.http]
        .into_iter()
        .any(|address| address.len() > ADDRESS_BYTES_MAX);
    if long { Err("an address is too long".to_string()) } else { Ok(()) }
}
