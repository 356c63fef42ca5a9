//! The table of the settings that a group can have of its own.

use crate::config::definition::{Definition, Kind};
use crate::config::validator::Valid;

const ISOLATION_LEVELS: &[&str] = &["read_committed", "read_uncommitted"];

/// The settings a group can have of its own.
pub(in crate::config) const DEFINITIONS: &[Definition] = &[
    own(
        "consumer.session.timeout.ms",
        "45000",
        (45000, 60000),
        "group.consumer.session.timeout.ms",
        "Session timeout of the consumer protocol (KIP-848).",
    ),
    own(
        "consumer.heartbeat.interval.ms",
        "5000",
        (5000, 15000),
        "group.consumer.heartbeat.interval.ms",
        "Heartbeat interval of the consumer protocol (KIP-848).",
    ),
    own(
        "consumer.assignment.interval.ms",
        "1000",
        (0, 15000),
        "group.consumer.assignment.interval.ms",
        "Least time between two assignments.",
    ),
    own(
        "share.session.timeout.ms",
        "45000",
        (45000, 60000),
        "group.share.session.timeout.ms",
        "Session timeout of a share group (KIP-932).",
    ),
    own(
        "share.heartbeat.interval.ms",
        "5000",
        (5000, 15000),
        "group.share.heartbeat.interval.ms",
        "Heartbeat interval of a share group (KIP-932).",
    ),
    own(
        "share.record.lock.duration.ms",
        "30000",
        (15000, 60000),
        "group.share.record.lock.duration.ms",
        "How long a record is locked for one member.",
    ),
    own(
        "share.delivery.count.limit",
        "5",
        (2, 10),
        "group.share.delivery.count.limit",
        "How often a record is delivered at most.",
    ),
    own(
        "share.partition.max.record.locks",
        "2000",
        (100, 4000),
        "group.share.partition.max.record.locks",
        "The most records locked in one partition.",
    ),
    own(
        "share.assignment.interval.ms",
        "1000",
        (0, 15000),
        "group.share.assignment.interval.ms",
        "Least time between two assignments.",
    ),
    Definition::group(
        "share.auto.offset.reset",
        Kind::String,
        "latest",
        "Where a new share group starts to read.",
    )
    .valid(Valid::OffsetReset)
    .no_effect_yet(),
    Definition::group(
        "share.isolation.level",
        Kind::String,
        "read_uncommitted",
        "Whether a share group sees records of open transactions.",
    )
    .valid(Valid::OneOf(ISOLATION_LEVELS))
    .no_effect_yet(),
    Definition::group(
        "share.renew.acknowledge.enable",
        Kind::Boolean,
        "true",
        "Whether a member may renew its lock on a record.",
    )
    .no_effect_yet(),
    own(
        "streams.session.timeout.ms",
        "45000",
        (45000, 60000),
        "group.streams.session.timeout.ms",
        "Session timeout of the streams protocol (KIP-1071).",
    ),
    own(
        "streams.heartbeat.interval.ms",
        "5000",
        (5000, 15000),
        "group.streams.heartbeat.interval.ms",
        "Heartbeat interval of the streams protocol (KIP-1071).",
    ),
    own(
        "streams.num.standby.replicas",
        "0",
        (0, 2),
        "group.streams.num.standby.replicas",
        "Standby replicas of a task.",
    ),
    own(
        "streams.initial.rebalance.delay.ms",
        "3000",
        (0, 2147483647),
        "group.streams.initial.rebalance.delay.ms",
        "How long a new group waits for more members.",
    ),
    own(
        "streams.assignment.interval.ms",
        "1000",
        (0, 15000),
        "group.streams.assignment.interval.ms",
        "Least time between two assignments.",
    ),
    Definition::group(
        "streams.rack.aware.assignment.tags",
        Kind::List,
        "",
        "Client tags that standby tasks are spread over.",
    )
    .defaults_to("group.streams.rack.aware.assignment.tags")
    .no_effect_yet(),
    Definition::group(
        "streams.assignor.name",
        Kind::String,
        "sticky",
        "The assignor of a streams group.",
    )
    .defaults_to("group.streams.assignors")
    .no_effect_yet(),
    Definition::group(
        "errors.deadletterqueue.topic.name",
        Kind::String,
        "",
        "The topic for records that a share group gave up on.",
    )
    .no_effect_yet(),
    Definition::group(
        "errors.deadletterqueue.copy.record.enable",
        Kind::Boolean,
        "false",
        "Copies the whole record to the dead-letter topic, not only its place.",
    )
    .no_effect_yet(),
];

/// A setting of a group, within the bounds that Kafka's brokers keep by default.
const fn own(
    name: &'static str,
    default: &'static str,
    (least, most): (i64, i64),
    broker: &'static str,
    text: &'static str,
) -> Definition {
    Definition::group(name, Kind::Int, default, text)
        .valid(Valid::Between(least, most))
        .defaults_to(broker)
        .no_effect_yet()
}
