//! The task that fetches: keeps one fetch under way at each broker that partitions are read from, and
//! finds out where to begin.
//!
//! Fetched bytes go to the buffer as they came; decoding them is done where they are given out. A
//! partition is fetched while it has less than `max.partition.fetch.bytes` ahead of the program, and
//! all together while they have less than `prefetch_bytes`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::cluster::{Broker, Cluster, LeaderHint, Topics};
use flumen_client::connection::{BoxFuture, Call};
use flumen_client::retry::Backoff;
use flumen_client::{Connections, Error as ClientError, TopicPartition};
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData};
use flumen_protocol::{ErrorCode, Uuid};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::{debug, warn};

use crate::config::OffsetReset;
use crate::decode::{Fetched, place_behind};
use crate::error::Error;
use crate::fetch_session::{FetchSession, Wanted};
use crate::nearest::Nearest;
use crate::placing::Places;
use crate::record::Position;
use crate::shared::Shared;
use crate::subscription::{Fetchable, Unplaced};

/// The last version of Fetch that names topics by name.
const FETCH_BY_NAME_MAX: i16 = 12;

/// How long to sleep when nothing is due; news ends the sleep.
const IDLE: Duration = Duration::from_secs(3600);

/// A fetch that was answered, or not.
struct Answered {
    broker: i32,
    asked: BTreeMap<TopicPartition, Fetchable>,
    outcome: Result<FetchResponse, ClientError>,
}

/// A broker we fetch from.
struct Source {
    session: FetchSession,
    is_busy: bool,
    /// Nothing is asked before this time.
    paused_until: Duration,
    backoff: Backoff,
}

/// Fetches until the consumer is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let connections = shared.client.open_connections(1);
    let backoff = Backoff::new(shared.client.config().retry_backoff);
    let nearest = Nearest::new(shared.client.config().metadata_max_age);
    let mut fetcher = Fetcher {
        shared,
        connections,
        sources: BTreeMap::new(),
        nearest,
        in_flight: FuturesUnordered::new(),
        paused: BTreeMap::new(),
        outdated: BTreeMap::new(),
        placing: None,
        place_after: Duration::ZERO,
        reported: BTreeSet::new(),
        refreshing: None,
        refresh_after: Duration::ZERO,
        stale: BTreeSet::new(),
        backoff,
    };
    while !fetcher.shared.is_closed() {
        let now = fetcher.shared.now();
        if !fetcher.shared.is_held() {
            fetcher.place(now);
            fetcher.fetch(now);
        }
        fetcher.refresh(now);
        fetcher.wait(now).await;
    }
}

struct Fetcher {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    sources: BTreeMap<i32, Source>,
    nearest: Nearest,
    in_flight: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Partitions that a broker would not serve, and until when they are left alone.
    paused: BTreeMap<TopicPartition, Duration>,
    /// Partitions whose leader is not known yet to be the one that the position has seen, since when.
    outdated: BTreeMap<TopicPartition, Duration>,
    placing: Option<BoxFuture<'static, Places>>,
    place_after: Duration,
    /// Stays for which the program was told that it has to seek.
    reported: BTreeSet<u64>,
    refreshing: Option<BoxFuture<'static, Result<Arc<Cluster>, ClientError>>>,
    refresh_after: Duration,
    /// Topics whose leaders are in doubt.
    stale: BTreeSet<Arc<str>>,
    backoff: Backoff,
}

