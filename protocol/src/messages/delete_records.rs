//! DeleteRecords (key 21), v0–v2: moves the log start offset of partitions up, so that the records
//! before it are gone.
//! v2 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DeleteRecords,
    response = DeleteRecordsResponse,
    versions = "0-2",
    flexible = "2+",
)]
pub struct DeleteRecordsRequest {
    pub topics: Vec<DeleteRecordsTopic>,
    pub timeout_ms: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteRecordsTopic {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    /// The first one to keep; -1 deletes up to the high watermark.
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "2+")]
pub struct DeleteRecordsResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<DeleteRecordsTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteRecordsTopicResult {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteRecordsPartitionResult {
    pub partition_index: i32,
    /// The lowest log start offset of all replicas.
    pub low_watermark: i64,
    pub error_code: i16,
}
