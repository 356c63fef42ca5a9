//! The partitions that this broker leads: their logs, their high watermarks, and who waits for them.
//!
//! [`Partition`] joins a log (`flumen-storage`), the rules of a leader (`leader`, pure) and those
//! who wait (`waiters`). [`Partitions`] holds them by name and id, and `reconcile` (pure) says what
//! must change when the cluster's metadata does. Tasks and timers are in `runtime`.
//!
//! Lock order: log, then leader, then waiters; the log's flush progress comes last and alone. No
//! lock is held across an await.
//!
//! **Invariant:** what a consumer is shown lies below the high watermark, and with
//! `durability=fsync` the high watermark lies at or below what is on disk.
//! **Absent on purpose:** Kafka's error codes, which are made in `api/error.rs`.

mod cleaner;
mod collector;
mod committed;
mod coordinator_log;
mod data_dir;
mod error;
mod leader;
mod reconcile;
mod registry;
pub(crate) mod runtime;
mod settings;
mod waiters;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use bytes::Bytes;
use flumen_protocol::Uuid;
use flumen_storage::group_commit::{Flush, FlushResult, Flushable, Registration};
use flumen_storage::{
    AbortedTransaction, AppendInfo, AppendOrigin, EpochEndOffset, FlushPlan, FlushProgress,
    LogConfig, MaintenanceError, PartitionLog, ReadResult, TimestampOffset, TimestampQuery,
};
use parking_lot::Mutex;

use self::leader::{Leader, Leadership};
use self::waiters::{FetchWatch, Waiters};
use crate::config::Durability;

pub(crate) use collector::PartitionCollector;
pub use committed::Committed;
pub(crate) use coordinator_log::PartitionCoordinatorLog;
pub use data_dir::DataDir;
pub(crate) use data_dir::LastShutdown;
pub use error::{AppendError, CommitError, EpochError, LookupError, ReadError, TrimError};
pub use registry::Partitions;
pub use runtime::Reconciled;
pub(crate) use waiters::FetchWatch as Watch;

/// Up to where a reader may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Everything below the oldest open transaction.
    ReadCommitted,
    /// All that is appended: for the broker itself, which knows what it does.
    Everything,
}

/// What a read found.
#[derive(Debug)]
pub struct PartitionRead {
    /// Whole batches, as ranges of files.
    pub plan: ReadResult,
    /// Everything below may be read.
    pub high_watermark: i64,
    /// Everything below is free of open transactions.
    pub last_stable_offset: i64,
    /// Where the log starts.
    pub log_start_offset: i64,
    /// For a reader of committed data: the transactions among the records that were aborted.
    pub aborted: Vec<AbortedTransaction>,
}

/// The ends of a log, for those who report them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Where the log starts.
    pub log_start_offset: i64,
    /// Where consumers' view of it ends.
    pub high_watermark: i64,
    /// Where it ends.
    pub log_end_offset: i64,
    /// Bytes of its segments.
    pub size: u64,
}

const SERVING: u8 = 0;
const CLOSED: u8 = 1;
const STORAGE_FAILED: u8 = 2;

/// A partition that this broker leads.
#[derive(Debug)]
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    log: Mutex<PartitionLog>,
    /// The log's own: syncs must not wait for the append that holds the log.
    flush: Arc<FlushProgress>,
    leader: Mutex<Leader>,
    /// A copy of the leader's, for those who only look.
    high_watermark: AtomicI64,
    state: AtomicU8,
    waiters: Waiters,
    data_dir: Arc<DataDir>,
    syncs: Registration,
}

impl Partition {
    pub(crate) fn new(
        (topic, topic_id, index): (Arc<str>, Uuid, i32),
        node_id: i32,
        leadership: Leadership,
        log: PartitionLog,
        data_dir: Arc<DataDir>,
    ) -> Self {
        let leader = Leader::new(node_id, leadership, log.log_end_offset());
        Self {
            topic,
            topic_id,
            index,
            high_watermark: AtomicI64::new(leader.high_watermark()),
            flush: Arc::clone(log.flush_progress()),
            log: Mutex::new(log),
            leader: Mutex::new(leader),
            state: AtomicU8::new(SERVING),
            waiters: Waiters::default(),
            syncs: data_dir.group_commit().register(),
            data_dir,
        }
    }

    /// The name of the topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The id of the topic.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The index within the topic.
    #[must_use]
    pub fn index(&self) -> i32 {
        self.index
    }

