//! Compaction: of all records with the same key, the log keeps the last one.
//!
//! One run takes the sealed segments below a limit, which the caller puts no higher than the last
//! stable offset. It notes the last offset of every key in the dirty part, the segments that no
//! run has seen, and then rewrites all segments, clean ones included, without the records that a
//! later one replaces. Several small segments become one. The rules are Apache Kafka's:
//!
//! - offsets never change, and a batch keeps its offset range when records go out of it;
//! - a record without a value (a tombstone) deletes its key, and goes itself once a run has met it
//!   and `delete.retention.ms` have passed since: until then consumers can learn of the deletion.
//!   The batch says when (its delete horizon);
//! - records of aborted transactions go, and the marker of a transaction of which nothing is left
//!   goes as tombstones do;
//! - the last batch of every known producer stays, if need be without records, because it carries
//!   the producer's sequence number; so does the last batch of a run.
//!
//! The log is locked only to look up what to read and to exchange finished segments. Nobody else
//! may compact the same log at the same time; appends, reads and retention may go on. A crash at
//! any point leaves the old segments or the new ones: see [`crate::PartitionLog::replace_segments`].

mod filter;
mod offset_map;
mod segment_reader;
mod transactions;

use std::collections::BTreeMap;
use std::ops::Range;

use flumen_protocol::records::{BATCH_OVERHEAD, BatchHeader, RecordError};
use parking_lot::Mutex;
use thiserror::Error;

use self::filter::{Filtered, RecordFilter};
use self::offset_map::{MapBuilder, OffsetMap};
use self::segment_reader::SegmentReader;
use self::transactions::CleanedTransactions;
use crate::{
    AbortedTransaction, CleanableSegment, CorruptBatch, DiskError, LogConfig, MaintenanceError,
    PartitionLog, ReadError,
};

/// The most that is decompressed of one batch. It was let in with the limit of its time, which may
/// have been higher than today's: this one is beyond all of them.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// What one run of compaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionBounds {
    /// Nothing at or above this offset is touched: the last stable offset at most.
    pub limit: i64,
    /// The offset up to which earlier runs came; the log start if there was none.
    pub first_dirty_offset: i64,
    /// Time of the run.
    pub now_ms: i64,
    /// The most memory that keys and offsets may take. A run that needs more ends earlier.
    pub offset_map_bytes_max: usize,
}

/// How much there is to compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dirtiness {
    /// Bytes that earlier runs have seen.
    pub clean_bytes: u64,
    /// Bytes that can be compacted for the first time.
    pub dirty_bytes: u64,
    /// Timestamp of the oldest batch among these.
    pub oldest_timestamp: Option<i64>,
}

/// What a run has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Where the next run begins; to be kept in the cleaner's checkpoint.
    pub first_dirty_offset: i64,
    /// Bytes of the segments that were read.
    pub bytes_before: u64,
    /// Bytes of the segments that are left of them.
    pub bytes_after: u64,
}

/// Why a run ended early. The log is whole; what was exchanged before stays exchanged.
#[derive(Debug, Error)]
pub enum CompactionError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A compacted segment could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Segments could not be exchanged.
    #[error(transparent)]
    Exchange(#[from] MaintenanceError),
    /// The records of a batch are unreadable, although its checksum is right.
    #[error("records of the batch at offset {base_offset} are unreadable")]
    Records {
        /// Where the batch begins.
        base_offset: i64,
        /// What is wrong with them.
        #[source]
        source: RecordError,
    },
    /// The offsets of the records of a batch do not rise within its own, although its checksum is
    /// right.
    #[error("the batch at offset {base_offset} has a record at {offset}, which is out of order")]
    RecordOrder {
        /// Where the batch begins.
        base_offset: i64,
        /// What the record says.
        offset: i64,
    },
}

impl CompactionError {
    /// Whether the log has something that was never written so.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Read(error) => error.is_damage(),
            Self::Exchange(error) => error.is_damage(),
            Self::Disk(_) | Self::Records { .. } | Self::RecordOrder { .. } => false,
        }
    }
}

impl Dirtiness {
    /// Whether a run is worth its while, or overdue.
    #[must_use]
    pub fn is_due(&self, config: &LogConfig, now_ms: i64) -> bool {
        if self.dirty_bytes == 0 {
            return false;
        }
        let is_overdue = self.oldest_timestamp.is_some_and(|timestamp| {
            now_ms.saturating_sub(timestamp) > config.max_compaction_lag_ms
        });
        is_overdue || self.ratio() > config.min_cleanable_dirty_ratio
    }