impl Fetcher {
    async fn wait(&mut self, now: Duration) {
        let sources = self.sources.values().map(|source| source.paused_until);
        let times = sources.chain(self.paused.values().copied());
        let times = times.chain([self.place_after, self.refresh_after]);
        let pause = times.filter(|at| *at > now).min().map_or(IDLE, |until| until - now);
        tokio::select! {
            biased;
            Some(answered) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                self.on_answered(answered);
            }
            places = async { self.placing.as_mut().expect("checked").await },
                if self.placing.is_some() =>
            {
                self.placing = None;
                self.on_placed(places);
            }
            refreshed = async { self.refreshing.as_mut().expect("checked").await },
                if self.refreshing.is_some() =>
            {
                self.refreshing = None;
                if let Err(error) = refreshed {
                    debug!(%error, "leaders could not be asked for");
                }
            }
            () = self.shared.fetch_wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn pause(&mut self) -> Duration {
        self.backoff.next(&*self.shared.client.seams().rng)
    }

    /// Begins looking for the places of partitions that have none.
    fn place(&mut self, now: Duration) {
        if self.placing.is_some() || now < self.place_after {
            return;
        }
        let mut unplaced = self.shared.subscription.lock().unplaced();
        unplaced.retain(|unplaced| !self.reported.contains(&unplaced.stay));
        if unplaced.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.placing = Some(Box::pin(async move { shared.find_places(unplaced).await }));
    }

    fn on_placed(&mut self, places: Places) {
        let mut has_failed = false;
        for (Unplaced { partition, stay, is_out_of_range }, place) in places {
            match place {
                Ok(position) => {
                    if is_out_of_range {
                        let offset = position.offset;
                        warn!(%partition, offset, "the position was out of range and is reset");
                    }
                    self.shared.subscription.lock().place(&partition, stay, position);
                }
                Err(error @ Error::NoOffset { .. }) => {
                    self.reported.insert(stay);
                    // Out of range was reported when a broker said so.
                    if !is_out_of_range {
                        self.shared.report(error);
                    }
                }
                Err(error) => {
                    has_failed = true;
                    if error.is_retriable() {
                        warn!(%partition, %error, "no place to begin was found yet");
                    } else {
                        self.reported.insert(stay);
                        self.shared.report(error);
                    }
                }
            }
        }
        if has_failed {
            self.place_after = self.shared.now() + self.pause();
        } else {
            self.backoff.reset();
        }
    }

    /// Asks each broker that is not being asked for what can be fetched from it.
    fn fetch(&mut self, now: Duration) {
        self.paused.retain(|_, until| *until > now);
        if self.shared.buffer.lock().bytes() >= self.shared.config.prefetch_bytes {
            return;
        }
        let ahead_max = usize::try_from(self.shared.config.max_partition_fetch_bytes).unwrap_or(0);
        let fetchable = self.shared.subscription.lock().fetchable(ahead_max.max(1));
        let cluster = self.shared.client.cluster();
        let mut by_broker: BTreeMap<i32, BTreeMap<TopicPartition, (Fetchable, Wanted)>> =
            BTreeMap::new();
        for fetchable in fetchable {
            let TopicPartition { topic, partition } = &fetchable.partition;
            if self.paused.contains_key(&fetchable.partition) {
                continue;
            }
            let Some(hint) = cluster.leader(topic, *partition) else {
                self.stale.insert(Arc::clone(topic));
                continue;
            };
            if self.is_outdated(&fetchable, hint, now) {
                self.stale.insert(Arc::clone(topic));
                continue;
            }
            let wanted = Wanted {
                topic_id: cluster.topic(topic).map_or(Uuid::ZERO, |topic| topic.id),
                fetch_offset: fetchable.from.offset,
                current_leader_epoch: hint.leader_epoch,
                last_fetched_epoch: fetchable.from.leader_epoch.unwrap_or(-1),
                max_bytes: self.shared.config.max_partition_fetch_bytes,
            };
            let broker = match self.nearest.replica(&fetchable.partition, now) {
                Some(replica) if cluster.broker(replica).is_some() => replica,
                Some(_) => {
                    self.stale.insert(Arc::clone(topic));
                    hint.leader
                }
                None => hint.leader,
            };
            let of_broker = by_broker.entry(broker).or_default();
            of_broker.insert(fetchable.partition.clone(), (fetchable, wanted));
        }
        for (broker, partitions) in by_broker {
            self.fetch_from(broker, partitions, &cluster, now);
        }
    }

    /// Whether the position has seen a later leader than `hint` names (KIP-320). The one before may
    /// still answer, and know nothing of the position: it would be out of range, and reset.
    ///
    /// Not for ever: where a topic was created again, the leader of the old one is not coming back.
    fn is_outdated(&mut self, fetchable: &Fetchable, hint: LeaderHint, now: Duration) -> bool {
        let Fetchable { partition, from, .. } = fetchable;
        let has_seen_later = from.leader_epoch.is_some_and(|seen| seen > hint.leader_epoch);
        if !has_seen_later || hint.leader_epoch < 0 {
            self.outdated.remove(partition);
            return false;
        }
        let since = *self.outdated.entry(partition.clone()).or_insert(now);
        now < since + self.shared.client.config().request_timeout
    }

    fn fetch_from(
        &mut self,
        broker: i32,
        partitions: BTreeMap<TopicPartition, (Fetchable, Wanted)>,
        cluster: &Cluster,
        now: Duration,
    ) {
        let retry_backoff = self.shared.client.config().retry_backoff;
        let source = self.sources.entry(broker).or_insert_with(|| Source {
            session: FetchSession::default(),
            is_busy: false,
            paused_until: Duration::ZERO,
            backoff: Backoff::new(retry_backoff),
        });
        if source.is_busy || source.paused_until > now {
            return;
        }
        let mut asked = BTreeMap::new();
        let mut wanted = BTreeMap::new();
        let mut version_max = None;
        for (partition, (fetchable, want)) in partitions {
            if want.topic_id.is_zero() {
                version_max = Some(FETCH_BY_NAME_MAX);
            }
            wanted.insert(partition.clone(), want);
            asked.insert(partition, fetchable);
        }
        source.is_busy = true;
        let plan = source.session.plan(wanted);
        let config = &self.shared.config;
        let request = FetchRequest {
            max_wait_ms: i32::try_from(config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            isolation_level: config.isolation.code(),
            session_id: plan.session_id,
            session_epoch: plan.session_epoch,
            topics: plan.topics,
            forgotten_topics_data: plan.forgotten,
            rack_id: config.client_rack.clone().unwrap_or_default(),
            ..FetchRequest::default()
        };
        let timeout = self.shared.client.config().request_timeout + config.fetch_max_wait;
        let call = Call { timeout: Some(timeout), version_max };
        let connection = self.connections.to(broker, cluster);
        self.in_flight.push(Box::pin(async move {
            let outcome = async { Ok(connection?.send(&request, call).await?) };
            let outcome = outcome.await;
            Answered { broker, asked, outcome }
        }));
    }

    fn on_answered(&mut self, answered: Answered) {
        let Answered { broker, asked, outcome } = answered;
        let now = self.shared.now();
        let Some(source) = self.sources.get_mut(&broker) else { return };
        source.is_busy = false;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                debug!(broker, %error, "a fetch failed");
                source.session.end();
                let pause = source.backoff.next(&*self.shared.client.seams().rng);
                source.paused_until = now + pause;
                self.doubt(asked);
                if error.is_fatal() {
                    self.shared.report(error.into());
                }
                return;
            }
        };
        let code = ErrorCode::from_code(response.error_code);
        if !source.session.on_answer(response.session_id, code) {
            debug!(broker, code = code.name(), "a fetch session ended");
            if !ends_session_only(code) {
                source.paused_until = now + source.backoff.next(&*self.shared.client.seams().rng);
                self.doubt(asked);
            }
            return;
        }
        source.backoff.reset();
        let endpoints: Vec<Broker> = response.node_endpoints.iter().map(endpoint).collect();
        let cluster = self.shared.client.cluster();
        for topic in response.responses {
            let by_id = cluster.topic_name(topic.topic_id).filter(|_| topic.topic.is_empty());
            let name: Arc<str> = by_id.map_or_else(|| topic.topic.as_str().into(), Arc::clone);
            for data in topic.partitions {
                let partition = TopicPartition::new(Arc::clone(&name), data.partition_index);
                if let Some(fetchable) = asked.get(&partition) {
                    self.on_partition(fetchable, data, &endpoints);
                }
            }
        }
    }

