//! What comes next in a pipeline is known before it is carried out: the keys of its commands are looked up in steps, all keys one step
//! at a time, so that the processor waits for memory once and not for every key.

use crate::node::Node;
use keyspace::prefetch::Prefetch;

/// So many commands are looked at together. Their memory must still be in the nearest caches when they are carried out.
const TOGETHER_MAX: usize = 16;

/// A pipeline shorter than this isn't worth it.
const TOGETHER_MIN: usize = 4;

/// Shorter input can't hold so many commands: `*2`, `$3`, a name and a key.
const BYTES_MIN: usize = TOGETHER_MIN * 20;

impl Node {
    /// Prepares for the commands at the front of `data`. Answers how many of its bytes needn't be looked at again.
    #[inline]
    pub(crate) fn look_ahead(&mut self, slot: u32, data: &[u8]) -> usize {
        if data.len() < BYTES_MIN {
            return data.len();
        }
        self.bring_near(slot, data)
    }

    fn bring_near(&mut self, slot: u32, data: &[u8]) -> usize {
        let Some(index) = self.hub.clients.get(slot).map(|client| client.database) else { return data.len() };
        let Some(database) = self.database(index) else { return data.len() };
        let mut keys: [&[u8]; TOGETHER_MAX] = [&[]; TOGETHER_MAX];
        let (mut count, mut seen) = (0, 0);
        for (place, (key, end)) in keys.iter_mut().zip(resp::request::keys_ahead(data)) {
            *place = key;
            count += 1;
            seen = end;
        }
        if count < TOGETHER_MIN {
            return data.len();
        }
        let coming = keys.map(|key| {
            let group = self.view.slots.group_of_key(key);
            let copy = self.replicas.get(group.0 as usize).filter(|_| !key.is_empty())?;
            // Where another node leads, the key isn't looked up here now.
            let replica = copy.as_live().filter(|replica| replica.serves())?;
            replica.machine.keyspace()?.prefetch(database, key)
        });
        coming.into_iter().flatten().for_each(Prefetch::entries);
        coming.into_iter().flatten().for_each(Prefetch::record);
        seen
    }
}
