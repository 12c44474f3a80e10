//! What nodes say to each other. A frame is one or several messages; the driver frames and checks its bytes. Frames are
//! drawn in `docs/formats/wire.md` and pinned by the tests below.
//!
//! A message that can't be read is dropped with the rest of its frame and noted: whoever needs an answer asks again.

use crate::broadcast::{Findings, Question};
use crate::hub::Said;
use crate::waitlist::Waiting;
use base::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use base::{DatabaseId, GroupId, Index, NodeId, ReplicaId, SessionId, Term, UnixMillis};
use bytes::Bytes;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerMessage {
    /// Raft's own words, for one group.
    Raft {
        /// The group.
        group: GroupId,
        /// What its replicas say.
        message: raft::Message,
    },
    /// Said to every member at every heartbeat interval.
    Beat {
        /// The sender's wall clock, in milliseconds.
        wall_ms: u64,
        /// Whether it would keep a leadership that it was handed: its clock and its disk are well, and it isn't about to
        /// stop.
        willing: bool,
        /// What the sender leads, so that gateways without a copy know where to forward.
        leads: Vec<Lead>,
    },
    /// A gateway asks a group's leader.
    Request(Request),
    /// The answer to a request.
    Reply(Reply),
    /// Asks for a piece of a snapshot.
    ChunkRequest(ChunkName),
    /// A piece of a snapshot; `None` if the sender no longer has it.
    Chunk {
        /// Which piece.
        name: ChunkName,
        /// Its bytes.
        bytes: Option<Bytes>,
    },
    /// The receiver's replica takes part in this group no longer: a committed configuration without it is in force.
    Removed {
        /// The group.
        group: GroupId,
        /// Whose time has passed.
        replica: ReplicaId,
    },
    /// Asks a group's leader whether this replica still takes part, because meta wants it no longer. Answered by
    /// [`PeerMessage::Removed`] if it doesn't.
    StillMember {
        /// The group.
        group: GroupId,
        /// Who asks.
        replica: ReplicaId,
    },
    /// A gateway tells a group's leader, again and again, that a blocking command waits.
    Wait {
        /// The group.
        group: GroupId,
        /// The gateway's session.
        session: SessionId,
        /// Which of its commands.
        id: u64,
        /// For what.
        waiting: Waiting,
    },
    /// It waits no more.
    WaitNoMore {
        /// The group.
        group: GroupId,
        /// The gateway's session.
        session: SessionId,
        /// Which of its commands.
        id: u64,
    },
    /// A command that waits was offered something, and has found nothing; it waits on.
    WaitTried {
        /// The group.
        group: GroupId,
        /// The gateway's session.
        session: SessionId,
        /// Which of its commands.
        id: u64,
    },
    /// A node asks all others, or tells them something.
    Question {
        /// Names the question; 0 wants no answer.
        id: u64,
        /// What is asked.
        question: Question,
    },
    /// The answer.
    Findings {
        /// The question's name.
        id: u64,
        /// What was found.
        findings: Findings,
    },
    /// A leader tells a gateway that a waiting command may try again.
    Offer {
        /// The gateway's session.
        session: SessionId,
        /// Which of its commands.
        id: u64,
    },
    /// About transactions over several shards: asks a shard's leader, or answers.
    Transactional(Said),
}

/// A leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The group that is led.
    pub group: GroupId,
    /// In which term.
    pub term: Term,
}

/// One request in a gateway's lane to a group. Requests of a lane are in order; the leader refuses gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The group.
    pub group: GroupId,
    /// The gateway's session.
    pub session: SessionId,
    /// Names the request in its lane.
    pub id: u64,
    /// The lowest sequence of a write that the gateway still waits for.
    pub floor: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What a gateway asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A write that takes effect once.
    Write {
        /// Its place among the session's writes to this group, from 1.
        sequence: u64,
        /// An encoded operation.
        op: Bytes,
    },
    /// A read that sees the lane's earlier writes.
    Read {
        /// The sequence of the last write before it; 0 if none.
        after: u64,
        /// Whether it was sent before: then writes that were sent behind it may be done, and the gateway has seen to it
        /// that none of them is of its own client.
        again: bool,
        /// An encoded query.
        query: Bytes,
    },
}

