//! Who listens to what at this node: channels, patterns of channels, and sharded channels, each with its clients.

use crate::api::ClientId;
use bytes::Bytes;
use command::glob;
use std::collections::{BTreeMap, BTreeSet};

/// What can be listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Channels by name: SUBSCRIBE.
    Channel,
    /// Channels by pattern: PSUBSCRIBE.
    Pattern,
    /// Sharded channels: SSUBSCRIBE.
    Sharded,
}

type Listeners = BTreeMap<Bytes, BTreeSet<ClientId>>;

/// The subscriptions of this node's clients.
#[derive(Debug, Default)]
pub struct Subscriptions {
    channels: Listeners,
    patterns: Listeners,
    sharded: Listeners,
    by_client: BTreeMap<ClientId, Own>,
}

/// What one client listens to.
#[derive(Debug, Default)]
struct Own {
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
    sharded: BTreeSet<Bytes>,
}

impl Own {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Sharded => &mut self.sharded,
        }
    }

    fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty() && self.sharded.is_empty()
    }
}

impl Subscriptions {
    fn listeners(&mut self, kind: Kind) -> &mut Listeners {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Sharded => &mut self.sharded,
        }
    }

    /// A client listens to one more; answers to how many it does then, as its replies count them: channels and patterns together.
    pub fn add(&mut self, client: ClientId, kind: Kind, name: &[u8]) -> usize {
        let own = self.by_client.entry(client).or_default();
        if !own.of(kind).contains(name) {
            let name = Bytes::copy_from_slice(name);
            own.of(kind).insert(name.clone());
            self.listeners(kind).entry(name).or_default().insert(client);
        }
        self.count(client, kind)
    }

    /// A client listens to one less; answers to how many it does then.
    pub fn remove(&mut self, client: ClientId, kind: Kind, name: &[u8]) -> usize {
        if let Some(own) = self.by_client.get_mut(&client) {
            own.of(kind).remove(name);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
        }
        let listeners = self.listeners(kind);
        if let Some(clients) = listeners.get_mut(name) {
            clients.remove(&client);
            if clients.is_empty() {
                listeners.remove(name);
            }
        }
        self.count(client, kind)
    }

    /// A client has gone, or starts anew.
    pub fn forget(&mut self, client: ClientId) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Sharded] {
            for name in self.of(client, kind) {
                self.remove(client, kind, &name);
            }
        }
    }

    /// What a client listens to.
    pub fn of(&self, client: ClientId, kind: Kind) -> Vec<Bytes> {
        let Some(own) = self.by_client.get(&client) else { return Vec::new() };
        let names = match kind {
            Kind::Channel => &own.channels,
            Kind::Pattern => &own.patterns,
            Kind::Sharded => &own.sharded,
        };
        names.iter().cloned().collect()
    }

    /// To how many a client listens: channels, patterns, sharded channels.
    pub fn counts(&self, client: ClientId) -> [usize; 3] {
        let Some(own) = self.by_client.get(&client) else { return [0; 3] };
        [own.channels.len(), own.patterns.len(), own.sharded.len()]
    }

    /// Whether a client listens to anything.
    #[inline]
    pub fn listens(&self, client: ClientId) -> bool {
        !self.by_client.is_empty() && self.by_client.contains_key(&client)
    }

    fn count(&self, client: ClientId, kind: Kind) -> usize {
        let [channels, patterns, sharded] = self.counts(client);
        if kind == Kind::Sharded { sharded } else { channels + patterns }
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// The names that somebody listens to, those that match.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let listeners = match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Sharded => &self.sharded,
        };
        let matching =
            listeners.keys().filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name)));
        matching.cloned().collect()
    }

    /// How many clients listen to a channel by its name.
    pub fn listeners_of(&self, kind: Kind, name: &[u8]) -> usize {
        let listeners = if kind == Kind::Sharded { &self.sharded } else { &self.channels };
        listeners.get(name).map_or(0, BTreeSet::len)
    }

    /// Who hears what is said on a channel, and by which pattern, where it is one.
    pub fn hearers(&self, sharded: bool, channel: &[u8]) -> Vec<(ClientId, Option<Bytes>)> {
        let by_name = if sharded { &self.sharded } else { &self.channels };
        let mut hearers: Vec<(ClientId, Option<Bytes>)> =
            by_name.get(channel).into_iter().flatten().map(|client| (*client, None)).collect();
        if !sharded {
            for (pattern, clients) in &self.patterns {
                if glob::matches(pattern, channel) {
                    hearers.extend(clients.iter().map(|client| (*client, Some(pattern.clone()))));
                }
            }
        }
        hearers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientId = ClientId(1);
    const TWO: ClientId = ClientId(2);

    #[test]
    fn channels_and_patterns_are_counted_together_and_sharded_ones_apart() {
        let mut all = Subscriptions::default();
        assert_eq!(all.add(ONE, Kind::Channel, b"a"), 1);
        assert_eq!(all.add(ONE, Kind::Channel, b"a"), 1);
        assert_eq!(all.add(ONE, Kind::Pattern, b"a*"), 2);
        assert_eq!(all.add(ONE, Kind::Sharded, b"a"), 1);
        assert_eq!(all.remove(ONE, Kind::Channel, b"missing"), 2);
        assert_eq!(all.remove(ONE, Kind::Channel, b"a"), 1);
        assert!(all.listens(ONE) && !all.listens(TWO));
    }

    #[test]
    fn who_listens_by_name_and_by_pattern_hears_twice() {
        let mut all = Subscriptions::default();
        all.add(ONE, Kind::Channel, b"news");
        all.add(ONE, Kind::Pattern, b"n*");
        all.add(TWO, Kind::Sharded, b"news");
        assert_eq!(all.hearers(false, b"news"), [(ONE, None), (ONE, Some(Bytes::from_static(b"n*")))]);
        assert_eq!(all.hearers(true, b"news"), [(TWO, None)]);
        all.forget(ONE);
        all.forget(TWO);
        assert!(all.is_empty() && all.hearers(false, b"news").is_empty());
        assert!(all.names(Kind::Channel, None).is_empty());
    }
}
