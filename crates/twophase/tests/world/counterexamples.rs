//! What broke earlier designs, one test each; where it is one rule that answers, the test also shows that it breaks without it.

use crate::harness::store::{Action, DB, Step, key};
use crate::harness::{Sent, World, ms, shard};
use base::{NodeId, SessionId};
use std::collections::BTreeMap;
use twophase::bugs::Bugs;
use twophase::{
    Decision, Finding, GatewayConfig, Mode, Operation, Outcome, ParticipantConfig, Participants, Party,
    ReplyBody, Request, RequestBody,
};

/// Runs a story and judges what came of it: nothing, or what broke.
fn told_by(story: fn(&mut World), configure: fn(&mut ParticipantConfig), bugs: Bugs) -> Option<String> {
    let mut world = World::with(1, 3, 2, bugs, configure, |_: &mut GatewayConfig| {});
    world.tolerant = true;
    story(&mut world);
    world.settle_and_judge();
    world.broken
}

fn holds(story: fn(&mut World)) {
    holds_with(story, |_| {});
}

fn holds_with(story: fn(&mut World), configure: fn(&mut ParticipantConfig)) {
    assert_eq!(told_by(story, configure, Bugs::default()), None);
}

/// Outcomes are forgotten almost at once.
fn forgetful(config: &mut ParticipantConfig) {
    config.floor_lag = ms(100);
    config.forget_every = ms(20);
}

fn append(name: &str, value: u64) -> Vec<Action> {
    vec![Action::Append(key(name), value)]
}

fn read(name: &str) -> Vec<Action> {
    vec![Action::Read(key(name))]
}

fn prepare_to(number: u32, of: u32) -> impl Fn(&Sent) -> bool {
    move |sent| {
        matches!(sent, Sent::Request(to, Request { from: Party::Gateway(session), body: RequestBody::Prepare(_) })
            if *to == shard(number) && session.node == NodeId(of))
    }
}

fn outcomes_of(gateway: u32) -> impl Fn(&Sent) -> bool {
    move |sent| {
        matches!(sent, Sent::Request(_, Request { from: Party::Gateway(session), body: RequestBody::Resolve { .. } })
            if session.node == NodeId(gateway))
    }
}

fn votes_to(gateway: u32) -> impl Fn(&Sent) -> bool {
    move |sent| {
        let Sent::Reply(Party::Gateway(session), reply) = sent else { return false };
        let vote = matches!(
            reply.body,
            ReplyBody::Status { finding: Finding::Prepared(_) | Finding::Committed(_), .. }
        );
        vote && session.node == NodeId(gateway)
    }
}

/// 1. T prepares on B. A refuses, for a younger one holds its lock. A second copy of the Prepare reaches A later.
fn a_refusal_with_a_twin(world: &mut World) {
    world.hold(prepare_to(1, 1));
    let first = world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
    world.run(ms(10));
    // A younger one takes the lock on A; its outcome takes a while to come.
    world.hold(outcomes_of(2));
    world.hold(outcomes_of(1));
    let second = world.begin(2, BTreeMap::from([(shard(1), append("x", 2)), (shard(3), append("z", 2))]));
    world.run(ms(20));
    assert!(matches!(world.outcome(second), Some(Outcome::Done(_))));
    // The second copy comes before what follows from the refusal of the third.
    let twin = world.take_back(prepare_to(1, 1)).expect("it is held back");
    world.hold(prepare_to(2, 1));
    world.deliver(Sent::clone(&twin));
    world.run(ms(20));
    let outcomes = world.take_back_all(outcomes_of(2));
    outcomes.into_iter().for_each(|outcome| world.deliver(outcome));
    world.run(ms(20));
    world.deliver(twin);
    world.run(ms(700));
    world.release();
    world.run(ms(1_000));
    assert!(world.outcome(first).is_some() || world.broken.is_some());
}

