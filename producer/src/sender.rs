//! The task that sends batches: finds leaders, keeps requests in flight, acts on the answers.
//!
//! One task per producer. It takes batches that are due from the accumulator, puts those for one
//! broker into one request, and gives each back when it is answered. What an answer means for a
//! batch's place and numbers is decided by `accumulator` and `sequence`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::cluster::{Broker, Cluster, LeaderHint, Topics};
use flumen_client::connection::{BoxFuture, Call, ConnectionError};
use flumen_client::retry::Backoff;
use flumen_client::{Connections, Error as ClientError, TopicPartition};
use flumen_protocol::messages::init_producer_id::InitProducerIdRequest;
use flumen_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use flumen_protocol::{ApiKey, ErrorCode, Uuid};
use futures_util::future::{Abortable, Aborted};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::{debug, warn};

use crate::batch::Batch;
use crate::config::Acks;
use crate::delivery::Settled;
use crate::error::Error;
use crate::producer::Shared;
use crate::sequence::{Identity, Refusal, refuses_sequence};
use crate::unanswered::{Unanswered, is_another};

/// A request that was answered, or not.
struct Answered {
    number: u64,
    broker: i32,
    batches: Vec<Batch>,
    outcome: Result<ProduceResponse, ClientError>,
}

/// The requests to one broker that are not answered.
#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    /// Whether the last request was answered. Until then one is sent at a time: requests that wait
    /// for a connection could overtake each other.
    is_warm: bool,
}

/// Runs until the producer is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let connections = shared.client.open_connections(shared.config.in_flight_max);
    let backoff = Backoff::new(shared.client.config().retry_backoff);
    let mut sender = Sender {
        shared,
        connections,
        identity: None,
        lanes: BTreeMap::new(),
        in_flight: FuturesUnordered::new(),
        unanswered: Unanswered::default(),
        asking: None,
        stale: BTreeSet::new(),
        ask_after: Duration::ZERO,
        ask_backoff: backoff,
    };
    sender.run().await;
}

/// What the sender asks beside producing, one thing at a time.
enum Asked {
    Identity(Result<Identity, ClientError>),
    Metadata(Result<Arc<Cluster>, ClientError>),
}

struct Sender {
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    /// Who we are to brokers; partitions take it up with their first batch.
    identity: Option<Identity>,
    lanes: BTreeMap<i32, Lane>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answered>>,
    unanswered: Unanswered,
    asking: Option<BoxFuture<'static, Asked>>,
    /// Topics whose leaders are in doubt.
    stale: BTreeSet<Arc<str>>,
    ask_after: Duration,
    ask_backoff: Backoff,
}

impl Sender {
    async fn run(&mut self) {
        loop {
            let now = self.now();
            self.expire(now);
            self.stale.extend(self.unanswered.doubted(now));
            if self.shared.is_closed() && self.in_flight.is_empty() {
                return self.abandon();
            }
            self.send_due(now);
            self.ask_if_needed(now);
            self.wait(now).await;
        }
    }

    fn now(&self) -> Duration {
        self.shared.client.seams().clock.monotonic()
    }

