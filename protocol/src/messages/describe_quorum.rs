//! DescribeQuorum (key 55), v0–v2: the state of the metadata quorum: leader, epoch, voters and
//! observers (KIP-595).
//! v1 when each replica last fetched and caught up (KIP-836) · v2 error messages, directory ids and
//! endpoints (KIP-853).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeQuorum,
    response = DescribeQuorumResponse,
    versions = "0-2",
    flexible = "0+",
)]
pub struct DescribeQuorumRequest {
    pub topics: Vec<TopicData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicData {
    pub topic_name: String,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionData {
    pub partition_index: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "0+")]
pub struct DescribeQuorumResponse {
    pub error_code: i16,
    #[wire(versions = "2+", nullable = "2+", ignorable)]
    pub error_message: Option<String>,
    pub topics: Vec<ResponseTopicData>,
    #[wire(versions = "2+")]
    pub nodes: Vec<Node>,
}

/// Kafka's schema names this `TopicData`, like the other part of that name in the request.
#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ResponseTopicData {
    pub topic_name: String,
    pub partitions: Vec<ResponsePartitionData>,
}

/// Kafka's schema names this `PartitionData`, like the other part of that name in the request.
#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ResponsePartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    #[wire(versions = "2+", nullable = "2+", ignorable)]
    pub error_message: Option<String>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Node {
    #[wire(versions = "2+")]
    pub node_id: i32,
    #[wire(versions = "2+")]
    pub listeners: Vec<Listener>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Listener {
    #[wire(versions = "2+")]
    pub name: String,
    #[wire(versions = "2+")]
    pub host: String,
    #[wire(versions = "2+")]
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ReplicaState {
    pub replica_id: i32,
    #[wire(versions = "2+")]
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub last_fetch_timestamp: i64,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub last_caught_up_timestamp: i64,
}
