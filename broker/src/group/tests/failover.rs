//! The coordinator of a broker as leadership comes and goes, and as its log loses records.

use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::Uuid;

use super::*;
use crate::coordinator::tests::memory_log::MemoryLog;
use crate::coordinator::{CoordinatorError, CoordinatorLog};

fn groups() -> Groups {
    groups_with_delay(0)
}

fn groups_with_delay(initial_rebalance_delay_ms: i32) -> Groups {
    let config = GroupConfig { initial_rebalance_delay_ms, ..default_config() };
    Groups::new(Arc::new(config), Seams::real())
}

fn lead(groups: &Groups, log: &Arc<MemoryLog>, leader_epoch: i32) {
    let log = Arc::clone(log) as Arc<dyn CoordinatorLog>;
    groups.reconcile(1, vec![LedPartition { index: 0, topic_id: Uuid::ZERO, leader_epoch, log }]);
}

fn commit_request(offset: i64) -> CommitRequest {
    let partition = CommitPartition { index: 0, offset, leader_epoch: -1, metadata: String::new() };
    CommitRequest {
        group_id: GROUP.to_owned(),
        member_id: String::new(),
        instance_id: None,
        generation: -1,
        knows_group_not_found: true,
        retention_ms: None,
        topics: vec![CommitTopic {
            name: TOPIC.to_owned(),
            id: Uuid::ZERO,
            partitions: vec![partition],
        }],
    }
}

/// Commits, as a client does: again while the coordinator loads.
async fn commit(groups: &Groups, offset: i64) -> Result<(), GroupError> {
    loop {
        match groups.commit(commit_request(offset)).await {
            Err(GroupError::Coordinator(CoordinatorError::LoadInProgress)) => {
                tokio::task::yield_now().await;
            }
            result => return result.map(drop),
        }
    }
}

async fn fetch(groups: &Groups) -> Option<i64> {
    let wanted = FetchTopic { name: TOPIC.to_owned(), id: Uuid::ZERO, partitions: vec![0] };
    loop {
        match groups.fetch(GROUP, vec![wanted.clone()]).await {
            Err(GroupError::Coordinator(CoordinatorError::LoadInProgress)) => {
                tokio::task::yield_now().await;
            }
            fetched => {
                let (_, committed) = fetched.unwrap().remove(0).partitions.remove(0);
                return committed.map(|committed| committed.offset);
            }
        }
    }
}

#[tokio::test]
async fn only_the_leader_of_its_partition_coordinates_a_group() {
    let groups = groups();
    let nobody = Err(GroupError::Coordinator(CoordinatorError::NotCoordinator));
    assert_eq!(groups.partition_of(GROUP), None);
    assert_eq!(commit(&groups, 1).await, nobody);
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 0);
    assert_eq!(groups.partition_of(GROUP), Some(0));
    assert_eq!(commit(&groups, 1).await, Ok(()));
    groups.reconcile(1, Vec::new());
    assert_eq!(commit(&groups, 2).await, nobody);
    lead(&groups, &log, 2);
    assert_eq!(fetch(&groups).await, Some(1));
}

#[tokio::test]
async fn a_partition_that_stays_is_left_alone_and_one_with_a_new_epoch_is_read_again() {
    let groups = groups();
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 5);
    commit(&groups, 1).await.unwrap();
    log.make_readable(false);
    lead(&groups, &log, 5);
    assert_eq!(fetch(&groups).await, Some(1), "nothing was read");
    lead(&groups, &log, 6);
    let loading = groups.fetch_all(GROUP).await.unwrap_err();
    assert_eq!(loading, GroupError::Coordinator(CoordinatorError::LoadInProgress));
    log.make_readable(true);
    assert_eq!(fetch(&groups).await, Some(1));
}

#[tokio::test]
async fn a_commit_that_was_lost_was_never_answered_and_is_not_found() {
    let groups = groups();
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 0);
    commit(&groups, 1).await.unwrap();
    log.hold_commits();
    let committing = commit(&groups, 2);
    let reading = fetch(&groups);
    tokio::pin!(committing, reading);
    assert!(futures_util::poll!(committing.as_mut()).is_pending());
    log.lose_uncommitted();
    let lost = Err(GroupError::Coordinator(CoordinatorError::NotCoordinator));
    assert_eq!(committing.await, lost);
    assert_eq!(reading.await, Some(1));
}

#[tokio::test]
async fn members_that_wait_are_sent_away_when_leadership_is_lost() {
    let groups = groups_with_delay(60_000);
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 0);
    commit(&groups, 1).await.unwrap();
    let first = groups.join(join_request("", &["range"])).await.unwrap_err();
    assert_eq!(first.error, GroupError::MemberIdRequired);
    assert!(first.member_id.starts_with("client-") && first.member_id.len() == 43);
    let joining = groups.join(join_request(&first.member_id, &["range"]));
    let joining = tokio::time::timeout(Duration::from_secs(30), joining);
    tokio::pin!(joining);
    assert!(futures_util::poll!(joining.as_mut()).is_pending());
    groups.close();
    let refusal = joining.await.unwrap().unwrap_err();
    assert_eq!(refusal.error, GroupError::Coordinator(CoordinatorError::NotCoordinator));
    assert_eq!(refusal.member_id, first.member_id);
}

/// The only member of a group.
async fn join_alone(groups: &Groups) -> Joined {
    commit(groups, 1).await.unwrap();
    let first = groups.join(join_request("", &["range"])).await.unwrap_err();
    let joined = groups.join(join_request(&first.member_id, &["range"])).await.unwrap();
    assert_eq!(joined.leader, first.member_id);
    let mut request = sync_request(&joined.member_id, joined.generation);
    request.assignments.insert(joined.member_id.clone(), assignment("x", 1));
    assert_eq!(groups.sync(request).await.unwrap().assignment, assignment("x", 1));
    joined
}

#[tokio::test]
async fn a_refusal_that_may_be_lost_is_not_told() {
    let groups = groups();
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 0);
    let Joined { member_id, generation, .. } = join_alone(&groups).await;
    log.hold_commits();
    let leavers = [leaver(&member_id)];
    let leaving = groups.leave(GROUP, &leavers);
    let committing = groups.commit(CommitRequest { member_id, generation, ..commit_request(2) });
    tokio::pin!(leaving, committing);
    assert!(futures_util::poll!(leaving.as_mut()).is_pending());
    assert!(futures_util::poll!(committing.as_mut()).is_pending(), "an unknown member");
    log.lose_uncommitted();
    let lost = GroupError::Coordinator(CoordinatorError::NotCoordinator);
    assert_eq!(committing.await.unwrap_err(), lost);
}

#[tokio::test]
async fn a_member_joins_and_gets_its_assignment() {
    let groups = groups();
    let log = Arc::new(MemoryLog::new());
    lead(&groups, &log, 0);
    join_alone(&groups).await;
    let listed = groups.list().await.unwrap();
    assert_eq!(listed[0].state, GroupState::Stable);
    assert_eq!(groups.describe(GROUP).await.unwrap().members.len(), 1);
}
