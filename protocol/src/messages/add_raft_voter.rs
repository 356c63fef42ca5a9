//! AddRaftVoter (key 80), v0–v1: adds a voter to the metadata quorum (KIP-853).
//! v1 the answer may come before the change is committed.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AddRaftVoter,
    response = AddRaftVoterResponse,
    versions = "0-1",
    flexible = "0+",
)]
pub struct AddRaftVoterRequest {
    #[wire(nullable = "0+")]
    pub cluster_id: Option<String>,
    pub timeout_ms: i32,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub listeners: Vec<Listener>,
    #[wire(versions = "1+", default = true)]
    pub ack_when_committed: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "0+")]
pub struct AddRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", ignorable)]
    pub error_message: Option<String>,
}
