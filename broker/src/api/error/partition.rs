//! The error codes of partitions, logs and fetch sessions.

#![deny(clippy::wildcard_enum_match_arm)]

use flumen_protocol::ErrorCode;
use flumen_protocol::records::BatchError;
use flumen_storage::validate::{RejectReason, ValidationError};
use flumen_storage::{MaintenanceError, ProducerError};

use super::WireError;
use crate::fetch_session::SessionError;
use crate::partition::{
    AppendError, CommitError, EpochError, LookupError, ReadError, ReplicaFetchError, TrimError,
};

impl WireError for LookupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic | Self::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId => ErrorCode::UnknownTopicId,
            Self::NotHere => ErrorCode::NotLeaderOrFollower,
            Self::Offline => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for EpochError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
            Self::Unknown { .. } => ErrorCode::UnknownLeaderEpoch,
        }
    }
}

impl WireError for ReplicaFetchError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotReplica { .. } | Self::StaleBroker { .. } => ErrorCode::NotLeaderOrFollower,
        }
    }
}

impl WireError for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::StorageFailed => ErrorCode::KafkaStorageError,
            Self::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            Self::Log(error) => error.code(),
        }
    }
}

impl WireError for flumen_storage::AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Producer(error) => error.code(),
            Self::SegmentTooSmall { .. } => ErrorCode::RecordListTooLarge,
            // A mistake of the broker itself: a client's batches have their offsets from the log.
            Self::OffsetOutOfOrder { .. } => ErrorCode::UnknownServerError,
            // Retriable: writing goes on once there is space, or another broker leads.
            Self::DiskFull(_) | Self::Disk(_) | Self::Offline => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for ValidationError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Batch(error) => error.code(),
            Self::BatchTooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::RejectedRecords { records, .. } => {
                let is_untimely =
                    |reason| matches!(reason, RejectReason::TimestampOutOfRange { .. });
                match records.first() {
                    Some(record) if is_untimely(record.reason) => ErrorCode::InvalidTimestamp,
                    Some(_) | None => ErrorCode::InvalidRecord,
                }
            }
            Self::Records(_)
            | Self::NoBatch
            | Self::SeveralBatches
            | Self::BaseOffset { .. }
            | Self::RecordCount { .. }
            | Self::OffsetDelta { .. }
            | Self::ControlBatch
            | Self::DeleteHorizon
            | Self::BaseSequence { .. }
            | Self::NoProducerId => ErrorCode::InvalidRecord,
            Self::OffsetsExhausted { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for BatchError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::CrcMismatch { .. } => ErrorCode::CorruptMessage,
            // A format of the future is taken for damage, one of the past for a client's fault.
            Self::UnsupportedMagic { magic } if *magic > 2 => ErrorCode::CorruptMessage,
            Self::Incomplete { .. }
            | Self::TrailingBytes { .. }
            | Self::InvalidLength { .. }
            | Self::UnsupportedMagic { .. }
            | Self::UnknownCompression { .. }
            | Self::InvalidCount { .. }
            | Self::OffsetOverflow { .. } => ErrorCode::InvalidRecord,
        }
    }
}

impl WireError for ProducerError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::TransactionOpen { .. } => ErrorCode::InvalidTxnState,
            Self::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}

impl WireError for CommitError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::StorageFailed => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Epoch(error) => error.code(),
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::Log(error) => error.code(),
        }
    }
}

impl WireError for flumen_storage::ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Disk(_) | Self::Corrupt { .. } => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for TrimError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Log(error) => error.code(),
        }
    }
}

impl WireError for MaintenanceError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Read(error) => error.code(),
            Self::Disk(_) | Self::Offline => ErrorCode::KafkaStorageError,
        }
    }
}

impl WireError for SessionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::FetchSessionIdNotFound,
            Self::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
            Self::TopicIdMismatch => ErrorCode::FetchSessionTopicIdError,
        }
    }
}

/// Whether a batch was whole and of a size that is taken, so that it was refused for what it says, or
/// for what the log or its topic says.
pub(crate) fn has_reached_log(error: &AppendError) -> bool {
    match error {
        AppendError::Log(flumen_storage::AppendError::Invalid(ValidationError::Batch(error))) => {
            matches!(
                error,
                BatchError::UnknownCompression { .. }
                    | BatchError::InvalidCount { .. }
                    | BatchError::OffsetOverflow { .. }
            )
        }
        AppendError::Log(flumen_storage::AppendError::Invalid(error)) => !matches!(
            error,
            ValidationError::BatchTooLarge { .. }
                | ValidationError::NoBatch
                | ValidationError::SeveralBatches
        ),
        AppendError::Log(_) | AppendError::NotEnoughReplicas { .. } => true,
        AppendError::NotLeader | AppendError::StorageFailed => false,
    }
}

/// Which records of a batch were refused and why (KIP-467), and what to say of the whole.
pub(crate) fn record_errors(error: &AppendError) -> (Vec<(i32, String)>, String) {
    let rejected = match error {
        AppendError::Log(flumen_storage::AppendError::Invalid(
            ValidationError::RejectedRecords { records, .. },
        )) => records.as_slice(),
        AppendError::Log(_)
        | AppendError::NotLeader
        | AppendError::StorageFailed
        | AppendError::NotEnoughReplicas { .. } => &[],
    };
    let records = rejected.iter().map(|record| (record.index, record.reason.to_string())).collect();
    (records, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Apache Kafka 4.4 does: it names the log's start beside a header that contradicts itself,
    /// and does not beside bytes that are damaged.
    #[test]
    fn what_a_header_says_is_judged_by_the_log_and_damage_is_not() {
        let reached = |error| {
            has_reached_log(&AppendError::Log(flumen_storage::AppendError::Invalid(
                ValidationError::Batch(error),
            )))
        };
        assert!(reached(BatchError::InvalidCount { record_count: 5, last_offset_delta: -1 }));
        assert!(reached(BatchError::UnknownCompression { codec: 5 }));
        assert!(!reached(BatchError::CrcMismatch { stored: 1, computed: 2 }));
        assert!(!reached(BatchError::Incomplete { needed: 61, available: 60 }));
    }
}
