//! Produce (key 0), v3–v13. Appends record batches to partitions.
//! v8 errors of single records (KIP-467) · v10 the current leader comes with a leadership error
//! (KIP-951) · v13 topic ids instead of names (KIP-516).
//! Stage one appends, in the order of the connection; stage two waits for the high watermark.
//! Differs from Kafka: any number of produce requests of one connection may be in stage two.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use flumen_protocol::{ApiKey, ErrorCode, Records};
use flumen_storage::AppendOrigin;

use super::error::{WireError, has_reached_log, record_errors};
use super::produced_batch::{self, Refusal};
use super::{Call, Context, Staged};
use crate::clock::within;
use crate::controller::is_internal_topic;
use crate::partition::{Appended, Committed, Partition};

/// The client that may write internal topics: Kafka's own administration tools name themselves so.
const ADMIN_CLIENT: &str = "__admin_client";

const ACKS_ALL: i16 = -1;

pub(super) fn start(
    ctx: &Arc<Context>,
    call: &Call,
    request: ProduceRequest,
) -> Staged<ProduceResponse> {
    let ProduceRequest { transactional_id, acks, timeout_ms, topic_data } = request;
    let refusal = produced_batch::check_request(&topic_data).err();
    let mut stage = StageOne {
        ctx,
        call,
        acks,
        is_transactional: transactional_id.is_some(),
        now_ms: ctx.seams.clock.wall_ms(),
        waiting: Vec::new(),
    };
    let responses = match refusal {
        Some(refusal) => topic_data.into_iter().map(|topic| refused(topic, refusal)).collect(),
        None => {
            topic_data.into_iter().enumerate().map(|(t, topic)| stage.topic(t, topic)).collect()
        }
    };
    let mut response = ProduceResponse { responses, ..ProduceResponse::default() };
    let waiting = std::mem::take(&mut stage.waiting);
    count_errors(ctx, &response);
    add_leaders(ctx, call, &mut response);
    match acks {
        0 if has_errors(&response) => Staged::Close,
        0 => Staged::Nothing,
        ACKS_ALL if waiting.iter().any(|w| w.committed.outcome().is_none()) => {
            let time = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
            Staged::Waiting(Box::pin(finish(Arc::clone(ctx), response, waiting, time)))
        }
        ACKS_ALL => {
            for waiting in waiting {
                waiting.settle(&mut response);
            }
            Staged::Done(response)
        }
        _ => Staged::Done(response),
    }
}

/// An appended batch that is acknowledged once it is committed.
struct Waiting {
    topic: usize,
    partition: usize,
    committed: Committed,
    is_settled: bool,
}

impl Waiting {
    fn settle(&self, response: &mut ProduceResponse) {
        let error = match self.committed.outcome() {
            Some(outcome) => outcome.code(),
            None => ErrorCode::RequestTimedOut,
        };
        response.responses[self.topic].partition_responses[self.partition].error_code =
            error.code();
    }
}

/// Resolves once every batch is committed or never will be.
struct AllCommitted<'a>(&'a mut [Waiting]);

impl Future for AllCommitted<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        // One after the other: the last one to come is the one that matters.
        for waiting in self.0.iter_mut().filter(|waiting| !waiting.is_settled) {
            if Pin::new(&mut waiting.committed).poll(cx).is_pending() {
                return Poll::Pending;
            }
            waiting.is_settled = true;
        }
        Poll::Ready(())
    }
}

/// Stage two.
async fn finish(
    ctx: Arc<Context>,
    mut response: ProduceResponse,
    mut waiting: Vec<Waiting>,
    time: Duration,
) -> ProduceResponse {
    // What is not committed in time stays in the log and is reported as timed out: the client may
    // retry, and an idempotent one is told the first outcome then.
    within(time, AllCommitted(&mut waiting)).await.unwrap_or_default();
    for waiting in &waiting {
        waiting.settle(&mut response);
    }
    count_errors(&ctx, &response);
    response
}

struct StageOne<'a> {
    ctx: &'a Context,
    call: &'a Call,
    acks: i16,
    is_transactional: bool,
    now_ms: i64,
    waiting: Vec<Waiting>,
}

