//! Runs one [`Shard`] on its log: loads it, feeds it, appends and replays what it decides, and
//! releases answers when they are safe.
//!
//! A request runs on the caller's task, under a lock that is never held across an await. One task
//! per shard, the driver, does what no caller does: it loads, watches the high watermark for
//! events that follow a commit, and ticks.
//!
//! The life of a shard: loading, active, and, when an append was lost, loading again under the
//! next incarnation number. Whoever waits for an answer of a lost incarnation is told to find its
//! coordinator again, which leads back here.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{Clock, Seams};
use flumen_planted::{Bug, is_planted};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

use super::decision::{CoordinatorRecord, Effects, Now, Shard, Ticket};
use super::load::{LoadError, Loaded, replay_log};
use super::log::{CoordinatorLog, LogError};

/// The pauses between tries to load.
const LOAD_RETRY_MIN: Duration = Duration::from_millis(100);
const LOAD_RETRY_MAX: Duration = Duration::from_secs(10);

/// Why a coordinator cannot take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// Another broker coordinates this key, or this one has just stopped to.
    #[error("this broker is not the coordinator")]
    NotCoordinator,
    /// The coordinator's state is being read.
    #[error("the coordinator is loading")]
    LoadInProgress,
    /// The coordinator's log takes no records at the moment.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// What is to be stored exceeds the largest batch.
    #[error("the request is too large to be stored")]
    TooLarge,
}

impl From<LogError> for CoordinatorError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotLeader => Self::NotCoordinator,
            LogError::Unavailable => Self::NotAvailable,
            LogError::TooLarge => Self::TooLarge,
        }
    }
}

/// What the answer to a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For the request's own records; nothing if there are none.
    OwnRecords,
    /// For everything appended so far: what the answer tells was decided on records that might
    /// still be lost.
    AllRecords,
}

/// Runs one shard.
#[derive(Debug)]
pub struct ShardRuntime<S: Shard> {
    name: String,
    log: Arc<dyn CoordinatorLog>,
    seams: Seams,
    commit_timeout: Duration,
    state: Mutex<State<S>>,
    /// Rings when the driver has something new to wait for.
    wake: Notify,
}

#[derive(Debug)]
struct State<S: Shard> {
    incarnation: u64,
    phase: Phase<S>,
}

#[derive(Debug)]
enum Phase<S: Shard> {
    Loading,
    Active(Box<Active<S>>),
    Closed,
}

#[derive(Debug)]
struct Active<S: Shard> {
    shard: S,
    /// The last offset that was appended and replayed, -1 for an empty log.
    last_offset: i64,
    next_ticket: u64,
    tickets: BTreeMap<Ticket, oneshot::Sender<S::Reply>>,
    /// What follows the commit of an offset, in order of offsets.
    after_commit: VecDeque<AfterCommit<S>>,
}

#[derive(Debug)]
struct AfterCommit<S: Shard> {
    offset: i64,
    replies: Vec<(Ticket, S::Reply)>,
    events: Vec<S::Committed>,
}

/// What the driver waits for.
#[derive(Debug)]
struct Agenda {
    incarnation: u64,
    commit_offset: Option<i64>,
    deadline_ms: Option<i64>,
}

impl<S: Shard> ShardRuntime<S> {
    /// Starts to load a shard from `log`; `make` gives the shard before its first record.
    ///
    /// `commit_timeout` is how long an answer may wait for its records to be committed.
    pub fn start(
        name: String,
        log: Arc<dyn CoordinatorLog>,
        seams: Seams,
        commit_timeout: Duration,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Arc<Self> {
        let runtime = Arc::new(Self {
            name,
            log,
            seams,
            commit_timeout,
            state: Mutex::new(State { incarnation: 0, phase: Phase::Loading }),
            wake: Notify::new(),
        });
        let driver = Arc::clone(&runtime);
        let task = async move { driver.drive(make).await };
        drop(runtime.seams.spawn.spawn("coordinator", Box::pin(task)));
        runtime
    }

    /// Stops the shard: leadership went elsewhere, or the broker stops. Whoever waits is sent on.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.incarnation += 1;
        state.phase = Phase::Closed;
        drop(state);
        self.wake.notify_one();
    }

