//! DescribeDelegationToken (key 41), v1–v3: delegation tokens by owner.
//! v2 flexible encoding · v3 who asked for the token (KIP-373).

use bytes::Bytes;

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeDelegationToken,
    response = DescribeDelegationTokenResponse,
    versions = "1-3",
    flexible = "2+",
)]
pub struct DescribeDelegationTokenRequest {
    #[wire(nullable = "0+")]
    pub owners: Option<Vec<DescribeDelegationTokenOwner>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeDelegationTokenOwner {
    pub principal_type: String,
    pub principal_name: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-3", flexible = "2+")]
pub struct DescribeDelegationTokenResponse {
    pub error_code: i16,
    pub tokens: Vec<DescribedDelegationToken>,
    pub throttle_time_ms: i32,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedDelegationToken {
    pub principal_type: String,
    pub principal_name: String,
    #[wire(versions = "3+")]
    pub token_requester_principal_type: String,
    #[wire(versions = "3+")]
    pub token_requester_principal_name: String,
    pub issue_timestamp: i64,
    pub expiry_timestamp: i64,
    pub max_timestamp: i64,
    pub token_id: String,
    pub hmac: Bytes,
    pub renewers: Vec<DescribedDelegationTokenRenewer>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribedDelegationTokenRenewer {
    pub principal_type: String,
    pub principal_name: String,
}
