//! DescribeClientQuotas (key 48), v0–v1: the quotas of users, clients and addresses (KIP-546).
//! v1 flexible encoding.

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeClientQuotas,
    response = DescribeClientQuotasResponse,
    versions = "0-1",
    flexible = "1+",
)]
pub struct DescribeClientQuotasRequest {
    pub components: Vec<ComponentData>,
    pub strict: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ComponentData {
    pub entity_type: String,
    /// 0 this name, 1 the default, 2 any name.
    pub match_type: i8,
    #[wire(nullable = "0+")]
    pub r#match: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "1+")]
pub struct DescribeClientQuotasResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    #[wire(nullable = "0+")]
    pub entries: Option<Vec<EntryData>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EntryData {
    pub entity: Vec<EntityData>,
    pub values: Vec<ValueData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct EntityData {
    pub entity_type: String,
    /// Null for the default.
    #[wire(nullable = "0+")]
    pub entity_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct ValueData {
    pub key: String,
    pub value: f64,
}
