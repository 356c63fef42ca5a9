//! Making appended records durable: what a sync must cover, and what it has proved afterwards.

use std::sync::Arc;

use super::PartitionLog;
use crate::error::DiskError;
use crate::vfs::VfsFile;

/// What to sync, taken under the log's lock and carried out without it.
#[derive(Debug, Clone)]
pub struct FlushPlan {
    /// The file that holds everything not yet flushed: earlier segments were synced when rolled.
    pub file: Arc<dyn VfsFile>,
    /// The log end offset that the sync makes durable.
    pub end_offset: i64,
    truncations: u64,
}

impl PartitionLog {
    /// Plans a sync of everything appended so far; `None` when all of it is durable already.
    pub fn flush_plan(&self) -> Result<Option<FlushPlan>, DiskError> {
        if self.flushed_end_offset == self.log_end_offset {
            return Ok(None);
        }
        let file = Arc::clone(self.active().file(&self.dir)?);
        Ok(Some(FlushPlan { file, end_offset: self.log_end_offset, truncations: self.truncations }))
    }

    /// Notes that the sync of `plan` has succeeded; returns the flushed end offset.
    ///
    /// A log that was truncated meanwhile may hold other records at these offsets: then the
    /// sync proves nothing.
    pub fn mark_flushed(&mut self, plan: &FlushPlan) -> i64 {
        if plan.truncations == self.truncations {
            self.flushed_end_offset = self.flushed_end_offset.max(plan.end_offset);
        }
        self.flushed_end_offset
    }

    /// Syncs everything appended so far, here and now.
    pub fn flush(&mut self) -> Result<i64, DiskError> {
        if let Some(plan) = self.flush_plan()? {
            let synced = self.active().sync(&self.dir);
            synced.map_err(|error| self.fail_for_good(error))?;
            self.mark_flushed(&plan);
        }
        Ok(self.flushed_end_offset)
    }
}
