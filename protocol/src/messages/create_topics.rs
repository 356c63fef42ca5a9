//! CreateTopics (key 19), v2–v7: creates topics, or only checks whether they could be created.
//! v2 throttle time · v4 the broker's defaults for partitions and replicas (KIP-464) · v5 flexible
//! encoding, the new topic's configuration in the response (KIP-525) · v6 quota on partition
//! changes (KIP-599) · v7 topic ids in the response.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = CreateTopics,
    response = CreateTopicsResponse,
    versions = "2-7",
    flexible = "5+",
)]
pub struct CreateTopicsRequest {
    pub topics: Vec<CreatableTopic>,
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
    #[wire(versions = "1+")]
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableTopic {
    pub name: String,
    /// -1 with assignments, or for the broker's default.
    pub num_partitions: i32,
    /// -1 with assignments, or for the broker's default.
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableTopicConfig {
    pub name: String,
    #[wire(nullable = "0+")]
    pub value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "2-7", flexible = "5+")]
pub struct CreateTopicsResponse {
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableTopicResult {
    pub name: String,
    #[wire(versions = "7+", ignorable)]
    pub topic_id: Uuid,
    pub error_code: i16,
    #[wire(versions = "1+", nullable = "0+", ignorable)]
    pub error_message: Option<String>,
    /// Why the configuration below is missing.
    #[wire(versions = "5+", tag = 0, ignorable)]
    pub topic_config_error_code: i16,
    #[wire(versions = "5+", default = -1, ignorable)]
    pub num_partitions: i32,
    #[wire(versions = "5+", default = -1, ignorable)]
    pub replication_factor: i16,
    #[wire(versions = "5+", nullable = "5+", ignorable)]
    pub configs: Option<Vec<CreatableTopicConfigs>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableTopicConfigs {
    #[wire(versions = "5+")]
    pub name: String,
    #[wire(versions = "5+", nullable = "5+")]
    pub value: Option<String>,
    #[wire(versions = "5+")]
    pub read_only: bool,
    /// Numbered as in DescribeConfigs.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub config_source: i8,
    #[wire(versions = "5+")]
    pub is_sensitive: bool,
}
