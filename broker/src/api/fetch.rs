//! Fetch (key 1), v4–v18. Reads whole record batches from partitions.
//! v7 incremental sessions (KIP-227) · v9 leader epochs (KIP-320) · v11 reading from followers
//! (KIP-392) · v12 diverging epochs (KIP-595) · v13 topic ids (KIP-516) · v15 replica epoch · v16 the
//! current leader comes with a leadership error (KIP-951).
//! Stage one plans the reads, in the order of the connection; stage two waits for data.
//! Differs from Kafka: a replica's fetch is refused from clients, replicas have a listener of their
//! own (`replica_fetch`). A reader who names the epoch of its last record is told where histories
//! part, also where its offset lies beyond the end of the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use flumen_protocol::{ApiKey, ErrorCode, Records, Uuid};
use flumen_storage::ReadResult;

use super::error::WireError;
use super::{Call, Context, Staged};
use crate::clock::within;
use crate::controller::MetadataImage;
use crate::fetch_session::{Fetched, Kind, TopicKey};
use crate::partition::runtime::blocking;
use crate::partition::{Isolation, LookupError, Partition, PartitionRead, Watch};

pub(super) fn start(
    ctx: &Arc<Context>,
    call: &Call,
    request: FetchRequest,
) -> Staged<FetchResponse> {
    let is_impostor = request.replica_id.max(request.replica_state.replica_id) >= 0;
    let limits = Limits {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: i64::from(request.min_bytes),
        max_bytes: request.max_bytes.clamp(0, ctx.config.limits.fetch_bytes_max),
        isolation: match request.isolation_level {
            1 => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        },
        near: Nearness::new(ctx, &request.rack_id),
    };
    let uses_topic_ids = call.version >= 13;
    let begun = ctx.fetch_sessions.lock().begin(request, uses_topic_ids, call.received);
    let (kind, fetched) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            ctx.metrics.on_error(ApiKey::Fetch, error.code());
            let error_code = error.code().code();
            return Staged::Done(FetchResponse { error_code, ..Default::default() });
        }
    };
    let mut fetch = Fetch::new(Arc::clone(ctx), call, kind, limits, fetched, is_impostor);
    fetch.read();
    if fetch.is_satisfied() && fetch.is_resident() {
        return Staged::Done(fetch.respond());
    }
    Staged::Waiting(Box::pin(async move {
        if !fetch.is_satisfied() {
            fetch.wait().await;
        }
        if !fetch.is_resident() {
            fetch.warm().await;
        }
        fetch.respond()
    }))
}

struct Limits {
    max_wait: Duration,
    min_bytes: i64,
    max_bytes: i32,
    isolation: Isolation,
    near: Option<Nearness>,
}

/// Which brokers are near to a consumer that is not near to this one.
struct Nearness {
    image: Arc<MetadataImage>,
    rack: String,
    listener_name: String,
}

impl Nearness {
    fn new(ctx: &Context, rack: &str) -> Option<Self> {
        let is_own = || ctx.config.listener.rack.as_deref() == Some(rack);
        if rack.is_empty() || !ctx.config.replication.is_rack_aware || is_own() {
            return None;
        }
        let (image, listener_name) = (ctx.controller.image(), ctx.listener_name.clone());
        Some(Self { image, rack: rack.to_owned(), listener_name })
    }

    /// Whether a broker is in the consumer's rack, in service, and can be reached by clients.
    fn is_near(&self, id: i32) -> bool {
        self.image.is_active(id)
            && self.image.broker(id).is_some_and(|broker| {
                broker.rack.as_deref() == Some(&*self.rack)
                    && broker.endpoint(&self.listener_name).is_some()
            })
    }
}

/// One partition of the fetch, and what was found in it.
struct Target {
    fetched: Fetched,
    partition: Result<Arc<Partition>, ErrorCode>,
    found: Result<Option<PartitionRead>, ErrorCode>,
    diverging: Option<EpochEndOffset>,
    /// The replica that the consumer is sent to.
    preferred: Option<i32>,
    /// The high watermark that was looked at: data may be there once it has moved.
    seen: i64,
}

