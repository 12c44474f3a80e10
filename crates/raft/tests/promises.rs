//! What Raft promises, one test a promise, in the seeded world of the harness.

mod harness;

use base::log::ConfigStep;
use base::{ConfigChange, Core, Index, ReplicaId, Time};
use harness::{World, ms, replica};
use raft::{Config, DoubtfulTail, ProposeError, ReadRefusal, Role};

fn others(world: &World, id: ReplicaId) -> Vec<ReplicaId> {
    world.nodes.keys().copied().filter(|other| *other != id).collect()
}

fn change(steps: impl IntoIterator<Item = ConfigStep>) -> ConfigChange {
    ConfigChange { steps: steps.into_iter().collect(), ..ConfigChange::default() }
}

#[test]
fn a_group_of_one_leads_and_commits_without_waiting_for_anything_but_its_disk() {
    let mut world = World::new(1, 1);
    world.run(ms(5));
    let leader = world.leader().expect("it leads at once");
    let index = world.propose(leader, "x").expect("it takes proposals");
    assert!(world.raft(leader).commit_index() < index, "not before it is durable");
    world.run(ms(3));
    assert_eq!(world.raft(leader).commit_index(), index);
    let now = world.clock(leader);
    assert_eq!(world.raft(leader).lease_read(now), Ok(index));
}

#[test]
fn a_restarted_group_of_one_has_what_it_acknowledged() {
    let mut world = World::new(2, 1);
    world.run(ms(5));
    let index = world.propose(replica(1), "x").expect("it leads");
    world.run(ms(5));
    world.crash(replica(1));
    world.start(replica(1), None);
    world.run(ms(5));
    assert!(world.raft(replica(1)).applied_index() > index);
}

#[test]
fn a_dead_leader_is_replaced_in_less_than_a_second() {
    for seed in 0..30 {
        let mut world = World::new(seed, 3);
        let leader = world.elect();
        world.run(ms(200));
        world.crash(leader);
        world.run_until("another leader", ms(1_000), |world| world.leader().is_some());
    }
}

#[test]
fn no_vote_counts_before_it_is_durable() {
    let mut world = World::with_config(3, 3, |config| config.disk_patience = ms(60_000));
    for id in [1, 2, 3].map(replica) {
        world.hang(id);
    }
    world.run(ms(3_000));
    assert_eq!(world.leader(), None);
    for id in [1, 2, 3].map(replica) {
        world.unhang(id);
    }
    world.elect();
}

#[test]
fn a_majority_commits_without_the_leaders_disk() {
    let mut world = World::new(4, 3);
    let leader = world.elect();
    world.hang(leader);
    let index = world.propose(leader, "x").expect("it leads");
    world.run(ms(20));
    assert_eq!(world.raft(leader).commit_index(), index);
    assert!(world.raft(leader).durable_index() < index);
}

#[test]
fn a_leader_counts_its_own_copy_only_when_it_is_durable() {
    let mut world = World::new(5, 3);
    let leader = world.elect();
    world.hang(leader);
    world.hang(others(&world, leader)[0]);
    let index = world.propose(leader, "x").expect("it leads");
    world.run(ms(100));
    assert!(world.raft(leader).commit_index() < index, "one durable copy of three is no majority");
    world.unhang(leader);
    world.run(ms(20));
    assert_eq!(world.raft(leader).commit_index(), index);
}

/// Both followers' disks do nothing, and then forget what they were asked for.
fn acknowledge_only_what_is_durable(adjust: impl Fn(&mut Config)) {
    let mut world = World::with_config(6, 3, adjust);
    let leader = world.elect();
    let followers = others(&world, leader);
    followers.iter().for_each(|id| world.hang(*id));
    let index = world.propose(leader, "x").expect("it leads");
    world.run(ms(50));
    followers.iter().for_each(|id| world.crash_keeping(*id, 0));
    world.cut_off(leader);
    followers.iter().for_each(|id| world.start(*id, None));
    world.run(ms(2_000));
    assert!(world.raft(leader).commit_index() < index);
}

