//! DescribeShareGroupOffsets (key 90), v0–v1: from where share groups deliver (KIP-932).
//! v1 lag (KIP-1226).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeShareGroupOffsets,
    response = DescribeShareGroupOffsetsResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct DescribeShareGroupOffsetsRequest {
    pub groups: Vec<DescribeShareGroupOffsetsRequestGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeShareGroupOffsetsRequestGroup {
    pub group_id: String,
    #[wire(nullable = "0+")]
    pub topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeShareGroupOffsetsRequestTopic {
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct DescribeShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribeShareGroupOffsetsResponseGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeShareGroupOffsetsResponseGroup {
    pub group_id: String,
    pub topics: Vec<DescribeShareGroupOffsetsResponseTopic>,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeShareGroupOffsetsResponseTopic {
    pub topic_name: String,
    pub topic_id: Uuid,
    pub partitions: Vec<DescribeShareGroupOffsetsResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeShareGroupOffsetsResponsePartition {
    pub partition_index: i32,
    pub start_offset: i64,
    pub leader_epoch: i32,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub lag: i64,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
}
