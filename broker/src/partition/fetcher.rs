//! The tasks that copy partitions from their leaders: one for each broker that leads any.
//!
//! A round is one fetch for everything that is followed there: what comes is appended, all of it is
//! synced by one group commit, and the next round tells the leader so. Sessions keep rounds small
//! (`fetch_plan`): one in which nothing happens costs a long poll. What to ask and what answers
//! mean is decided in `follower`; this module carries it out.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Seams, TaskHandle};
use flumen_planted::{Bug, is_planted};
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{debug, error, warn};

use super::fetch_plan::{FetchPlan, Received, Round};
use super::replica::Cut;
use super::runtime::blocking;
use super::throttle::Throttles;
use super::{DataDir, Partition, Partitions};
use crate::clock::within;
use crate::metrics::ReplicationCounters;

/// The longest that a leader waits for something to send.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// An answer that does not come within this time after that is not waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(2500);

/// Between tries to reach a leader: a broker that starts is found soon.
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(200);

/// The way to other brokers.
pub(crate) trait ReplicaTransport: Send + Sync + Debug {
    /// Sends a fetch to the broker `leader`; `None` if it cannot be reached or does not answer in
    /// `time`. Fetches of different lanes do not wait for each other.
    fn fetch(
        &self,
        leader: i32,
        lane: u8,
        request: FetchRequest,
        time: Duration,
    ) -> BoxFuture<'static, Option<FetchResponse>>;
}

/// Everything that this broker follows.
#[derive(Debug)]
pub(crate) struct Fetchers {
    shared: Arc<Shared>,
    by_leader: Mutex<BTreeMap<i32, Fetcher>>,
}

#[derive(Debug)]
struct Shared {
    node_id: i32,
    /// The epoch that this start of the broker was given.
    broker_epoch: i64,
    transport: Arc<dyn ReplicaTransport>,
    data_dir: Arc<DataDir>,
    counters: ReplicationCounters,
    seams: Seams,
}

#[derive(Debug)]
struct Fetcher {
    inbox: Arc<Inbox>,
    task: TaskHandle,
}

/// A partition that is followed, and in which leader epoch.
type Followed = (Arc<Partition>, i32);

/// What a fetcher is to fetch from now on.
#[derive(Debug, Default)]
struct Inbox {
    assigned: Mutex<Assigned>,
    has_changed: Notify,
}

#[derive(Debug, Default)]
struct Assigned {
    followed: Vec<Followed>,
    is_new: bool,
}

impl Inbox {
    fn assign(&self, followed: Vec<Followed>) {
        let mut assigned = self.assigned.lock();
        if is_same(&assigned.followed, &followed) {
            return;
        }
        *assigned = Assigned { followed, is_new: true };
        drop(assigned);
        self.has_changed.notify_one();
    }

    fn take_new(&self) -> Option<Vec<Arc<Partition>>> {
        let mut assigned = self.assigned.lock();
        let is_new = std::mem::take(&mut assigned.is_new);
        is_new
            .then(|| assigned.followed.iter().map(|(partition, _)| Arc::clone(partition)).collect())
    }
}

fn is_same(before: &[Followed], after: &[Followed]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| Arc::ptr_eq(&before.0, &after.0) && before.1 == after.1)
}

impl Fetchers {
    pub(crate) fn new(
        node_id: i32,
        broker_epoch: i64,
        transport: Arc<dyn ReplicaTransport>,
        data_dir: Arc<DataDir>,
        counters: ReplicationCounters,
        seams: Seams,
    ) -> Self {
        let shared = Shared { node_id, broker_epoch, transport, data_dir, counters, seams };
        Self { shared: Arc::new(shared), by_leader: Mutex::default() }
    }

    /// Follows whom the partitions say. To be called whenever they have changed.
    pub(crate) fn assign(&self, partitions: &Partitions) {
        let mut followed: BTreeMap<i32, Vec<Followed>> = BTreeMap::new();
        for partition in partitions.all() {
            if let Some((leader, leader_epoch)) = partition.followed() {
                followed.entry(leader).or_default().push((partition, leader_epoch));
            }
        }
        let mut by_leader = self.by_leader.lock();
        by_leader.retain(|leader, fetcher| {
            let is_needed = followed.contains_key(leader);
            if !is_needed {
                fetcher.task.abort();
            }
            is_needed
        });
        for (leader, followed) in followed {
            let fetcher = by_leader
                .entry(leader)
                .or_insert_with(|| self.start(leader, Arc::clone(partitions.throttles())));
            fetcher.inbox.assign(followed);
        }
    }

    /// Ends all fetching.
    pub(crate) fn stop(&self) {
        for fetcher in std::mem::take(&mut *self.by_leader.lock()).into_values() {
            fetcher.task.abort();
        }
    }

    fn start(&self, leader: i32, throttles: Arc<Throttles>) -> Fetcher {
        let inbox = Arc::new(Inbox::default());
        let rounds = Rounds {
            leader,
            inbox: Arc::clone(&inbox),
            shared: Arc::clone(&self.shared),
            throttles,
            plan: FetchPlan::new(Vec::new()),
            lane: 0,
            retry_after: RETRY_MIN,
        };
        let task = self.shared.seams.spawn.spawn("fetcher", Box::pin(rounds.run()));
        Fetcher { inbox, task }
    }
}

