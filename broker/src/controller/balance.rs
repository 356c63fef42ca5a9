//! Decides, from time to time, where leaders are missing or in the wrong place.

use std::collections::BTreeMap;

use super::image::PartitionImage;
use super::partition_change::changes;
use super::records::MetadataRecord;
use super::standing::Standing;

/// Elects a leader wherever nobody leads and somebody can, and takes out of in-sync sets who is not in
/// service.
///
/// Every decision does so for the partitions it concerns. This is for what a decision in several
/// entries has left undone when its leader of the quorum was lost in between, for topics that allow
/// unclean elections only since, and for sets in which a new leader of the quorum had heard of nobody when
/// it fenced one of them: the fenced one had to stay, and nothing is committed without it.
pub(super) fn finish_undone(standing: &Standing<'_>) -> Vec<MetadataRecord> {
    let has_absent =
        |partition: &PartitionImage| partition.in_sync.iter().any(|id| !standing.is_active(*id));
    changes(standing, |partition, _, change| {
        (partition.leader.is_none() || has_absent(partition)).then_some(change)
    })
}

/// Gives leaderships back to the preferred leaders of which others lead more than `percent_max` of
/// their partitions.
pub(super) fn balance_leaders(standing: &Standing<'_>, percent_max: usize) -> Vec<MetadataRecord> {
    let mut counts: BTreeMap<i32, (usize, usize)> = BTreeMap::new();
    for topic in standing.image.topics() {
        for partition in &topic.partitions {
            let Some(preferred) = partition.replicas.first() else { continue };
            let (led_by_others, all) = counts.entry(*preferred).or_default();
            *led_by_others += usize::from(partition.leader != Some(*preferred));
            *all += 1;
        }
    }
    counts.retain(|_, (led_by_others, all)| *led_by_others * 100 > *all * percent_max);
    let is_due = |partition: &PartitionImage| {
        partition.replicas.first().is_some_and(|preferred| {
            counts.contains_key(preferred)
                && partition.leader.is_some_and(|leader| leader != *preferred)
                && partition.in_sync.contains(preferred)
                && standing.is_present(*preferred)
        })
    };
    changes(standing, |partition, _, change| is_due(partition).then(|| change.elect()))
}
