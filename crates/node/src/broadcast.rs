//! What is said to all nodes at once, and answered by all: PUBLISH, and what PUBSUB asks. Every node carries a question out on its own
//! subscriptions; the gateway puts the answers together. A node that can't be reached, or doesn't answer in time, is left out: its clients
//! hear nothing of it either.
//!
//! Links keep order, so what one node publishes arrives everywhere in the order in which it was published.

use crate::api::ClientId;
use crate::clients::Ticket;
use crate::node::Node;
use crate::subscriptions::{Kind, Subscriptions};
use crate::wire::PeerMessage;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{Duration, NodeId, Time};
use bytes::Bytes;
use resp::{Protocol, Writer};
use std::collections::{BTreeMap, BTreeSet};

/// How long other nodes' answers are waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What all nodes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Tell whoever listens.
    Publish {
        /// Whether on a sharded channel.
        sharded: bool,
        /// The channel.
        channel: Bytes,
        /// What is said.
        message: Bytes,
    },
    /// Which names are listened to.
    Names {
        /// Channels, patterns or sharded channels.
        kind: Kind,
        /// Only those that match.
        pattern: Option<Bytes>,
    },
    /// How many listen to these channels.
    Counts {
        /// Channels or sharded channels.
        kind: Kind,
        /// Which.
        names: Vec<Bytes>,
    },
}

/// What one node answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Names, of a question for names.
    pub names: Vec<Bytes>,
    /// Numbers, one for each name that was asked about; of PUBLISH, how many have heard it.
    pub counts: Vec<u64>,
}

/// Questions under way.
#[derive(Debug, Default)]
pub struct Broadcasts {
    asked: BTreeMap<u64, Asked>,
    next: u64,
}

#[derive(Debug)]
struct Asked {
    ticket: Ticket,
    protocol: Protocol,
    question: Question,
    findings: Findings,
    waits_for: BTreeSet<NodeId>,
    since: Time,
}

impl Encode for Kind {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(match self {
            Kind::Channel => 1,
            Kind::Pattern => 2,
            Kind::Sharded => 3,
        });
    }
}

impl Decode for Kind {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        match from.u8()? {
            1 => Ok(Kind::Channel),
            2 => Ok(Kind::Pattern),
            3 => Ok(Kind::Sharded),
            _ => Err(DecodeError::Invalid("a kind of channel")),
        }
    }
}

impl Encode for Question {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Question::Publish { sharded, channel, message } => {
                to.u8(1);
                to.bool(*sharded);
                to.bytes(channel);
                to.bytes(message);
            }
            Question::Names { kind, pattern } => {
                to.u8(2);
                kind.encode(to);
                to.option(pattern.as_ref());
            }
            Question::Counts { kind, names } => {
                to.u8(3);
                kind.encode(to);
                to.list(names.iter());
            }
        }
    }
}

impl Decode for Question {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => Question::Publish { sharded: from.bool()?, channel: from.bytes()?, message: from.bytes()? },
            2 => Question::Names { kind: Kind::decode(from)?, pattern: from.option()? },
            3 => Question::Counts { kind: Kind::decode(from)?, names: from.list()? },
            _ => return Err(DecodeError::Invalid("a question to all nodes")),
        })
    }
}

impl Encode for Findings {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.list(self.names.iter());
        to.u32(self.counts.len() as u32);
        for count in &self.counts {
            to.u64(*count);
        }
    }
}

impl Decode for Findings {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let names = from.list()?;
        let mut counts = Vec::new();
        for _ in 0..from.u32()? {
            counts.push(from.u64()?);
        }
        Ok(Self { names, counts })
    }
}

impl Findings {
    /// Adds what another node has found.
    fn merge(&mut self, other: Findings) {
        self.names.extend(other.names);
        if self.counts.is_empty() {
            self.counts = other.counts;
        } else {
            for (count, more) in self.counts.iter_mut().zip(other.counts) {
                *count = count.saturating_add(more);
            }
        }
    }

    /// The reply to the client.
    fn reply(mut self, question: &Question, writer: &mut Writer<'_>) {
        self.names.sort_unstable();
        self.names.dedup();
        match question {
            Question::Publish { .. } => writer.count(self.counts.first().copied().unwrap_or(0)),
            Question::Names { kind: Kind::Pattern, .. } => writer.count(self.names.len() as u64),
            Question::Names { .. } => {
                writer.array(self.names.len());
                for name in &self.names {
                    writer.bulk(name);
                }
            }
            Question::Counts { names, .. } => {
                writer.array(names.len() * 2);
                for (name, count) in names.iter().zip(self.counts) {
                    writer.bulk(name);
                    writer.count(count);
                }
            }
        }
    }
}

/// What this node's own subscriptions answer, where nobody has to be told anything.
fn look(subscriptions: &Subscriptions, question: &Question) -> Findings {
    match question {
        Question::Publish { .. } => Findings::default(),
        Question::Names { kind, pattern } => {
            Findings { names: subscriptions.names(*kind, pattern.as_deref()), counts: Vec::new() }
        }
        Question::Counts { kind, names } => {
            let counts = names.iter().map(|name| subscriptions.listeners_of(*kind, name) as u64).collect();
            Findings { names: Vec::new(), counts }
        }
    }
}

