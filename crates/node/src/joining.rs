//! Becoming a member, as the members see it; and other changes of meta's state that somebody waits for.

use crate::api::{Effect, JoinReply, JoinRequest, Level, PeerAddress};
use crate::clients::Ticket;
use crate::hub::Waiter;
use crate::meta::{MetaCommand, MetaOutcome};
use crate::node::Node;
use crate::op::Op;
use base::codec::{Decode, DecodeError, Decoder, Encode};
use base::{GroupId, Index, Time};
use bytes::Bytes;

/// A change of meta that is made, and whose client hears so once this node has learnt of it, too: what the client asks
/// next here must see it.
#[derive(Debug)]
pub(crate) struct Decided {
    as_of: Index,
    since: Time,
    ticket: Ticket,
    reply: Bytes,
}

/// What meta answers: the outcome, and the entry that it came of.
fn outcome_of(reply: Bytes) -> Result<(MetaOutcome, Index), DecodeError> {
    let mut from = Decoder::new(reply);
    let outcome = MetaOutcome::decode(&mut from)?;
    Ok((outcome, Index(from.u64()?)))
}

impl Node {
    pub(crate) fn asked_to_join(&mut self, ticket: u64, request: JoinRequest) {
        let command = MetaCommand::AddNode { request: request.clone() }.to_bytes();
        self.joins.insert(ticket, request);
        self.ensure_group(GroupId::META);
        self.write(GroupId::META, Waiter::Join(ticket), &Op::Meta(&command));
    }

    pub(crate) fn join_decided(&mut self, ticket: u64, outcome: Option<Bytes>) {
        let Some(join) = self.joins.remove(&ticket) else { return };
        let Some((outcome, _)) = outcome.and_then(|bytes| outcome_of(bytes).ok()) else { return };
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
                JoinReply::Welcome { cluster, node, peers }
            }
            MetaOutcome::Refused(why) => JoinReply::Refused(why),
            MetaOutcome::Done | MetaOutcome::Replaced { .. } | MetaOutcome::Deleted(_) => return,
        };
        self.hub.out.push(Effect::JoinReply { ticket, reply });
    }

    /// A client's change of meta's state was decided.
    pub(crate) fn meta_decided(&mut self, ticket: Ticket, reply: Result<Bytes, Bytes>) {
        let kept = self.scripts.replies.iter().position(|(waiting, _)| *waiting == ticket);
        let kept = kept.map(|at| self.scripts.replies.swap_remove(at).1);
        let reply = match reply.map(outcome_of) {
            Ok(Ok((MetaOutcome::Refused(why), _))) => Bytes::from(format!("-ERR {why}\r\n")),
            Ok(Ok((outcome, as_of))) => {
                let reply = match outcome {
                    MetaOutcome::Deleted(count) => Bytes::from(format!(":{count}\r\n")),
                    _ => kept.unwrap_or_else(|| Bytes::from_static(b"+OK\r\n")),
                };
                self.decided.push(Decided { as_of, since: self.hub.now, ticket, reply });
                return;
            }
            Ok(Err(_)) => {
                Bytes::from_static(b"-ERR a node of another release answered something unknown\r\n")
            }
            Err(error) => error,
        };
        self.answer_meta(ticket, &reply);
    }

    /// Answers a client what became of its change.
    fn answer_meta(&mut self, ticket: Ticket, reply: &[u8]) {
        if let Some(at) = self.asked_of_meta.iter().position(|(asked, ..)| *asked == ticket) {
            let (_, spec, words) = self.asked_of_meta.swap_remove(at);
            let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
            self.note_slow_answer(ticket, ticket.since(), spec, &words);
        }
        self.hub.clients.answer(ticket, reply);
    }

    /// Answers for changes of meta that this node has learnt of; for others once nothing may wait any longer.
    pub(crate) fn answer_decided(&mut self) {
        if self.decided.is_empty() {
            return;
        }
        let (now, limit) = (self.hub.now, self.hub.config.request_timeout);
        let known = self.view_as_of();
        let answered: Vec<Decided> = self
            .decided
            .extract_if(.., |decided| decided.as_of <= known || now.since(decided.since) >= limit)
            .collect();
        for decided in answered {
            self.answer_meta(decided.ticket, &decided.reply);
        }
    }
}
