//! `maxmemory-clients`: what the clients of one node may hold together. Of more, the largest are hung up on, until it is enough; not those
//! that have said CLIENT NO-EVICT.

use crate::api::{ClientId, Level};
use crate::memory::Share;
use crate::node::Node;

impl Node {
    /// Hangs up on the largest clients if all of them hold too much.
    pub(crate) fn evict_clients(&mut self) {
        let limits = &self.hub.memory.limits;
        let limit = match limits.clients {
            Share::Bytes(bytes) => bytes,
            Share::Percent(percent) => limits.bytes / 100 * u64::from(percent),
        };
        if limit == 0 {
            return;
        }
        let open = self.hub.clients.iter().filter(|client| !client.closing && !client.no_evict);
        let mut clients: Vec<(u64, ClientId)> =
            open.map(|client| (client.memory_bytes() as u64, client.id)).collect();
        let mut total: u64 = clients.iter().map(|(bytes, _)| bytes).sum();
        clients.sort_unstable();
        while total > limit
            && let Some((bytes, id)) = clients.pop()
        {
            total -= bytes;
            let Some(slot) = self.hub.clients.slot(id) else { continue };
            self.hub.counters.clients_evicted += 1;
            self.hub.note(
                Level::Warn,
                format!("hanging up on a client that holds {bytes} bytes: all together hold more than {limit} (maxmemory-clients)"),
            );
            self.hub.clients.drop_output(slot);
            self.hang_up(slot);
        }
    }
}
