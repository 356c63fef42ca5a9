//! AlterConfigs (key 33), v0–v2: replaces all settings of a resource: what is not named returns to
//! its default. Superseded by IncrementalAlterConfigs, but still sent by older clients.
//! v2 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AlterConfigs,
    response = AlterConfigsResponse,
    versions = "0-2",
    flexible = "2+",
)]
pub struct AlterConfigsRequest {
    pub resources: Vec<AlterConfigsResource>,
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterConfigsResource {
    /// Numbered as in DescribeConfigs.
    pub resource_type: i8,
    pub resource_name: String,
    /// All there will be: what is not named returns to its default.
    pub configs: Vec<AlterableConfig>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AlterableConfig {
    pub name: String,
    #[wire(nullable = "0+")]
    pub value: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "2+")]
pub struct AlterConfigsResponse {
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