#[test]
fn an_acknowledgement_leaves_only_when_what_it_promises_is_durable() {
    acknowledge_only_what_is_durable(|_| {});
}

#[test]
#[cfg(feature = "bugs")]
#[should_panic(expected = "leader completeness")]
fn the_world_sees_acknowledgements_before_the_fsync() {
    acknowledge_only_what_is_durable(|config| config.bugs.acknowledge_before_fsync = true);
}

/// The leader is stopped just when the answers to its heartbeat are under way, and finds them when it goes on.
fn pause_over_answers(adjust: impl Fn(&mut Config)) {
    let mut world = World::with_config(7, 3, adjust);
    let leader = world.elect();
    world.run(ms(200));
    let beat = world.now.as_nanos() / 50_000_000 * 50_000_000 + 50_000_000;
    let wait = Time::from_nanos(beat).since(world.now) + ms(1) / 4;
    world.run(wait);
    world.nodes.get_mut(&leader).expect("known").is_paused = true;
    world.run(ms(10));
    for other in others(&world, leader) {
        world.cuts.insert((other, leader));
    }
    world.run_until("a new leader that has committed", ms(2_000), |world| {
        let is_new = |id: &ReplicaId| *id != leader && world.raft(*id).is_leader();
        world.leader().filter(is_new).is_some_and(|id| world.commit_max == world.raft(id).last_index())
    });
    world.resume(leader);
    world.watch_all();
    world.run(ms(500));
}

#[test]
fn a_lease_doesnt_outlive_a_pause_of_its_holder() {
    pause_over_answers(|_| {});
}

#[test]
#[cfg(feature = "bugs")]
#[should_panic(expected = "a lease read")]
fn the_world_sees_a_lease_kept_over_a_pause() {
    pause_over_answers(|config| config.bugs.lease_over_pause = true);
}

#[test]
fn a_cut_off_leader_stops_reading_before_another_can_write_and_steps_down() {
    let mut world = World::new(8, 3);
    let leader = world.elect();
    world.run(ms(100));
    let now = world.clock(leader);
    assert!(world.raft(leader).lease_read(now).is_ok());
    world.cut_off(leader);
    world.run(ms(300));
    let now = world.clock(leader);
    assert_ne!(world.raft(leader).lease_read(now), Ok(world.commit_max));
    world.run_until("it steps down", ms(200), |world| !world.raft(leader).is_leader());
}

#[test]
fn who_comes_back_from_a_cut_doesnt_disturb_the_leader() {
    let mut world = World::new(9, 3);
    let leader = world.elect();
    let away = others(&world, leader)[0];
    world.cut_off(away);
    world.run(ms(3_000));
    assert_eq!(world.raft(away).term(), world.raft(leader).term(), "a pre-vote changes no term");
    world.heal();
    world.run(ms(500));
    assert_eq!(world.leader(), Some(leader));
    assert_eq!(world.raft(away).leader(), Some(leader));
}

#[test]
fn a_transfer_ends_the_lease_first_and_takes_one_round_trip() {
    let mut world = World::new(10, 3);
    let leader = world.elect();
    world.run(ms(100));
    let heir = others(&world, leader)[0];
    assert!(world.with(leader, |raft, now| raft.transfer(now, heir)));
    let now = world.clock(leader);
    assert_eq!(world.raft(leader).lease_read(now), Err(ReadRefusal::NeedsRound));
    let payload = bytes::Bytes::new();
    assert_eq!(world.with(leader, |raft, _| raft.propose(payload)), Err(ProposeError::Transferring));
    world.run(ms(30));
    assert_eq!(world.leader(), Some(heir));
}

