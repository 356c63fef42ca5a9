//! The task that keeps a consumer in its group, and commits in the background.
//!
//! Does what `membership` says: sends its requests, tells it the answers, moves partitions in and
//! out. Joining has a connection of its own, since a coordinator answers a join only when all
//! members have come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::cluster::{Cluster, Topics};
use flumen_client::connection::Call;
use flumen_client::retry::Backoff;
use flumen_client::{Connections, Error as ClientError};
use flumen_protocol::{ErrorCode, Request};
use tracing::{debug, info, warn};

use crate::error::Error;
use crate::handle::ConsumerHandle;
use crate::listener::RebalanceListener;
use crate::membership::{Identity, Membership, Step, Verdict, leave_request};
use crate::shared::Shared;

/// What a coordinator may need for an answer beyond the time members have to come.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// How long saying goodbye may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until the consumer is closed.
pub(crate) async fn run(shared: Arc<Shared>, group: String) {
    let config = &shared.config;
    let membership = Membership::new(Identity {
        group: group.clone(),
        instance_id: config.group_instance_id.clone(),
        session_timeout: config.session_timeout,
        rebalance_timeout: config.max_poll_interval,
        heartbeat_interval: config.heartbeat_interval,
        assignors: config.assignors.clone(),
    });
    let now = shared.now();
    let mut keeper = Keeper {
        connections: shared.client.open_connections(1),
        backoff: Backoff::new(shared.client.config().retry_backoff),
        next_commit: now + config.auto_commit_interval,
        next_count: now,
        is_absent: false,
        topics: Vec::new(),
        shared: Arc::clone(&shared),
        group,
        membership,
    };
    while !shared.is_closed() {
        keeper.step().await;
    }
    keeper.give_up(false).await;
    keeper.leave("the consumer is closed").await;
}

struct Keeper {
    shared: Arc<Shared>,
    group: String,
    connections: Arc<Connections>,
    membership: Membership,
    backoff: Backoff,
    next_commit: Duration,
    /// When the leader of the group counts partitions again.
    next_count: Duration,
    /// Whether it left because the program did not ask for records.
    is_absent: bool,
    topics: Vec<String>,
}

impl Keeper {
    async fn step(&mut self) {
        let (wanted, refused) = {
            let mut state = self.shared.group.lock();
            (state.wanted.take(), state.refused.take())
        };
        if let Some((member_id, generation)) = refused {
            self.membership.on_commit_refused(&member_id, generation);
        }
        if let Some(topics) = wanted {
            self.topics.clone_from(&topics);
            self.membership.subscribe(topics);
        }
        self.watch_program().await;
        let now = self.shared.now();
        match self.membership.next(now) {
            Step::Rest => {
                if self.membership.is_known() {
                    self.leave("unsubscribed").await;
                }
                if now >= self.next_commit {
                    self.commit_in_background().await;
                }
                self.wait(None).await;
            }
            Step::Wait(until) => {
                if now >= self.next_commit {
                    self.commit_in_background().await;
                } else if !self.has_other_partitions(now).await {
                    self.wait(Some(until)).await;
                }
            }
            Step::Join(request) => {
                let timeout = self.shared.config.max_poll_interval + JOIN_GRACE;
                let answer = self.ask(&request, timeout).await;
                self.judge(answer, Membership::on_joined).await;
            }
            Step::Count(topics) => self.count(topics).await,
            Step::Sync(request) => {
                let timeout = self.shared.config.max_poll_interval + JOIN_GRACE;
                let answer = self.ask(&request, timeout).await;
                self.judge(answer, Membership::on_synced).await;
            }
            Step::TakeUp(partitions) => {
                info!(group = %self.group, count = partitions.len(), "partitions assigned");
                self.publish();
                self.shared.hold(true);
                self.shared.assign(partitions.clone());
                if let Some(listener) = self.listener() {
                    listener.assigned(&self.handle(), &partitions).await;
                }
                self.shared.hold(false);
                self.membership.on_taken_up(self.shared.now());
            }
            Step::Heartbeat(request) => {
                let timeout = self.shared.config.session_timeout;
                let answer = self.ask(&request, timeout).await;
                let now = self.shared.now();
                self.judge(answer, |membership, response| {
                    membership.on_heartbeat(now, ErrorCode::from_code(response.error_code))
                })
                .await;
            }
            Step::GiveUp { is_lost } => {
                self.shared.hold(true);
                let is_lost = is_lost || self.wait_for_program().await;
                self.give_up(is_lost).await;
                self.shared.hold(false);
                self.membership.on_given_up();
            }
            Step::Fail(code) => {
                self.give_up(true).await;
                let group = self.group.clone();
                self.shared.report(Error::Group { group, code });
                while !self.shared.is_closed() && self.shared.group.lock().wanted.is_none() {
                    self.shared.group_wake.notified().await;
                }
            }
        }
        self.publish();
    }

