//! DescribeAcls (key 29), v1–v3: access rules that match a filter.
//! v1 prefixed resource names (KIP-290) · v2 flexible encoding · v3 users as resources (KIP-373).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeAcls,
    response = DescribeAclsResponse,
    versions = "1-3",
    flexible = "2+",
)]
pub struct DescribeAclsRequest {
    /// 1 any, 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user.
    pub resource_type_filter: i8,
    #[wire(nullable = "0+")]
    pub resource_name_filter: Option<String>,
    /// 1 any, 2 whatever applies to the name, 3 literal, 4 prefix.
    #[wire(versions = "1+", default = 3)]
    pub pattern_type_filter: i8,
    #[wire(nullable = "0+")]
    pub principal_filter: Option<String>,
    #[wire(nullable = "0+")]
    pub host_filter: Option<String>,
    /// 1 any, 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10
    /// describe configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe
    /// tokens, 15 two-phase commit.
    pub operation: i8,
    /// 1 any, 2 deny, 3 allow.
    pub permission_type: i8,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-3", flexible = "2+")]
pub struct DescribeAclsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub resources: Vec<DescribeAclsResource>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeAclsResource {
    pub resource_type: i8,
    pub resource_name: String,
    #[wire(versions = "1+", default = 3)]
    pub pattern_type: i8,
    pub acls: Vec<AclDescription>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AclDescription {
    pub principal: String,
    pub host: String,
    pub operation: i8,
    pub permission_type: i8,
}
