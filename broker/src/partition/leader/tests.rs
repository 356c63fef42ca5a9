use super::*;

const LAG_MAX: Duration = Duration::from_millis(2500);

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn leadership(durability: Durability, in_sync: &[i32], min_in_sync: usize) -> Leadership {
    Leadership {
        leader_epoch: 3,
        partition_epoch: 7,
        replicas: vec![1, 2, 3],
        in_sync: in_sync.to_vec(),
        min_in_sync,
        durability,
    }
}

fn ends(end: i64) -> OwnEnds {
    OwnEnds { log_end_offset: end, flushed_end_offset: end }
}

fn leader(durability: Durability, in_sync: &[i32], min_in_sync: usize, end: i64) -> Leader {
    Leader::new(1, leadership(durability, in_sync, min_in_sync), ends(end), 0, at(0))
}

/// A durable leader with these members, whose log ends at 10 and whose followers have all of it.
fn led(in_sync: &[i32]) -> Leader {
    let mut leader = leader(Durability::Fsync, in_sync, 1, 10);
    for id in in_sync.iter().filter(|id| **id != 1) {
        leader.on_fetch(fetch(*id, 10), at(0)).unwrap();
    }
    assert_eq!(leader.high_watermark(), 10);
    leader
}

fn fetch(replica_id: i32, offset: i64) -> ReplicaFetch {
    ReplicaFetch { replica_id, broker_epoch: 40, offset, log_start_offset: 0 }
}

#[test]
fn the_low_watermark_is_the_lowest_start_of_those_in_service() {
    let mut leader = leader(Durability::Fsync, &[1, 2, 3], 1, 10);
    let everybody = |_| true;
    assert_eq!(leader.low_watermark(5, everybody), -1, "nobody has been heard of");
    leader.on_fetch(ReplicaFetch { log_start_offset: 7, ..fetch(2, 10) }, at(0)).unwrap();
    leader.on_fetch(ReplicaFetch { log_start_offset: 3, ..fetch(3, 10) }, at(0)).unwrap();
    assert_eq!(leader.low_watermark(5, everybody), 3);
    assert_eq!(leader.low_watermark(5, |id| id != 3), 5);
    assert_eq!(leader.low_watermark(9, |id| id != 3), 7);
}

fn append(leader: &mut Leader, end: i64, now: u64) {
    leader.on_appended(end, at(now));
    leader.on_flushed(end);
}

fn in_service(_: i32) -> Option<i64> {
    Some(40)
}

fn members(proposal: Option<InSyncProposal>) -> Option<Vec<i32>> {
    proposal.map(|proposal| proposal.in_sync.iter().map(|(id, _)| *id).collect())
}

fn accepted(proposal: &InSyncProposal) -> ProposalOutcome {
    ProposalOutcome::Accepted {
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch + 1,
        in_sync: proposal.in_sync.iter().map(|(id, _)| *id).collect(),
    }
}

/// Its log is empty, or it would have been told where the histories part: it begins anew, and has nothing.
#[test]
fn a_follower_that_asks_beyond_the_end_has_nothing_yet() {
    let mut leader = leader(Durability::Fsync, &[1, 2], 2, 10);
    for id in [2, 3] {
        leader.on_fetch(fetch(id, 15), at(0)).unwrap();
    }
    append(&mut leader, 15, 0);
    assert!(!leader.may_join(3));
    assert_eq!(leader.high_watermark(), 0);
    leader.on_fetch(fetch(2, 4), at(0)).unwrap();
    assert_eq!(leader.high_watermark(), 4);
}

#[test]
fn durable_topics_count_what_is_flushed() {
    let mut leader = leader(Durability::Fsync, &[1], 1, 10);
    assert_eq!(leader.high_watermark(), 10);
    assert_eq!(leader.on_appended(15, at(0)), None);
    assert_eq!(leader.on_flushed(12), Some(12));
    assert_eq!(leader.on_flushed(11), None);
    assert_eq!(leader.on_flushed(15), Some(15));
    assert_eq!(leader.high_watermark(), 15);
}

