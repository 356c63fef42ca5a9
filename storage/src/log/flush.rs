//! Making appended records durable: what a sync must cover, and what it has proved afterwards.
//!
//! Syncs run beside appends. What both need to know is kept apart from the log, behind a lock of its
//! own that is never held during I/O: whoever syncs does not wait for an append that is being
//! written, and what is durable is told to those who wait for it at once.

use std::sync::Arc;

use parking_lot::Mutex;

use super::PartitionLog;
use crate::error::DiskError;
use crate::vfs::VfsFile;

/// What to sync. Taken before the sync, which proves something about what was appended by then.
#[derive(Debug, Clone)]
pub struct FlushPlan {
    /// The file that holds everything not yet flushed: earlier segments were synced when rolled.
    pub file: Arc<dyn VfsFile>,
    /// The log end offset that the sync makes durable.
    pub end_offset: i64,
    truncations: u64,
}

/// How far a log is durable; shared between the log and those who sync it.
#[derive(Debug)]
pub struct FlushProgress(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    /// The active segment's file, once something was appended to it.
    file: Option<Arc<dyn VfsFile>>,
    end_offset: i64,
    flushed_end_offset: i64,
    /// Counts truncations, so that a sync that began before one proves nothing after it.
    truncations: u64,
}

impl FlushProgress {
    /// Of a log that is durable up to its end.
    pub(super) fn new(end_offset: i64) -> Self {
        Self(Mutex::new(Progress {
            file: None,
            end_offset,
            flushed_end_offset: end_offset,
            truncations: 0,
        }))
    }

    /// Plans a sync of everything appended so far; `None` when all of it is durable already.
    #[must_use]
    pub fn plan(&self) -> Option<FlushPlan> {
        let progress = self.0.lock();
        if progress.flushed_end_offset == progress.end_offset {
            return None;
        }
        let Progress { file, end_offset, truncations, .. } = &*progress;
        let file = Arc::clone(file.as_ref()?);
        Some(FlushPlan { file, end_offset: *end_offset, truncations: *truncations })
    }

    /// Notes that the sync of `plan` has succeeded; returns the flushed end offset.
    ///
    /// A log that was truncated meanwhile may hold other records at these offsets: then the
    /// sync proves nothing.
    pub fn mark_flushed(&self, plan: &FlushPlan) -> i64 {
        let mut progress = self.0.lock();
        if plan.truncations == progress.truncations {
            progress.flushed_end_offset = progress.flushed_end_offset.max(plan.end_offset);
        }
        progress.flushed_end_offset
    }

    /// Everything below this offset survives a power cut.
    #[must_use]
    pub fn flushed_end_offset(&self) -> i64 {
        self.0.lock().flushed_end_offset
    }

    /// Notes that `file` holds records up to `end_offset` now.
    pub(super) fn on_appended(&self, file: &Arc<dyn VfsFile>, end_offset: i64) {
        let mut progress = self.0.lock();
        progress.end_offset = end_offset;
        if !progress.file.as_ref().is_some_and(|known| Arc::ptr_eq(known, file)) {
            progress.file = Some(Arc::clone(file));
        }
    }

    /// Notes that the active segment was synced while nobody could append.
    pub(super) fn on_synced(&self, end_offset: i64) {
        let mut progress = self.0.lock();
        progress.end_offset = end_offset;
        progress.flushed_end_offset = end_offset;
    }

    /// Before records from `offset` on are dropped: until [`Self::on_truncated`] there is nothing
    /// to sync, and syncs under way prove nothing.
    pub(super) fn on_truncating(&self, offset: i64) {
        let mut progress = self.0.lock();
        progress.truncations += 1;
        progress.flushed_end_offset = progress.flushed_end_offset.min(offset);
        progress.end_offset = progress.flushed_end_offset;
    }

    /// After the log was cut off at `end_offset` and synced.
    pub(super) fn on_truncated(&self, end_offset: i64) {
        let mut progress = self.0.lock();
        progress.truncations += 1;
        progress.file = None;
        progress.end_offset = end_offset;
        progress.flushed_end_offset = end_offset;
    }
}

impl PartitionLog {
    /// How far the log is durable, for whoever syncs it without holding its lock.
    #[must_use]
    pub fn flush_progress(&self) -> &Arc<FlushProgress> {
        &self.flush
    }

    /// Everything below this offset survives a power cut.
    #[must_use]
    pub fn flushed_end_offset(&self) -> i64 {
        self.flush.flushed_end_offset()
    }

    /// Syncs everything appended so far, here and now.
    pub fn flush(&mut self) -> Result<i64, DiskError> {
        if let Some(plan) = self.flush.plan() {
            let synced = self.active().sync(&self.dir);
            synced.map_err(|error| self.fail_for_good(error))?;
            self.flush.mark_flushed(&plan);
        }
        Ok(self.flushed_end_offset())
    }
}
