//! DescribeGroups (key 15), v0–v6: state, protocol and members of classic groups.
//! v1 throttle time · v3 authorized operations (KIP-430) · v4 static members (KIP-345) · v5
//! flexible encoding · v6 a missing group is an error with a message (KIP-1043).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeGroups,
    response = DescribeGroupsResponse,
    versions = "0-6",
    flexible = "5+",
)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    #[wire(versions = "3+")]
    pub include_authorized_operations: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-6", flexible = "5+")]
pub struct DescribeGroupsResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedGroup {
    pub error_code: i16,
    #[wire(versions = "6+", nullable = "6+", default = null)]
    pub error_message: Option<String>,
    pub group_id: String,
    /// `Dead` if there is no such group, up to version 5.
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    /// A bit per operation; the smallest number if nobody asked.
    #[wire(versions = "3+", default = -2_147_483_648)]
    pub authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedGroupMember {
    pub member_id: String,
    #[wire(versions = "4+", nullable = "4+", default = null, ignorable)]
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: Bytes,
    pub member_assignment: Bytes,
}
