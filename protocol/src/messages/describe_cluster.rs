//! DescribeCluster (key 60), v0–v2: cluster id, controller and brokers (KIP-700).
//! v1 asks for controllers instead of brokers (KIP-919) · v2 fenced brokers on demand (KIP-1073).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeCluster,
    response = DescribeClusterResponse,
    versions = "0-2",
    flexible = "0+",
)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    /// 1 brokers, 2 controllers.
    #[wire(versions = "1+", default = 1)]
    pub endpoint_type: i8,
    #[wire(versions = "2+")]
    pub include_fenced_brokers: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "0+")]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    #[wire(versions = "1+", default = 1)]
    pub endpoint_type: i8,
    pub cluster_id: String,
    #[wire(default = -1)]
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    #[wire(default = -2_147_483_648)]
    pub cluster_authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: String,
    pub port: i32,
    #[wire(nullable = "0+", default = null)]
    pub rack: Option<String>,
    #[wire(versions = "2+")]
    pub is_fenced: bool,
}
