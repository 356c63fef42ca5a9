//! Both ends of replication at one partition: what a follower does with its log, and what a leader
//! notes of its followers. The rules are in `follower` and `leader`, the requests in `fetcher` and
//! `api/replica_fetch.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::{BatchHeader, LOG_OVERHEAD};
use flumen_storage::{AppendError, FlushPlan, MaintenanceError, PartitionLog};

use super::follower::{Answer, FetchPosition, Follower, Next, Step};
use super::leader::Leader;
use super::role::{Role, log_ends};
use super::{
    FOLLOWING, InSyncProposal, Partition, ProposalOutcome, ReplicaFetch, ReplicaFetchError,
    ReplicaWatch,
};
use crate::config::Durability;

/// Bytes at the end of a follower's log that stay in memory: what consumers who keep up with the log
/// read if this broker becomes its leader.
const CACHED_MAX: u64 = 4 << 20;

/// Why a follower could not do what its leader's answer means.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplicateError {
    /// The log refuses the records.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be cut off.
    #[error(transparent)]
    Log(#[from] MaintenanceError),
}

/// Where a follower is to cut its log off, once its recovery point lies below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) offset: i64,
    asked: FetchPosition,
    step: Step,
}

/// Following.
impl Partition {
    /// What there is to do; [`Next::Rest`] where it does not follow.
    pub(crate) fn next(&self, now: Duration) -> Next {
        let log = self.log.lock();
        if self.state.load(Ordering::Acquire) != FOLLOWING || log.is_offline() {
            return Next::Rest;
        }
        match &*self.role.lock() {
            Role::Follower(follower) => follower.next(&log_ends(&log), now),
            Role::Leader(_) => Next::Rest,
        }
    }

    /// The leader that is followed.
    pub(crate) fn followed(&self) -> Option<(i32, i32)> {
        match &*self.role.lock() {
            Role::Follower(follower) => Some((follower.leader()?, follower.leader_epoch())),
            Role::Leader(_) => None,
        }
    }

    /// Does what the leader's answer means, except for a cut, which is handed back.
    ///
    /// # Errors
    /// [`ReplicateError`]: the log is as it was, and the leader is asked again later.
    pub(crate) fn on_fetched(
        self: &Arc<Self>,
        asked: &FetchPosition,
        answer: Answer,
        records: Bytes,
        now_ms: i64,
    ) -> Result<Option<Cut>, ReplicateError> {
        let mut log = self.log.lock();
        if self.state.load(Ordering::Acquire) != FOLLOWING {
            return Ok(None);
        }
        let mut role = self.role.lock();
        let Some(follower) = role.follower_mut() else { return Ok(None) };
        match decide(follower, asked, answer, &log, self.data_dir.now()) {
            Step::Nothing => Ok(None),
            step @ Step::Truncate { end_offset: offset } => {
                Ok(Some(Cut { offset, asked: *asked, step }))
            }
            step @ Step::Restart { offset } => Ok(Some(Cut { offset, asked: *asked, step })),
            Step::Append { high_watermark, log_start_offset } => {
                let appended = append(&mut log, records, now_ms);
                let size = appended.inspect_err(|_| {
                    follower.on_failed(self.data_dir.now());
                    self.check_disk(&log);
                })?;
                let log_end_offset = log.log_end_offset();
                if size > 0 {
                    self.waiters.on_appended(log_end_offset, size);
                }
                let high_watermark = follower.on_appended(high_watermark, log_end_offset);
                let log_start_offset = log_start_offset.min(high_watermark);
                let is_later = log_start_offset > log.log_start_offset();
                if is_later && !is_planted(Bug::FollowersKeepTheDeleted) {
                    let advanced = log.advance_log_start_offset(log_start_offset);
                    advanced.inspect_err(|error| self.on_log_failed(&log, error))?;
                }
                let is_durable = follower.durability() == Durability::Fsync;
                self.publish(&role);
                drop(role);
                drop(log);
                if size > 0 && is_durable && !is_planted(Bug::FollowersTellTheUnsynced) {
                    self.sync_soon();
                }
                Ok(None)
            }
        }
    }

