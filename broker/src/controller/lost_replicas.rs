//! Decides on replicas that their broker cannot use: it runs, and their logs are damaged or gone.
//!
//! Where others have every acknowledged record, one of them leads, and the broker copies the partition anew. The
//! only one that is left stays: what it had may be repaired by an operator, and nobody else has it.

use std::collections::BTreeSet;

use flumen_planted::{Bug, is_planted};

use super::control::{LostReplica, LostReplicas, StaleBroker};
use super::decision::Decision;
use super::partition_change::PartitionChange;
use super::records::PartitionChangeRecord;
use super::standing::Standing;

/// Decides on the partitions that a broker has lost.
pub(super) fn lose_replicas(
    standing: Standing<'_>,
    lost: &LostReplicas,
) -> Decision<Result<(), StaleBroker>> {
    let LostReplicas { broker_id, broker_epoch, partitions } = lost;
    let registered = standing.image.broker(*broker_id);
    if registered.is_none_or(|broker| broker.epoch != *broker_epoch) {
        return Decision::answer(Err(StaleBroker));
    }
    let change = |lost: &LostReplica| -> Option<PartitionChangeRecord> {
        let index = lost.partition_index;
        let topic = standing.image.topic_by_id(lost.topic_id)?;
        let partition = topic.partition(index)?;
        if !partition.is_one_of_several(*broker_id) {
            return None;
        }
        let rules = standing.rules(topic);
        let change = PartitionChange::new(&standing, topic, index, partition, rules);
        if is_planted(Bug::EmptiedLogsCount) {
            return change.exclude(*broker_id).build();
        }
        // Its start is the same as before: until it has begun anew, the leader would take it for one that
        // has everything, and in sync again.
        change.exclude(*broker_id).begin_epoch().build()
    };
    let partitions: BTreeSet<_> = partitions.iter().collect();
    let records = partitions.into_iter().filter_map(change).map(Into::into).collect();
    Decision { records, answer: Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;
    use crate::controller::image::{MetadataImage, PartitionImage};
    use crate::controller::testing::{image_of_partition, replay_all};

    /// Leader, in-sync set and eligible replicas after broker 1 has lost the partition. Where it was counted on
    /// and is no more, the leader epoch is another, whoever leads.
    fn check(
        mut image: MetadataImage,
        expected: (Option<i32>, &[i32], &[i32]),
    ) -> Result<(), StaleBroker> {
        let topic_id = image.topic("t").unwrap().id;
        let epoch = image.partition("t", 0).unwrap().leader_epoch;
        let lost = LostReplica { topic_id, partition_index: 0 };
        let nothing = LostReplica { topic_id, partition_index: 7 };
        let partitions = vec![lost, nothing, lost];
        let config = BrokerConfig::default();
        let told = LostReplicas { broker_id: 1, broker_epoch: 1, partitions };
        let decision = lose_replicas(Standing::new(&image, &config), &told);
        replay_all(&mut image, &decision.records);
        let partition = image.partition("t", 0).unwrap();
        let PartitionImage { leader, in_sync, eligible, leader_epoch, .. } = partition;
        assert_eq!((*leader, &**in_sync, &**eligible), expected);
        assert_eq!(*leader_epoch > epoch, !decision.records.is_empty());
        let stale = LostReplicas { broker_epoch: 0, ..told };
        assert!(lose_replicas(Standing::new(&image, &config), &stale).records.is_empty());
        decision.answer
    }

    #[test]
    fn another_leads_what_a_broker_has_lost() {
        check(image_of_partition(Some(1), &[1, 2, 3]), (Some(2), &[2, 3], &[])).unwrap();
        check(image_of_partition(Some(2), &[1, 2]), (Some(2), &[2], &[])).unwrap();
        check(image_of_partition(Some(2), &[2, 3]), (Some(2), &[2, 3], &[])).unwrap();
    }

    #[test]
    fn the_only_one_that_has_everything_is_kept() {
        check(image_of_partition(Some(1), &[1]), (Some(1), &[1], &[])).unwrap();
    }

    #[test]
    fn who_is_eligible_leads_instead() {
        let mut image = image_of_partition(Some(1), &[1]);
        let topic_id = image.topic("t").unwrap().id;
        let eligible = PartitionChangeRecord {
            eligible: Some(vec![3]),
            ..PartitionChangeRecord::of(topic_id, 0)
        };
        replay_all(&mut image, &[eligible.into()]);
        check(image, (Some(3), &[3], &[])).unwrap();
    }
}
