//! The partitions that this broker has: their logs, their high watermarks, and who waits for them.
//!
//! [`Partition`] joins a log (`flumen-storage`), the rules of a leader and of a follower (`leader`
//! and `follower`, pure) and those who wait (`waiters`). `role` says when it is which, `replica` is
//! a follower's side of replication, `fetcher` the tasks that do it. [`Partitions`] holds them by
//! name and id, and `reconcile` (pure) says what must change when the cluster's metadata does. Tasks
//! and timers are in `runtime`.
//!
//! Lock order: recovery points or high watermarks on disk, log, role, waiters; the log's flush
//! progress comes last and alone. No lock is held across an await.
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
mod fetch_plan;
mod fetcher;
mod follower;
mod in_sync;
mod leader;
#[cfg(test)]
mod model;
mod opener;
mod proposer;
mod reconcile;
mod registry;
mod replica;
mod replica_watch;
mod role;
pub(crate) mod runtime;
mod settings;
mod throttle;
mod waiters;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use bytes::Bytes;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use flumen_storage::group_commit::{Flush, FlushResult, Flushable, Registration};
use flumen_storage::{
    AbortedTransaction, AppendInfo, AppendOrigin, EpochEndOffset, FlushPlan, FlushProgress,
    MaintenanceError, PartitionLog, ReadResult, TimestampOffset, TimestampQuery, VerifyError,
};
use parking_lot::Mutex;
use tracing::error;

use self::role::Role;
use self::throttle::Throttled;
use self::waiters::{FetchWatch, Waiters};
use crate::config::Durability;

pub(crate) use collector::PartitionCollector;
pub use committed::Committed;
pub(crate) use coordinator_log::PartitionCoordinatorLog;
pub use data_dir::DataDir;
pub use error::{AppendError, CommitError, EpochError, LookupError, ReadError, TrimError};
pub(crate) use fetcher::{Fetchers, ReplicaTransport};
pub(crate) use in_sync::{CaughtUp, InSyncChange, ProposeInSync, run_in_sync};
pub(crate) use leader::{InSyncProposal, ProposalOutcome, ReplicaFetch, ReplicaFetchError};
pub(crate) use proposer::Proposer;
pub use registry::Partitions;
pub(crate) use replica::ReplicationStatus;
pub(crate) use replica_watch::ReplicaWatch;
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

const LEADING: u8 = 0;
const FOLLOWING: u8 = 1;
const CLOSED: u8 = 2;
const STORAGE_FAILED: u8 = 3;

/// What was appended, and in which term: see [`Partition::committed`].
#[derive(Debug, Clone, Copy)]
pub struct Appended {
    /// What the log says of it.
    pub info: AppendInfo,
    /// The leader epoch it was appended in.
    pub leader_epoch: i32,
}

/// A partition of which this broker has a replica.
#[derive(Debug)]
pub struct Partition {
    topic: Arc<str>,
    topic_id: Uuid,
    index: i32,
    node_id: i32,
    log: Mutex<PartitionLog>,
    /// The log's own: syncs must not wait for the append that holds the log.
    flush: Arc<FlushProgress>,
    role: Mutex<Role>,
    /// A copy of the role's, for those who only look.
    high_watermark: AtomicI64,
    /// The leader epoch, likewise.
    term: AtomicI64,
    state: AtomicU8,
    /// Whether consumers have read from this replica since it follows its leader.
    is_read_from: AtomicBool,
    /// Whether the disk has damaged what is committed.
    is_damaged: AtomicBool,
    throttled: Throttled,
    waiters: Waiters,
    data_dir: Arc<DataDir>,
    syncs: Registration,
}