impl Node {
    /// Asks all nodes on behalf of a client, who is answered when all have answered.
    pub(crate) fn ask_everybody(&mut self, slot: u32, question: Question) {
        let Some(client) = self.hub.clients.get(slot) else { return };
        let protocol = client.protocol;
        // What it says itself comes to it behind the answer.
        let holds = self.hub.clients.hold_pushes(slot);
        self.answer_of_everybody(slot, protocol, question);
        if holds {
            self.hub.clients.release_pushes(slot);
        }
    }

    fn answer_of_everybody(&mut self, slot: u32, protocol: Protocol, question: Question) {
        let findings = self.find(&question);
        let others: BTreeSet<NodeId> =
            self.hub.peers.iter().filter(|(_, peer)| peer.up).map(|(node, _)| *node).collect();
        if others.is_empty() {
            self.hub
                .clients
                .answer_now(slot, |out| findings.reply(&question, &mut Writer::new(out, protocol)));
            return;
        }
        let ticket = self.hub.clients.ticket(slot, None);
        self.broadcasts.next += 1;
        let id = self.broadcasts.next;
        for node in &others {
            self.hub.send(*node, &PeerMessage::Question { id, question: question.clone() });
        }
        let since = self.hub.now;
        self.broadcasts
            .asked
            .insert(id, Asked { ticket, protocol, question, findings, waits_for: others, since });
    }

    /// Tells all nodes something that nobody waits for the effect of.
    pub(crate) fn publish_everywhere(&mut self, sharded: bool, channel: Bytes, message: Bytes) {
        let question = Question::Publish { sharded, channel, message };
        self.find(&question);
        let others: Vec<NodeId> =
            self.hub.peers.iter().filter(|(_, peer)| peer.up).map(|(node, _)| *node).collect();
        for node in others {
            self.hub.send(node, &PeerMessage::Question { id: 0, question: question.clone() });
        }
    }

    /// Another node asks; `id` 0 wants no answer.
    pub(crate) fn asked_by(&mut self, node: NodeId, id: u64, question: &Question) {
        let findings = self.find(question);
        if id > 0 {
            self.hub.send(node, &PeerMessage::Findings { id, findings });
        }
    }

    /// Another node has answered.
    pub(crate) fn found_by(&mut self, node: NodeId, id: u64, findings: Findings) {
        let Some(asked) = self.broadcasts.asked.get_mut(&id) else { return };
        if asked.waits_for.remove(&node) {
            asked.findings.merge(findings);
        }
        if asked.waits_for.is_empty() {
            self.end_broadcast(id);
        }
    }

    /// Waits no longer for nodes that are gone or say nothing.
    pub(crate) fn tend_broadcasts(&mut self) {
        let now = self.hub.now;
        let peers = &self.hub.peers;
        for asked in self.broadcasts.asked.values_mut() {
            asked.waits_for.retain(|node| peers.get(node).is_some_and(|peer| peer.up));
        }
        let over = self
            .broadcasts
            .asked
            .iter()
            .filter(|(_, asked)| asked.waits_for.is_empty() || now.since(asked.since) > PATIENCE);
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.end_broadcast(id);
        }
    }

    fn end_broadcast(&mut self, id: u64) {
        let Some(asked) = self.broadcasts.asked.remove(&id) else { return };
        let mut reply = Vec::new();
        asked.findings.reply(&asked.question, &mut Writer::new(&mut reply, asked.protocol));
        self.hub.clients.answer(asked.ticket, &reply);
    }

    /// Carries a question out at this node.
    fn find(&mut self, question: &Question) -> Findings {
        let Question::Publish { sharded, channel, message } = question else {
            return look(&self.subscriptions, question);
        };
        let hearers = self.subscriptions.hearers(*sharded, channel);
        let kind = if *sharded { "smessage" } else { "message" };
        for (client, pattern) in &hearers {
            self.tell_subscriber(*client, kind, pattern.as_deref(), channel, message);
        }
        Findings { names: Vec::new(), counts: vec![hearers.len() as u64] }
    }

    fn tell_subscriber(
        &mut self,
        id: ClientId,
        kind: &str,
        pattern: Option<&[u8]>,
        channel: &[u8],
        message: &[u8],
    ) {
        let Some(slot) = self.hub.clients.slot(id) else { return };
        let Some(client) = self.hub.clients.get(slot) else { return };
        let protocol = client.protocol;
        self.hub.clients.push_behind_kept(slot, |out| {
            let mut writer = Writer::new(out, protocol);
            match pattern {
                Some(pattern) => {
                    writer.push(4);
                    writer.text("pmessage");
                    writer.bulk(pattern);
                }
                None => {
                    writer.push(3);
                    writer.text(kind);
                }
            }
            writer.bulk(channel);
            writer.bulk(message);
        });
    }
}