impl Drop for Fetchers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fetching from one leader, round after round.
struct Rounds {
    leader: i32,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    throttles: Arc<Throttles>,
    plan: FetchPlan,
    lane: u8,
    retry_after: Duration,
}

impl Rounds {
    async fn run(mut self) {
        loop {
            if let Some(partitions) = self.inbox.take_new() {
                self.plan = FetchPlan::new(partitions);
                self.retry_after = RETRY_MIN;
                // The leader may be waiting to answer what was asked before, and answers of one
                // connection come in order.
                self.lane ^= 1;
            }
            let now = self.shared.seams.clock.monotonic();
            match self.plan.next(now, self.throttles.follower.held_until(now)) {
                Round::Rest => self.inbox.has_changed.notified().await,
                Round::Wait(until) => {
                    within(until.saturating_sub(now), self.inbox.has_changed.notified()).await;
                }
                Round::Sync(partitions) => sync(&partitions).await,
                Round::Fetch(request) => self.fetch(request, now).await,
            }
        }
    }

    async fn fetch(&mut self, request: FetchRequest, now: Duration) {
        let Shared { node_id, broker_epoch, transport, .. } = &*self.shared;
        let mut request = request;
        request.replica_state.replica_id = *node_id;
        request.replica_state.replica_epoch = *broker_epoch;
        // Not for longer than others have to wait until they are asked for.
        let wait = self.plan.waits_until().map_or(WAIT_MAX, |until| until.saturating_sub(now));
        let wait_ms = wait.min(WAIT_MAX).as_micros().div_ceil(1000);
        request.max_wait_ms = i32::try_from(wait_ms).expect("half a second");
        let answered = transport.fetch(self.leader, self.lane, request, WAIT_MAX + ANSWER_TIME_MAX);
        let response = tokio::select! {
            biased;
            () = self.inbox.has_changed.notified() => {
                // What was sent is not known to have arrived.
                self.plan.on_failed();
                return;
            }
            response = answered => response,
        };
        let received = response.and_then(|response| self.plan.on_response(response));
        match received {
            Some(received) => {
                self.retry_after = RETRY_MIN;
                self.take_in(received).await;
            }
            None => {
                self.shared.counters.on_fetch_failure();
                debug!(leader = self.leader, "the leader does not answer, followers try again");
                self.plan.on_failed();
                within(self.retry_after, self.inbox.has_changed.notified()).await;
                self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
            }
        }
    }

    /// Does what the answers mean, and waits until it is on disk.
    async fn take_in(&self, received: Vec<Received>) {
        let now_ms = self.shared.seams.clock.wall_ms();
        let (mut appended, mut cuts) = (Vec::new(), Vec::new());
        let mut throttled = 0;
        for Received { partition, asked, answer, records } in received {
            let (size, has_records) = (records.len(), !records.is_empty());
            if partition.is_throttled() {
                throttled += size;
            }
            match partition.on_fetched(&asked, answer, records, now_ms) {
                Ok(None) if has_records => {
                    self.shared.counters.on_copied(size);
                    appended.push(partition);
                }
                Ok(None) => {}
                Ok(Some(cut)) => cuts.push((partition, cut)),
                Err(error) => {
                    let (topic, index) = (partition.topic(), partition.index());
                    warn!(%topic, partition = index, %error, "cannot take in what the leader sends");
                }
            }
        }
        self.throttles.follower.on_copied(throttled, self.shared.seams.clock.monotonic());
        self.shared.counters.on_throttled_copied(throttled);
        if !cuts.is_empty() {
            self.cut(cuts, now_ms).await;
        }
        let is_durable = |partition: &Arc<Partition>| {
            partition.is_durable() && !is_planted(Bug::FollowersTellTheUnsynced)
        };
        appended.retain(is_durable);
        sync(&appended).await;
    }

    /// Cuts logs off where they have left their leaders', their recovery points first.
    async fn cut(&self, cuts: Vec<(Arc<Partition>, Cut)>, now_ms: i64) {
        let data_dir = Arc::clone(&self.shared.data_dir);
        let work = move || {
            let offsets = cuts.iter().map(|(partition, cut)| {
                ((partition.topic().to_string(), partition.index()), cut.offset)
            });
            let done = data_dir.below(offsets, || {
                for (partition, cut) in &cuts {
                    if let Err(error) = partition.cut(cut, now_ms) {
                        let (topic, index) = (partition.topic(), partition.index());
                        warn!(%topic, partition = index, %error, "the log was not cut off");
                    }
                }
            });
            if let Err(error) = done {
                warn!(%error, "logs that have left their leaders' were not cut off");
            }
        };
        if blocking(&*self.shared.seams.spawn, work).await.is_none() {
            error!("cutting logs off ended in a failed assertion");
        }
    }
}

/// Waits until all that these partitions have is on disk: one sync for all of them.
async fn sync(partitions: &[Arc<Partition>]) {
    let syncs: Vec<_> = partitions.iter().map(Partition::synced).collect();
    for synced in syncs {
        synced.await;
    }
}
