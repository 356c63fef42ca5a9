//! DeleteTopics (key 20), v1–v6: deletes topics with all their data.
//! v1 throttle time · v3 a broker can have deletion switched off · v4 flexible encoding · v5 error
//! message, quota on partition changes (KIP-599) · v6 topics can be named by id.

use crate::message::{Message, Structure};
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DeleteTopics,
    response = DeleteTopicsResponse,
    versions = "1-6",
    flexible = "4+",
)]
pub struct DeleteTopicsRequest {
    /// From version 6 on: each by name or by id.
    #[wire(versions = "6+")]
    pub topics: Vec<DeleteTopicState>,
    /// Up to version 5.
    #[wire(versions = "0-5", ignorable)]
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeleteTopicState {
    #[wire(versions = "6+", nullable = "6+", default = null)]
    pub name: Option<String>,
    #[wire(versions = "6+")]
    pub topic_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-6", flexible = "4+")]
pub struct DeleteTopicsResponse {
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DeletableTopicResult {
    #[wire(nullable = "6+")]
    pub name: Option<String>,
    #[wire(versions = "6+", ignorable)]
    pub topic_id: Uuid,
    pub error_code: i16,
    #[wire(versions = "5+", nullable = "5+", default = null, ignorable)]
    pub error_message: Option<String>,
}
