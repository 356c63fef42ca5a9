//! Why a consumer could not give a record, or not do what it was asked.

use flumen_client::{ConfigError, Error as ClientError, TopicPartition};
use flumen_protocol::ErrorCode;
use flumen_protocol::records::compression::CompressionError;
use flumen_protocol::records::{BatchError, RecordError};
use thiserror::Error;

/// The failure of a consumer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no committed offset, and `auto.offset.reset` is `none`.
    #[error("{partition}: no offset is committed, and auto.offset.reset is none; seek to one")]
    NoOffset {
        /// The partition.
        partition: TopicPartition,
    },
    /// The position lies outside the log, and `auto.offset.reset` is `none`.
    #[error("{partition}: offset {offset} is out of range, and auto.offset.reset is none")]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The position.
        offset: i64,
    },
    /// A batch is damaged; the position stays in front of it.
    #[error("{partition}: damaged batch at or after offset {offset}: {source}; seek past it")]
    Corrupt {
        /// The partition.
        partition: TopicPartition,
        /// The position.
        offset: i64,
        /// What is wrong.
        source: CorruptBatch,
    },
    /// A broker refuses to serve the partition.
    #[error("{partition}: {}: {}", .code.name(), .code.message())]
    Refused {
        /// The partition.
        partition: TopicPartition,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// The group does not take the consumer, or not any more.
    #[error("group {group}: {}: {}", .code.name(), .code.message())]
    Group {
        /// The group.
        group: String,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// Offsets could not be committed.
    #[error("{partition}: commit refused: {}: {}", .code.name(), .code.message())]
    Commit {
        /// A partition whose offset was refused.
        partition: TopicPartition,
        /// Kafka's error code.
        code: ErrorCode,
    },
    /// The partition is not assigned to this consumer.
    #[error("{partition} is not assigned to this consumer")]
    NotAssigned {
        /// The partition.
        partition: TopicPartition,
    },
    /// The operation needs a group, and `group.id` is not set.
    #[error("group.id is not set")]
    NoGroup,
    /// Subscribing and assigning partitions by hand exclude each other.
    #[error("the consumer has partitions {}: the two exclude each other", if *.is_subscribed { "by subscription" } else { "assigned by hand" })]
    Mixed {
        /// Whether it is subscribed.
        is_subscribed: bool,
    },
    /// The consumer is closed.
    #[error("the consumer is closed")]
    Closed,
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What is wrong with a batch.
#[derive(Debug, Clone, Error)]
pub enum CorruptBatch {
    /// Its header or checksum.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// One of its records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its compression.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl Error {
    /// Says whether trying again may succeed without anything being changed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Group { code, .. } | Self::Commit { code, .. } | Self::Refused { code, .. } => {
                code.is_retriable()
            }
            Self::Client(error) => error.is_retriable(),
            _ => false,
        }
    }

    /// Says whether the consumer is of no further use.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Group { .. } => !self.is_retriable(),
            Self::Closed | Self::Config(_) => true,
            Self::Client(error) => error.is_fatal(),
            _ => false,
        }
    }

    /// The error code a broker gave, if one did.
    #[must_use]
    pub fn kafka_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Group { code, .. } | Self::Commit { code, .. } | Self::Refused { code, .. } => {
                Some(*code)
            }
            Self::OutOfRange { .. } => Some(ErrorCode::OffsetOutOfRange),
            Self::Client(error) => error.kafka_code(),
            _ => None,
        }
    }
}
