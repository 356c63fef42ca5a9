//! DeleteShareGroupOffsets (key 92), v0: makes a share group without members forget topics
//! (KIP-932).

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DeleteShareGroupOffsets,
    response = DeleteShareGroupOffsetsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct DeleteShareGroupOffsetsRequest {
    pub group_id: String,
    pub topics: Vec<DeleteShareGroupOffsetsRequestTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteShareGroupOffsetsRequestTopic {
    pub topic_name: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct DeleteShareGroupOffsetsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
    pub responses: Vec<DeleteShareGroupOffsetsResponseTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteShareGroupOffsetsResponseTopic {
    pub topic_name: String,
    pub topic_id: Uuid,
    pub error_code: i16,
    #[wire(nullable = "0+", default = null)]
    pub error_message: Option<String>,
}
