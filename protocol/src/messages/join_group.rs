//! JoinGroup (key 11), v0–v9: enters a classic consumer group or takes part in its rebalance.
//! v1 rebalance timeout of its own · v2 throttle time · v4 a new member first gets its id and then
//! joins with it (KIP-394) · v5 static members (KIP-345) · v6 flexible encoding · v7 protocol type
//! in the response (KIP-559) · v8 a reason for joining (KIP-800) · v9 a leader can be told to skip
//! the assignment (KIP-814).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = JoinGroup,
    response = JoinGroupResponse,
    versions = "0-9",
    flexible = "6+",
)]
pub struct JoinGroupRequest {
    pub group_id: String,
    pub session_timeout_ms: i32,
    /// Version 0 has none of its own: there the session timeout counts for both.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub rebalance_timeout_ms: i32,
    /// Empty at first; the coordinator then gives one out.
    pub member_id: String,
    #[wire(versions = "5+", nullable = "5+", default = null)]
    pub group_instance_id: Option<String>,
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<JoinGroupRequestProtocol>,
    #[wire(versions = "8+", nullable = "8+", default = null, ignorable)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct JoinGroupRequestProtocol {
    pub name: String,
    pub metadata: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-9", flexible = "6+")]
pub struct JoinGroupResponse {
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(default = -1)]
    pub generation_id: i32,
    #[wire(versions = "7+", nullable = "7+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    #[wire(nullable = "7+")]
    pub protocol_name: Option<String>,
    /// The member that must compute the assignment.
    pub leader: String,
    /// A static leader that comes back need not assign anew.
    #[wire(versions = "9+")]
    pub skip_assignment: bool,
    pub member_id: String,
    /// Filled for the leader only.
    pub members: Vec<JoinGroupResponseMember>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
}
