//! ExpireDelegationToken (key 40), v1–v2: ends the life of a delegation token, now or at a given
//! time.
//! v2 flexible encoding.

use bytes::Bytes;

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ExpireDelegationToken,
    response = ExpireDelegationTokenResponse,
    versions = "1-2",
    flexible = "2+",
)]
pub struct ExpireDelegationTokenRequest {
    pub hmac: Bytes,
    pub expiry_time_period_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-2", flexible = "2+")]
pub struct ExpireDelegationTokenResponse {
    pub error_code: i16,
    pub expiry_timestamp_ms: i64,
    pub throttle_time_ms: i32,
}
