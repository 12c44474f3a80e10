//! Which command comes next. Values are unique, so that a read tells which write it saw.

use crate::history::{Action, Condition, FAMILY_KEYS, KeyIndex, Lifetime};
use base::Rng;

/// What the keys of a family are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts that are overwritten, appended to, renamed and deleted.
    Texts,
    /// Numbers that are counted up and down.
    Numbers,
    /// Texts with and without a time to live.
    Volatile,
}

impl Kind {
    /// One of them.
    pub fn any(rng: &mut Rng) -> Self {
        *rng.pick(&[Kind::Texts, Kind::Texts, Kind::Numbers, Kind::Volatile]).unwrap_or(&Kind::Texts)
    }
}

/// Draws commands for families.
#[derive(Debug)]
pub struct Choice {
    rng: Rng,
    values: u64,
}

impl Choice {
    /// Draws from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self { rng, values: 0 }
    }

    /// The next command on a family of this kind.
    pub fn action(&mut self, kind: Kind) -> Action {
        match kind {
            Kind::Texts => self.text(),
            Kind::Numbers => self.number(),
            Kind::Volatile if self.rng.chance(2, 5) => self.text(),
            Kind::Volatile => self.volatile(),
        }
    }

    fn text(&mut self) -> Action {
        let key = self.key();
        match self.rng.below(40) {
            0..=10 => Action::Get(key),
            11..=19 => self.set(key),
            20..=22 => Action::Append(key, self.value()),
            23 => Action::Length(key),
            24..=25 => Action::Delete(self.keys()),
            26 => Action::Exists(self.keys()),
            27..=28 => Action::GetDelete(key),
            29..=33 => Action::GetMany(self.keys()),
            34..=35 => Action::SetMany(self.pairs()),
            36 => Action::SetManyAbsent(self.pairs()),
            37..=38 => Action::Rename(key, self.other(key)),
            _ => Action::Copy(key, self.other(key), self.rng.chance(1, 2)),
        }
    }

    fn number(&mut self) -> Action {
        let key = self.key();
        match self.rng.below(20) {
            0..=4 => Action::Get(key),
            5..=14 => {
                let by = *self.rng.pick(&[1, 1, 1, 7, -1, -3, 1_000_003]).unwrap_or(&1);
                Action::Increase(key, by)
            }
            15..=16 => Action::GetMany(self.keys()),
            17 => Action::Delete(vec![key]),
            18 => Action::GetDelete(key),
            _ => Action::Set {
                key,
                value: self.rng.below(1_000_000).to_string().into_bytes(),
                condition: Condition::Always,
                get: self.rng.chance(1, 2),
                lifetime: Lifetime::Forever,
            },
        }
    }

    fn volatile(&mut self) -> Action {
        let key = self.key();
        // Short enough to be seen to end, long enough to be seen before.
        let millis = self.rng.between(200, 4_000);
        match self.rng.below(12) {
            0..=2 => Action::Set {
                key,
                value: self.value(),
                condition: Condition::Always,
                get: false,
                lifetime: Lifetime::Millis(millis),
            },
            3..=5 => Action::Get(key),
            6 => Action::Expire(key, millis),
            7 => Action::Persist(key),
            8..=9 => Action::TimeToLive(key),
            10 => Action::GetExpire(key, if self.rng.chance(1, 3) { None } else { Some(millis) }),
            _ => Action::Set {
                key,
                value: self.value(),
                condition: Condition::Present,
                get: false,
                lifetime: Lifetime::Keep,
            },
        }
    }

    fn set(&mut self, key: KeyIndex) -> Action {
        let condition = match self.rng.below(8) {
            0..=1 => Condition::Absent,
            2 => Condition::Present,
            _ => Condition::Always,
        };
        let get = self.rng.chance(1, 4);
        Action::Set { key, value: self.value(), condition, get, lifetime: Lifetime::Forever }
    }

    fn value(&mut self) -> Vec<u8> {
        self.values += 1;
        // Now and then one that doesn't fit into a small snapshot chunk together with others.
        let padding = if self.rng.chance(1, 20) { self.rng.below(900) as usize } else { 0 };
        format!("v{}.{}", self.values, "x".repeat(padding)).into_bytes()
    }

    fn key(&mut self) -> KeyIndex {
        self.rng.below(FAMILY_KEYS as u64) as KeyIndex
    }

    fn other(&mut self, key: KeyIndex) -> KeyIndex {
        (key + 1 + self.rng.below(FAMILY_KEYS as u64 - 1) as KeyIndex) % FAMILY_KEYS as KeyIndex
    }

    fn keys(&mut self) -> Vec<KeyIndex> {
        let key = self.key();
        if self.rng.chance(1, 2) {
            vec![key, self.other(key)]
        } else {
            (0..FAMILY_KEYS as KeyIndex).collect()
        }
    }

    fn pairs(&mut self) -> Vec<(KeyIndex, Vec<u8>)> {
        self.keys().into_iter().map(|key| (key, self.value())).collect()
    }
}
