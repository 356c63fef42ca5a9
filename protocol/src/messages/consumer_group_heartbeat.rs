//! ConsumerGroupHeartbeat (key 68), v0–v1: membership in a group of the newer consumer protocol,
//! all of it: joining, subscribing, taking over and giving up partitions, leaving (KIP-848).
//! v1 subscription by regular expression, and member ids that the client makes (KIP-1082).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ConsumerGroupHeartbeat,
    response = ConsumerGroupHeartbeatResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    /// 0 joins, -1 leaves, -2 leaves for a while as a static member.
    pub member_epoch: i32,
    #[wire(nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    #[wire(default = -1)]
    pub rebalance_timeout_ms: i32,
    /// Null if nothing has changed, like the other fields that may be null.
    #[wire(nullable = "0+", default = null)]
    pub subscribed_topic_names: Option<Vec<String>>,
    #[wire(versions = "1+", nullable = "1+", default = null)]
    pub subscribed_topic_regex: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub server_assignor: Option<String>,
    /// What the member owns at the moment.
    #[wire(nullable = "0+", default = null)]
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// Null if nothing has changed.
    #[wire(nullable = "0+", default = null)]
    pub assignment: Option<Assignment>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}
