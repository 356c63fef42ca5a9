//! Everything a segment knows about its batches besides their bytes: a fold over the headers.
//!
//! Appending folds one batch in; recovery and rebuilding fold a whole file. Both give the same
//! index files that Kafka would write.

use flumen_protocol::records::BatchHeader;

use crate::aborted_index::AbortedIndex;
use crate::offset_index::{OffsetIndex, OffsetPosition};
use crate::time_index::{TimeIndex, TimestampMark};

/// The indexes of one segment and what is known of its end.
#[derive(Debug, Clone)]
pub(crate) struct SegmentIndex {
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    pub(crate) aborted: AbortedIndex,
    /// The offset after the last batch; the base offset while there is none.
    pub(crate) end_offset: i64,
    /// Newest timestamp of the first batch, which `segment.ms` counts from.
    pub(crate) first_timestamp: Option<i64>,
    /// The newest timestamp, with the last offset of the first batch that has it.
    pub(crate) newest: Option<TimestampMark>,
    bytes_since_entry: u64,
}

impl SegmentIndex {
    pub(crate) fn new(base_offset: i64) -> Self {
        Self {
            offsets: OffsetIndex::new(base_offset),
            times: TimeIndex::new(base_offset),
            aborted: AbortedIndex::default(),
            end_offset: base_offset,
            first_timestamp: None,
            newest: None,
            bytes_since_entry: 0,
        }
    }

    /// An index over files that a seal vouches for.
    pub(crate) fn sealed(
        seal: &crate::seal::Seal,
        offsets: OffsetIndex,
        times: TimeIndex,
        aborted: AbortedIndex,
    ) -> Self {
        // Only appending needs the distance to the last entry, and a sealed index that is appended
        // to again (the active one, after a restart) may be one entry short of Kafka's spacing.
        let bytes_since_entry = 0;
        Self {
            offsets,
            times,
            aborted,
            end_offset: seal.end_offset,
            first_timestamp: seal.first_timestamp,
            newest: seal.newest,
            bytes_since_entry,
        }
    }

    /// Copies the indexes out of their files, as has to be done before the segment grows again:
    /// its index files will be cut off and written anew, and a mapping would break.
    pub(crate) fn detach(mut self) -> Self {
        self.offsets.detach();
        self.times.detach();
        self
    }

    /// Folds in the batch at `position`, which follows all the others.
    pub(crate) fn add(&mut self, position: u64, header: &BatchHeader, interval_bytes: u32) {
        let last_offset = header.last_offset();
        if self.newest.is_none_or(|newest| header.max_timestamp > newest.timestamp)
            && header.max_timestamp >= 0
        {
            self.newest =
                Some(TimestampMark { timestamp: header.max_timestamp, offset: last_offset });
        }
        if position == 0 && header.max_timestamp >= 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if self.bytes_since_entry > u64::from(interval_bytes) {
            self.offsets.append(OffsetPosition { offset: last_offset, position });
            self.index_newest();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_in_bytes() as u64;
        self.end_offset = header.next_offset();
    }

    /// Adds the newest timestamp to the time index, as is done when a segment is finished.
    pub(crate) fn index_newest(&mut self) {
        if let Some(newest) = self.newest {
            self.times.maybe_append(newest);
        }
    }

    /// Bytes of the larger index, which `segment.index.bytes` limits.
    pub(crate) fn largest_size(&self) -> usize {
        self.offsets.as_bytes().len().max(self.times.as_bytes().len())
    }
}
