//! Every error code of Apache Kafka 4.4, with its name, whether a retry can help, and what it means.

use std::fmt;

macro_rules! error_codes {
    ($($code:literal, $variant:ident, $name:literal, $retry:ident, $message:literal;)*) => {
        /// The outcome of a request, or of one part of it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = $message]
                $variant = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, by ascending number.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Finds the code of a number from the wire; one that is not known is an unknown error.
            pub const fn from_code(code: i16) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::UnknownServerError,
                }
            }

            /// The number on the wire.
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The name, as Kafka's clients and documentation write it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Says whether the same request may succeed later, perhaps after fresh metadata.
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$variant => error_codes!(@$retry),)*
                }
            }

            /// What it means, in a few words.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)*
                }
            }
        }
    };
    (@retriable) => { true };
    (@final) => { false };
}

error_codes! {
    -1, UnknownServerError, "UNKNOWN_SERVER_ERROR", final, "the server failed in a way it did not foresee";
    0, None, "NONE", final, "no error";
    1, OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", final, "the offset is outside the range that the partition holds";
    2, CorruptMessage, "CORRUPT_MESSAGE", retriable, "the record data is damaged: wrong checksum, wrong size, or no key for a compacted topic";
    3, UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "this broker does not have that topic or partition";
    4, InvalidFetchSize, "INVALID_FETCH_SIZE", final, "the fetch size is not valid";
    5, LeaderNotAvailable, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at the moment, an election is under way";
    6, NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", retriable, "this broker is not the leader, or not a replica, of the partition";
    7, RequestTimedOut, "REQUEST_TIMED_OUT", retriable, "the request was not finished in the time it was given";
    8, BrokerNotAvailable, "BROKER_NOT_AVAILABLE", final, "the broker is not available";
    9, ReplicaNotAvailable, "REPLICA_NOT_AVAILABLE", retriable, "the replica is not available";
    10, MessageTooLarge, "MESSAGE_TOO_LARGE", final, "the record batch is larger than the topic or broker accepts";
    11, StaleControllerEpoch, "STALE_CONTROLLER_EPOCH", final, "another controller has taken over";
    12, OffsetMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE", final, "the metadata stored with an offset is too long";
    13, NetworkException, "NETWORK_EXCEPTION", retriable, "the connection closed before the response came";
    14, CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator is still loading its state";
    15, CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", retriable, "the coordinator is not available";
    16, NotCoordinator, "NOT_COORDINATOR", retriable, "this broker is not the coordinator of that group or transaction";
    17, InvalidTopicException, "INVALID_TOPIC_EXCEPTION", final, "the topic name is not valid, or the topic does not allow this operation";
    18, RecordListTooLarge, "RECORD_LIST_TOO_LARGE", final, "the record batch is larger than a log segment";
    19, NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", retriable, "fewer replicas are in sync than the topic requires";
    20, NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "the records were written, but to fewer in-sync replicas than the topic requires";
    21, InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", final, "acks must be 0, 1 or -1";
    22, IllegalGeneration, "ILLEGAL_GENERATION", final, "the generation is not the current one of the group";
    23, InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL", final, "the member shares no protocol with the group, or names none at all";
    24, InvalidGroupId, "INVALID_GROUP_ID", final, "the group id is not valid";
    25, UnknownMemberId, "UNKNOWN_MEMBER_ID", final, "the group does not know this member";
    26, InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT", final, "the session timeout is outside the limits of the broker";
    27, RebalanceInProgress, "REBALANCE_IN_PROGRESS", final, "the group is rebalancing, the member must join again";
    28, InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", final, "the offset data is too large to store";
    29, TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED", final, "not allowed to use the topic";
    30, GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED", final, "not allowed to use the group";
    31, ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED", final, "not allowed to use the cluster";
    32, InvalidTimestamp, "INVALID_TIMESTAMP", final, "the timestamp of a record is too far off";
    33, UnsupportedSaslMechanism, "UNSUPPORTED_SASL_MECHANISM", final, "the broker does not offer this SASL mechanism";
    34, IllegalSaslState, "ILLEGAL_SASL_STATE", final, "the request does not fit the state of the SASL exchange";
    35, UnsupportedVersion, "UNSUPPORTED_VERSION", final, "the broker does not have this version of the API";
    36, TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", final, "a topic of that name exists already";
    37, InvalidPartitions, "INVALID_PARTITIONS", final, "the number of partitions is not valid";
    38, InvalidReplicationFactor, "INVALID_REPLICATION_FACTOR", final, "the replication factor is below 1 or above the number of brokers";
    39, InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", final, "the assignment of replicas is not valid";
    40, InvalidConfig, "INVALID_CONFIG", final, "the configuration is not valid";
    41, NotController, "NOT_CONTROLLER", retriable, "this broker is not the controller";
    42, InvalidRequest, "INVALID_REQUEST", final, "the request contradicts itself or the protocol";
    43, UnsupportedForMessageFormat, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "the message format of the broker does not support this request";
    44, PolicyViolation, "POLICY_VIOLATION", final, "a policy of the broker forbids this request";
    45, OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "the sequence number of the batch leaves a gap or goes back";
    46, DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", final, "the batch with this sequence number was written before";
    47, InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", final, "the producer epoch is older than the one the broker knows";
    48, InvalidTxnState, "INVALID_TXN_STATE", final, "the transaction is not in a state that allows this";
    49, InvalidProducerIdMapping, "INVALID_PRODUCER_ID_MAPPING", final, "the producer id does not belong to this transactional id";
    50, InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", final, "the transaction timeout is larger than the broker allows";
    51, ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", retriable, "another operation on the same transaction is under way";
    52, TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", final, "another transaction coordinator has taken over";
    53, TransactionalIdAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "not allowed to use the transactional id";
    54, SecurityDisabled, "SECURITY_DISABLED", final, "security features are switched off on this broker";
    55, OperationNotAttempted, "OPERATION_NOT_ATTEMPTED", final, "not attempted, because another part of the request failed";
    56, KafkaStorageError, "KAFKA_STORAGE_ERROR", retriable, "the broker cannot use the disk that holds the partition";
    57, LogDirNotFound, "LOG_DIR_NOT_FOUND", final, "the broker has no log directory of that name";
    58, SaslAuthenticationFailed, "SASL_AUTHENTICATION_FAILED", final, "authentication failed";
    59, UnknownProducerId, "UNKNOWN_PRODUCER_ID", final, "the broker has forgotten this producer id, its records may have expired";
    60, ReassignmentInProgress, "REASSIGNMENT_IN_PROGRESS", final, "the partition is being reassigned";
    61, DelegationTokenAuthDisabled, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are switched off on this broker";
    62, DelegationTokenNotFound, "DELEGATION_TOKEN_NOT_FOUND", final, "the broker does not know this delegation token";
    63, DelegationTokenOwnerMismatch, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "the principal may not own or renew this delegation token";
    64, DelegationTokenRequestNotAllowed, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens cannot be used on this kind of connection";
    65, DelegationTokenAuthorizationFailed, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "not allowed to use the delegation token";
    66, DelegationTokenExpired, "DELEGATION_TOKEN_EXPIRED", final, "the delegation token has expired";
    67, InvalidPrincipalType, "INVALID_PRINCIPAL_TYPE", final, "the type of the principal is not supported";
    68, NonEmptyGroup, "NON_EMPTY_GROUP", final, "the group still has members";
    69, GroupIdNotFound, "GROUP_ID_NOT_FOUND", final, "there is no group of that id";
    70, FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", retriable, "the broker does not know this fetch session";
    71, InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", retriable, "the fetch session is at another epoch";
    72, ListenerNotFound, "LISTENER_NOT_FOUND", retriable, "the leader has no listener of the name this connection uses";
    73, TopicDeletionDisabled, "TOPIC_DELETION_DISABLED", final, "deleting topics is switched off on this broker";
    74, FencedLeaderEpoch, "FENCED_LEADER_EPOCH", retriable, "the leader epoch of the request is older than the broker's";
    75, UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", retriable, "the leader epoch of the request is newer than the broker's";
    76, UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE", final, "the client version cannot read the compression of the partition";
    77, StaleBrokerEpoch, "STALE_BROKER_EPOCH", final, "the broker has registered again since";
    78, OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", retriable, "a new leader does not know yet up to where the partition is committed";
    79, MemberIdRequired, "MEMBER_ID_REQUIRED", final, "join again with the member id in this response";
    80, PreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not available";
    81, GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", final, "the group has as many members as it may have";
    82, FencedInstanceId, "FENCED_INSTANCE_ID", final, "another member has taken over this group instance id";
    83, EligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no replica that may lead is available";
    84, ElectionNotNeeded, "ELECTION_NOT_NEEDED", retriable, "the partition has the leader it should have";
    85, NoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS", final, "the partition is not being reassigned";
    86, GroupSubscribedToTopic, "GROUP_SUBSCRIBED_TO_TOPIC", final, "the group is subscribed to the topic";
    87, InvalidRecord, "INVALID_RECORD", final, "a record does not pass the checks of the broker";
    88, UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", retriable, "a transaction has offsets pending for this partition";
    89, ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", retriable, "the quota is used up, try again later";
    90, ProducerFenced, "PRODUCER_FENCED", final, "a newer producer with the same transactional id has taken over";
    91, ResourceNotFound, "RESOURCE_NOT_FOUND", final, "there is no such resource";
    92, DuplicateResource, "DUPLICATE_RESOURCE", final, "the request names the same resource twice";
    93, UnacceptableCredential, "UNACCEPTABLE_CREDENTIAL", final, "the credential does not meet the rules";
    94, InconsistentVoterSet, "INCONSISTENT_VOTER_SET", final, "sender or receiver is not one of the expected voters";
    95, InvalidUpdateVersion, "INVALID_UPDATE_VERSION", final, "the update has a version that does not follow the current one";
    96, FeatureUpdateFailed, "FEATURE_UPDATE_FAILED", final, "the features could not be updated";
    97, PrincipalDeserializationFailure, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "the forwarded principal cannot be read";
    98, SnapshotNotFound, "SNAPSHOT_NOT_FOUND", final, "there is no such snapshot";
    99, PositionOutOfRange, "POSITION_OUT_OF_RANGE", final, "the position lies outside the snapshot";
    100, UnknownTopicId, "UNKNOWN_TOPIC_ID", retriable, "this broker does not have a topic of that id";
    101, DuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION", final, "a broker of that id is registered already";
    102, BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", final, "no broker of that id is registered";
    103, InconsistentTopicId, "INCONSISTENT_TOPIC_ID", retriable, "the topic id does not match the log";
    104, InconsistentClusterId, "INCONSISTENT_CLUSTER_ID", final, "the cluster id is not the one of this cluster";
    105, TransactionalIdNotFound, "TRANSACTIONAL_ID_NOT_FOUND", final, "there is no such transactional id";
    106, FetchSessionTopicIdError, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "the fetch session mixes topic ids and names";
    107, IneligibleReplica, "INELIGIBLE_REPLICA", final, "a replica that may not be in sync was named as such";
    108, NewLeaderElected, "NEW_LEADER_ELECTED", final, "the partition was changed, but has another leader now";
    109, OffsetMovedToTieredStorage, "OFFSET_MOVED_TO_TIERED_STORAGE", final, "the records were moved to tiered storage";
    110, FencedMemberEpoch, "FENCED_MEMBER_EPOCH", final, "the member epoch is not the current one, the member must give up its partitions and join again";
    111, UnreleasedInstanceId, "UNRELEASED_INSTANCE_ID", final, "another member still uses this group instance id";
    112, UnsupportedAssignor, "UNSUPPORTED_ASSIGNOR", final, "the group does not offer this assignor";
    113, StaleMemberEpoch, "STALE_MEMBER_EPOCH", final, "the member epoch is old, try again with the one of the next heartbeat";
    114, MismatchedEndpointType, "MISMATCHED_ENDPOINT_TYPE", final, "the request came to an endpoint of the wrong kind";
    115, UnsupportedEndpointType, "UNSUPPORTED_ENDPOINT_TYPE", final, "endpoints of this kind are not supported";
    116, UnknownControllerId, "UNKNOWN_CONTROLLER_ID", final, "there is no controller of that id";
    117, UnknownSubscriptionId, "UNKNOWN_SUBSCRIPTION_ID", final, "the telemetry subscription is unknown or outdated";
    118, TelemetryTooLarge, "TELEMETRY_TOO_LARGE", final, "the telemetry is larger than the broker accepts";
    119, InvalidRegistration, "INVALID_REGISTRATION", final, "the registration is not valid";
    120, TransactionAbortable, "TRANSACTION_ABORTABLE", final, "the transaction failed, but can be aborted and its producer used further";
    121, InvalidRecordState, "INVALID_RECORD_STATE", final, "the record is not in a state in which it can be acknowledged";
    122, ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", retriable, "the broker does not know this share session";
    123, InvalidShareSessionEpoch, "INVALID_SHARE_SESSION_EPOCH", retriable, "the share session is at another epoch";
    124, FencedStateEpoch, "FENCED_STATE_EPOCH", final, "the state epoch is not the current one";
    125, InvalidVoterKey, "INVALID_VOTER_KEY", final, "the key of the voter is not the one of the receiver";
    126, DuplicateVoter, "DUPLICATE_VOTER", final, "the voter is in the set already";
    127, VoterNotFound, "VOTER_NOT_FOUND", final, "the voter is not in the set";
    128, InvalidRegularExpression, "INVALID_REGULAR_EXPRESSION", final, "the regular expression is not valid";
    129, RebootstrapRequired, "REBOOTSTRAP_REQUIRED", final, "the client knows too little of the cluster and must start over from its bootstrap servers";
    130, StreamsInvalidTopology, "STREAMS_INVALID_TOPOLOGY", final, "the topology is not valid";
    131, StreamsInvalidTopologyEpoch, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "the epoch of the topology is not valid";
    132, StreamsTopologyFenced, "STREAMS_TOPOLOGY_FENCED", final, "the epoch of the topology is older than the group's";
    133, ShareSessionLimitReached, "SHARE_SESSION_LIMIT_REACHED", retriable, "the broker has as many share sessions as it may have";
    134, GroupDeletionFailed, "GROUP_DELETION_FAILED", final, "the group could not be deleted, its own message says why";
    135, StreamsTopologyDescriptionUpdateFailed, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", final, "the description of the topology could not be stored, the message says why";
    136, ControllerIdNotRegistered, "CONTROLLER_ID_NOT_REGISTERED", final, "no controller of that id is registered";
}

impl ErrorCode {
    /// Says whether there is no error.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_each_other_without_gaps() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
        assert_eq!(codes, (-1..=136).collect::<Vec<_>>());
        for error in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(error.code()), *error);
        }
    }

    #[test]
    fn an_unknown_code_is_an_unknown_error() {
        assert_eq!(ErrorCode::from_code(999), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::from_code(-2), ErrorCode::UnknownServerError);
    }
}
