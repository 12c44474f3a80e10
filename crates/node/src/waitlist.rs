//! Who waits for keys of a group, at its leader: clients of blocking commands, through any gateway. All of it is memory: a gateway says again
//! who waits, every so often and to every new leader, so a leader that is lost takes nobody's place with it.
//!
//! When a key has changed, its first waiter gets an *offer*: to try its command again. The try is an ordinary operation of the group, done
//! once whatever happens; with it applied, the next waiter has its turn. Who only reads takes nothing from others, and is offered to at once.
//!
//! The order is that in which clients began to wait, by their gateways' clocks.

use base::{DatabaseId, Duration, SessionId, Time, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

/// An offer that led to nothing for so long is made again: it may have been lost.
const OFFER_PATIENCE: Duration = Duration::from_millis(300);
/// Who wasn't heard of for so long waits no more: its gateway is gone.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// One waiting command: a gateway's session and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitToken {
    /// The gateway's session.
    pub session: SessionId,
    /// Which of its commands.
    pub id: u64,
}

/// A key in a database.
pub use crate::locking::KeyOf;

/// Where a waiter stands: who began to wait earlier comes first.
type Turn = (UnixMillis, WaitToken);

/// What a gateway says of a waiting command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The keys that it waits for.
    pub keys: Vec<KeyOf>,
    /// When it began to, by the gateway's clock.
    pub since: UnixMillis,
    /// Whether it takes something away, so that one at a time is offered to.
    pub exclusive: bool,
    /// Whether it has to hear that a key is no more, since it waits for what was there (XREADGROUP).
    pub hears_loss: bool,
}

#[derive(Debug)]
struct Known {
    waiting: Waiting,
    heard: Time,
    offered: Option<Time>,
}

/// The waiters of one group.
#[derive(Debug, Default)]
pub struct Waitlist {
    known: BTreeMap<WaitToken, Known>,
    by_key: BTreeMap<KeyOf, BTreeSet<Turn>>,
}

impl Waitlist {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether somebody waits for this key to take something from it, so that who comes now comes later.
    pub fn is_awaited(&self, key: &KeyOf) -> bool {
        let Some(turns) = self.by_key.get(key) else { return false };
        turns.iter().any(|(_, token)| self.known.get(token).is_some_and(|known| known.waiting.exclusive))
    }

    /// Whether somebody waits for this key.
    pub fn is_awaited_at_all(&self, key: &KeyOf) -> bool {
        self.by_key.contains_key(key)
    }

    /// A gateway says, perhaps again, that a command waits. Whether that is news.
    pub fn register(&mut self, token: WaitToken, waiting: Waiting, now: Time) -> bool {
        if let Some(known) = self.known.get_mut(&token) {
            known.heard = now;
            return false;
        }
        for key in &waiting.keys {
            self.by_key.entry(key.clone()).or_default().insert((waiting.since, token));
        }
        self.known.insert(token, Known { waiting, heard: now, offered: None });
        true
    }

    /// A command waits no more; the keys that it waited for, if it was known.
    pub fn release(&mut self, token: WaitToken) -> Vec<KeyOf> {
        let Some(known) = self.known.remove(&token) else { return Vec::new() };
        for key in &known.waiting.keys {
            if let Some(turns) = self.by_key.get_mut(key) {
                turns.remove(&(known.waiting.since, token));
                if turns.is_empty() {
                    self.by_key.remove(key);
                }
            }
        }
        known.waiting.keys
    }

    /// Whom to offer `key` to, which has changed: everybody who only reads, and the first who takes, unless somebody is trying already.
    /// `behind`: only those whose turn comes after that one's. If it holds nothing (`is_there`), only those who have to hear of that.
    pub fn offer(
        &mut self,
        key: &KeyOf,
        is_there: bool,
        behind: Option<WaitToken>,
        now: Time,
    ) -> Vec<WaitToken> {
        let Some(turns) = self.by_key.get(key) else { return Vec::new() };
        let start = behind.and_then(|token| Some((self.known.get(&token)?.waiting.since, token)));
        let mut chosen = Vec::new();
        let mut taken = false;
        for turn in turns {
            let Some(known) = self.known.get_mut(&turn.1) else { continue };
            if !is_there && !known.waiting.hears_loss {
                continue;
            }
            if !known.waiting.exclusive {
                chosen.push(turn.1);
            } else if !taken && start.is_none_or(|start| *turn > start) {
                taken = true;
                if known.offered.is_none() {
                    known.offered = Some(now);
                    chosen.push(turn.1);
                }
            }
        }
        chosen
    }

    /// The keys of a database that somebody waits for.
    pub fn keys_in(&self, database: DatabaseId) -> Vec<KeyOf> {
        self.by_key.keys().filter(|(of, _)| *of == database).cloned().collect()
    }

    /// A try is over. Answers the keys that the one who tried waits for, if it goes on waiting.
    pub fn tried(&mut self, token: WaitToken, got: bool) -> Vec<KeyOf> {
        if got {
            return self.release(token);
        }
        let Some(known) = self.known.get_mut(&token) else { return Vec::new() };
        known.offered = None;
        known.waiting.keys.clone()
    }

