//! WriteTxnMarkers (key 27), v1–v2: writes commit or abort markers to partitions. Transaction
//! coordinators send it, and administrators to abort a hanging transaction.
//! v1 flexible encoding · v2 the transaction protocol's version (KIP-1228).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = WriteTxnMarkers,
    response = WriteTxnMarkersResponse,
    versions = "1-2",
    flexible = "1+",
)]
pub struct WriteTxnMarkersRequest {
    pub markers: Vec<WritableTxnMarker>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct WritableTxnMarker {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub transaction_result: bool,
    pub topics: Vec<WritableTxnMarkerTopic>,
    pub coordinator_epoch: i32,
    #[wire(versions = "2+", ignorable)]
    pub transaction_version: i8,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct WritableTxnMarkerTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-2", flexible = "1+")]
pub struct WriteTxnMarkersResponse {
    pub markers: Vec<WritableTxnMarkerResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct WritableTxnMarkerResult {
    pub producer_id: i64,
    pub topics: Vec<WritableTxnMarkerTopicResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct WritableTxnMarkerTopicResult {
    pub name: String,
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct WritableTxnMarkerPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}
