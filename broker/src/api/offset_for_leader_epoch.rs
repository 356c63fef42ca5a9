//! OffsetForLeaderEpoch (key 23), v2–v4. Where the records of a leader epoch end, so that a
//! consumer can tell whether the log was truncated behind its back (KIP-320).
//! Differs from Kafka: nothing known.

use flumen_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopic, OffsetForLeaderTopicResult,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|OffsetForLeaderTopic { topic, partitions }| {
        let answer = |asked: OffsetForLeaderPartition| {
            lookup(ctx, &topic, &asked).unwrap_or_else(|error| {
                ctx.metrics.on_error(ApiKey::OffsetForLeaderEpoch, error);
                EpochEndOffset {
                    error_code: error.code(),
                    partition: asked.partition,
                    ..Default::default()
                }
            })
        };
        let partitions = partitions.into_iter().map(answer).collect();
        OffsetForLeaderTopicResult { topic, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn lookup(
    ctx: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    let partition = ctx.partitions.find(topic, asked.partition).map_err(|error| error.code())?;
    partition.check_epoch(asked.current_leader_epoch).map_err(|error| error.code())?;
    let mut answer = EpochEndOffset { partition: asked.partition, ..Default::default() };
    if let Some(end) = partition.end_offset_for_epoch(asked.leader_epoch) {
        answer.leader_epoch = end.leader_epoch;
        answer.end_offset = end.end_offset;
    }
    Ok(answer)
}
