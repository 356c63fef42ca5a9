//! The task that decides: one request after the other, on an image that is ahead of the log.
//!
//! A decision is made on the image with all earlier decisions applied, committed or not, so that two
//! requests in flight cannot both win the same name. Its records are appended, and its answer is given
//! once they are committed. When this broker stops leading, what it had decided and not committed may
//! be lost: the image it was ahead with is dropped, and the answers are errors.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Clock;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::balance::{balance_leaders, finish_undone};
use super::brokers::fence_broker;
use super::decision::{Decision, entries};
use super::image::{BrokerImage, MetadataImage};
use super::leaderships::{ElectionCounts, LeadershipChanges};
use super::quorum::{NotLeader, Pending, Quorum};
use super::records::MetadataRecord;
use super::sessions::BrokerSessions;
use super::standing::Standing;
use crate::clock::within;
use crate::config::BrokerConfig;

/// Requests that wait for the task; more wait in their connections.
pub(super) const QUEUE_SIZE: usize = 1024;

/// How often sessions are looked at: a fraction of the shortest that makes sense.
const TICK: Duration = Duration::from_millis(100);

/// How long the image may take to be up to date. A leader that cannot reach a majority would wait
/// for ever, and whoever asks it meanwhile, a broker that starts for one, would with it.
const BARRIER_TIME_MAX: Duration = Duration::from_secs(2);

/// How often missing leaders are looked for where leaders are not balanced.
const LOOK_INTERVAL: Duration = Duration::from_secs(300);

/// A request that needs a decision.
pub(super) trait Question: Send {
    /// Decides on `image`, and keeps the answer.
    fn decide(&mut self, image: &MetadataImage) -> Vec<MetadataRecord>;

    /// Gives the answer, or says that there is none.
    fn finish(self: Box<Self>, outcome: Result<(), NotLeader>);
}

/// A question made of a function.
pub(super) struct Asked<A, D> {
    decide: Option<D>,
    answer: Option<A>,
    reply: oneshot::Sender<Result<A, NotLeader>>,
}

impl<A, D> Asked<A, D> {
    pub(super) fn new(decide: D) -> (Self, oneshot::Receiver<Result<A, NotLeader>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { decide: Some(decide), answer: None, reply }, receiver)
    }
}

impl<A, D> Question for Asked<A, D>
where
    A: Send,
    D: FnOnce(&MetadataImage) -> Decision<A> + Send,
{
    fn decide(&mut self, image: &MetadataImage) -> Vec<MetadataRecord> {
        let decide = self.decide.take().expect("a question is decided once");
        let decision = decide(image);
        self.answer = Some(decision.answer);
        decision.records
    }

    fn finish(self: Box<Self>, outcome: Result<(), NotLeader>) {
        let Self { answer, reply, .. } = *self;
        // Whoever asked may have gone; what was decided holds all the same.
        drop(reply.send(outcome.and_then(|()| answer.ok_or(NotLeader))));
    }
}

/// When to take a snapshot.
#[derive(Debug, Clone, Copy)]
struct SnapshotRule {
    /// After so many bytes of log.
    bytes: u64,
    /// After so much time, if anything was written; 0 for never.
    interval_ms: i64,
}

/// The deciding task.
pub(super) struct Decider {
    quorum: Arc<Quorum>,
    clock: Arc<dyn Clock>,
    config: Arc<BrokerConfig>,
    sessions: Arc<Mutex<BrokerSessions>>,
    elections: Arc<ElectionCounts>,
    /// When leaders are looked at next.
    balance_at: Duration,
    /// The brokers that had been heard of at the last tick.
    heard: BTreeSet<i32>,
    snapshot_rule: SnapshotRule,
    snapshot_size: u64,
    snapshot_ms: i64,
    /// The image that was seen last while another broker led.
    followed: i64,
    ahead: Option<Ahead>,
    /// For each entry on its way, who waits for it, the oldest first.
    waiting: VecDeque<Vec<Box<dyn Question>>>,
}

