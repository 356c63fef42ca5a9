//! Why a partition does not do what it was asked for.

/// Why a partition cannot be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No topic of that name.
    #[error("there is no such topic")]
    UnknownTopic,
    /// No topic of that id.
    #[error("there is no topic of that id")]
    UnknownTopicId,
    /// The topic has no partition of that index.
    #[error("the topic has no such partition")]
    UnknownPartition,
    /// Another broker has it, or this one has not opened it yet.
    #[error("this broker does not lead the partition")]
    NotHere,
    /// Its log could not be opened.
    #[error("the log of the partition cannot be used")]
    Offline,
}

/// The leader epoch that a client names is not that of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// The client has older metadata.
    #[error("leader epoch {requested} is older than {current}")]
    Fenced { requested: i32, current: i32 },
    /// The client has newer metadata.
    #[error("leader epoch {requested} is newer than {current}")]
    Unknown { requested: i32, current: i32 },
}

/// Why records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The partition has moved or was deleted.
    #[error("this broker does not lead the partition any more")]
    NotLeader,
    /// A sync of the log's directory has failed before.
    #[error("the disk of the partition has failed")]
    StorageFailed,
    /// Too few replicas are in sync for an append that all of them have to acknowledge.
    #[error("{in_sync} replicas are in sync, {required} are required")]
    NotEnoughReplicas { in_sync: usize, required: usize },
    /// The log refuses them.
    #[error(transparent)]
    Log(#[from] flumen_storage::AppendError),
}

/// Why appended records will not be known to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The partition has moved or was deleted meanwhile.
    #[error("this broker does not lead the partition any more")]
    NotLeader,
    /// The sync failed: the records may or may not be on disk.
    #[error("the disk of the partition has failed")]
    StorageFailed,
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client's metadata is not that of the leader.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The partition has moved or was deleted.
    #[error("this broker does not lead the partition any more")]
    NotLeader,
    /// The offset is not there, or the disk failed.
    #[error(transparent)]
    Log(#[from] flumen_storage::ReadError),
}

/// Why a partition's log was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// The partition has moved or was deleted.
    #[error("this broker does not lead the partition any more")]
    NotLeader,
    /// The offset lies above the high watermark, or below zero.
    #[error("offset {offset} is not in the log, which consumers see up to {high_watermark}")]
    OffsetOutOfRange { offset: i64, high_watermark: i64 },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] flumen_storage::MaintenanceError),
}
