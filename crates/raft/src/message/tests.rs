use super::{AppendResult, Body, Message, VoteAnswer};
use alloc::vec;
use alloc::vec::Vec;
use base::codec::{Decode, Encode};
use base::log::{ConfigStep, Transition};
use base::{ConfigChange, Entry, Index, Membership, Payload, ReplicaId, Term, Time};
use bytes::Bytes;
use proptest::prelude::*;

fn replica() -> impl Strategy<Value = ReplicaId> {
    (0u32..6, 0u32..3).prop_map(|(node, generation)| ReplicaId::new(node, generation))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn payload() -> impl Strategy<Value = Payload> {
    let step = (0..4, replica()).prop_map(|(kind, id)| match kind {
        0 => ConfigStep::AddVoter(id),
        1 => ConfigStep::AddLearner(id),
        2 => ConfigStep::Remove(id),
        _ => ConfigStep::Update(id),
    });
    let transition =
        prop_oneof![Just(Transition::Auto), Just(Transition::JointImplicit), Just(Transition::JointExplicit)];
    let change = (transition, prop::collection::vec(step, 0..4), bytes())
        .prop_map(|(transition, steps, context)| ConfigChange { transition, steps, context });
    prop_oneof![Just(Payload::Empty), bytes().prop_map(Payload::Command), change.prop_map(Payload::Config)]
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<u64>(), payload()).prop_map(|(term, index, payload)| Entry {
        term: Term(term),
        index: Index(index),
        payload,
    })
}

fn membership() -> impl Strategy<Value = Membership> {
    let set = || prop::collection::btree_set(replica(), 0..4);
    (set(), set(), set(), set(), any::<bool>()).prop_map(
        |(voters, outgoing, learners, learners_next, auto_leave)| Membership {
            voters,
            outgoing,
            learners,
            learners_next,
            auto_leave,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let index = || any::<u64>().prop_map(Index);
    let term = || any::<u64>().prop_map(Term);
    let time = || any::<u64>().prop_map(Time::from_nanos);
    let answer =
        || prop_oneof![Just(VoteAnswer::Refused), Just(VoteAnswer::Granted), Just(VoteAnswer::GrantedIfAll)];
    let result = prop_oneof![
        index().prop_map(AppendResult::Matched),
        (index(), index(), term()).prop_map(|(rejected, hint_index, hint_term)| AppendResult::Rejected {
            rejected,
            hint_index,
            hint_term
        }),
    ];
    prop_oneof![
        (index(), term()).prop_map(|(last_index, last_term)| Body::PreVote { last_index, last_term }),
        answer().prop_map(|answer| Body::PreVoteReply { answer }),
        (index(), term(), any::<bool>()).prop_map(|(last_index, last_term, transfer)| Body::Vote {
            last_index,
            last_term,
            transfer
        }),
        answer().prop_map(|answer| Body::VoteReply { answer }),
        (index(), term(), index(), prop::collection::vec(entry(), 0..4), time()).prop_map(
            |(prev_index, prev_term, commit, entries, sent)| Body::Append {
                prev_index,
                prev_term,
                commit,
                entries,
                sent
            }
        ),
        (result, time()).prop_map(|(result, sent)| Body::AppendReply { result, sent }),
        (index(), time(), any::<u64>()).prop_map(|(commit, sent, round)| Body::Heartbeat {
            commit,
            sent,
            round
        }),
        (time(), any::<u64>()).prop_map(|(sent, round)| Body::HeartbeatReply { sent, round }),
        (index(), term(), membership(), bytes(), time()).prop_map(
            |(index, term, membership, manifest, sent)| Body::Snapshot {
                index,
                term,
                membership,
                manifest,
                sent
            }
        ),
        (index(), any::<bool>()).prop_map(|(index, installed)| Body::SnapshotReply { index, installed }),
        Just(Body::TimeoutNow),
        (any::<u64>(), index()).prop_map(|(nonce, last_index)| Body::TailQuery { nonce, last_index }),
        (any::<u64>(), index()).prop_map(|(nonce, last_index)| Body::TailAnswer { nonce, last_index }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (replica(), replica(), any::<u64>(), body()).prop_map(|(from, to, term, body)| Message {
        from,
        to,
        term: Term(term),
        body,
    })
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        prop_assert_eq!(Message::from_bytes(message.to_bytes()), Ok(message));
    }

    #[test]
    fn a_cut_message_is_an_error_and_never_a_shorter_message(message in message(), keep in 0.0f64..1.0) {
        let bytes = message.to_bytes();
        let keep = (bytes.len() as f64 * keep) as usize;
        prop_assert!(Message::from_bytes(bytes.slice(..keep)).is_err());
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let garbage = Bytes::from(bytes);
        if let Ok(message) = Message::from_bytes(garbage) {
            prop_assert_eq!(Message::from_bytes(message.to_bytes()), Ok(message));
        }
    }

    #[test]
    fn one_flipped_byte_never_panics(message in message(), place in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes: Vec<u8> = message.to_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        let _ = Message::from_bytes(Bytes::from(bytes)).map(|message| message.is_sane());
    }
}
