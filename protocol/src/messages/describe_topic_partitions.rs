//! DescribeTopicPartitions (key 75), v0: topics with their partitions, in pages (KIP-966).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeTopicPartitions,
    response = DescribeTopicPartitionsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct DescribeTopicPartitionsRequest {
    /// Empty for all.
    pub topics: Vec<TopicRequest>,
    #[wire(default = 2000)]
    pub response_partition_limit: i32,
    /// Where the last page ended; null to begin.
    #[wire(nullable = "0+", default = null)]
    pub cursor: Option<Cursor>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicRequest {
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Cursor {
    pub topic_name: String,
    pub partition_index: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct DescribeTopicPartitionsResponse {
    #[wire(ignorable)]
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    /// Null if this was the last page.
    #[wire(nullable = "0+", default = null)]
    pub next_cursor: Option<Cursor>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeTopicPartitionsResponseTopic {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub name: Option<String>,
    #[wire(ignorable)]
    pub topic_id: Uuid,
    #[wire(ignorable)]
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    #[wire(default = -2_147_483_648)]
    pub topic_authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    #[wire(default = -1, ignorable)]
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    #[wire(nullable = "0+", default = null)]
    pub eligible_leader_replicas: Option<Vec<i32>>,
    #[wire(nullable = "0+", default = null)]
    pub last_known_elr: Option<Vec<i32>>,
    #[wire(ignorable)]
    pub offline_replicas: Vec<i32>,
}