    /// The share of dirty bytes, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    pub fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 { 0.0 } else { self.dirty_bytes as f64 / total as f64 }
    }
}

/// Tells how much there is to compact.
pub fn dirtiness(
    log: &PartitionLog,
    bounds: &CompactionBounds,
) -> Result<Dirtiness, CompactionError> {
    let segments = cleanable_segments(log, bounds)?;
    let (clean, dirty): (Vec<_>, Vec<_>) =
        segments.iter().partition(|segment| !is_dirty(segment, bounds.first_dirty_offset));
    let oldest_timestamp = match dirty.iter().find(|segment| segment.range.size > 0) {
        Some(segment) => Some(first_timestamp(segment)?).filter(|&timestamp| timestamp >= 0),
        None => None,
    };
    let size = |segments: &[&CleanableSegment]| -> u64 {
        segments.iter().map(|segment| segment.range.size as u64).sum()
    };
    Ok(Dirtiness { clean_bytes: size(&clean), dirty_bytes: size(&dirty), oldest_timestamp })
}

fn first_timestamp(segment: &CleanableSegment) -> Result<i64, CompactionError> {
    let mut bytes = [0; BATCH_OVERHEAD];
    let (base_offset, position) = (segment.base_offset, segment.range.position);
    let corrupt = |source: CorruptBatch| ReadError::Corrupt { base_offset, position, source };
    segment
        .range
        .source
        .read_exact_at(&mut bytes, position)
        .map_err(|source| segment_reader::disk_error(base_offset, source))?;
    let header = BatchHeader::parse(&bytes).map_err(|source| corrupt(source.into()))?;
    Ok(header.max_timestamp)
}

/// The segments a run may rewrite: sealed, below the limit, and old enough.
fn cleanable_segments(
    log: &PartitionLog,
    bounds: &CompactionBounds,
) -> Result<Vec<CleanableSegment>, ReadError> {
    let mut segments = log.cleanable_segments(bounds.limit)?;
    let lag_ms = log.config().min_compaction_lag_ms;
    let newest_allowed = bounds.now_ms.saturating_sub(lag_ms);
    let is_too_young = |segment: &CleanableSegment| {
        lag_ms > 0
            && is_dirty(segment, bounds.first_dirty_offset)
            && segment.newest_timestamp.is_some_and(|newest| newest > newest_allowed)
    };
    if let Some(first) = segments.iter().position(is_too_young) {
        segments.truncate(first);
    }
    Ok(segments)
}

fn is_dirty(segment: &CleanableSegment, first_dirty_offset: i64) -> bool {
    segment.end_offset > first_dirty_offset
}

/// Compacts a log once; `None` if nothing is dirty.
pub fn compact(
    log: &Mutex<PartitionLog>,
    bounds: &CompactionBounds,
) -> Result<Option<Compacted>, CompactionError> {
    let source = Source::take(&log.lock(), bounds)?;
    let Some(last) =
        source.segments.last().filter(|last| is_dirty(last, bounds.first_dirty_offset))
    else {
        return Ok(None);
    };
    let map = source.build_map(bounds)?;
    let mut run = Run {
        log,
        limit: bounds.limit,
        filter: RecordFilter::new(
            &map,
            source.transactions(),
            &source.last_batches,
            bounds.now_ms,
            source.delete_retention_ms,
        ),
        compacted: Compacted {
            first_dirty_offset: if map.is_complete() { last.end_offset } else { map.end_offset() },
            bytes_before: 0,
            bytes_after: 0,
        },
    };
    let seen = source.segments.iter().take_while(|segment| segment.base_offset < map.end_offset());
    let seen: Vec<&CleanableSegment> = seen.collect();
    for group in groups(&seen, u64::from(source.segment_bytes)) {
        run.compact_group(group)?;
    }
    Ok(Some(run.compacted))
}

/// What a run takes from the log at its start.
struct Source {
    segments: Vec<CleanableSegment>,
    aborted: Vec<AbortedTransaction>,
    last_batches: BTreeMap<i64, LastBatch>,
    segment_bytes: u32,
    delete_retention_ms: i64,
}

/// What the producer state knows of a producer's last batch.
#[derive(Debug, Clone, Copy)]
struct LastBatch {
    /// `None` where only a marker is known.
    last_offset: Option<i64>,
    producer_epoch: i16,
}

