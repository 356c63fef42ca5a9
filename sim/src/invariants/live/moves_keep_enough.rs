//! R16: a replica that is new counts as one that is added until it is in sync, and an old one that has everything
//! goes only if enough are left in sync.
//!
//! Only a single change from one epoch of a partition to the next can be judged: a view may come after
//! several.

use std::collections::BTreeMap;

use flumen_broker::controller::PartitionImage;

use super::Live;
use super::leavers_stay_eligible::IN_SYNC_MIN;
use crate::view::{PartitionKey, View};

#[derive(Debug, Default)]
pub(super) struct State {
    /// As last seen.
    partitions: BTreeMap<PartitionKey, PartitionImage>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        let Some(image) = view.newest_image() else { return Ok(()) };
        for topic in image.topics() {
            for (index, partition) in topic.indexed_partitions() {
                let before = self.partitions.insert((topic.id, index), partition.clone());
                if before.is_some_and(|before| goes_too_far(&before, partition)) {
                    return Err(format!("{}-{index} is moved: {partition:?}", topic.name));
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody came or went between the two who had to wait.
fn goes_too_far(before: &PartitionImage, after: &PartitionImage) -> bool {
    if after.partition_epoch != before.partition_epoch + 1 {
        return false;
    }
    let was_there = |id: &i32| before.replicas.contains(id) && !before.adding.contains(id);
    // One that was added, and is not wanted any more, may stay as one that goes.
    let is_moving = |id: &i32| after.adding.contains(id) || after.removing.contains(id);
    let may_be_there = |id: &i32| was_there(id) || after.in_sync.contains(id) || is_moving(id);
    let mut had_everything = before.in_sync.iter().chain(&before.eligible);
    let has_one_gone = had_everything.any(|id| was_there(id) && !after.replicas.contains(id));
    let is_enough = after.in_sync.len() >= IN_SYNC_MIN.min(after.replicas.len());
    !after.replicas.iter().all(may_be_there) || (has_one_gone && !is_enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition_epoch: i32, replicas: &[i32], in_sync: &[i32]) -> PartitionImage {
        PartitionImage {
            replicas: replicas.to_vec(),
            directories: Vec::new(),
            in_sync: in_sync.to_vec(),
            eligible: Vec::new(),
            leader: in_sync.first().copied(),
            leader_epoch: 1,
            partition_epoch,
            adding: Vec::new(),
            removing: Vec::new(),
            last_known_leader: None,
        }
    }

    fn moving(replicas: &[i32], in_sync: &[i32]) -> PartitionImage {
        let (adding, removing) = (vec![4], vec![1]);
        PartitionImage { adding, removing, ..partition(1, replicas, in_sync) }
    }

    fn check(before: &PartitionImage, after: &PartitionImage, expected: bool) {
        assert_eq!(goes_too_far(before, after), expected, "{after:?}");
    }

    #[test]
    fn a_move_ends_when_the_new_ones_are_in_sync() {
        let before = moving(&[2, 3, 4, 1], &[1, 2, 3]);
        check(&before, &partition(2, &[2, 3, 4], &[2, 3, 4]), false);
        check(&before, &partition(2, &[2, 3, 4], &[2, 3]), true);
        // The same in one step.
        let at_rest = partition(1, &[1, 2, 3], &[1, 2, 3]);
        check(&at_rest, &partition(2, &[2, 3, 4], &[2, 3]), true);
        check(&at_rest, &PartitionImage { partition_epoch: 2, ..before.clone() }, false);
        // In between it may have joined and left.
        check(&before, &partition(4, &[2, 3, 4], &[2, 3]), false);
        // It is to go elsewhere.
        let (adding, removing) = (vec![5], vec![1, 4]);
        let elsewhere = partition(2, &[2, 3, 5, 1, 4], &[1, 2, 3]);
        check(&before, &PartitionImage { adding, removing, ..elsewhere }, false);
        // It was called off.
        check(&before, &partition(2, &[1, 2, 3], &[1, 2, 3]), false);
    }

    #[test]
    fn a_move_leaves_enough_in_sync() {
        let before = moving(&[2, 4, 1], &[1, 4]);
        let alone = partition(2, &[2, 4], &[4]);
        check(&before, &alone, true);
        check(&before, &partition(2, &[2, 4], &[2, 4]), false);
        // Who goes had nothing that would be missed, or had everything once.
        let without = moving(&[2, 4, 1], &[4]);
        check(&without, &alone, false);
        check(&PartitionImage { eligible: vec![1], ..without }, &alone, true);
    }
}
