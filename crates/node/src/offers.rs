//! The leader's side of blocking commands: what a batch has changed is offered to who waits for it.

use crate::hub::Hub;
use crate::machine::Machine;
use crate::op::{BatchReader, Effects, Invocation, Op};
use crate::replica::Replica;
use crate::waitlist::{KeyOf, WaitToken, Waiting};
use crate::wire::PeerMessage;
use base::DatabaseId;
use base::database::{Database, Kind};
use bytes::Bytes;
use command::spec::Group;
use std::collections::BTreeSet;

/// What a batch has done, as far as waiters care.
#[derive(Debug, Default)]
pub(crate) struct Stirred {
    pub(crate) keys: BTreeSet<KeyOf>,
    /// Databases of which every key may have changed.
    databases: BTreeSet<DatabaseId>,
    tries: Vec<(WaitToken, bool)>,
}

impl Stirred {
    /// What a command has changed.
    fn add(&mut self, invocation: &Invocation<'_>) {
        if invocation.spec.place == command::Place::Cluster {
            self.databases.insert(invocation.database);
        } else {
            self.keys.extend(keys_of(invocation));
        }
    }
}

impl Replica {
    /// A gateway says that a command of its waits.
    pub(crate) fn register(&mut self, hub: &mut Hub, token: WaitToken, waiting: Waiting) {
        if !self.serves() {
            return;
        }
        let keys = waiting.keys.clone();
        if self.waitlist.register(token, waiting, hub.now) {
            // Something may have come between its first try and this.
            self.offer_all(hub, keys, None);
        }
    }

    /// A command waits no more.
    pub(crate) fn release(&mut self, hub: &mut Hub, token: WaitToken) {
        let keys = self.waitlist.release(token);
        self.offer_all(hub, keys, None);
    }

    /// A try over several shards has found nothing here or elsewhere: others have their turn.
    pub(crate) fn wait_tried(&mut self, hub: &mut Hub, token: WaitToken) {
        let keys = self.waitlist.tried(token, false);
        self.offer_all(hub, keys, Some(token));
    }

    /// The link to a node broke: it will say anew who waits.
    pub(crate) fn release_node(&mut self, hub: &mut Hub, node: base::NodeId) {
        for token in self.waitlist.of_node(node) {
            self.release(hub, token);
        }
    }

    /// Looks after offers that led to nothing, and waiters that nobody speaks for any more.
    pub(crate) fn tend_waitlist(&mut self, hub: &mut Hub) {
        if self.waitlist.is_empty() {
            return;
        }
        for token in self.waitlist.silent(hub.now) {
            self.release(hub, token);
        }
        for token in self.waitlist.stale_offers(hub.now) {
            self.send_offer(hub, token);
        }
    }

    /// Whether a command that takes something from keys comes behind others that wait for them, and so has to wait itself.
    /// A key of a type that it can't take from is no reason to wait: it has to hear of that.
    pub(crate) fn comes_behind(&mut self, invocation: &Invocation<'_>) -> bool {
        if self.waitlist.is_empty()
            || !invocation.spec.flags.has(command::Flags::BLOCKING)
            || !invocation.spec.is_write()
        {
            return false;
        }
        let keys = keys_of(invocation);
        let wanted = match invocation.spec.group {
            Group::List => Kind::List,
            Group::SortedSet => Kind::SortedSet,
            _ => Kind::Stream,
        };
        keys.iter().any(|key| self.waitlist.is_awaited(key))
            && keys.iter().all(|key| kind_of(&mut self.machine, key).is_none_or(|kind| kind == wanted))
    }

    /// Reads off a batch that was applied which keys it has changed and who has tried to take what he waited for. `nothing`: the
    /// places of operations whose reply was that there is nothing.
    pub(crate) fn stirred(&self, batch: &[u8], nothing: &[usize]) -> Stirred {
        let mut stirred = Stirred::default();
        let Ok(mut reader) = BatchReader::new(batch) else { return stirred };
        let mut place = 0;
        while let Ok(Some((_, op))) = reader.next() {
            let got = !nothing.contains(&place);
            match op {
                Op::Command(invocation) if invocation.spec.is_write() && got => stirred.add(&invocation),
                Op::Offered { token, invocation } => {
                    if got {
                        stirred.keys.extend(keys_of(&invocation));
                    }
                    stirred.tries.push((token, got));
                }
                Op::Transaction(transaction) => {
                    let writes = transaction.commands.iter().filter(|invocation| invocation.spec.is_write());
                    writes.for_each(|invocation| stirred.add(invocation));
                    for mutation in transaction.effects.iter().flat_map(Effects::mutations) {
                        for (database, key) in mutation.places() {
                            stirred.keys.insert((database, Bytes::copy_from_slice(key)));
                        }
                    }
                }
                Op::Expire(keys) => {
                    let keys =
                        keys.into_iter().map(|(database, key)| (database, Bytes::copy_from_slice(key)));
                    stirred.keys.extend(keys);
                }
                Op::Evict(keys) => {
                    let keys = keys.iter().map(|gone| (gone.database, Bytes::copy_from_slice(gone.key)));
                    stirred.keys.extend(keys);
                }
                Op::Drop(database) => {
                    stirred.databases.insert(database);
                }
                _ => {}
            }
            place += 1;
        }
        stirred
    }

    /// Offers what a batch has changed.
    pub(crate) fn offer_stirred(&mut self, hub: &mut Hub, stirred: Stirred) {
        for (token, got) in stirred.tries {
            let keys = self.waitlist.tried(token, got);
            let behind = (!got).then_some(token);
            self.offer_all(hub, keys, behind);
        }
        let mut keys = stirred.keys;
        keys.extend(stirred.databases.into_iter().flat_map(|database| self.waitlist.keys_in(database)));
        self.offer_all(hub, keys, None);
    }

    fn offer_all(&mut self, hub: &mut Hub, keys: impl IntoIterator<Item = KeyOf>, behind: Option<WaitToken>) {
        for key in keys {
            if !self.waitlist.is_awaited_at_all(&key) {
                continue;
            }
            let is_there = kind_of(&mut self.machine, &key).is_some();
            for token in self.waitlist.offer(&key, is_there, behind, hub.now) {
                self.send_offer(hub, token);
            }
        }
    }

    fn send_offer(&self, hub: &mut Hub, token: WaitToken) {
        if token.session == hub.session {
            hub.offers.push(token.id);
        } else {
            hub.send(token.session.node, &PeerMessage::Offer { session: token.session, id: token.id });
        }
    }
}

/// What a key holds now, if anything.
fn kind_of(machine: &mut Machine, (database, key): &KeyOf) -> Option<Kind> {
    let time = machine.time;
    machine.keyspace_mut()?.database(*database, time).kind(key)
}

/// The keys of a command, each in the database in which it is.
fn keys_of(invocation: &Invocation<'_>) -> Vec<KeyOf> {
    let keys = invocation.spec.keys(&invocation.words);
    let databases = std::iter::once(invocation.database).chain(invocation.target);
    databases
        .flat_map(|database| keys.iter().map(move |key| (database, Bytes::copy_from_slice(key))))
        .collect()
}
