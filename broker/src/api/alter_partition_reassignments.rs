//! AlterPartitionReassignments (key 45), v0–v1. Moves partitions to other brokers, or ends such moves
//! (KIP-455). The answer says that they have begun.
//! v1 the client may forbid that the number of replicas changes (KIP-860).
//! Differs from Kafka: a partition that is named twice is refused the second time, where Kafka lets
//! the later one win.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse, ReassignableTopic, ReassignableTopicResponse,
};

use super::decided::{Undecided, decided};
use super::error::WireError;
use super::{Call, Context};
use crate::controller::{ReassignError, Reassignment};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allows_factor_change = request.allow_replication_factor_change;
    let topics = request.topics;
    let altered = ctx.controller.alter_reassignments(reassignments(&topics), allows_factor_change);
    let response = match decided(request.timeout_ms, call.decided(altered)).await {
        Ok(outcomes) => answer(&topics, outcomes.into_iter().map(outcome)),
        Err(error) => undecided(&topics, error),
    };
    // Whoever is answered finds the new replicas in this broker's logs.
    ctx.catch_up().await;
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: allows_factor_change,
        ..response
    }
}

fn reassignments(topics: &[ReassignableTopic]) -> Vec<Reassignment> {
    let partitions = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| Reassignment {
            topic: topic.name.clone(),
            partition: partition.partition_index,
            replicas: partition.replicas.clone(),
        })
    });
    partitions.collect()
}

fn outcome(outcome: Result<(), ReassignError>) -> (ErrorCode, Option<String>) {
    match outcome {
        Ok(()) => (ErrorCode::None, None),
        // Kafka says nothing more about a move that there is not.
        Err(error @ ReassignError::NotInProgress) => (error.code(), None),
        Err(error) => (error.code(), Some(error.to_string())),
    }
}

/// Refuses the request as a whole and, as Kafka does, each partition of it.
fn undecided(
    topics: &[ReassignableTopic],
    error: Undecided,
) -> AlterPartitionReassignmentsResponse {
    let (code, message) = (error.code(), error.message());
    AlterPartitionReassignmentsResponse {
        error_code: code.code(),
        error_message: message.clone(),
        ..answer(topics, std::iter::repeat((code, message)))
    }
}

/// Gives each partition the next of `outcomes`.
fn answer(
    topics: &[ReassignableTopic],
    mut outcomes: impl Iterator<Item = (ErrorCode, Option<String>)>,
) -> AlterPartitionReassignmentsResponse {
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let partitions = topic.partitions.iter().zip(&mut outcomes);
        let partitions =
            partitions.map(|(partition, (error, error_message))| ReassignablePartitionResponse {
                partition_index: partition.partition_index,
                error_code: error.code(),
                error_message,
            });
        let partitions = partitions.collect();
        responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions });
    }
    AlterPartitionReassignmentsResponse { responses, error_message: None, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use flumen_protocol::messages::alter_partition_reassignments::ReassignablePartition;

    use super::*;
    use crate::controller::NotLeader;

    fn topics() -> Vec<ReassignableTopic> {
        let partition = |partition_index, replicas: Option<&[i32]>| ReassignablePartition {
            partition_index,
            replicas: replicas.map(<[i32]>::to_vec),
        };
        vec![
            ReassignableTopic { name: "a".to_owned(), partitions: vec![partition(0, None)] },
            ReassignableTopic {
                name: "b".to_owned(),
                partitions: vec![partition(4, Some(&[1, 2])), partition(2, Some(&[3]))],
            },
        ]
    }

    fn seen(response: &AlterPartitionReassignmentsResponse) -> Vec<(String, i32, i16)> {
        let topics = response.responses.iter();
        let partitions = topics.flat_map(|topic| {
            let of = |p: &ReassignablePartitionResponse| {
                (topic.name.clone(), p.partition_index, p.error_code)
            };
            topic.partitions.iter().map(of)
        });
        partitions.collect()
    }

    #[test]
    fn every_partition_has_its_own_outcome() {
        let topics = topics();
        assert_eq!(reassignments(&topics)[1].replicas, Some(vec![1, 2]));
        let unknown = ReassignError::UnknownTopic { topic: "b".to_owned() };
        let outcomes = [Err(ReassignError::NotInProgress), Ok(()), Err(unknown)];
        let response = answer(&topics, outcomes.into_iter().map(outcome));
        let expected = [("a".to_owned(), 0, 85), ("b".to_owned(), 4, 0), ("b".to_owned(), 2, 3)];
        assert_eq!(seen(&response), expected);
        let messages: Vec<_> =
            response.responses[1].partitions.iter().map(|p| p.error_message.as_deref()).collect();
        assert_eq!(messages, [None, Some("Unable to find a topic named b.")]);
        assert_eq!(response.responses[0].partitions[0].error_message, None);
        assert_eq!((response.error_code, response.error_message), (0, None));
    }

    #[test]
    fn without_a_decision_every_partition_is_refused() {
        let response = undecided(&topics(), Undecided::from(NotLeader));
        let code = ErrorCode::NotController.code();
        assert_eq!(response.error_code, code);
        assert_eq!(seen(&response).iter().map(|seen| seen.2).collect::<Vec<_>>(), [code; 3]);
    }
}
