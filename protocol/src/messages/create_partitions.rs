//! CreatePartitions (key 37), v0–v3: adds partitions to topics.
//! v2 flexible encoding · v3 quota on partition changes (KIP-599).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = CreatePartitions,
    response = CreatePartitionsResponse,
    versions = "0-3",
    flexible = "2+",
)]
pub struct CreatePartitionsRequest {
    pub topics: Vec<CreatePartitionsTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatePartitionsTopic {
    pub name: String,
    /// In total, not in addition.
    pub count: i32,
    /// Null leaves the placement of new partitions to the broker.
    #[wire(nullable = "0+")]
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-3", flexible = "2+")]
pub struct CreatePartitionsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatePartitionsTopicResult {
    pub name: String,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
}
