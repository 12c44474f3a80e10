//! CLUSTER: slots, shards and nodes, as this node knows them; the keys of a slot come from its shard's leader.

use super::Answered;
use crate::node::Node;
use crate::views::cluster::ClusterCommand;
use resp::Writer;

impl Node {
    pub(super) fn about_cluster(&mut self, slot: u32, words: &[&[u8]]) -> Answered {
        let command = ClusterCommand::parse(&words[1..])?;
        match command {
            ClusterCommand::CountKeysInSlot(of) => self.scatter_slot(slot, of, None),
            ClusterCommand::GetKeysInSlot { slot: of, count } => {
                self.scatter_slot(slot, of, Some(usize::try_from(count).unwrap_or(usize::MAX)));
            }
            command => {
                let Some(client) = self.hub.clients.get(slot) else { return Ok(()) };
                let protocol = client.protocol;
                let overview = self.overview(self.hub.now);
                let mut answer = Vec::new();
                command.answer(&overview, &mut Writer::new(&mut answer, protocol));
                self.reply(slot, |reply| reply.raw(&answer));
            }
        }
        Ok(())
    }
}
