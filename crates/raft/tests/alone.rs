//! One replica alone, message by message: what it answers, what it asks its disk for, and what it must not do. And
//! garbage: whatever peers send, it never panics and its own state stays sound.

mod harness;

use base::log::{ConfigStep, Transition};
use base::{
    ConfigChange, Core, Entry, HardState, Index, Membership, Outbox, Payload, ReplicaId, Rng, Term, Time,
};
use bytes::Bytes;
use harness::{ms, replica};
use raft::{AppendResult, Body, Config, Effect, Input, Message, Raft, Recovered, VoteAnswer};

const QUIET: u64 = 400;

/// A replica and the clock that it is given.
struct Alone {
    raft: Raft,
    now: Time,
    sent: Vec<Message>,
    persisted: Vec<(u64, Option<HardState>, Vec<Entry>)>,
}

impl Alone {
    fn new(recovered: Recovered, adjust: impl Fn(&mut Config)) -> Self {
        let mut config = Config::new(replica(1), 1);
        adjust(&mut config);
        let now = Time::from_millis(1_000);
        Self { raft: Raft::new(config, recovered, now), now, sent: Vec::new(), persisted: Vec::new() }
    }

    /// A voter of three that has waited for as long as an old promise could bind it.
    fn voter(entries: &[(u64, u64)], hard_state: HardState, adjust: impl Fn(&mut Config)) -> Self {
        let members = Membership::of_voters([1, 2, 3].map(replica));
        let entries = entries.iter().map(|(term, index)| entry(*term, *index)).collect();
        let recovered = Recovered { entries, hard_state, ..Recovered::bootstrap(members) };
        let mut alone = Self::new(recovered, |config| {
            config.election_timeout = ms(QUIET);
            adjust(config);
        });
        alone.now = alone.now + ms(QUIET - 1);
        alone.flush();
        alone.now = alone.now + ms(1);
        alone
    }

    fn input(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.raft.step(self.now, input, &mut out);
        self.take(&mut out);
    }

    fn flush(&mut self) {
        let mut out = Outbox::new();
        self.raft.flush(self.now, &mut out);
        self.take(&mut out);
    }

    fn take(&mut self, out: &mut Outbox<Effect>) {
        self.raft.check();
        for effect in out.drain() {
            match effect {
                Effect::Send(message) => self.sent.push(message),
                Effect::Persist { token, hard_state, entries } => {
                    self.persisted.push((token, hard_state, entries));
                }
                _ => {}
            }
        }
    }

    fn receive(&mut self, from: u32, term: u64, body: Body) {
        self.receive_from(replica(from), term, body);
    }

    fn receive_from(&mut self, from: ReplicaId, term: u64, body: Body) {
        self.input(Input::Message(Message { from, to: replica(1), term: Term(term), body }));
        self.flush();
    }

    /// The disk does everything that it was asked for, and what follows from it.
    fn all_durable(&mut self) {
        let mut done = 0;
        while let Some(token) = self.persisted.last().map(|(token, ..)| *token).filter(|token| *token > done)
        {
            done = token;
            self.input(Input::Persisted { token });
            self.flush();
        }
    }

    fn answers(&mut self) -> Vec<Body> {
        self.sent.drain(..).map(|message| message.body).collect()
    }

    /// Leads in the next term, with the vote of replica 2.
    fn elect(&mut self) -> u64 {
        self.raft.campaign(self.now);
        self.flush();
        self.all_durable();
        let term = self.raft.term().0;
        self.receive(2, term, Body::VoteReply { answer: VoteAnswer::Granted });
        assert!(self.raft.is_leader());
        self.all_durable();
        self.sent.clear();
        term
    }
}

fn entry(term: u64, index: u64) -> Entry {
    Entry { term: Term(term), index: Index(index), payload: Payload::Empty }
}

fn vote(term: u64, index: u64) -> Body {
    Body::Vote { last_index: Index(index), last_term: Term(term), transfer: false }
}

fn append(prev: (u64, u64), entries: &[(u64, u64)]) -> Body {
    Body::Append {
        prev_index: Index(prev.1),
        prev_term: Term(prev.0),
        commit: Index(1),
        entries: entries.iter().map(|(term, index)| entry(*term, *index)).collect(),
        sent: Time::from_millis(7),
    }
}

fn matched(index: u64) -> Body {
    Body::AppendReply { result: AppendResult::Matched(Index(index)), sent: Time::from_millis(7) }
}

