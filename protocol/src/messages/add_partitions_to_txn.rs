//! AddPartitionsToTxn (key 24), v0–v5: adds partitions to a transaction, or checks that they are
//! part of it.
//! v2 fencing has its own error · v3 flexible encoding · v4 several transactions at once and
//! verification, used between brokers only (KIP-890) · v5 abortable transaction errors (KIP-890).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AddPartitionsToTxn,
    response = AddPartitionsToTxnResponse,
    versions = "0-5",
    flexible = "3+",
)]
pub struct AddPartitionsToTxnRequest {
    #[wire(versions = "4+")]
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    #[wire(versions = "0-3")]
    pub v3_and_below_transactional_id: String,
    #[wire(versions = "0-3")]
    pub v3_and_below_producer_id: i64,
    #[wire(versions = "0-3")]
    pub v3_and_below_producer_epoch: i16,
    #[wire(versions = "0-3")]
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AddPartitionsToTxnTransaction {
    #[wire(versions = "4+")]
    pub transactional_id: String,
    #[wire(versions = "4+")]
    pub producer_id: i64,
    #[wire(versions = "4+")]
    pub producer_epoch: i16,
    #[wire(versions = "4+")]
    pub verify_only: bool,
    #[wire(versions = "4+")]
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AddPartitionsToTxnTopic {
    pub name: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "3+")]
pub struct AddPartitionsToTxnResponse {
    pub throttle_time_ms: i32,
    #[wire(versions = "4+", ignorable)]
    pub error_code: i16,
    #[wire(versions = "4+")]
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    #[wire(versions = "0-3")]
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AddPartitionsToTxnResult {
    #[wire(versions = "4+")]
    pub transactional_id: String,
    #[wire(versions = "4+")]
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AddPartitionsToTxnTopicResult {
    pub name: String,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}
