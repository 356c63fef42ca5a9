//! OffsetForLeaderEpoch (key 23), v2–v4: the end of the log of a leader epoch, from which a
//! consumer or follower learns that it must truncate.
//! v2 throttle time and the epoch the caller believes in (KIP-320) · v3 replica id · v4 flexible
//! encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = OffsetForLeaderEpoch,
    response = OffsetForLeaderEpochResponse,
    versions = "2-4",
    flexible = "4+",
)]
pub struct OffsetForLeaderEpochRequest {
    /// -1 for a consumer; -2 if not said.
    #[wire(versions = "3+", default = -2, ignorable)]
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetForLeaderTopic {
    pub topic: String,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    #[wire(versions = "2+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// The epoch whose end is wanted.
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "2-4", flexible = "4+")]
pub struct OffsetForLeaderEpochResponse {
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OffsetForLeaderTopicResult {
    pub topic: String,
    pub partitions: Vec<EpochEndOffset>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    /// The largest epoch not above the one asked for, or -1.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// The offset after the last one of that epoch, or -1.
    #[wire(default = -1)]
    pub end_offset: i64,
}