/// Votes, crashes, and is asked by another candidate in the same term: what it answers then.
fn vote_twice(adjust: impl Fn(&mut Config) + Copy) -> Vec<Body> {
    let mut before = Alone::voter(&[], Recovered::bootstrap(Membership::default()).hard_state, adjust);
    before.receive(2, 5, vote(1, 1));
    let hard_state =
        before.persisted.iter().rev().find_map(|(_, state, _)| *state).expect("the vote is written");
    assert!(before.answers().is_empty(), "the vote waits for the disk");
    before.all_durable();
    assert_eq!(before.answers(), [Body::VoteReply { answer: VoteAnswer::Granted }]);
    let mut after = Alone::voter(&[], hard_state, adjust);
    after.receive(3, 5, vote(1, 1));
    after.all_durable();
    after.answers()
}

#[test]
fn a_vote_is_not_forgotten_over_a_restart() {
    assert_eq!(vote_twice(|_| {}), [Body::VoteReply { answer: VoteAnswer::Refused }]);
}

#[test]
#[cfg(feature = "bugs")]
fn a_forgotten_vote_is_given_twice() {
    let answers = vote_twice(|config| config.bugs.forget_vote_on_restart = true);
    assert_eq!(answers, [Body::VoteReply { answer: VoteAnswer::Granted }]);
}

/// Raft, figure 8: a leader finds an entry of an earlier term on a majority. Where it commits to.
fn figure_8(adjust: impl Fn(&mut Config)) -> Index {
    let hard_state = HardState { term: Term(3), vote: None, commit: Index(1) };
    let mut alone = Alone::voter(&[(2, 2)], hard_state, |config| {
        config.pre_vote = false;
        adjust(config);
    });
    let term = alone.elect();
    alone.receive(2, term, matched(2));
    alone.raft.commit_index()
}

#[test]
fn an_entry_of_an_earlier_term_is_committed_only_along_with_one_of_the_leaders_own() {
    assert_eq!(figure_8(|_| {}), Index(1));
}

#[test]
#[cfg(feature = "bugs")]
fn counting_copies_commits_an_entry_of_an_earlier_term() {
    assert_eq!(figure_8(|config| config.bugs.commit_earlier_term_by_counting = true), Index(2));
}

/// What a replica answers to a candidate so long after its start.
fn vote_after(wait_ms: u64, adjust: impl Fn(&mut Config)) -> Vec<Body> {
    let members = Membership::of_voters([1, 2, 3].map(replica));
    let mut alone = Alone::new(Recovered::bootstrap(members), adjust);
    alone.now = alone.now + ms(wait_ms);
    alone.receive(2, 5, vote(1, 1));
    alone.all_durable();
    alone.answers()
}

#[test]
fn a_starting_voter_keeps_the_promise_that_it_may_have_given() {
    assert_eq!(vote_after(299, |_| {}), []);
    assert_eq!(vote_after(300, |_| {}), [Body::VoteReply { answer: VoteAnswer::Granted }]);
}

#[test]
#[cfg(feature = "bugs")]
fn a_starting_voter_that_forgets_its_promise_votes_at_once() {
    let answers = vote_after(1, |config| config.bugs.restart_forgets_promise = true);
    assert_eq!(answers, [Body::VoteReply { answer: VoteAnswer::Granted }]);
}

#[test]
fn a_follower_promises_its_leader_to_vote_for_nobody_else_unless_the_leader_asks() {
    let mut alone = Alone::voter(&[], HardState::default(), |_| {});
    alone.receive(2, 5, append((1, 1), &[(5, 2)]));
    alone.all_durable();
    alone.answers();
    alone.now = alone.now + ms(QUIET - 1);
    alone.receive(3, 6, vote(5, 2));
    assert_eq!((alone.answers().len(), alone.raft.term()), (0, Term(5)), "the candidate isn't even answered");
    let asked = Body::Vote { last_index: Index(2), last_term: Term(5), transfer: true };
    alone.receive(3, 6, asked);
    alone.all_durable();
    assert_eq!(alone.answers(), [Body::VoteReply { answer: VoteAnswer::Granted }]);
}

#[test]
fn a_newer_term_heard_by_the_way_doesnt_end_a_promise() {
    let mut alone = Alone::voter(&[], HardState::default(), |_| {});
    alone.receive(2, 5, append((1, 1), &[]));
    alone.receive(3, 8, matched(1));
    assert_eq!((alone.raft.term(), alone.raft.leader()), (Term(8), None));
    alone.sent.clear();
    alone.receive(3, 9, vote(5, 2));
    alone.all_durable();
    assert_eq!(alone.answers(), []);
}

