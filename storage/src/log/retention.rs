//! The start of the log: retention by time and by size, and deletion of records on request.
//!
//! The new start is written down durably before anything is removed, so that it never falls; what a
//! crash leaves of removed segments goes at the next opening.

use std::collections::BTreeMap;

use flumen_planted::{Bug, is_planted};

use super::PartitionLog;
use super::rebuild::producer_state_at;
use crate::error::{MaintenanceError, ReadError};
use crate::file_names::{SNAPSHOT, segment_file};
use crate::log_state::LogState;
use crate::partition_dir::{PartitionDir, list_snapshots};
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
        let mut before = self.segments.len();
        match self.retained_from(now_ms, high_watermark)? {
            Some(new_start) if new_start > self.log_start_offset => {
                if new_start > self.active().base_offset() {
                    self.roll(now_ms)?;
                    before += 1;
                }
                self.advance_log_start_offset(new_start)?;
            }
            // Records deleted on request may have left a segment that was active then.
            Some(_) | None => self.remove_unreachable()?,
        }
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
        let state = LogState { log_start_offset: offset, epochs };
        if !is_planted(Bug::StartsAreNotKept) {
            self.write_state(&state)?;
        }
        self.log_start_offset = offset;
        self.epochs = state.epochs;
        self.remove_unreachable()
    }

    fn remove_unreachable(&mut self) -> Result<(), MaintenanceError> {
        let removed = remove_unreachable(&self.dir, &mut self.segments, self.log_start_offset);
        removed.map_err(|error| match error {
            ReadError::Disk(error) => self.fail(error).into(),
            other => other.into(),
        })
    }
}

/// Removes the segments that lie wholly below the log start.
///
/// What they say about producers has to outlive them: the state at the first segment that stays is
/// made durable before.
pub(crate) fn remove_unreachable(
    dir: &PartitionDir,
    segments: &mut BTreeMap<i64, Segment>,
    log_start_offset: i64,
) -> Result<(), ReadError> {
    let Some((&first_kept, _)) = segments.range(..=log_start_offset).next_back() else {
        return Ok(());
    };
    if segments.first_key_value().is_none_or(|(&first, _)| first == first_kept) {
        return Ok(());
    }
    let producers = producer_state_at(dir, segments, first_kept)?;
    let snapshot = producer_snapshot::encode(&producers);
    dir.write_durably(&segment_file(first_kept, SNAPSHOT), &snapshot)?;
    while let Some(entry) = segments.first_entry()
        && *entry.key() < first_kept
    {
        entry.get().remove(dir)?;
        entry.remove();
    }
    for (offset, name) in list_snapshots(dir)? {
        if offset < first_kept {
            dir.remove(&name)?;
        }
    }
    Ok(())
}