    /// Appends one or more whole batches: stage one of a produce request.
    ///
    /// Returns once the batches are written, not once they are durable: see [`Self::committed`].
    /// With `needs_all` the append is refused while too few replicas are in sync to acknowledge it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has been appended then.
    pub fn append(
        self: &Arc<Self>,
        records: Bytes,
        origin: AppendOrigin,
        needs_all: bool,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let mut log = self.log.lock();
        match self.state.load(Ordering::Acquire) {
            SERVING if self.data_dir.has_failed() => return Err(AppendError::StorageFailed),
            SERVING => {}
            STORAGE_FAILED => return Err(AppendError::StorageFailed),
            _ => return Err(AppendError::NotLeader),
        }
        let (leader_epoch, durability) = {
            let leader = self.leader.lock();
            let (in_sync, required) = leader.in_sync_count();
            if needs_all && in_sync < required {
                return Err(AppendError::NotEnoughReplicas { in_sync, required });
            }
            (leader.leader_epoch(), leader.durability())
        };
        let info = log.append_as_leader(records, leader_epoch, origin, now_ms)?;
        if info.duplicate {
            return Ok(info);
        }
        let log_end_offset = log.log_end_offset();
        self.waiters.on_appended(log_end_offset, info.size);
        let moved = self.leader.lock().on_appended(log_end_offset);
        drop(log);
        self.publish(moved);
        if durability == Durability::Fsync {
            self.sync_soon();
        }
        Ok(info)
    }

    /// Resolves once the high watermark has passed `last_offset`: stage two of a produce request.
    #[must_use]
    pub fn committed(self: &Arc<Self>, last_offset: i64) -> Committed {
        Committed::new(Arc::clone(self), last_offset + 1)
    }

    /// Resolves once everything appended so far can be read, if only this broker's disk is missing.
    ///
    /// A producer with `acks=1` is answered before the sync. With one replica Kafka shows at once
    /// what it has acknowledged, and clients count on it. `None` with several replicas in sync:
    /// there Kafka's high watermark comes later, too.
    #[must_use]
    pub fn unsynced(self: &Arc<Self>) -> Option<Committed> {
        let log_end_offset = self.log_end_offset();
        let (in_sync, _) = self.leader.lock().in_sync_count();
        let waits = in_sync == 1 && self.high_watermark() < log_end_offset;
        waits.then(|| Committed::new(Arc::clone(self), log_end_offset))
    }

