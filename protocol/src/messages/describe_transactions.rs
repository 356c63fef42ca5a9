//! DescribeTransactions (key 65), v0: state and partitions of transactions (KIP-664).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeTransactions,
    response = DescribeTransactionsResponse,
    versions = "0",
    flexible = "0+",
)]
pub struct DescribeTransactionsRequest {
    pub transactional_ids: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0", flexible = "0+")]
pub struct DescribeTransactionsResponse {
    pub throttle_time_ms: i32,
    pub transaction_states: Vec<TransactionState>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TransactionState {
    pub error_code: i16,
    pub transactional_id: String,
    pub transaction_state: String,
    pub transaction_timeout_ms: i32,
    pub transaction_start_time_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub topics: Vec<TopicData>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct TopicData {
    pub topic: String,
    pub partitions: Vec<i32>,
}
