//! What must change so that the partitions of this broker are as the metadata says. Pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use flumen_storage::log_dir::PartitionEntry;

use super::follower::Following;
use super::leader::Leadership;
use super::registry::{Hosted, Snapshot};
use super::role::Part;
use crate::config::{Durability, Settings, TopicConfig};
use crate::controller::{MetadataImage, PartitionImage, TopicImage};

/// What this broker has to do to a topic.
#[derive(Debug)]
pub(super) enum Change {
    /// The topic is new, has changed, or has new partitions: see to each of its partitions.
    Update(Arc<TopicImage>),
    /// The topic is gone, and so is its data.
    Delete(Uuid),
}

/// Compares what there is with what there should be.
///
/// Images share what did not change, so a topic whose image is the same object needs no look, unless
/// the broker's settings have changed, which topics inherit.
pub(super) fn changes(
    snapshot: &Snapshot,
    image: &MetadataImage,
    settings: &Settings,
) -> Vec<Change> {
    let inherits_the_same = snapshot.settings == *settings;
    let gone = snapshot
        .topics()
        .filter(|topic| image.topic_by_id(topic.image.id).is_none())
        .filter(|_| !is_planted(Bug::DeletedTopicsStay))
        .map(|topic| Change::Delete(topic.image.id));
    let updated = image
        .topics()
        .filter(|topic| !(inherits_the_same && is_in_line(snapshot, topic)))
        .map(|topic| Change::Update(Arc::clone(topic)));
    // A name that was deleted and created again must be free before it is taken.
    gone.chain(updated).collect()
}

fn is_in_line(snapshot: &Snapshot, topic: &Arc<TopicImage>) -> bool {
    snapshot.topic(topic.id).is_some_and(|hosted| Arc::ptr_eq(&hosted.image, topic))
}

/// What this broker is to be for a partition, if it is to have it at all.
pub(super) fn part(
    topic: &TopicImage,
    partition: &PartitionImage,
    node_id: i32,
    config: &TopicConfig,
) -> Option<Part> {
    let (leader, leader_epoch) = (partition.leader, partition.leader_epoch);
    if !partition.replicas.contains(&node_id) {
        return None;
    }
    if leader == Some(node_id) {
        return Some(Part::Lead(leadership(topic, partition, config)));
    }
    let durability = durability(topic, config);
    Some(Part::Follow(Following { leader, leader_epoch, durability }))
}

/// Whether a damaged log makes room for a copy of the leader's. `epoch` is the one that it was led or
/// followed in: what was fetched with it must not count for the copy, so a later one has to have begun.
pub(super) fn may_begin_anew(partition: &PartitionImage, node_id: i32, epoch: i32) -> bool {
    let has_begun = partition.leader_epoch > epoch || is_planted(Bug::EmptiedLogsCount);
    has_begun && partition.can_be_copied_to(node_id)
}

/// Offsets and transactions are always synced: there is no switch.
fn durability(topic: &TopicImage, config: &TopicConfig) -> Durability {
    if topic.is_internal() { Durability::Fsync } else { config.durability }
}

fn leadership(topic: &TopicImage, partition: &PartitionImage, config: &TopicConfig) -> Leadership {
    let replicas = partition.replicas.len();
    let required = usize::try_from(config.min_insync_replicas(replicas)).unwrap_or(1);
    Leadership {
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.clone(),
        in_sync: partition.in_sync.clone(),
        // More than there are replicas could never be reached (Kafka caps it in the same way).
        min_in_sync: required.min(replicas),
        durability: durability(topic, config),
    }
}

/// Which of the directories that were found hold partitions that are not kept here, by topic. One that
/// does not say which topic it is of stays: nothing proves that it is not needed.
pub(super) fn strays(
    found: Vec<PartitionEntry>,
    image: &MetadataImage,
    node_id: i32,
    topic_id: impl Fn(&Path) -> Option<Uuid>,
) -> BTreeMap<(Uuid, String), Vec<i32>> {
    let is_kept = |id, entry: &PartitionEntry| {
        let topic = image.topic_by_id(id).filter(|topic| *topic.name == *entry.topic);
        let placed = topic.and_then(|topic| topic.partition(entry.partition));
        placed.is_some_and(|partition| partition.replicas.contains(&node_id))
    };
    let mut strays: BTreeMap<_, Vec<i32>> = BTreeMap::new();
    for entry in found {
        let id = topic_id(&entry.path);
        if let Some(id) = id.filter(|id| !is_kept(*id, &entry)) {
            strays.entry((id, entry.topic)).or_default().push(entry.partition);
        }
    }
    strays
}

/// The hosted state of a partition before it is seen to.
pub(super) fn current(snapshot: &Snapshot, topic: Uuid, index: usize) -> Option<Hosted> {
    snapshot.topic(topic)?.partitions.get(index).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_log_is_not_given_up_in_the_epoch_it_was_fetched_with() {
        let partition = |leader, in_sync: &[i32], eligible: &[i32]| PartitionImage {
            replicas: vec![1, 2, 3],
            directories: vec![Uuid::ZERO; 3],
            in_sync: in_sync.to_vec(),
            eligible: eligible.to_vec(),
            leader,
            leader_epoch: 7,
            partition_epoch: 9,
            adding: Vec::new(),
            removing: Vec::new(),
            last_known_leader: None,
        };
        let out_of_sync = partition(Some(2), &[2, 3], &[]);
        assert!(may_begin_anew(&out_of_sync, 1, 6));
        assert!(!may_begin_anew(&out_of_sync, 1, 7), "the leader knows what it had");
        assert!(!may_begin_anew(&partition(Some(2), &[1, 2], &[]), 1, 6), "it is in sync");
        assert!(!may_begin_anew(&partition(Some(2), &[2], &[1]), 1, 6), "it may be needed");
        assert!(!may_begin_anew(&partition(None, &[2], &[]), 1, 6), "nobody to copy from");
    }
}