#[test]
fn after_a_transfer_that_fails_the_leader_leads_on_without_a_lease() {
    let mut world = World::new(11, 3);
    let leader = world.elect();
    world.run(ms(100));
    let heir = others(&world, leader)[0];
    world.crash(heir);
    assert!(world.with(leader, |raft, now| raft.transfer(now, heir)));
    world.run(ms(400));
    let index = world.propose(leader, "x").expect("it takes proposals again");
    world.run(ms(50));
    assert_eq!(world.raft(leader).commit_index(), index);
    let now = world.clock(leader);
    assert_eq!(world.raft(leader).lease_read(now), Err(ReadRefusal::NeedsRound));
    world.with(leader, |raft, _| raft.request_read(5));
    world.run(ms(20));
    assert_eq!(world.nodes[&leader].reads, [(5, Some(index))], "a round of messages still serves reads");
}

#[test]
fn a_hint_never_shortens_a_promise_but_saves_the_random_wait_after_it() {
    let mut world = World::new(12, 3);
    let leader = world.elect();
    world.run(ms(200));
    let follower = others(&world, leader)[0];
    world.crash(leader);
    let heard = world.now;
    world.with(follower, |raft, now| raft.hint_leader_lost(now));
    world.run(ms(200));
    assert_eq!(world.raft(follower).role(), Role::Follower);
    world.run_until("it campaigns when its promise ends", ms(150), |world| {
        world.raft(follower).role() != Role::Follower
    });
    assert!(world.now.since(heard) <= ms(310));
}

#[test]
fn a_leader_with_a_hung_disk_makes_way() {
    let mut world = World::new(13, 3);
    let leader = world.elect();
    world.hang(leader);
    world.propose(leader, "x");
    world.run_until("another leads", ms(1_000), |world| world.leader().is_some_and(|id| id != leader));
    world.run(ms(2_000));
    assert_ne!(world.leader(), Some(leader), "it doesn't campaign while its disk hangs");
}

#[test]
fn an_idle_group_writes_nothing() {
    let mut world = World::new(14, 3);
    world.elect();
    world.run(ms(300));
    let before: Vec<u64> = world.nodes.values().map(|node| node.persists).collect();
    world.run(ms(5_000));
    let after: Vec<u64> = world.nodes.values().map(|node| node.persists).collect();
    assert_eq!(before, after);
}

#[test]
fn many_proposals_become_one_write() {
    let mut world = World::new(15, 3);
    let leader = world.elect();
    world.run(ms(100));
    let before = world.nodes[&leader].persists;
    world.with(leader, |raft, _| {
        for _ in 0..100 {
            raft.propose(bytes::Bytes::from_static(b"x")).expect("it leads");
        }
    });
    world.run(ms(50));
    assert_eq!(world.nodes[&leader].persists, before + 1);
    assert_eq!(world.raft(leader).commit_index(), world.raft(leader).last_index());
}

#[test]
fn heartbeats_of_all_groups_fall_on_one_grid() {
    let mut world = World::new(16, 3);
    let leader = world.elect();
    for _ in 0..20 {
        world.run(ms(7));
        let deadline = world.raft(leader).deadline().expect("a leader beats");
        assert_eq!(deadline.as_nanos() % 50_000_000, 0);
    }
}

#[test]
fn too_many_uncommitted_bytes_are_refused_and_one_large_command_is_not() {
    let mut world = World::with_config(17, 3, |config| config.uncommitted_bytes_max = 1_000);
    let leader = world.elect();
    world.cut_off(leader);
    assert!(world.propose(leader, vec![0; 5_000]).is_some());
    let payload = bytes::Bytes::from_static(b"x");
    let refused = world.with(leader, |raft, _| raft.propose(payload));
    assert_eq!(refused, Err(ProposeError::TooMuchUncommitted));
}

