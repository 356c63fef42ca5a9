//! DeleteGroups (key 42), v0–v3: deletes groups that have no members, with their offsets.
//! v2 flexible encoding · v3 an error message per group.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DeleteGroups,
    response = DeleteGroupsResponse,
    versions = "0-3",
    flexible = "2+",
)]
pub struct DeleteGroupsRequest {
    pub groups_names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-3", flexible = "2+")]
pub struct DeleteGroupsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DeletableGroupResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeletableGroupResult {
    pub group_id: String,
    pub error_code: i16,
    #[wire(versions = "3+", nullable = "3+", default = null, ignorable)]
    pub error_message: Option<String>,
}
