//! Produce (key 0), v3–v13: appends record batches to partitions.
//! v3 transactions and batch format 2 (KIP-98) · v4 disk errors · v5 log start offset · v7 zstd ·
//! v8 errors of single records (KIP-467) · v9 flexible encoding · v10 the current leader comes with
//! a leadership error (KIP-951) · v11 abortable transaction errors · v12 adds the partitions to the
//! transaction by itself (KIP-890) · v13 topic ids instead of names (KIP-516).

use crate::message::{Message, Structure};
use crate::record_data::Records;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(request, api = Produce, response = ProduceResponse, versions = "3-13", flexible = "9+")]
pub struct ProduceRequest {
    /// Null outside of transactions.
    #[wire(versions = "3+", nullable = "3+", default = null)]
    pub transactional_id: Option<String>,
    /// How many replicas must have the records before the answer: 0 none (and no answer), 1 the
    /// leader, -1 all that are in sync.
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicProduceData {
    /// Up to version 12; then the id takes its place.
    #[wire(versions = "0-12", ignorable)]
    pub name: String,
    #[wire(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionProduceData {
    pub index: i32,
    /// Exactly one record batch.
    #[wire(nullable = "0+", default = null)]
    pub records: Option<Records>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "3-13", flexible = "9+")]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// Addresses of the leaders that the partitions name.
    #[wire(versions = "10+", tag = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicProduceResponse {
    #[wire(versions = "0-12", ignorable)]
    pub name: String,
    #[wire(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: i16,
    /// The offset of the first record, or -1.
    pub base_offset: i64,
    /// When the broker appended, if the topic's timestamps are that time, else -1.
    #[wire(versions = "2+", default = -1, ignorable)]
    pub log_append_time_ms: i64,
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// The records for which the whole batch was refused.
    #[wire(versions = "8+", ignorable)]
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    #[wire(versions = "8+", nullable = "8+", default = null, ignorable)]
    pub error_message: Option<String>,
    /// Whom to ask next, after an error that says the leader has moved.
    #[wire(versions = "10+", tag = 0)]
    pub current_leader: LeaderIdAndEpoch,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct BatchIndexAndErrorMessage {
    /// The record's place in its batch, from 0.
    #[wire(versions = "8+")]
    pub batch_index: i32,
    #[wire(versions = "8+", nullable = "8+", default = null)]
    pub batch_index_error_message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct LeaderIdAndEpoch {
    #[wire(versions = "10+", default = -1)]
    pub leader_id: i32,
    #[wire(versions = "10+", default = -1)]
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct NodeEndpoint {
    #[wire(versions = "10+")]
    pub node_id: i32,
    #[wire(versions = "10+")]
    pub host: String,
    #[wire(versions = "10+")]
    pub port: i32,
    #[wire(versions = "10+", nullable = "10+", default = null)]
    pub rack: Option<String>,
}
