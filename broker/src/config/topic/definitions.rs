//! The table of a topic's settings.

use crate::config::definition::{Definition, Kind};
use crate::config::log::{CLEANUP_POLICIES, COMPRESSION_TYPES, DURABILITIES, TIMESTAMP_TYPES};
use crate::config::validator::Valid;

pub(in crate::config) const DEFINITIONS: &[Definition] = &[
    Definition::topic(
        "cleanup.policy",
        Kind::List,
        "delete",
        "What happens to old records: delete drops whole segments by age and size, compact keeps \
         the latest record of each key, both together do both.",
    )
    .valid(Valid::EachOf(CLEANUP_POLICIES))
    .defaults_to("log.cleanup.policy"),
    Definition::topic(
        "durability",
        Kind::String,
        "fsync",
        "What `acks=all` promises: with fsync every in-sync replica has the records on disk, with \
         page-cache in memory.",
    )
    .valid(Valid::OneOf(DURABILITIES))
    .defaults_to("log.durability"),
    Definition::topic(
        "retention.ms",
        Kind::Long,
        "604800000",
        "How long records are kept; -1 for ever.",
    )
    .valid(Valid::AtLeast(-1))
    .defaults_to("log.retention.ms"),
    Definition::topic(
        "retention.bytes",
        Kind::Long,
        "-1",
        "How many bytes of each partition are kept; -1 for no limit.",
    )
    .defaults_to("log.retention.bytes"),
    Definition::topic(
        "segment.bytes",
        Kind::Int,
        "1073741824",
        "The size at which the log goes on in a new segment file.",
    )
    .valid(Valid::AtLeast(1_048_576))
    .defaults_to("log.segment.bytes"),
    Definition::topic(
        "segment.ms",
        Kind::Long,
        "604800000",
        "The age at which the log goes on in a new segment file even if it is small.",
    )
    .valid(Valid::AtLeast(1))
    .defaults_to("log.roll.ms"),
    Definition::topic(
        "segment.jitter.ms",
        Kind::Long,
        "0",
        "The age limit of a segment is lowered by up to this much, at random.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.roll.jitter.ms"),
    Definition::topic(
        "segment.index.bytes",
        Kind::Int,
        "10485760",
        "The largest size of an index file; a full one starts a new segment.",
    )
    .valid(Valid::AtLeast(4))
    .defaults_to("log.index.size.max.bytes"),
    Definition::topic(
        "index.interval.bytes",
        Kind::Int,
        "4096",
        "How many bytes of records lie between two entries of an index.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.index.interval.bytes"),
    Definition::topic(
        "file.delete.delay.ms",
        Kind::Long,
        "60000",
        "Kept for tools: the file goes at once, and reads under way have it open.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.segment.delete.delay.ms")
    .no_effect_yet(),
    Definition::topic("max.message.bytes", Kind::Int, "1048588", "The largest record batch.")
        .valid(Valid::AtLeast(0))
        .defaults_to("message.max.bytes"),
    Definition::topic(
        "max.decompressed.message.bytes",
        Kind::Int,
        "67108864",
        "The largest record batch once it is decompressed.",
    )
    .valid(Valid::AtLeast(1))
    .defaults_to("max.decompressed.message.bytes"),
    Definition::topic(
        "min.insync.replicas",
        Kind::Int,
        "1",
        "How many replicas must be in sync for `acks=all` to be accepted. Unless it is set here or \
         on the broker: 2 for a topic of three or more replicas, else 1.",
    )
    .valid(Valid::AtLeast(1))
    .defaults_to("min.insync.replicas"),
    Definition::topic(
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        "Lets a replica that is not in sync become leader when no other is left.",
    )
    .defaults_to("unclean.leader.election.enable"),
    Definition::topic(
        "compression.type",
        Kind::String,
        "producer",
        "How batches are stored: as the producer compressed them, or recompressed to this codec.",
    )
    .valid(Valid::OneOf(COMPRESSION_TYPES))
    .defaults_to("compression.type"),
    Definition::topic("compression.gzip.level", Kind::Int, "-1", "The level of gzip; -1 for its own default.")
        .valid(Valid::MinusOneOr(1, 9))
        .defaults_to("compression.gzip.level"),
    Definition::topic("compression.lz4.level", Kind::Int, "9", "The level of lz4.")
        .valid(Valid::Between(1, 17))
        .defaults_to("compression.lz4.level"),
    Definition::topic("compression.zstd.level", Kind::Int, "3", "The level of zstd.")
        .valid(Valid::Between(-131_072, 22))
        .defaults_to("compression.zstd.level"),
    Definition::topic(
        "message.timestamp.type",
        Kind::String,
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's, or the broker's at the append.",
    )
    .valid(Valid::OneOf(TIMESTAMP_TYPES))
    .defaults_to("log.message.timestamp.type"),
    Definition::topic(
        "message.timestamp.before.max.ms",
        Kind::Long,
        "9223372036854775807",
        "How far a producer's timestamp may lie in the past.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.message.timestamp.before.max.ms"),
    Definition::topic(
        "message.timestamp.after.max.ms",
        Kind::Long,
        "3600000",
        "How far a producer's timestamp may lie in the future.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.message.timestamp.after.max.ms"),
    Definition::topic(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        "0.5",
        "The share of the log that must be uncleaned before it is compacted.",
    )
    .valid(Valid::Fraction)
    .defaults_to("log.cleaner.min.cleanable.ratio"),
    Definition::topic(
        "delete.retention.ms",
        Kind::Long,
        "86400000",
        "How long a record without a value is kept in a compacted log, for readers that are behind.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.cleaner.delete.retention.ms"),
    Definition::topic(
        "min.compaction.lag.ms",
        Kind::Long,
        "0",
        "How long a record stays untouched by compaction.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.cleaner.min.compaction.lag.ms"),
    Definition::topic(
        "max.compaction.lag.ms",
        Kind::Long,
        "9223372036854775807",
        "The age at which a record becomes subject to compaction whatever the ratio.",
    )
    .valid(Valid::AtLeast(1))
    .defaults_to("log.cleaner.max.compaction.lag.ms"),
    Definition::topic(
        "preallocate",
        Kind::Boolean,
        "false",
        "Reserves the whole size of a new segment at once.",
    )
    .defaults_to("log.preallocate")
    .no_effect_yet(),
    Definition::topic(
        "flush.messages",
        Kind::Long,
        "9223372036854775807",
        "Kept for tools: when records reach the disk is ruled by `durability`.",
    )
    .valid(Valid::AtLeast(1))
    .defaults_to("log.flush.interval.messages")
    .no_effect_yet(),
    Definition::topic(
        "flush.ms",
        Kind::Long,
        "9223372036854775807",
        "Kept for tools: when records reach the disk is ruled by `durability`.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.flush.interval.ms")
    .no_effect_yet(),
    Definition::topic(
        "leader.replication.throttled.replicas",
        Kind::List,
        "",
        "Replicas whose copying these brokers, leading, hold to `leader.replication.throttled.rate`.",
    )
    .valid(Valid::ThrottledReplicas),
    Definition::topic(
        "follower.replication.throttled.replicas",
        Kind::List,
        "",
        "Replicas that these brokers, following, copy at `follower.replication.throttled.rate`.",
    )
    .valid(Valid::ThrottledReplicas),
    Definition::topic("remote.storage.enable", Kind::Boolean, "false", "Tiered storage.")
        .valid(Valid::OneOf(&["false"]))
        .no_effect_yet(),
    Definition::topic(
        "local.retention.ms",
        Kind::Long,
        "-2",
        "Tiered storage: how long records stay on the broker's own disk.",
    )
    .valid(Valid::AtLeast(-2))
    .defaults_to("log.local.retention.ms")
    .no_effect_yet(),
    Definition::topic(
        "local.retention.bytes",
        Kind::Long,
        "-2",
        "Tiered storage: how many bytes stay on the broker's own disk.",
    )
    .valid(Valid::AtLeast(-2))
    .defaults_to("log.local.retention.bytes")
    .no_effect_yet(),
    Definition::topic(
        "remote.log.copy.disable",
        Kind::Boolean,
        "false",
        "Tiered storage: stops copying.",
    )
    .no_effect_yet(),
    Definition::topic(
        "remote.copy.lag.ms",
        Kind::Long,
        "0",
        "Tiered storage: how long a segment waits before it is copied.",
    )
    .valid(Valid::AtLeast(-1))
    .defaults_to("log.remote.copy.lag.ms")
    .no_effect_yet(),
    Definition::topic(
        "remote.copy.lag.bytes",
        Kind::Long,
        "-1",
        "Tiered storage: how many newer bytes there must be before a segment is copied.",
    )
    .valid(Valid::AtLeast(-1))
    .defaults_to("log.remote.copy.lag.bytes")
    .no_effect_yet(),
    Definition::topic(
        "remote.log.delete.on.disable",
        Kind::Boolean,
        "false",
        "Tiered storage: deletes what was copied when it is switched off.",
    )
    .no_effect_yet(),
    Definition::topic(
        "errors.deadletterqueue.group.enable",
        Kind::Boolean,
        "false",
        "Allows share groups to write records they gave up on to this topic.",
    )
    .no_effect_yet(),
];
