//! When a segment is finished, and what it takes to begin the next; closing the last one.

use flumen_protocol::records::BatchHeader;

use super::PartitionLog;
use crate::error::{DiskError, MaintenanceError};
use crate::file_names::{SNAPSHOT, segment_file};
use crate::producer_snapshot;
use crate::segment::Segment;

/// Bytes of the larger kind of index entry.
const INDEX_ENTRY_SIZE: usize = 12;

impl PartitionLog {
    /// Whether the active segment has to be rolled before these batches are appended.
    pub(super) fn must_roll_before<'a>(
        &self,
        size: usize,
        headers: impl Iterator<Item = &'a BatchHeader> + Clone,
        now_ms: i64,
    ) -> bool {
        let active = self.active();
        // An empty segment is as good as a new one, unless offsets have left its range.
        if headers.clone().any(|header| header.last_offset() >= active.offset_limit()) {
            return true;
        }
        if active.size() == 0 {
            return false;
        }
        let index = active.loaded_index().expect("the active segment's index is loaded");
        // Appends come with their own time, so that replayed history rolls as it did live.
        let newest = headers.map(|header| header.max_timestamp).max();
        active.size() + size as u64 > u64::from(self.config.segment_bytes)
            || self.is_due(newest.filter(|&timestamp| timestamp >= 0), now_ms)
            || index.largest_size() + INDEX_ENTRY_SIZE > self.config.segment_index_bytes as usize
    }

    /// Whether `segment.ms` has passed for the active segment.
    fn is_due(&self, appended_timestamp: Option<i64>, now_ms: i64) -> bool {
        let index = self.active().loaded_index().expect("the active segment's index is loaded");
        let age_ms = match (index.first_timestamp, appended_timestamp) {
            (Some(first), Some(appended)) => appended.saturating_sub(first),
            (_, _) => now_ms.saturating_sub(self.active_since_ms),
        };
        age_ms > self.config.segment_ms.saturating_sub(self.jitter_ms())
    }

    /// Differs from segment to segment, and is the same whenever it is asked for.
    fn jitter_ms(&self) -> i64 {
        let limit = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if limit <= 0 {
            return 0;
        }
        let path = self.dir.path().as_os_str().as_encoded_bytes();
        let seed =
            crc32c::crc32c_append(crc32c::crc32c(path), &self.active().base_offset().to_be_bytes());
        i64::from(seed) % limit
    }

    /// Finishes the active segment and begins a new one; nothing happens while it is empty.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        if self.active().size() == 0 {
            self.active_since_ms = now_ms;
            return Ok(());
        }
        self.roll_to(self.log_end_offset, now_ms).map_err(MaintenanceError::Disk)
    }

    /// Begins a new segment at `base_offset`, which lies behind the log end where the offsets that
    /// a follower appends next leave a gap.
    pub(super) fn roll_to(&mut self, base_offset: i64, now_ms: i64) -> Result<(), DiskError> {
        let dir = self.dir.clone();
        let synced =
            self.active_mut().give_back_reserved(&dir).and_then(|()| self.active().sync(&dir));
        synced.map_err(|error| self.fail_for_good(error))?;
        self.flush.on_synced(self.log_end_offset);
        let created = self.begin_segment(base_offset);
        let segment = created.map_err(|error| self.fail(error))?;
        // Were this tried again, the old segment would grow into the offsets of the new one.
        let synced = self.dir.sync();
        synced.map_err(|error| self.fail_for_good(error))?;
        self.active_mut().unload_index();
        self.segments.insert(base_offset, segment);
        self.recent.clear();
        self.active_since_ms = now_ms;
        Ok(())
    }

    /// Writes what belongs to the finished segment and creates the next; the log is as before
    /// until the caller takes the new one over, so that a full disk leaves the old one active.
    fn begin_segment(&mut self, base_offset: i64) -> Result<Segment, DiskError> {
        let dir = self.dir.clone();
        self.active_mut().write_index(&dir)?;
        self.write_snapshot(base_offset)?;
        Segment::create(&dir, base_offset)
    }

    /// Writes the producer state at the log end.
    fn write_snapshot(&self, offset: i64) -> Result<(), DiskError> {
        let snapshot = producer_snapshot::encode(&self.producers);
        self.dir.write(&segment_file(offset, SNAPSHOT), &snapshot)
    }

    /// Flushes everything and writes what makes the next opening quick; nothing can be appended
    /// afterwards.
    ///
    /// A log whose closing fails is found by the next opening as a crash would have left it, so the
    /// caller must not write the marker of a clean shutdown then.
    pub fn close(&mut self) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        let dir = self.dir.clone();
        self.active_mut().give_back_reserved(&dir)?;
        self.flush()?;
        if self.active().size() > 0 {
            self.active_mut().write_index(&dir)?;
        }
        self.write_snapshot(self.log_end_offset)?;
        // What was appended now would not be in what has been written.
        self.is_offline = true;
        Ok(())
    }
}
