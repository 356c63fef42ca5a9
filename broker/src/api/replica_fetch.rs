//! Fetch of a follower, over the peer listener: it tells what the follower has, and reads to the end of
//! the log.
//!
//! Every follower has one session here (`session`), and a fetch looks only at those of its partitions
//! that the follower asks about anew or that have moved since it asked last, so that it costs what
//! is going on, however many partitions there are. Records, errors and the parting of histories are
//! answered at once. A newer high watermark alone is told a little later, as the next records bring it
//! along.

mod session;

use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use flumen_protocol::{ApiKey, ErrorCode, Records, Uuid};

use self::session::{Place, Session};
use super::fetch::{failed, wait_until, warm};
use super::{Call, Context, Staged};
use crate::clock::within;
use crate::partition::{Partition, PartitionRead};

pub(crate) use self::session::ReplicaSessions;

/// How long a follower with nothing else to get waits for a newer high watermark.
const HIGH_WATERMARK_DELAY: Duration = Duration::from_millis(20);

/// Starts a fetch of another broker.
pub(crate) fn start(
    ctx: &Arc<Context>,
    call: &Call,
    request: FetchRequest,
) -> Staged<FetchResponse> {
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let bytes_max = request.max_bytes.clamp(0, ctx.config.limits.fetch_bytes_max);
    let session = match ctx.replica_sessions.begin(ctx, request) {
        Ok(session) => session,
        Err(error) => {
            ctx.metrics.on_error(ApiKey::Fetch, error);
            return Staged::Done(FetchResponse { error_code: error.code(), ..Default::default() });
        }
    };
    let mut fetch = ReplicaFetch {
        ctx: Arc::clone(ctx),
        session,
        until: call.received + max_wait,
        bytes_max: usize::try_from(bytes_max).unwrap_or(0),
        seen: Vec::new(),
        held_until: None,
    };
    fetch.look();
    if fetch.is_due() && fetch.is_resident() {
        return Staged::Done(fetch.respond());
    }
    Staged::Waiting(Box::pin(async move {
        if !fetch.is_due() {
            fetch.wait().await;
        }
        if !fetch.is_resident() {
            fetch.warm().await;
        }
        fetch.respond()
    }))
}

/// What was found in one partition.
#[derive(Debug)]
struct Seen {
    place: Place,
    topic_id: Uuid,
    index: i32,
    partition: Option<Arc<Partition>>,
    found: Result<PartitionRead, ErrorCode>,
    diverging: Option<EpochEndOffset>,
    /// The follower has everything that was there.
    is_all: bool,
    /// It is copied at a rate.
    is_throttled: bool,
    /// And for that reason not now.
    is_held: bool,
}

impl Seen {
    fn size(&self) -> usize {
        self.found.as_ref().map_or(0, |read| read.plan.size)
    }

    /// Whether there is more to tell than how the ends of the log stand.
    fn is_due(&self) -> bool {
        self.found.is_err() || self.diverging.is_some() || self.size() > 0
    }

    /// Whether it has to be looked at again at the next fetch, even if nothing moves.
    fn is_open(&self) -> bool {
        self.is_due() || !self.is_all
    }

    fn answer(self) -> PartitionData {
        let data = match self.found {
            Ok(read) => PartitionData {
                partition_index: self.index,
                high_watermark: read.high_watermark,
                last_stable_offset: read.last_stable_offset,
                diverging_epoch: self.diverging.unwrap_or_default(),
                records: Some(match read.plan.size {
                    0 => Records::empty(),
                    _ => Records::from(read.plan.segments),
                }),
                ..PartitionData::default()
            },
            Err(error) => failed(self.index, error),
        };
        match self.partition {
            // One that is out of range begins anew where the log begins.
            Some(partition) => {
                PartitionData { log_start_offset: partition.log_start_offset(), ..data }
            }
            None => data,
        }
    }
}

/// A fetch under way.
struct ReplicaFetch {
    ctx: Arc<Context>,
    session: Arc<Session>,
    until: Duration,
    bytes_max: usize,
    /// What there is to tell.
    seen: Vec<Seen>,
    /// When there will be more of it, if some is held back.
    held_until: Option<Duration>,
}

impl ReplicaFetch {
    fn look(&mut self) {
        (self.seen, self.held_until) = self.session.look(&self.ctx, self.bytes_max);
    }

    fn is_due(&self) -> bool {
        self.seen.iter().any(Seen::is_due)
    }

    async fn wait(&mut self) {
        let session = Arc::clone(&self.session);
        let watch = session.watch();
        while !self.is_due() && !watch.is_over() {
            let end = self.held_until.map_or(self.until, |held| held.min(self.until));
            let time = end.saturating_sub(self.ctx.seams.clock.monotonic());
            if self.seen.is_empty()
                && within(time, wait_until(|cx| watch.has_news(cx))).await.is_none()
            {
                if end == self.until {
                    return;
                }
                // What was held back may be sent.
                self.look();
                continue;
            }
            let is_due = wait_until(|cx| watch.is_due(cx));
            let is_late = within(HIGH_WATERMARK_DELAY, is_due).await.is_none();
            self.look();
            if is_late {
                return;
            }
        }
    }

    fn is_resident(&self) -> bool {
        self.seen.iter().all(|seen| match &seen.found {
            Ok(read) => read.plan.is_resident(),
            Err(_) => true,
        })
    }

    /// Reads what is not in memory first, so that sending does not wait for the disk.
    async fn warm(&mut self) {
        let cold = self.seen.iter().enumerate().filter_map(|(number, seen)| {
            let read = seen.found.as_ref().ok()?;
            let partition = seen.partition.as_ref()?;
            (!read.plan.is_resident()).then(|| (number, Arc::clone(partition), read.plan.clone()))
        });
        for number in warm(&self.ctx, cold.collect()).await {
            self.seen[number].found = Err(ErrorCode::KafkaStorageError);
        }
    }

    fn respond(self) -> FetchResponse {
        let mut response =
            FetchResponse { session_id: self.session.id(), ..FetchResponse::default() };
        self.ctx.metrics.replication.on_sent(self.seen.iter().map(Seen::size).sum());
        let throttled = self.seen.iter().filter(|seen| seen.is_throttled).map(Seen::size).sum();
        let now = self.ctx.seams.clock.monotonic();
        self.ctx.partitions.throttles().leader.on_copied(throttled, now);
        self.ctx.metrics.replication.on_throttled_sent(throttled);
        for (topic_id, data) in self.session.tell(self.seen) {
            if data.error_code != 0 {
                let error = ErrorCode::from_code(data.error_code);
                self.ctx.metrics.on_error(ApiKey::Fetch, error);
            }
            match response.responses.last_mut() {
                Some(last) if last.topic_id == topic_id => last.partitions.push(data),
                _ => response.responses.push(FetchableTopicResponse {
                    topic_id,
                    partitions: vec![data],
                    ..FetchableTopicResponse::default()
                }),
            }
        }
        response
    }
}
