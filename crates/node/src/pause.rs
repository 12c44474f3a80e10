//! CLIENT PAUSE: the commands of this node's clients wait, all or only those that change something. It is this node's own: clients of
//! other nodes go on, and what they change is seen here. While clients are paused, the shards that this node leads let no key go.

use crate::api::ClientId;
use crate::node::Node;
use base::{Duration, Time};
use command::Spec;
use std::collections::BTreeSet;

/// Whether clients are paused, and who waits for the end of it.
#[derive(Debug, Default)]
pub struct Pause {
    /// Until when; `None`: they aren't.
    until: Option<Time>,
    /// Whether commands that only read are, too.
    all: bool,
    waiting: BTreeSet<ClientId>,
}

impl Pause {
    /// Whether clients are paused.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// How many clients wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether this client waits.
    pub fn waits(&self, client: ClientId) -> bool {
        self.waiting.contains(&client)
    }

    /// This client waits no more.
    pub fn forget(&mut self, client: ClientId) {
        self.waiting.remove(&client);
    }

    /// Pauses until then, or longer if it was said before; the stricter of both.
    fn begin(&mut self, until: Time, all: bool) {
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
        self.all |= all;
    }
}

/// Whether a command counts as one that changes something, as Redis counts them: what its replicas would hear of.
fn changes(spec: &Spec) -> bool {
    spec.is_write() || matches!(spec.name, "publish" | "spublish" | "pfcount")
}

impl Node {
    /// Whether a command waits because of CLIENT PAUSE; then it is read again when that is over.
    pub(crate) fn must_pause(&mut self, slot: u32, spec: &Spec) -> bool {
        let Some(client) = self.hub.clients.get(slot) else { return false };
        let changes = changes(spec) || (spec.name == "exec" && client.transaction.holds(changes));
        if self.pause.all || changes {
            client.held = true;
            let id = client.id;
            self.pause.waiting.insert(id);
            return true;
        }
        false
    }

    /// CLIENT PAUSE.
    pub(crate) fn pause_clients(&mut self, millis: u64, all: bool) {
        self.pause.begin(self.hub.now + Duration::from_millis(millis), all);
    }

    /// CLIENT UNPAUSE, or the time is over: who has waited goes on.
    pub(crate) fn end_pause(&mut self) {
        let now = self.hub.now;
        for id in std::mem::take(&mut self.pause).waiting {
            let Some(slot) = self.hub.clients.slot(id) else { continue };
            if let Some(client) = self.hub.clients.get(slot) {
                // It was made to wait; its command begins to take time now.
                client.arrived = now;
            }
            self.hub.clients.resume(slot);
        }
    }

    /// Ends a pause whose time is over.
    pub(crate) fn tend_pause(&mut self) {
        if self.pause.until.is_some_and(|until| until <= self.hub.now) {
            self.end_pause();
        }
    }
}
