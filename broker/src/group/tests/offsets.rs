//! Commits, deletions, and how long offsets live.

use flumen_protocol::Uuid;

use super::*;

const DAY_MS: i64 = 24 * 3_600_000;
const TOPIC_ID: Uuid = Uuid::from_bytes([1; 16]);

fn commit_request(member_id: &str, generation: i32, topic: &str, offset: i64) -> CommitRequest {
    let partition =
        CommitPartition { index: 0, offset, leader_epoch: 3, metadata: "note".to_owned() };
    CommitRequest {
        group_id: GROUP.to_owned(),
        member_id: member_id.to_owned(),
        instance_id: None,
        generation,
        knows_group_not_found: false,
        retention_ms: None,
        topics: vec![CommitTopic {
            name: topic.to_owned(),
            id: TOPIC_ID,
            partitions: vec![partition],
        }],
    }
}

impl Script {
    fn commit(&mut self, request: CommitRequest) -> Result<(), GroupError> {
        let results = self.run(|shard, now, effects| shard.commit(now, request, effects))?;
        results.into_iter().flatten().try_for_each(|(_, result)| result)
    }

    fn committed(&self, topic: &str) -> Option<i64> {
        self.shard.committed(GROUP, topic, Uuid::ZERO, 0).map(|committed| committed.offset)
    }

    fn delete_offset(&mut self, topic: &str) -> Result<(), GroupError> {
        let topics = [(topic.to_owned(), vec![0])];
        let results =
            self.run(|shard, _, effects| shard.delete_offsets(GROUP, &topics, effects))?;
        results.into_iter().flatten().try_for_each(|(_, result)| result)
    }

    fn delete_group(&mut self) -> Result<(), GroupError> {
        while self.run(|shard, _, effects| shard.delete_group(GROUP, effects))? {}
        Ok(())
    }
}

#[test]
fn a_consumer_that_needs_no_group_may_commit_while_the_group_is_empty() {
    let mut script = Script::new();
    script.commit(commit_request("", -1, TOPIC, 5)).unwrap();
    assert_eq!(script.committed(TOPIC), Some(5));
    assert_eq!(script.state(), GroupState::Empty);
    assert_eq!(script.shard.list()[0].protocol_type, "");

    script.stable_group(1);
    let refused = script.commit(commit_request("", -1, TOPIC, 6));
    assert_eq!(refused, Err(GroupError::UnknownMember));
    assert_eq!(script.committed(TOPIC), Some(5));
}

#[test]
fn a_group_that_only_a_refused_commit_names_is_seen_once_the_log_goes_on() {
    let mut script = Script::new();
    let mut refused = commit_request("", -1, TOPIC, 5);
    refused.topics[0].partitions[0].metadata = "x".repeat(5_000);
    let too_large = GroupError::OffsetMetadataTooLarge { size: 5_000, size_max: 4_096 };
    assert_eq!(script.commit(refused), Err(too_large));
    assert_eq!(script.shard.list(), []);
    assert_eq!(script.shard.describe(GROUP), None);

    let other = CommitRequest { group_id: "other".to_owned(), ..commit_request("", -1, TOPIC, 5) };
    script.commit(other).unwrap();
    assert_eq!(script.state(), GroupState::Empty);
    assert_eq!(script.shard.list().len(), 2);
}

#[test]
fn everything_about_a_commit_survives_a_failover() {
    let mut script = Script::new();
    script.commit(commit_request("", -1, TOPIC, 5)).unwrap();
    script.reload();
    let committed = script.shard.committed(GROUP, TOPIC, TOPIC_ID, 0).unwrap();
    assert_eq!((committed.offset, committed.leader_epoch), (5, 3));
    assert_eq!(committed.metadata, "note");
    assert_eq!(committed.topic_id, TOPIC_ID);
}

#[test]
fn a_member_commits_in_its_generation_only() {
    let mut script = Script::new();
    let stranger = commit_request("made up", 1, TOPIC, 1);
    let stale = GroupError::IllegalGeneration { given: 1, current: 0 };
    assert_eq!(script.commit(stranger.clone()), Err(stale));
    let newer = CommitRequest { knows_group_not_found: true, ..stranger.clone() };
    let not_found = GroupError::GroupNotFound { group_id: GROUP.to_owned() };
    assert_eq!(script.commit(newer), Err(not_found));

    let members = script.stable_group(1);
    script.commit(commit_request(&members[0], 1, TOPIC, 10)).unwrap();
    assert_eq!(script.commit(stranger), Err(GroupError::UnknownMember));
    let stale = GroupError::IllegalGeneration { given: 0, current: 1 };
    assert_eq!(script.commit(commit_request(&members[0], 0, TOPIC, 11)), Err(stale));
    assert_eq!(script.committed(TOPIC), Some(10));
}

