//! The one place where errors become Kafka's error codes.
//!
//! No `match` here has a wildcard arm, so a new error does not compile until someone has chosen
//! its code. A code that tells a producer's client "final" about something that may have been
//! written breaks its deduplication: unknown outcomes are always retriable codes.

#![deny(clippy::wildcard_enum_match_arm)]

use flumen_protocol::ErrorCode;

/// An error that a client can be told about.
pub(crate) trait WireError {
    /// The code that goes on the wire.
    fn code(&self) -> ErrorCode;
}

impl<T, E: WireError> WireError for Result<T, E> {
    fn code(&self) -> ErrorCode {
        match self {
            Ok(_) => ErrorCode::None,
            Err(error) => error.code(),
        }
    }
}
