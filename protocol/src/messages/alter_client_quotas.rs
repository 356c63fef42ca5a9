//! AlterClientQuotas (key 49), v0–v1: sets and removes quotas of users, clients and addresses
//! (KIP-546).
//! v1 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AlterClientQuotas,
    response = AlterClientQuotasResponse,
    versions = "0-1",
    flexible = "1+",
)]
pub struct AlterClientQuotasRequest {
    pub entries: Vec<EntryData>,
    pub validate_only: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EntryData {
    pub entity: Vec<EntityData>,
    pub ops: Vec<OpData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EntityData {
    pub entity_type: String,
    /// Null for the default.
    #[wire(nullable = "0+")]
    pub entity_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct OpData {
    pub key: String,
    pub value: f64,
    pub remove: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "1+")]
pub struct AlterClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub entries: Vec<ResponseEntryData>,
}

/// Kafka's schema names this `EntryData`, like the other part of that name in the request.
#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ResponseEntryData {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub entity: Vec<EntityData>,
}