    /// Offers that may have been lost, to be made again.
    pub fn stale_offers(&mut self, now: Time) -> Vec<WaitToken> {
        let mut stale = Vec::new();
        for (token, known) in &mut self.known {
            if let Some(at) = &mut known.offered
                && now.since(*at) > OFFER_PATIENCE
            {
                *at = now;
                stale.push(*token);
            }
        }
        stale
    }

    /// Waiters whose gateways say nothing any more, or whose session is over.
    pub fn silent(&self, now: Time) -> Vec<WaitToken> {
        let silent = self.known.iter().filter(|(_, known)| now.since(known.heard) > SILENCE_MAX);
        silent.map(|(token, _)| *token).collect()
    }

    /// Waiters of a node, whose link broke.
    pub fn of_node(&self, node: base::NodeId) -> Vec<WaitToken> {
        self.known.keys().filter(|token| token.session.node == node).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{DatabaseId, NodeId};
    use bytes::Bytes;

    fn token(id: u64) -> WaitToken {
        WaitToken { session: SessionId { node: NodeId(id as u32), start: 1 }, id }
    }

    fn key(name: &'static str) -> KeyOf {
        (DatabaseId(1), Bytes::from_static(name.as_bytes()))
    }

    fn waiting(since: u64, keys: &[&'static str]) -> Waiting {
        Waiting {
            keys: keys.iter().map(|name| key(name)).collect(),
            since: UnixMillis(since),
            exclusive: true,
            hears_loss: false,
        }
    }

    const NOW: Time = Time::ZERO;

    #[test]
    fn who_began_to_wait_first_is_offered_to_first_whoever_registered_first() {
        let mut list = Waitlist::default();
        assert!(list.register(token(1), waiting(20, &["k"]), NOW));
        assert!(list.register(token(2), waiting(10, &["k"]), NOW));
        assert!(!list.register(token(2), waiting(30, &["k"]), NOW), "saying it again keeps the place");
        assert_eq!(list.offer(&key("k"), true, None, NOW), [token(2)]);
        assert_eq!(list.offer(&key("k"), true, None, NOW), [], "one at a time");
        assert_eq!(list.tried(token(2), true), [key("k")]);
        assert_eq!(list.offer(&key("k"), true, None, NOW), [token(1)]);
    }

    #[test]
    fn who_could_not_take_it_keeps_its_place_and_the_next_has_a_turn() {
        let mut list = Waitlist::default();
        list.register(token(1), waiting(1, &["k", "l"]), NOW);
        list.register(token(2), waiting(2, &["k"]), NOW);
        assert_eq!(list.offer(&key("k"), true, None, NOW), [token(1)]);
        assert_eq!(list.tried(token(1), false), [key("k"), key("l")]);
        assert_eq!(list.offer(&key("k"), true, Some(token(1)), NOW), [token(2)]);
        list.tried(token(2), true);
        assert_eq!(list.offer(&key("k"), true, None, NOW), [token(1)]);
    }

    #[test]
    fn readers_are_all_offered_to() {
        let mut list = Waitlist::default();
        for id in 1..=3 {
            list.register(token(id), Waiting { exclusive: id == 2, ..waiting(id, &["s"]) }, NOW);
        }
        assert_eq!(list.offer(&key("s"), true, None, NOW), [token(1), token(2), token(3)]);
        assert_eq!(list.offer(&key("s"), true, None, NOW), [token(1), token(3)]);
        assert!(list.is_awaited(&key("s")) && !list.is_awaited(&key("t")));
    }

    #[test]
    fn only_who_waits_for_what_was_there_hears_that_it_is_no_more() {
        let mut list = Waitlist::default();
        for id in 1..=3 {
            list.register(token(id), Waiting { hears_loss: id > 1, ..waiting(id, &["s"]) }, NOW);
        }
        assert_eq!(list.keys_in(DatabaseId(1)), [key("s")]);
        assert_eq!(list.keys_in(DatabaseId(2)), []);
        assert_eq!(list.offer(&key("s"), false, None, NOW), [token(2)]);
        list.tried(token(2), true);
        assert_eq!(list.offer(&key("s"), false, None, NOW), [token(3)]);
        assert_eq!(list.offer(&key("s"), true, None, NOW), [token(1)]);
    }

    #[test]
    fn lost_offers_are_made_again_and_the_silent_are_forgotten() {
        let mut list = Waitlist::default();
        list.register(token(1), waiting(1, &["k"]), NOW);
        list.offer(&key("k"), true, None, NOW);
        assert_eq!(list.stale_offers(NOW + Duration::from_millis(100)), []);
        assert_eq!(list.stale_offers(NOW + Duration::from_millis(400)), [token(1)]);
        assert_eq!(list.silent(NOW + Duration::from_secs(2)), []);
        assert_eq!(list.silent(NOW + Duration::from_secs(4)), [token(1)]);
        assert_eq!(list.of_node(NodeId(1)), [token(1)]);
        assert_eq!(list.release(token(1)), [key("k")]);
        assert!(list.is_empty() && list.offer(&key("k"), true, None, NOW).is_empty());
    }
}
