//! The broker's data directory: one disk, one group commit, and whether the disk has failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flumen_client::connection::{Clock, Seams};
use flumen_protocol::Uuid;
use flumen_storage::checkpoint::PartitionOffsets;
use flumen_storage::group_commit::{GroupCommit, Run};
use flumen_storage::log_dir::{Checkpoint, LogDir, LogDirError};
use flumen_storage::vfs::Vfs;
use parking_lot::Mutex;
use tracing::warn;

/// The directory, locked for as long as the broker runs.
#[derive(Debug)]
pub struct DataDir {
    vfs: Arc<dyn Vfs>,
    log_dir: LogDir,
    group_commit: GroupCommit,
    clock: Arc<dyn Clock>,
    recovery_points: Mutex<PartitionOffsets>,
    high_watermarks: Mutex<PartitionOffsets>,
    has_failed: AtomicBool,
}

impl DataDir {
    /// Opens and locks the directory, creating it if there is none.
    ///
    /// # Errors
    /// [`LogDirError`]: another process has it, or the disk fails.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, path: &Path, seams: &Seams) -> Result<Self, LogDirError> {
        let log_dir = LogDir::open(Arc::clone(&vfs), path)?;
        let spawn = Arc::clone(&seams.spawn);
        let run: Run = Arc::new(move |job| spawn.blocking(job));
        let group_commit = GroupCommit::new(Arc::clone(log_dir.file_system()), run);
        let clock = Arc::clone(&seams.clock);
        Ok(Self {
            vfs,
            log_dir,
            group_commit,
            clock,
            recovery_points: Mutex::default(),
            high_watermarks: Mutex::default(),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Takes the marker of a clean shutdown away and reads what is written down. Whether there was one.
    pub(crate) fn take_last_shutdown(&self) -> Result<bool, LogDirError> {
        let marker = self.log_dir.take_clean_shutdown()?;
        let epoch = self.broker_epoch()?;
        let was_clean = marker.is_some_and(|marker| marker.broker_epoch == epoch);
        let read = |checkpoint| self.log_dir.read_checkpoint(checkpoint);
        *self.recovery_points.lock() = read(Checkpoint::RecoveryPoints)?.unwrap_or_default();
        *self.high_watermarks.lock() = read(Checkpoint::HighWatermarks)?.unwrap_or_default();
        Ok(was_clean)
    }

    /// Writes down how far the logs are on disk. `measure` looks while no log can be cut off.
    ///
    /// Logs that cannot be used keep what is written: without it, the next start would take what is damaged
    /// for a torn tail, and cut it off.
    pub(super) fn write_recovery_points(
        &self,
        unusable: &[(String, i32)],
        measure: impl FnOnce() -> PartitionOffsets,
    ) -> Result<(), LogDirError> {
        let mut points = self.recovery_points.lock();
        let measured = with_unusable(measure(), unusable, &points);
        self.log_dir.write_checkpoint(Checkpoint::RecoveryPoints, &measured)?;
        *points = measured;
        Ok(())
    }

    /// Runs `cut`, which cuts logs off at these offsets, once it is written down that what lies
    /// above is not on disk: else a crash later would make new records look like damaged old ones.
    pub(super) fn below<T>(
        &self,
        offsets: impl IntoIterator<Item = ((String, i32), i64)>,
        cut: impl FnOnce() -> T,
    ) -> Result<T, LogDirError> {
        let mut points = self.recovery_points.lock();
        let mut lowered = points.clone();
        for (key, offset) in offsets {
            if let Some(point) = lowered.get_mut(&key) {
                *point = offset.min(*point);
            }
        }
        if lowered != *points {
            self.log_dir.write_checkpoint(Checkpoint::RecoveryPoints, &lowered)?;
            *points = lowered;
        }
        Ok(cut())
    }

    /// Writes down what is known to be committed, if that is news. `measure` looks while
    /// no topic is forgotten. Logs that cannot be used keep what is written.
    pub(super) fn write_high_watermarks(
        &self,
        unusable: &[(String, i32)],
        measure: impl FnOnce() -> PartitionOffsets,
    ) -> Result<(), LogDirError> {
        let mut written = self.high_watermarks.lock();
        let measured = with_unusable(measure(), unusable, &written);
        self.replace_high_watermarks(&mut written, measured)
    }

    fn replace_high_watermarks(
        &self,
        written: &mut PartitionOffsets,
        now: PartitionOffsets,
    ) -> Result<(), LogDirError> {
        if now != *written {
            self.log_dir.write_checkpoint(Checkpoint::HighWatermarks, &now)?;
            *written = now;
        }
        Ok(())
    }

    /// What was committed of a partition when that was last written down.
    pub(super) fn high_watermark(&self, partition: &(String, i32)) -> i64 {
        self.high_watermarks.lock().get(partition).copied().unwrap_or(0)
    }

    /// Forgets what was committed: after a crash, a new topic of the same name would be held to it.
    fn forget_high_watermarks(&self, topic: &str, indexes: &[i32]) -> Result<(), LogDirError> {
        let mut written = self.high_watermarks.lock();
        let mut left = written.clone();
        left.retain(|(name, index), _| name != topic || !indexes.contains(index));
        self.replace_high_watermarks(&mut written, left)
    }

    /// How far the log of a partition was on disk when that was last written down.
    pub(super) fn recovery_point(&self, partition: &(String, i32)) -> i64 {
        self.recovery_points.lock().get(partition).copied().unwrap_or(0)
    }

    /// Renames the directories of partitions of a topic, so that their names are free; returns where they
    /// are.
    pub(super) fn move_away(&self, topic: &str, id: Uuid, indexes: &[i32]) -> Vec<PathBuf> {
        let forgotten = indexes.iter().map(|index| ((topic.to_owned(), *index), 0));
        let moved = self
            .forget_high_watermarks(topic, indexes)
            .and_then(|()| self.below(forgotten, || self.rename_away(topic, id, indexes)));
        moved.unwrap_or_else(|error| {
            warn!(%topic, %error, "the directories of deleted partitions stay where they are");
            Vec::new()
        })
    }

    fn rename_away(&self, topic: &str, id: Uuid, indexes: &[i32]) -> Vec<PathBuf> {
        let mut moved = Vec::new();
        for &index in indexes {
            let from = self.log_dir.partition_path(topic, index);
            let to = self.log_dir.deleted_path(topic, index, id);
            match self.vfs.rename(&from, &to) {
                Ok(()) => moved.push(to),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    warn!(path = %from.display(), %error, "a deleted partition was not moved");
                }
            }
        }
        if let Err(error) = self.vfs.sync_dir(self.log_dir.path()) {
            warn!(%error, "the deletion of a topic may have to be repeated after a crash");
        }
        moved
    }

    /// Says that all logs were closed in order by the newest start that wrote here.
    pub(crate) fn mark_clean_shutdown(&self) -> Result<(), LogDirError> {
        self.log_dir.mark_clean_shutdown(self.broker_epoch()?)
    }

    fn broker_epoch(&self) -> Result<Option<i64>, LogDirError> {
        Ok(self.log_dir.identity()?.and_then(|identity| identity.broker_epoch))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.log_dir.path()
    }

    /// Names, identity and checkpoints.
    #[must_use]
    pub fn log_dir(&self) -> &LogDir {
        &self.log_dir
    }

    /// The disk.
    #[must_use]
    pub fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    /// What makes its logs durable.
    #[must_use]
    pub fn group_commit(&self) -> &GroupCommit {
        &self.group_commit
    }

    /// Whether a sync has failed: nothing more is acknowledged then.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// The time that its partitions go by.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn fail(&self) {
        self.has_failed.store(true, Ordering::Release);
    }

    /// Bytes that can still be written, where the system tells.
    #[must_use]
    pub fn usable_bytes(&self) -> Option<u64> {
        self.log_dir.file_system().available_space().ok()
    }

    /// Bytes of the whole disk, where the system tells.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.log_dir.file_system().total_space().ok()
    }
}

/// What was measured, and what is written of those that cannot be.
fn with_unusable(
    mut measured: PartitionOffsets,
    unusable: &[(String, i32)],
    written: &PartitionOffsets,
) -> PartitionOffsets {
    for key in unusable {
        if let Some(offset) = written.get(key) {
            measured.entry(key.clone()).or_insert(*offset);
        }
    }
    measured
}