/// A fetch under way.
struct Fetch {
    ctx: Arc<Context>,
    version: i16,
    received: Duration,
    kind: Kind,
    limits: Limits,
    targets: Vec<Target>,
    bytes: i64,
    has_news: bool,
    watch: Option<Arc<Watch>>,
}

impl Fetch {
    fn new(
        ctx: Arc<Context>,
        call: &Call,
        kind: Kind,
        limits: Limits,
        fetched: Vec<Fetched>,
        is_impostor: bool,
    ) -> Self {
        let lookup = |fetched: Fetched| {
            let index = fetched.request.partition;
            // Who can be sent to a follower may read from one.
            let found = match &fetched.topic {
                TopicKey::Id(id) => ctx.partitions.find_replica_by_id(*id, index),
                TopicKey::Name(_) if call.version >= 13 => Err(LookupError::UnknownTopicId),
                TopicKey::Name(name) if call.version >= 11 => {
                    ctx.partitions.find_replica(name, index)
                }
                TopicKey::Name(name) => ctx.partitions.find(name, index),
            };
            let partition = match found {
                _ if is_impostor => Err(ErrorCode::TopicAuthorizationFailed),
                Ok(partition) => Ok(partition),
                Err(error) => Err(error.code()),
            };
            Target {
                fetched,
                partition,
                found: Ok(None),
                diverging: None,
                preferred: None,
                seen: -1,
            }
        };
        let targets = fetched.into_iter().map(lookup).collect();
        Self {
            version: call.version,
            received: call.received,
            ctx,
            kind,
            limits,
            targets,
            bytes: 0,
            has_news: false,
            watch: None,
        }
    }

    /// Plans the read of every partition, in order, within the limits of the response.
    fn read(&mut self) {
        let mut bytes_left = usize::try_from(self.limits.max_bytes).unwrap_or(0);
        let mut is_first = true;
        self.bytes = 0;
        self.has_news = false;
        for target in &mut self.targets {
            target.read(bytes_left, is_first, &self.limits);
            match &target.found {
                Ok(Some(read)) if read.plan.size > 0 => {
                    // The first batch may be larger than the limit: else nobody would ever get it.
                    is_first = false;
                    bytes_left = bytes_left.saturating_sub(read.plan.size);
                    self.bytes += i64::try_from(read.plan.size).unwrap_or(i64::MAX);
                }
                Ok(_) => {}
                Err(_) => self.has_news = true,
            }
            self.has_news |= target.diverging.is_some() || target.preferred.is_some();
        }
    }

    fn is_satisfied(&self) -> bool {
        self.has_news
            || self.bytes >= self.limits.min_bytes
            || self.limits.max_wait.is_zero()
            || self.targets.is_empty()
    }

    /// Waits until enough has come or the time is over.
    async fn wait(&mut self) {
        let passed = self.ctx.seams.clock.monotonic().saturating_sub(self.received);
        let time = self.limits.max_wait.saturating_sub(passed);
        let watch = Arc::new(Watch::default());
        for partition in self.targets.iter().filter_map(|t| t.partition.as_ref().ok()) {
            partition.register_fetch(&watch);
        }
        self.watch = Some(Arc::clone(&watch));
        let is_over = within(time, self.wait_for_data(&watch)).await.is_none();
        if is_over && self.has_moved() {
            self.read();
        }
    }

    async fn wait_for_data(&mut self, watch: &Watch) {
        loop {
            watch.expect(self.limits.min_bytes - self.bytes);
            // A partition may have moved after it was read and before anybody watched it.
            if !self.has_moved() {
                wait_until(|cx| watch.is_due(cx)).await;
            }
            self.read();
            if self.is_satisfied() {
                return;
            }
        }
    }

    /// Whether all of it can be sent without waiting for the disk.
    fn is_resident(&self) -> bool {
        self.targets.iter().all(|target| match &target.found {
            Ok(Some(read)) => read.plan.is_resident(),
            Ok(None) | Err(_) => true,
        })
    }