    /// Runs `rules` on the shard, and answers with their result once what they wrote is safe.
    pub async fn submit<R>(
        &self,
        wait: Wait,
        rules: impl FnOnce(&mut S, Now, &mut Effects<S::Reply, S::Committed>) -> R,
    ) -> Result<R, CoordinatorError> {
        let (result, incarnation, awaited) = {
            let mut state = self.state.lock();
            let incarnation = state.incarnation;
            let before = active(&mut state)?.last_offset;
            let result = self
                .turn(&mut state, |active, now, effects| rules(&mut active.shard, now, effects))?;
            let last_offset = active(&mut state)?.last_offset;
            let awaited = match wait {
                _ if is_planted(Bug::GroupRecordsAreNotAwaited) => false,
                Wait::OwnRecords => last_offset > before,
                Wait::AllRecords => last_offset >= 0,
            };
            (result, incarnation, awaited.then_some(last_offset))
        };
        if let Some(offset) = awaited {
            self.wait_committed(incarnation, offset).await?;
        }
        Ok(result)
    }

    /// Runs `rules`, which answer the ticket they are given now or in a later turn.
    pub async fn ask(
        &self,
        rules: impl FnOnce(&mut S, Now, Ticket, &mut Effects<S::Reply, S::Committed>),
    ) -> Result<S::Reply, CoordinatorError> {
        let answer = {
            let mut state = self.state.lock();
            let (ticket, answer) = active(&mut state)?.open_ticket();
            let turn = self.turn(&mut state, |active, now, effects| {
                rules(&mut active.shard, now, ticket, effects);
            });
            if let Err(error) = turn {
                active(&mut state)?.tickets.remove(&ticket);
                return Err(error);
            }
            answer
        };
        answer.await.map_err(|_closed| CoordinatorError::NotCoordinator)
    }

    /// Looks at the shard without changing it, whatever is committed.
    pub fn inspect<R>(&self, look: impl FnOnce(&S) -> R) -> Result<R, CoordinatorError> {
        let mut state = self.state.lock();
        Ok(look(&active(&mut state)?.shard))
    }

    /// Runs one event on the active shard and carries out its effects.
    ///
    /// An append that is refused leaves the log as it was, so nothing has to be undone but what
    /// waits for these records: they are told, everything else stands.
    fn turn<R>(
        &self,
        state: &mut State<S>,
        event: impl FnOnce(&mut Active<S>, Now, &mut Effects<S::Reply, S::Committed>) -> R,
    ) -> Result<R, CoordinatorError> {
        let active = active(state)?;
        let now = now(&*self.seams.clock);
        let deadline_before = active.shard.next_deadline_ms();
        let mut effects = Effects::default();
        let result = event(active, now, &mut effects);
        let refused = self.carry_out(active, now, effects);
        if is_earlier(active.shard.next_deadline_ms(), deadline_before) {
            self.wake.notify_one();
        }
        refused?;
        Ok(result)
    }

