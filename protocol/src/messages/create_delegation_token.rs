//! CreateDelegationToken (key 38), v1–v3: makes a token with which others can act for its owner
//! (KIP-48).
//! v2 flexible encoding · v3 a token for somebody else than the requester (KIP-373).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = CreateDelegationToken,
    response = CreateDelegationTokenResponse,
    versions = "1-3",
    flexible = "2+",
)]
pub struct CreateDelegationTokenRequest {
    #[wire(versions = "3+", nullable = "3+")]
    pub owner_principal_type: Option<String>,
    #[wire(versions = "3+", nullable = "3+")]
    pub owner_principal_name: Option<String>,
    pub renewers: Vec<CreatableRenewers>,
    pub max_lifetime_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct CreatableRenewers {
    pub principal_type: String,
    pub principal_name: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-3", flexible = "2+")]
pub struct CreateDelegationTokenResponse {
    pub error_code: i16,
    pub principal_type: String,
    pub principal_name: String,
    #[wire(versions = "3+")]
    pub token_requester_principal_type: String,
    #[wire(versions = "3+")]
    pub token_requester_principal_name: String,
    pub issue_timestamp_ms: i64,
    pub expiry_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub token_id: String,
    pub hmac: Bytes,
    pub throttle_time_ms: i32,
}
