//! AddOffsetsToTxn (key 25), v0–v4: adds the offsets of a group to a transaction.
//! v2 fencing has its own error · v3 flexible encoding · v4 abortable transaction errors (KIP-890).

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = AddOffsetsToTxn,
    response = AddOffsetsToTxnResponse,
    versions = "0-4",
    flexible = "3+",
)]
pub struct AddOffsetsToTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub group_id: String,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-4", flexible = "3+")]
pub struct AddOffsetsToTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
}
