//! RenewDelegationToken (key 39), v1–v2: extends the life of a delegation token.
//! v2 flexible encoding.

use bytes::Bytes;

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = RenewDelegationToken,
    response = RenewDelegationTokenResponse,
    versions = "1-2",
    flexible = "2+",
)]
pub struct RenewDelegationTokenRequest {
    pub hmac: Bytes,
    pub renew_period_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-2", flexible = "2+")]
pub struct RenewDelegationTokenResponse {
    pub error_code: i16,
    pub expiry_timestamp_ms: i64,
    pub throttle_time_ms: i32,
}
