//! GetTelemetrySubscriptions (key 71), v0: which client metrics the broker would like to get
//! (KIP-714).

use crate::message::Message;
use crate::uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = GetTelemetrySubscriptions,
    response = GetTelemetrySubscriptionsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct GetTelemetrySubscriptionsRequest {
    /// Zero at first; the broker then gives one out.
    pub client_instance_id: Uuid,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct GetTelemetrySubscriptionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    pub accepted_compression_types: Vec<i8>,
    pub push_interval_ms: i32,
    pub telemetry_max_bytes: i32,
    pub delta_temporality: bool,
    /// Prefixes of names; empty for none, one empty text for all.
    pub requested_metrics: Vec<String>,
}
