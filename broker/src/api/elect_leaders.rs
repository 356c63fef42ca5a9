//! ElectLeaders (key 43), v0–v2. Elects the preferred leaders, or, where nobody leads, any replica.
//! v1 the kind of election (KIP-460) · v2 flexible encoding.
//! Differs from Kafka: nothing known.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::decided::decided_soon;
use super::error::WireError;
use super::{Call, Context};
use crate::controller::{ElectionError, ElectionType, TopicElections};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    // Before version 1 only the preferred leader could be asked for.
    let code = if call.version == 0 { 0 } else { request.election_type };
    let topics: Option<Vec<(String, Vec<i32>)>> = request
        .topic_partitions
        .map(|topics| topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect());
    if topics.as_ref().is_some_and(Vec::is_empty) {
        return ElectLeadersResponse::default();
    }
    let Some(election) = ElectionType::from_code(code) else {
        return unknown_election(code, topics.unwrap_or_default());
    };
    let elected = call.decided(ctx.controller.elect_leaders(election, topics));
    match decided_soon(elected).await {
        Ok(elected) => ElectLeadersResponse {
            replica_election_results: elected.into_iter().map(topic_result).collect(),
            ..Default::default()
        },
        Err(error) => refusal(error.code()),
    }
}

/// Refuses the request as a whole and, as Kafka does, each partition of it.
fn unknown_election(code: i8, topics: Vec<(String, Vec<i32>)>) -> ElectLeadersResponse {
    let error = ErrorCode::InvalidRequest;
    let result = |partition_id| PartitionResult {
        partition_id,
        error_code: error.code(),
        error_message: Some(format!("Unknown election type {code}")),
    };
    let topic_result = |(topic, partitions): (String, Vec<i32>)| ReplicaElectionResult {
        topic,
        partition_result: partitions.into_iter().map(result).collect(),
    };
    ElectLeadersResponse {
        replica_election_results: topics.into_iter().map(topic_result).collect(),
        ..refusal(error)
    }
}

fn refusal(error: ErrorCode) -> ElectLeadersResponse {
    ElectLeadersResponse { error_code: error.code(), ..Default::default() }
}

fn topic_result((topic, partitions): TopicElections) -> ReplicaElectionResult {
    let result = |(partition_id, elected): (i32, Result<(), ElectionError>)| PartitionResult {
        partition_id,
        error_code: elected.code().code(),
        error_message: elected.err().map(|error| error.to_string()),
    };
    ReplicaElectionResult { topic, partition_result: partitions.into_iter().map(result).collect() }
}
