//! The settings of a topic: its own over the broker's, resolved into types.
//!
//! A topic stores only what was set on it. What it leaves out follows the broker's setting of the
//! corresponding name, so that changing the broker changes every topic that did not choose.

mod definitions;
mod throttled_replicas;

use std::collections::BTreeMap;

use super::definition::{Definition, Scope, items};
use super::log::{retention_ms, roll_jitter_ms, roll_ms};
use super::settings::{Settings, parsed};
use super::table;

pub(super) use definitions::DEFINITIONS;
pub use throttled_replicas::ThrottledReplicas;

/// When `acks=all` counts a record as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Replicas that leaders do not send faster than the throttled rate.
    pub leader_throttled_replicas: ThrottledReplicas,
    /// Replicas that followers do not fetch faster than the throttled rate.
    pub follower_throttled_replicas: ThrottledReplicas,
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
            leader_throttled_replicas: ThrottledReplicas::parse(
                &values.text("leader.replication.throttled.replicas"),
            ),
            follower_throttled_replicas: ThrottledReplicas::parse(
                &values.text("follower.replication.throttled.replicas"),
            ),
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