    /// Who was asked may not be the one to ask any more.
    fn doubt(&mut self, asked: BTreeMap<TopicPartition, Fetchable>) {
        for partition in asked.into_keys() {
            self.nearest.give_up(&partition);
            self.stale.insert(partition.topic);
        }
    }

    fn on_partition(&mut self, asked: &Fetchable, data: PartitionData, endpoints: &[Broker]) {
        let Fetchable { partition, stay, from } = asked;
        let code = ErrorCode::from_code(data.error_code);
        let is_about_place = matches!(code, ErrorCode::None | ErrorCode::OffsetOutOfRange);
        if is_about_place && !self.shared.subscription.lock().awaits(asked) {
            return;
        }
        match code {
            // A replica that lags sees histories part where its own ends.
            ErrorCode::None
                if data.diverging_epoch.epoch >= 0 && self.nearest.give_up(partition) => {}
            ErrorCode::None if data.diverging_epoch.epoch >= 0 => {
                self.on_diverged(asked, data.diverging_epoch.end_offset);
            }
            ErrorCode::None if data.preferred_read_replica >= 0 => {
                let replica = data.preferred_read_replica;
                debug!(%partition, replica, "a nearer replica is read");
                self.nearest.on_named(partition, replica, self.shared.now());
            }
            ErrorCode::None => self.on_records(asked, data),
            // Only the leader knows what there is.
            ErrorCode::OffsetOutOfRange if self.nearest.give_up(partition) => {}
            ErrorCode::OffsetOutOfRange => {
                // What is fetched ahead is given out first; it may explain the position.
                let position = self.shared.subscription.lock().position(partition);
                if position != Some(*from) {
                    return self.leave_alone(partition);
                }
                if self.shared.config.auto_offset_reset == OffsetReset::None {
                    let (partition, offset) = (partition.clone(), from.offset);
                    self.shared.report(Error::OutOfRange { partition, offset });
                }
                self.shared.subscription.lock().lose_place(partition, *stay);
            }
            code if code.is_retriable() || code == ErrorCode::UnknownTopicId => {
                debug!(%partition, code = code.name(), "a partition is not served at the moment");
                self.nearest.give_up(partition);
                let hint = LeaderHint {
                    leader: data.current_leader.leader_id,
                    leader_epoch: data.current_leader.leader_epoch,
                };
                let TopicPartition { topic, partition: index } = partition;
                let brokers = endpoints.iter().cloned();
                if !self.shared.client.learn_leader(topic, *index, hint, brokers) {
                    self.stale.insert(Arc::clone(topic));
                    self.leave_alone(partition);
                }
            }
            code => {
                self.shared.report(Error::Refused { partition: partition.clone(), code });
                self.leave_alone(partition);
            }
        }
    }

