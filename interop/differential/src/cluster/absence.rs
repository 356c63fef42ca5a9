//! A cluster one of whose brokers is gone.

use anyhow::Result;
use flumen_protocol::Uuid;
use flumen_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use flumen_protocol::messages::describe_cluster::{
    DescribeClusterRequest, DescribeClusterResponse,
};
use flumen_protocol::messages::describe_quorum as quorum;
use flumen_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsResponse;
use flumen_protocol::messages::metadata::MetadataResponse;
use flumen_protocol::messages::unregister_broker::UnregisterBrokerRequest;

use super::Clusters;
use super::elections::{PREFERRED, UNCLEAN, elect, sort_elected};
use super::moves::{is_empty, list, moves};
use super::replicas::produce;
use super::scene::{
    MOVED, PAIR, SINGLE, SPREAD, TIMEOUT_MS, by_hand, create, describe, mask_created,
    mask_described, mask_metadata, metadata_of,
};

/// Waits until the broker is missed, and looks at the cluster from all sides.
pub(super) fn show(clusters: &mut Clusters) -> Result<()> {
    let is_missed = |response: &MetadataResponse| {
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        response.brokers.len() == 2 && partitions.all(|partition| partition.leader_id != 3)
    };
    let topics = [SPREAD, PAIR, SINGLE, MOVED];
    for broker in 1..=2 {
        for version in [4, 9, 13] {
            let pair = clusters.broker(broker);
            pair.settle(version, &metadata_of(&topics), is_missed, mask_metadata)?;
        }
        let pair = clusters.broker(broker);
        pair.ask(0, |_| describe(&topics), mask_described)?;
    }
    for include_fenced_brokers in [false, true] {
        let request = DescribeClusterRequest { include_fenced_brokers, ..Default::default() };
        clusters.ask(2, &request, mask_cluster)?;
    }
    let request = quorum::DescribeQuorumRequest {
        topics: vec![quorum::TopicData {
            topic_name: "__cluster_metadata".to_owned(),
            partitions: vec![quorum::PartitionData::default()],
        }],
    };
    clusters.ask(2, &request, mask_quorum)?;
    // Two replicas are needed, and one is left; Flumen says so in words as well.
    clusters.ask(9, &produce(PAIR, 0, -1), |response| {
        let partitions = response.responses.iter_mut().flat_map(|of| &mut of.partition_responses);
        partitions.for_each(|partition| partition.error_message = None);
    })?;
    clusters.ask(9, &produce(SINGLE, 0, -1), |_| ())
}

pub(super) fn hold_elections(clusters: &mut Clusters) -> Result<()> {
    for election in [PREFERRED, UNCLEAN] {
        for (topic, partitions) in [(SPREAD, &[0, 2][..]), (PAIR, &[0]), (SINGLE, &[0])] {
            clusters.ask(2, &elect(election, Some((topic, partitions))), |_| ())?;
        }
        clusters.ask(2, &elect(election, None), sort_elected)?;
    }
    Ok(())
}

/// Moves partitions to the broker that is gone, gives that up, and deletes what is being moved.
pub(super) fn move_there(clusters: &mut Clusters) -> Result<()> {
    clusters.ask(1, &moves(MOVED, &[(0, Some(&[3])), (1, Some(&[3, 1]))]), |_| ())?;
    let is_going_on = |response: &ListPartitionReassignmentsResponse| !response.topics.is_empty();
    clusters.settle(0, &list(None), is_going_on, |_| ())?;
    clusters.ask(0, &list(Some((MOVED, &[0, 1]))), |_| ())?;
    clusters.ask(13, &metadata_of(&[MOVED]), mask_metadata)?;
    clusters.ask(0, &describe(&[MOVED]), mask_described)?;
    clusters.ask(1, &moves(MOVED, &[(0, Some(&[1])), (1, None)]), |_| ())?;
    clusters.ask(1, &moves(MOVED, &[(1, None)]), |_| ())?;
    let is_back = |response: &MetadataResponse| {
        let mut partitions = response.topics[0].partitions.iter();
        partitions.all(|partition| partition.leader_id >= 0)
            && response.topics[0].partitions[0].replica_nodes == [1]
    };
    clusters.settle(13, &metadata_of(&[MOVED]), is_back, mask_metadata)?;
    clusters.settle(0, &list(None), is_empty, |_| ())?;
    clusters.ask(1, &moves(MOVED, &[(0, Some(&[3]))]), |_| ())?;
    clusters.settle(0, &list(None), is_going_on, |_| ())?;
    let deleted = DeleteTopicState { name: Some(MOVED.to_owned()), topic_id: Uuid::ZERO };
    let request =
        DeleteTopicsRequest { topics: vec![deleted], timeout_ms: TIMEOUT_MS, ..Default::default() };
    clusters.ask(6, &request, |response| {
        response.responses.iter_mut().for_each(|topic| topic.topic_id = Uuid::ZERO);
    })?;
    clusters.settle(0, &list(None), is_empty, |_| ())?;
    // Nothing goes where nobody is, unless it is said to.
    clusters.ask(7, &create(vec![by_hand("there", &[&[3]])], true), mask_created)?;
    clusters.ask(7, &create(vec![by_hand("half", &[&[1, 3]])], true), mask_created)?;
    let mut three = by_hand("three", &[]);
    (three.num_partitions, three.replication_factor) = (1, 3);
    clusters.ask(7, &create(vec![three], true), mask_created)
}

/// The broker is given up for good.
pub(super) fn return_never(clusters: &mut Clusters) -> Result<()> {
    for broker_id in [77, -1, 3, 3] {
        clusters.ask(0, &UnregisterBrokerRequest { broker_id }, |_| ())?;
    }
    let is_gone = |response: &DescribeClusterResponse| response.brokers.len() == 2;
    let request = DescribeClusterRequest { include_fenced_brokers: true, ..Default::default() };
    clusters.settle(2, &request, is_gone, mask_cluster)?;
    clusters.ask(13, &metadata_of(&[SPREAD, PAIR, SINGLE]), mask_metadata)?;
    clusters.ask(0, &describe(&[SPREAD, PAIR, SINGLE]), mask_described)?;
    clusters.ask(1, &moves(SPREAD, &[(0, Some(&[1, 2, 3]))]), |_| ())
}

fn mask_cluster(response: &mut DescribeClusterResponse) {
    (response.cluster_id, response.controller_id) = (String::new(), 0);
    response.brokers.sort_by_key(|broker| broker.broker_id);
    response.brokers.iter_mut().for_each(|broker| broker.port = 0);
}

/// Who leads the quorum and how far its members are is each quorum's own.
fn mask_quorum(response: &mut quorum::DescribeQuorumResponse) {
    response.nodes.iter_mut().for_each(|node| node.listeners.clear());
    response.nodes.sort_by_key(|node| node.node_id);
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        (partition.leader_id, partition.leader_epoch, partition.high_watermark) = (0, 0, 0);
        partition.current_voters.sort_by_key(|voter| voter.replica_id);
        for replica in partition.current_voters.iter_mut().chain(&mut partition.observers) {
            replica.replica_directory_id = Uuid::ZERO;
            replica.log_end_offset = 0;
            replica.last_fetch_timestamp = 0;
            replica.last_caught_up_timestamp = 0;
        }
    }
}
