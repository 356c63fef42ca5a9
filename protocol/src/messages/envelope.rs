//! Envelope (key 58), v0: what one broker passes on to another, for a client or of its own.

use bytes::Bytes;

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = Envelope,
    response = EnvelopeResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct EnvelopeRequest {
    pub request_data: Bytes,
    #[wire(nullable = "0+")]
    pub request_principal: Option<Bytes>,
    pub client_host_address: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct EnvelopeResponse {
    #[wire(nullable = "0+", default = null)]
    pub response_data: Option<Bytes>,
    pub error_code: i16,
}