    /// Reads what is not in memory first, so that sending does not wait for the disk.
    async fn warm(&mut self) {
        let cold = self.targets.iter().enumerate().filter_map(|(place, target)| {
            let read = target.found.as_ref().ok()?.as_ref()?;
            let partition = target.partition.as_ref().ok()?;
            (!read.plan.is_resident()).then(|| (place, Arc::clone(partition), read.plan.clone()))
        });
        for place in warm(&self.ctx, cold.collect()).await {
            self.targets[place].found = Err(ErrorCode::KafkaStorageError);
        }
    }

    fn has_moved(&self) -> bool {
        self.targets.iter().any(|target| match &target.partition {
            Ok(partition) => partition.high_watermark() != target.seen || partition.is_closed(),
            Err(_) => false,
        })
    }

    fn respond(mut self) -> FetchResponse {
        let ctx = Arc::clone(&self.ctx);
        let isolation = self.limits.isolation;
        let targets = std::mem::take(&mut self.targets);
        self.forget(&targets);
        let answer = |target: Target| target.answer(isolation);
        let mut found: Vec<_> = targets.into_iter().map(answer).collect();
        for (_, data) in found.iter().filter(|(_, data)| data.error_code != 0) {
            ctx.metrics.on_error(ApiKey::Fetch, ErrorCode::from_code(data.error_code));
        }
        let now = ctx.seams.clock.monotonic();
        let random = || ctx.seams.rng.next_u64();
        let session_id = ctx.fetch_sessions.lock().finish(self.kind, &mut found, now, random);
        let mut response = FetchResponse { session_id, ..Default::default() };
        for (Fetched { topic, .. }, data) in found {
            let (name, topic_id) = match topic {
                TopicKey::Id(id) => (String::new(), id),
                TopicKey::Name(name) => (name, Uuid::ZERO),
            };
            match response.responses.last_mut() {
                Some(last) if last.topic == name && last.topic_id == topic_id => {
                    last.partitions.push(data);
                }
                _ => response.responses.push(FetchableTopicResponse {
                    topic: name,
                    topic_id,
                    partitions: vec![data],
                }),
            }
        }
        self.add_leaders(&mut response);
        response
    }

    fn forget(&mut self, targets: &[Target]) {
        let Some(watch) = self.watch.take() else { return };
        for partition in targets.iter().filter_map(|target| target.partition.as_ref().ok()) {
            partition.forget_fetch(&watch);
        }
    }

    /// Names the leader beside each leadership error, so that the client need not ask (KIP-951).
    fn add_leaders(&self, response: &mut FetchResponse) {
        let moved = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];
        let is_moved = |data: &PartitionData| moved.iter().any(|e| e.code() == data.error_code);
        let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        if self.version < 16 || !partitions.any(is_moved) {
            return;
        }
        let image = self.ctx.controller.image();
        let mut leaders = BTreeSet::new();
        for topic in &mut response.responses {
            let found = image.topic_by_id(topic.topic_id);
            for data in topic.partitions.iter_mut().filter(|data| is_moved(data)) {
                let now = found.and_then(|topic| topic.partition(data.partition_index));
                if let Some(now) = now
                    && let Some(leader_id) = now.leader
                {
                    data.current_leader =
                        LeaderIdAndEpoch { leader_id, leader_epoch: now.leader_epoch };
                    leaders.insert(leader_id);
                }
            }
        }
        let endpoints = leaders.into_iter().filter_map(|id| self.ctx.endpoint_of(&image, id));
        response.node_endpoints = endpoints
            .map(|(node_id, host, port, rack)| NodeEndpoint { node_id, host, port, rack })
            .collect();
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let targets = std::mem::take(&mut self.targets);
        self.forget(&targets);
    }
}

