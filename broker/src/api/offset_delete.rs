//! OffsetDelete (key 47), v0. Deletes committed offsets of topics that the group does not read.
//! Differs from Kafka: nothing known.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let image = ctx.controller.image();
    let topics: Vec<(String, Vec<i32>)> = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic.partitions.into_iter().map(|p| p.partition_index).collect();
            (topic.name, partitions)
        })
        .collect();
    let exists = |topic: &str, index| image.partition(topic, index).is_some();
    let existing: Vec<(String, Vec<i32>)> = topics
        .iter()
        .map(|(topic, partitions)| {
            let existing = partitions.iter().copied().filter(|&index| exists(topic, index));
            (topic.clone(), existing.collect())
        })
        .collect();
    let deleted = match ctx.groups.delete_offsets(&request.group_id, &existing).await {
        Ok(deleted) => deleted,
        Err(error) => {
            return OffsetDeleteResponse { error_code: error.code().code(), ..Default::default() };
        }
    };
    let results = topics.into_iter().zip(deleted).map(|((topic, partitions), deleted)| {
        let mut deleted = deleted.into_iter();
        let partitions = partitions.into_iter().map(|index| {
            let error = if exists(&topic, index) {
                deleted.next().map_or(ErrorCode::None, |(_, result)| result.code())
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            OffsetDeleteResponsePartition { partition_index: index, error_code: error.code() }
        });
        OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.clone() }
    });
    OffsetDeleteResponse { topics: results.collect(), ..Default::default() }
}