#[test]
fn page_cache_topics_count_what_is_written() {
    let mut leader = leader(Durability::PageCache, &[1], 1, 0);
    assert_eq!(leader.on_appended(15, at(0)), Some(15));
    assert_eq!(leader.on_flushed(15), None);
}

#[test]
fn a_topic_that_becomes_durable_never_takes_back_what_was_read() {
    let mut leader = leader(Durability::PageCache, &[1], 1, 0);
    assert_eq!(leader.on_appended(15, at(0)), Some(15));
    assert_eq!(leader.on_changed(leadership(Durability::Fsync, &[1], 1)), None);
    assert_eq!(leader.high_watermark(), 15);
    assert_eq!(leader.on_flushed(20), Some(20));
    assert_eq!(leader.on_appended(25, at(0)), None);
    assert_eq!(leader.on_changed(leadership(Durability::PageCache, &[1], 1)), Some(25));
}

#[test]
fn the_high_watermark_waits_for_every_replica_in_sync() {
    let mut leader = leader(Durability::Fsync, &[1, 2], 2, 10);
    assert_eq!(leader.high_watermark(), 0, "nothing is known of the other");
    assert_eq!(leader.on_flushed(20), None);
    assert_eq!(leader.on_fetch(fetch(2, 7), at(0)), Ok(Some(7)));
    let alone = Leadership { partition_epoch: 8, ..leadership(Durability::Fsync, &[1], 2) };
    assert_eq!(leader.on_changed(alone), None, "too few are in sync");
    assert_eq!(leader.in_sync_count(), (1, 2));
    let enough = Leadership { partition_epoch: 8, ..leadership(Durability::Fsync, &[1], 1) };
    assert_eq!(leader.on_changed(enough), Some(20));
}

#[test]
fn only_replicas_of_the_newest_start_are_listened_to() {
    let mut leader = led(&[1, 2]);
    let stranger = leader.on_fetch(fetch(9, 10), at(0));
    assert_eq!(stranger, Err(ReplicaFetchError::NotReplica { replica_id: 9 }));
    let newer = ReplicaFetch { broker_epoch: 41, ..fetch(2, 4) };
    assert_eq!(leader.on_fetch(newer, at(1)), Ok(None));
    let older = leader.on_fetch(fetch(2, 10), at(2));
    assert_eq!(older, Err(ReplicaFetchError::StaleBroker { epoch: 40, known: 41 }));
}

#[test]
fn a_member_that_lacks_records_for_too_long_leaves() {
    let mut leader = led(&[1, 2, 3]);
    append(&mut leader, 20, 60_000);
    leader.on_fetch(fetch(3, 20), at(60_001)).unwrap();
    let limit = 60_000 + 2500;
    assert_eq!(leader.propose(at(limit), LAG_MAX, in_service), None, "it was idle before");
    let proposal = leader.propose(at(limit + 1), LAG_MAX, in_service).unwrap();
    assert_eq!(members(Some(proposal.clone())), Some(vec![1, 3]));
    assert_eq!(leader.high_watermark(), 10, "the old set counts until the new one is known");
    assert_eq!(leader.on_proposed(&proposal, accepted(&proposal), at(limit + 2)), None);
    let told = Leadership { partition_epoch: 8, ..leadership(Durability::Fsync, &[1, 3], 1) };
    assert_eq!(leader.on_changed(told), Some(20));
}

/// The controller went by a `min.insync.replicas` that the leader has not heard of, so that who left is
/// eligible: what was committed without it would be lost when it is elected.
#[test]
fn a_set_that_has_shrunk_commits_only_when_the_metadata_has_told_of_it() {
    let mut leader = led(&[1, 2]);
    append(&mut leader, 20, 60_000);
    let late = at(60_000 + 2501);
    let proposal = leader.propose(late, LAG_MAX, in_service).unwrap();
    assert_eq!(members(Some(proposal.clone())), Some(vec![1]));
    assert_eq!(leader.on_proposed(&proposal, accepted(&proposal), late), None);
    assert_eq!(
        leader.on_changed(leadership(Durability::Fsync, &[1, 2], 1)),
        None,
        "older metadata"
    );
    let raised = Leadership { partition_epoch: 8, ..leadership(Durability::Fsync, &[1], 2) };
    assert_eq!(leader.on_changed(raised), None);
    assert_eq!(leader.high_watermark(), 10);
}