#[test]
fn one_becomes_three_by_one_joint_step_from_learners() {
    let mut world = World::new(18, 1);
    world.run(ms(10));
    let first = replica(1);
    for id in [replica(2), replica(3)] {
        world.join(id);
        let add = change([ConfigStep::AddLearner(id)]);
        world.with(first, |raft, _| raft.propose_config(add)).expect("no other change is under way");
        world.run(ms(300));
        assert_eq!(world.raft(id).applied_index(), world.raft(first).applied_index(), "it is caught up");
    }
    let promote = change([ConfigStep::AddVoter(replica(2)), ConfigStep::AddVoter(replica(3))]);
    world.with(first, |raft, _| raft.propose_config(promote.clone())).expect("no other change is under way");
    let again = world.with(first, |raft, _| raft.propose_config(promote));
    assert_eq!(again, Err(ProposeError::AlreadyChanging));
    world.run(ms(300));
    for id in [1, 2, 3].map(replica) {
        let members = world.raft(id).membership();
        assert!(members.voters.len() == 3 && !members.is_joint(), "{id} has {members:?}");
    }
    world.crash(first);
    world.elect();
}

#[test]
fn a_removed_leader_steps_down_and_the_others_go_on() {
    let mut world = World::new(19, 3);
    let leader = world.elect();
    let remove = change([ConfigStep::Remove(leader)]);
    world.with(leader, |raft, _| raft.propose_config(remove)).expect("it leads");
    world.run(ms(50));
    assert!(!world.raft(leader).is_leader());
    world.run(ms(2_000));
    let heir = world.leader().expect("somebody else leads");
    assert!(!world.raft(heir).membership().contains(leader));
    assert!(!world.raft(leader).is_leader());
}

#[test]
fn who_fell_behind_the_log_comes_back_by_snapshot() {
    let mut world = World::new(20, 3);
    let leader = world.elect();
    let behind = others(&world, leader)[0];
    world.crash(behind);
    for _ in 0..50 {
        world.propose(leader, "x");
    }
    world.run(ms(100));
    world.snapshot_soon(leader);
    assert!(world.raft(leader).first_index() > Index(40));
    world.is_restore_failing = true;
    world.start(behind, None);
    world.run(ms(3_000));
    assert_eq!(world.raft(behind).applied_index(), world.raft(leader).applied_index());
    assert!(world.nodes[&behind].disk.snapshot.index > Index(40));
}

#[test]
fn entries_that_left_memory_reach_followers_from_disk() {
    let mut world = World::new(21, 3);
    let leader = world.elect();
    let behind = others(&world, leader)[0];
    world.crash(behind);
    for _ in 0..50 {
        world.propose(leader, "x");
    }
    world.run(ms(100));
    let all = world.raft(leader).last_index();
    world.with(leader, |raft, _| raft.release_cached(all));
    assert_eq!(world.raft(leader).log_bytes(), 0);
    world.start(behind, None);
    world.run(ms(1_000));
    assert_eq!(world.raft(behind).applied_index(), all);
    assert_eq!(world.nodes[&behind].disk.snapshot.index, Index(1), "no snapshot was needed");
}

#[test]
fn reads_by_round_are_answered_by_a_majority_only() {
    let mut world = World::with_config(22, 3, |config| config.lease_reads = false);
    let leader = world.elect();
    let now = world.clock(leader);
    assert_eq!(world.raft(leader).lease_read(now), Err(ReadRefusal::NeedsRound));
    for ticket in 0..10 {
        world.with(leader, |raft, _| raft.request_read(ticket));
    }
    world.run(ms(20));
    let index = world.raft(leader).commit_index();
    assert_eq!(world.nodes[&leader].reads, (0..10).map(|ticket| (ticket, Some(index))).collect::<Vec<_>>());
    world.cut_off(leader);
    world.with(leader, |raft, _| raft.request_read(10));
    world.run(ms(1_000));
    assert_eq!(world.nodes[&leader].reads.last(), Some(&(10, None)), "refused when it steps down");
}

