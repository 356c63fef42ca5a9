//! LeaveGroup (key 13), v0–v5: takes members out of a classic group.
//! v1 throttle time · v3 several members at once, static ones by instance id (KIP-345) · v4
//! flexible encoding · v5 a reason for leaving (KIP-800).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = LeaveGroup,
    response = LeaveGroupResponse,
    versions = "0-5",
    flexible = "4+",
)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    /// Up to version 2; then there is a list.
    #[wire(versions = "0-2")]
    pub member_id: String,
    #[wire(versions = "3+")]
    pub members: Vec<MemberIdentity>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MemberIdentity {
    /// May be empty when the instance id is given.
    #[wire(versions = "3+")]
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "4+")]
pub struct LeaveGroupResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(versions = "3+")]
    pub members: Vec<MemberResponse>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MemberResponse {
    #[wire(versions = "3+")]
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+")]
    pub group_instance_id: Option<String>,
    #[wire(versions = "3+")]
    pub error_code: i16,
}