/// The answer does not tell that the move has ended with it.
#[test]
fn a_replica_that_was_moved_away_is_waited_for_no_longer() {
    let mut leader = leader(Durability::Fsync, &[1, 2, 3], 1, 10);
    for id in [2, 3] {
        leader.on_fetch(fetch(id, 10), at(0)).unwrap();
    }
    append(&mut leader, 20, 60_000);
    leader.on_fetch(fetch(3, 20), at(60_001)).unwrap();
    let late = at(60_000 + 2501);
    let proposal = leader.propose(late, LAG_MAX, in_service).unwrap();
    leader.on_proposed(&proposal, accepted(&proposal), late);
    let moved = leadership(Durability::Fsync, &[1, 3], 1);
    let moved = Leadership { partition_epoch: 8, replicas: vec![1, 3], ..moved };
    assert_eq!(leader.on_changed(moved), Some(20));
    let gone = leader.on_fetch(fetch(2, 20), late);
    assert_eq!(gone, Err(ReplicaFetchError::NotReplica { replica_id: 2 }));
    assert_eq!(leader.lag_max(), 0);
}

#[test]
fn a_member_that_is_always_a_little_behind_stays() {
    let mut leader = led(&[1, 2]);
    for round in 1..100 {
        append(&mut leader, 10 + round * 5, u64::try_from(round).unwrap() * 1000);
        // It asks from where the log ended at its last fetch.
        let asked =
            leader.on_fetch(fetch(2, 5 + round * 5), at(u64::try_from(round).unwrap() * 1000));
        assert!(asked.is_ok());
        let now = at(u64::try_from(round).unwrap() * 1000 + 999);
        assert_eq!(leader.propose(now, LAG_MAX, in_service), None, "round {round}");
    }
}

#[test]
fn a_member_that_never_asks_is_given_time_from_the_election_on() {
    let mut leader =
        Leader::new(1, leadership(Durability::Fsync, &[1, 2], 1), ends(10), 0, at(50_000));
    assert_eq!(leader.propose(at(52_500), LAG_MAX, in_service), None);
    assert_eq!(members(leader.propose(at(52_501), LAG_MAX, in_service)), Some(vec![1]));
}

#[test]
fn who_has_caught_up_joins() {
    let mut leader = led(&[1]);
    append(&mut leader, 20, 10_000);
    leader.on_fetch(fetch(2, 5), at(10_000)).unwrap();
    assert!(!leader.may_join(2));
    assert_eq!(leader.propose(at(10_001), LAG_MAX, in_service), None);
    leader.on_fetch(fetch(2, 20), at(10_002)).unwrap();
    assert!(leader.may_join(2));
    assert_eq!(leader.propose(at(10_002), LAG_MAX, |id| (id == 1).then_some(40)), None, "fenced");
    assert_eq!(leader.propose(at(10_002), LAG_MAX, |_| Some(41)), None, "another start of it");
    let proposal = leader.propose(at(10_003), LAG_MAX, in_service).unwrap();
    assert_eq!(proposal.in_sync, [(1, 40), (2, 40)]);
    assert!(!leader.may_join(2));
    append(&mut leader, 30, 10_004);
    assert_eq!(leader.high_watermark(), 20, "it may have joined already");
    leader.on_proposed(&proposal, ProposalOutcome::Refused, at(10_005));
    leader.on_fetch(fetch(2, 30), at(10_006)).unwrap();
    assert_eq!(leader.propose(at(10_500), LAG_MAX, in_service), None, "not at once again");
    assert!(leader.propose(at(11_005), LAG_MAX, in_service).is_some());
}

