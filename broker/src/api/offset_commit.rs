//! OffsetCommit (key 8), v2–v10. Stores how far a group has got; answered when it is safe.
//! v3 throttle time · v5 no retention time of its own any more · v6 leader epoch (KIP-320) · v7
//! static members (KIP-345) · v8 flexible encoding · v9 members of newer group types (KIP-848) ·
//! v10 topic ids.
//! Differs from Kafka: an offset set by hand for a group that has been empty for long is kept for the
//! whole retention time; Kafka counts from when the group became empty, and may forget it at once.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::error::WireError;
use super::{Call, Context};
use crate::controller::MetadataImage;
use crate::group::{CommitPartition, CommitRequest, CommitTopic, GroupError, PartitionResult};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let image = ctx.controller.image();
    let (mut topics, commits): (Vec<_>, Vec<_>) = request
        .topics
        .into_iter()
        .map(|topic| check_topic(&image, call.version >= 10, topic))
        .unzip();
    let commit = CommitRequest {
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        knows_group_not_found: call.version >= 9,
        retention_ms: Some(request.retention_time_ms).filter(|&retention_ms| retention_ms >= 0),
        topics: commits,
    };
    if commit.topics.iter().any(|topic| !topic.partitions.is_empty()) {
        fill_in(&mut topics, ctx.groups.commit(commit).await);
    }
    OffsetCommitResponse { throttle_time_ms: 0, topics }
}

/// Sorts out what does not exist. The rest is to be committed, and in the response it stands as
/// if it had been.
fn check_topic(
    image: &MetadataImage,
    by_id: bool,
    topic: OffsetCommitRequestTopic,
) -> (OffsetCommitResponseTopic, CommitTopic) {
    let (found, unknown) = if by_id {
        (image.topic_by_id(topic.topic_id), ErrorCode::UnknownTopicId)
    } else {
        (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
    };
    let mut results = Vec::with_capacity(topic.partitions.len());
    let mut commits = Vec::with_capacity(topic.partitions.len());
    for partition in topic.partitions {
        let index = partition.partition_index;
        let error = match found {
            None => unknown,
            Some(known) if known.partition(index).is_none() => ErrorCode::UnknownTopicOrPartition,
            Some(_) => ErrorCode::None,
        };
        results.push(OffsetCommitResponsePartition {
            partition_index: index,
            error_code: error.code(),
        });
        if error == ErrorCode::None {
            commits.push(CommitPartition {
                index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.unwrap_or_default(),
            });
        }
    }
    let commit = CommitTopic {
        name: found.map_or_else(String::new, |known| known.name.to_string()),
        id: found.map(|known| known.id).unwrap_or_default(),
        partitions: commits,
    };
    let response = OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: results,
    };
    (response, commit)
}

/// Puts the results of the commit where the response has none yet.
fn fill_in(
    topics: &mut [OffsetCommitResponseTopic],
    outcome: Result<Vec<Vec<PartitionResult>>, GroupError>,
) {
    let error = outcome.code();
    let mut results = outcome.unwrap_or_default().into_iter();
    for topic in topics {
        let mut committed = results.next().unwrap_or_default().into_iter();
        let open = topic.partitions.iter_mut().filter(|p| p.error_code == ErrorCode::None.code());
        for partition in open {
            let code = committed.next().map_or(error, |(_, result)| result.code());
            partition.error_code = code.code();
        }
    }
}
