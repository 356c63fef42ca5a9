//! What holds in every image, and between an image and the next, whatever was decided.

use crate::config::BrokerConfig;
use crate::controller::image::{MetadataImage, PartitionImage};
use crate::controller::standing::Standing;

/// Checks one partition.
fn check_partition(image: &MetadataImage, partition: &PartitionImage) {
    let what = partition;
    let PartitionImage { replicas, in_sync, eligible, leader, .. } = partition;
    assert!(!replicas.is_empty(), "{what:?}");
    assert_eq!(replicas.len(), partition.directories.len(), "{what:?}");
    for set in [replicas, in_sync, eligible, &partition.adding, &partition.removing] {
        let is_set = set.iter().enumerate().all(|(at, id)| !set[..at].contains(id));
        assert!(is_set, "one twice: {what:?}");
        assert!(set.iter().all(|id| replicas.contains(id)), "one is no replica: {what:?}");
    }
    assert!(in_sync.iter().all(|id| !eligible.contains(id)), "in sync and eligible: {what:?}");
    assert!(partition.adding.iter().all(|id| !partition.removing.contains(id)), "{what:?}");
    match leader {
        Some(leader) => {
            assert!(in_sync.contains(leader), "the leader is not in sync: {what:?}");
            assert!(image.is_active(*leader), "the leader is not in service (M4): {what:?}");
        }
        None => {
            let can_lead = |id: &i32| image.is_active(*id);
            let has_choice = in_sync.iter().chain(eligible).any(can_lead);
            assert!(!has_choice, "nobody leads and somebody could: {what:?}");
        }
    }
    let has_candidates = !in_sync.is_empty() || !eligible.is_empty();
    assert!(has_candidates || partition.last_known_leader.is_some(), "nothing is left: {what:?}");
}

/// M4: besides a leader that was heard of, nobody is in sync who is not in service.
pub(super) fn check_nobody_fenced_in_sync(image: &MetadataImage) {
    for topic in image.topics() {
        for partition in topic.partitions.iter().filter(|partition| partition.leader.is_some()) {
            assert!(partition.in_sync.iter().all(|id| image.is_active(*id)), "{partition:?}");
        }
    }
}

/// Checks an image, and how it came from the one before; no decision between them allowed an unclean
/// election or a smaller number of replicas in sync.
pub(super) fn check_step(before: &MetadataImage, after: &MetadataImage) {
    let config = BrokerConfig::default();
    let standing = Standing::new(after, &config);
    for topic in after.topics() {
        for (index, partition) in topic.indexed_partitions() {
            check_partition(after, partition);
            let was = before.topic_by_id(topic.id).and_then(|topic| topic.partition(index));
            let Some(was) = was.filter(|was| *was != partition) else { continue };
            let what = (was, partition);
            assert!(partition.leader_epoch >= was.leader_epoch, "{what:?}");
            if partition.leader != was.leader {
                assert!(partition.leader_epoch > was.leader_epoch, "no new epoch (R6): {what:?}");
            }
            assert!(partition.partition_epoch > was.partition_epoch, "{what:?}");
            if let Some(leader) = partition.leader {
                let was_safe = was.in_sync.contains(&leader) || was.eligible.contains(&leader);
                let rules = standing.rules(topic);
                let was_proposed = was.leader.is_some() && was.leader == partition.leader;
                let was_taken_in = was.is_reassigning() && was.leader.is_some();
                let is_safe = was_safe || was_proposed || was_taken_in || rules.allows_unclean;
                assert!(is_safe, "an unclean election (R12): {what:?}");
            }
            check_reassignment(was, partition);
        }
    }
}

/// R16: old replicas go only when all new ones are in sync.
fn check_reassignment(was: &PartitionImage, is: &PartitionImage) {
    let is_done = was.is_reassigning() && !is.is_reassigning();
    let was_ended = was.removing.iter().any(|id| is.replicas.contains(id))
        || was.adding.iter().any(|id| !is.replicas.contains(id));
    let are_in_sync = was.adding.iter().all(|id| is.in_sync.contains(id));
    assert!(!is_done || was_ended || are_in_sync, "too early (R16): {was:?} {is:?}");
    let has_gone = was.replicas.iter().any(|id| !is.replicas.contains(id));
    let is_later = is.leader_epoch > was.leader_epoch;
    assert!(!has_gone || is.leader.is_none() || is_later, "it may count on: {was:?} {is:?}");
}
