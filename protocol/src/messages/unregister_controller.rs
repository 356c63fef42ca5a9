//! UnregisterController (key 94), v0: removes a controller that is gone for good (KIP-1312).

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = UnregisterController,
    response = UnregisterControllerResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct UnregisterControllerRequest {
    pub controller_id: i32,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct UnregisterControllerResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
}