impl Partition {
    pub(crate) fn new(
        (topic, topic_id, index): (Arc<str>, Uuid, i32),
        node_id: i32,
        high_watermark: i64,
        log: PartitionLog,
        data_dir: Arc<DataDir>,
    ) -> Self {
        let high_watermark = high_watermark.clamp(log.log_start_offset(), log.log_end_offset());
        Self {
            topic,
            topic_id,
            index,
            node_id,
            high_watermark: AtomicI64::new(high_watermark),
            term: AtomicI64::new(-1),
            flush: Arc::clone(log.flush_progress()),
            log: Mutex::new(log),
            role: Mutex::new(Role::none(high_watermark)),
            state: AtomicU8::new(FOLLOWING),
            is_read_from: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            throttled: Throttled::default(),
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
    ) -> Result<Appended, AppendError> {
        self.append_in(None, records, origin, needs_all, now_ms)
    }

    /// Like [`Self::append`], but only in that leader epoch: for a coordinator, whose state is that
    /// of the log as this leader has found it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing has been appended then.
    pub(crate) fn append_in(
        self: &Arc<Self>,
        expected_epoch: Option<i32>,
        records: Bytes,
        origin: AppendOrigin,
        needs_all: bool,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let mut log = self.log.lock();
        match self.state.load(Ordering::Acquire) {
            LEADING if self.data_dir.has_failed() => return Err(AppendError::StorageFailed),
            LEADING => {}
            STORAGE_FAILED => return Err(AppendError::StorageFailed),
            _ => return Err(AppendError::NotLeader),
        }
        let (leader_epoch, durability) = {
            let role = self.role.lock();
            let leader = role.leader().ok_or(AppendError::NotLeader)?;
            let is_of_now = expected_epoch.is_none_or(|expected| expected == leader.leader_epoch());
            if !is_of_now {
                return Err(AppendError::NotLeader);
            }
            let (in_sync, required) = leader.in_sync_count();
            if needs_all && in_sync < required {
                return Err(AppendError::NotEnoughReplicas { in_sync, required });
            }
            (leader.leader_epoch(), leader.durability())
        };
        let appended = log.append_as_leader(records, leader_epoch, origin, now_ms);
        let info = appended.inspect_err(|_| self.check_disk(&log))?;
        if info.duplicate {
            return Ok(Appended { info, leader_epoch });
        }
        let log_end_offset = log.log_end_offset();
        self.waiters.on_appended(log_end_offset, info.size);
        let mut role = self.role.lock();
        if let Some(leader) = role.leader_mut() {
            leader.on_appended(log_end_offset, self.data_dir.now());
        }
        self.publish(&role);
        drop(role);
        drop(log);
        if durability == Durability::Fsync {
            self.sync_soon();
        }
        Ok(Appended { info, leader_epoch })
    }

    /// Resolves once the high watermark has passed `last_offset`: stage two of a produce request. It
    /// never does if the leader's epoch ends before.
    #[must_use]
    pub fn committed(self: &Arc<Self>, last_offset: i64, leader_epoch: i32) -> Committed {
        Committed::new(Arc::clone(self), last_offset + 1, leader_epoch)
    }

    /// Resolves once everything appended so far can be read, if only this broker's disk is missing.
    ///
    /// A producer with `acks=1` is answered before the sync. With one replica Kafka shows at once
    /// what it has acknowledged, and clients count on it. `None` with several replicas in sync:
    /// there Kafka's high watermark comes later, too.
    #[must_use]
    pub fn unsynced(self: &Arc<Self>) -> Option<Committed> {
        let log = self.log.lock();
        let role = self.role.lock();
        let leader = role.leader()?;
        let (in_sync, _) = leader.in_sync_count();
        let log_end_offset = log.log_end_offset();
        let waits = in_sync == 1 && leader.high_watermark() < log_end_offset;
        waits.then(|| Committed::new(Arc::clone(self), log_end_offset, leader.leader_epoch()))
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
        if isolation != Isolation::Everything {
            self.is_read_from.store(true, Ordering::Relaxed);
        }
        let high_watermark = self.high_watermark();
        let last_stable_offset = log.last_stable_offset(high_watermark);
        let upper_bound = match isolation {
            Isolation::ReadUncommitted if is_planted(Bug::UncommittedIsRead) => {
                log.log_end_offset()
            }
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
            Isolation::Everything => log.log_end_offset(),
        };
        let read = log.read(offset, max_bytes, min_one_batch, upper_bound);
        let read = read.inspect_err(|error| self.on_unreadable(error))?;
        let aborted = match isolation {
            Isolation::ReadCommitted if read.size > 0 => {
                let aborted = log.aborted_transactions(offset, read.next_offset);
                aborted.inspect_err(|error| self.on_unreadable(error))?
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

    /// The epoch of the leader, which may be another broker.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.role.lock().leader_epoch()
    }

    /// Whether a record counts as stored only when it is on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.role.lock().durability() == Durability::Fsync
    }

    /// Whether everything of earlier leaders is known to be committed here. Before that the high
    /// watermark may lie below what they have shown to consumers (R14).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.role.lock().leader().is_none_or(leader::Leader::is_settled)
    }

    /// Whether this broker leads the partition, as far as it knows.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.state.load(Ordering::Acquire) == LEADING
    }