impl StageOne<'_> {
    fn topic(&mut self, place: usize, topic: TopicProduceData) -> TopicProduceResponse {
        let TopicProduceData { name, topic_id, partition_data } = topic;
        let mut partition_responses = Vec::with_capacity(partition_data.len());
        let is_refused = is_internal_topic(&name) && !self.is_admin();
        for (index, data) in partition_data.into_iter().enumerate() {
            if is_refused {
                let error = ErrorCode::InvalidTopicException;
                partition_responses.push(failed(data.index, error, None));
                continue;
            }
            let partition = if self.call.version >= 13 {
                self.ctx.partitions.find_by_id(topic_id, data.index)
            } else {
                self.ctx.partitions.find(&name, data.index)
            };
            let at = (place, index);
            partition_responses.push(match partition {
                Ok(partition) => self.partition(at, &partition, data),
                Err(error) => failed(data.index, error.code(), None),
            });
        }
        TopicProduceResponse { name, topic_id, partition_responses }
    }

    fn partition(
        &mut self,
        (topic_place, partition_place): (usize, usize),
        partition: &Arc<Partition>,
        data: PartitionProduceData,
    ) -> PartitionProduceResponse {
        let index = data.index;
        let bytes = match data.records {
            Some(Records::Bytes(bytes)) => bytes,
            Some(Records::Segments(_)) | None => {
                let message = "the request has no records for this partition";
                return failed(index, ErrorCode::InvalidRecord, Some(message.to_owned()));
            }
        };
        if let Err((error, message)) = produced_batch::check_batch(&bytes, self.call.version) {
            return failed(index, error, Some(message.to_owned()));
        }
        if let Err(error) = self.may_append(partition) {
            return failed(index, error, None);
        }
        let needs_all = self.acks == ACKS_ALL;
        match partition.append(bytes, AppendOrigin::Client, needs_all, self.now_ms) {
            Ok(Appended { info, leader_epoch }) => {
                if needs_all && !is_planted(Bug::AppendedIsAcknowledged) {
                    self.waiting.push(Waiting {
                        topic: topic_place,
                        partition: partition_place,
                        committed: partition.committed(info.last_offset, leader_epoch),
                        is_settled: false,
                    });
                }
                PartitionProduceResponse {
                    index,
                    base_offset: info.first_offset,
                    log_append_time_ms: info.log_append_time.unwrap_or(-1),
                    log_start_offset: info.log_start_offset,
                    ..PartitionProduceResponse::default()
                }
            }
            Err(error) => {
                let (record_errors, message) = record_errors(&error);
                let record_errors = record_errors
                    .into_iter()
                    .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                        batch_index,
                        batch_index_error_message: Some(message),
                    })
                    .collect();
                // As in Kafka, the log tells where it starts if it has looked at the batch at all.
                let log_start_offset = match has_reached_log(&error) {
                    true => partition.log_start_offset(),
                    false => -1,
                };
                let answer = failed(index, error.code(), Some(message));
                PartitionProduceResponse { record_errors, log_start_offset, ..answer }
            }
        }
    }

    fn may_append(&self, partition: &Partition) -> Result<(), ErrorCode> {
        if !matches!(self.acks, ACKS_ALL..=1) {
            return Err(ErrorCode::InvalidRequiredAcks);
        }
        // There is no coordinator of transactions yet. A final error: a retry would not end.
        if self.is_transactional {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        if is_internal_topic(partition.topic()) && !self.is_admin() {
            return Err(ErrorCode::InvalidTopicException);
        }
        Ok(())
    }

    fn is_admin(&self) -> bool {
        self.call.client_id.as_deref() == Some(ADMIN_CLIENT)
    }
}

/// Answers a topic of a request that is refused as a whole.
fn refused(topic: TopicProduceData, (error, message): Refusal) -> TopicProduceResponse {
    let TopicProduceData { name, topic_id, partition_data } = topic;
    let partitions = partition_data.into_iter();
    let partition_responses =
        partitions.map(|data| failed(data.index, error, Some(message.to_owned()))).collect();
    TopicProduceResponse { name, topic_id, partition_responses }
}

fn failed(index: i32, error: ErrorCode, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: error.code(),
        base_offset: -1,
        error_message: message,
        ..PartitionProduceResponse::default()
    }
}

fn partitions(response: &ProduceResponse) -> impl Iterator<Item = &PartitionProduceResponse> {
    response.responses.iter().flat_map(|topic| &topic.partition_responses)
}

fn has_errors(response: &ProduceResponse) -> bool {
    partitions(response).any(|partition| partition.error_code != 0)
}

fn count_errors(ctx: &Context, response: &ProduceResponse) {
    for partition in partitions(response).filter(|partition| partition.error_code != 0) {
        ctx.metrics.on_error(ApiKey::Produce, ErrorCode::from_code(partition.error_code));
    }
}

/// Names the leader beside each leadership error, so that the client need not ask (KIP-951).
fn add_leaders(ctx: &Context, call: &Call, response: &mut ProduceResponse) {
    let moved = ErrorCode::NotLeaderOrFollower.code();
    if call.version < 10 || !partitions(response).any(|p| p.error_code == moved) {
        return;
    }
    let image = ctx.controller.image();
    let mut leaders = BTreeSet::new();
    for topic in &mut response.responses {
        let found = image.topic(&topic.name).or_else(|| image.topic_by_id(topic.topic_id));
        for partition in &mut topic.partition_responses {
            let Some(now) = found.and_then(|topic| topic.partition(partition.index)) else {
                continue;
            };
            if partition.error_code == moved
                && let Some(leader_id) = now.leader
            {
                partition.current_leader =
                    LeaderIdAndEpoch { leader_id, leader_epoch: now.leader_epoch };
                leaders.insert(leader_id);
            }
        }
    }
    let endpoints = leaders.into_iter().filter_map(|id| ctx.endpoint_of(&image, id));
    response.node_endpoints = endpoints
        .map(|(node_id, host, port, rack)| NodeEndpoint { node_id, host, port, rack })
        .collect();
}