    /// Plans a read of whole batches that hold `offset` and what follows, below what `isolation`
    /// allows. With `min_one_batch` the first batch is given whatever its size.
    ///
    /// # Errors
    /// [`ReadError`], among them an offset outside the log.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one_batch: bool,
        isolation: Isolation,
    ) -> Result<PartitionRead, ReadError> {
        let log = self.log.lock();
        if self.state.load(Ordering::Acquire) == CLOSED {
            return Err(ReadError::NotLeader);
        }
        let high_watermark = self.high_watermark();
        let last_stable_offset = log.last_stable_offset(high_watermark);
        let upper_bound = match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
            Isolation::Everything => log.log_end_offset(),
        };
        let read = log.read(offset, max_bytes, min_one_batch, upper_bound)?;
        let aborted = match isolation {
            Isolation::ReadCommitted if read.size > 0 => {
                log.aborted_transactions(offset, read.next_offset)?
            }
            _ => Vec::new(),
        };
        Ok(PartitionRead {
            plan: read,
            high_watermark,
            last_stable_offset,
            log_start_offset: log.log_start_offset(),
            aborted,
        })
    }

    /// The high watermark.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn log_end_offset(&self) -> i64 {
        self.log.lock().log_end_offset()
    }

    /// The offset of the first record.
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        self.log.lock().log_start_offset()
    }

    /// Up to where a reader of committed data may read.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.log.lock().last_stable_offset(self.high_watermark())
    }

    /// The end for readers of that isolation.
    #[must_use]
    pub fn readable_end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.last_stable_offset(),
            Isolation::Everything => self.log_end_offset(),
        }
    }

    /// The epoch of this leader.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.leader.lock().leader_epoch()
    }

    /// Compares the leader epoch that a client names with that of the leader; -1 names none.
    ///
    /// # Errors
    /// [`EpochError`] says which of the two is older.
    pub fn check_epoch(&self, requested: i32) -> Result<(), EpochError> {
        let current = self.leader_epoch();
        match requested {
            ..0 => Ok(()),
            _ if requested < current => Err(EpochError::Fenced { requested, current }),
            _ if requested > current => Err(EpochError::Unknown { requested, current }),
            _ => Ok(()),
        }
    }

    /// Looks an offset up by time or as an end of the log, as a reader of `isolation` may see it.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub fn offset_for(
        &self,
        query: TimestampQuery,
        isolation: Isolation,
    ) -> Result<TimestampOffset, ReadError> {
        let upper_bound = self.readable_end(isolation);
        Ok(self.log.lock().offset_for(query, upper_bound)?)
    }

    /// Where the greatest leader epoch at or below `leader_epoch` ends.
    ///
    /// The leader's own epoch counts as soon as it leads. The log learns of it with the first
    /// record, so until then it begins and ends at the end of the log.
    #[must_use]
    pub fn end_offset_for_epoch(&self, leader_epoch: i32) -> Option<EpochEndOffset> {
        let log = self.log.lock();
        let current = self.leader.lock().leader_epoch();
        log.end_offset_for_epoch(leader_epoch).or_else(|| {
            let end_offset = log.log_end_offset();
            let greatest = match leader_epoch == current {
                true => current,
                false => log.latest_epoch().unwrap_or(leader_epoch),
            };
            (0..=current)
                .contains(&leader_epoch)
                .then_some(EpochEndOffset { leader_epoch: greatest, end_offset })
        })
    }

    /// Runs `look` with the log, for reports that need more than its ends.
    pub(crate) fn with_log<T>(&self, look: impl FnOnce(&PartitionLog) -> T) -> T {
        look(&self.log.lock())
    }

    /// The ends and the size of the log.
    #[must_use]
    pub fn status(&self) -> PartitionStatus {
        let log = self.log.lock();
        PartitionStatus {
            log_start_offset: log.log_start_offset(),
            high_watermark: self.high_watermark(),
            log_end_offset: log.log_end_offset(),
            size: log.size(),
        }
    }

    /// Deletes the records below `offset`; -1 stands for the high watermark. Returns where the log
    /// starts now.
    ///
    /// # Errors
    /// [`TrimError`], among them an offset above the high watermark.
    pub fn delete_records_before(&self, offset: i64) -> Result<i64, TrimError> {
        let mut log = self.log.lock();
        if self.state.load(Ordering::Acquire) != SERVING {
            return Err(TrimError::NotLeader);
        }
        let high_watermark = self.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if !(0..=high_watermark).contains(&offset) {
            return Err(TrimError::OffsetOutOfRange { offset, high_watermark });
        }
        log.advance_log_start_offset(offset)?;
        Ok(log.log_start_offset())
    }

    /// Whether records may be deleted by hand. A topic that is only compacted keeps the last value
    /// of every key, which deleting a prefix would break; one without any policy promises nothing.
    #[must_use]
    pub fn lets_delete(&self) -> bool {
        let log = self.log.lock();
        log.config().delete || !log.config().compact
    }

    /// Whether it has stopped serving.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn register_fetch(&self, watch: &Arc<FetchWatch>) {
        self.waiters.register_fetch(watch);
    }

    pub(crate) fn forget_fetch(&self, watch: &Arc<FetchWatch>) {
        self.waiters.forget_fetch(watch);
    }

    /// Takes over changed settings and metadata of the same leader.
    pub(crate) fn reconfigure(self: &Arc<Self>, leadership: Leadership, config: Arc<LogConfig>) {
        let becomes_durable = leadership.durability == Durability::Fsync;
        let mut log = self.log.lock();
        log.set_config(config);
        let moved = self.leader.lock().on_changed(leadership);
        drop(log);
        self.publish(moved);
        if becomes_durable {
            self.sync_soon();
        }
    }

    /// Stops serving, as the partition has moved, was deleted, or the broker stops.
    pub(crate) fn close(&self) {
        let log = self.log.lock();
        if self.state.load(Ordering::Acquire) == SERVING {
            self.state.store(CLOSED, Ordering::Release);
        }
        drop(log);
        self.waiters.on_disrupted();
    }

    /// The log behind its lock, for compaction, which takes the lock again and again.
    pub(super) fn log(&self) -> &Mutex<PartitionLog> {
        &self.log
    }

    /// Runs `change` with the log, for maintenance.
    pub(crate) fn with_log_mut<T>(&self, change: impl FnOnce(&mut PartitionLog) -> T) -> T {
        change(&mut self.log.lock())
    }

    /// Flushes the log and makes the next start quick; nothing can be appended any more.
    pub(crate) fn shut_down(&self) -> Result<i64, MaintenanceError> {
        self.close();
        let mut log = self.log.lock();
        log.close()?;
        Ok(log.flushed_end_offset())
    }

    /// Has what was appended synced: at once if the disk is idle, else with the next round.
    fn sync_soon(self: &Arc<Self>) {
        self.syncs.mark_dirty(Arc::clone(self) as Arc<dyn Flushable>);
    }

    fn on_synced(&self, plan: &FlushPlan, result: FlushResult) {
        if result.is_err() {
            self.data_dir.fail();
            self.on_storage_failed();
            return;
        }
        self.on_flushed(self.flush.mark_flushed(plan));
    }

    /// Final: nothing is acknowledged any more. What is on disk for certain can be read.
    fn on_storage_failed(&self) {
        let mut log = self.log.lock();
        log.set_offline();
        self.state.store(STORAGE_FAILED, Ordering::Release);
        drop(log);
        self.waiters.on_disrupted();
    }

    fn on_flushed(&self, flushed_end_offset: i64) {
        let moved = self.leader.lock().on_flushed(flushed_end_offset);
        self.publish(moved);
    }

    fn publish(&self, moved: Option<i64>) {
        if let Some(high_watermark) = moved {
            // Two threads may publish in either order; the larger one stays.
            self.high_watermark.fetch_max(high_watermark, Ordering::AcqRel);
            self.waiters.on_committed(high_watermark);
        }
    }
}

impl Flushable for Partition {
    fn begin_flush(self: Arc<Self>) -> Option<Flush> {
        let Some(plan) = self.flush.plan() else {
            // Rolling a segment has synced it already.
            self.on_flushed(self.flush.flushed_end_offset());
            return None;
        };
        let files = vec![Arc::clone(&plan.file)];
        let done = Box::new(move |result| self.on_synced(&plan, result));
        Some(Flush { files, done })
    }
}

#[cfg(test)]
mod tests;
