//! ListOffsets (key 2), v1–v11: offsets by timestamp; negative timestamps name the ends of the log.
//! v1 one offset per partition, with its timestamp · v2 isolation level · v4 leader epoch (KIP-320)
//! · v6 flexible encoding · v7 the record with the largest timestamp (KIP-734) · v8 earliest local
//! offset (KIP-405) · v9 last tiered offset (KIP-1005) · v10 a timeout for lookups in tiered
//! storage (KIP-1075) · v11 earliest offset still to be uploaded (KIP-1023).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ListOffsets,
    response = ListOffsetsResponse,
    versions = "1-11",
    flexible = "6+",
)]
pub struct ListOffsetsRequest {
    pub replica_id: i32,
    /// With 1 the end is the last stable offset, with 0 the high watermark.
    #[wire(versions = "2+")]
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic>,
    #[wire(versions = "10+", ignorable)]
    pub timeout_ms: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ListOffsetsTopic {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    #[wire(versions = "4+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Looks for the first record at or after this time. Negative ones are names: -1 the end, -2
    /// the start, -3 the record with the largest timestamp, -4 the start of what is on local disks,
    /// -5 the last tiered offset, -6 the first offset not tiered yet.
    pub timestamp: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-11", flexible = "6+")]
pub struct ListOffsetsResponse {
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ListOffsetsTopicResponse {
    pub name: String,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    /// Of the record found, or -1.
    #[wire(versions = "1+", default = -1)]
    pub timestamp: i64,
    /// -1 if no record is as young as asked for.
    #[wire(versions = "1+", default = -1)]
    pub offset: i64,
    #[wire(versions = "4+", default = -1)]
    pub leader_epoch: i32,
}