    fn carry_out(
        &self,
        active: &mut Active<S>,
        now: Now,
        effects: Effects<S::Reply, S::Committed>,
    ) -> Result<(), LogError> {
        let Effects { replies, records, committed_replies, on_committed } = effects;
        active.release(replies);
        if let Err(error) = self.append(active, now, &records) {
            warn!(shard = %self.name, error = %error, "coordinator could not append");
            for (ticket, _) in committed_replies {
                active.tickets.remove(&ticket);
            }
            let mut aftermath = Effects::default();
            for event in on_committed {
                active.shard.on_refused(now, event, &mut aftermath);
            }
            // What a refusal leads to writes nothing that anybody waits for.
            self.carry_out(active, now, aftermath).ok();
            return Err(error);
        }
        let committed_replies = if is_planted(Bug::GroupRecordsAreNotAwaited) {
            active.release(committed_replies);
            Vec::new()
        } else {
            committed_replies
        };
        if !committed_replies.is_empty() || !on_committed.is_empty() {
            active.after_commit.push_back(AfterCommit {
                offset: active.last_offset,
                replies: committed_replies,
                events: on_committed,
            });
            self.wake.notify_one();
        }
        Ok(())
    }

    fn append(
        &self,
        active: &mut Active<S>,
        now: Now,
        records: &[CoordinatorRecord],
    ) -> Result<(), LogError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for record in records {
            builder.append(now.wall_ms, Some(&record.key), record.value.as_deref(), &[]);
        }
        active.last_offset = self.log.append(builder.build())?;
        active.replay(records);
        Ok(())
    }

    /// Drops the incarnation, with everyone who waits for it.
    fn reload(&self, state: &mut State<S>) {
        state.incarnation += 1;
        state.phase = Phase::Loading;
        self.wake.notify_one();
    }

    async fn wait_committed(&self, incarnation: u64, offset: i64) -> Result<(), CoordinatorError> {
        let committed = tokio::time::timeout(self.commit_timeout, self.log.committed(offset));
        match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.on_lost(incarnation, error);
                Err(error.into())
            }
            // The records may yet be committed: the shard goes on, the client asks again.
            Err(_elapsed) => Err(CoordinatorError::NotAvailable),
        }
    }

    /// Records of an incarnation will never be committed.
    fn on_lost(&self, incarnation: u64, error: LogError) {
        let mut state = self.state.lock();
        if state.incarnation == incarnation && matches!(state.phase, Phase::Active(_)) {
            warn!(shard = %self.name, error = %error, "coordinator lost records and loads again");
            self.reload(&mut state);
        }
    }

    async fn drive(self: Arc<Self>, make: impl Fn() -> S + Send + Sync) {
        let mut retry = LOAD_RETRY_MIN;
        while !self.is_closed() {
            match self.load(make()).await {
                Ok(()) => retry = LOAD_RETRY_MIN,
                Err(failure) => {
                    error!(shard = %self.name, error = %failure, "coordinator could not load");
                    let pause = tokio::time::sleep(retry);
                    retry = (retry * 2).min(LOAD_RETRY_MAX);
                    tokio::select! { biased; () = self.wake.notified() => {}, () = pause => {} }
                    continue;
                }
            }
            while let Some(agenda) = self.agenda() {
                self.follow(agenda).await;
            }
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Closed)
    }

    /// Reads the whole log and replays it, then opens the shard for requests.
    async fn load(&self, mut shard: S) -> Result<(), LoadError> {
        let incarnation = self.state.lock().incarnation;
        let started = self.seams.clock.monotonic();
        let Loaded { next_offset, record_count } = replay_log(&*self.log, &mut shard).await?;
        let now = now(&*self.seams.clock);
        let mut effects = Effects::default();
        shard.on_loaded(now, &mut effects);
        let active = Active {
            shard,
            last_offset: next_offset - 1,
            next_ticket: 0,
            tickets: BTreeMap::new(),
            after_commit: VecDeque::new(),
        };
        let mut state = self.state.lock();
        if state.incarnation == incarnation {
            state.phase = Phase::Active(Box::new(active));
            let took_ms = self.seams.clock.monotonic().saturating_sub(started).as_millis();
            if record_count > 0 {
                info!(shard = %self.name, record_count, took_ms, "coordinator loaded");
            }
            // What is to be written at once goes through the usual path.
            self.turn(&mut state, |_, _, first| *first = effects).ok();
        }
        Ok(())
    }

    fn agenda(&self) -> Option<Agenda> {
        let state = self.state.lock();
        let Phase::Active(active) = &state.phase else { return None };
        Some(Agenda {
            incarnation: state.incarnation,
            commit_offset: active.after_commit.front().map(|next| next.offset),
            deadline_ms: active.shard.next_deadline_ms(),
        })
    }

    /// Waits for the next thing on the agenda and does it.
    async fn follow(&self, agenda: Agenda) {
        let committed = async {
            match agenda.commit_offset {
                Some(offset) => self.log.committed(offset).await.map(|()| offset),
                None => std::future::pending().await,
            }
        };
        let due = async {
            match agenda.deadline_ms {
                Some(deadline_ms) => tokio::time::sleep(self.until(deadline_ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            outcome = committed => match outcome {
                Ok(offset) => self.on_committed(agenda.incarnation, offset),
                Err(error) => self.on_lost(agenda.incarnation, error),
            },
            () = due => self.tick(agenda.incarnation),
            () = self.wake.notified() => {}
        }
    }

    fn until(&self, deadline_ms: i64) -> Duration {
        let left_ms = deadline_ms.saturating_sub(now(&*self.seams.clock).monotonic_ms);
        Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }

    fn on_committed(&self, incarnation: u64, offset: i64) {
        let mut state = self.state.lock();
        while state.incarnation == incarnation {
            let Phase::Active(active) = &mut state.phase else { return };
            if active.after_commit.front().is_none_or(|next| next.offset > offset) {
                return;
            }
            let Some(next) = active.after_commit.pop_front() else { return };
            active.release(next.replies);
            let turn = self.turn(&mut state, |active, now, effects| {
                for event in next.events {
                    active.shard.on_committed(now, event, effects);
                }
            });
            // A refused append has been reported and dealt with.
            turn.ok();
        }
    }

    fn tick(&self, incarnation: u64) {
        let mut state = self.state.lock();
        if state.incarnation == incarnation {
            // A refused append has been reported and dealt with.
            self.turn(&mut state, |active, now, effects| active.shard.on_tick(now, effects)).ok();
        }
    }
}

impl<S: Shard> Active<S> {
    fn open_ticket(&mut self) -> (Ticket, oneshot::Receiver<S::Reply>) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let (sender, answer) = oneshot::channel();
        self.tickets.insert(ticket, sender);
        (ticket, answer)
    }

    /// Replays what was just appended, up to the last offset.
    fn replay(&mut self, records: &[CoordinatorRecord]) {
        let count = i64::try_from(records.len()).expect("a batch holds fewer records");
        for (offset, record) in (self.last_offset + 1 - count..).zip(records) {
            self.shard.replay(offset, record).expect("a shard reads what it has just written");
        }
    }

    fn release(&mut self, replies: Vec<(Ticket, S::Reply)>) {
        for (ticket, reply) in replies {
            if let Some(sender) = self.tickets.remove(&ticket) {
                // Nobody listens any more if the client has gone: that is its right.
                sender.send(reply).ok();
            }
        }
    }
}

fn active<S: Shard>(state: &mut State<S>) -> Result<&mut Active<S>, CoordinatorError> {
    match &mut state.phase {
        Phase::Active(active) => Ok(active),
        Phase::Loading => Err(CoordinatorError::LoadInProgress),
        Phase::Closed => Err(CoordinatorError::NotCoordinator),
    }
}

fn now(clock: &dyn Clock) -> Now {
    let monotonic_ms = clock.monotonic().as_millis();
    Now {
        monotonic_ms: i64::try_from(monotonic_ms).expect("no process runs that long"),
        wall_ms: clock.wall_ms(),
    }
}

fn is_earlier(deadline_ms: Option<i64>, before_ms: Option<i64>) -> bool {
    deadline_ms.is_some_and(|deadline_ms| before_ms.is_none_or(|before| deadline_ms < before))
}