    /// Waits until then, for news, or until something else is due.
    async fn wait(&self, until: Option<Duration>) {
        let now = self.shared.now();
        let commit = self.shared.config.auto_commit.then_some(self.next_commit);
        let absent =
            self.shared.idle_since().map(|since| since + self.shared.config.max_poll_interval);
        let times = [until, commit.filter(|at| *at > now), absent.filter(|at| *at > now)];
        let until = times.into_iter().flatten().min();
        let pause =
            until.map_or(self.shared.config.heartbeat_interval, |at| at.saturating_sub(now));
        tokio::select! {
            biased;
            () = self.shared.group_wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Leaves the group while the program does not ask for records, and comes back when it does.
    async fn watch_program(&mut self) {
        let idle_since = self.shared.idle_since();
        let limit = self.shared.config.max_poll_interval;
        let is_idle = idle_since.is_some_and(|since| since + limit <= self.shared.now());
        if is_idle && self.membership.is_stable() {
            warn!(
                group = %self.group,
                limit_ms = limit.as_millis(),
                "no records were asked for within max.poll.interval.ms; leaving the group"
            );
            self.give_up(true).await;
            self.leave("no records were asked for within max.poll.interval.ms").await;
            self.is_absent = true;
        } else if self.is_absent && !is_idle {
            self.is_absent = false;
            self.membership.rejoin("the program asks for records again");
        }
    }

    /// Sends a request to the coordinator; gives up waiting when the consumer is closed.
    async fn ask<R: Request + Sync>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Option<Result<R::Response, ClientError>> {
        let asking = async {
            let coordinator = self.shared.coordinator(&self.group).await?;
            let connection = self.connections.to(coordinator, &self.shared.client.cluster())?;
            Ok(connection.send(request, Call::timeout(timeout)).await?)
        };
        let closing = async {
            while !self.shared.is_closed() {
                self.shared.group_wake.notified().await;
            }
        };
        tokio::select! {
            biased;
            answer = asking => Some(answer),
            () = closing => None,
        }
    }

    /// Tells the membership an answer, and does to the connection what that means.
    async fn judge<T>(
        &mut self,
        answer: Option<Result<T, ClientError>>,
        tell: impl FnOnce(&mut Membership, T) -> Verdict,
    ) {
        let verdict = match answer {
            // Closed while waiting.
            None => return,
            Some(Ok(answer)) => tell(&mut self.membership, answer),
            Some(Err(error)) => {
                debug!(group = %self.group, %error, "the coordinator did not answer");
                if error.is_fatal() {
                    self.shared.report(error.into());
                }
                Verdict::FindCoordinator
            }
        };
        if verdict == Verdict::Go {
            return self.backoff.reset();
        }
        if verdict == Verdict::FindCoordinator {
            self.shared.forget_coordinator();
        }
        let pause = self.backoff.next(&*self.shared.client.seams().rng);
        tokio::time::sleep(pause).await;
    }

    /// Counts the partitions of the members' topics, being the leader.
    async fn count(&mut self, topics: Vec<String>) {
        match self.shared.client.refresh(Topics::Named(topics.clone())).await {
            Ok(cluster) => {
                self.next_count = self.shared.now() + self.shared.client.config().metadata_max_age;
                self.membership.on_partition_counts(counts(&cluster, topics.iter()));
            }
            Err(error) => {
                warn!(group = %self.group, %error, "the leader cannot count partitions yet");
                let pause = self.backoff.next(&*self.shared.client.seams().rng);
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Notices, being the leader, that topics have other partitions than were spread.
    async fn has_other_partitions(&mut self, now: Duration) -> bool {
        let Some(counted) = self.membership.counted() else { return false };
        let topics: Vec<String> = counted.keys().chain(&self.topics).cloned().collect();
        let mut cluster = self.shared.client.cluster();
        if now >= self.next_count {
            self.next_count = now + self.shared.client.config().metadata_max_age;
            match self.shared.client.refresh(Topics::Named(topics.clone())).await {
                Ok(refreshed) => cluster = refreshed,
                Err(error) => debug!(%error, "partitions could not be counted"),
            }
        }
        let current = counts(&cluster, topics.iter());
        // A topic that is not known now may just not have been asked for.
        let has_changed = current.iter().any(|(topic, count)| counted.get(topic) != Some(count));
        if has_changed {
            self.membership.rejoin("topics have other partitions");
        }
        has_changed
    }

    /// Waits until the program asks for records, having processed those it was given; says whether
    /// the partitions were lost meanwhile.
    ///
    /// Otherwise the records it is working on would count as not processed, and be read again by
    /// the partition's next owner. The caller holds records back, so the wait ends with the next
    /// call for one; the group waits as long as `max.poll.interval.ms` allows.
    async fn wait_for_program(&self) -> bool {
        let until = self.shared.now() + self.shared.config.max_poll_interval;
        while !self.shared.has_asked() && self.shared.now() < until {
            let is_leaving = self.topics.is_empty()
                || self.shared.is_closed()
                || self.shared.group.lock().wanted.as_ref().is_some_and(Vec::is_empty);
            if is_leaving {
                return false;
            }
            tokio::select! {
                biased;
                () = self.shared.group_wake.notified() => continue,
                () = tokio::time::sleep(self.shared.config.heartbeat_interval) => {}
            }
            let heartbeat = self.membership.heartbeat_request();
            let answer = self.ask(&heartbeat, self.shared.config.session_timeout).await;
            if let Some(Ok(answer)) = answer {
                let code = ErrorCode::from_code(answer.error_code);
                if matches!(code, ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) {
                    return true;
                }
            }
        }
        false
    }

    /// Gives up all partitions; what was processed is committed first, if it still can be.
    async fn give_up(&mut self, is_lost: bool) {
        let partitions = self.shared.subscription.lock().assigned();
        let is_member = !self.topics.is_empty();
        if partitions.is_empty() || !is_member {
            return self.commit_at_end(is_member && is_lost).await;
        }
        info!(group = %self.group, count = partitions.len(), is_lost, "partitions given up");
        self.shared.hold(true);
        self.commit_at_end(is_lost).await;
        if let Some(listener) = self.listener() {
            let handle = self.handle();
            if is_lost {
                listener.lost(&handle, &partitions).await;
            } else {
                listener.revoked(&handle, &partitions).await;
            }
        }
        self.shared.assign(Vec::new());
        self.shared.hold(false);
    }

    async fn commit_at_end(&mut self, is_lost: bool) {
        if self.shared.config.auto_commit && !is_lost {
            self.commit_in_background().await;
        }
    }

    /// Commits what was processed. A failure is no more than a delay: the next time tells.
    async fn commit_in_background(&mut self) {
        self.next_commit = self.shared.now() + self.shared.config.auto_commit_interval;
        if !self.shared.config.auto_commit {
            return;
        }
        let offsets = self.shared.offsets.lock().uncommitted();
        let patience = self.shared.config.session_timeout / 3;
        let commit = self.shared.commit_now(&offsets);
        match tokio::time::timeout(patience, commit).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(group = %self.group, %error, "offsets were not committed"),
            Err(_elapsed) => warn!(group = %self.group, "offsets were not committed in time"),
        }
    }

    /// Tells the coordinator, if it can be reached, that the member goes.
    async fn leave(&mut self, reason: &str) {
        let leaving = self.membership.leave();
        self.publish();
        let Some(member_id) = leaving else { return };
        let goodbye = async {
            let coordinator = self.shared.coordinator(&self.group).await?;
            let connection = self.shared.client.connection_to(coordinator)?;
            let build = |version| leave_request(&self.group, &member_id, reason, version);
            connection.send_with(Call::default(), build).await?;
            Ok::<(), ClientError>(())
        };
        if let Ok(Err(error)) = tokio::time::timeout(LEAVE_TIMEOUT, goodbye).await {
            debug!(group = %self.group, %error, "the coordinator was not told of the leave");
        }
    }

    /// Makes member id and generation known to those who commit.
    fn publish(&self) {
        let (member_id, generation) = self.membership.credentials();
        let mut state = self.shared.group.lock();
        state.member_id = member_id;
        state.generation = generation;
    }

    fn listener(&self) -> Option<Arc<dyn RebalanceListener>> {
        self.shared.group.lock().listener.clone()
    }

    fn handle(&self) -> ConsumerHandle {
        ConsumerHandle::new(Arc::clone(&self.shared))
    }
}

/// How many partitions topics have; those that do not exist are left out.
fn counts<'a>(
    cluster: &Cluster,
    topics: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, i32> {
    let known = topics.filter_map(|name| {
        let count = cluster.topic(name)?.partitions.len();
        Some((name.clone(), i32::try_from(count).ok()?))
    });
    known.collect()
}
