//! Changing the log at its ends: rolling, retention, trimming, truncating, closing.

use flumen_protocol::records::BatchHeader;

use super::PartitionLog;
use super::rebuild::{producer_state_at, read_error};
use crate::batch_walk::HeaderWalk;
use crate::epoch_cache::EpochCache;
use crate::error::{DiskError, MaintenanceError};
use crate::file_names::{SNAPSHOT, parse_segment_file, segment_file};
use crate::log_state::LogState;
use crate::producer_snapshot;
use crate::producer_state::ProducerState;
use crate::recovery;
use crate::segment::Segment;
use crate::segment_index::SegmentIndex;

/// Largest distance between the base offset of a segment and an offset in it.
const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;
/// Bytes of the larger kind of index entry.
const INDEX_ENTRY_SIZE: usize = 12;

impl PartitionLog {
    /// Whether the active segment has to be rolled before these batches are appended.
    pub(super) fn must_roll_before<'a>(
        &self,
        size: usize,
        mut headers: impl Iterator<Item = &'a BatchHeader> + Clone,
        now_ms: i64,
    ) -> bool {
        let active = self.active();
        if active.size() == 0 {
            return headers
                .any(|header| header.last_offset() - active.base_offset() > RELATIVE_OFFSET_MAX);
        }
        let index = active.loaded_index().expect("the active segment's index is loaded");
        // Appends come with their own time, so that replayed history rolls as it did live.
        let newest = headers.clone().map(|header| header.max_timestamp).max();
        active.size() + size as u64 > u64::from(self.config.segment_bytes)
            || self.is_due(newest.filter(|&timestamp| timestamp >= 0), now_ms)
            || index.largest_size() + INDEX_ENTRY_SIZE > self.config.segment_index_bytes as usize
            || headers
                .any(|header| header.last_offset() - active.base_offset() > RELATIVE_OFFSET_MAX)
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

    /// Rolls the active segment if `segment.ms` has passed since its first record, appends or not.
    pub fn roll_if_due(&mut self, now_ms: i64) -> Result<bool, MaintenanceError> {
        let is_due = self.active().size() > 0 && self.is_due(Some(now_ms), now_ms);
        if is_due {
            self.roll(now_ms)?;
        }
        Ok(is_due)
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
        let synced = self.active().sync(&self.dir);
        synced.map_err(|error| self.fail_for_good(error))?;
        self.flushed_end_offset = self.log_end_offset;
        let created = self.begin_segment();
        let segment = created.map_err(|error| self.fail(error))?;
        // Were this tried again, the old segment would grow into the offsets of the new one.
        let synced = self.dir.sync();
        synced.map_err(|error| self.fail_for_good(error))?;
        self.active_mut().unload_index();
        self.segments.insert(segment.base_offset(), segment);
        self.recent.clear();
        self.active_since_ms = now_ms;
        Ok(())
    }

    /// Writes what belongs to the finished segment and creates the next; the log is as before
    /// until the caller takes the new one over, so that a full disk leaves the old one active.
    fn begin_segment(&mut self) -> Result<Segment, DiskError> {
        let dir = self.dir.clone();
        self.active_mut().write_index(&dir)?;
        self.write_snapshot()?;
        Segment::create(&dir, self.log_end_offset)
    }

    /// Writes the producer state at the log end.
    fn write_snapshot(&self) -> Result<(), DiskError> {
        let snapshot = producer_snapshot::encode(&self.producers);
        self.dir.write(&segment_file(self.log_end_offset, SNAPSHOT), &snapshot)
    }

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
        for (offset, name) in self.snapshots()? {
            if offset < base_offset {
                self.dir.remove(&name)?;
            }
        }
        Ok(())
    }

    fn snapshots(&self) -> Result<Vec<(i64, String)>, DiskError> {
        let entries = self.dir.list()?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| match parse_segment_file(&entry.name) {
                Some((offset, SNAPSHOT)) => Some((offset, entry.name)),
                Some(_) | None => None,
            })
            .collect())
    }

    /// Cuts the log off, so that `offset` is the next to be appended.
    ///
    /// For followers, on the word of their leader. The recovery point kept by the caller must be
    /// lowered durably before: what is appended here next is new, and not flushed.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        if offset >= self.log_end_offset {
            return Ok(());
        }
        if self.segments.range(..=offset).next().is_none() {
            return self.restart_at(offset.min(self.log_start_offset), now_ms);
        }
        self.truncations += 1;
        self.recent.clear();
        let truncated = self.truncate_segments(offset);
        truncated.inspect_err(|error| self.go_offline(error))?;
        if self.log_end_offset < self.log_start_offset {
            // Nothing is left that could be read; the rest only filled a batch or a segment up.
            return self.restart_at(offset.min(self.log_start_offset), now_ms);
        }
        self.flushed_end_offset = self.flushed_end_offset.min(self.log_end_offset);
        self.active_since_ms = now_ms;
        self.drop_newer_state()
    }

    fn truncate_segments(&mut self, offset: i64) -> Result<(), MaintenanceError> {
        let dir = self.dir.clone();
        // From the end, so that whatever a crash leaves is a prefix.
        while let Some(entry) = self.segments.last_entry()
            && *entry.key() > offset
        {
            entry.get().remove(&dir)?;
            entry.remove();
            dir.sync()?;
        }
        let segment = self.active();
        let mut index = SegmentIndex::new(segment.base_offset());
        let old = self.index(segment)?;
        let file = segment.file(&dir)?;
        let mut size = segment.size();
        let mut walk = HeaderWalk::new(&**file, 0..size);
        while let Some((position, header)) =
            walk.next().map_err(|error| read_error(&dir, segment, error))?
        {
            if header.last_offset() >= offset {
                size = position;
                break;
            }
            index.add(position, &header, self.config.index_interval_bytes);
        }
        index.aborted = old.aborted.clone();
        index.aborted.truncate_to(offset);
        self.log_end_offset = index.end_offset;
        let active = self.active_mut();
        active.remove_seal(&dir)?;
        active.truncate(&dir, size)?;
        active.replace_index(index);
        Ok(())
    }

    /// Forgets epochs and producer state of what has been truncated.
    fn drop_newer_state(&mut self) -> Result<(), MaintenanceError> {
        for (offset, name) in self.snapshots()? {
            if offset > self.log_end_offset {
                self.dir.remove(&name)?;
            }
        }
        self.producers = producer_state_at(&self.dir, &self.segments, self.log_end_offset)?;
        let mut epochs = self.epochs.clone();
        epochs.truncate_from_end(self.log_end_offset);
        let state = LogState { log_start_offset: self.log_start_offset, epochs };
        self.write_state(&state)?;
        self.epochs = state.epochs;
        Ok(())
    }

    /// Drops everything and begins anew at `offset`, as a follower does whose log has nothing in
    /// common with its leader's any more.
    pub fn restart_at(&mut self, offset: i64, now_ms: i64) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        self.truncations += 1;
        self.recent.clear();
        let restarted = recovery::restart(&self.dir, &mut self.segments, offset);
        restarted.map_err(|error| self.fail(error))?;
        (self.log_start_offset, self.log_end_offset) = (offset, offset);
        self.flushed_end_offset = offset;
        self.active_since_ms = now_ms;
        self.epochs = EpochCache::default();
        self.producers = ProducerState::default();
        Ok(())
    }

    /// Flushes everything and writes what makes the next opening quick.
    ///
    /// A log whose closing fails is found by the next opening as a crash would have left it, so the
    /// caller must not write the marker of a clean shutdown then.
    pub fn close(mut self) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        self.flush()?;
        let dir = self.dir.clone();
        if self.active().size() > 0 {
            self.active_mut().write_index(&dir)?;
        }
        self.write_snapshot()?;
        Ok(())
    }
}