    /// Cuts the log off, if that is still what the leader's answer means. The caller has lowered the
    /// recovery point.
    ///
    /// # Errors
    /// [`ReplicateError`]: the leader is asked again later.
    pub(crate) fn cut(&self, cut: &Cut, now_ms: i64) -> Result<(), ReplicateError> {
        let mut log = self.log.lock();
        let mut role = self.role.lock();
        let Some(follower) = role.follower_mut() else { return Ok(()) };
        let is_current = self.state.load(Ordering::Acquire) == FOLLOWING
            && follower.is_current(&cut.asked, &log_ends(&log));
        if !is_current {
            return Ok(());
        }
        let (old_end, high_watermark) = (log.log_end_offset(), follower.high_watermark());
        let done = match cut.step {
            Step::Truncate { end_offset } => log.truncate_to(end_offset, now_ms),
            Step::Restart { offset } => log.restart_at(offset, now_ms),
            Step::Nothing | Step::Append { .. } => return Ok(()),
        };
        done.inspect_err(|error| self.on_log_failed(&log, error))?;
        let (topic, partition) = (&self.topic, self.index);
        let new_end = log.log_end_offset();
        tracing::info!(%topic, partition, old_end, new_end, "log cut off as its leader's history is another");
        if new_end < high_watermark && matches!(cut.step, Step::Truncate { .. }) {
            tracing::error!(%topic, partition, new_end, high_watermark, "committed records are lost");
        }
        follower.on_cut(&log_ends(&log));
        self.publish(&role);
        self.waiters.on_truncated(new_end);
        Ok(())
    }

    /// A follower's log is written and hardly ever read: the memory that caches it goes to logs which
    /// are, unless consumers read from this replica (KIP-392).
    pub(super) fn evict(&self, plan: &FlushPlan) {
        let is_copy = self.state.load(Ordering::Relaxed) == FOLLOWING
            && !self.is_read_from.load(Ordering::Relaxed);
        if is_copy {
            self.flush.evict(plan, CACHED_MAX);
        }
    }

    /// Resolves once everything that was appended so far is on disk, or never will be.
    pub(crate) fn synced(self: &Arc<Self>) -> Synced {
        self.sync_soon();
        let end_offset = self.log_end_offset();
        Synced { partition: Arc::clone(self), end_offset, registered: None }
    }
}

/// How the replicas of a partition that is led here stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplicationStatus {
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
    pub(crate) min_in_sync: usize,
    /// How many records the slowest replica lacks.
    pub(crate) lag_max: i64,
}

/// Leading.
impl Partition {
    /// How the replicas stand; `None` where this broker does not lead.
    pub(crate) fn replication(&self) -> Option<ReplicationStatus> {
        let role = self.role.lock();
        let leader = role.leader()?;
        let (in_sync, min_in_sync) = leader.in_sync_count();
        let (replicas, lag_max) = (leader.replica_count(), leader.lag_max());
        Some(ReplicationStatus { replicas, in_sync, min_in_sync, lag_max })
    }

    /// The follower from which a consumer is to read at `offset`: of those in sync that `is_near`
    /// the one that has most.
    pub(crate) fn nearest_replica(
        &self,
        offset: i64,
        is_near: impl Fn(i32) -> bool,
    ) -> Option<i32> {
        let role = self.role.lock();
        let near = role.leader()?.in_sync_beyond(offset).filter(|(id, _)| is_near(*id));
        near.max_by_key(|(_, end)| *end).map(|(id, _)| id)
    }

    /// Marks `place` of a follower's watch whenever there is something new to fetch.
    pub(crate) fn register_replica(&self, place: u32, watch: &Arc<ReplicaWatch>) {
        self.waiters.register_replica(place, watch);
    }

    pub(crate) fn forget_replica(&self, watch: &Arc<ReplicaWatch>) {
        self.waiters.forget_replica(watch);
    }

    /// Whether that follower may ask at all.
    ///
    /// # Errors
    /// `None` if this broker does not lead, else [`ReplicaFetchError`].
    pub(crate) fn check_replica(
        &self,
        fetch: &ReplicaFetch,
    ) -> Result<(), Option<ReplicaFetchError>> {
        let role = self.role.lock();
        let leader = role.leader().ok_or(None)?;
        leader.check_replica(fetch).map_err(Some)
    }

