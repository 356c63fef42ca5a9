//! Partitions that are moved from broker to broker.

use anyhow::Result;
use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    ListPartitionReassignmentsTopics,
};
use flumen_protocol::messages::metadata::MetadataResponse;

use super::Clusters;
use super::scene::{MOVED, SPREAD, TIMEOUT_MS, mask_metadata, metadata_of};

pub(super) fn refuse(clusters: &mut Clusters) -> Result<()> {
    let requests = [
        moves("missing", &[(0, Some(&[1]))]),
        moves(SPREAD, &[(9, Some(&[1]))]),
        moves(SPREAD, &[(-1, Some(&[1]))]),
        moves(SPREAD, &[(0, None)]),
        moves(SPREAD, &[(0, Some(&[]))]),
        moves(SPREAD, &[(0, Some(&[1, 2, 9]))]),
        moves(SPREAD, &[(0, Some(&[1, 2, -1]))]),
        moves(SPREAD, &[(0, Some(&[1, 2, 2]))]),
        moves(SPREAD, &[(0, Some(&[1, 2, 3]))]),
        moves(SPREAD, &[(0, None), (1, None), (7, None)]),
        moves("", &[(0, None)]),
    ];
    for request in requests {
        for version in 0..=1 {
            clusters.ask(version, &request, |_| ())?;
        }
    }
    let same_factor = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        ..moves(SPREAD, &[(0, Some(&[1, 2]))])
    };
    clusters.ask(1, &same_factor, |_| ())?;
    let late =
        AlterPartitionReassignmentsRequest { timeout_ms: 0, ..moves(SPREAD, &[(0, Some(&[1]))]) };
    clusters.ask(1, &late, |_| ())?;
    clusters.ask(0, &list(None), |_| ())?;
    clusters.ask(0, &list(Some((SPREAD, &[0, 9]))), |_| ())?;
    clusters.ask(0, &list(Some(("missing", &[0]))), |_| ())
}

/// Moves both partitions; one gets another leader thereby, one more replicas.
pub(super) fn make(clusters: &mut Clusters) -> Result<()> {
    let request = moves(MOVED, &[(0, Some(&[2])), (1, Some(&[1, 2, 3]))]);
    clusters.ask(1, &request, |_| ())?;
    clusters.settle(0, &list(None), is_empty, |_| ())?;
    let is_there = |response: &MetadataResponse| {
        let partitions = &response.topics[0].partitions;
        let is_in_sync = |index, replicas: &[i32]| {
            let found = partitions.iter().find(|partition| partition.partition_index == index);
            found.is_some_and(|found| {
                found.replica_nodes == replicas && found.isr_nodes.len() == replicas.len()
            })
        };
        is_in_sync(0, &[2]) && is_in_sync(1, &[1, 2, 3])
    };
    for broker in 1..=3 {
        let request = metadata_of(&[MOVED]);
        clusters.broker(broker).settle(13, &request, is_there, mask_metadata)?;
    }
    Ok(())
}

pub(super) fn is_empty(response: &ListPartitionReassignmentsResponse) -> bool {
    response.error_code == 0 && response.topics.is_empty()
}

pub(super) fn moves(
    topic: &str,
    partitions: &[(i32, Option<&[i32]>)],
) -> AlterPartitionReassignmentsRequest {
    let partition = |(partition_index, replicas): &(i32, Option<&[i32]>)| ReassignablePartition {
        partition_index: *partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        allow_replication_factor_change: true,
        topics: vec![ReassignableTopic {
            name: topic.to_owned(),
            partitions: partitions.iter().map(partition).collect(),
        }],
    }
}

pub(super) fn list(of: Option<(&str, &[i32])>) -> ListPartitionReassignmentsRequest {
    let topic = |(name, indexes): (&str, &[i32])| ListPartitionReassignmentsTopics {
        name: name.to_owned(),
        partition_indexes: indexes.to_vec(),
    };
    ListPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        topics: of.map(|of| vec![topic(of)]),
    }
}
