//! UnregisterBroker (key 64), v0: removes a broker that is gone for good (KIP-631).

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = UnregisterBroker,
    response = UnregisterBrokerResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct UnregisterBrokerRequest {
    pub broker_id: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct UnregisterBrokerResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
