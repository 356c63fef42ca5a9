//! Consumer groups: limits on members, and the topic that keeps their offsets.

mod definitions;

use super::definition::{Definition, Kind};
use super::error::{ConfigError, Problem};
use super::settings::Settings;
use super::validator::Valid;

pub(super) use definitions::DEFINITIONS as GROUP_DEFINITIONS;

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "group.min.session.timeout.ms",
        Kind::Int,
        "6000",
        "The shortest session timeout a member may ask for.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "group.max.session.timeout.ms",
        Kind::Int,
        "1800000",
        "The longest session timeout a member may ask for.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "group.initial.rebalance.delay.ms",
        Kind::Int,
        "3000",
        "How long an empty group waits for more members before its first rebalance.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker("group.max.size", Kind::Int, "2147483647", "The most members of a group.")
        .valid(Valid::AtLeast(1)),
    Definition::broker(
        "offsets.topic.num.partitions",
        Kind::Int,
        "50",
        "The partitions of `__consumer_offsets`. It counts when the topic is created.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "offsets.topic.replication.factor",
        Kind::Short,
        "3",
        "The replicas of `__consumer_offsets`, as far as there are brokers.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "offsets.topic.segment.bytes",
        Kind::Int,
        "104857600",
        "The segment size of `__consumer_offsets`.",
    )
    .valid(Valid::AtLeast(1_048_576)),
    Definition::broker(
        "offset.metadata.max.bytes",
        Kind::Int,
        "4096",
        "The most bytes of text a client may store with an offset.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::broker(
        "offsets.retention.minutes",
        Kind::Int,
        "10080",
        "How long the offsets of a group without members are kept.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "offsets.retention.check.interval.ms",
        Kind::Long,
        "600000",
        "How often expired offsets are looked for.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "offsets.commit.timeout.ms",
        Kind::Int,
        "5000",
        "How long a commit waits for the replicas of `__consumer_offsets`.",
    )
    .valid(Valid::AtLeast(1)),
    later(
        "group.consumer.session.timeout.ms",
        "45000",
        1,
        "Session timeout of the consumer protocol (KIP-848).",
    ),
    later(
        "group.consumer.heartbeat.interval.ms",
        "5000",
        1,
        "Heartbeat interval of the consumer protocol (KIP-848).",
    ),
    later(
        "group.consumer.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of the consumer protocol.",
    ),
    later(
        "group.share.session.timeout.ms",
        "45000",
        1,
        "Session timeout of share groups (KIP-932).",
    ),
    later(
        "group.share.heartbeat.interval.ms",
        "5000",
        1,
        "Heartbeat interval of share groups (KIP-932).",
    ),
    later(
        "group.share.record.lock.duration.ms",
        "30000",
        1000,
        "How long a record is locked for one member of a share group.",
    ),
    later(
        "group.share.delivery.count.limit",
        "5",
        2,
        "How often a record is delivered to a share group at most.",
    ),
    later(
        "group.share.partition.max.record.locks",
        "2000",
        100,
        "The most records locked in one partition of a share group.",
    ),
    later(
        "group.share.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of a share group.",
    ),
    later(
        "group.streams.session.timeout.ms",
        "45000",
        1,
        "Session timeout of the streams protocol (KIP-1071).",
    ),
    later(
        "group.streams.heartbeat.interval.ms",
        "5000",
        1,
        "Heartbeat interval of the streams protocol (KIP-1071).",
    ),
    later(
        "group.streams.num.standby.replicas",
        "0",
        0,
        "Standby replicas of a task in the streams protocol.",
    ),
    later(
        "group.streams.initial.rebalance.delay.ms",
        "3000",
        0,
        "How long a new streams group waits for more members.",
    ),
    later(
        "group.streams.assignment.interval.ms",
        "1000",
        0,
        "Least time between two assignments of a streams group.",
    ),
    Definition::broker(
        "group.streams.assignors",
        Kind::List,
        "sticky",
        "Assignors of the streams protocol.",
    )
    .valid(Valid::NotEmpty)
    .no_effect_yet(),
    Definition::broker(
        "group.streams.rack.aware.assignment.tags",
        Kind::List,
        "",
        "Client tags that standby tasks are spread over.",
    )
    .no_effect_yet(),
];

/// A broker setting of a group protocol that is not there yet; tools read it as a default.
const fn later(
    name: &'static str,
    default: &'static str,
    least: i64,
    text: &'static str,
) -> Definition {
    Definition::broker(name, Kind::Int, default, text).valid(Valid::AtLeast(least)).no_effect_yet()
}

/// Consumer groups and their offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// The shortest session timeout allowed.
    pub min_session_timeout_ms: i32,
    /// The longest session timeout allowed.
    pub max_session_timeout_ms: i32,
    /// The wait before the first rebalance of an empty group.
    pub initial_rebalance_delay_ms: i32,
    /// The most members of a group.
    pub max_size: i32,
    /// Partitions of `__consumer_offsets`.
    pub offsets_topic_num_partitions: i32,
    /// Replicas of `__consumer_offsets`, as far as there are brokers.
    pub offsets_topic_replication_factor: i16,
    /// Segment size of `__consumer_offsets`.
    pub offsets_topic_segment_bytes: i32,
    /// The most bytes of text with an offset.
    pub offset_metadata_max_bytes: i32,
    /// How long offsets of an empty group are kept.
    pub offsets_retention_ms: i64,
    /// How often expired offsets are looked for.
    pub offsets_retention_check_interval_ms: i64,
    /// How long a commit waits for replicas.
    pub offsets_commit_timeout_ms: i32,
}

impl GroupConfig {
    pub(super) fn resolve(settings: &Settings) -> Result<Self, ConfigError> {
        let retention_minutes: i64 = settings.number("offsets.retention.minutes");
        let config = Self {
            min_session_timeout_ms: settings.number("group.min.session.timeout.ms"),
            max_session_timeout_ms: settings.number("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: settings.number("group.initial.rebalance.delay.ms"),
            max_size: settings.number("group.max.size"),
            offsets_topic_num_partitions: settings.number("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: settings.number("offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: settings.number("offsets.topic.segment.bytes"),
            offset_metadata_max_bytes: settings.number("offset.metadata.max.bytes"),
            offsets_retention_ms: retention_minutes * 60_000,
            offsets_retention_check_interval_ms: settings
                .number("offsets.retention.check.interval.ms"),
            offsets_commit_timeout_ms: settings.number("offsets.commit.timeout.ms"),
        };
        if config.min_session_timeout_ms > config.max_session_timeout_ms {
            return Err(Problem::Order {
                low: "group.min.session.timeout.ms",
                low_value: config.min_session_timeout_ms.into(),
                high: "group.max.session.timeout.ms",
                high_value: config.max_session_timeout_ms.into(),
            }
            .into());
        }
        Ok(config)
    }
}
