//! IncrementalAlterConfigs (key 44), v0–v1: sets, deletes, appends to or subtracts from single
//! settings (KIP-339).
//! v1 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = IncrementalAlterConfigs,
    response = IncrementalAlterConfigsResponse,
    versions = "0-1",
    flexible = "1+",
)]
pub struct IncrementalAlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterConfigsResource {
    /// Numbered as in DescribeConfigs.
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<AlterableConfig>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterableConfig {
    pub name: String,
    /// 0 set, 1 delete, 2 append to a list, 3 take out of a list.
    pub config_operation: i8,
    #[wire(nullable = "0+")]
    pub value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "1+")]
pub struct IncrementalAlterConfigsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterConfigsResourceResponse {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
}
