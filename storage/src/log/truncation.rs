//! The end of the log moving back, as it does for a follower that diverged from its leader.

use flumen_planted::{Bug, is_planted};

use super::PartitionLog;
use super::rebuild::{producer_state_at, read_error};
use crate::batch_walk::HeaderWalk;
use crate::epoch_cache::EpochCache;
use crate::error::{DiskError, MaintenanceError};
use crate::log_state::LogState;
use crate::partition_dir::list_snapshots;
use crate::producer_state::ProducerState;
use crate::recovery;
use crate::segment_index::SegmentIndex;

impl PartitionLog {
    /// Cuts the log off, so that `offset` is the next to be appended.
    ///
    /// For followers, on the word of their leader. The recovery point kept by the caller must be
    /// lowered durably before: what is appended here next is new, and not flushed.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        if offset >= self.log_end_offset {
            return self.drop_unwritten_epochs();
        }
        if self.segments.range(..=offset).next().is_none() {
            return self.restart_at(offset.min(self.log_start_offset), now_ms);
        }
        self.flush.on_truncating(offset);
        self.recent.clear();
        let truncated = self.truncate_segments(offset);
        truncated.inspect_err(|error| self.go_offline(error))?;
        if self.log_end_offset < self.log_start_offset {
            // Nothing is left that could be read; the rest only filled a batch or a segment up.
            return self.restart_at(offset.min(self.log_start_offset), now_ms);
        }
        self.flush.on_truncated(self.log_end_offset);
        self.active_since_ms = now_ms;
        // Else what is gone would be a duplicate when it comes again.
        let forgotten = self.drop_newer_producers();
        forgotten.inspect_err(|error| self.go_offline(error))?;
        Ok(self.drop_newer_epochs()?)
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
        let mut walk = HeaderWalk::new(&**file, 0..size, segment.offsets());
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

    /// Forgets the producer state of what has been truncated.
    fn drop_newer_producers(&mut self) -> Result<(), MaintenanceError> {
        for (offset, name) in list_snapshots(&self.dir)? {
            if offset > self.log_end_offset {
                self.dir.remove(&name)?;
            }
        }
        if !is_planted(Bug::CutBatchesAreRemembered) {
            self.producers = producer_state_at(&self.dir, &self.segments, self.log_end_offset)?;
        }
        Ok(())
    }

    /// Forgets the epochs of what has been truncated.
    fn drop_newer_epochs(&mut self) -> Result<(), DiskError> {
        let mut epochs = self.epochs.clone();
        if !is_planted(Bug::EpochsAreNotCutBack) {
            epochs.truncate_from_end(self.log_end_offset);
        }
        let state = LogState { log_start_offset: self.log_start_offset, epochs };
        // This syncs the directory as well, and it must: snapshots and seals are written without a
        // sync when the log has grown again, and were the removed ones to come back in their place,
        // they would be believed.
        self.write_state(&state)?;
        self.epochs = state.epochs;
        Ok(())
    }

    /// Forgets epochs that were noted for records which then could not be written.
    fn drop_unwritten_epochs(&mut self) -> Result<(), MaintenanceError> {
        let latest = self.epochs.latest();
        if latest.is_some_and(|latest| latest.start_offset >= self.log_end_offset) {
            self.drop_newer_epochs()?;
        }
        Ok(())
    }

    /// Drops everything and begins anew at `offset`, as a follower does whose log has nothing in
    /// common with its leader's any more.
    pub fn restart_at(&mut self, offset: i64, now_ms: i64) -> Result<(), MaintenanceError> {
        if self.is_offline {
            return Err(MaintenanceError::Offline);
        }
        self.flush.on_truncating(offset);
        self.recent.clear();
        let restarted = recovery::restart(&self.dir, &mut self.segments, offset);
        restarted.map_err(|error| self.fail(error))?;
        (self.log_start_offset, self.log_end_offset) = (offset, offset);
        self.flush.on_truncated(offset);
        self.active_since_ms = now_ms;
        self.epochs = EpochCache::default();
        self.producers = ProducerState::default();
        Ok(())
    }
}
