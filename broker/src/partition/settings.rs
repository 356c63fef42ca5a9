//! From a topic's settings to what its logs need to know.

use flumen_protocol::records::TimestampType as WireTimestampType;
use flumen_protocol::records::compression::{Codec, Compression};
use flumen_storage::LogConfig;

use crate::config::{CompressionType, TimestampType, TopicConfig};

/// The settings of the logs of a topic.
pub(super) fn log_config(topic: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: size(topic.segment_bytes),
        segment_ms: topic.segment_ms,
        segment_jitter_ms: topic.segment_jitter_ms,
        segment_index_bytes: size(topic.segment_index_bytes),
        index_interval_bytes: size(topic.index_interval_bytes),
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
        delete: topic.delete,
        compact: topic.compact,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        max_message_bytes: size(topic.max_message_bytes),
        timestamp_type: match topic.timestamp_type {
            TimestampType::CreateTime => WireTimestampType::CreateTime,
            TimestampType::LogAppendTime => WireTimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: topic.timestamp_before_max_ms,
        timestamp_after_max_ms: topic.timestamp_after_max_ms,
        codec: codec(topic.compression),
        decompressed_bytes_max: usize::try_from(topic.max_decompressed_message_bytes).unwrap_or(0),
        producer_id_expiration_ms: topic.producer_id_expiration_ms,
    }
}

/// Sizes are checked to be positive where they are set.
fn size(bytes: i32) -> u32 {
    u32::try_from(bytes).unwrap_or(0)
}

fn codec(compression: CompressionType) -> Option<Codec> {
    let level = |compression, level| Codec { compression, level: Some(level) };
    Some(match compression {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Compression::None.into(),
        CompressionType::Snappy => Compression::Snappy.into(),
        // -1 is the name that Kafka gives to the default of gzip.
        CompressionType::Gzip(-1) => Compression::Gzip.into(),
        CompressionType::Gzip(number) => level(Compression::Gzip, number),
        CompressionType::Lz4(number) => level(Compression::Lz4, number),
        CompressionType::Zstd(number) => level(Compression::Zstd, number),
    })
}