#[test]
fn commits_during_a_rebalance() {
    let mut script = Script::new();
    let members = script.stable_group(2);
    // While others rejoin, a member may still save what it did before it rejoins itself.
    let first = script.join(join_request(&members[0], &["x", "range"]));
    assert_eq!(script.state(), GroupState::PreparingRebalance);
    script.commit(commit_request(&members[1], 1, TOPIC, 20)).unwrap();
    // Once the next generation has begun, the old one may not.
    let second = script.join(join_request(&members[1], &["x", "range"]));
    assert_eq!(script.joined(first).generation, script.joined(second).generation);
    let stale = GroupError::IllegalGeneration { given: 1, current: 2 };
    assert_eq!(script.commit(commit_request(&members[1], 1, TOPIC, 21)), Err(stale));
    let early = script.commit(commit_request(&members[1], 2, TOPIC, 22));
    assert_eq!(early, Err(GroupError::RebalanceInProgress));
    assert_eq!(script.committed(TOPIC), Some(20));
}

#[test]
fn a_commit_counts_as_a_sign_of_life() {
    let mut script = Script::new();
    let members = script.stable_group(1);
    for offset in 0..5 {
        script.advance(i64::from(SESSION_MS) - 1);
        script.commit(commit_request(&members[0], 1, TOPIC, offset)).unwrap();
    }
    assert_eq!(script.state(), GroupState::Stable);
}

#[test]
fn metadata_that_is_too_long_spoils_its_partition_only() {
    let mut script = Script::with(|config| config.offset_metadata_max_bytes = 4);
    let mut request = commit_request("", -1, TOPIC, 5);
    let long =
        CommitPartition { index: 1, offset: 6, leader_epoch: -1, metadata: "notes".to_owned() };
    request.topics[0].partitions.push(long);
    let results = script.run(|shard, now, effects| shard.commit(now, request, effects)).unwrap();
    let too_large = GroupError::OffsetMetadataTooLarge { size: 5, size_max: 4 };
    assert_eq!(results, [[(0, Ok(())), (1, Err(too_large))]]);
    assert_eq!(script.committed(TOPIC), Some(5));
}

#[test]
fn a_commit_of_which_nothing_is_kept_makes_a_group_until_retention_looks_at_it() {
    let mut script = Script::with(|config| config.offset_metadata_max_bytes = 3);
    let of_nothing = CommitRequest { topics: Vec::new(), ..commit_request("", -1, TOPIC, 5) };
    assert_eq!(script.commit(of_nothing), Ok(()));
    assert!(script.shard.groups.is_empty());
    let too_large = GroupError::OffsetMetadataTooLarge { size: 4, size_max: 3 };
    assert_eq!(script.commit(commit_request("", -1, TOPIC, 5)), Err(too_large));
    assert_eq!(script.state(), GroupState::Empty);
    script.advance(3_600_000);
    assert!(script.shard.groups.is_empty());
}

#[test]
fn an_offset_of_a_topic_created_anew_is_not_found() {
    let mut script = Script::new();
    script.commit(commit_request("", -1, TOPIC, 5)).unwrap();
    let other = Uuid::from_bytes([2; 16]);
    assert!(script.shard.committed(GROUP, TOPIC, other, 0).is_none());
    script.run(|shard, _, effects| shard.on_topic_deleted(TOPIC, other, effects));
    assert_eq!(script.committed(TOPIC), Some(5));
    assert!(!script.run(|shard, _, effects| shard.on_topic_deleted(TOPIC, TOPIC_ID, effects)));
    assert_eq!(script.state(), GroupState::Empty, "the group stays until retention looks at it");
    script.advance(3_600_000);
    assert!(script.shard.groups.is_empty());
}

#[test]
fn a_group_whose_offsets_were_deleted_stays_until_retention_looks_at_it() {
    let mut script = Script::new();
    script.commit(commit_request("", -1, TOPIC, 5)).unwrap();
    assert_eq!(script.delete_offset(TOPIC), Ok(()));
    assert_eq!(script.delete_offset(TOPIC), Ok(()), "the group is still there");
    let unknown =
        script.run(|shard, now, effects| shard.heartbeat(now, GROUP, "nobody", None, 0, effects));
    assert_eq!(unknown, Err(GroupError::UnknownMember));
    assert_eq!(script.state(), GroupState::Empty);
    assert_eq!(script.delete_group(), Ok(()));
    assert!(script.shard.groups.is_empty());
}

#[test]
fn a_group_with_more_offsets_than_a_batch_holds_is_deleted_in_rounds() {
    const COUNT: i32 = 2_500;
    let mut script = Script::new();
    let mut request = commit_request("", -1, TOPIC, 5);
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].partitions =
        (0..COUNT).map(|index| CommitPartition { index, ..one.clone() }).collect();
    script.commit(request).unwrap();
    let is_any_left = |script: &mut Script| {
        script.run(|shard, _, effects| shard.delete_group(GROUP, effects)).unwrap()
    };
    assert!(is_any_left(&mut script));
    assert_eq!(script.state(), GroupState::Empty, "it is there while its offsets are");
    assert!(is_any_left(&mut script));
    assert!(!is_any_left(&mut script));
    assert!(script.shard.groups.is_empty());
    script.reload();
    assert!(script.shard.all_committed(GROUP).is_none());
}

