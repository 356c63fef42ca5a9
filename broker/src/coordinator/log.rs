//! The log as a coordinator sees it: append, commit, read back.

use std::fmt::Debug;

use bytes::Bytes;
use flumen_client::connection::BoxFuture;

/// Why the log did not do what a coordinator asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// This broker does not lead the partition (any more), or its disk failed.
    #[error("this broker does not lead the coordinator's partition")]
    NotLeader,
    /// Not now: too few replicas in sync, or no space on the disk.
    #[error("the coordinator's log takes no records at the moment")]
    Unavailable,
    /// The batch is larger than the topic allows.
    #[error("the records exceed the largest batch the coordinator's log takes")]
    TooLarge,
}

/// One partition of a coordinator's internal topic, led by this broker.
pub trait CoordinatorLog: Debug + Send + Sync {
    /// Appends one batch and returns the offset of its last record. Does not wait for the disk.
    fn append(&self, batch: Bytes) -> Result<i64, LogError>;

    /// Resolves once the high watermark has passed `last_offset`, or once that cannot happen.
    fn committed(&self, last_offset: i64) -> BoxFuture<'static, Result<(), LogError>>;

    /// Reads whole batches that hold `offset` and what follows, about `max_bytes` of them and at
    /// least one; nothing at the end of the log.
    fn read(&self, offset: i64, max_bytes: usize) -> BoxFuture<'static, Result<Bytes, LogError>>;

    /// The offset of the first record.
    fn log_start_offset(&self) -> i64;

    /// The offset the next record will get.
    fn log_end_offset(&self) -> i64;
}
