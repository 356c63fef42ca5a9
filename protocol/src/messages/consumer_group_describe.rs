//! ConsumerGroupDescribe (key 69), v0–v1: state, members and assignments of groups of the newer
//! consumer protocol (KIP-848).
//! v1 type of each member (KIP-1099).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ConsumerGroupDescribe,
    response = ConsumerGroupDescribeResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct ConsumerGroupDescribeRequest {
    pub group_ids: Vec<String>,
    pub include_authorized_operations: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct ConsumerGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedGroup {
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: String,
    pub members: Vec<Member>,
    #[wire(default = -2_147_483_648)]
    pub authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Member {
    pub member_id: String,
    #[wire(nullable = "0+", default = null)]
    pub instance_id: Option<String>,
    #[wire(nullable = "0+", default = null)]
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    #[wire(nullable = "0+", default = null)]
    pub subscribed_topic_regex: Option<String>,
    pub assignment: Assignment,
    pub target_assignment: Assignment,
    /// -1 unknown, 0 classic protocol, 1 consumer protocol.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub member_type: i8,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}