/// An answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The group.
    pub group: GroupId,
    /// The gateway's session.
    pub session: SessionId,
    /// The request's name.
    pub id: u64,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was done; the reply as the client shall get it.
    Done(Bytes),
    /// Not done here: this node doesn't lead the group. Perhaps that one does.
    NotLeader(Option<NodeId>),
    /// Not done: something before it is missing. The lane must be sent again from its first unanswered request.
    Gap,
    /// Not done, and never will be: an error for the client.
    Refused(Bytes),
    /// It may have been done; its outcome is no longer known.
    Forgotten,
}

/// Names a piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkName {
    /// The group.
    pub group: GroupId,
    /// The last entry in the snapshot.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
    /// Which piece, from 0.
    pub number: u32,
}

impl Encode for PeerMessage {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            PeerMessage::Raft { group, message } => {
                to.u8(1);
                to.u32(group.0);
                message.encode(to);
            }
            PeerMessage::Beat { wall_ms, willing, leads } => {
                to.u8(2);
                to.u64(*wall_ms);
                to.bool(*willing);
                to.list(leads.iter());
            }
            PeerMessage::Request(request) => {
                to.u8(3);
                request.encode(to);
            }
            PeerMessage::Reply(reply) => {
                to.u8(4);
                reply.encode(to);
            }
            PeerMessage::ChunkRequest(name) => {
                to.u8(5);
                name.encode(to);
            }
            PeerMessage::Chunk { name, bytes } => {
                to.u8(6);
                name.encode(to);
                to.option(bytes.as_ref());
            }
            PeerMessage::Removed { group, replica } => {
                to.u8(7);
                to.u32(group.0);
                replica.encode(to);
            }
            PeerMessage::StillMember { group, replica } => {
                to.u8(8);
                to.u32(group.0);
                replica.encode(to);
            }
            PeerMessage::Wait { group, session, id, waiting } => {
                to.u8(9);
                to.u32(group.0);
                encode_session(*session, to);
                to.u64(*id);
                to.u64(waiting.since.0);
                to.u8(u8::from(waiting.exclusive) | u8::from(waiting.hears_loss) << 1);
                to.u32(waiting.keys.len() as u32);
                for (database, key) in &waiting.keys {
                    to.u64(database.0);
                    to.bytes(key);
                }
            }
            PeerMessage::WaitNoMore { group, session, id }
            | PeerMessage::WaitTried { group, session, id } => {
                to.u8(if matches!(self, PeerMessage::WaitNoMore { .. }) { 10 } else { 16 });
                to.u32(group.0);
                encode_session(*session, to);
                to.u64(*id);
            }
            PeerMessage::Offer { session, id } => {
                to.u8(11);
                encode_session(*session, to);
                to.u64(*id);
            }
            PeerMessage::Question { id, question } => {
                to.u8(12);
                to.u64(*id);
                question.encode(to);
            }
            PeerMessage::Transactional(Said::Request { to: group, request }) => {
                to.u8(14);
                to.u32(group.0);
                request.encode(to);
            }
            PeerMessage::Transactional(Said::Reply { to: party, reply }) => {
                to.u8(15);
                party.encode(to);
                reply.encode(to);
            }
            PeerMessage::Findings { id, findings } => {
                to.u8(13);
                to.u64(*id);
                findings.encode(to);
            }
        }
    }
}

