//! DeleteRecords (key 21), v0–v2. Moves the start of partitions up; -1 means the high watermark.
//! Differs from Kafka: nothing known.

use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopic, DeleteRecordsTopicResult,
};
use flumen_protocol::{ApiKey, ErrorCode};

use super::error::WireError;
use super::{Call, Context};
use crate::controller::is_internal_topic;

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let named = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.filter_map(|p| ctx.partitions.get(&topic.name, p.partition_index))
    });
    ctx.sync_appended(named.collect()).await;
    let topics = request.topics.into_iter().map(|DeleteRecordsTopic { name, partitions }| {
        let answer = |asked: DeleteRecordsPartition| {
            let partition_index = asked.partition_index;
            match delete(ctx, &name, &asked) {
                Ok(low_watermark) => DeleteRecordsPartitionResult {
                    partition_index,
                    low_watermark,
                    ..Default::default()
                },
                Err(error) => {
                    ctx.metrics.on_error(ApiKey::DeleteRecords, error);
                    let (low_watermark, error_code) = (-1, error.code());
                    DeleteRecordsPartitionResult { partition_index, low_watermark, error_code }
                }
            }
        };
        let partitions = partitions.into_iter().map(answer).collect();
        DeleteRecordsTopicResult { name, partitions }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
}

fn delete(ctx: &Context, topic: &str, asked: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    if is_internal_topic(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition =
        ctx.partitions.find(topic, asked.partition_index).map_err(|error| error.code())?;
    if !partition.lets_delete() {
        return Err(ErrorCode::PolicyViolation);
    }
    partition.delete_records_before(asked.offset).map_err(|error| error.code())
}