/// The image with everything decided in one term applied.
struct Ahead {
    term: u64,
    image: MetadataImage,
}

impl Decider {
    pub(super) fn new(
        quorum: Arc<Quorum>,
        clock: Arc<dyn Clock>,
        config: Arc<BrokerConfig>,
        sessions: Arc<Mutex<BrokerSessions>>,
        elections: Arc<ElectionCounts>,
    ) -> Self {
        let snapshot_rule = SnapshotRule {
            bytes: config.replication.snapshot_bytes,
            interval_ms: config.replication.snapshot_interval_ms,
        };
        Self {
            config,
            sessions,
            elections,
            balance_at: Duration::ZERO,
            heard: BTreeSet::new(),
            snapshot_size: 0,
            snapshot_ms: clock.wall_ms(),
            followed: -1,
            quorum,
            clock,
            snapshot_rule,
            ahead: None,
            waiting: VecDeque::new(),
        }
    }

    /// Decides until nobody can ask any more.
    pub(super) async fn run(mut self, mut questions: mpsc::Receiver<Box<dyn Question>>) {
        let mut on_their_way = FuturesOrdered::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(outcome) = on_their_way.next() => self.on_outcome(outcome).await,
                _ = ticks.tick() => {
                    let pending = self.on_tick().await;
                    on_their_way.extend(pending.map(Pending::applied));
                }
                question = questions.recv() => {
                    let Some(question) = question else { return };
                    if let Some(pending) = self.on_question(question).await {
                        on_their_way.push_back(pending.applied());
                    }
                }
            }
        }
    }

    async fn on_question(&mut self, mut question: Box<dyn Question>) -> Option<Pending> {
        let Ok(ahead) = self.ahead().await else {
            question.finish(Err(NotLeader));
            return None;
        };
        let records = question.decide(&ahead.image);
        if records.is_empty() {
            // The answer may rest on what is not committed yet, so it waits for that.
            match self.waiting.back_mut() {
                Some(latest) => latest.push(question),
                None => question.finish(Ok(())),
            }
            return None;
        }
        match self.append(records).await {
            Ok(pending) => {
                self.waiting.push_back(vec![question]);
                Some(pending)
            }
            Err(error) => {
                question.finish(Err(error));
                None
            }
        }
    }

    /// Decides what time decides: which brokers are missed, and which leaders.
    async fn on_tick(&mut self) -> Option<Pending> {
        if self.quorum.leading_term().is_none() {
            self.on_following().await;
            return None;
        }
        self.ahead().await.ok()?;
        let now = self.clock.monotonic();
        let (overdue, heard) = {
            let mut sessions = self.sessions.lock();
            (sessions.overdue(now, TICK), sessions.heard(now))
        };
        let mut latest = None;
        for (broker_id, epoch) in overdue {
            let image = &self.ahead.as_ref()?.image;
            // Its own broker is in this process. What it has to say it may be unable to say now.
            let is_own = broker_id == self.config.node_id;
            let missed =
                |broker: &Arc<BrokerImage>| broker.epoch == epoch && !broker.fenced && !is_own;
            if image.broker(broker_id).is_some_and(missed) {
                info!(broker_id, epoch, "a broker is missed and goes out of service");
                let standing = Standing::new(image, &self.config).heard(&heard);
                let records = fence_broker(standing, broker_id, epoch).records;
                latest = Some(self.append(records).await.ok()?);
            }
        }
        let is_balance_due = now >= self.balance_at;
        if is_balance_due || !heard.is_subset(&self.heard) {
            let image = &self.ahead.as_ref()?.image;
            let records = self.look_at_leaders(image, &heard, is_balance_due);
            if !records.is_empty() {
                latest = Some(self.append(records).await.ok()?);
            }
        }
        if is_balance_due {
            let balance = self.config.replication.leader_balance;
            let interval = balance.map_or(LOOK_INTERVAL, |balance| balance.interval);
            self.balance_at = now + interval;
        }
        self.heard = heard;
        if latest.is_some() {
            self.waiting.push_back(Vec::new());
        }
        latest
    }

    fn look_at_leaders(
        &self,
        image: &MetadataImage,
        heard: &BTreeSet<i32>,
        is_balance_due: bool,
    ) -> Vec<MetadataRecord> {
        let standing = Standing::new(image, &self.config).heard(heard);
        let undone = finish_undone(&standing);
        match self.config.replication.leader_balance {
            // One thing after the other: the balance is looked at again.
            Some(balance) if is_balance_due && undone.is_empty() => {
                balance_leaders(&standing, balance.imbalance_percent_max)
            }
            _ => undone,
        }
    }

    /// Applies what was decided to the image ahead of the log, and sends it on its way.
    async fn append(&mut self, records: Vec<MetadataRecord>) -> Result<Pending, NotLeader> {
        let ahead = self.ahead.as_mut().ok_or(NotLeader)?;
        let term = ahead.term;
        let mut leaderships = LeadershipChanges::default();
        for record in &records {
            if let MetadataRecord::PartitionChange(change) = record {
                leaderships.add(&ahead.image, change);
            }
            ahead.image.replay(record).expect("a decision fits the image it was made on");
        }
        leaderships.report(&self.elections);
        let mut latest = Err(NotLeader);
        for entry in entries(records) {
            latest = self.quorum.append(term, entry).await;
            if latest.is_err() {
                self.ahead = None;
                break;
            }
        }
        latest
    }

    /// The image to decide on, if this broker leads.
    async fn ahead(&mut self) -> Result<&mut Ahead, NotLeader> {
        let term = self.quorum.leading_term().ok_or(NotLeader)?;
        if self.ahead.as_ref().is_none_or(|ahead| ahead.term != term) {
            let barrier = within(BARRIER_TIME_MAX, self.quorum.barrier(term));
            barrier.await.unwrap_or(Err(NotLeader))?;
            let image = MetadataImage::clone(&self.quorum.published().image());
            let mut sessions = self.sessions.lock();
            if !sessions.is_of(term) {
                let brokers = image.brokers().map(|broker| (broker.id, broker.epoch));
                let (now, silent) = (self.clock.monotonic(), self.quorum.silent_since());
                sessions.on_leading(term, now, brokers, silent);
                self.balance_at = Duration::ZERO;
            }
            drop(sessions);
            self.ahead = Some(Ahead { term, image });
        }
        self.ahead.as_mut().ok_or(NotLeader)
    }

    async fn on_outcome(&mut self, outcome: Result<(), NotLeader>) {
        if outcome.is_err() {
            self.ahead = None;
        }
        for question in self.waiting.pop_front().unwrap_or_default() {
            question.finish(outcome);
        }
        if outcome.is_ok() {
            self.snapshot_if_due().await;
        }
    }

    /// Whoever follows keeps its own log short as well.
    async fn on_following(&mut self) {
        let version = self.quorum.published().image().version();
        if version > self.followed {
            self.followed = version;
            self.snapshot_if_due().await;
        }
    }

    async fn snapshot_if_due(&mut self) {
        if self.is_snapshot_due() {
            self.snapshot_size = self.quorum.log_size();
            self.snapshot_ms = self.clock.wall_ms();
            self.quorum.begin_snapshot().await;
        }
    }

    fn is_snapshot_due(&mut self) -> bool {
        let size = self.quorum.log_size();
        // The snapshot before let go of the front of the log.
        self.snapshot_size = self.snapshot_size.min(size);
        let SnapshotRule { bytes, interval_ms } = self.snapshot_rule;
        let age_ms = self.clock.wall_ms().saturating_sub(self.snapshot_ms);
        size - self.snapshot_size >= bytes || (interval_ms > 0 && age_ms >= interval_ms)
    }
}
