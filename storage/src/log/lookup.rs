//! Offsets by timestamp, and the special timestamps of ListOffsets.

use bytes::Bytes;
use flumen_protocol::records::{BatchHeader, NO_TIMESTAMP, Record, RecordBatch, RecordError};

use super::PartitionLog;
use super::rebuild::read_error;
use crate::batch_walk::HeaderWalk;
use crate::error::{CorruptBatch, ReadError};
use crate::segment::Segment;

/// What ListOffsets can ask for: a time, or one of the special values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampQuery {
    /// The first record that is not older.
    At(i64),
    /// The end of what the reader may see (-1).
    Latest,
    /// The start of the log (-2).
    Earliest,
    /// The newest record (-3, KIP-734).
    Newest,
    /// The start of what is on the local disk (-4, KIP-405): all of it, there is no other tier.
    EarliestLocal,
    /// The end of what has been moved to another tier (-5, KIP-1005): nothing.
    LatestTiered,
    /// The start of what waits to be moved to another tier (-6, KIP-1023): nothing.
    EarliestPendingUpload,
}

impl TimestampQuery {
    /// Reads the timestamp field of a ListOffsets request; `None` for values without a meaning.
    #[must_use]
    pub fn from_timestamp(timestamp: i64) -> Option<Self> {
        Some(match timestamp {
            0.. => Self::At(timestamp),
            -1 => Self::Latest,
            -2 => Self::Earliest,
            -3 => Self::Newest,
            -4 => Self::EarliestLocal,
            -5 => Self::LatestTiered,
            -6 => Self::EarliestPendingUpload,
            _ => return None,
        })
    }
}

/// An offset, the timestamp of its record where the record was looked at, and its leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Timestamp of the record, or -1.
    pub timestamp: i64,
    /// Its offset, or -1 where the question has no answer.
    pub offset: i64,
    /// Epoch of the leader that appended it.
    pub leader_epoch: Option<i32>,
}

impl TimestampOffset {
    const NONE: Self = Self { timestamp: NO_TIMESTAMP, offset: -1, leader_epoch: None };
}

impl PartitionLog {
    /// Answers a ListOffsets question for a reader that may see offsets below `upper_bound_offset`.
    pub fn offset_for(
        &self,
        query: TimestampQuery,
        upper_bound_offset: i64,
    ) -> Result<TimestampOffset, ReadError> {
        let visible = |found: Option<TimestampOffset>| {
            found.filter(|found| found.offset < upper_bound_offset).unwrap_or(TimestampOffset::NONE)
        };
        match query {
            TimestampQuery::At(timestamp) => self.offset_for_timestamp(timestamp).map(visible),
            TimestampQuery::Newest => self.newest_record().map(visible),
            TimestampQuery::Latest => Ok(TimestampOffset {
                timestamp: NO_TIMESTAMP,
                offset: upper_bound_offset,
                leader_epoch: self.latest_epoch(),
            }),
            TimestampQuery::Earliest | TimestampQuery::EarliestLocal => Ok(TimestampOffset {
                timestamp: NO_TIMESTAMP,
                offset: self.log_start_offset,
                leader_epoch: self.epochs.epoch_for_offset(self.log_start_offset),
            }),
            TimestampQuery::LatestTiered | TimestampQuery::EarliestPendingUpload => {
                Ok(TimestampOffset::NONE)
            }
        }
    }

    /// The first record whose timestamp is `timestamp` or later.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        for segment in self.segments.values() {
            let index = self.index(segment)?;
            if index.newest.is_none_or(|newest| newest.timestamp < timestamp) {
                continue;
            }
            let from = index.times.last_before(timestamp).map_or(0, |mark| {
                index.offsets.floor(mark.offset).map_or(0, |entry| entry.position)
            });
            let found = self.find_record(
                segment,
                from,
                |header| header.max_timestamp >= timestamp,
                |record| record.timestamp >= timestamp,
            )?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first of the records with the highest timestamp.
    fn newest_record(&self) -> Result<Option<TimestampOffset>, ReadError> {
        let mut newest: Option<(&Segment, i64)> = None;
        for segment in self.segments.values() {
            let mark = self.index(segment)?.newest;
            if let Some(mark) = mark
                && newest.is_none_or(|(_, timestamp)| mark.timestamp > timestamp)
            {
                newest = Some((segment, mark.timestamp));
            }
        }
        let Some((segment, timestamp)) = newest else { return Ok(None) };
        let index = self.index(segment)?;
        let from = index
            .times
            .last_before(timestamp)
            .map_or(0, |mark| index.offsets.floor(mark.offset).map_or(0, |entry| entry.position));
        self.find_record(
            segment,
            from,
            |header| header.max_timestamp == timestamp,
            |record| record.timestamp == timestamp,
        )
    }

    /// The first record at or behind the log start that a batch predicate and a record predicate
    /// select, from a position of a segment on.
    fn find_record(
        &self,
        segment: &Segment,
        from: u64,
        batch_matches: impl Fn(&BatchHeader) -> bool,
        record_matches: impl Fn(&Record) -> bool,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let file = segment.file(&self.dir)?;
        let mut walk = HeaderWalk::new(&**file, from..segment.size(), segment.offsets());
        while let Some((position, header)) =
            walk.next().map_err(|error| read_error(&self.dir, segment, error))?
        {
            if header.last_offset() < self.log_start_offset || !batch_matches(&header) {
                continue;
            }
            let mut bytes = vec![0; header.size_in_bytes()];
            file.read_exact_at(&mut bytes, position)
                .map_err(|source| segment.error(&self.dir, "read", source))?;
            let found = find_in_batch(bytes.into(), self.config.decompressed_bytes_max, |record| {
                record.offset >= self.log_start_offset && record_matches(record)
            });
            let base_offset = segment.base_offset();
            let found =
                found.map_err(|source| ReadError::Corrupt { base_offset, position, source })?;
            if let Some(record) = found {
                return Ok(Some(TimestampOffset {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: self.epochs.epoch_for_offset(record.offset),
                }));
            }
        }
        Ok(None)
    }
}

fn find_in_batch(
    bytes: Bytes,
    decompressed_bytes_max: usize,
    matches: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, CorruptBatch> {
    let batch = RecordBatch::parse(bytes)?;
    batch.verify_crc()?;
    for record in batch.records(decompressed_bytes_max).map_err(RecordError::from)? {
        let record = record?;
        if matches(&record) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
