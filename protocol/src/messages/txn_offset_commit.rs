//! TxnOffsetCommit (key 28), v0–v6: stores a group's offsets as part of a transaction.
//! v2 leader epoch (KIP-320) · v3 the member and its generation, flexible encoding (KIP-447) · v4
//! abortable transaction errors · v5 adds the group to the transaction by itself (KIP-890) · v6
//! topic ids instead of names (KIP-1319).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = TxnOffsetCommit,
    response = TxnOffsetCommitResponse,
    versions = "0-6",
    flexible = "3+",
)]
pub struct TxnOffsetCommitRequest {
    pub transactional_id: String,
    pub group_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    #[wire(versions = "3+", default = -1)]
    pub generation_id_or_member_epoch: i32,
    #[wire(versions = "3+")]
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TxnOffsetCommitRequestTopic {
    #[wire(versions = "0-5", ignorable)]
    pub name: String,
    #[wire(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TxnOffsetCommitRequestPartition {
    pub partition_index: i32,
    pub committed_offset: i64,
    #[wire(versions = "2+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    #[wire(nullable = "0+")]
    pub committed_metadata: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-6", flexible = "3+")]
pub struct TxnOffsetCommitResponse {
    pub throttle_time_ms: i32,
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TxnOffsetCommitResponseTopic {
    #[wire(versions = "0-5", ignorable)]
    pub name: String,
    #[wire(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TxnOffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}
