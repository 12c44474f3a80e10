//! Which keys have changed, for whoever holds copies of their values (CLIENT TRACKING). Every mutator notes what it changes, as it
//! stamps the key's revision; while nobody asks, nothing is kept.

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedKey {
    /// This key: its value, its time to live, or whether it is there.
    One(Box<[u8]>),
    /// Any key of a database: it was emptied.
    All,
}

/// What has changed since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct ChangedKeys {
    wanted: bool,
    keys: Vec<ChangedKey>,
}

impl ChangedKeys {
    /// Begins or ends to keep what changes.
    pub(crate) fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
        if !wanted {
            self.keys = Vec::new();
        }
    }

    /// A key has changed. What changes again before anybody has asked is told once.
    #[inline]
    pub(crate) fn note(&mut self, key: &[u8]) {
        if self.wanted && !matches!(self.keys.last(), Some(ChangedKey::One(last)) if **last == *key) {
            self.keys.push(ChangedKey::One(Box::from(key)));
        }
    }

    /// All keys of a database have gone.
    pub(crate) fn note_all(&mut self) {
        if self.wanted {
            self.keys.push(ChangedKey::All);
        }
    }

    /// What has changed, in order; nothing of it is told again.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<ChangedKey> {
        std::mem::take(&mut self.keys)
    }
}
