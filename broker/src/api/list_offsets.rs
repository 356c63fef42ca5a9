//! ListOffsets (key 2), v1–v11. Finds offsets by time, and the ends of the log.
//! v2 isolation level · v4 leader epochs (KIP-320) · v7 the record with the largest timestamp
//! (KIP-734) · v8, v9, v11 ends of tiered storage, of which there is none.
//! Differs from Kafka: nothing known.

use std::collections::BTreeSet;
use std::sync::Arc;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};
use flumen_protocol::{ApiKey, ErrorCode};
use flumen_storage::TimestampQuery;

use super::error::WireError;
use super::{Call, Context};
use crate::partition::{Isolation, Partition};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    ctx.sync_appended(looked_through(ctx, &request.topics)).await;
    let repeated = repeated_partitions(&request.topics);
    let topics = request.topics.into_iter().map(|ListOffsetsTopic { name, partitions }| {
        let answer = |asked: ListOffsetsPartition| {
            let partition_index = asked.partition_index;
            let is_repeated = repeated.contains(&(name.clone(), partition_index));
            let found = match is_repeated {
                true => Err(ErrorCode::InvalidRequest),
                false => lookup(ctx, call.version, &name, &asked, isolation),
            };
            found.unwrap_or_else(|error| {
                ctx.metrics.on_error(ApiKey::ListOffsets, error);
                ListOffsetsPartitionResponse {
                    partition_index,
                    error_code: error.code(),
                    ..Default::default()
                }
            })
        };
        let partitions = partitions.into_iter().map(answer).collect();
        ListOffsetsTopicResponse { name, partitions }
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

/// The partitions whose end matters to the answer.
fn looked_through(ctx: &Context, topics: &[ListOffsetsTopic]) -> Vec<Arc<Partition>> {
    let asked = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    let to_the_end = asked.filter(|(_, partition)| {
        matches!(
            TimestampQuery::from_timestamp(partition.timestamp),
            Some(TimestampQuery::Latest | TimestampQuery::Newest | TimestampQuery::At(_))
        )
    });
    to_the_end.filter_map(|(topic, p)| ctx.partitions.get(&topic.name, p.partition_index)).collect()
}

fn repeated_partitions(topics: &[ListOffsetsTopic]) -> BTreeSet<(String, i32)> {
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for topic in topics {
        for partition in &topic.partitions {
            if !seen.insert((topic.name.as_str(), partition.partition_index)) {
                repeated.insert((topic.name.clone(), partition.partition_index));
            }
        }
    }
    repeated
}

/// The version from which a special timestamp may be asked for.
fn first_version(query: TimestampQuery) -> i16 {
    match query {
        TimestampQuery::At(_) | TimestampQuery::Latest | TimestampQuery::Earliest => 1,
        TimestampQuery::Newest => 7,
        TimestampQuery::EarliestLocal => 8,
        TimestampQuery::LatestTiered => 9,
        TimestampQuery::EarliestPendingUpload => 11,
    }
}

fn lookup(
    ctx: &Context,
    version: i16,
    topic: &str,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    // What cannot be asked for is refused for topics that are not there as well.
    let query = TimestampQuery::from_timestamp(asked.timestamp)
        .filter(|query| first_version(*query) <= version)
        .ok_or(ErrorCode::UnsupportedVersion)?;
    let partition =
        ctx.partitions.find(topic, asked.partition_index).map_err(|error| error.code())?;
    partition.check_epoch(asked.current_leader_epoch).map_err(|error| error.code())?;
    // An earlier leader may have shown more than this one knows to be committed (R14).
    let is_of_the_end = !matches!(query, TimestampQuery::Earliest | TimestampQuery::EarliestLocal);
    let is_settled = partition.is_settled() || is_planted(Bug::EndsAreToldUnsettled);
    if is_of_the_end && !is_settled {
        // Older clients do not know the code that says so.
        return Err(match version {
            ..5 => ErrorCode::LeaderNotAvailable,
            5.. => ErrorCode::OffsetNotAvailable,
        });
    }
    let found = partition.offset_for(query, isolation).map_err(|error| error.code())?;
    Ok(ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: ErrorCode::None.code(),
        timestamp: found.timestamp,
        offset: found.offset,
        // Older versions have no place for it.
        leader_epoch: found.leader_epoch.filter(|_| version >= 4).unwrap_or(-1),
    })
}
