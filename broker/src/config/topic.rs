//! The settings of a topic: its own over the broker's, resolved into types.
//!
//! A topic stores only what was set on it. What it leaves out follows the broker's setting of the
//! corresponding name, so that changing the broker changes every topic that did not choose.

use std::collections::BTreeMap;

use super::definition::{Definition, Kind, Scope, items};
use super::log::{
    CLEANUP_POLICIES, COMPRESSION_TYPES, DURABILITIES, TIMESTAMP_TYPES, retention_ms,
    roll_jitter_ms, roll_ms,
};
use super::settings::{Settings, parsed};
use super::table;
use super::validator::Valid;

pub(super) const DEFINITIONS: &[Definition] = &[
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
        "How long the file of a deleted segment stays, for reads under way.",
    )
    .valid(Valid::AtLeast(0))
    .defaults_to("log.segment.delete.delay.ms"),
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
        "Replicas whose leaders send at the throttled rate.",
    )
    .valid(Valid::ThrottledReplicas)
    .no_effect_yet(),
    Definition::topic(
        "follower.replication.throttled.replicas",
        Kind::List,
        "",
        "Replicas that fetch at the throttled rate.",
    )
    .valid(Valid::ThrottledReplicas)
    .no_effect_yet(),
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

/// When `acks=all` counts a record as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk of every in-sync replica.
    Fsync,
    /// In the memory of every in-sync replica.
    PageCache,
}

/// Whose clock a record's timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at the append.
    LogAppendTime,
}

/// How batches are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// With gzip, at this level; -1 for its default.
    Gzip(i32),
    /// With snappy.
    Snappy,
    /// With lz4, at this level.
    Lz4(i32),
    /// With zstd, at this level.
    Zstd(i32),
}

/// Everything a partition's log needs to know about its topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// Whether old segments are dropped.
    pub delete: bool,
    /// Whether only the latest record of a key is kept.
    pub compact: bool,
    /// When `acks=all` counts a record as stored.
    pub durability: Durability,
    /// Age at which records are dropped.
    pub retention_ms: Option<i64>,
    /// Size above which records are dropped.
    pub retention_bytes: Option<i64>,
    /// Size at which a segment is closed.
    pub segment_bytes: i32,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// Most by which that age is lowered, at random.
    pub segment_jitter_ms: i64,
    /// Largest index file.
    pub segment_index_bytes: i32,
    /// Bytes between index entries.
    pub index_interval_bytes: i32,
    /// How long the file of a deleted segment stays.
    pub file_delete_delay_ms: i64,
    /// Largest batch.
    pub max_message_bytes: i32,
    /// Largest batch once decompressed.
    pub max_decompressed_message_bytes: i32,
    /// As configured; see [`min_insync_replicas`](Self::min_insync_replicas).
    pub min_insync_replicas_set: Option<i32>,
    /// Whether a replica out of sync may lead.
    pub unclean_leader_election: bool,
    /// How batches are stored.
    pub compression: CompressionType,
    /// Whose clock timestamps are.
    pub timestamp_type: TimestampType,
    /// How far a timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// How far a timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// Share of uncleaned bytes before compaction.
    pub min_cleanable_dirty_ratio: f64,
    /// How long a tombstone is kept.
    pub delete_retention_ms: i64,
    /// How long compaction leaves a record alone.
    pub min_compaction_lag_ms: i64,
    /// Age at which compaction is due whatever the ratio.
    pub max_compaction_lag_ms: i64,
    /// How long a partition remembers an idle producer; a broker setting.
    pub producer_id_expiration_ms: i64,
}

impl TopicConfig {
    /// The settings of a topic that has `overrides` of its own, on a broker with `settings`.
    #[must_use]
    pub fn resolve(overrides: &BTreeMap<String, String>, settings: &Settings) -> Self {
        let values = Values { overrides, settings };
        let policy = values.text("cleanup.policy");
        Self {
            delete: items(&policy).any(|item| item == "delete"),
            compact: items(&policy).any(|item| item == "compact"),
            durability: match values.text("durability").as_str() {
                "page-cache" => Durability::PageCache,
                _ => Durability::Fsync,
            },
            retention_ms: Some(values.number("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: Some(values.number("retention.bytes")).filter(|bytes| *bytes >= 0),
            segment_bytes: values.number("segment.bytes"),
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            segment_index_bytes: values.number("segment.index.bytes"),
            index_interval_bytes: values.number("index.interval.bytes"),
            file_delete_delay_ms: values.number("file.delete.delay.ms"),
            max_message_bytes: values.number("max.message.bytes"),
            max_decompressed_message_bytes: values.number("max.decompressed.message.bytes"),
            min_insync_replicas_set: overrides
                .get("min.insync.replicas")
                .and_then(|set| set.parse().ok())
                .or_else(|| settings.optional_number("min.insync.replicas")),
            unclean_leader_election: values.boolean("unclean.leader.election.enable"),
            compression: match values.text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip(values.number("compression.gzip.level")),
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4(values.number("compression.lz4.level")),
                "zstd" => CompressionType::Zstd(values.number("compression.zstd.level")),
                _ => CompressionType::Producer,
            },
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            min_cleanable_dirty_ratio: values.number("min.cleanable.dirty.ratio"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            producer_id_expiration_ms: settings.number("producer.id.expiration.ms"),
        }
    }

    /// How many replicas must be in sync for `acks=all`, in a topic of `replicas` replicas.
    #[must_use]
    pub fn min_insync_replicas(&self, replicas: usize) -> i32 {
        self.min_insync_replicas_set.unwrap_or_else(|| default_min_insync_replicas(replicas))
    }
}

/// Two of three may acknowledge; with fewer replicas one alone must be able to.
fn default_min_insync_replicas(replicas: usize) -> i32 {
    if replicas >= 3 { 2 } else { 1 }
}

/// The value that a topic without an own one gets from the broker.
///
/// A broker setting in a coarser unit counts as well, so the value need not stand in any layer.
#[must_use]
pub fn inherited_topic_value(
    definition: &Definition,
    settings: &Settings,
    replicas: usize,
) -> String {
    match definition.name {
        "retention.ms" => retention_ms(settings).to_string(),
        "segment.ms" => roll_ms(settings).to_string(),
        "segment.jitter.ms" => roll_jitter_ms(settings).to_string(),
        "min.insync.replicas" => settings
            .optional("min.insync.replicas")
            .map_or_else(|| default_min_insync_replicas(replicas).to_string(), str::to_owned),
        _ => definition
            .broker_default
            .and_then(|broker| settings.optional(broker))
            .or(definition.default)
            .unwrap_or_default()
            .to_owned(),
    }
}

struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    settings: &'a Settings,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let definition = table::find(Scope::Topic, name).expect("a setting of the table");
        // An override was checked when it was set; one that another version accepted and this one
        // does not must not keep the partition from opening.
        self.overrides
            .get(name)
            .and_then(|value| definition.check(value).ok())
            .unwrap_or_else(|| inherited_topic_value(definition, self.settings, 1))
    }

    fn boolean(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> T {
        parsed(&self.text(name))
    }
}
