//! The start of the log: retention by time and by size, and deletion of records on request.
//!
//! The new start is written down durably before anything is removed, so that it never falls; what a
//! crash leaves of removed segments goes at the next opening.

use super::PartitionLog;
use super::rebuild::producer_state_at;
use crate::error::MaintenanceError;
use crate::file_names::{SNAPSHOT, segment_file};
use crate::log_state::LogState;
use crate::partition_dir::list_snapshots;
use crate::producer_snapshot;
use crate::segment::Segment;

impl PartitionLog {
    /// Deletes the oldest segments as far as retention demands; returns how many.
    ///
    /// Nothing at or above the high watermark goes. The active segment goes too if all of it has
    /// expired: it is rolled first, so that an idle topic empties.
    pub fn delete_expired(
        &mut self,
        now_ms: i64,
        high_watermark: i64,
    ) -> Result<usize, MaintenanceError> {
        let new_start = self.retained_from(now_ms, high_watermark)?;
        let Some(new_start) = new_start else { return Ok(0) };
        if new_start > self.active().base_offset() {
            self.roll(now_ms)?;
        }
        let before = self.segments.len();
        self.advance_log_start_offset(new_start)?;
        Ok(before - self.segments.len())
    }

    /// The end of the last segment that retention deletes, if there is one.
    fn retained_from(
        &self,
        now_ms: i64,
        high_watermark: i64,
    ) -> Result<Option<i64>, MaintenanceError> {
        if !self.config.delete {
            return Ok(None);
        }
        let mut excess =
            self.config.retention_bytes.map_or(0, |limit| self.size().saturating_sub(limit));
        let mut retained_from = None;
        for segment in self.segments.values() {
            let end_offset = self.segment_end(segment);
            let is_empty = self.is_active(segment) && segment.size() == 0;
            if is_empty || end_offset > high_watermark {
                break;
            }
            let too_much = excess >= segment.size();
            if !too_much && !self.has_expired(segment, now_ms)? {
                break;
            }
            excess = excess.saturating_sub(segment.size());
            retained_from = Some(end_offset);
        }
        Ok(retained_from)
    }

    fn has_expired(&self, segment: &Segment, now_ms: i64) -> Result<bool, MaintenanceError> {
        let Some(retention_ms) = self.config.retention_ms else { return Ok(false) };
        let newest = self.index(segment)?.newest;
        // Without any timestamp the age is unknown; what cannot be shown to be old is kept.
        Ok(newest.is_some_and(|newest| now_ms.saturating_sub(newest.timestamp) > retention_ms))
    }

    /// Moves the log start up to `offset`, and removes the segments that lie wholly below it.
    ///
    /// The new start is durable before anything is removed. An offset at or below the current
    /// start changes nothing. The caller makes sure that it does not pass the high watermark.
    pub fn advance_log_start_offset(&mut self, offset: i64) -> Result<(), MaintenanceError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset, self.log_end_offset);
        if offset <= log_start_offset {
            return Ok(());
        }
        if offset > log_end_offset {
            return Err(MaintenanceError::OffsetOutOfRange {
                offset,
                log_start_offset,
                log_end_offset,
            });
        }
        let mut epochs = self.epochs.clone();
        epochs.truncate_from_start(offset);
        let keeps_from = self.first_base_kept(offset);
        self.secure_snapshot(keeps_from)?;
        let state = LogState { log_start_offset: offset, epochs };
        self.write_state(&state)?;
        self.log_start_offset = offset;
        self.epochs = state.epochs;
        self.remove_segments_below(keeps_from)
    }

    /// Base offset of the oldest segment that is still needed when the log starts at `offset`.
    fn first_base_kept(&self, offset: i64) -> i64 {
        self.segments.range(..=offset).next_back().map_or(offset, |(&base_offset, _)| base_offset)
    }

    /// Makes sure that what the segments below `base_offset` say about producers outlives them.
    fn secure_snapshot(&mut self, base_offset: i64) -> Result<(), MaintenanceError> {
        if self.segments.first_key_value().is_some_and(|(&first, _)| first >= base_offset) {
            return Ok(());
        }
        let producers = producer_state_at(&self.dir, &self.segments, base_offset)?;
        let snapshot = producer_snapshot::encode(&producers);
        self.dir
            .write_durably(&segment_file(base_offset, SNAPSHOT), &snapshot)
            .map_err(|error| self.fail(error).into())
    }

    fn remove_segments_below(&mut self, base_offset: i64) -> Result<(), MaintenanceError> {
        while let Some(entry) = self.segments.first_entry()
            && *entry.key() < base_offset
        {
            entry.get().remove(&self.dir)?;
            entry.remove();
        }
        for (offset, name) in list_snapshots(&self.dir)? {
            if offset < base_offset {
                self.dir.remove(&name)?;
            }
        }
        Ok(())
    }
}
