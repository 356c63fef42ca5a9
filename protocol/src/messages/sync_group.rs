//! SyncGroup (key 14), v0–v5: the leader of a classic group hands in the assignment, every member
//! gets its own part.
//! v1 throttle time · v3 static members (KIP-345) · v4 flexible encoding · v5 protocol type and
//! name, to notice a mix-up (KIP-559).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = SyncGroup,
    response = SyncGroupResponse,
    versions = "0-5",
    flexible = "4+",
)]
pub struct SyncGroupRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_name: Option<String>,
    /// From the leader; everybody else sends none.
    pub assignments: Vec<SyncGroupRequestAssignment>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct SyncGroupRequestAssignment {
    pub member_id: String,
    pub assignment: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "4+")]
pub struct SyncGroupResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_type: Option<String>,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}
