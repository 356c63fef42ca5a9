//! DescribeLogDirs (key 35), v1–v5: the log directories of a broker and the partitions in them,
//! with sizes.
//! v2 flexible encoding · v3 top-level error · v4 total and usable bytes (KIP-827) · v5 cordoned
//! directories (KIP-1066).

use crate::message::{Message, Structure};

#[derive(Debug, Clone, PartialEq, Message)]
#[message(
    request,
    api = DescribeLogDirs,
    response = DescribeLogDirsResponse,
    versions = "1-5",
    flexible = "2+",
)]
pub struct DescribeLogDirsRequest {
    /// Null for all.
    #[wire(nullable = "0+")]
    pub topics: Option<Vec<DescribableLogDirTopic>>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribableLogDirTopic {
    pub topic: String,
    pub partitions: Vec<i32>,
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(response, versions = "1-5", flexible = "2+")]
pub struct DescribeLogDirsResponse {
    pub throttle_time_ms: i32,
    #[wire(versions = "3+", ignorable)]
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeLogDirsResult {
    pub error_code: i16,
    pub log_dir: String,
    pub topics: Vec<DescribeLogDirsTopic>,
    /// Of the file system, or -1.
    #[wire(versions = "4+", default = -1, ignorable)]
    pub total_bytes: i64,
    #[wire(versions = "4+", default = -1, ignorable)]
    pub usable_bytes: i64,
    #[wire(versions = "5+", ignorable)]
    pub is_cordoned: bool,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeLogDirsTopic {
    pub name: String,
    pub partitions: Vec<DescribeLogDirsPartition>,
}

#[derive(Debug, Clone, PartialEq, Structure)]
pub struct DescribeLogDirsPartition {
    pub partition_index: i32,
    pub partition_size: i64,
    /// How far the log's end is behind the high watermark, or behind the log it will replace.
    pub offset_lag: i64,
    /// The log is on its way to this directory and not in use yet.
    pub is_future_key: bool,
}