impl Decode for PeerMessage {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match from.u8()? {
            1 => PeerMessage::Raft { group: GroupId(from.u32()?), message: raft::Message::decode(from)? },
            2 => PeerMessage::Beat { wall_ms: from.u64()?, willing: from.bool()?, leads: from.list()? },
            3 => PeerMessage::Request(Request::decode(from)?),
            4 => PeerMessage::Reply(Reply::decode(from)?),
            5 => PeerMessage::ChunkRequest(ChunkName::decode(from)?),
            6 => PeerMessage::Chunk { name: ChunkName::decode(from)?, bytes: from.option()? },
            7 => PeerMessage::Removed { group: GroupId(from.u32()?), replica: ReplicaId::decode(from)? },
            8 => PeerMessage::StillMember { group: GroupId(from.u32()?), replica: ReplicaId::decode(from)? },
            9 => PeerMessage::Wait {
                group: GroupId(from.u32()?),
                session: decode_session(from)?,
                id: from.u64()?,
                waiting: decode_waiting(from)?,
            },
            10 => PeerMessage::WaitNoMore {
                group: GroupId(from.u32()?),
                session: decode_session(from)?,
                id: from.u64()?,
            },
            11 => PeerMessage::Offer { session: decode_session(from)?, id: from.u64()? },
            12 => PeerMessage::Question { id: from.u64()?, question: Question::decode(from)? },
            13 => PeerMessage::Findings { id: from.u64()?, findings: Findings::decode(from)? },
            14 => {
                let to = GroupId(from.u32()?);
                PeerMessage::Transactional(Said::Request { to, request: twophase::Request::decode(from)? })
            }
            15 => {
                let to = twophase::Party::decode(from)?;
                PeerMessage::Transactional(Said::Reply { to, reply: twophase::Reply::decode(from)? })
            }
            16 => PeerMessage::WaitTried {
                group: GroupId(from.u32()?),
                session: decode_session(from)?,
                id: from.u64()?,
            },
            _ => return Err(DecodeError::Invalid("a message between nodes")),
        })
    }
}

impl Encode for Lead {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.group.0);
        to.u64(self.term.0);
    }
}

impl Decode for Lead {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { group: GroupId(from.u32()?), term: Term(from.u64()?) })
    }
}

fn encode_session(session: SessionId, to: &mut Encoder<'_>) {
    to.u32(session.node.0);
    to.u64(session.start);
}

fn decode_session(from: &mut Decoder) -> Result<SessionId, DecodeError> {
    Ok(SessionId { node: NodeId(from.u32()?), start: from.u64()? })
}

fn decode_waiting(from: &mut Decoder) -> Result<Waiting, DecodeError> {
    let (since, flags) = (UnixMillis(from.u64()?), from.u8()?);
    if flags > 3 {
        return Err(DecodeError::Invalid("how a command waits"));
    }
    let (exclusive, hears_loss) = (flags & 1 != 0, flags & 2 != 0);
    let mut keys = Vec::new();
    for _ in 0..from.u32()? {
        let database = DatabaseId(from.u64()?);
        // Out of the frame's memory, which would be pinned.
        keys.push((database, Bytes::copy_from_slice(&from.bytes()?)));
    }
    Ok(Waiting { keys, since, exclusive, hears_loss })
}

impl Encode for Request {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.group.0);
        encode_session(self.session, to);
        to.u64(self.id);
        to.u64(self.floor);
        match &self.ask {
            Ask::Write { sequence, op } => {
                to.u8(1);
                to.u64(*sequence);
                to.bytes(op);
            }
            Ask::Read { after, again, query } => {
                to.u8(2);
                to.u64(*after);
                to.bool(*again);
                to.bytes(query);
            }
        }
    }
}

impl Decode for Request {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (group, session) = (GroupId(from.u32()?), decode_session(from)?);
        let (id, floor) = (from.u64()?, from.u64()?);
        let ask = match from.u8()? {
            1 => Ask::Write { sequence: from.u64()?, op: from.bytes()? },
            2 => Ask::Read { after: from.u64()?, again: from.bool()?, query: from.bytes()? },
            _ => return Err(DecodeError::Invalid("a request")),
        };
        Ok(Self { group, session, id, floor, ask })
    }
}

impl Encode for Reply {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.group.0);
        encode_session(self.session, to);
        to.u64(self.id);
        match &self.answer {
            Answer::Done(reply) => {
                to.u8(1);
                to.bytes(reply);
            }
            Answer::NotLeader(hint) => {
                to.u8(2);
                to.u32(hint.unwrap_or(NodeId::NONE).0);
            }
            Answer::Gap => to.u8(3),
            Answer::Refused(error) => {
                to.u8(4);
                to.bytes(error);
            }
            Answer::Forgotten => to.u8(5),
        }
    }
}