/// Counterexample 14: e is durable on A and B, B's copy rots and is cut, A is cut off.
fn rotten_tail(adjust: impl Fn(&mut Config), is_known: bool) {
    let mut world = World::with_config(23, 3, adjust);
    let a = world.elect();
    let (b, c) = (others(&world, a)[0], others(&world, a)[1]);
    world.run(ms(100));
    world.cut_off(c);
    let e = world.propose(a, "e").expect("it leads");
    world.run(ms(20));
    assert_eq!(world.raft(a).commit_index(), e);
    world.crash(b);
    let last = world.rot(b);
    assert_eq!(last.map(|(_, index)| index), Some(e));
    world.heal();
    world.cut_off(a);
    world.start(b, Some(DoubtfulTail { last: last.filter(|_| is_known) }));
    world.run(ms(3_000));
    assert!(!world.raft(b).is_leader() && !world.raft(c).is_leader(), "neither has e");
    world.heal();
    world.run(ms(2_000));
    assert!(world.raft(c).applied_index() >= e && world.raft(b).applied_index() >= e);
    assert!(world.nodes[&b].is_tail_settled && !world.raft(b).is_tail_doubtful());
}

#[test]
fn a_rotten_tail_of_unknown_length_elects_nobody_without_what_it_may_have_held() {
    rotten_tail(|_| {}, false);
}

#[test]
fn a_rotten_tail_of_known_length_elects_nobody_without_what_it_held() {
    rotten_tail(|_| {}, true);
}

#[test]
#[cfg(feature = "bugs")]
#[should_panic(expected = "leader completeness")]
fn the_world_sees_a_rotten_tail_cut_as_torn() {
    rotten_tail(|config| config.bugs.doubtful_tail_ignored = true, false);
}

#[test]
fn when_all_tails_are_torn_all_voters_together_settle_it() {
    let mut world = World::new(24, 3);
    world.elect();
    world.run(ms(100));
    for id in [1, 2, 3].map(replica) {
        world.crash(id);
    }
    let doubt = Some(DoubtfulTail { last: None });
    world.start(replica(1), doubt);
    world.start(replica(2), doubt);
    world.run(ms(3_000));
    assert_eq!(world.leader(), None, "the third may have what they lost");
    world.start(replica(3), doubt);
    world.elect();
    world.run(ms(500));
    assert!(world.nodes.values().all(|node| node.is_tail_settled));
}

#[test]
fn a_follower_that_lost_what_this_very_leader_counts_on_gets_it_again() {
    for last_is_known in [false, true] {
        let mut world = World::new(25, 3);
        let leader = world.elect();
        let follower = others(&world, leader)[0];
        world.propose(leader, "x");
        world.run(ms(100));
        world.crash(follower);
        let last = world.rot(follower).filter(|_| last_is_known);
        world.start(follower, Some(DoubtfulTail { last }));
        world.run(ms(500));
        assert_eq!(world.leader(), Some(leader));
        assert_eq!(world.raft(follower).last_index(), world.raft(leader).last_index());
        assert!(!world.raft(follower).is_tail_doubtful());
    }
}

/// A replica that lost its disk comes back under its old id.
#[test]
#[should_panic(expected = "leader completeness")]
fn the_world_sees_a_wiped_replica_that_votes_under_its_old_id() {
    let mut world = World::new(26, 3);
    let a = world.elect();
    let (b, c) = (others(&world, a)[0], others(&world, a)[1]);
    world.cut_off(c);
    world.propose(a, "e");
    world.run(ms(20));
    world.crash(b);
    let members = world.nodes[&a].disk.snapshot.membership.clone();
    world.nodes.get_mut(&b).expect("known").disk = harness::Disk {
        snapshot: harness::Snapshot { index: Index(1), term: base::Term(1), membership: members, digest: 0 },
        ..harness::Disk::default()
    };
    world.heal();
    world.cut_off(a);
    world.start(b, None);
    world.run(ms(3_000));
}