#[test]
fn the_high_watermark_waits_for_who_is_about_to_join() {
    let mut leader = led(&[1]);
    append(&mut leader, 20, 10_000);
    for round in 0..3 {
        // The follower has all that there was, and there is always more already.
        append(&mut leader, 30 + round * 10, 10_010 + u64::try_from(round).unwrap());
        leader.on_fetch(fetch(2, 20 + round * 10), at(10_010)).unwrap();
        leader.propose(at(10_011), LAG_MAX, in_service);
    }
    assert_eq!(leader.propose(at(10_012), LAG_MAX, in_service), None, "one is out");
    assert_eq!(leader.in_sync_count().0, 1);
    assert!(!leader.may_join(2), "it has been proposed");
    assert!(leader.high_watermark() <= 40);
}

#[test]
fn nobody_joins_before_the_leader_knows_what_is_committed() {
    let mut leader = leader(Durability::Fsync, &[1, 2], 1, 10);
    assert!(!leader.is_settled());
    leader.on_fetch(fetch(3, 10), at(1)).unwrap();
    leader.on_fetch(fetch(2, 9), at(1)).unwrap();
    assert_eq!(leader.high_watermark(), 9);
    assert!(!leader.may_join(3));
    leader.on_fetch(fetch(2, 10), at(2)).unwrap();
    assert!(leader.is_settled());
    assert!(leader.may_join(3));
}

/// The last in sync becomes leader before it has heard how far the one before had committed: its high
/// watermark rests until somebody joins, so that joining cannot wait for it.
#[test]
fn where_too_few_are_in_sync_joining_does_not_wait_for_the_high_watermark() {
    let mut leader = leader(Durability::Fsync, &[1], 2, 10);
    assert!(!leader.is_settled());
    leader.on_fetch(fetch(2, 9), at(1)).unwrap();
    assert!(!leader.may_join(2), "it may lack what is committed");
    leader.on_fetch(fetch(2, 10), at(2)).unwrap();
    assert!(leader.may_join(2));
    let proposal = leader.propose(at(2), LAG_MAX, in_service).unwrap();
    leader.on_proposed(&proposal, accepted(&proposal), at(3));
    assert!(leader.is_settled());
}

#[test]
fn a_proposal_without_an_answer_counts_until_a_later_epoch_is_known() {
    let mut leader = led(&[1]);
    leader.on_fetch(fetch(2, 10), at(0)).unwrap();
    let first = leader.propose(at(0), LAG_MAX, in_service).unwrap();
    leader.on_proposed(&first, ProposalOutcome::Unknown, at(5));
    append(&mut leader, 20, 10);
    assert_eq!(leader.high_watermark(), 10);
    let second = leader.propose(at(200), LAG_MAX, in_service).unwrap();
    leader.on_proposed(&second, ProposalOutcome::Refused, at(201));
    assert_eq!(leader.high_watermark(), 10, "the first may still be accepted");
    leader.on_proposed(&first, accepted(&first), at(202));
    assert_eq!(leader.in_sync_count().0, 1, "nobody waits for that answer any more");
    let alone = Leadership { partition_epoch: 9, ..leadership(Durability::Fsync, &[1], 1) };
    leader.on_changed(alone);
    leader.propose(at(300), LAG_MAX, |id| (id == 1).then_some(40));
    assert_eq!(leader.high_watermark(), 20);
}

#[test]
fn an_answer_may_be_ahead_of_the_metadata() {
    let mut leader = led(&[1]);
    leader.on_fetch(fetch(2, 10), at(0)).unwrap();
    let proposal = leader.propose(at(0), LAG_MAX, in_service).unwrap();
    leader.on_proposed(&proposal, accepted(&proposal), at(1));
    assert_eq!(leader.in_sync_count().0, 2);
    leader.on_changed(leadership(Durability::Fsync, &[1], 1));
    assert_eq!(leader.in_sync_count().0, 2, "older metadata takes nothing back");
}

#[test]
fn the_lag_is_that_of_the_slowest_replica() {
    let mut leader = led(&[1, 2, 3]);
    append(&mut leader, 20, 1);
    leader.on_fetch(fetch(2, 20), at(2)).unwrap();
    assert_eq!(leader.lag_max(), 10);
}
