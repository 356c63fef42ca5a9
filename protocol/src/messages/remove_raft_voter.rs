//! RemoveRaftVoter (key 81), v0: removes a voter from the metadata quorum (KIP-853).

use crate::message::Message;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = RemoveRaftVoter,
    response = RemoveRaftVoterResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct RemoveRaftVoterRequest {
    #[wire(nullable = "0+")]
    pub cluster_id: Option<String>,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct RemoveRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", ignorable)]
    pub error_message: Option<String>,
}
