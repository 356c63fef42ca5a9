//! OffsetCommit (key 8), v2–v10: stores the offsets that a group has consumed up to.
//! v3 throttle time · v5 retention time removed · v6 leader epoch (KIP-320) · v7 static members
//! (KIP-345) · v8 flexible encoding · v9 members of the newer consumer protocol (KIP-848) · v10
//! topic ids instead of names.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = OffsetCommit,
    response = OffsetCommitResponse,
    versions = "2-10",
    flexible = "8+",
)]
pub struct OffsetCommitRequest {
    pub group_id: String,
    /// -1 from a consumer that is not a member of the group.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub generation_id_or_member_epoch: i32,
    #[wire(versions = "1+", ignorable)]
    pub member_id: String,
    #[wire(versions = "7+", nullable = "7+", default = null)]
    pub group_instance_id: Option<String>,
    /// -1 leaves it to the broker.
    #[wire(versions = "2-4", default = -1, ignorable)]
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetCommitRequestTopic {
    #[wire(versions = "0-9", ignorable)]
    pub name: String,
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetCommitRequestPartition {
    pub partition_index: i32,
    /// The next offset to read.
    pub committed_offset: i64,
    #[wire(versions = "6+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    #[wire(nullable = "0+")]
    pub committed_metadata: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "2-10", flexible = "8+")]
pub struct OffsetCommitResponse {
    #[wire(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetCommitResponseTopic {
    #[wire(versions = "0-9", ignorable)]
    pub name: String,
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}