impl Target {
    fn read(&mut self, bytes_left: usize, is_first: bool, limits: &Limits) {
        let partition = match &self.partition {
            Ok(partition) => partition,
            Err(error) => {
                self.found = Err(*error);
                return;
            }
        };
        let request = &self.fetched.request;
        self.seen = partition.high_watermark();
        if let Err(error) = partition.check_epoch(request.current_leader_epoch) {
            self.found = Err(error.code());
            return;
        }
        // A follower knows the history up to its high watermark: behind that it may lag, or be wrong itself.
        let is_judge = partition.is_leading() || request.fetch_offset <= self.seen;
        if request.last_fetched_epoch >= 0 && is_judge {
            match divergence(partition, request.last_fetched_epoch, request.fetch_offset) {
                Ok(diverging) => self.diverging = diverging,
                Err(error) => {
                    self.found = Err(error);
                    return;
                }
            }
        }
        let near = limits.near.as_ref().filter(|_| self.diverging.is_none());
        self.preferred = near.and_then(|near| {
            partition.nearest_replica(request.fetch_offset, |id| near.is_near(id))
        });
        let is_read_here = self.diverging.is_none() && self.preferred.is_none();
        let own_max = usize::try_from(request.partition_max_bytes).unwrap_or(0);
        let max_bytes = if is_read_here { own_max.min(bytes_left) } else { 0 };
        // Where the histories have parted there may be nothing at that offset: nothing is read then.
        let offset = match self.diverging {
            Some(_) => partition.log_start_offset(),
            None => request.fetch_offset,
        };
        let read = partition.read(offset, max_bytes, is_first && is_read_here, limits.isolation);
        self.found = read.map(Some).map_err(|error| error.code());
    }

    fn answer(self, isolation: Isolation) -> (Fetched, PartitionData) {
        let partition_index = self.fetched.request.partition;
        let data = match self.found {
            Ok(Some(read)) => PartitionData {
                partition_index,
                high_watermark: read.high_watermark,
                last_stable_offset: read.last_stable_offset,
                log_start_offset: read.log_start_offset,
                diverging_epoch: self.diverging.unwrap_or_default(),
                preferred_read_replica: self.preferred.unwrap_or(-1),
                aborted_transactions: match isolation {
                    Isolation::ReadCommitted => Some(aborted(&read)),
                    Isolation::ReadUncommitted | Isolation::Everything => None,
                },
                records: Some(match read.plan.size {
                    0 => Records::empty(),
                    _ => Records::from(read.plan.segments),
                }),
                ..PartitionData::default()
            },
            Ok(None) => failed(partition_index, ErrorCode::UnknownServerError),
            Err(error) => failed(partition_index, error),
        };
        (self.fetched, data)
    }
}

/// Reads what is not in memory, on the threads that may wait for the disk, and checks it: a batch
/// that the disk has damaged is not sent. Says for which of them that is so.
pub(super) async fn warm(
    ctx: &Context,
    cold: Vec<(usize, Arc<Partition>, ReadResult)>,
) -> Vec<usize> {
    let check = move || {
        let is_unreadable = |(_, partition, plan): &(usize, Arc<Partition>, ReadResult)| {
            partition.check(plan).is_err()
        };
        cold.into_iter().filter(is_unreadable).map(|(place, ..)| place).collect()
    };
    blocking(&*ctx.seams.spawn, check).await.unwrap_or_default()
}

pub(super) async fn wait_until(mut is_so: impl FnMut(&std::task::Context<'_>) -> bool) {
    std::future::poll_fn(|cx| match is_so(cx) {
        true => std::task::Poll::Ready(()),
        false => std::task::Poll::Pending,
    })
    .await;
}

pub(super) fn failed(partition_index: i32, error: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index,
        error_code: error.code(),
        high_watermark: -1,
        // Kafka's answer, byte for byte: where there is no log to look at, the list is empty.
        aborted_transactions: match error {
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Some(Vec::new()),
            _ => None,
        },
        records: Some(Records::empty()),
        ..PartitionData::default()
    }
}

fn aborted(read: &PartitionRead) -> Vec<AbortedTransaction> {
    read.aborted
        .iter()
        .map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        })
        .collect()
}

/// Where the log of whoever fetches has left ours, judged by the epoch of its last record.
pub(super) fn divergence(
    partition: &Partition,
    last_fetched_epoch: i32,
    fetch_offset: i64,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    let Some(end) = partition.end_offset_for_epoch(last_fetched_epoch) else {
        return Err(ErrorCode::OffsetOutOfRange);
    };
    let has_left = (end.leader_epoch < last_fetched_epoch || end.end_offset < fetch_offset)
        && !is_planted(Bug::DivergenceIsNotTold);
    Ok(has_left.then_some(EpochEndOffset { epoch: end.leader_epoch, end_offset: end.end_offset }))
}
