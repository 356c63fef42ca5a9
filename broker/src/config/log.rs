//! Where logs lie, and what a topic gets that does not say otherwise.

use std::path::PathBuf;
use std::time::Duration;

use super::definition::{Definition, Kind};
use super::settings::Settings;
use super::validator::Valid;

const HOUR_MS: i64 = 3_600_000;

pub(super) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
pub(super) const COMPRESSION_TYPES: &[&str] =
    &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const DURABILITIES: &[&str] = &["fsync", "page-cache"];

pub(super) const DEFINITIONS: &[Definition] = &[
    Definition::broker(
        "log.dirs",
        Kind::List,
        "./flumen-data",
        "The directory that holds everything this broker stores. `--data-dir` sets it.",
    )
    .valid(Valid::OneDirectory),
    Definition::broker(
        "log.durability",
        Kind::String,
        "fsync",
        "What `acks=all` promises by default: with fsync every in-sync replica has the records on \
         disk, so that a power cut loses nothing; with page-cache they have them in memory, as \
         Apache Kafka does, if the files of all brokers say so. A topic's `durability` wins.",
    )
    .valid(Valid::OneOf(DURABILITIES))
    .dynamic(),
    Definition::broker(
        "num.partitions",
        Kind::Int,
        "1",
        "How many partitions a topic gets when it is created without a number.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "auto.create.topics.enable",
        Kind::Boolean,
        "false",
        "Creates a topic when a client asks for the metadata of one that does not exist.",
    ),
    Definition::broker(
        "log.segment.bytes",
        Kind::Int,
        "1073741824",
        "The size at which a log goes on in a new segment file.",
    )
    .valid(Valid::AtLeast(1_048_576))
    .dynamic(),
    Definition::unset(
        "log.roll.ms",
        Kind::Long,
        "The age in milliseconds at which a log goes on in a new segment even if it is small. \
         Without it `log.roll.hours` counts.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic(),
    Definition::broker("log.roll.hours", Kind::Int, "168", "As `log.roll.ms`, in hours.")
        .valid(Valid::AtLeast(1)),
    Definition::unset(
        "log.roll.jitter.ms",
        Kind::Long,
        "A segment's age limit is lowered by up to this much, at random, so that not all logs roll \
         at once.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.roll.jitter.hours",
        Kind::Int,
        "0",
        "As `log.roll.jitter.ms`, in hours.",
    )
    .valid(Valid::AtLeast(0)),
    Definition::unset(
        "log.retention.ms",
        Kind::Long,
        "How long records are kept, in milliseconds; -1 for ever. Without it \
         `log.retention.minutes`, then `log.retention.hours` counts.",
    )
    .valid(Valid::AtLeast(-1))
    .dynamic(),
    Definition::unset("log.retention.minutes", Kind::Int, "As `log.retention.ms`, in minutes."),
    Definition::broker("log.retention.hours", Kind::Int, "168", "As `log.retention.ms`, in hours."),
    Definition::broker(
        "log.retention.bytes",
        Kind::Long,
        "-1",
        "How many bytes of a partition are kept; -1 for no limit.",
    )
    .dynamic(),
    Definition::broker(
        "log.retention.check.interval.ms",
        Kind::Long,
        "300000",
        "How often expired segments are looked for.",
    )
    .valid(Valid::AtLeast(1)),
    Definition::broker(
        "log.cleanup.policy",
        Kind::List,
        "delete",
        "What happens to old records: delete drops whole segments by age and size, compact keeps \
         the latest record of each key.",
    )
    .valid(Valid::EachOf(CLEANUP_POLICIES))
    .dynamic(),
    Definition::broker(
        "log.cleaner.enable",
        Kind::Boolean,
        "true",
        "Runs the cleaner that compacts logs. Offsets of groups need it.",
    ),
    Definition::broker(
        "log.cleaner.backoff.ms",
        Kind::Long,
        "15000",
        "How long the cleaner waits when it has found nothing to do.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.cleaner.dedupe.buffer.size",
        Kind::Long,
        "134217728",
        "How many bytes the cleaner may use to remember keys.",
    )
    .valid(Valid::AtLeast(1_048_576))
    .dynamic(),
    Definition::broker(
        "log.cleaner.min.cleanable.ratio",
        Kind::Double,
        "0.5",
        "The share of a log that must be uncleaned before it is compacted.",
    )
    .valid(Valid::Fraction)
    .dynamic(),
    Definition::broker(
        "log.cleaner.delete.retention.ms",
        Kind::Long,
        "86400000",
        "How long a record without a value is kept in a compacted log, for readers that are behind.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long,
        "0",
        "How long a record stays untouched by compaction.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long,
        "9223372036854775807",
        "The age at which a record becomes subject to compaction whatever the ratio.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic(),
    Definition::broker(
        "log.index.size.max.bytes",
        Kind::Int,
        "10485760",
        "The largest size of an index file; a full one starts a new segment.",
    )
    .valid(Valid::AtLeast(4))
    .dynamic(),
    Definition::broker(
        "log.index.interval.bytes",
        Kind::Int,
        "4096",
        "How many bytes of records lie between two entries of an index.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.flush.interval.messages",
        Kind::Long,
        "9223372036854775807",
        "Kept for tools: when records reach the disk is ruled by `log.durability`.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic()
    .no_effect_yet(),
    Definition::unset(
        "log.flush.interval.ms",
        Kind::Long,
        "Kept for tools: when records reach the disk is ruled by `log.durability`.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.segment.delete.delay.ms",
        Kind::Long,
        "60000",
        "Kept for tools: the file goes at once, and reads under way have it open.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.preallocate",
        Kind::Boolean,
        "false",
        "Reserves the whole size of a new segment at once.",
    )
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.message.timestamp.type",
        Kind::String,
        "CreateTime",
        "Whose clock a record's timestamp is: the producer's, or this broker's at the append.",
    )
    .valid(Valid::OneOf(TIMESTAMP_TYPES))
    .dynamic(),
    Definition::broker(
        "log.message.timestamp.before.max.ms",
        Kind::Long,
        "9223372036854775807",
        "How far a producer's timestamp may lie in the past.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "log.message.timestamp.after.max.ms",
        Kind::Long,
        "3600000",
        "How far a producer's timestamp may lie in the future.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "message.max.bytes",
        Kind::Int,
        "1048588",
        "The largest record batch, as the producer sends it.",
    )
    .valid(Valid::AtLeast(0))
    .dynamic(),
    Definition::broker(
        "max.decompressed.message.bytes",
        Kind::Int,
        "67108864",
        "The largest record batch once it is decompressed.",
    )
    .valid(Valid::AtLeast(1))
    .dynamic(),
    Definition::broker(
        "compression.type",
        Kind::String,
        "producer",
        "How batches are stored: as the producer compressed them, or recompressed to this codec.",
    )
    .valid(Valid::OneOf(COMPRESSION_TYPES))
    .dynamic(),
    Definition::broker(
        "compression.gzip.level",
        Kind::Int,
        "-1",
        "The level of gzip; -1 for its own default.",
    )
    .valid(Valid::MinusOneOr(1, 9))
    .dynamic(),
    Definition::broker("compression.lz4.level", Kind::Int, "9", "The level of lz4.")
        .valid(Valid::Between(1, 17))
        .dynamic(),
    Definition::broker("compression.zstd.level", Kind::Int, "3", "The level of zstd.")
        .valid(Valid::Between(-131_072, 22))
        .dynamic(),
    Definition::broker(
        "log.local.retention.ms",
        Kind::Long,
        "-2",
        "Tiered storage: how long records stay on the broker's own disk.",
    )
    .valid(Valid::AtLeast(-2))
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.local.retention.bytes",
        Kind::Long,
        "-2",
        "Tiered storage: how many bytes stay on the broker's own disk.",
    )
    .valid(Valid::AtLeast(-2))
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.remote.copy.lag.ms",
        Kind::Long,
        "0",
        "Tiered storage: how long a segment waits before it is copied.",
    )
    .valid(Valid::AtLeast(-1))
    .dynamic()
    .no_effect_yet(),
    Definition::broker(
        "log.remote.copy.lag.bytes",
        Kind::Long,
        "-1",
        "Tiered storage: how many newer bytes there must be before a segment is copied.",
    )
    .valid(Valid::AtLeast(-1))
    .dynamic()
    .no_effect_yet(),
];

