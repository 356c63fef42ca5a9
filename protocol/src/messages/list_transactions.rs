//! ListTransactions (key 66), v0–v2: the transactions that the broker coordinates (KIP-664).
//! v1 filter by age (KIP-994) · v2 filter by a pattern of transactional ids (KIP-1152).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = ListTransactions,
    response = ListTransactionsResponse,
    versions = "0-2",
    flexible = "0+",
)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<String>,
    pub producer_id_filters: Vec<i64>,
    /// At least as many milliseconds old; negative for any age.
    #[wire(versions = "1+", default = -1)]
    pub duration_filter: i64,
    #[wire(versions = "2+", nullable = "2+", default = null)]
    pub transactional_id_pattern: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-2", flexible = "0+")]
pub struct ListTransactionsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub unknown_state_filters: Vec<String>,
    pub transaction_states: Vec<TransactionState>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TransactionState {
    pub transactional_id: String,
    pub producer_id: i64,
    pub transaction_state: String,
}
