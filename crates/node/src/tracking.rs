//! Which of this node's clients keep values that they have read, and of which keys (CLIENT TRACKING). A client in the default mode is
//! told once of a key that it has read, in broadcast mode of every key under its prefixes.
//!
//! As in Redis a key is known by its name alone, whatever the database. A mark may outlive its use (its client has gone, or has heard
//! already), never the other way round.

use crate::api::ClientId;
use base::GroupId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// How one client wants to hear of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracker {
    /// Whose connection hears in its place.
    pub redirect: Option<ClientId>,
    /// Whether it hears of every key under its prefixes, read or not.
    pub broadcast: bool,
    /// Only what it asks for by CLIENT CACHING YES.
    pub opt_in: bool,
    /// All but what it excepts by CLIENT CACHING NO.
    pub opt_out: bool,
    /// Not of its own changes.
    pub no_loop: bool,
    /// CLIENT CACHING was said, about the next command.
    pub caching: bool,
    /// Its redirection has gone.
    pub broken: bool,
    /// In broadcast mode.
    pub prefixes: BTreeSet<Bytes>,
    /// Everything was taken from it and it has read nothing since.
    empty: bool,
}

/// The clients that keep values, and what they have read.
#[derive(Debug, Default)]
pub struct Tracking {
    clients: BTreeMap<ClientId, Tracker>,
    /// Who has read a key and not heard of it since.
    keys: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// How many (key, client) there are in `keys`.
    items: usize,
    /// By prefix, the clients in broadcast mode.
    prefixes: BTreeMap<Bytes, BTreeSet<ClientId>>,
    /// The key at which the next one that must make room is looked for.
    hand: Bytes,
    /// Of whose changes this node doesn't hear, or not in time.
    pub unheard: BTreeSet<GroupId>,
}

impl Tracker {
    /// Whether the client may keep what it reads.
    pub fn keeps(&self) -> bool {
        (!self.opt_in || self.caching) && !(self.opt_out && self.caching)
    }
}

impl Tracking {
    /// Whether nobody keeps anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many clients do.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many keys, how many marks on them, how many prefixes, for INFO.
    pub fn totals(&self) -> [usize; 3] {
        [self.keys.len(), self.items, self.prefixes.len()]
    }

    /// How a client wants to hear, if it does.
    pub fn of(&self, client: ClientId) -> Option<&Tracker> {
        self.clients.get(&client)
    }

    /// As [`Tracking::of`], to change; not its prefixes.
    pub fn of_mut(&mut self, client: ClientId) -> Option<&mut Tracker> {
        self.clients.get_mut(&client)
    }

    /// All of them.
    pub fn clients(&self) -> Vec<ClientId> {
        self.clients.keys().copied().collect()
    }

    /// A client begins to keep values, or does it differently. Prefixes add to those that it has.
    pub fn enable(&mut self, client: ClientId, mut tracker: Tracker) {
        for prefix in &tracker.prefixes {
            self.prefixes.entry(prefix.clone()).or_default().insert(client);
        }
        if let Some(before) = self.clients.remove(&client) {
            tracker.prefixes.extend(before.prefixes);
        }
        self.clients.insert(client, tracker);
    }

    /// A client keeps nothing any more, or has gone. Its marks on keys are passed over when their time comes.
    pub fn disable(&mut self, client: ClientId) {
        let Some(tracker) = self.clients.remove(&client) else { return };
        for prefix in tracker.prefixes {
            if let Some(clients) = self.prefixes.get_mut(&prefix) {
                clients.remove(&client);
                if clients.is_empty() {
                    self.prefixes.remove(&prefix);
                }
            }
        }
        if self.clients.is_empty() {
            self.clear();
        }
    }

    /// A client reads a key; this is said before the answer is known.
    pub fn mark(&mut self, client: ClientId, key: &[u8]) {
        if let Some(tracker) = self.clients.get_mut(&client) {
            tracker.empty = false;
        }
        let added = match self.keys.get_mut(key) {
            Some(clients) => clients.insert(client),
            None => self.keys.entry(Bytes::copy_from_slice(key)).or_default().insert(client),
        };
        self.items += usize::from(added);
    }

