//! FindCoordinator (key 10), v0–v6: the broker that coordinates a group, a transactional id or a
//! share partition.
//! v1 key types · v2 quota behaviour · v3 flexible encoding · v4 several keys at once (KIP-699) ·
//! v5 abortable transaction errors (KIP-890) · v6 share partitions (KIP-932).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = FindCoordinator,
    response = FindCoordinatorResponse,
    versions = "0-6",
    flexible = "3+",
)]
pub struct FindCoordinatorRequest {
    /// Up to version 3; then there is a list.
    #[wire(versions = "0-3")]
    pub key: String,
    /// 0 a group, 1 a transactional id, 2 a share partition (`group:topic id:partition`).
    #[wire(versions = "1+")]
    pub key_type: i8,
    #[wire(versions = "4+")]
    pub coordinator_keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-6", flexible = "3+")]
pub struct FindCoordinatorResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    #[wire(versions = "0-3")]
    pub error_code: i16,
    #[wire(versions = "1-3", nullable = "1-3", ignorable)]
    pub error_message: Option<String>,
    #[wire(versions = "0-3")]
    pub node_id: i32,
    #[wire(versions = "0-3")]
    pub host: String,
    #[wire(versions = "0-3")]
    pub port: i32,
    #[wire(versions = "4+")]
    pub coordinators: Vec<Coordinator>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Coordinator {
    #[wire(versions = "4+")]
    pub key: String,
    #[wire(versions = "4+")]
    pub node_id: i32,
    #[wire(versions = "4+")]
    pub host: String,
    #[wire(versions = "4+")]
    pub port: i32,
    #[wire(versions = "4+")]
    pub error_code: i16,
    #[wire(versions = "4+", nullable = "4+", ignorable)]
    pub error_message: Option<String>,
}
