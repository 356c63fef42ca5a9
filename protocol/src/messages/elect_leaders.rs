//! ElectLeaders (key 43), v0–v2: elects the preferred leaders of partitions, or any living replica.
//! v1 kinds of elections and a top-level error (KIP-460) · v2 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ElectLeaders,
    response = ElectLeadersResponse,
    versions = "0-2",
    flexible = "2+",
)]
pub struct ElectLeadersRequest {
    /// 0 the preferred replica, 1 any living one, even with loss of data.
    #[wire(versions = "1+")]
    pub election_type: i8,
    /// Null for all partitions.
    #[wire(nullable = "0+")]
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartitions {
    pub topic: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "2+")]
pub struct ElectLeadersResponse {
    pub throttle_time_ms: i32,
    #[wire(versions = "1+")]
    pub error_code: i16,
    pub replica_election_results: Vec<ReplicaElectionResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ReplicaElectionResult {
    pub topic: String,
    pub partition_result: Vec<PartitionResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionResult {
    pub partition_id: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