#[test]
fn a_refusal_that_is_not_logged_is_no_abort() {
    holds(a_refusal_with_a_twin);
    assert!(
        told_by(a_refusal_with_a_twin, |_| {}, Bugs { refusal_is_an_abort: true, ..Bugs::default() })
            .is_some()
    );
}

/// 2. Committed by the participants, resolved, forgotten; the gateway has heard nothing of it and asks.
fn absent_after_forgetting(world: &mut World) {
    world.hold(votes_to(1));
    let client = world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
    world.run(ms(2_000));
    assert!(world.shards.values().all(|shard| shard.ledger.is_empty()), "it is forgotten");
    world.run(ms(2_000));
    if world.broken.is_none() && world.bugs == Bugs::default() {
        assert_eq!(world.outcome(client), Some(&Outcome::Unknown));
    }
    world.lose_held_back();
}

#[test]
fn forgotten_is_never_absent() {
    holds_with(absent_after_forgetting, forgetful);
    let bugs = Bugs { forgotten_is_absent: true, ..Bugs::default() };
    assert!(told_by(absent_after_forgetting, forgetful, bugs).is_some());
}

/// Beside 2: what a leader said before it was deposed, or long ago, comes after FORGOTTEN.
fn a_stale_vote_after_forgotten(world: &mut World) {
    world.hold(votes_to(1));
    let forgotten = |group: u32| {
        move |sent: &Sent| {
            let Sent::Reply(Party::Gateway(_), reply) = sent else { return false };
            reply.from == shard(group)
                && matches!(reply.body, ReplyBody::Status { finding: Finding::Forgotten(_), .. })
        }
    };
    world.hold(forgotten(2));
    world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
    world.run(ms(2_000));
    let stale = world.take_back(|sent| matches!(sent, Sent::Reply(_, reply) if reply.from == shard(2)));
    world.deliver(stale.expect("a vote is held back"));
    world.run(ms(100));
    world.lose_held_back();
    world.run(ms(5_000));
}

#[test]
fn after_forgotten_only_an_answer_from_the_log_counts() {
    holds_with(a_stale_vote_after_forgotten, forgetful);
    let bugs = Bugs { forgotten_and_stale: true, ..Bugs::default() };
    assert!(told_by(a_stale_vote_after_forgotten, forgetful, bugs).is_some());
}

/// What follows from it: a deposed leader, which believed FORGOTTEN because it still held the transaction, tells a third that it is aborted.
fn a_late_outcome(world: &mut World) {
    world.hold(|sent| {
        let Sent::Reply(_, reply) = sent else { return false };
        reply.from == shard(3) && matches!(reply.body, ReplyBody::Status { .. })
    });
    let groups = [1, 2, 3].map(shard);
    world.begin(1, groups.iter().map(|group| (*group, append("x", 1))).collect());
    world.run(ms(1_000));
    let id = world.shards[&shard(3)].store.journal[0].0;
    assert!(matches!(world.shards[&shard(3)].ledger.finding(id), Finding::Committed(_)));
    let participants = Participants::new(groups).expect("there are some");
    let body = RequestBody::Resolve { id, participants, decision: Decision::Abort, answered: false };
    world.send_request(shard(3), &Request { from: Party::Shard(shard(2)), body });
    world.run(ms(50));
    world.lose_held_back();
    world.run(ms(5_000));
}

#[test]
fn an_outcome_that_is_there_stays() {
    holds(a_late_outcome);
    assert!(told_by(a_late_outcome, |_| {}, Bugs { late_resolve_wins: true, ..Bugs::default() }).is_some());
}

/// 3. RENAME has read at A, A's leader dies, the next one acknowledges a change; then Prepare comes.
fn locks_in_memory_vanish(world: &mut World) {
    world.plain(shard(1), append("a", 1));
    world.run(ms(10));
    let seen = world.peek(shard(1), &key("a")).expect("nobody holds it");
    world.lose_leader(shard(1), false);
    world.run(ms(400));
    let changed = world.plain(shard(1), append("a", 2));
    world.run(ms(20));
    assert!(world.outcome(changed).is_some());
    let wish = BTreeMap::from([(shard(1), append("a", 3)), (shard(2), append("b", 3))]);
    let renamed = world.begin_checked(1, wish, BTreeMap::from([((shard(1), key("a")), seen)]));
    world.run(ms(100));
    if world.bugs == Bugs::default() {
        assert_eq!(world.outcome(renamed), Some(&Outcome::Changed));
    }
}

