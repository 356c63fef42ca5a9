//! The one place where errors become Kafka's error codes.
//!
//! No `match` here has a wildcard arm, so a new error does not compile until someone has chosen
//! its code. A code that tells a producer's client "final" about something that may have been
//! written breaks its deduplication: unknown outcomes are always retriable codes.

#![deny(clippy::wildcard_enum_match_arm)]

mod controller;
mod partition;

use flumen_protocol::ErrorCode;

use crate::coordinator::CoordinatorError;
use crate::group::GroupError;

pub(crate) use partition::{has_reached_log, record_errors};

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

impl WireError for CoordinatorError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotCoordinator => ErrorCode::NotCoordinator,
            Self::LoadInProgress => ErrorCode::CoordinatorLoadInProgress,
            Self::NotAvailable => ErrorCode::CoordinatorNotAvailable,
            // Only what a client sends in one request can be too large, and no try makes it smaller.
            Self::TooLarge => ErrorCode::UnknownServerError,
        }
    }
}

impl WireError for GroupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::GroupNotFound { .. } => ErrorCode::GroupIdNotFound,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::FencedInstance => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            Self::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::MemberIdRequired => ErrorCode::MemberIdRequired,
            Self::GroupFull { .. } => ErrorCode::GroupMaxSizeReached,
            Self::InvalidSessionTimeout { .. } => ErrorCode::InvalidSessionTimeout,
            Self::NotEmpty => ErrorCode::NonEmptyGroup,
            Self::SubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
            Self::OffsetMetadataTooLarge { .. } => ErrorCode::OffsetMetadataTooLarge,
            Self::CommitTooLarge => ErrorCode::InvalidCommitOffsetSize,
            Self::Coordinator(error) => error.code(),
        }
    }
}
