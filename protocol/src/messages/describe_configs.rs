//! DescribeConfigs (key 32), v1–v4: the settings of topics, brokers, groups and other resources,
//! and where each value comes from.
//! v1 sources and synonyms · v3 type and documentation (KIP-569) · v4 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeConfigs,
    response = DescribeConfigsResponse,
    versions = "1-4",
    flexible = "4+",
)]
pub struct DescribeConfigsRequest {
    pub resources: Vec<DescribeConfigsResource>,
    #[wire(versions = "1+")]
    pub include_synonyms: bool,
    #[wire(versions = "3+")]
    pub include_documentation: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeConfigsResource {
    /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
    pub resource_type: i8,
    pub resource_name: String,
    /// Null for all.
    #[wire(nullable = "0+")]
    pub configuration_keys: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-4", flexible = "4+")]
pub struct DescribeConfigsResponse {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeConfigsResult {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub resource_type: i8,
    pub resource_name: String,
    pub configs: Vec<DescribeConfigsResourceResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeConfigsResourceResult {
    pub name: String,
    /// Null if it is sensitive.
    #[wire(nullable = "0+")]
    pub value: Option<String>,
    pub read_only: bool,
    /// 1 topic, 2 this broker at run time, 3 all brokers at run time, 4 the broker's file, 5
    /// default, 6 broker logger, 7 client metrics, 8 group.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub config_source: i8,
    pub is_sensitive: bool,
    /// Every place the value could come from, the one that counts first.
    #[wire(versions = "1+", ignorable)]
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// 0 unknown, 1 boolean, 2 text, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
    #[wire(versions = "3+", ignorable)]
    pub config_type: i8,
    #[wire(versions = "3+", nullable = "0+", ignorable)]
    pub documentation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeConfigsSynonym {
    #[wire(versions = "1+")]
    pub name: String,
    #[wire(versions = "1+", nullable = "0+")]
    pub value: Option<String>,
    #[wire(versions = "1+")]
    pub source: i8,
}
