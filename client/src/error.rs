//! The errors of clients.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::{ApiKey, ErrorCode};
use thiserror::Error;

use crate::connection::ConnectionError;

/// Why something asked of a cluster was not done.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// A broker answered with an error.
    #[error("{}: {}", .code.name(), .message.as_deref().unwrap_or_else(|| .code.message()))]
    Broker {
        /// What was asked.
        api: ApiKey,
        /// Kafka's error code.
        code: ErrorCode,
        /// What the broker said about it, if anything.
        message: Option<String>,
    },
    /// A connection failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// No broker of the cluster could be reached.
    #[error("no broker answers; tried {tried}; the last one: {last}")]
    Unreachable {
        /// The addresses tried, separated by commas.
        tried: String,
        /// Why the last one failed.
        last: ConnectionError,
    },
    /// Metadata names no broker with this id, at the moment.
    #[error("broker {broker_id} is not known at the moment")]
    UnknownBroker {
        /// The id.
        broker_id: i32,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}, only 0 to {}", .partition_count - 1)]
    UnknownPartition {
        /// Its name.
        topic: String,
        /// The index that does not exist.
        partition: i32,
        /// How many partitions there are.
        partition_count: usize,
    },
    /// The partition has no leader at the moment.
    #[error("partition {partition} of topic {topic} has no leader at the moment")]
    NoLeader {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The answer leaves out what was asked for.
    #[error("the answer to {api:?} says nothing about {about}")]
    Incomplete {
        /// What was asked.
        api: ApiKey,
        /// What the answer should have said something about.
        about: String,
    },
    /// Time ran out.
    #[error("not done within {} ms: {last}", .after.as_millis())]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
        /// Why the last try failed.
        last: Box<Self>,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client was closed, or the runtime it lives in.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// The error for an answer with this code, or nothing for none.
    pub fn check(api: ApiKey, error_code: i16, message: Option<String>) -> Result<(), Self> {
        match ErrorCode::from_code(error_code) {
            ErrorCode::None => Ok(()),
            code => Err(Self::Broker { api, code, message }),
        }
    }

    /// Says whether the same may succeed when it is tried again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Broker { code, .. } => code.is_retriable(),
            Self::Connection(error) => error.is_retriable(),
            Self::Unreachable { last, .. } => last.is_retriable(),
            Self::UnknownBroker { .. } | Self::NoLeader { .. } | Self::TimedOut { .. } => true,
            // A topic just created may not have reached every broker yet.
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => true,
            Self::Incomplete { .. } | Self::Config(_) | Self::Closed => false,
        }
    }

    /// Says whether the client that reported this is of no further use.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Broker { code, .. } => matches!(
                code,
                ErrorCode::FencedInstanceId
                    | ErrorCode::ProducerFenced
                    | ErrorCode::InvalidProducerEpoch
                    | ErrorCode::ClusterAuthorizationFailed
                    | ErrorCode::SaslAuthenticationFailed
                    | ErrorCode::UnsupportedVersion
            ),
            Self::Closed | Self::Config(_) => true,
            Self::Connection(ConnectionError::Closed { .. }) => true,
            Self::TimedOut { last, .. } => last.is_fatal(),
            _ => false,
        }
    }

    /// The error code a broker gave, if one did.
    #[must_use]
    pub fn kafka_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Connection(ConnectionError::Refused { code, .. }) => Some(*code),
            Self::TimedOut { last, .. } => last.kafka_code(),
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => {
                Some(ErrorCode::UnknownTopicOrPartition)
            }
            _ => None,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting has a value that it cannot have.
    #[error("{name} = {value:?}: allowed is {allowed}")]
    Value {
        /// Kafka's name of the setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What may be given.
        allowed: &'static str,
    },
    /// Two settings contradict each other.
    #[error("{name} = {value}: {reason}")]
    Conflict {
        /// Kafka's name of the setting.
        name: &'static str,
        /// The value given.
        value: String,
        /// What it contradicts, and the remedy.
        reason: &'static str,
    },
    /// A setting is missing.
    #[error("{name} is not set")]
    Missing {
        /// Kafka's name of the setting.
        name: &'static str,
    },
    /// A file of settings cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}
