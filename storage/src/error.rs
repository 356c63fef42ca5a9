//! Why an operation of the log failed: one enum per operation that callers can branch on.
//!
//! None of them knows Kafka's error codes; the broker maps them at its edge.

use std::io;
use std::path::{Path, PathBuf};

use flumen_protocol::records::{BatchError, RecordError};
use thiserror::Error;

use crate::batch_walk::WalkError;
use crate::producer_state::ProducerError;
use crate::validate::ValidationError;

/// A failed call to the disk.
#[derive(Debug, Error)]
#[error("cannot {action} {path}", path = path.display())]
pub struct DiskError {
    /// What was being done.
    pub action: &'static str,
    /// To which file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }

    /// Whether the disk is full: the log is unharmed, and writing works again once there is space.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Data that had been flushed is damaged: cutting it off would silently lose records that may
    /// have been acknowledged, so the log is left as it is.
    #[error(
        "{path} is damaged at position {position} (offset {offset}), below the recovery point \
         {recovery_point}", path = path.display()
    )]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// The byte at which the damaged batch begins.
        position: u64,
        /// The offset that was due there.
        offset: i64,
        /// Everything below had been flushed.
        recovery_point: i64,
        /// What is wrong with the batch.
        #[source]
        source: CorruptBatch,
    },
}

/// What is wrong with a batch in a segment file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CorruptBatch {
    /// The bytes are no batch, or not the ones that were written.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The offsets of the batch do not follow those before, or are not of this segment.
    #[error("batch has offset {base_offset} where {expected} is due")]
    OutOfOrder { base_offset: i64, expected: i64 },
    /// The records inside the batch cannot be read.
    #[error(transparent)]
    Records(#[from] RecordError),
}

/// Why records were not appended. Nothing of the log has changed.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The batches break a rule of the record format or of the topic.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// More bytes than a segment may have.
    #[error("{size} bytes do not fit into a segment of {limit}")]
    SegmentTooSmall { size: usize, limit: usize },
    /// The leader's batches do not continue this log.
    #[error("batch begins at offset {base_offset}, the log ends at {log_end_offset}")]
    OffsetOutOfOrder { base_offset: i64, log_end_offset: i64 },
    /// The producer's sequence, epoch or transaction does not allow the batch.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The disk is full; appending works again once there is space.
    #[error("the disk is full")]
    DiskFull(#[source] DiskError),
    /// The disk failed; the log is offline from now on.
    #[error(transparent)]
    Disk(DiskError),
    /// The disk failed earlier, and what it holds is uncertain since.
    #[error("the log is offline after a disk failure")]
    Offline,
}

/// Why records cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The offset is not in the log (any more, or yet).
    #[error("offset {offset} is outside the log, {log_start_offset}..{log_end_offset}")]
    OffsetOutOfRange { offset: i64, log_start_offset: i64, log_end_offset: i64 },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A batch on disk is damaged.
    #[error("segment {base_offset} is damaged at position {position}")]
    Corrupt {
        /// Base offset of the segment.
        base_offset: i64,
        /// The byte at which the damaged batch begins.
        position: u64,
        /// What is wrong with it.
        #[source]
        source: CorruptBatch,
    },
}

impl ReadError {
    /// Whether the log has something that was never written so.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}

/// Why the log could not be changed at its ends: rolled, truncated, trimmed, closed.
#[derive(Debug, Error)]
pub enum MaintenanceError {
    /// The disk failed; whether the log is offline now, [`crate::PartitionLog::is_offline`] tells.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log cannot be read where the change needs it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The offset is not in the log.
    #[error("offset {offset} is outside the log, {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange { offset: i64, log_start_offset: i64, log_end_offset: i64 },
    /// The disk failed earlier, and what it holds is uncertain since.
    #[error("the log is offline after a disk failure")]
    Offline,
}

impl MaintenanceError {
    /// Whether the log has something that was never written so.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Read(error) if error.is_damage())
    }
}

/// A stopped walk, split into what failed and where.
pub(crate) enum Stopped {
    Disk(DiskError),
    Corrupt { position: u64, source: CorruptBatch },
}

impl Stopped {
    pub(crate) fn of(error: WalkError, path: &Path) -> Self {
        match error {
            WalkError::Io { source, .. } => Self::Disk(DiskError::new("read", path, source)),
            WalkError::Invalid { position, source } => {
                Self::Corrupt { position, source: source.into() }
            }
            WalkError::OutOfOrder { position, base_offset, expected } => Self::Corrupt {
                position,
                source: CorruptBatch::OutOfOrder { base_offset, expected },
            },
        }
    }

    pub(crate) fn into_read_error(self, base_offset: i64) -> ReadError {
        match self {
            Self::Disk(error) => error.into(),
            Self::Corrupt { position, source } => {
                ReadError::Corrupt { base_offset, position, source }
            }
        }
    }
}
