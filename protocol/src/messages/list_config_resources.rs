//! ListConfigResources (key 74), v0–v1: the resources that have settings.
//! v0 lists client metrics subscriptions only (KIP-714) · v1 any type of resource (KIP-1142).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ListConfigResources,
    response = ListConfigResourcesResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct ListConfigResourcesRequest {
    /// Empty for all. Numbered as in DescribeConfigs.
    #[wire(versions = "1+")]
    pub resource_types: Vec<i8>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct ListConfigResourcesResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub config_resources: Vec<ConfigResource>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ConfigResource {
    pub resource_name: String,
    #[wire(versions = "1+", default = 16, ignorable)]
    pub resource_type: i8,
}