impl Source {
    fn take(log: &PartitionLog, bounds: &CompactionBounds) -> Result<Self, CompactionError> {
        let segments = cleanable_segments(log, bounds)?;
        let aborted = match (segments.first(), segments.last()) {
            (Some(first), Some(last)) => {
                log.aborted_transactions(first.base_offset, last.end_offset)?
            }
            _ => Vec::new(),
        };
        let last_batches = log.active_producers().map(|producer| {
            let last_offset = producer.batches().last().map(|batch| batch.last_offset);
            (producer.producer_id, LastBatch { last_offset, producer_epoch: producer.epoch })
        });
        let config = log.config();
        Ok(Self {
            segments,
            aborted,
            last_batches: last_batches.collect(),
            segment_bytes: config.segment_bytes,
            delete_retention_ms: config.delete_retention_ms,
        })
    }

    fn transactions(&self) -> CleanedTransactions {
        CleanedTransactions::new(self.aborted.clone())
    }

    /// Notes the last offset of every key in the dirty segments, as far as memory allows.
    fn build_map(&self, bounds: &CompactionBounds) -> Result<OffsetMap, CompactionError> {
        let mut builder = MapBuilder::new(
            self.transactions(),
            bounds.first_dirty_offset,
            bounds.offset_map_bytes_max,
        );
        for segment in &self.segments {
            if !is_dirty(segment, bounds.first_dirty_offset) {
                continue;
            }
            let mut reader = SegmentReader::new(segment);
            while let Some(batch) = reader.next()? {
                if !builder.add(&batch)? {
                    return Ok(builder.finish());
                }
            }
        }
        Ok(builder.finish())
    }
}

/// Splits segments into runs of neighbours that fit into one.
fn groups<'a>(
    segments: &'a [&'a CleanableSegment],
    segment_bytes: u64,
) -> Vec<&'a [&'a CleanableSegment]> {
    let mut groups = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut size = 0;
        let fits = |segment: &CleanableSegment| {
            size += segment.range.size as u64;
            // Indexes say offsets relative to the first one, with 32 bits.
            let span = segment.end_offset - first.base_offset;
            size <= segment_bytes && i32::try_from(span).is_ok()
        };
        let count = rest.iter().copied().map(fits).take_while(|fits| *fits).count().max(1);
        let (group, later) = rest.split_at(count);
        groups.push(group);
        rest = later;
    }
    groups
}

/// A run that is under way.
struct Run<'a> {
    log: &'a Mutex<PartitionLog>,
    limit: i64,
    filter: RecordFilter<'a>,
    compacted: Compacted,
}

impl Run<'_> {
    fn compact_group(&mut self, group: &[&CleanableSegment]) -> Result<(), CompactionError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let replaced = first.base_offset..last.end_offset;
        let mut cleaned = self.log.lock().begin_cleaned(first.base_offset)?;
        let mut is_changed = group.len() > 1;
        for segment in group {
            self.compacted.bytes_before += segment.range.size as u64;
            let mut reader = SegmentReader::new(segment);
            while let Some(batch) = reader.next()? {
                match self.filter.apply(&batch)? {
                    Filtered::Unchanged => cleaned.append(batch.bytes())?,
                    Filtered::Rewritten(bytes) => {
                        is_changed = true;
                        cleaned.append(&bytes)?;
                    }
                    Filtered::Removed => is_changed = true,
                }
            }
        }
        self.compacted.bytes_after += cleaned.size();
        let mut log = self.log.lock();
        // Retention may have removed some of the segments meanwhile: then there is nothing to gain.
        if is_changed && has_segments(&log, group, self.limit)? {
            log.replace_segments(cleaned, replaced)?;
        } else {
            cleaned.discard()?;
        }
        Ok(())
    }
}

fn has_segments(
    log: &PartitionLog,
    group: &[&CleanableSegment],
    limit: i64,
) -> Result<bool, ReadError> {
    let ranges = |segments: &mut dyn Iterator<Item = &CleanableSegment>| -> Vec<Range<i64>> {
        segments.map(|segment| segment.base_offset..segment.end_offset).collect()
    };
    let present = ranges(&mut log.cleanable_segments(limit)?.iter());
    Ok(ranges(&mut group.iter().copied()).iter().all(|range| present.contains(range)))
}

#[cfg(test)]
mod tests;
