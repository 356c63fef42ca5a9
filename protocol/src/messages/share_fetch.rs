//! ShareFetch (key 78), v1–v2: acquires records of share partitions and reads them;
//! acknowledgements can ride along (KIP-932).
//! v0 was an early preview that is gone · v2 the way records are acquired, and renewal of
//! acquisitions (KIP-1206, KIP-1222).

use crate::message::{Message, Structure};
use crate::record_data::Records;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ShareFetch,
    response = ShareFetchResponse,
    versions = "1-2",
    flexible = "0+",
)]
pub struct ShareFetchRequest {
    #[wire(nullable = "0+", default = null)]
    pub group_id: Option<String>,
    #[wire(nullable = "0+")]
    pub member_id: Option<String>,
    /// 0 opens a session, -1 closes it.
    pub share_session_epoch: i32,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    #[wire(default = 2_147_483_647)]
    pub max_bytes: i32,
    #[wire(versions = "1+")]
    pub max_records: i32,
    #[wire(versions = "1+")]
    pub batch_size: i32,
    /// 0 whole batches, 1 never more than `max_records`.
    #[wire(versions = "2+", ignorable)]
    pub share_acquire_mode: i8,
    #[wire(versions = "2+")]
    pub is_renew_ack: bool,
    pub topics: Vec<FetchTopic>,
    pub forgotten_topics_data: Vec<ForgottenTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FetchTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct FetchPartition {
    pub partition_index: i32,
    #[wire(versions = "0")]
    pub partition_max_bytes: i32,
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AcknowledgementBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    /// One for each record, or one for all: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
    pub acknowledge_types: Vec<i8>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ForgottenTopic {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-2", flexible = "0+")]
pub struct ShareFetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    #[wire(versions = "1+")]
    pub acquisition_lock_timeout_ms: i32,
    pub responses: Vec<ShareFetchableTopicResponse>,
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ShareFetchableTopicResponse {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    pub acknowledge_error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub acknowledge_error_message: Option<String>,
    pub current_leader: LeaderIdAndEpoch,
    #[wire(nullable = "0", default = null)]
    pub records: Option<Records>,
    /// What this member may work on until the lock expires.
    pub acquired_records: Vec<AcquiredRecords>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AcquiredRecords {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_count: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    #[wire(nullable = "0+", default = null)]
    pub rack: Option<String>,
}
