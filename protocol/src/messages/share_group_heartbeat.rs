//! ShareGroupHeartbeat (key 76), v1: membership in a share group (KIP-932).
//! v0 was an early preview that is gone.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ShareGroupHeartbeat,
    response = ShareGroupHeartbeatResponse,
    versions = "1",
    flexible = "0+",
)]
pub struct ShareGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    /// 0 joins, -1 leaves.
    pub member_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub subscribed_topic_names: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1", flexible = "0+")]
pub struct ShareGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    #[wire(nullable = "0+", default = null)]
    pub assignment: Option<Assignment>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}
