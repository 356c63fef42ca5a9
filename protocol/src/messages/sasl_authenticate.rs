//! SaslAuthenticate (key 36), v0–v2: carries one step of a SASL exchange.
//! v1 session lifetime, after which the client must authenticate again (KIP-368) · v2 flexible
//! encoding.

use bytes::Bytes;

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = SaslAuthenticate,
    response = SaslAuthenticateResponse,
    versions = "0-2",
    flexible = "2+",
)]
pub struct SaslAuthenticateRequest {
    pub auth_bytes: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "2+")]
pub struct SaslAuthenticateResponse {
    pub error_code: i16,
    #[wire(nullable = "0+")]
    pub error_message: Option<String>,
    pub auth_bytes: Bytes,
    /// 0 if it does not end.
    #[wire(versions = "1+", ignorable)]
    pub session_lifetime_ms: i64,
}
