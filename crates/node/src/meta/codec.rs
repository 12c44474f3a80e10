//! The state of meta written down: the content of its snapshots. Integers are little-endian, texts and lists have
//! their length before them. What is read back must hold every invariant; else it is refused as corrupt.

use super::{DatabaseRecord, DatabaseState, Member, MemberState, Meta, Mode, Placement, Programs};
use super::{founding_users, setting};
use crate::api::Addresses;
use crate::users::{PasswordDigest, User};
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{DatabaseId, DatabaseIndex, GroupId, NodeId};
use routing::SlotMap;
use std::collections::BTreeMap;

/// The version that is written.
const FORMAT: u8 = 3;
/// The version that had no libraries and no scripts. It is still read.
const WITHOUT_PROGRAMS: u8 = 2;
/// The version that had no users but the default one, whose password was a setting. It is still read.
const WITHOUT_USERS: u8 = 1;

impl Encode for Meta {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(FORMAT);
        u128_to(to, self.cluster);
        to.u64(self.hash_key[0]);
        to.u64(self.hash_key[1]);
        self.slots.encode(to);
        to.u64(self.epoch);
        map_to(to, &self.nodes, |to, id, member| {
            to.u32(id.0);
            member.encode(to);
        });
        to.u32(self.next_node);
        to.u32(self.next_generation);
        map_to(to, &self.placement, |to, group, placement| {
            to.u32(group.0);
            to.list(placement.replicas.iter());
            to.list(placement.learners.iter());
        });
        map_to(to, &self.databases, |to, index, record| {
            to.u32(index.0);
            record.encode(to);
        });
        to.u64(self.next_database);
        map_to(to, &self.settings, |to, key, value| {
            to.str(key);
            to.str(value);
        });
        to.u32(self.version);
        map_to(to, &self.users, |to, name, user| {
            to.bytes(name);
            user.encode(to);
        });
        to.u64(self.users_epoch);
        self.programs.encode(to);
    }
}

impl Decode for Meta {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let format = from.u8()?;
        if ![WITHOUT_USERS, WITHOUT_PROGRAMS, FORMAT].contains(&format) {
            return Err(DecodeError::Invalid("the version of meta's state"));
        }
        let mut meta = Self {
            cluster: u128_from(from)?,
            hash_key: [from.u64()?, from.u64()?],
            slots: SlotMap::decode(from)?,
            epoch: from.u64()?,
            nodes: map_from(from, |from| Ok((NodeId(from.u32()?), Member::decode(from)?)))?,
            next_node: from.u32()?,
            next_generation: from.u32()?,
            placement: map_from(from, |from| {
                let group = GroupId(from.u32()?);
                Ok((group, Placement { replicas: from.list()?, learners: from.list()? }))
            })?,
            databases: map_from(from, |from| {
                Ok((DatabaseIndex(from.u32()?), DatabaseRecord::decode(from)?))
            })?,
            next_database: from.u64()?,
            settings: map_from(from, |from| Ok((from.string()?, from.string()?)))?,
            version: from.u32()?,
            users: founding_users(),
            users_epoch: 0,
            programs: Programs::default(),
        };
        if format > WITHOUT_USERS {
            meta.users = map_from(from, |from| Ok((from.bytes()?, User::decode(from)?)))?;
            meta.users_epoch = from.u64()?;
        } else if let Some(password) = meta.settings.remove(setting::REQUIREPASS) {
            meta.set_password(PasswordDigest::parse(&password));
        }
        if format > WITHOUT_PROGRAMS {
            meta.programs = Programs::decode(from)?;
        }
        meta.verify().map_err(DecodeError::Invalid)?;
        Ok(meta)
    }
}

impl Encode for Member {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.addresses.encode(to);
        u128_to(to, self.nonce);
        to.u8(match self.state {
            MemberState::Active => 1,
            MemberState::Removed => 2,
        });
    }
}

impl Decode for Member {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            addresses: Addresses::decode(from)?,
            nonce: u128_from(from)?,
            state: match from.u8()? {
                1 => MemberState::Active,
                2 => MemberState::Removed,
                _ => return Err(DecodeError::Invalid("the state of a member")),
            },
        })
    }
}

impl Encode for DatabaseRecord {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.id.0);
        to.u8(match self.mode {
            Mode::Consistent => 1,
            Mode::Available => 2,
            Mode::Local => 3,
        });
        to.bool(self.name.is_some());
        if let Some(name) = &self.name {
            to.str(name);
        }
        to.u8(match self.state {
            DatabaseState::Open => 1,
            DatabaseState::Closing => 2,
        });
    }
}

impl Decode for DatabaseRecord {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            id: DatabaseId(from.u64()?),
            mode: match from.u8()? {
                1 => Mode::Consistent,
                2 => Mode::Available,
                3 => Mode::Local,
                _ => return Err(DecodeError::Invalid("a mode")),
            },
            name: if from.bool()? { Some(from.string()?) } else { None },
            state: match from.u8()? {
                1 => DatabaseState::Open,
                2 => DatabaseState::Closing,
                _ => return Err(DecodeError::Invalid("the state of a database")),
            },
        })
    }
}

/// Sixteen bytes, little-endian.
pub(super) fn u128_to(to: &mut Encoder<'_>, value: u128) {
    to.u64(value as u64);
    to.u64((value >> 64) as u64);
}

/// Reads what [`u128_to`] wrote.
pub(super) fn u128_from(from: &mut Decoder) -> Result<u128, DecodeError> {
    let (low, high) = (from.u64()?, from.u64()?);
    Ok(u128::from(high) << 64 | u128::from(low))
}

fn map_to<K, V>(to: &mut Encoder<'_>, map: &BTreeMap<K, V>, each: impl Fn(&mut Encoder<'_>, &K, &V)) {
    to.u32(u32::try_from(map.len()).expect("meta has far fewer than 4 Gi records of a kind"));
    for (key, value) in map {
        each(to, key, value);
    }
}

/// Reads a map whose keys must rise, so that one state is written in one way.
fn map_from<K: Ord, V>(
    from: &mut Decoder,
    each: impl Fn(&mut Decoder) -> Result<(K, V), DecodeError>,
) -> Result<BTreeMap<K, V>, DecodeError> {
    let mut map = BTreeMap::new();
    for _ in 0..from.u32()? {
        let (key, value) = each(from)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(DecodeError::Invalid("the order of meta's records"));
        }
        map.insert(key, value);
    }
    Ok(map)
}
