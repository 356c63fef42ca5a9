//! OffsetFetch (key 9), v1–v10. Tells how far groups have got.
//! v2 all topics, top-level error · v3 throttle time · v5 leader epoch (KIP-320) · v6 flexible
//! encoding · v7 only stable offsets · v8 several groups (KIP-709) · v9 members of newer group
//! types (KIP-848) · v10 topic ids.
//! Differs from Kafka: an offset committed for a deleted topic is not given for a new topic of the
//! same name, in any version; a request for all offsets that names groups again and again is not
//! answered as often. Without transactions every offset is stable.

use flumen_protocol::ErrorCode;
use flumen_protocol::Uuid;
use flumen_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::error::WireError;
use super::repetitions::Repetitions;
use super::{Call, Context};
use crate::controller::MetadataImage;
use crate::group::{CommittedOffset, FetchTopic, FetchedTopic, GroupError};

/// What stands for an offset where there is none.
const NO_OFFSET: i64 = -1;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let by_id = call.version >= 10;
    if call.version >= 8 {
        let mut groups = Vec::with_capacity(request.groups.len());
        // A few bytes that name a group are answered with everything it has committed.
        let mut repetitions = Repetitions::default();
        for group in request.groups {
            if group.topics.is_none() && !repetitions.admit(group.group_id.clone()) {
                continue;
            }
            groups.push(fetch_group(ctx, by_id, group).await);
        }
        return OffsetFetchResponse { groups, ..Default::default() };
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        topics.collect()
    });
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    single(call.version, fetch_group(ctx, by_id, group).await)
}

/// The form of the response when there was one group only. Version 1 has no place for an error but
/// the partitions.
fn single(version: i16, group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let is_failed = group.error_code != ErrorCode::None.code();
    let topics = if is_failed && version >= 2 { Vec::new() } else { group.topics };
    let topics = topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(single_partition).collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

fn single_partition(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    }
}

async fn fetch_group(
    ctx: &Context,
    by_id: bool,
    group: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let image = ctx.controller.image();
    let outcome = match group.topics {
        Some(topics) => {
            let (wanted, known): (Vec<_>, Vec<_>) =
                topics.into_iter().map(|topic| resolve(&image, by_id, topic)).unzip();
            fetch_topics(ctx, &group.group_id, wanted, known).await
        }
        None => fetch_all(ctx, &image, by_id, &group.group_id).await,
    };
    match outcome {
        Ok(topics) => {
            OffsetFetchResponseGroup { group_id: group.group_id, topics, ..Default::default() }
        }
        Err((topics, error)) => OffsetFetchResponseGroup {
            group_id: group.group_id,
            topics,
            error_code: error.code().code(),
        },
    }
}

/// The response topic with nothing found yet, and what to ask the group for, if the topic exists.
/// Names are taken as they are: offsets outlive what the metadata knows.
fn resolve(
    image: &MetadataImage,
    by_id: bool,
    topic: OffsetFetchRequestTopics,
) -> (OffsetFetchResponseTopics, Option<FetchTopic>) {
    let found = if by_id { image.topic_by_id(topic.topic_id) } else { image.topic(&topic.name) };
    let wanted = match found {
        None if by_id => None,
        found => Some(FetchTopic {
            name: found.map_or_else(|| topic.name.clone(), |found| found.name.to_string()),
            id: found.map_or(Uuid::ZERO, |found| found.id),
            partitions: topic.partition_indexes.clone(),
        }),
    };
    let error = if wanted.is_some() { ErrorCode::None } else { ErrorCode::UnknownTopicId };
    let partitions = topic.partition_indexes.into_iter();
    let response = OffsetFetchResponseTopics {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: partitions.map(|index| nothing_found(index, error)).collect(),
    };
    (response, wanted)
}

type Fetched = Result<Vec<OffsetFetchResponseTopics>, (Vec<OffsetFetchResponseTopics>, GroupError)>;

async fn fetch_topics(
    ctx: &Context,
    group_id: &str,
    mut topics: Vec<OffsetFetchResponseTopics>,
    wanted: Vec<Option<FetchTopic>>,
) -> Fetched {
    let is_known: Vec<bool> = wanted.iter().map(Option::is_some).collect();
    match ctx.groups.fetch(group_id, wanted.into_iter().flatten().collect()).await {
        Ok(fetched) => {
            let known = topics.iter_mut().zip(is_known).filter(|(_, is_known)| *is_known);
            for ((topic, _), found) in known.zip(fetched) {
                topic.partitions = found.partitions.into_iter().map(partition).collect();
            }
            Ok(topics)
        }
        Err(error) => {
            let code = error.code().code();
            topics.iter_mut().flat_map(|t| &mut t.partitions).for_each(|p| p.error_code = code);
            Err((topics, error))
        }
    }
}

async fn fetch_all(ctx: &Context, image: &MetadataImage, by_id: bool, group_id: &str) -> Fetched {
    let fetched = ctx.groups.fetch_all(group_id).await.map_err(|error| (Vec::new(), error))?;
    let topics = fetched.into_iter().filter_map(|FetchedTopic { name, partitions }| {
        let id = image.topic(&name).map(|topic| topic.id);
        let is_current = |committed: &CommittedOffset| {
            id.is_none_or(|id| committed.topic_id.is_zero() || committed.topic_id == id)
        };
        // A topic that is gone has no id that the client could know it by.
        if by_id && id.is_none() {
            return None;
        }
        let partitions = partitions
            .into_iter()
            .filter(|(_, found)| found.as_ref().is_some_and(is_current))
            .map(partition)
            .collect();
        let topic_id = id.filter(|_| by_id).unwrap_or_default();
        let name = if by_id { String::new() } else { name };
        Some(OffsetFetchResponseTopics { name, topic_id, partitions })
    });
    Ok(topics.filter(|topic| !topic.partitions.is_empty()).collect())
}

fn partition((index, found): (i32, Option<CommittedOffset>)) -> OffsetFetchResponsePartitions {
    match found {
        Some(committed) => OffsetFetchResponsePartitions {
            partition_index: index,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            metadata: Some(committed.metadata),
            error_code: ErrorCode::None.code(),
        },
        None => nothing_found(index, ErrorCode::None),
    }
}

fn nothing_found(index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: NO_OFFSET,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: error.code(),
    }
}
