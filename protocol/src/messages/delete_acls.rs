//! DeleteAcls (key 31), v1–v3: removes the access rules that match filters, and lists them.
//! v1 prefixed resource names (KIP-290) · v2 flexible encoding · v3 users as resources (KIP-373).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DeleteAcls,
    response = DeleteAclsResponse,
    versions = "1-3",
    flexible = "2+",
)]
pub struct DeleteAclsRequest {
    pub filters: Vec<DeleteAclsFilter>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteAclsFilter {
    pub resource_type_filter: i8,
    #[wire(nullable = "0+")]
    pub resource_name_filter: Option<String>,
    #[wire(versions = "1+", default = 3)]
    pub pattern_type_filter: i8,
    #[wire(nullable = "0+")]
    pub principal_filter: Option<String>,
    #[wire(nullable = "0+")]
    pub host_filter: Option<String>,
    pub operation: i8,
    pub permission_type: i8,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-3", flexible = "2+")]
pub struct DeleteAclsResponse {
    pub throttle_time_ms: i32,
    pub filter_results: Vec<DeleteAclsFilterResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteAclsFilterResult {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub matching_acls: Vec<DeleteAclsMatchingAcl>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteAclsMatchingAcl {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    #[wire(versions = "1+", default = 3)]
    pub pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}