#[test]
fn offsets_of_topics_that_are_read_cannot_be_deleted() {
    let mut script = Script::new();
    let not_found = GroupError::GroupNotFound { group_id: GROUP.to_owned() };
    assert_eq!(script.delete_offset(TOPIC), Err(not_found));
    let members = script.stable_group(1);
    script.commit(commit_request(&members[0], 1, TOPIC, 1)).unwrap();
    script.commit(commit_request(&members[0], 1, "once", 2)).unwrap();
    assert_eq!(script.delete_offset(TOPIC), Err(GroupError::SubscribedToTopic));
    assert_eq!(script.delete_offset("once"), Ok(()));
    assert_eq!(script.delete_offset("never"), Ok(()));
    script.leave(&[leaver(&members[0])]);
    assert_eq!(script.delete_offset(TOPIC), Ok(()));
    script.reload();
    assert_eq!((script.committed(TOPIC), script.committed("once")), (None, None));
}

#[test]
fn offsets_of_a_group_that_is_no_consumer_group_wait_until_it_is_empty() {
    let mut script = Script::new();
    let request = JoinRequest {
        protocol_type: "connect".to_owned(),
        requires_known_member_id: false,
        ..join_request("", &["range"])
    };
    script.join(request);
    assert_eq!(script.delete_offset(TOPIC), Err(GroupError::NotEmpty));
}

#[test]
fn only_a_group_without_members_can_be_deleted() {
    let mut script = Script::new();
    let not_found = GroupError::GroupNotFound { group_id: GROUP.to_owned() };
    assert_eq!(script.delete_group(), Err(not_found.clone()));
    let members = script.stable_group(1);
    script.commit(commit_request(&members[0], 1, TOPIC, 1)).unwrap();
    assert_eq!(script.delete_group(), Err(GroupError::NotEmpty));
    script.leave(&[leaver(&members[0])]);
    assert_eq!(script.delete_group(), Ok(()));
    assert_eq!(script.delete_group(), Err(not_found));
    script.reload();
    assert!(script.shard.groups.is_empty());
    assert_eq!(script.committed(TOPIC), None);
}

#[test]
fn offsets_of_an_empty_group_expire_when_it_has_been_empty_long_enough() {
    let mut script = Script::new();
    let members = script.stable_group(1);
    script.commit(commit_request(&members[0], 1, TOPIC, 1)).unwrap();
    script.advance_with_heartbeats(DAY_MS, &[&members[0]]);
    script.leave(&[leaver(&members[0])]);
    script.advance(6 * DAY_MS + DAY_MS / 2);
    assert_eq!(script.committed(TOPIC), Some(1), "the clock started when the group became empty");
    script.reload();
    script.advance(DAY_MS);
    assert!(script.shard.groups.is_empty(), "the group goes with its last offset");
    script.reload();
    assert!(script.shard.groups.is_empty());
}

#[test]
fn offsets_in_use_do_not_expire_and_others_of_the_group_do() {
    let mut script = Script::with(|config| config.offsets_retention_ms = 3_600_000);
    let members = script.stable_group(1);
    script.commit(commit_request(&members[0], 1, TOPIC, 1)).unwrap();
    script.commit(commit_request(&members[0], 1, "once", 2)).unwrap();
    script.advance_with_heartbeats(2 * 3_600_000, &[&members[0]]);
    assert_eq!((script.committed(TOPIC), script.committed("once")), (Some(1), None));
}

#[test]
fn offsets_of_a_simple_consumer_expire_after_its_last_commit() {
    let mut script = Script::new();
    script.commit(commit_request("", -1, TOPIC, 1)).unwrap();
    script.advance(6 * DAY_MS);
    script.commit(commit_request("", -1, TOPIC, 2)).unwrap();
    script.advance(6 * DAY_MS);
    assert_eq!(script.committed(TOPIC), Some(2));
    script.advance(2 * DAY_MS);
    assert!(script.shard.groups.is_empty());
}

#[test]
fn a_client_may_ask_for_a_retention_time_of_its_own() {
    let mut script = Script::new();
    let request = CommitRequest { retention_ms: Some(DAY_MS), ..commit_request("", -1, TOPIC, 1) };
    script.commit(request).unwrap();
    script.reload();
    script.advance(DAY_MS - 600_000);
    assert_eq!(script.committed(TOPIC), Some(1));
    script.advance(1_200_000);
    assert_eq!(script.committed(TOPIC), None);
}

#[test]
fn many_offsets_expire_in_steps() {
    let mut script = Script::new();
    let mut request = commit_request("", -1, TOPIC, 1);
    let template = request.topics[0].partitions[0].clone();
    request.topics[0].partitions =
        (0..2_500).map(|index| CommitPartition { index, ..template.clone() }).collect();
    script.commit(request).unwrap();
    let count = |script: &Script| {
        script.shard.all_committed(GROUP).map_or(0, |offsets| offsets[TOPIC].len())
    };
    script.advance(7 * DAY_MS);
    assert_eq!(count(&script), 1_500, "one step at the check");
    script.advance(1_000);
    assert_eq!(count(&script), 0);
}