    /// Waits for an answer, for news from the producer, or until something is due.
    async fn wait(&mut self, now: Duration) {
        let next = self.shared.accumulator.lock().next_event(now);
        let ask = (self.asking.is_none() && self.wants_to_ask()).then_some(self.ask_after);
        let doubt = self.unanswered.next_doubt();
        let until = [next, doubt, ask.filter(|at| *at > now)].into_iter().flatten().min();
        let pause = until.map_or(IDLE, |until| until.saturating_sub(now));
        tokio::select! {
            biased;
            Some(answered) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                self.on_answered(answered);
            }
            asked = async { self.asking.as_mut().expect("checked").await },
                if self.asking.is_some() =>
            {
                self.asking = None;
                self.on_asked(asked);
            }
            () = self.shared.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Fails what waited too long.
    fn expire(&self, now: Duration) {
        let expired = self.shared.accumulator.lock().expired(now);
        for batch in expired {
            self.fail_timed_out(batch);
        }
    }

    /// Fails everything, the producer being closed.
    fn abandon(&self) {
        let left = self.shared.accumulator.lock().drain();
        for batch in left {
            let possibly_written = batch.settler.possibly_written();
            self.settle(batch, Settled::Failed(Error::Closed { possibly_written }));
        }
        self.shared.stopped();
    }

    /// Sends all batches that are due and have a leader that can take them.
    fn send_due(&mut self, now: Duration) {
        if self.shared.config.idempotence && self.identity.is_none() {
            return;
        }
        let cluster = self.shared.client.cluster();
        let mut full: BTreeSet<i32> = BTreeSet::new();
        loop {
            let mut requests: BTreeMap<i32, (usize, Vec<Batch>)> = BTreeMap::new();
            {
                let mut accumulator = self.shared.accumulator.lock();
                let due: Vec<TopicPartition> = accumulator.due(now).cloned().collect();
                for partition in due {
                    let Some(hint) = cluster.leader(&partition.topic, partition.partition) else {
                        self.stale.insert(partition.topic);
                        continue;
                    };
                    let leader = hint.leader;
                    if full.contains(&leader) || !self.has_room(leader) {
                        full.insert(leader);
                        continue;
                    }
                    let size = accumulator.size_of_next(&partition).unwrap_or_default();
                    let (taken, batches) = requests.entry(leader).or_default();
                    let is_first = batches.is_empty();
                    if !is_first && *taken + size > self.shared.config.request_size_max {
                        continue;
                    }
                    *taken += size;
                    batches.extend(accumulator.take(&partition, self.identity, hint));
                }
            }
            requests.retain(|_, (_, batches)| !batches.is_empty());
            if requests.is_empty() {
                return;
            }
            for (leader, (_, batches)) in requests {
                self.send(leader, batches, &cluster);
            }
        }
    }

    fn has_room(&self, broker: i32) -> bool {
        let limit = self.shared.config.in_flight_max;
        self.lanes
            .get(&broker)
            .is_none_or(|lane| lane.in_flight < if lane.is_warm { limit } else { 1 })
    }

    fn send(&mut self, broker: i32, batches: Vec<Batch>, cluster: &Cluster) {
        let config = &self.shared.config;
        let acks = config.acks;
        let timeout = self.shared.client.config().request_timeout;
        let request = ProduceRequest {
            transactional_id: None,
            acks: acks.code(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: self.encode(&batches, cluster),
        };
        self.lanes.entry(broker).or_default().in_flight += 1;
        let connection = self.connections.to(broker, cluster);
        // The broker may use all of the time itself, and still has to answer.
        let call = Call::timeout(timeout + ANSWER_GRACE);
        let sent = batches.iter().map(|batch| (batch.partition.clone(), batch.sent_to));
        let (number, abandoned) = self.unanswered.sent(self.now(), broker, sent.collect());
        let address = cluster.broker(broker).map(Broker::address).unwrap_or_default();
        self.in_flight.push(Box::pin(async move {
            let outcome = async {
                let connection = connection?;
                let pending = match acks {
                    Acks::None => connection.start_unanswered(call, |_| &request).await?,
                    Acks::Leader | Acks::All => connection.start(call, |_| &request).await?,
                };
                Ok(pending.await?)
            };
            let outcome = Abortable::new(outcome, abandoned).await.unwrap_or_else(|Aborted| {
                let address = address.into();
                Err(ConnectionError::Lost { address, possibly_received: true }.into())
            });
            Answered { number, broker, batches, outcome }
        }));
    }

    fn encode(&self, batches: &[Batch], cluster: &Cluster) -> Vec<TopicProduceData> {
        let mut topics: BTreeMap<&Arc<str>, TopicProduceData> = BTreeMap::new();
        for batch in batches {
            let name = &batch.partition.topic;
            let topic = topics.entry(name).or_insert_with(|| TopicProduceData {
                name: name.to_string(),
                topic_id: cluster.topic(name).map_or(Uuid::ZERO, |topic| topic.id),
                ..TopicProduceData::default()
            });
            topic.partition_data.push(PartitionProduceData {
                index: batch.partition.partition,
                records: Some(batch.encode(self.shared.config.compression).into()),
            });
        }
        topics.into_values().collect()
    }

    fn on_answered(&mut self, answered: Answered) {
        self.unanswered.answered(answered.number);
        let lane = self.lanes.entry(answered.broker).or_default();
        lane.in_flight -= 1;
        lane.is_warm = answered.outcome.is_ok();
        let response = match answered.outcome {
            Ok(response) => response,
            Err(error) => {
                debug!(broker = answered.broker, %error, "a produce request failed");
                for batch in answered.batches {
                    self.on_failed(batch, error.clone());
                }
                return;
            }
        };
        if self.shared.config.acks == Acks::None {
            for batch in answered.batches {
                let settled = Settled::Written { base_offset: None, log_append_time: None };
                self.take_back(batch, settled);
            }
            return;
        }
        let endpoints = endpoints(&response);
        let cluster = self.shared.client.cluster();
        let mut results: BTreeMap<TopicPartition, PartitionProduceResponse> = BTreeMap::new();
        for topic in response.responses {
            let by_id = cluster.topic_name(topic.topic_id).filter(|_| topic.name.is_empty());
            let name: Arc<str> = by_id.map_or_else(|| topic.name.as_str().into(), Arc::clone);
            for result in topic.partition_responses {
                results.insert(TopicPartition::new(Arc::clone(&name), result.index), result);
            }
        }
        for batch in answered.batches {
            match results.remove(&batch.partition) {
                Some(result) => self.on_result(batch, result, &endpoints),
                None => {
                    let about = batch.partition.to_string();
                    let error = ClientError::Incomplete { api: ApiKey::Produce, about };
                    self.on_failed(batch, error);
                }
            }
        }
    }

    /// Acts on what a broker says about a batch.
    fn on_result(
        &mut self,
        mut batch: Batch,
        result: PartitionProduceResponse,
        endpoints: &[Broker],
    ) {
        let code = ErrorCode::from_code(result.error_code);
        let now = self.now();
        match code {
            ErrorCode::None => {
                let settled = Settled::Written {
                    base_offset: Some(result.base_offset).filter(|offset| *offset >= 0),
                    log_append_time: Some(result.log_append_time_ms).filter(|ms| *ms >= 0),
                };
                self.take_back(batch, settled);
            }
            // Written by an earlier try, too long ago for the broker to know where.
            ErrorCode::DuplicateSequenceNumber => {
                let settled = Settled::Written { base_offset: None, log_append_time: None };
                self.take_back(batch, settled);
            }
            ErrorCode::MessageTooLarge if batch.entries.len() > 1 => {
                debug!(partition = %batch.partition, "a batch is too large and is halved");
                self.shared.accumulator.lock().requeue_halves(batch, now);
            }
            code if batch.sequence.is_some() && refuses_sequence(code) => {
                let partition = batch.partition.clone();
                let pause_until = now + self.pause(&batch);
                batch.last_error = Some(refused(code, None));
                if self.is_over(&batch, now) {
                    return self.give_up(batch);
                }
                let refusal = self.shared.accumulator.lock().requeue_refused(batch, pause_until);
                if refusal == Refusal::Gap {
                    warn!(%partition, code = code.name(), "a sequence has a gap and starts over");
                }
            }
            code if code.is_retriable() => {
                if appended_all_the_same(code) {
                    batch.settler.mark_possibly_written();
                }
                let hint = LeaderHint {
                    leader: result.current_leader.leader_id,
                    leader_epoch: result.current_leader.leader_epoch,
                };
                let TopicPartition { topic, partition } = &batch.partition;
                let brokers = endpoints.iter().cloned();
                let learnt = self.shared.client.learn_leader(topic, *partition, hint, brokers);
                if !learnt {
                    self.stale.insert(Arc::clone(topic));
                }
                if !doubts_leader(code) {
                    batch.sent_to = None;
                }
                self.retry(batch, refused(code, result.error_message), learnt);
            }
            code => {
                let message = result.error_message.or_else(|| {
                    let errors = result.record_errors.into_iter();
                    errors.filter_map(|error| error.batch_index_error_message).next()
                });
                let error = Error::Refused {
                    partition: batch.partition.clone(),
                    code,
                    message,
                    possibly_written: batch.settler.possibly_written(),
                };
                self.take_back(batch, Settled::Failed(error));
            }
        }
    }

    /// Acts on a request that got no answer.
    fn on_failed(&mut self, mut batch: Batch, error: ClientError) {
        self.stale.insert(Arc::clone(&batch.partition.topic));
        let possibly_written = match &error {
            ClientError::Connection(error) => error.possibly_received(),
            ClientError::Incomplete { .. } => true,
            _ => false,
        };
        if possibly_written {
            batch.settler.mark_possibly_written();
        }
        let is_final = matches!(
            &error,
            ClientError::Connection(
                ConnectionError::UnsupportedVersion { .. }
                    | ConnectionError::Encode(_)
                    | ConnectionError::Closed { .. }
            )
        );
        if is_final {
            self.take_back(batch, Settled::Failed(error.into()));
        } else {
            self.retry(batch, error, false);
        }
    }

    /// Puts a batch back to be sent again, unless its time is over.
    fn retry(&self, mut batch: Batch, error: ClientError, at_once: bool) {
        let now = self.now();
        let leader = self.leader(&batch.partition);
        let has_moved = batch.sent_to.is_some_and(|sent_to| is_another(leader, sent_to));
        let pause = if at_once || has_moved { Duration::ZERO } else { self.pause(&batch) };
        batch.last_error = Some(error);
        if self.is_over(&batch, now) {
            self.give_up(batch);
        } else {
            self.shared.accumulator.lock().requeue(batch, now + pause);
        }
    }

    fn leader(&self, partition: &TopicPartition) -> Option<LeaderHint> {
        self.shared.client.cluster().leader(&partition.topic, partition.partition)
    }

    fn is_over(&self, batch: &Batch, now: Duration) -> bool {
        self.shared.is_closed() || batch.begun + self.shared.config.delivery_timeout <= now
    }

    fn pause(&self, batch: &Batch) -> Duration {
        let mut backoff = Backoff::new(self.shared.client.config().retry_backoff);
        let rng = &*self.shared.client.seams().rng;
        let tries = 1..batch.attempts.min(BACKOFF_TRIES_MAX);
        tries.fold(backoff.next(rng), |_, _| backoff.next(rng))
    }

    /// Ends a batch that was in flight and has no time left.
    fn give_up(&self, batch: Batch) {
        let batch = self.shared.accumulator.lock().settled(batch);
        self.fail_timed_out(batch);
    }

    fn fail_timed_out(&self, batch: Batch) {
        let error = Error::TimedOut {
            partition: batch.partition.clone(),
            after: self.shared.config.delivery_timeout,
            possibly_written: batch.settler.possibly_written(),
            last: batch.last_error.clone().map(Box::new),
        };
        self.settle(batch, Settled::Failed(error));
    }

    /// Ends a batch that was in flight.
    fn take_back(&self, batch: Batch, settled: Settled) {
        let batch = self.shared.accumulator.lock().settled(batch);
        self.settle(batch, settled);
    }

    fn settle(&self, batch: Batch, settled: Settled) {
        let reserved = batch.reserved();
        batch.settler.settle(settled);
        self.shared.release(reserved);
    }

    fn wants_to_ask(&self) -> bool {
        self.needs_identity() || !self.stale.is_empty()
    }

    fn needs_identity(&self) -> bool {
        self.shared.config.idempotence
            && self.identity.is_none()
            && self.shared.accumulator.lock().open_count() > 0
    }

    /// Asks for an identity or for leaders, if one is missing and nothing is being asked.
    fn ask_if_needed(&mut self, now: Duration) {
        if self.asking.is_some() || now < self.ask_after {
            return;
        }
        let client = self.shared.client.clone();
        if self.needs_identity() {
            self.asking = Some(Box::pin(async move {
                let request = InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: i32::MAX,
                    ..InitProducerIdRequest::default()
                };
                let asked = client.ask_any(&request).await.and_then(|response| {
                    ClientError::check(ApiKey::InitProducerId, response.error_code, None)?;
                    let producer_id = response.producer_id;
                    Ok(Identity { producer_id, epoch: response.producer_epoch })
                });
                Asked::Identity(asked)
            }));
        } else if !self.stale.is_empty() {
            let names = std::mem::take(&mut self.stale);
            let names = names.into_iter().map(|name| name.to_string()).collect();
            self.asking = Some(Box::pin(async move {
                Asked::Metadata(client.refresh(Topics::Named(names)).await)
            }));
        }
    }

    fn on_asked(&mut self, asked: Asked) {
        let failure = match asked {
            Asked::Identity(Ok(identity)) => {
                self.identity = Some(identity);
                None
            }
            Asked::Identity(Err(error)) => Some(error),
            Asked::Metadata(Ok(cluster)) => {
                self.on_leaders(&cluster);
                None
            }
            Asked::Metadata(Err(error)) => Some(error),
        };
        let now = self.now();
        match failure {
            None => {
                self.ask_backoff.reset();
                // Leaders may still be in doubt: not more often than retries are.
                self.ask_after = now + self.shared.client.config().retry_backoff.initial;
            }
            Some(error) => {
                debug!(%error, "the producer could not learn what it needs");
                let pause = self.ask_backoff.next(&*self.shared.client.seams().rng);
                self.ask_after = now + pause;
                if !error.is_retriable() {
                    self.refuse_all(&error);
                }
            }
        }
    }

    /// Acts on news of leaders: what failed at an old one is sent to the new one at once, and where
    /// there is no new one it is asked again.
    fn on_leaders(&mut self, cluster: &Cluster) {
        let now = self.now();
        let leader =
            |partition: &TopicPartition| cluster.leader(&partition.topic, partition.partition);
        self.unanswered.abandon_moved(leader);
        let in_doubt = self.shared.accumulator.lock().resume(now, leader);
        self.stale.extend(in_doubt);
    }

    /// Fails what waits, since no try can succeed.
    fn refuse_all(&self, error: &ClientError) {
        let waiting = self.shared.accumulator.lock().drain();
        for batch in waiting {
            self.settle(batch, Settled::Failed(error.clone().into()));
        }
    }
}

/// How long to sleep when nothing is due; news ends the sleep.
const IDLE: Duration = Duration::from_secs(3600);

/// What a broker may need for an answer beyond the time the request allows it.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// Pauses stop growing long before this many tries.
const BACKOFF_TRIES_MAX: u32 = 16;

fn refused(code: ErrorCode, message: Option<String>) -> ClientError {
    ClientError::Broker { api: ApiKey::Produce, code, message }
}

/// Whether the error says that somebody else may lead.
fn doubts_leader(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
}

/// Says whether a broker may have written what it answers with this error.
///
/// One whose disk fails, or that hears of another leader, while a batch waits for its replicas answers
/// with the same error as one that never took the batch.
fn appended_all_the_same(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::RequestTimedOut
            | ErrorCode::KafkaStorageError
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::FencedLeaderEpoch
    )
}

/// The addresses of new leaders that an answer tells (KIP-951).
fn endpoints(response: &ProduceResponse) -> Vec<Broker> {
    let endpoints = response.node_endpoints.iter().map(|endpoint| Broker {
        id: endpoint.node_id,
        host: endpoint.host.clone(),
        port: endpoint.port,
        rack: endpoint.rack.clone(),
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_refused_before_the_append_is_certainly_not_written() {
        let is_open = [
            ErrorCode::KafkaStorageError,
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::FencedLeaderEpoch,
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::RequestTimedOut,
        ];
        assert!(is_open.into_iter().all(appended_all_the_same));
        let is_refused = [ErrorCode::NotEnoughReplicas, ErrorCode::UnknownTopicOrPartition];
        assert!(!is_refused.into_iter().any(appended_all_the_same));
    }
}
