//! Becoming a member, as the members see it; and other changes of meta's state that somebody waits for.

use crate::api::{Effect, JoinReply, JoinRequest, Level, PeerAddress};
use crate::clients::Ticket;
use crate::hub::Waiter;
use crate::meta::{MetaCommand, MetaOutcome};
use crate::node::Node;
use crate::op::Op;
use base::GroupId;
use base::codec::{Decode, Encode};
use bytes::Bytes;

impl Node {
    pub(crate) fn asked_to_join(&mut self, ticket: u64, request: JoinRequest) {
        let command = MetaCommand::AddNode { request: request.clone() }.to_bytes();
        self.joins.insert(ticket, request);
        self.ensure_group(GroupId::META);
        self.write(GroupId::META, Waiter::Join(ticket), &Op::Meta(&command));
    }

    pub(crate) fn join_decided(&mut self, ticket: u64, outcome: Option<Bytes>) {
        let Some(join) = self.joins.remove(&ticket) else { return };
        let Some(outcome) = outcome.and_then(|bytes| MetaOutcome::from_bytes(bytes).ok()) else { return };
        let reply = match outcome {
            MetaOutcome::Joined { node } => {
                let Some(meta) = self.meta() else { return };
                let cluster = meta.cluster();
                let mut peers: Vec<PeerAddress> = meta
                    .active()
                    .filter(|(id, _)| *id != node)
                    .map(|(id, member)| PeerAddress { node: id, address: member.addresses.peer.clone() })
                    .collect();
                // The node that answers may not have applied its own joining yet; it is a member all the same.
                if peers.iter().all(|peer| peer.node != self.hub.me) {
                    let address = self.hub.config.addresses.peer.clone();
                    peers.push(PeerAddress { node: self.hub.me, address });
                }
                self.hub.note(Level::Info, format!("node {node} at {} has joined", join.addresses.peer));
                JoinReply::Welcome { cluster: cluster, node, peers }
            }
            MetaOutcome::Refused(why) => JoinReply::Refused(why),
            MetaOutcome::Done | MetaOutcome::Replaced { .. } => return,
        };
        self.hub.out.push(Effect::JoinReply { ticket, reply });
    }

    /// A client's change of meta's state was decided.
    pub(crate) fn meta_decided(&mut self, ticket: Ticket, reply: Result<Bytes, Bytes>) {
        let reply = reply.and_then(|bytes| match MetaOutcome::from_bytes(bytes) {
            Ok(MetaOutcome::Refused(why)) => Err(Bytes::from(format!("-ERR {why}\r\n"))),
            Ok(_) => Ok(Bytes::from_static(b"+OK\r\n")),
            Err(_) => Err(Bytes::from_static(b"-ERR a node of another release answered something unknown\r\n")),
        });
        let reply = reply.unwrap_or_else(|error| error);
        self.hub.clients.answer(ticket, &reply);
    }
}