    /// Whether another broker leads the partition, or nobody.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.state.load(Ordering::Acquire) == FOLLOWING
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
        let found = self.log.lock().offset_for(query, upper_bound);
        Ok(found.inspect_err(|error| self.on_unreadable(error))?)
    }

    /// Where the greatest leader epoch at or below `leader_epoch` ends.
    ///
    /// The leader's own epoch counts as soon as it leads. The log learns of it with the first
    /// record, so until then it begins and ends at the end of the log.
    #[must_use]
    pub fn end_offset_for_epoch(&self, leader_epoch: i32) -> Option<EpochEndOffset> {
        let log = self.log.lock();
        let current = self.role.lock().leader_epoch();
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
        if self.state.load(Ordering::Acquire) != LEADING {
            return Err(TrimError::NotLeader);
        }
        let high_watermark = self.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if !(0..=high_watermark).contains(&offset) {
            return Err(TrimError::OffsetOutOfRange { offset, high_watermark });
        }
        let advanced = log.advance_log_start_offset(offset);
        advanced.inspect_err(|error| self.on_log_failed(&log, error))?;
        self.waiters.on_log_start_moved();
        Ok(log.log_start_offset())
    }

    /// Below this offset no replica in service has anything any more; -1 if one of them has not said so
    /// to this leader, and `None` if this broker does not lead.
    pub fn low_watermark(&self, is_in_service: impl Fn(i32) -> bool) -> Option<i64> {
        let own = self.log_start_offset();
        let role = self.role.lock();
        Some(role.leader()?.low_watermark(own, is_in_service))
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

    /// Reads what `plan` gave and checks every batch of it, see [`ReadResult::warm`]. It blocks.
    ///
    /// Whatever is wrong is logged. What is committed never changes, so where that is damaged the
    /// disk is to blame, and the replica is better copied anew from the others. Above, a log may
    /// have been cut off meanwhile.
    pub(crate) fn check(&self, plan: &ReadResult) -> Result<(), VerifyError> {
        plan.warm().inspect_err(|error| {
            let (topic, partition) = (&self.topic, self.index);
            error!(%topic, partition, %error, "records cannot be read");
            let is_damage = matches!(error, VerifyError::Corrupt { .. });
            if is_damage && plan.next_offset <= self.high_watermark() {
                self.is_damaged.store(true, Ordering::Release);
            }
        })
    }

    /// Notes damage that a lookup came upon. It holds the lock of the log, which is not cut off meanwhile.
    fn on_unreadable(&self, error: &flumen_storage::ReadError) {
        if error.is_damage() {
            self.note_damage(error);
        }
    }

    fn note_damage(&self, error: &(dyn std::error::Error + 'static)) {
        if !self.is_damaged.swap(true, Ordering::AcqRel) {
            let (topic, partition) = (&self.topic, self.index);
            error!(%topic, partition, error, "the log is damaged");
        }
    }

    /// Whether the disk has damaged what is there.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Acquire)
    }

    /// Stops serving, as the partition has moved, was deleted, or the broker stops.
    pub(crate) fn close(&self) {
        let log = self.log.lock();
        if self.state.load(Ordering::Acquire) != STORAGE_FAILED {
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
        let mut log = self.log.lock();
        let changed = change(&mut log);
        self.check_disk(&log);
        changed
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
        self.flush.mark_flushed(plan);
        self.on_flushed();
        self.evict(plan);
    }

    /// To be called after whatever may have failed: a log that an error of the disk took offline stays
    /// so, and its replica would neither serve nor catch up for as long as the broker runs.
    fn on_log_failed(&self, log: &PartitionLog, error: &MaintenanceError) {
        if error.is_damage() {
            self.note_damage(error);
        }
        self.check_disk(log);
    }

    fn check_disk(&self, log: &PartitionLog) {
        if log.is_offline() && self.state.load(Ordering::Acquire) != CLOSED {
            self.data_dir.fail();
        }
    }

    /// Final: nothing is acknowledged any more. What is on disk for certain can be read.
    fn on_storage_failed(&self) {
        let mut log = self.log.lock();
        log.set_offline();
        self.state.store(STORAGE_FAILED, Ordering::Release);
        drop(log);
        self.waiters.on_disrupted();
    }

    fn on_flushed(&self) {
        let mut role = self.role.lock();
        // Looked at only now: since the sync the log may have been cut off, and be led here.
        let flushed_end_offset = self.flush.flushed_end_offset();
        if let Some(leader) = role.leader_mut() {
            leader.on_flushed(flushed_end_offset);
        }
        self.publish(&role);
        drop(role);
        self.waiters.on_flushed(flushed_end_offset);
    }

    /// Shows the high watermark of the role, whose lock is held, to everybody else.
    fn publish(&self, role: &Role) {
        let high_watermark = role.high_watermark();
        let shown = self.high_watermark.swap(high_watermark, Ordering::AcqRel);
        if shown < high_watermark {
            self.waiters.on_committed(high_watermark);
        }
    }
}

impl Flushable for Partition {
    fn begin_flush(self: Arc<Self>) -> Option<Flush> {
        let Some(plan) = self.flush.plan() else {
            // Rolling a segment has synced it already.
            self.on_flushed();
            return None;
        };
        let files = vec![Arc::clone(&plan.file)];
        let done = Box::new(move |result| self.on_synced(&plan, result));
        Some(Flush { files, done })
    }
}

#[cfg(test)]
mod tests;
