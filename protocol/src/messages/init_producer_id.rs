//! InitProducerId (key 22), v0–v6: gives a producer its id and epoch, and finishes what an earlier
//! producer of the same transactional id left open.
//! v2 flexible encoding · v3 the producer names the id and epoch it has (KIP-360) · v4 fencing has
//! its own error · v5 abortable transaction errors (KIP-890) · v6 two-phase commit (KIP-939), not
//! final yet and not advertised.

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = InitProducerId,
    response = InitProducerIdResponse,
    versions = "0-6",
    flexible = "2+",
)]
pub struct InitProducerIdRequest {
    /// Null for a producer that is idempotent only.
    #[wire(nullable = "0+")]
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    /// -1 unless the producer has one already.
    #[wire(versions = "3+", default = -1)]
    pub producer_id: i64,
    #[wire(versions = "3+", default = -1)]
    pub producer_epoch: i16,
    /// An outside coordinator decides the outcome, so the broker must not let it expire.
    #[wire(versions = "6+")]
    pub enable2_pc: bool,
    /// Leaves what is prepared alone instead of aborting it.
    #[wire(versions = "6+")]
    pub keep_prepared_txn: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-6", flexible = "2+")]
pub struct InitProducerIdResponse {
    #[wire(ignorable)]
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(default = -1)]
    pub producer_id: i64,
    pub producer_epoch: i16,
    #[wire(versions = "6+", default = -1)]
    pub ongoing_txn_producer_id: i64,
    #[wire(versions = "6+", default = -1)]
    pub ongoing_txn_producer_epoch: i16,
}