impl Decode for Reply {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (group, session, id) = (GroupId(from.u32()?), decode_session(from)?, from.u64()?);
        let answer = match from.u8()? {
            1 => Answer::Done(from.bytes()?),
            2 => Answer::NotLeader(Some(NodeId(from.u32()?)).filter(|node| *node != NodeId::NONE)),
            3 => Answer::Gap,
            4 => Answer::Refused(from.bytes()?),
            5 => Answer::Forgotten,
            _ => return Err(DecodeError::Invalid("an answer")),
        };
        Ok(Self { group, session, id, answer })
    }
}

impl Encode for ChunkName {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.group.0);
        to.u64(self.index.0);
        to.u64(self.term.0);
        to.u32(self.number);
    }
}

impl Decode for ChunkName {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self {
            group: GroupId(from.u32()?),
            index: Index(from.u64()?),
            term: Term(from.u64()?),
            number: from.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subscriptions::Kind;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn name() -> ChunkName {
        ChunkName { group: GroupId(2), index: Index(9), term: Term(4), number: 1 }
    }

    fn examples() -> Vec<(PeerMessage, &'static str)> {
        let session = SessionId { node: NodeId(3), start: 5 };
        let request =
            |ask| PeerMessage::Request(Request { group: GroupId(2), session, id: 8, floor: 6, ask });
        let reply = |answer| PeerMessage::Reply(Reply { group: GroupId(2), session, id: 8, answer });
        let lane = "02000000 03000000 0500000000000000 0800000000000000";
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        vec![
            (
                PeerMessage::Raft {
                    group: GroupId(2),
                    message: raft::Message {
                        from: ReplicaId::new(1, 7),
                        to: ReplicaId::new(2, 8),
                        term: Term(4),
                        body: raft::Body::TimeoutNow,
                    },
                },
                "01 02000000 01000000 07000000 02000000 08000000 0400000000000000 0b",
            ),
            (
                PeerMessage::Beat {
                    wall_ms: 0x0102,
                    willing: true,
                    leads: vec![Lead { group: GroupId(2), term: Term(4) }],
                },
                "02 0201000000000000 01 01000000 02000000 0400000000000000",
            ),
            (
                request(Ask::Write { sequence: 7, op: Bytes::from_static(b"w") }),
                leak(format!("03 {lane} 0600000000000000 01 0700000000000000 01000000 77")),
            ),
            (
                request(Ask::Read { after: 7, again: true, query: Bytes::from_static(b"r") }),
                leak(format!("03 {lane} 0600000000000000 02 0700000000000000 01 01000000 72")),
            ),
            (reply(Answer::Done(Bytes::from_static(b"+"))), leak(format!("04 {lane} 01 01000000 2b"))),
            (reply(Answer::NotLeader(None)), leak(format!("04 {lane} 02 00000000"))),
            (reply(Answer::NotLeader(Some(NodeId(1)))), leak(format!("04 {lane} 02 01000000"))),
            (reply(Answer::Gap), leak(format!("04 {lane} 03"))),
            (reply(Answer::Refused(Bytes::from_static(b"-"))), leak(format!("04 {lane} 04 01000000 2d"))),
            (reply(Answer::Forgotten), leak(format!("04 {lane} 05"))),
            (PeerMessage::ChunkRequest(name()), "05 02000000 0900000000000000 0400000000000000 01000000"),
            (
                PeerMessage::Chunk { name: name(), bytes: Some(Bytes::from_static(b"c")) },
                "06 02000000 0900000000000000 0400000000000000 01000000 01 01000000 63",
            ),
            (
                PeerMessage::Chunk { name: name(), bytes: None },
                "06 02000000 0900000000000000 0400000000000000 01000000 00",
            ),
            (
                PeerMessage::Removed { group: GroupId(2), replica: ReplicaId::new(1, 7) },
                "07 02000000 01000000 07000000",
            ),
            (
                PeerMessage::StillMember { group: GroupId(2), replica: ReplicaId::new(1, 7) },
                "08 02000000 01000000 07000000",
            ),
            (
                PeerMessage::Wait {
                    group: GroupId(2),
                    session,
                    id: 8,
                    waiting: Waiting {
                        keys: vec![(DatabaseId(1), Bytes::from_static(b"k"))],
                        since: UnixMillis(7),
                        exclusive: true,
                        hears_loss: false,
                    },
                },
                "09 02000000 03000000 0500000000000000 0800000000000000 0700000000000000 01 01000000 0100000000000000 01000000 6b",
            ),
            (
                PeerMessage::Wait {
                    group: GroupId(2),
                    session,
                    id: 8,
                    waiting: Waiting {
                        keys: Vec::new(),
                        since: UnixMillis(7),
                        exclusive: true,
                        hears_loss: true,
                    },
                },
                "09 02000000 03000000 0500000000000000 0800000000000000 0700000000000000 03 00000000",
            ),
            (
                PeerMessage::WaitNoMore { group: GroupId(2), session, id: 8 },
                "0a 02000000 03000000 0500000000000000 0800000000000000",
            ),
            (
                PeerMessage::WaitTried { group: GroupId(2), session, id: 8 },
                "10 02000000 03000000 0500000000000000 0800000000000000",
            ),
            (PeerMessage::Offer { session, id: 8 }, "0b 03000000 0500000000000000 0800000000000000"),
            (
                PeerMessage::Question {
                    id: 8,
                    question: Question::Publish {
                        sharded: true,
                        channel: Bytes::from_static(b"c"),
                        message: Bytes::from_static(b"m"),
                    },
                },
                "0c 0800000000000000 01 01 01000000 63 01000000 6d",
            ),
            (
                PeerMessage::Question {
                    id: 8,
                    question: Question::Names {
                        kind: Kind::Pattern,
                        pattern: Some(Bytes::from_static(b"*")),
                    },
                },
                "0c 0800000000000000 02 02 01 01000000 2a",
            ),
            (
                PeerMessage::Question {
                    id: 8,
                    question: Question::Counts { kind: Kind::Channel, names: vec![Bytes::from_static(b"c")] },
                },
                "0c 0800000000000000 03 01 01000000 01000000 63",
            ),
            (
                PeerMessage::Findings {
                    id: 8,
                    findings: Findings { names: vec![Bytes::from_static(b"n")], counts: vec![7] },
                },
                "0d 0800000000000000 01000000 01000000 6e 01000000 0700000000000000",
            ),
            (
                PeerMessage::Transactional(Said::Request {
                    to: GroupId(2),
                    request: twophase::Request {
                        from: twophase::Party::Gateway(session),
                        body: twophase::RequestBody::AskFloor { wanted: twophase::Timestamp(6) },
                    },
                }),
                "0e 02000000 01 03000000 0500000000000000 05 0600000000000000",
            ),
            (
                PeerMessage::Transactional(Said::Reply {
                    to: twophase::Party::Shard(GroupId(3)),
                    reply: twophase::Reply {
                        from: GroupId(2),
                        body: twophase::ReplyBody::Floor { floor: twophase::Timestamp(6) },
                    },
                }),
                "0f 02 03000000 02000000 04 0600000000000000",
            ),
        ]
    }

    #[test]
    fn the_bytes_of_every_message_never_change() {
        for (message, golden) in examples() {
            assert_eq!(hex(&message.to_bytes()), golden.replace(' ', ""), "{message:?}");
        }
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        for (message, _) in examples() {
            assert_eq!(PeerMessage::from_bytes(message.to_bytes()), Ok(message));
        }
    }

    #[test]
    fn a_broken_frame_is_refused_and_never_panics() {
        let mut rng = base::Rng::new(2);
        for (message, _) in examples() {
            let bytes = message.to_bytes();
            for end in 0..bytes.len() {
                assert!(PeerMessage::from_bytes(bytes.slice(..end)).is_err(), "{message:?} cut at {end}");
            }
            for _ in 0..2_000 {
                let mut broken = bytes.to_vec();
                let at = rng.below(broken.len() as u64) as usize;
                broken[at] = rng.next_u64() as u8;
                let _ = PeerMessage::from_bytes(broken.into());
            }
        }
    }
}
