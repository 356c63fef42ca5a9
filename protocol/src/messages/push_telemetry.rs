//! PushTelemetry (key 72), v0: client metrics, as the subscription asked for them (KIP-714).

use bytes::Bytes;

use crate::message::Message;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = PushTelemetry,
    response = PushTelemetryResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct PushTelemetryRequest {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    pub terminating: bool,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub compression_type: i8,
    /// OpenTelemetry's protobuf.
    pub metrics: Bytes,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct PushTelemetryResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