/// Settings of logs that no topic can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDefaults {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Partitions of a topic that does not say.
    pub num_partitions: i32,
    /// Whether asking for a topic creates it.
    pub auto_create_topics: bool,
    /// How often expired segments are looked for.
    pub retention_check_interval_ms: i64,
    /// Whether the cleaner runs.
    pub cleaner_enable: bool,
}

impl LogDefaults {
    pub(super) fn resolve(settings: &Settings) -> Self {
        Self {
            data_dir: PathBuf::from(settings.text("log.dirs")),
            num_partitions: settings.number("num.partitions"),
            auto_create_topics: settings.boolean("auto.create.topics.enable"),
            retention_check_interval_ms: settings.number("log.retention.check.interval.ms"),
            cleaner_enable: settings.boolean("log.cleaner.enable"),
        }
    }
}

/// What a running cleaner goes by; it may change between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanerConfig {
    /// How long it waits when it has found nothing to do.
    pub backoff: Duration,
    /// How many bytes it may use for keys.
    pub dedupe_buffer_size: usize,
}

impl CleanerConfig {
    /// The values that `settings` have.
    #[must_use]
    pub fn resolve(settings: &Settings) -> Self {
        Self {
            backoff: Duration::from_millis(settings.number("log.cleaner.backoff.ms")),
            dedupe_buffer_size: settings.number("log.cleaner.dedupe.buffer.size"),
        }
    }
}

/// The retention that the three broker settings give together: the finest unit wins.
pub(super) fn retention_ms(settings: &Settings) -> i64 {
    let finest = settings.optional_number("log.retention.ms").or_else(|| {
        settings.optional_number("log.retention.minutes").map(|minutes: i64| minutes * 60_000)
    });
    // Kafka takes every negative number for "without limit".
    let hours: i64 = settings.number("log.retention.hours");
    let retention = finest.unwrap_or(hours * HOUR_MS);
    if retention < 0 { -1 } else { retention }
}

pub(super) fn roll_ms(settings: &Settings) -> i64 {
    let hours: i64 = settings.number("log.roll.hours");
    settings.optional_number("log.roll.ms").unwrap_or(hours * HOUR_MS)
}

pub(super) fn roll_jitter_ms(settings: &Settings) -> i64 {
    let hours: i64 = settings.number("log.roll.jitter.hours");
    settings.optional_number("log.roll.jitter.ms").unwrap_or(hours * HOUR_MS)
}
