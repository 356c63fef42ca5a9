//! The task that proposes in-sync sets to the controller for all partitions that this broker leads.
//!
//! Whether and what is decided in `leader`; this module asks all leaders regularly, and at once where
//! a follower has caught up, and carries proposals and answers. What piles up while one request is out
//! goes with the next: however many partitions change, there is one request at a time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Clock};
use flumen_protocol::Uuid;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{InSyncProposal, Partition, Partitions, ProposalOutcome};
use crate::clock::within;
use crate::metrics::ReplicationCounters;

/// A partition and what is proposed for it.
#[derive(Debug, Clone)]
pub(crate) struct InSyncChange {
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) proposal: InSyncProposal,
}

/// The way to the controller.
pub(crate) trait ProposeInSync: Send + Sync + Debug {
    /// Sends proposals, and gives what became of each, in the same order. Where an answer is missing
    /// the outcome is unknown.
    fn propose(&self, changes: Vec<InSyncChange>) -> BoxFuture<'static, Vec<ProposalOutcome>>;

    /// The epoch of a broker that is in service and means to stay.
    fn in_service(&self, broker: i32) -> Option<i64>;
}

/// The partitions that are to be looked at before their time.
#[derive(Debug, Default)]
pub(crate) struct CaughtUp {
    partitions: Mutex<BTreeMap<(Uuid, i32), Arc<Partition>>>,
    is_there: Notify,
}

impl CaughtUp {
    /// A follower may be able to join.
    pub(crate) fn add(&self, partition: &Arc<Partition>) {
        let key = (partition.topic_id(), partition.index());
        self.partitions.lock().insert(key, Arc::clone(partition));
        self.is_there.notify_one();
    }

    fn take(&self) -> Vec<Arc<Partition>> {
        std::mem::take(&mut *self.partitions.lock()).into_values().collect()
    }
}

/// Keeps the in-sync sets as they should be, for as long as the broker runs.
pub(crate) async fn run_in_sync(
    partitions: Arc<Partitions>,
    caught_up: Arc<CaughtUp>,
    controller: Arc<dyn ProposeInSync>,
    counters: ReplicationCounters,
    clock: Arc<dyn Clock>,
    lag_max: Duration,
) {
    // A member is noticed to lag at most a fifth of that time late.
    let interval = lag_max / 5;
    let mut next_look = clock.monotonic() + interval;
    loop {
        let time = next_look.saturating_sub(clock.monotonic());
        within(time, caught_up.is_there.notified()).await;
        let mut looked_at = caught_up.take();
        if clock.monotonic() >= next_look {
            next_look = clock.monotonic() + interval;
            looked_at = partitions.all();
        }
        let proposed = looked_at.into_iter().filter_map(|partition| {
            let proposal = partition.propose(lag_max, |id| controller.in_service(id))?;
            Some((partition, proposal))
        });
        let proposed: Vec<_> = proposed.collect();
        if proposed.is_empty() {
            continue;
        }
        let changes = proposed.iter().map(|(partition, proposal)| {
            let (topic, index) = (partition.topic(), partition.index());
            let in_sync: Vec<i32> = proposal.in_sync.iter().map(|(id, _)| *id).collect();
            debug!(%topic, partition = index, ?in_sync, "another in-sync set is proposed");
            InSyncChange {
                topic_id: partition.topic_id(),
                index: partition.index(),
                proposal: proposal.clone(),
            }
        });
        let mut outcomes = controller.propose(changes.collect()).await.into_iter();
        for (partition, proposal) in &proposed {
            let outcome = outcomes.next().unwrap_or(ProposalOutcome::Unknown);
            if let Some((before, after)) = partition.on_proposed(proposal, outcome) {
                report(partition, &before, &after, &counters);
            }
        }
    }
}

/// Logs and counts that an in-sync set is another.
fn report(partition: &Partition, before: &[i32], after: &[i32], counters: &ReplicationCounters) {
    let (topic, index) = (partition.topic(), partition.index());
    let left: Vec<_> = before.iter().filter(|id| !after.contains(id)).collect();
    let joined: Vec<_> = after.iter().filter(|id| !before.contains(id)).collect();
    if !left.is_empty() {
        counters.on_shrink();
        warn!(%topic, partition = index, ?left, in_sync = ?after, "the in-sync set has shrunk");
    }
    if !joined.is_empty() {
        counters.on_expansion();
        info!(%topic, partition = index, ?joined, in_sync = ?after, "the in-sync set has grown");
    }
}
