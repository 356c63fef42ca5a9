//! The topics that the course is about, and how requests about topics are put.

use anyhow::Result;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    CreateTopicsResponse,
};
use flumen_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicRequest,
};
use flumen_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};

use super::Clusters;

pub(super) const TIMEOUT_MS: i32 = 15_000;

/// On all brokers, each leading one partition.
pub(super) const SPREAD: &str = "spread";
/// On the third broker and the first.
pub(super) const PAIR: &str = "pair";
/// On the third broker alone.
pub(super) const SINGLE: &str = "single";
/// On the first and the second broker, to be moved about.
pub(super) const MOVED: &str = "moved";

const TOPICS: [(&str, &[&[i32]]); 4] = [
    (SPREAD, &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]),
    (PAIR, &[&[3, 1]]),
    (SINGLE, &[&[3]]),
    (MOVED, &[&[1], &[2]]),
];

/// Creates the topics, and waits until every broker knows of them.
pub(super) fn set(clusters: &mut Clusters) -> Result<()> {
    let topics = TOPICS.iter().map(|(name, replicas)| by_hand(name, replicas)).collect();
    clusters.ask(7, &create(topics, false), mask_created)?;
    let request = metadata_of(&TOPICS.map(|(name, _)| name));
    let is_led = |response: &MetadataResponse| {
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        response.brokers.len() == 3
            && response.topics.iter().all(|topic| topic.error_code == 0)
            && partitions.all(|partition| partition.leader_id == partition.replica_nodes[0])
    };
    for broker in 1..=3 {
        clusters.broker(broker).settle(13, &request, is_led, mask_metadata)?;
    }
    Ok(())
}

/// A topic whose replicas are named. Two in sync are needed where there are two, as Flumen has it of
/// itself only from three replicas on, and Kafka never.
pub(super) fn by_hand(name: &str, replicas: &[&[i32]]) -> CreatableTopic {
    let assignment = |(partition_index, broker_ids): (i32, &&[i32])| CreatableReplicaAssignment {
        partition_index,
        broker_ids: broker_ids.to_vec(),
    };
    let two = CreatableTopicConfig {
        name: "min.insync.replicas".to_owned(),
        value: Some("2".to_owned()),
    };
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..).zip(replicas).map(assignment).collect(),
        configs: vec![two],
    }
}

pub(super) fn create(topics: Vec<CreatableTopic>, validate_only: bool) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, validate_only }
}

/// Ids differ by nature; the configs are compared where single brokers are. Flumen's directories cannot
/// be cordoned.
pub(super) fn mask_created(response: &mut CreateTopicsResponse) {
    const CORDONED: &str = " or some brokers have all their log directories cordoned.";
    for topic in &mut response.topics {
        topic.topic_id = Uuid::ZERO;
        topic.configs = None;
        if let Some(message) = &mut topic.error_message {
            *message = message.trim_end_matches(CORDONED).to_owned();
        }
    }
}

pub(super) fn metadata_of(topics: &[&str]) -> MetadataRequest {
    let topic =
        |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
    MetadataRequest {
        topics: Some(topics.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..Default::default()
    }
}

/// Ids and addresses differ by nature, so does who leads the quorum, and how many elections there
/// were before that.
pub(super) fn mask_metadata(response: &mut MetadataResponse) {
    response.cluster_id = None;
    response.controller_id = 0;
    response.brokers.sort_by_key(|broker| broker.node_id);
    for broker in &mut response.brokers {
        broker.port = 0;
    }
    for topic in &mut response.topics {
        topic.topic_id = Uuid::ZERO;
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        for partition in &mut topic.partitions {
            partition.leader_epoch = partition.leader_epoch.min(0);
            mask_in_sync(partition.leader_id, &mut partition.isr_nodes);
        }
    }
    response.topics.sort_by(|a, b| a.name.cmp(&b.name));
}

/// Where nobody leads, Flumen's last replica in sync stays that, and Kafka's is only eligible.
fn mask_in_sync(leader_id: i32, in_sync: &mut Vec<i32>) {
    in_sync.sort_unstable();
    if leader_id < 0 {
        in_sync.clear();
    }
}

pub(super) fn describe(topics: &[&str]) -> DescribeTopicPartitionsRequest {
    let topic = |name: &&str| TopicRequest { name: (*name).to_owned() };
    DescribeTopicPartitionsRequest {
        topics: topics.iter().map(topic).collect(),
        response_partition_limit: 100,
        cursor: None,
    }
}

pub(super) fn mask_described(response: &mut DescribeTopicPartitionsResponse) {
    for topic in &mut response.topics {
        topic.topic_id = Uuid::ZERO;
        for partition in &mut topic.partitions {
            partition.leader_epoch = partition.leader_epoch.min(0);
            // Kafka goes on calling eligible what was moved away.
            let mut eligible = partition.eligible_leader_replicas.take().unwrap_or_default();
            eligible.retain(|id| partition.replica_nodes.contains(id));
            if partition.leader_id < 0 {
                eligible.extend(&partition.isr_nodes);
            }
            eligible.sort_unstable();
            eligible.dedup();
            partition.eligible_leader_replicas = Some(eligible);
            mask_in_sync(partition.leader_id, &mut partition.isr_nodes);
        }
    }
}