#[test]
fn a_finished_write_proves_nothing_about_what_replaced_it_even_if_the_same_entry_came_back() {
    let mut alone = Alone::voter(&[], HardState::default(), |_| {});
    alone.receive(2, 5, append((1, 1), &[(5, 2)]));
    alone.receive(3, 6, append((1, 1), &[(6, 2)]));
    // The first leader's entry can only come back under a leader that has it.
    alone.receive(2, 7, append((1, 1), &[(5, 2), (7, 3)]));
    let tokens: Vec<u64> = alone.persisted.iter().map(|(token, ..)| *token).collect();
    let [first, second, third] = tokens[..] else { panic!("three writes: {tokens:?}") };
    alone.answers();
    alone.input(Input::Persisted { token: first });
    assert_eq!((alone.raft.durable_index(), alone.answers()), (Index(1), vec![]));
    alone.input(Input::Persisted { token: second });
    assert_eq!((alone.raft.durable_index(), alone.answers()), (Index(1), vec![]));
    alone.input(Input::Persisted { token: third });
    assert_eq!((alone.raft.durable_index(), alone.answers()), (Index(3), vec![matched(3)]));
}

#[test]
fn an_acknowledgement_of_another_replica_of_the_same_node_never_counts() {
    let mut alone = Alone::voter(&[], HardState::default(), |config| config.pre_vote = false);
    alone.raft.campaign(alone.now);
    alone.flush();
    alone.all_durable();
    let term = alone.raft.term().0;
    for generation in [0, 2] {
        let stranger = ReplicaId::new(2, generation);
        alone.receive_from(stranger, term, Body::VoteReply { answer: VoteAnswer::Granted });
        assert!(!alone.raft.is_leader());
    }
    alone.receive(2, term, Body::VoteReply { answer: VoteAnswer::Granted });
    alone.all_durable();
    let last = alone.raft.last_index();
    for generation in [0, 2] {
        alone.receive_from(ReplicaId::new(2, generation), term, matched(last.0));
        assert!(alone.raft.commit_index() < last);
    }
    alone.receive(2, term, matched(last.0));
    assert_eq!(alone.raft.commit_index(), last);
}

#[test]
fn a_message_for_another_replica_is_dropped() {
    let mut alone = Alone::voter(&[], HardState::default(), |_| {});
    let message = Message { from: replica(2), to: ReplicaId::new(1, 0), term: Term(9), body: vote(9, 9) };
    alone.input(Input::Message(message));
    alone.flush();
    assert_eq!((alone.raft.term(), alone.sent.len(), alone.persisted.len()), (Term(0), 0, 0));
}

#[test]
fn a_candidates_requests_wait_until_its_term_is_durable() {
    let mut alone = Alone::voter(&[], HardState::default(), |config| config.pre_vote = false);
    alone.raft.campaign(alone.now);
    alone.flush();
    assert_eq!(alone.answers(), []);
    alone.all_durable();
    assert_eq!(alone.answers().len(), 2);
}

#[test]
fn a_commit_index_alone_is_not_worth_a_write_but_travels_with_the_next() {
    let mut alone = Alone::voter(&[], HardState::default(), |_| {});
    alone.receive(2, 5, append((1, 1), &[(5, 2), (5, 3)]));
    let writes = alone.persisted.len();
    alone.receive(2, 5, Body::Heartbeat { commit: Index(2), sent: Time::ZERO, round: 0 });
    assert_eq!((alone.raft.commit_index(), alone.persisted.len()), (Index(2), writes));
    alone.receive(2, 5, append((5, 3), &[(5, 4)]));
    let (_, hard_state, _) = alone.persisted.last().expect("a write");
    assert_eq!(hard_state.map(|state| state.commit), Some(Index(2)));
}

fn some_replica(rng: &mut Rng) -> ReplicaId {
    ReplicaId::new(rng.below(5) as u32, rng.below(3) as u32)
}

fn some_entries(rng: &mut Rng, mut index: u64) -> Vec<Entry> {
    let mut term = rng.below(6);
    (0..rng.below(5))
        .map(|_| {
            index += u64::from(!rng.chance(1, 20));
            term += rng.below(2);
            let steps = [ConfigStep::AddVoter(some_replica(rng)), ConfigStep::Remove(some_replica(rng))];
            let payload = match rng.below(4) {
                0 => Payload::Config(ConfigChange {
                    transition: [Transition::Auto, Transition::JointExplicit][rng.below(2) as usize],
                    steps: steps[rng.below(3) as usize..].to_vec(),
                    context: Bytes::new(),
                }),
                1 => Payload::Empty,
                _ => Payload::Command(Bytes::from_static(b"garbage")),
            };
            Entry { term: Term(term), index: Index(index), payload }
        })
        .collect()
}

