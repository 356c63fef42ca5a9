//! Why a request over one connection got no usable answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::{ApiKey, DecodeError, EncodeError, ErrorCode};
use thiserror::Error;

/// The failure of a connection, or of one request on it.
///
/// Cheap to clone: when a connection breaks, every request on it gets the same reason.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The connection could not be made.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The `host:port` that was tried.
        address: Arc<str>,
        /// What the network said.
        source: Arc<io::Error>,
    },
    /// The connection broke before the answer came.
    #[error("the connection to {address} was lost{}", if *.possibly_received { " while waiting for an answer" } else { "" })]
    Lost {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// Whether any byte of the request may have left: if not, it certainly had no effect.
        possibly_received: bool,
    },
    /// No answer came in time; the connection is closed, because answers come in order.
    #[error("{address} did not answer a {api:?} request within {} ms", .after.as_millis())]
    TimedOut {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// What was asked.
        api: ApiKey,
        /// How long the request waited.
        after: Duration,
    },
    /// Client and broker have no version of this API in common.
    #[error(
        "{address} serves no usable version of {api:?}: this client speaks {client_min} to {client_max}"
    )]
    UnsupportedVersion {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// The API.
        api: ApiKey,
        /// The lowest version this client could send.
        client_min: i16,
        /// The highest version this client could send.
        client_max: i16,
    },
    /// The peer refused to negotiate versions.
    #[error("{address} refused the ApiVersions request: {}", .code.message())]
    Refused {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// Its answer.
        code: ErrorCode,
    },
    /// The peer announced a frame that no broker has reason to send.
    #[error(
        "{address} announced a frame of {size} bytes, the limit is {limit}: is it a Kafka port?"
    )]
    FrameSize {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// The announced size; negative numbers come from peers that speak something else.
        size: i32,
        /// The configured limit.
        limit: usize,
    },
    /// The peer answered another request than the one whose turn it was.
    #[error("{address} answered request {received}, expected was {expected:?}")]
    OutOfTurn {
        /// The `host:port` of the peer.
        address: Arc<str>,
        /// The correlation id that came.
        received: i32,
        /// The correlation id whose turn it was, if any request was waiting.
        expected: Option<i32>,
    },
    /// The answer could not be understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The request has no encoding in the version both sides speak.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The task behind the connection is gone; its runtime was shut down.
    #[error("the connection to {address} is closed")]
    Closed {
        /// The `host:port` of the peer.
        address: Arc<str>,
    },
}

impl ConnectionError {
    /// Says whether the same request may succeed on another try.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::TimedOut { .. } => true,
            Self::UnsupportedVersion { .. }
            | Self::Refused { .. }
            | Self::FrameSize { .. }
            | Self::OutOfTurn { .. }
            | Self::Decode(_)
            | Self::Encode(_)
            | Self::Closed { .. } => false,
        }
    }

    /// Says whether the peer may have acted on the request although no answer was understood.
    #[must_use]
    pub fn possibly_received(&self) -> bool {
        match self {
            Self::Lost { possibly_received, .. } => *possibly_received,
            Self::TimedOut { .. }
            | Self::FrameSize { .. }
            | Self::OutOfTurn { .. }
            | Self::Closed { .. }
            | Self::Decode(_) => true,
            Self::Connect { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Refused { .. }
            | Self::Encode(_) => false,
        }
    }
}
