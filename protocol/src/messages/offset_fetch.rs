//! OffsetFetch (key 9), v1–v10: the offsets that a group has committed.
//! v2 top-level error, null for all topics · v3 throttle time · v5 leader epoch (KIP-320) · v6
//! flexible encoding · v7 only stable offsets on demand (KIP-447) · v8 several groups at once
//! (KIP-709) · v9 members of the newer consumer protocol (KIP-848) · v10 topic ids instead of
//! names.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = OffsetFetch,
    response = OffsetFetchResponse,
    versions = "1-10",
    flexible = "6+",
)]
pub struct OffsetFetchRequest {
    #[wire(versions = "0-7")]
    pub group_id: String,
    /// Null asks for all topics of the group.
    #[wire(versions = "0-7", nullable = "2-7")]
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    #[wire(versions = "8+")]
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Refuses to answer while a transaction holds newer offsets.
    #[wire(versions = "7+")]
    pub require_stable: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchRequestTopic {
    #[wire(versions = "0-7")]
    pub name: String,
    #[wire(versions = "0-7")]
    pub partition_indexes: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchRequestGroup {
    #[wire(versions = "8+")]
    pub group_id: String,
    #[wire(versions = "9+", nullable = "9+", default = null, ignorable)]
    pub member_id: Option<String>,
    #[wire(versions = "9+", default = -1, ignorable)]
    pub member_epoch: i32,
    /// Null asks for all topics of the group.
    #[wire(versions = "8+", nullable = "8+")]
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchRequestTopics {
    #[wire(versions = "8-9", ignorable)]
    pub name: String,
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    #[wire(versions = "8+")]
    pub partition_indexes: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-10", flexible = "6+")]
pub struct OffsetFetchResponse {
    #[wire(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    #[wire(versions = "0-7")]
    pub topics: Vec<OffsetFetchResponseTopic>,
    #[wire(versions = "2-7", ignorable)]
    pub error_code: i16,
    #[wire(versions = "8+")]
    pub groups: Vec<OffsetFetchResponseGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchResponseTopic {
    #[wire(versions = "0-7")]
    pub name: String,
    #[wire(versions = "0-7")]
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchResponsePartition {
    #[wire(versions = "0-7")]
    pub partition_index: i32,
    /// -1 if there is none.
    #[wire(versions = "0-7")]
    pub committed_offset: i64,
    #[wire(versions = "5-7", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    #[wire(versions = "0-7", nullable = "0-7")]
    pub metadata: Option<String>,
    #[wire(versions = "0-7")]
    pub error_code: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchResponseGroup {
    #[wire(versions = "8+")]
    pub group_id: String,
    #[wire(versions = "8+")]
    pub topics: Vec<OffsetFetchResponseTopics>,
    #[wire(versions = "8+")]
    pub error_code: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchResponseTopics {
    #[wire(versions = "8-9", ignorable)]
    pub name: String,
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    #[wire(versions = "8+")]
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetFetchResponsePartitions {
    #[wire(versions = "8+")]
    pub partition_index: i32,
    /// -1 if there is none.
    #[wire(versions = "8+")]
    pub committed_offset: i64,
    #[wire(versions = "8+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    #[wire(versions = "8+", nullable = "8+")]
    pub metadata: Option<String>,
    #[wire(versions = "8+")]
    pub error_code: i16,
}
