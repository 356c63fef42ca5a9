//! SaslHandshake (key 17), v0–v1: names the SASL mechanism with which the connection will
//! authenticate.
//! v1 the exchange that follows travels in SaslAuthenticate requests instead of bare frames
//! (KIP-152). It never became flexible.

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = SaslHandshake,
    response = SaslHandshakeResponse,
    versions = "0-1",
    flexible = "none",
)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-1", flexible = "none")]
pub struct SaslHandshakeResponse {
    pub error_code: i16,
    pub mechanisms: Vec<String>,
}
