//! What a group agrees on. The words are those of the Raft paper (Ongaro and Ousterhout, "In Search of an
//! Understandable Consensus Algorithm", 2014) and of Ongaro's dissertation.

use crate::codec::{Decode, DecodeError, Decoder, Encode, Encoder};
use crate::ids::{NodeId, ReplicaId};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

/// A reign: at most one leader is elected in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// A place in a group's log, from 1; 0 is before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Term {
    /// The term after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place before this one; zero stays zero.
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// One agreed step of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The reign in which it was proposed.
    pub term: Term,
    /// Its place.
    pub index: Index,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a new leader's first entry, which commits what came before it (Raft, section 5.4.2).
    Empty,
    /// Something for the state machine; Raft doesn't look inside.
    Command(Bytes),
    /// A change of the group's membership.
    Config(ConfigChange),
}

/// What a replica must not forget over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<ReplicaId>,
    /// How far it knew the log to be committed: a hint that shortens a restart, never relied on.
    pub commit: Index,
}

/// Who takes part in a group, and how (Ongaro's dissertation, chapter 4; joint consensus as in section 4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Those whose majority decides.
    pub voters: BTreeSet<ReplicaId>,
    /// While joint: the old voters, whose majority is needed too. Empty otherwise.
    pub outgoing: BTreeSet<ReplicaId>,
    /// Those who get the log without a vote.
    pub learners: BTreeSet<ReplicaId>,
    /// Outgoing voters who become learners when the joint configuration is left.
    pub learners_next: BTreeSet<ReplicaId>,
    /// Whether the leader leaves the joint configuration by itself as soon as it is applied.
    pub auto_leave: bool,
}

impl Membership {
    /// A plain configuration of voters.
    pub fn of_voters(voters: impl IntoIterator<Item = ReplicaId>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether two majorities are needed at the moment.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `replica` has a vote, in either half.
    pub fn is_voter(&self, replica: ReplicaId) -> bool {
        self.voters.contains(&replica) || self.outgoing.contains(&replica)
    }

    /// Whether `replica` takes part at all.
    pub fn contains(&self, replica: ReplicaId) -> bool {
        self.is_voter(replica) || self.learners.contains(&replica)
    }

    /// Everybody, each once, in order.
    pub fn members(&self) -> BTreeSet<ReplicaId> {
        let mut all = self.voters.clone();
        all.extend(&self.outgoing);
        all.extend(&self.learners);
        all
    }

    /// The replica that lives on `node`, if one does; the newest, should there be several.
    pub fn on_node(&self, node: NodeId) -> Option<ReplicaId> {
        self.members().into_iter().rfind(|replica| replica.node == node)
    }
}

/// One or several changes of membership that take effect together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigChange {
    /// Whether to go through a joint configuration.
    pub transition: Transition,
    /// What changes; empty means: leave the joint configuration.
    pub steps: Vec<ConfigStep>,
    /// Carried along for whoever proposed it.
    pub context: Bytes,
}

/// How a change of membership takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transition {
    /// Joint only if more than one voter changes; left automatically.
    #[default]
    Auto,
    /// Joint, left automatically.
    JointImplicit,
    /// Joint, until an empty change is proposed.
    JointExplicit,
}

/// One change of membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigStep {
    /// Becomes a voter, whatever it was.
    AddVoter(ReplicaId),
    /// Becomes a learner, whatever it was.
    AddLearner(ReplicaId),
    /// Takes part no longer.
    Remove(ReplicaId),
    /// Changes nothing; kept so that a change can carry only its context.
    Update(ReplicaId),
}

impl Entry {
    /// About how many bytes it takes in memory, in a message and on disk; what byte bounds count.
    pub fn weight(&self) -> usize {
        24 + match &self.payload {
            Payload::Empty => 0,
            Payload::Command(bytes) => bytes.len(),
            Payload::Config(change) => change.context.len() + 16 * change.steps.len(),
        }
    }
}

impl Encode for ReplicaId {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u32(self.node.0);
        to.u32(self.generation);
    }
}

impl Decode for ReplicaId {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { node: NodeId(from.u32()?), generation: from.u32()? })
    }
}

impl Encode for HardState {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.term.0);
        to.option(self.vote.as_ref());
        to.u64(self.commit.0);
    }
}

impl Decode for HardState {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { term: Term(from.u64()?), vote: from.option()?, commit: Index(from.u64()?) })
    }
}

impl Encode for Membership {
    fn encode(&self, to: &mut Encoder<'_>) {
        for set in [&self.voters, &self.outgoing, &self.learners, &self.learners_next] {
            to.list(set.iter());
        }
        to.bool(self.auto_leave);
    }
}

impl Decode for Membership {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let mut set = || Ok(from.list::<ReplicaId>()?.into_iter().collect());
        let (voters, outgoing, learners, learners_next) = (set()?, set()?, set()?, set()?);
        Ok(Self { voters, outgoing, learners, learners_next, auto_leave: from.bool()? })
    }
}

impl Encode for ConfigChange {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u8(match self.transition {
            Transition::Auto => 0,
            Transition::JointImplicit => 1,
            Transition::JointExplicit => 2,
        });
        to.list(self.steps.iter());
        to.bytes(&self.context);
    }
}

impl Decode for ConfigChange {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let transition = match from.u8()? {
            0 => Transition::Auto,
            1 => Transition::JointImplicit,
            2 => Transition::JointExplicit,
            _ => return Err(DecodeError::Invalid("transition")),
        };
        Ok(Self { transition, steps: from.list()?, context: from.bytes()? })
    }
}

impl Encode for ConfigStep {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (kind, replica) = match self {
            ConfigStep::AddVoter(replica) => (0, replica),
            ConfigStep::AddLearner(replica) => (1, replica),
            ConfigStep::Remove(replica) => (2, replica),
            ConfigStep::Update(replica) => (3, replica),
        };
        to.u8(kind);
        replica.encode(to);
    }
}

impl Decode for ConfigStep {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let kind = from.u8()?;
        let replica = ReplicaId::decode(from)?;
        match kind {
            0 => Ok(ConfigStep::AddVoter(replica)),
            1 => Ok(ConfigStep::AddLearner(replica)),
            2 => Ok(ConfigStep::Remove(replica)),
            3 => Ok(ConfigStep::Update(replica)),
            _ => Err(DecodeError::Invalid("configuration step")),
        }
    }
}

impl Encode for Entry {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.u64(self.term.0);
        to.u64(self.index.0);
        match &self.payload {
            Payload::Empty => to.u8(0),
            Payload::Command(bytes) => {
                to.u8(1);
                to.bytes(bytes);
            }
            Payload::Config(change) => {
                to.u8(2);
                change.encode(to);
            }
        }
    }
}

impl Decode for Entry {
    fn decode(from: &mut Decoder) -> Result<Self, DecodeError> {
        let (term, index) = (Term(from.u64()?), Index(from.u64()?));
        let payload = match from.u8()? {
            0 => Payload::Empty,
            1 => Payload::Command(from.bytes()?),
            2 => Payload::Config(ConfigChange::decode(from)?),
            _ => return Err(DecodeError::Invalid("entry payload")),
        };
        Ok(Self { term, index, payload })
    }
}
