//! DeleteRecords (key 21), v0–v2. Moves the start of partitions up; -1 means the high watermark.
//! Answered when no replica in service has the records any more, as far as the client's time allows.
//! Differs from Kafka: nothing known.

use std::sync::Arc;
use std::time::Duration;

use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::error::WireError;
use super::{Call, Context};
use crate::clock::within;
use crate::controller::is_internal_topic;
use crate::partition::Partition;

/// How often is looked whether followers have moved the starts of their logs. They hear of the
/// leader's within milliseconds, and nobody deletes records often.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let named = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.filter_map(|p| ctx.partitions.get(&topic.name, p.partition_index))
    });
    ctx.sync_appended(named.collect()).await;
    let time = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics: Vec<(String, Vec<Deletion>)> = Vec::new();
    for topic in request.topics {
        let delete = |asked| Deletion::begin(ctx, &topic.name, &asked);
        let deletions = topic.partitions.into_iter().map(delete).collect();
        topics.push((topic.name, deletions));
    }
    let deletions = || topics.iter().flat_map(|(_, deletions)| deletions);
    loop {
        let left = (call.received + time).saturating_sub(ctx.seams.clock.monotonic());
        if left.is_zero() || deletions().all(|deletion| deletion.is_over(ctx)) {
            break;
        }
        within(LOOK_INTERVAL.min(left), std::future::pending::<()>()).await;
    }
    let topics = topics.into_iter().map(|(name, deletions)| {
        let partitions = deletions.into_iter().map(|deletion| deletion.answer(ctx)).collect();
        DeleteRecordsTopicResult { name, partitions }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
}

/// One partition of a request.
struct Deletion {
    partition_index: i32,
    begun: Result<Begun, ErrorCode>,
}

/// What is gone on this broker.
struct Begun {
    partition: Arc<Partition>,
    /// Everything below is to go.
    offset: i64,
}

impl Deletion {
    fn begin(ctx: &Context, topic: &str, asked: &DeleteRecordsPartition) -> Self {
        let begun = Begun::begin(ctx, topic, asked);
        Self { partition_index: asked.partition_index, begun }
    }

    fn is_over(&self, ctx: &Context) -> bool {
        self.begun
            .as_ref()
            .map_or(true, |begun| begun.low_watermark(ctx).is_none_or(|low| low >= begun.offset))
    }

    fn answer(self, ctx: &Context) -> DeleteRecordsPartitionResult {
        let outcome = self.begun.map(|begun| (begun.low_watermark(ctx), begun.offset));
        let (low_watermark, error) = match outcome {
            Err(error) => (-1, error),
            Ok((Some(low_watermark), offset)) if low_watermark >= offset => {
                (low_watermark, ErrorCode::None)
            }
            Ok((Some(low_watermark), _)) => (low_watermark, ErrorCode::RequestTimedOut),
            Ok((None, _)) => (-1, ErrorCode::NotLeaderOrFollower),
        };
        ctx.metrics.on_error(ApiKey::DeleteRecords, error);
        let (partition_index, error_code) = (self.partition_index, error.code());
        DeleteRecordsPartitionResult { partition_index, low_watermark, error_code }
    }
}

impl Begun {
    fn begin(
        ctx: &Context,
        topic: &str,
        asked: &DeleteRecordsPartition,
    ) -> Result<Self, ErrorCode> {
        if is_internal_topic(topic) {
            return Err(ErrorCode::InvalidTopicException);
        }
        let partition =
            ctx.partitions.find(topic, asked.partition_index).map_err(|error| error.code())?;
        if !partition.lets_delete() {
            return Err(ErrorCode::PolicyViolation);
        }
        let start = partition.delete_records_before(asked.offset).map_err(|error| error.code())?;
        // The log may have started later already; nobody has to wait for that.
        let offset = if asked.offset < 0 { start } else { asked.offset };
        Ok(Self { partition, offset })
    }

    /// Below it nobody in service has anything; `None` if another leads now.
    fn low_watermark(&self, ctx: &Context) -> Option<i64> {
        let image = ctx.controller.image();
        self.partition.low_watermark(|id| image.broker(id).is_some_and(|broker| !broker.fenced))
    }
}
