//! ListGroups (key 16), v0–v5: the groups that the broker coordinates.
//! v1 throttle time · v3 flexible encoding · v4 filter by state (KIP-518) · v5 filter by type
//! (KIP-848).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ListGroups,
    response = ListGroupsResponse,
    versions = "0-5",
    flexible = "3+",
)]
pub struct ListGroupsRequest {
    /// Empty for every state.
    #[wire(versions = "4+")]
    pub states_filter: Vec<String>,
    /// Empty for every type.
    #[wire(versions = "5+")]
    pub types_filter: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "3+")]
pub struct ListGroupsResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    #[wire(versions = "4+", ignorable)]
    pub group_state: String,
    #[wire(versions = "5+", ignorable)]
    pub group_type: String,
}