    /// Notes what a follower in `leader_epoch` has; says whether it should join the in-sync set.
    pub(crate) fn on_replica_fetch(&self, fetch: ReplicaFetch, leader_epoch: i32) -> bool {
        let mut role = self.role.lock();
        let is_of_now = |leader: &&mut Leader| {
            leader.leader_epoch() == leader_epoch || is_planted(Bug::FetchEpochsAreUnchecked)
        };
        let Some(leader) = role.leader_mut().filter(is_of_now) else {
            return false;
        };
        let noted = leader.on_fetch(fetch, self.data_dir.now());
        let may_join = noted.is_ok() && leader.may_join(fetch.replica_id);
        self.publish(&role);
        may_join
    }

    /// The in-sync set that should be proposed, see [`super::leader::Leader::propose`].
    pub(crate) fn propose(
        &self,
        lag_max: Duration,
        in_service: impl Fn(i32) -> Option<i64>,
    ) -> Option<InSyncProposal> {
        let mut role = self.role.lock();
        let proposal = role.leader_mut()?.propose(self.data_dir.now(), lag_max, in_service);
        self.publish(&role);
        proposal
    }

    /// Takes in what became of a proposal; gives the in-sync set before and after it if that is
    /// another now.
    pub(crate) fn on_proposed(
        &self,
        proposal: &InSyncProposal,
        outcome: ProposalOutcome,
    ) -> Option<(Vec<i32>, Vec<i32>)> {
        let mut role = self.role.lock();
        let leader = role.leader_mut()?;
        let before = leader.in_sync().to_vec();
        leader.on_proposed(proposal, outcome, self.data_dir.now());
        let after = leader.in_sync().to_vec();
        self.publish(&role);
        (before != after).then_some((before, after))
    }
}

fn decide(
    follower: &mut Follower,
    asked: &FetchPosition,
    answer: Answer,
    log: &PartitionLog,
    now: Duration,
) -> Step {
    let end_of_epoch = |epoch| log.end_offset_for_epoch(epoch);
    follower.on_answer(asked, answer, &log_ends(log), end_of_epoch, now)
}

fn append(log: &mut PartitionLog, records: Bytes, now_ms: i64) -> Result<usize, ReplicateError> {
    if records.is_empty() {
        return Ok(0);
    }
    // A log that was begun in the middle of a batch, where its leader's starts, gets all of it.
    let is_new = log.log_start_offset() == log.log_end_offset() && log.latest_epoch().is_none();
    if is_new
        && records.len() > LOG_OVERHEAD
        && let Ok(first) = BatchHeader::parse(&records)
        && (first.base_offset..=first.last_offset()).contains(&log.log_end_offset())
        && first.base_offset < log.log_end_offset()
    {
        log.restart_at(first.base_offset, now_ms)?;
    }
    Ok(log.append_as_follower(records, now_ms)?.size)
}

/// Resolves once a follower's log is on disk up to an offset, or its role has changed.
#[derive(Debug)]
pub(crate) struct Synced {
    partition: Arc<Partition>,
    end_offset: i64,
    registered: Option<u64>,
}

impl Synced {
    fn is_over(&self) -> bool {
        // What was cut off meanwhile is not waited for.
        let end_offset = self.end_offset.min(self.partition.log_end_offset());
        self.partition.flush.flushed_end_offset() >= end_offset
            || self.partition.state.load(Ordering::Acquire) != FOLLOWING
    }

    fn register(&mut self, waker: &Waker) {
        self.forget();
        let number = self.partition.waiters.register_flush(self.end_offset, waker.clone());
        self.registered = Some(number);
    }

    fn forget(&mut self) {
        if let Some(number) = self.registered.take() {
            self.partition.waiters.forget_flush(self.end_offset, number);
        }
    }
}

impl Future for Synced {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_over() {
            return Poll::Ready(());
        }
        self.register(cx.waker());
        // It may have been synced between looking and registering.
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Synced {
    fn drop(&mut self) {
        self.forget();
    }
}
