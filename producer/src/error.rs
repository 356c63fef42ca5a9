//! Why a record was not delivered, or not even taken.

use std::time::Duration;

use flumen_client::{ConfigError, Error as ClientError, TopicPartition};
use flumen_protocol::ErrorCode;
use thiserror::Error;

/// The failure of one record or of the producer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// A broker refused the record, finally.
    #[error("{partition}: {}: {}", .code.name(), .message.as_deref().unwrap_or_else(|| .code.message()))]
    Refused {
        /// Where the record should have gone.
        partition: TopicPartition,
        /// Kafka's error code.
        code: ErrorCode,
        /// What the broker said about it, if anything.
        message: Option<String>,
        /// Whether an earlier try may have been written all the same.
        possibly_written: bool,
    },
    /// The delivery timeout passed.
    #[error(
        "{partition}: not delivered within {} ms{}{}",
        .after.as_millis(),
        if *.possibly_written { ", but possibly written" } else { "" },
        .last.as_ref().map(|last| format!("; the last try: {last}")).unwrap_or_default()
    )]
    TimedOut {
        /// Where the record should have gone.
        partition: TopicPartition,
        /// The time that was allowed (`delivery.timeout.ms`).
        after: Duration,
        /// Whether some try may have been written without an answer.
        possibly_written: bool,
        /// Why the last try failed, if there was one.
        last: Option<Box<ClientError>>,
    },
    /// The record is larger than requests or the buffer may be.
    #[error("a record of {size} bytes is larger than {setting} allows: {limit}")]
    TooLarge {
        /// The size of the record in a batch.
        size: usize,
        /// The setting that limits it.
        setting: &'static str,
        /// The value of the setting.
        limit: usize,
    },
    /// The buffer is full; [`Producer::enqueue`](crate::Producer::enqueue) would wait.
    #[error("the buffer of {limit} bytes is full")]
    Full {
        /// The value of `buffer.memory`.
        limit: usize,
    },
    /// The topic's partitions are not known yet; `enqueue` would ask.
    #[error("the partitions of topic {topic} are not known yet")]
    NotReady {
        /// The topic.
        topic: String,
    },
    /// The record could not be taken within `max.block.ms`.
    #[error("the record could not be taken within {} ms: {reason}", .after.as_millis())]
    Blocked {
        /// The time that was allowed.
        after: Duration,
        /// What it waited for.
        reason: &'static str,
    },
    /// The producer was closed before the record was delivered.
    #[error("the producer was closed{}", if *.possibly_written { ", the record is possibly written" } else { "" })]
    Closed {
        /// Whether some try may have been written without an answer.
        possibly_written: bool,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cluster could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Error {
    /// Says whether sending the record again may succeed.
    ///
    /// If it is [`possibly_written`](Self::possibly_written), that may write it twice.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.is_retriable(),
            Self::TimedOut { .. }
            | Self::Full { .. }
            | Self::NotReady { .. }
            | Self::Blocked { .. } => true,
            Self::TooLarge { .. } | Self::Closed { .. } | Self::Config(_) => false,
            Self::Client(error) => error.is_retriable(),
        }
    }

    /// Says whether the producer is of no further use.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Closed { .. } | Self::Config(_) => true,
            Self::Refused { code, .. } => {
                matches!(code, ErrorCode::ProducerFenced | ErrorCode::ClusterAuthorizationFailed)
            }
            Self::Client(error) => error.is_fatal(),
            _ => false,
        }
    }

    /// Says whether the record may be in the log although no broker said so.
    #[must_use]
    pub fn possibly_written(&self) -> bool {
        match self {
            Self::Refused { possibly_written, .. }
            | Self::TimedOut { possibly_written, .. }
            | Self::Closed { possibly_written } => *possibly_written,
            _ => false,
        }
    }

    /// The error code a broker gave, if one did.
    #[must_use]
    pub fn kafka_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::TimedOut { last, .. } => last.as_ref()?.kafka_code(),
            Self::Client(error) => error.kafka_code(),
            _ => None,
        }
    }
}