#[test]
fn what_was_read_under_another_leader_is_checked_again() {
    holds(locks_in_memory_vanish);
    assert!(
        told_by(locks_in_memory_vanish, |_| {}, Bugs { versions_unchecked: true, ..Bugs::default() })
            .is_some()
    );
}

/// 4. A change is on its way at A when a read over A and B comes there; its client goes on to B, before the read.
fn in_flight(world: &mut World) {
    world.shards.get_mut(&shard(1)).expect("it is there").commit_delay = ms(20);
    world.hold(|sent| matches!(sent, Sent::Request(to, Request { body: RequestBody::Read { .. }, .. }) if *to == shard(2)));
    let first = world.plain(shard(1), append("x", 1));
    let reader = world.read(1, BTreeMap::from([(shard(1), read("x")), (shard(2), read("y"))]));
    world.run_until("the change is acknowledged", ms(100), |world| world.outcome(first).is_some());
    world.run(ms(1));
    let second = world.plain(shard(2), append("y", 2));
    world.run_until("the next one, too", ms(100), |world| world.outcome(second).is_some());
    world.run(ms(2));
    world.release();
    world.run(ms(500));
    assert!(matches!(world.outcome(reader), Some(Outcome::Done(_))));
}

#[test]
fn a_read_waits_for_what_is_under_way() {
    holds(in_flight);
    assert!(told_by(in_flight, |_| {}, Bugs { reads_skip_the_barrier: true, ..Bugs::default() }).is_some());
}

/// 5. DBSIZE while a transaction that is going to abort has made a key; and the key must not expire under it.
#[test]
fn nobody_counts_keys_of_a_transaction_that_aborts() {
    holds(|world| {
        world.hold(prepare_to(2, 1));
        world.hold(outcomes_of(1));
        let refused = vec![Action::Refuse];
        let client = world.begin(1, BTreeMap::from([(shard(1), append("new", 1)), (shard(2), refused)]));
        world.run(ms(20));
        let prepared = &world.shards[&shard(1)];
        assert_eq!(prepared.store.lists.len(), 1, "it is executed");
        assert!(!prepared.ledger.allows(DB, Some(b"new"), Mode::Exclusive), "expiry must leave it alone");
        assert!(!prepared.ledger.allows(DB, None, Mode::Shared));
        let count = world.plain(shard(1), vec![Action::Count]);
        world.run(ms(20));
        assert_eq!(world.outcome(count), None, "it waits");
        world.release();
        world.run(ms(50));
        assert_eq!(world.outcome(client), Some(&Outcome::Refused("no".into())));
        assert_eq!(world.lists(count), [[0]]);
    });
}

/// 6. Listeners hear at Prepare, and then the transaction aborts.
#[test]
fn nobody_hears_of_a_transaction_that_aborts() {
    holds(|world| {
        world.hold(outcomes_of(1));
        let refused = vec![Action::Refuse];
        world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), refused)]));
        world.run(ms(20));
        world.begin(1, BTreeMap::from([(shard(1), append("y", 2)), (shard(2), append("y", 2))]));
        world.run(ms(20));
        assert_eq!(world.shards[&shard(1)].store.told, [] as [u64; 0], "the outcome isn't known here");
        world.release();
        world.run(ms(50));
        assert_eq!(world.shards[&shard(1)].store.told, [2]);
        assert!(world.shards[&shard(1)].store.journal.iter().any(|(_, step)| *step == Step::Reverted));
    });
}

