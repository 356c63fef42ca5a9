//! The settings of one partition log, resolved: broker defaults and topic overrides already merged.
//!
//! Names follow Kafka's topic properties. "No limit" is `None` here, where Kafka writes -1.
//! Reading, validating and documenting settings is the broker's business.

use flumen_protocol::records::TimestampType;
use flumen_protocol::records::compression::Codec;

/// How a partition log is cut, indexed, kept and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows past this many bytes.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled once its first record is this old.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: the most that is taken off `segment_ms` at random, so that the
    /// partitions of a broker do not all roll at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes is this large.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `retention.ms`: segments whose newest record is older are deleted; `None` keeps them.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`: the oldest segments are deleted while the log is larger than this.
    pub retention_bytes: Option<u64>,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `min.cleanable.dirty.ratio`: share of the log that must be dirty before it is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records younger than this are not compacted away.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a dirty record older than this makes the log due for compaction.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long tombstones and transaction markers outlive compaction.
    pub delete_retention_ms: i64,
    /// `max.message.bytes`: the largest batch a client may append, as it lies in the log.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record's timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with its level: the codec of the log; `None` keeps the producer's.
    pub codec: Option<Codec>,
    /// The most that is decompressed to look at one batch; Kafka has no such bound.
    pub decompressed_bytes_max: usize,
    /// `producer.id.expiration.ms`: idle producers are forgotten after this.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            delete: true,
            compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: DAY_MS,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            codec: None,
            decompressed_bytes_max: 64 << 20,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}
