//! The codes of what the controller refuses.

#![deny(clippy::wildcard_enum_match_arm)]

use flumen_protocol::ErrorCode;

use super::WireError;
use crate::api::decided::Undecided;
use crate::controller::{
    AllocateProducerIdsError, AlterConfigError, AssignmentError, ChangeVotersError,
    CreatePartitionsError, CreateTopicError, DeleteTopicError, ElectionError, NotLeader,
    ProducerIdError, ReassignError, TopicConfigError, TopicNameError, UnregisterBrokerError,
};

impl WireError for NotLeader {
    fn code(&self) -> ErrorCode {
        ErrorCode::NotController
    }
}

impl WireError for Undecided {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader(error) => error.code(),
            Self::TimedOut => ErrorCode::RequestTimedOut,
        }
    }
}

impl WireError for TopicNameError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidTopicException
    }
}

impl WireError for CreateTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Exists { .. } => ErrorCode::TopicAlreadyExists,
            Self::Name(error) => error.code(),
            Self::Collision { .. } => ErrorCode::InvalidTopicException,
            Self::Reserved
            | Self::Twice
            | Self::AssignmentAndPartitions
            | Self::AssignmentAndReplicationFactor => ErrorCode::InvalidRequest,
            Self::Partitions => ErrorCode::InvalidPartitions,
            Self::TooManyPartitions | Self::PartitionLimit { .. } => ErrorCode::PolicyViolation,
            Self::ReplicationFactor | Self::TooFewBrokers(_) => ErrorCode::InvalidReplicationFactor,
            Self::Assignment(error) => error.code(),
            Self::Config(error) => error.code(),
        }
    }
}

impl WireError for AssignmentError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidReplicaAssignment
    }
}

impl WireError for TopicConfigError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidConfig
    }
}

impl WireError for DeleteTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownName => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownId => ErrorCode::UnknownTopicId,
            Self::NameAndId | Self::Neither | Self::NameTwice | Self::IdTwice | Self::NameOfId => {
                ErrorCode::InvalidRequest
            }
        }
    }
}

impl WireError for CreatePartitionsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::Twice => ErrorCode::InvalidRequest,
            Self::Same { .. } | Self::Fewer { .. } => ErrorCode::InvalidPartitions,
            Self::TooMany | Self::Limit { .. } => ErrorCode::PolicyViolation,
            Self::TooFewBrokers(_) => ErrorCode::InvalidReplicationFactor,
            Self::Assignment(error) => error.code(),
        }
    }
}

impl WireError for AlterConfigError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::ResourceTwice
            | Self::UnknownKind { .. }
            | Self::DefaultTopic
            | Self::DefaultGroup
            | Self::DefaultClientMetrics
            | Self::BrokerName { .. }
            | Self::UnknownBroker { .. }
            | Self::NameTwice
            | Self::NoValue { .. }
            | Self::UnknownOperation { .. }
            | Self::Fixed { .. }
            | Self::Broker(_)
            | Self::ClientMetrics(_)
            | Self::UnknownClientMetricsConfig { .. } => ErrorCode::InvalidRequest,
            Self::TopicName(error) => error.code(),
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownLogger { .. }
            | Self::NotAList { .. }
            | Self::MinInSyncOfOneBroker
            | Self::DurabilityOfOneBroker
            | Self::Group(_)
            | Self::UnknownGroupConfig { .. } => ErrorCode::InvalidConfig,
            Self::Topic(error) => error.code(),
        }
    }
}

impl WireError for ElectionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => {
                ErrorCode::UnknownTopicOrPartition
            }
            Self::NotNeeded => ErrorCode::ElectionNotNeeded,
            Self::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            Self::NobodyAvailable => ErrorCode::EligibleLeadersNotAvailable,
        }
    }
}

impl WireError for ReassignError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } => {
                ErrorCode::UnknownTopicOrPartition
            }
            Self::Twice { .. } => ErrorCode::InvalidRequest,
            Self::NotInProgress => ErrorCode::NoReassignmentInProgress,
            Self::Assignment(error) => error.code(),
            Self::ReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
            Self::NoneInSync { .. } => ErrorCode::InvalidReplicaAssignment,
        }
    }
}

impl WireError for UnregisterBrokerError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::BrokerIdNotRegistered,
            Self::Alive { .. } => ErrorCode::InvalidRequest,
        }
    }
}

impl WireError for ProducerIdError {
    fn code(&self) -> ErrorCode {
        match self {
            // What clients wait for and ask again.
            Self::NotLeader(_) | Self::Refused(AllocateProducerIdsError::Stale(_)) => {
                ErrorCode::CoordinatorNotAvailable
            }
            Self::Refused(AllocateProducerIdsError::Exhausted(_)) => ErrorCode::UnknownServerError,
        }
    }
}

impl WireError for ChangeVotersError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader(error) => error.code(),
            // Time helps; Kafka has no better code either.
            Self::InProgress | Self::Lagging { .. } => ErrorCode::RequestTimedOut,
            Self::DuplicateVoter { .. } => ErrorCode::DuplicateVoter,
            Self::VoterNotFound { .. } => ErrorCode::VoterNotFound,
            Self::LastVoter { .. } => ErrorCode::InvalidRequest,
        }
    }
}
