//! Fetch (key 1), v4–v18: reads record batches from partitions, waiting for data if told to.
//! Followers use it too.
//! v4 isolation level and aborted transactions (KIP-98) · v5 log start offset · v7 incremental
//! sessions (KIP-227) · v9 leader epoch (KIP-320) · v10 zstd · v11 fetching from a close replica
//! (KIP-392) · v12 flexible encoding, diverging epochs (KIP-595) · v13 topic ids · v15 replica
//! state with the broker epoch (KIP-903) · v16 endpoints of new leaders (KIP-951) · v17 directory
//! ids (KIP-853) · v18 high watermark of the follower (KIP-1166).

use crate::message::{Message, Structure};
use crate::record_data::Records;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(request, api = Fetch, response = FetchResponse, versions = "4-18", flexible = "12+")]
pub struct FetchRequest {
    #[wire(versions = "12+", nullable = "12+", default = null, tag = 0, ignorable)]
    pub cluster_id: Option<String>,
    /// -1 for a consumer; a broker's id for a follower.
    #[wire(versions = "0-14", default = -1)]
    pub replica_id: i32,
    #[wire(versions = "15+", tag = 1)]
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    /// The answer waits until there is this much, or `max_wait_ms` is over.
    pub min_bytes: i32,
    /// A first batch that is larger is returned all the same, so that consumers get on.
    #[wire(versions = "3+", default = 2_147_483_647, ignorable)]
    pub max_bytes: i32,
    /// 0 reads everything up to the high watermark, 1 only what is not part of an open transaction.
    #[wire(versions = "4+", ignorable)]
    pub isolation_level: i8,
    /// 0 without a session.
    #[wire(versions = "7+", ignorable)]
    pub session_id: i32,
    /// 0 asks for a new session, -1 wants none; otherwise one more than the last time.
    #[wire(versions = "7+", default = -1, ignorable)]
    pub session_epoch: i32,
    /// In a session only what is new or has changed.
    pub topics: Vec<FetchTopic>,
    #[wire(versions = "7+")]
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Where the consumer stands, to be served by a replica nearby.
    #[wire(versions = "11+", ignorable)]
    pub rack_id: String,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ReplicaState {
    #[wire(versions = "15+", default = -1)]
    pub replica_id: i32,
    #[wire(versions = "15+", default = -1)]
    pub replica_epoch: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FetchTopic {
    #[wire(versions = "0-12", ignorable)]
    pub topic: String,
    #[wire(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FetchPartition {
    pub partition: i32,
    /// What the reader takes for the current epoch, -1 if it does not know.
    #[wire(versions = "9+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// The epoch of the last record a follower has, from which the leader sees that logs diverge.
    #[wire(versions = "12+", default = -1)]
    pub last_fetched_epoch: i32,
    /// The follower's; -1 from a consumer.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    #[wire(versions = "17+", tag = 0, ignorable)]
    pub replica_directory_id: Uuid,
    #[wire(versions = "18+", default = 9_223_372_036_854_775_807, tag = 1, ignorable)]
    pub high_watermark: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ForgottenTopic {
    #[wire(versions = "7-12", ignorable)]
    pub topic: String,
    #[wire(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    #[wire(versions = "7+")]
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "4-18", flexible = "12+")]
pub struct FetchResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    #[wire(versions = "7+", ignorable)]
    pub error_code: i16,
    /// 0 if the broker keeps no session.
    #[wire(versions = "7+")]
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    #[wire(versions = "16+", tag = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FetchableTopicResponse {
    #[wire(versions = "0-12", ignorable)]
    pub topic: String,
    #[wire(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    /// Up to here no transaction is open.
    #[wire(versions = "4+", default = -1, ignorable)]
    pub last_stable_offset: i64,
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Tells a follower where its log left the leader's; -1 if it did not.
    #[wire(versions = "12+", tag = 0)]
    pub diverging_epoch: EpochEndOffset,
    #[wire(versions = "12+", tag = 1)]
    pub current_leader: LeaderIdAndEpoch,
    #[wire(versions = "12+", tag = 2)]
    pub snapshot_id: SnapshotId,
    /// Transactions whose records a reader of committed data must pass over; null if it did not
    /// ask.
    #[wire(versions = "4+", nullable = "4+", ignorable)]
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Whom a consumer should ask instead, or -1.
    #[wire(versions = "11+", default = -1)]
    pub preferred_read_replica: i32,
    #[wire(nullable = "0+", default = null)]
    pub records: Option<Records>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EpochEndOffset {
    #[wire(versions = "12+", default = -1)]
    pub epoch: i32,
    #[wire(versions = "12+", default = -1)]
    pub end_offset: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct LeaderIdAndEpoch {
    #[wire(versions = "12+", default = -1)]
    pub leader_id: i32,
    #[wire(versions = "12+", default = -1)]
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct SnapshotId {
    #[wire(default = -1)]
    pub end_offset: i64,
    #[wire(default = -1)]
    pub epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AbortedTransaction {
    #[wire(versions = "4+")]
    pub producer_id: i64,
    #[wire(versions = "4+")]
    pub first_offset: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct NodeEndpoint {
    #[wire(versions = "16+")]
    pub node_id: i32,
    #[wire(versions = "16+")]
    pub host: String,
    #[wire(versions = "16+")]
    pub port: i32,
    #[wire(versions = "16+", nullable = "16+", default = null)]
    pub rack: Option<String>,
}
