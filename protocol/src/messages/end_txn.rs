//! EndTxn (key 26), v0–v5: commits or aborts a transaction.
//! v2 fencing has its own error · v3 flexible encoding · v4 abortable transaction errors · v5 every
//! transaction gets a new epoch, which the response carries (KIP-890).

use crate::message::Message;

#[derive(Debug, Clone, PartialEq, Message)]
#[message(request, api = EndTxn, response = EndTxnResponse, versions = "0-5", flexible = "3+")]
pub struct EndTxnRequest {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// False aborts.
    pub committed: bool,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "0-5", flexible = "3+")]
pub struct EndTxnResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    #[wire(versions = "5+", default = -1, ignorable)]
    pub producer_id: i64,
    /// To be used for the next transaction, from version 5 on.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub producer_epoch: i16,
}
