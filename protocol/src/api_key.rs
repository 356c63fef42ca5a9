//! The APIs of Apache Kafka 4.4 that a client or an admin tool can call, with their versions.
//!
//! Which of them a broker serves is the broker's business. Keys that only brokers and controllers of
//! Kafka use among themselves are absent on purpose, but for Envelope, in which brokers here carry
//! what they say to each other.

use std::fmt;
use std::ops::RangeInclusive;

macro_rules! api_keys {
    ($($name:ident = $key:literal, $versions:expr, flexible from $flexible:tt;)*) => {
        /// The kind of a request, which settles its layout together with a version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// Every API, by ascending key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Finds the API of a number from the wire.
            pub const fn from_key(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn key(self) -> i16 {
                match self {
                    $(Self::$name => $key,)*
                }
            }

            /// The name, as Kafka writes it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The versions that can be encoded and decoded.
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(Self::$name => $versions,)*
                }
            }

            /// Says whether a version has compact lengths and tagged fields.
            pub const fn is_flexible(self, version: i16) -> bool {
                match self {
                    $(Self::$name => api_keys!(@flexible version, $flexible),)*
                }
            }
        }
    };
    (@flexible $version:ident, never) => { false };
    (@flexible $version:ident, $first:literal) => { $version >= $first };
}

api_keys! {
    Produce = 0, 3..=13, flexible from 9;
    Fetch = 1, 4..=18, flexible from 12;
    ListOffsets = 2, 1..=11, flexible from 6;
    Metadata = 3, 0..=13, flexible from 9;
    OffsetCommit = 8, 2..=10, flexible from 8;
    OffsetFetch = 9, 1..=10, flexible from 6;
    FindCoordinator = 10, 0..=6, flexible from 3;
    JoinGroup = 11, 0..=9, flexible from 6;
    Heartbeat = 12, 0..=4, flexible from 4;
    LeaveGroup = 13, 0..=5, flexible from 4;
    SyncGroup = 14, 0..=5, flexible from 4;
    DescribeGroups = 15, 0..=6, flexible from 5;
    ListGroups = 16, 0..=5, flexible from 3;
    SaslHandshake = 17, 0..=1, flexible from never;
    ApiVersions = 18, 0..=5, flexible from 3;
    CreateTopics = 19, 2..=7, flexible from 5;
    DeleteTopics = 20, 1..=6, flexible from 4;
    DeleteRecords = 21, 0..=2, flexible from 2;
    InitProducerId = 22, 0..=6, flexible from 2;
    OffsetForLeaderEpoch = 23, 2..=4, flexible from 4;
    AddPartitionsToTxn = 24, 0..=5, flexible from 3;
    AddOffsetsToTxn = 25, 0..=4, flexible from 3;
    EndTxn = 26, 0..=5, flexible from 3;
    WriteTxnMarkers = 27, 1..=2, flexible from 1;
    TxnOffsetCommit = 28, 0..=6, flexible from 3;
    DescribeAcls = 29, 1..=3, flexible from 2;
    CreateAcls = 30, 1..=3, flexible from 2;
    DeleteAcls = 31, 1..=3, flexible from 2;
    DescribeConfigs = 32, 1..=4, flexible from 4;
    AlterConfigs = 33, 0..=2, flexible from 2;
    AlterReplicaLogDirs = 34, 1..=2, flexible from 2;
    DescribeLogDirs = 35, 1..=5, flexible from 2;
    SaslAuthenticate = 36, 0..=2, flexible from 2;
    CreatePartitions = 37, 0..=3, flexible from 2;
    CreateDelegationToken = 38, 1..=3, flexible from 2;
    RenewDelegationToken = 39, 1..=2, flexible from 2;
    ExpireDelegationToken = 40, 1..=2, flexible from 2;
    DescribeDelegationToken = 41, 1..=3, flexible from 2;
    DeleteGroups = 42, 0..=3, flexible from 2;
    ElectLeaders = 43, 0..=2, flexible from 2;
    IncrementalAlterConfigs = 44, 0..=1, flexible from 1;
    AlterPartitionReassignments = 45, 0..=1, flexible from 0;
    ListPartitionReassignments = 46, 0..=0, flexible from 0;
    OffsetDelete = 47, 0..=0, flexible from never;
    DescribeClientQuotas = 48, 0..=1, flexible from 1;
    AlterClientQuotas = 49, 0..=1, flexible from 1;
    DescribeUserScramCredentials = 50, 0..=0, flexible from 0;
    AlterUserScramCredentials = 51, 0..=0, flexible from 0;
    DescribeQuorum = 55, 0..=2, flexible from 0;
    UpdateFeatures = 57, 0..=2, flexible from 0;
    Envelope = 58, 0..=0, flexible from 0;
    DescribeCluster = 60, 0..=2, flexible from 0;
    DescribeProducers = 61, 0..=0, flexible from 0;
    UnregisterBroker = 64, 0..=0, flexible from 0;
    DescribeTransactions = 65, 0..=0, flexible from 0;
    ListTransactions = 66, 0..=2, flexible from 0;
    ConsumerGroupHeartbeat = 68, 0..=1, flexible from 0;
    ConsumerGroupDescribe = 69, 0..=1, flexible from 0;
    GetTelemetrySubscriptions = 71, 0..=0, flexible from 0;
    PushTelemetry = 72, 0..=0, flexible from 0;
    ListConfigResources = 74, 0..=1, flexible from 0;
    DescribeTopicPartitions = 75, 0..=0, flexible from 0;
    ShareGroupHeartbeat = 76, 1..=1, flexible from 0;
    ShareGroupDescribe = 77, 1..=1, flexible from 0;
    ShareFetch = 78, 1..=2, flexible from 0;
    ShareAcknowledge = 79, 1..=2, flexible from 0;
    AddRaftVoter = 80, 0..=1, flexible from 0;
    RemoveRaftVoter = 81, 0..=0, flexible from 0;
    StreamsGroupHeartbeat = 88, 0..=1, flexible from 0;
    StreamsGroupDescribe = 89, 0..=1, flexible from 0;
    DescribeShareGroupOffsets = 90, 0..=1, flexible from 0;
    AlterShareGroupOffsets = 91, 0..=0, flexible from 0;
    DeleteShareGroupOffsets = 92, 0..=0, flexible from 0;
    StreamsGroupTopologyDescriptionUpdate = 93, 0..=0, flexible from 0;
    UnregisterController = 94, 0..=0, flexible from 0;
}

impl ApiKey {
    /// The versions that Kafka 4.4 tells a client it may use.
    ///
    /// Two differ from what can be decoded. Produce is advertised from 0 although 0 to 2 are refused:
    /// librdkafka takes a higher start for a broker without compression (KAFKA-18659). InitProducerId
    /// 6 is not final yet.
    pub const fn advertised_versions(self) -> RangeInclusive<i16> {
        match self {
            Self::Produce => 0..=13,
            Self::InitProducerId => 0..=5,
            other => other.versions(),
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_numbers_match() {
        for api in ApiKey::ALL {
            assert_eq!(ApiKey::from_key(api.key()), Some(*api));
        }
        for absent in [-1, 4, 7, 52, 82, 95, i16::MAX] {
            assert_eq!(ApiKey::from_key(absent), None);
        }
    }

    #[test]
    fn advertised_versions_differ_in_two_places() {
        let differing: Vec<_> = ApiKey::ALL
            .iter()
            .filter(|api| api.advertised_versions() != api.versions())
            .copied()
            .collect();
        assert_eq!(differing, [ApiKey::Produce, ApiKey::InitProducerId]);
    }
}