fn some_index(rng: &mut Rng) -> Index {
    Index(if rng.chance(1, 30) { rng.next_u64() } else { rng.below(20) })
}

fn some_body(rng: &mut Rng) -> Body {
    let (index, term) = (some_index(rng), Term(rng.below(8)));
    let (sent, round) = (Time::from_nanos(rng.below(3_000_000_000)), rng.below(5));
    let answer = [VoteAnswer::Refused, VoteAnswer::Granted, VoteAnswer::GrantedIfAll][rng.below(3) as usize];
    match rng.below(13) {
        0 => Body::PreVote { last_index: index, last_term: term },
        1 => Body::PreVoteReply { answer },
        2 => Body::Vote { last_index: index, last_term: term, transfer: rng.chance(1, 2) },
        3 => Body::VoteReply { answer },
        4 => Body::Append {
            prev_index: index,
            prev_term: term,
            commit: some_index(rng),
            entries: some_entries(rng, index.0),
            sent,
        },
        5 => matched(index.0),
        6 => {
            let result =
                AppendResult::Rejected { rejected: index, hint_index: some_index(rng), hint_term: term };
            Body::AppendReply { result, sent }
        }
        7 => Body::Heartbeat { commit: index, sent, round },
        8 => Body::HeartbeatReply { sent, round },
        9 => {
            let set = |rng: &mut Rng| (0..rng.below(4)).map(|_| some_replica(rng)).collect();
            let membership = Membership { voters: set(rng), learners: set(rng), ..Membership::default() };
            Body::Snapshot { index, term, membership, manifest: Bytes::new(), sent }
        }
        10 => Body::SnapshotReply { index, installed: rng.chance(1, 2) },
        11 => Body::TimeoutNow,
        _ => Body::TailQuery { nonce: rng.next_u64(), last_index: index },
    }
}

#[test]
fn whatever_peers_send_it_never_panics_and_its_state_stays_sound() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut alone = Alone::voter(&[(1, 2), (1, 3)], HardState::default(), |config| {
            config.disk_patience = ms([50, 100_000][(seed % 2) as usize]);
            config.append_bytes_max = 60;
        });
        let mut led = 0;
        for _ in 0..400 {
            alone.now = alone.now + ms(rng.below(40));
            match rng.below(12) {
                0 => {
                    let token = alone.persisted.last().map_or(0, |(token, ..)| *token);
                    alone.input(Input::Persisted { token: token.saturating_sub(rng.below(3)) });
                }
                1 => {
                    let index = Index(alone.raft.commit_index().0.saturating_sub(rng.below(2)));
                    alone.input(Input::Applied { index });
                }
                2 => alone.input(Input::SnapshotInstalled { index: some_index(&mut rng) }),
                3 => {
                    let index = Index(rng.below(alone.raft.applied_index().0 + 2));
                    alone.raft.snapshot_taken(index, Bytes::new(), Index(rng.below(index.0 + 3)));
                    alone.raft.release_cached(some_index(&mut rng));
                }
                4 => {
                    let first = some_index(&mut rng);
                    alone.input(Input::EntriesLoaded { first, entries: some_entries(&mut rng, first.0) });
                }
                5 => {
                    let _ = alone.raft.propose(Bytes::from_static(b"x"));
                    alone.raft.request_read(1);
                    let id = some_replica(&mut rng);
                    let steps = vec![ConfigStep::AddLearner(id)];
                    let _ = alone.raft.propose_config(ConfigChange { steps, ..ConfigChange::default() });
                    alone.raft.transfer(alone.now, id);
                }
                6 => alone.input(Input::Unreachable { peer: some_replica(&mut rng) }),
                _ => {
                    let from = some_replica(&mut rng);
                    let term = alone.raft.term().0 + rng.below(3);
                    let body = some_body(&mut rng);
                    let message = Message { from, to: replica(1), term: Term(term.saturating_sub(1)), body };
                    alone.input(Input::Message(message));
                }
            }
            alone.flush();
            led += u32::from(alone.raft.is_leader());
        }
        assert!(led < 400, "garbage doesn't keep a leader in office");
    }
}
