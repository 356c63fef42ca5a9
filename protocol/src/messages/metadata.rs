//! Metadata (key 3), v0–v13: brokers, topics, partitions and leaders, for all topics or for those
//! named.
//! v1 controller, rack, null for all topics · v2 cluster id · v3 throttle time · v4 auto-creation
//! can be switched off · v5 offline replicas · v7 leader epochs · v8 authorized operations
//! (KIP-430) · v9 flexible encoding · v10 topic ids · v11 cluster operations moved to
//! DescribeCluster (KIP-700) · v12 topics can be asked for by id · v13 top-level error, with which
//! a client can be told to bootstrap again (KIP-1102).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(request, api = Metadata, response = MetadataResponse, versions = "0-13", flexible = "9+")]
pub struct MetadataRequest {
    /// Null asks for all topics. In version 0, which has no null, empty does; later it asks for
    /// none.
    #[wire(nullable = "1+")]
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Counts only if the broker allows it as well.
    #[wire(versions = "4+", default = true)]
    pub allow_auto_topic_creation: bool,
    #[wire(versions = "8-10")]
    pub include_cluster_authorized_operations: bool,
    #[wire(versions = "8+")]
    pub include_topic_authorized_operations: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MetadataRequestTopic {
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    #[wire(nullable = "10+")]
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-13", flexible = "9+")]
pub struct MetadataResponse {
    #[wire(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    #[wire(versions = "2+", nullable = "2+", default = null, ignorable)]
    pub cluster_id: Option<String>,
    #[wire(versions = "1+", default = -1, ignorable)]
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    /// A bit per operation; the smallest number if nobody asked.
    #[wire(versions = "8-10", default = -2_147_483_648)]
    pub cluster_authorized_operations: i32,
    #[wire(versions = "13+", ignorable)]
    pub error_code: i16,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    #[wire(versions = "1+", nullable = "1+", default = null, ignorable)]
    pub rack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MetadataResponseTopic {
    pub error_code: i16,
    #[wire(nullable = "12+")]
    pub name: Option<String>,
    #[wire(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    #[wire(versions = "1+", ignorable)]
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    /// A bit per operation; the smallest number if nobody asked.
    #[wire(versions = "8+", default = -2_147_483_648)]
    pub topic_authorized_operations: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    /// -1 while there is none.
    pub leader_id: i32,
    #[wire(versions = "7+", default = -1, ignorable)]
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    #[wire(versions = "5+", ignorable)]
    pub offline_replicas: Vec<i32>,
}
