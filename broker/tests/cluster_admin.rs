//! The APIs that administer a cluster, over real sockets, on a broker that is alone: what they refuse
//! is what Apache Kafka 4.4 refuses, in its words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::add_raft_voter::AddRaftVoterRequest;
use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;
use flumen_protocol::messages::remove_raft_voter::RemoveRaftVoterRequest;
use flumen_protocol::messages::unregister_broker::UnregisterBrokerRequest;
use support::{Node, batch};

/// A request to move partition 0 or others of `topic`.
fn moves(topic: &str, partitions: &[(i32, Option<&[i32]>)]) -> AlterPartitionReassignmentsRequest {
    let partition = |(partition_index, replicas): &(i32, Option<&[i32]>)| ReassignablePartition {
        partition_index: *partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    let partitions = partitions.iter().map(partition).collect();
    AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: topic.to_owned(), partitions }],
        ..Default::default()
    }
}

#[test]
fn moves_that_cannot_be_made_are_refused_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    let mut answers = |request: &AlterPartitionReassignmentsRequest| {
        let response = client.call(1, request);
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let answers = partitions.map(|of| (ErrorCode::from_code(of.error_code), of.error_message));
        (ErrorCode::from_code(response.error_code), answers.collect::<Vec<_>>())
    };
    let mut check = |topic, partition, replicas: Option<&[i32]>, error, message: Option<&str>| {
        let answered = answers(&moves(topic, &[(partition, replicas)]));
        let expected = (ErrorCode::None, vec![(error, message.map(str::to_owned))]);
        assert_eq!(answered, expected, "{topic} {partition} {replicas:?}");
    };
    let wrong = ErrorCode::InvalidReplicaAssignment;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let no_broker =
        "The manual partition assignment includes broker 9, but no such broker is registered.";
    let twice = "The manual partition assignment includes the broker 1 more than once.";
    let empty = "The manual partition assignment includes an empty replica list.";
    check("t", 0, Some(&[1, 9]), wrong, Some(no_broker));
    check("t", 0, Some(&[1, 1]), wrong, Some(twice));
    check("t", 0, Some(&[]), wrong, Some(empty));
    check("t", 7, Some(&[1]), unknown, Some("Unable to find partition t:7."));
    check("nope", 0, None, unknown, Some("Unable to find a topic named nope."));
    check("t", 0, None, ErrorCode::NoReassignmentInProgress, None);
    check("t", 0, Some(&[1]), ErrorCode::None, None);

    // Without time nothing is tried.
    let late = AlterPartitionReassignmentsRequest { timeout_ms: 0, ..moves("t", &[(0, None)]) };
    let timed_out = ErrorCode::RequestTimedOut;
    assert_eq!(answers(&late), (timed_out, vec![(timed_out, None)]));

    let listed = client.call(0, &ListPartitionReassignmentsRequest::default());
    assert_eq!((listed.error_code, listed.topics.len()), (0, 0));
    node.stop();
}

#[test]
fn a_broker_that_is_not_registered_cannot_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let response = node.client().call(0, &UnregisterBrokerRequest { broker_id: 77 });
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::BrokerIdNotRegistered);
    let message = "Broker ID 77 is not currently registered";
    assert_eq!(response.error_message.as_deref(), Some(message));
    node.stop();
}

#[test]
fn a_broker_that_runs_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let response = node.client().call(0, &UnregisterBrokerRequest { broker_id: 1 });
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::InvalidRequest);
    let message = "Broker ID 1 is still running, and has to be stopped first";
    assert_eq!(response.error_message.as_deref(), Some(message));
    // It is as it was.
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    assert_eq!(client.produce("t", 0, batch(&["a"])), (ErrorCode::None, 0));
    node.stop();
}

#[test]
fn the_only_voter_stays_and_nobody_votes_who_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut client = node.client();
    let mut add = |voter_id, cluster_id: Option<&str>| {
        let cluster_id = cluster_id.map(str::to_owned);
        let request =
            AddRaftVoterRequest { cluster_id, timeout_ms: 10_000, voter_id, ..Default::default() };
        ErrorCode::from_code(client.call(1, &request).error_code)
    };
    assert_eq!(add(2, Some("elsewhere")), ErrorCode::InconsistentClusterId);
    assert_eq!(add(1, None), ErrorCode::DuplicateVoter);
    assert_eq!(add(2, None), ErrorCode::RequestTimedOut);
    let mut remove = |voter_id| {
        let request = RemoveRaftVoterRequest { cluster_id: None, voter_id, ..Default::default() };
        ErrorCode::from_code(client.call(0, &request).error_code)
    };
    assert_eq!(remove(2), ErrorCode::VoterNotFound);
    assert_eq!(remove(1), ErrorCode::InvalidRequest);
    node.stop();
}
