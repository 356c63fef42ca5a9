//! R2: who leaves a set that has become too small to commit anything still has everything, and is
//! eligible.
//!
//! Only a single change from one epoch of a partition to the next can be judged, and only one that
//! moves no replicas: a view may come after several. Whose disk has damaged what it had is no such
//! broker any more.

use std::collections::BTreeMap;

use flumen_broker::controller::PartitionImage;

use super::Live;
use crate::view::{PartitionKey, View};

/// `min.insync.replicas` of a topic that says nothing else, where it has as many replicas.
pub(super) const IN_SYNC_MIN: usize = 2;

#[derive(Debug, Default)]
pub(super) struct State {
    /// As last seen.
    partitions: BTreeMap<PartitionKey, PartitionImage>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        let Some(image) = view.newest_image() else { return Ok(()) };
        for topic in image.topics() {
            let min = topic.configs.get("min.insync.replicas");
            let min = min.and_then(|min| min.parse().ok()).unwrap_or(IN_SYNC_MIN);
            for (index, partition) in topic.indexed_partitions() {
                let Some(before) = self.partitions.insert((topic.id, index), partition.clone())
                else {
                    continue;
                };
                if let Some(id) = forgotten(&before, partition, min)
                    && !view.may_have_lost(&topic.name, index, id)
                {
                    return Err(format!(
                        "{}-{index} forgot {id} between {before:?} and {partition:?}",
                        topic.name
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Somebody who had everything and is not known to any more.
fn forgotten(before: &PartitionImage, after: &PartitionImage, min: usize) -> Option<i32> {
    let is_one_change = after.partition_epoch == before.partition_epoch + 1;
    let min = min.min(after.replicas.len());
    if !is_one_change || after.replicas != before.replicas || after.in_sync.len() >= min {
        return None;
    }
    let mut had = before.in_sync.iter().chain(&before.eligible).copied();
    had.find(|id| !after.in_sync.contains(id) && !after.eligible.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition_epoch: i32, in_sync: &[i32], eligible: &[i32]) -> PartitionImage {
        PartitionImage {
            replicas: vec![1, 2, 3],
            directories: Vec::new(),
            in_sync: in_sync.to_vec(),
            eligible: eligible.to_vec(),
            leader: in_sync.first().copied(),
            leader_epoch: 1,
            partition_epoch,
            adding: Vec::new(),
            removing: Vec::new(),
            last_known_leader: None,
        }
    }

    #[test]
    fn who_leaves_a_set_that_is_too_small_must_be_eligible() {
        let of_two = |before: &PartitionImage, after: &PartitionImage| forgotten(before, after, 2);
        let before = partition(1, &[1, 2], &[]);
        assert_eq!(of_two(&before, &partition(2, &[1], &[2])), None);
        assert_eq!(of_two(&before, &partition(2, &[1], &[])), Some(2));
        // Enough are in sync, so the next commit may do without the other.
        assert_eq!(of_two(&partition(1, &[1, 2, 3], &[]), &partition(2, &[1, 2], &[])), None);
        assert_eq!(forgotten(&before, &partition(2, &[1], &[]), 1), None);
        // In between, somebody may have come and gone.
        assert_eq!(of_two(&before, &partition(4, &[1], &[3])), None);
        // Who was elected from the eligible leaves the others so.
        let leaderless = partition(1, &[1], &[2, 3]);
        assert_eq!(of_two(&leaderless, &partition(2, &[2], &[1, 3])), None);
        assert_eq!(of_two(&leaderless, &partition(2, &[2], &[1])), Some(3));
    }
}