/// 7. Readers meet the lock of a transaction that itself waits elsewhere.
#[test]
fn who_waits_for_a_lock_does_not_kill_whoever_holds_it() {
    holds(|world| {
        // One holds B's key, and waits for C.
        world.hold(prepare_to(3, 2));
        let slow = world.begin(2, BTreeMap::from([(shard(2), append("hot", 1)), (shard(3), append("z", 1))]));
        world.run(ms(10));
        let client =
            world.begin(1, BTreeMap::from([(shard(1), append("hot", 2)), (shard(2), append("hot", 2))]));
        world.run(ms(10));
        let readers: Vec<u64> = (0..50).map(|_| world.plain(shard(1), read("hot"))).collect();
        world.run(ms(800));
        world.release();
        world.run(ms(400));
        assert!(matches!(world.outcome(slow), Some(Outcome::Done(_))));
        assert!(matches!(world.outcome(client), Some(Outcome::Done(_))));
        assert!(readers.iter().all(|reader| world.lists(*reader) == [[2]]));
        assert_eq!(world.logged(|operation| matches!(operation, Operation::Prevent { .. })), 0);
    });
}

/// 8. Prepared on A; B has no majority.
#[test]
fn without_a_quorum_nobody_invents_an_outcome() {
    holds(|world| {
        world.shards.get_mut(&shard(2)).expect("it is there").has_quorum = false;
        let client = world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
        world.run(ms(20));
        let other = world.plain(shard(1), read("x"));
        world.run(ms(8_000));
        assert_eq!(world.outcome(client), Some(&Outcome::Unknown));
        assert_eq!(
            world.outcome(other),
            None,
            "whoever meets the lock hears TRYAGAIN from its node, and no value"
        );
        world.shards.get_mut(&shard(2)).expect("it is there").has_quorum = true;
        world.resume(shard(2));
        world.run(ms(5_000));
        assert!(world.outcome(other).is_some(), "the lock is free again");
    });
}

/// 9. A pop whose request comes several times, also when it was resolved long ago.
#[test]
fn what_comes_again_is_not_executed_again() {
    fn twice(world: &mut World) {
        let wish = BTreeMap::from([(shard(1), append("popped", 1)), (shard(2), append("pushed", 1))]);
        let client = world.begin(1, wish);
        world.run(ms(10));
        assert!(matches!(world.outcome(client), Some(Outcome::Done(_))));
        let prepares: Vec<Sent> = world
            .sent
            .iter()
            .map(|(_, sent)| sent)
            .filter(|sent| prepare_to(1, 1)(sent) || prepare_to(2, 1)(sent))
            .cloned()
            .collect();
        for pause in [0, 100, 1_000, 30_000] {
            world.run(ms(pause));
            prepares.iter().for_each(|prepare| world.deliver(prepare.clone()));
            world.run(ms(50));
        }
    }
    holds(twice);
    assert!(told_by(twice, |_| {}, Bugs { no_floor: true, ..Bugs::default() }).is_some());
}

/// 10. A gateway starts anew; a copy of what it asked before is still on its way.
#[test]
fn an_evicted_session_executes_nothing() {
    holds(|world| {
        world.hold(prepare_to(1, 1));
        world.hold(prepare_to(2, 1));
        world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
        world.run(ms(10));
        world.kill_gateway(NodeId(1));
        world.start_gateway(NodeId(1));
        let session = SessionId { node: NodeId(1), start: 1 };
        for shard in world.shards.values_mut() {
            shard.store.evicted.insert(session);
        }
        world.release();
        world.run(ms(50));
        for shard in world.shards.values() {
            assert!(shard.store.journal.is_empty() && shard.ledger.locks().is_empty());
        }
    });
}

