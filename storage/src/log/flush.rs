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

/// Less than this is not worth a call.
const EVICTED_MIN: u64 = 1 << 20;

/// The largest piece in which a system keeps a file in memory, and lets go of it as a whole.
const CACHED_PIECE_MAX: u64 = 2 << 20;

/// What to sync. Taken before the sync, which proves something about what was appended by then.
#[derive(Debug, Clone)]
pub struct FlushPlan {
    /// The file that holds everything not yet flushed: earlier segments were synced when rolled.
    pub file: Arc<dyn VfsFile>,
    /// The log end offset that the sync makes durable.
    pub end_offset: i64,
    /// Bytes of the file up to there.
    size: u64,
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
    /// Bytes of the file up to there.
    size: u64,
    /// Up to which byte the file was let go of.
    evicted: u64,
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
            size: 0,
            evicted: 0,
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
        let &Progress { ref file, end_offset, size, truncations, .. } = &*progress;
        let file = Arc::clone(file.as_ref()?);
        Some(FlushPlan { file, end_offset, size, truncations })
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

    /// Lets go of the memory that caches what the sync of `plan` has made durable, but for the last
    /// `kept` bytes: nobody is expected to read what lies before them.
    pub fn evict(&self, plan: &FlushPlan, kept: u64) {
        let end = plan.size.saturating_sub(kept);
        let from = {
            let mut progress = self.0.lock();
            let is_current = progress.file.as_ref().is_some_and(|now| Arc::ptr_eq(now, &plan.file))
                && plan.truncations == progress.truncations;
            if !is_current || end < progress.evicted + EVICTED_MIN {
                return;
            }
            std::mem::replace(&mut progress.evicted, end)
        };
        // What straddled the end the last time is still there.
        plan.file.evict(from.saturating_sub(CACHED_PIECE_MAX)..end);
    }

    /// Everything below this offset survives a power cut.
    #[must_use]
    pub fn flushed_end_offset(&self) -> i64 {
        self.0.lock().flushed_end_offset
    }

    /// Notes that `file` holds records up to `end_offset` now, in `size` bytes.
    pub(super) fn on_appended(&self, file: &Arc<dyn VfsFile>, size: u64, end_offset: i64) {
        let mut progress = self.0.lock();
        progress.end_offset = end_offset;
        progress.size = size;
        if !progress.file.as_ref().is_some_and(|known| Arc::ptr_eq(known, file)) {
            progress.file = Some(Arc::clone(file));
            progress.evicted = 0;
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

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};
    use std::ops::Range;
    use std::os::fd::BorrowedFd;

    use bytes::Bytes;
    use flumen_protocol::FileSource;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A file that notes what it was told to let go of.
    #[derive(Debug, Default)]
    struct Evicted(Mutex<Vec<(u64, u64)>>);

    impl FileSource for Evicted {
        fn read_exact_at(&self, _buffer: &mut [u8], _position: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn as_fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    impl VfsFile for Evicted {
        fn read_at(&self, _buffer: &mut [u8], _position: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn write_vectored_at(&self, _buffers: &[IoSlice<'_>], _position: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn size(&self) -> io::Result<u64> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn truncate(&self, _size: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn evict(&self, range: Range<u64>) {
            self.0.lock().push((range.start, range.end));
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn map(&self, _range: Range<u64>) -> io::Result<Bytes> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn is_resident(&self, _range: Range<u64>) -> bool {
            true
        }
    }

    /// After an append up to `size` bytes and its sync; says what the file was told to let go of.
    fn let_go(progress: &FlushProgress, file: &Arc<Evicted>, size: u64) -> Vec<(u64, u64)> {
        let seen: Arc<dyn VfsFile> = Arc::<Evicted>::clone(file);
        // The log hands out one pointer to a file for as long as the segment is active.
        let seen = progress.0.lock().file.clone().unwrap_or(seen);
        let end_offset = progress.0.lock().end_offset + 1;
        progress.on_appended(&seen, size, end_offset);
        let plan = progress.plan().unwrap();
        progress.mark_flushed(&plan);
        progress.evict(&plan, 4 * MIB);
        std::mem::take(&mut *file.0.lock())
    }

    #[test]
    fn all_but_the_end_of_a_synced_file_is_let_go_of() {
        let (progress, file) = (FlushProgress::new(0), Arc::new(Evicted::default()));
        assert_eq!(let_go(&progress, &file, 3 * MIB), []);
        assert_eq!(let_go(&progress, &file, 4 * MIB + 1), [], "it would not pay");
        assert_eq!(let_go(&progress, &file, 7 * MIB), [(0, 3 * MIB)]);
        assert_eq!(let_go(&progress, &file, 8 * MIB - 1), []);
        assert_eq!(let_go(&progress, &file, 9 * MIB), [(MIB, 5 * MIB)]);
    }

    #[test]
    fn nothing_is_let_go_of_by_a_plan_from_before_a_truncation() {
        let (progress, file) = (FlushProgress::new(0), Arc::new(Evicted::default()));
        let seen: Arc<dyn VfsFile> = Arc::<Evicted>::clone(&file);
        progress.on_appended(&seen, 9 * MIB, 1);
        let plan = progress.plan().unwrap();
        progress.on_truncating(0);
        progress.on_truncated(0);
        progress.on_appended(&seen, 9 * MIB, 1);
        progress.evict(&plan, 4 * MIB);
        assert_eq!(*file.0.lock(), []);
    }

    #[test]
    fn another_segment_begins_anew() {
        let (progress, file) = (FlushProgress::new(0), Arc::new(Evicted::default()));
        assert_eq!(let_go(&progress, &file, 9 * MIB), [(0, 5 * MIB)]);
        let next: Arc<dyn VfsFile> = Arc::new(Evicted::default());
        progress.on_synced(1);
        progress.on_appended(&next, MIB, 2);
        assert_eq!(progress.0.lock().evicted, 0);
    }
}
