//! Heartbeat (key 12), v0–v4: keeps the session of a classic group's member alive, and tells it of
//! rebalances.
//! v1 throttle time · v3 static members (KIP-345) · v4 flexible encoding.

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = Heartbeat,
    response = HeartbeatResponse,
    versions = "0-4",
    flexible = "4+",
)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation_id: i32,
    pub member_id: String,
    #[wire(versions = "3+", nullable = "3+", default = null)]
    pub group_instance_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-4", flexible = "4+")]
pub struct HeartbeatResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