    /// A key has changed: takes the marks off it and answers whose they were.
    pub fn take(&mut self, key: &[u8]) -> BTreeSet<ClientId> {
        let clients = self.keys.remove(key).unwrap_or_default();
        self.items -= clients.len();
        clients
    }

    /// Everything may have changed: takes all marks off.
    pub fn clear(&mut self) {
        self.keys = BTreeMap::new();
        self.items = 0;
    }

    /// A client is told to throw everything away; false if it has nothing, because it was told already.
    pub fn empties(&mut self, client: ClientId) -> bool {
        let Some(tracker) = self.clients.get_mut(&client) else { return false };
        let had = tracker.broadcast || !tracker.empty;
        tracker.empty = true;
        had
    }

    /// Of more than `keys_max` keys, one that must make room; 0 is no limit. Its turn comes in the order of names.
    pub fn one_too_many(&mut self, keys_max: usize) -> Option<Bytes> {
        if keys_max == 0 || self.keys.len() <= keys_max {
            return None;
        }
        let behind = (Bound::Excluded(self.hand.clone()), Bound::Unbounded);
        let (key, _) = self.keys.range(behind).next().or_else(|| self.keys.first_key_value())?;
        self.hand = key.clone();
        Some(key.clone())
    }

    /// The prefixes under which a key lies, with their clients.
    pub fn prefixes_of(&self, key: &[u8]) -> impl Iterator<Item = (&Bytes, &BTreeSet<ClientId>)> {
        self.prefixes.iter().filter(move |(prefix, _)| key.starts_with(prefix))
    }

    /// Whether anybody is in broadcast mode.
    pub fn has_prefixes(&self) -> bool {
        !self.prefixes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientId = ClientId(1);
    const TWO: ClientId = ClientId(2);

    fn tracking() -> Tracking {
        let mut tracking = Tracking::default();
        tracking.enable(ONE, Tracker::default());
        tracking.enable(TWO, Tracker::default());
        tracking
    }

    #[test]
    fn a_mark_is_taken_once() {
        let mut tracking = tracking();
        tracking.mark(ONE, b"k");
        tracking.mark(ONE, b"k");
        tracking.mark(TWO, b"k");
        assert_eq!(tracking.totals(), [1, 2, 0]);
        assert_eq!(tracking.take(b"k"), BTreeSet::from([ONE, TWO]));
        assert!(tracking.take(b"k").is_empty());
        assert_eq!(tracking.totals(), [0, 0, 0]);
    }

    #[test]
    fn what_must_make_room_takes_turns() {
        let mut tracking = tracking();
        for key in ["a", "b", "c"] {
            tracking.mark(ONE, key.as_bytes());
        }
        assert_eq!(tracking.one_too_many(3), None);
        assert_eq!(tracking.one_too_many(0), None);
        let first = tracking.one_too_many(1).expect("there are three");
        tracking.take(&first);
        let second = tracking.one_too_many(1).expect("there are two");
        assert_ne!(first, second);
        tracking.take(&second);
        assert_eq!(tracking.one_too_many(1), None);
    }

    #[test]
    fn prefixes_add_up_and_go_with_their_client() {
        let mut tracking = tracking();
        for prefix in ["a", "b"] {
            let prefixes = BTreeSet::from([Bytes::from(prefix)]);
            tracking.enable(ONE, Tracker { broadcast: true, prefixes, ..Tracker::default() });
        }
        assert_eq!(tracking.of(ONE).map(|tracker| tracker.prefixes.len()), Some(2));
        assert_eq!(tracking.prefixes_of(b"abc").count(), 1);
        tracking.disable(ONE);
        assert!(!tracking.has_prefixes() && !tracking.is_empty());
    }

    #[test]
    fn whoever_has_thrown_everything_away_is_told_again_only_after_reading() {
        let mut tracking = tracking();
        assert!(tracking.empties(ONE));
        assert!(!tracking.empties(ONE));
        tracking.mark(ONE, b"k");
        assert!(tracking.empties(ONE));
    }
}