/// 11. A read in two rounds: what the first has seen must be so in the last.
#[test]
fn a_read_in_rounds_sees_one_moment() {
    fn rounds(world: &mut World) {
        let seen = world.peek(shard(1), &key("x")).expect("nobody holds it");
        let first = world.plain(shard(1), append("x", 1));
        world.run_until("the first change is acknowledged", ms(100), |world| world.outcome(first).is_some());
        world.run(ms(1));
        let second = world.plain(shard(2), append("y", 2));
        world.run_until("the second, too", ms(100), |world| world.outcome(second).is_some());
        world.run(ms(1));
        let seen = BTreeMap::from([((shard(1), key("x")), seen)]);
        let reader = world.begin_checked(1, BTreeMap::from([(shard(2), read("y"))]), seen);
        // It isn't wrong to have begun before all that.
        world.clients.get_mut(&reader).expect("it is there").began = base::Time::ZERO;
        world.run(ms(100));
    }
    holds(rounds);
    assert!(told_by(rounds, |_| {}, Bugs { versions_unchecked: true, ..Bugs::default() }).is_some());
}

/// A gateway that aborts because it has waited for long enough.
#[test]
fn no_time_that_has_passed_is_an_abort() {
    fn impatient(world: &mut World) {
        // It is prepared everywhere, and nobody but the gateway is missing the votes.
        world.hold(votes_to(1));
        world.hold(|sent| matches!(sent, Sent::Request(_, Request { body: RequestBody::Ask { .. }, .. })));
        world.hold(|sent| {
            matches!(
                sent,
                Sent::Request(_, Request { from: Party::Shard(_), body: RequestBody::Prevent { .. } })
            )
        });
        let client = world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
        world.run(ms(3_000));
        // One shard hears from the other, the gateway's outcomes are slow.
        world.hold(outcomes_of(1));
        world.release_only(|sent| matches!(sent, Sent::Request(..)));
        world.run(ms(1_500));
        assert!(world.outcome(client).is_none() || world.bugs != Bugs::default());
    }
    holds(impatient);
    let bugs = Bugs { gateway_aborts_alone: true, ..Bugs::default() };
    assert!(told_by(impatient, |_| {}, bugs).is_some());
}

/// Two transactions ask for two locks in opposite order.
#[test]
fn nobody_waits_in_a_circle() {
    fn crossed(world: &mut World) {
        world.hold(prepare_to(2, 1));
        world.hold(prepare_to(1, 2));
        let first = world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
        world.run(ms(10));
        let second = world.begin(2, BTreeMap::from([(shard(1), append("x", 2)), (shard(2), append("y", 2))]));
        world.run(ms(10));
        world.release();
        world.run(ms(100));
        let done = |ticket| matches!(world.outcome(ticket), Some(Outcome::Done(_)));
        if !(done(first) && done(second)) {
            world.fail("they wait for each other".into());
        }
    }
    holds(crossed);
    assert!(told_by(crossed, |_| {}, Bugs { older_waits_too: true, ..Bugs::default() }).is_some());
}

/// All wall clocks go back by an hour, gateways and leaders start anew; one shard has never heard of a transaction.
#[test]
fn a_clock_that_goes_back_stops_nobody() {
    fn goes_back(world: &mut World) {
        world.begin(1, BTreeMap::from([(shard(1), append("x", 1)), (shard(2), append("y", 1))]));
        world.run(ms(500));
        assert!(world.shards[&shard(1)].ledger.floor().0 > 0);
        world.wall_at_start -= 3_600_000;
        for group in [1, 2, 3].map(shard) {
            world.lose_leader(group, false);
        }
        world.run(ms(500));
        for node in [1, 2].map(NodeId) {
            world.kill_gateway(node);
            world.start_gateway(node);
        }
        world.run(ms(500));
        for shards in [[1, 2], [2, 3], [1, 3]] {
            let client = world.begin(
                2,
                shards
                    .into_iter()
                    .map(|n| {
                        (
                            shard(n),
                            append(
                                &format!("z{}", shards[0] * shards[1]),
                                u64::from(100 * shards[0] + 10 * shards[1] + n),
                            ),
                        )
                    })
                    .collect(),
            );
            world.run(ms(100));
            assert!(matches!(world.outcome(client), Some(Outcome::Done(_))), "{:?}", world.outcome(client));
            world.run(ms(500));
        }
    }
    // Values are appended once: each shard has its own.
    holds_with(goes_back, forgetful);
}
