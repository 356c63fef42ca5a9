//! The log of one partition.
//!
//! Owns the segments, their indexes, the leader epochs, the producer state and the offsets
//!
//! ```text
//! log start offset <= flushed end offset <= log end offset
//! ```
//!
//! and keeps them consistent through every operation and every crash. Not here: the high watermark
//! (the partition passes it in where it matters), when to sync (see [`FlushProgress::plan`]),
//! the clock (`now_ms` is an argument), and Kafka's error codes.
//!
//! A log is synchronous and has one writer: whoever owns it holds a lock. Reading takes `&self` and
//! yields ranges of files, not bytes.
//!
//! **Invariant.** A segment is synced before the next one is created, so only the last segment
//! can lose its tail, and what a crash leaves is a prefix.

mod append;
pub(crate) mod cleaning;
mod flush;
mod lookup;
mod read;
pub(crate) mod rebuild;
pub(crate) mod retention;
mod rolling;
mod truncation;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flumen_planted::{Bug, is_planted};

use crate::config::LogConfig;
use crate::epoch_cache::{EpochCache, EpochEndOffset};
use crate::error::{DiskError, OpenError};
use crate::partition_dir::PartitionDir;
use crate::producer_state::{ProducerEntry, ProducerState};
use crate::recent_batches::RecentBatches;
use crate::recovery::{self, Recovered};
use crate::segment::Segment;
use crate::vfs::Vfs;

pub use append::AppendInfo;
pub use cleaning::{CleanableSegment, CleanedSegment};
pub use flush::{FlushPlan, FlushProgress};
pub use lookup::{TimestampOffset, TimestampQuery};
pub use read::{ReadResult, VerifyError, verify_range};

/// What is known about a log directory before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenContext {
    /// The broker shut down cleanly: what is on disk is whole.
    pub clean_shutdown: bool,
    /// Everything below has been flushed. After an unclean shutdown, what lies above is scanned.
    ///
    /// It must belong to this very log: whoever deletes or truncates a log forgets or lowers its
    /// recovery point first, durably. Else what is new would be taken for flushed data gone bad.
    pub recovery_point: i64,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// The log of one partition.
#[derive(Debug)]
pub struct PartitionLog {
    dir: PartitionDir,
    config: Arc<LogConfig>,
    /// By base offset; never empty, the last one is active.
    segments: BTreeMap<i64, Segment>,
    log_start_offset: i64,
    log_end_offset: i64,
    flush: Arc<FlushProgress>,
    epochs: EpochCache,
    producers: ProducerState,
    recent: RecentBatches,
    /// When the active segment was created, for `segment.ms` of segments without timestamps.
    active_since_ms: i64,
    is_offline: bool,
}

impl PartitionLog {
    /// Opens the log in `dir`, creating it if there is none, and recovers it if need be.
    ///
    /// Opening leaves nothing behind that a second opening would find different, so that a
    /// crash at any point of it is harmless.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        config: Arc<LogConfig>,
        context: OpenContext,
    ) -> Result<Self, OpenError> {
        let dir = PartitionDir::new(vfs, dir);
        // After a clean shutdown all names are durable, and a sync for each log would take time.
        if !context.clean_shutdown || !dir.exists()? {
            dir.create()?;
        }
        let Recovered { segments, log_start_offset, log_end_offset, epochs, mut producers } =
            recovery::recover(&dir, &config, context)?;
        producers.expire(context.now_ms, config.producer_id_expiration_ms);
        if is_planted(Bug::ProducersAreForgotten) {
            producers = ProducerState::default();
        }
        Ok(Self {
            dir,
            config,
            segments,
            log_start_offset,
            log_end_offset,
            // Recovery has synced what it kept.
            flush: Arc::new(FlushProgress::new(log_end_offset)),
            epochs,
            producers,
            recent: RecentBatches::default(),
            active_since_ms: context.now_ms,
            is_offline: false,
        })
    }

    /// The directory of the log.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Replaces the settings; they hold for what is appended and checked from now on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// Offset of the first record that can be read.
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// The offset after the last record.
    #[must_use]
    pub fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }

    /// Whether the disk has failed so that nothing can be appended any more. Reads go on.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Takes the log offline, as after a failed sync of its directory.
    pub fn set_offline(&mut self) {
        self.is_offline = true;
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.values().map(Segment::size).sum()
    }

    /// Number of segments, the active one included.
    #[cfg(test)]
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Base offset of the segment that is appended to.
    #[cfg(test)]
    pub(crate) fn active_base_offset(&self) -> i64 {
        self.active().base_offset()
    }

    /// The leader epochs of the log.
    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// The newest leader epoch that has a record.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest().map(|entry| entry.leader_epoch)
    }

    /// Where the greatest epoch at or below `leader_epoch` ends; `None` where nothing is known.
    #[must_use]
    pub fn end_offset_for_epoch(&self, leader_epoch: i32) -> Option<EpochEndOffset> {
        self.epochs.end_offset_for(leader_epoch, self.log_end_offset)
    }

    /// The producers that the log remembers.
    pub fn active_producers(&self) -> impl Iterator<Item = &ProducerEntry> {
        self.producers.producers()
    }

    /// First offset of the oldest transaction that is open, or whose marker lies at or above the
    /// high watermark.
    #[must_use]
    pub fn first_unstable_offset(&self, high_watermark: i64) -> Option<i64> {
        self.producers.first_unstable_offset(high_watermark)
    }

    /// Readers of committed data may read up to here: no open transaction lies below.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.first_unstable_offset(high_watermark)
            .map_or(high_watermark, |unstable| unstable.min(high_watermark))
    }

    /// Forgets what is only kept for transactions above the high watermark.
    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        self.producers.on_high_watermark(high_watermark);
    }

    /// Forgets producers that have been idle for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now_ms: i64) {
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
    }

    fn active(&self) -> &Segment {
        self.segments.last_key_value().expect("a log has an active segment").1
    }

    fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_entry().expect("a log has an active segment").into_mut()
    }

    /// Takes the log offline for a failure that leaves the disk's content uncertain, which a
    /// full disk does not.
    fn fail(&mut self, error: DiskError) -> DiskError {
        if error.is_disk_full() { error } else { self.fail_for_good(error) }
    }

    /// Takes the log offline. A failed sync is final whatever its cause: the pages it was to write
    /// may be gone.
    fn fail_for_good(&mut self, error: DiskError) -> DiskError {
        self.go_offline(&error);
        error
    }

    fn go_offline(&mut self, error: &dyn std::error::Error) {
        tracing::error!(dir = %self.dir.path().display(), %error, "log goes offline");
        self.is_offline = true;
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