    fn on_records(&mut self, asked: &Fetchable, data: PartitionData) {
        let Fetchable { partition, stay, from } = asked;
        let Some(records) = data.records.filter(|records| !records.is_empty()) else { return };
        let bytes = records.into_bytes().expect("a decoded response holds bytes, not files");
        let size = bytes.len();
        let place = match place_behind(&bytes, *from) {
            Ok(Some(place)) => place,
            Ok(None) => {
                warn!(%partition, size, "a broker sent less than one batch");
                return self.leave_alone(partition);
            }
            Err(source) => {
                let (partition, offset) = (partition.clone(), from.offset);
                self.leave_alone(&partition);
                return self.shared.report(Error::Corrupt { partition, offset, source });
            }
        };
        let aborted = data.aborted_transactions.unwrap_or_default();
        let rules = self.shared.rules();
        let fetched = Fetched::new(partition.clone(), *stay, *from, bytes, aborted, rules);
        if self.shared.subscription.lock().fetched(partition, *stay, place, size) {
            self.shared.buffer.lock().push(fetched);
            self.shared.news.notify_one();
        }
    }

    /// Goes on where the logs parted: the leader's has not what was read behind that.
    fn on_diverged(&self, asked: &Fetchable, end_offset: i64) {
        let Fetchable { partition, from, .. } = asked;
        let offset = end_offset.min(from.offset);
        warn!(%partition, from = from.offset, offset, "the log was truncated; going on there");
        self.shared.subscription.lock().seek(partition, Position::at(offset));
        self.shared.offsets.lock().forget(partition);
    }

    /// Leaves a partition alone for a moment.
    fn leave_alone(&mut self, partition: &TopicPartition) {
        let until = self.shared.now() + self.shared.client.config().retry_backoff.initial;
        self.paused.insert(partition.clone(), until);
    }

    /// Asks for the leaders that are in doubt, not more often than retries are.
    fn refresh(&mut self, now: Duration) {
        if self.stale.is_empty() || self.refreshing.is_some() || now < self.refresh_after {
            return;
        }
        let names = std::mem::take(&mut self.stale);
        debug!(topics = ?names, "asking for leaders");
        let names = names.into_iter().map(|name| name.to_string()).collect();
        let client = self.shared.client.clone();
        self.refresh_after = now + client.config().retry_backoff.initial;
        self.refreshing = Some(Box::pin(async move { client.refresh(Topics::Named(names)).await }));
    }
}

fn endpoint(endpoint: &flumen_protocol::messages::fetch::NodeEndpoint) -> Broker {
    Broker {
        id: endpoint.node_id,
        host: endpoint.host.clone(),
        port: endpoint.port,
        rack: endpoint.rack.clone(),
    }
}

/// Says whether a code is about the session and nothing else, so that a new one helps at once.
fn ends_session_only(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch)
}
