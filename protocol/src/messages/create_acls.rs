//! CreateAcls (key 30), v1–v3: adds access rules.
//! v1 prefixed resource names (KIP-290) · v2 flexible encoding · v3 users as resources (KIP-373).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = CreateAcls,
    response = CreateAclsResponse,
    versions = "1-3",
    flexible = "2+",
)]
pub struct CreateAclsRequest {
    pub creations: Vec<AclCreation>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AclCreation {
    /// Numbered as in DescribeAcls, like the other codes here.
    pub resource_type: i8,
    pub resource_name: String,
    #[wire(versions = "1+", default = 3)]
    pub resource_pattern_type: i8,
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-3", flexible = "2+")]
pub struct CreateAclsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<AclCreationResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AclCreationResult {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
