//! Groups over real sockets, with nothing of our own client in between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Barrier;
use std::time::Duration;

use bytes::Bytes;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::find_coordinator::FindCoordinatorRequest;
use flumen_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use flumen_protocol::messages::leave_group::LeaveGroupRequest;
use flumen_protocol::messages::list_groups::ListGroupsRequest;
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use flumen_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use flumen_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use support::{Client, Node, config};

const GROUP: &str = "g";
const TOPIC: &str = "t";

/// Between tries.
const PAUSE: Duration = Duration::from_millis(5);

fn start(dir: &std::path::Path, initial_delay_ms: &'static str) -> Node {
    let settings = [
        ("group.initial.rebalance.delay.ms", initial_delay_ms),
        ("offsets.topic.num.partitions", "3"),
    ];
    Node::start_on(config(dir, &settings), flumen_client::connection::Seams::real())
}

fn find(client: &mut Client, key: &str, key_type: i8) -> ErrorCode {
    let request = FindCoordinatorRequest { key: key.to_owned(), key_type, ..Default::default() };
    ErrorCode::from_code(client.call(3, &request).error_code)
}

/// Asks as a client does: again while the answer is that the coordinator is not ready yet.
fn patiently<T>(mut ask: impl FnMut() -> (i16, T)) -> (ErrorCode, T) {
    for _ in 0..6_000 {
        let (code, answer) = ask();
        let error = ErrorCode::from_code(code);
        let is_moving = matches!(
            error,
            ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
        );
        if !is_moving {
            return (error, answer);
        }
        std::thread::sleep(PAUSE);
    }
    panic!("the coordinator was never ready");
}

fn join(client: &mut Client, member_id: &str) -> (ErrorCode, JoinGroupResponse) {
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::new() };
    let request = JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    patiently(|| {
        let response = client.call(5, &request);
        (response.error_code, response)
    })
}

fn commit(client: &mut Client, member: &JoinGroupResponse, offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some("note".to_owned()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: TOPIC.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP.to_owned(),
        generation_id_or_member_epoch: member.generation_id,
        member_id: member.member_id.clone(),
        topics: vec![topic],
        ..Default::default()
    };
    let response = client.call(8, &request);
    ErrorCode::from_code(response.topics[0].partitions[0].error_code)
}

fn fetch(client: &mut Client) -> (i64, Option<String>) {
    let topic = OffsetFetchRequestTopic { name: TOPIC.to_owned(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let (error, response) = patiently(|| {
        let response = client.call(5, &request);
        (response.error_code, response)
    });
    assert_eq!(error, ErrorCode::None);
    let partition = &response.topics[0].partitions[0];
    (partition.committed_offset, partition.metadata.clone())
}

#[test]
fn a_group_forms_commits_and_is_still_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), "0");
    node.create_topic(TOPIC, 1, &[]);
    let mut client = node.client();
    assert_eq!(find(&mut client, GROUP, 0), ErrorCode::None, "the first to ask creates the topic");
    assert_eq!(
        find(&mut client, "transaction", 1),
        ErrorCode::TransactionalIdAuthorizationFailed,
        "final for every client"
    );
    let (error, first) = join(&mut client, "");
    assert_eq!(error, ErrorCode::MemberIdRequired);
    let (error, member) = join(&mut client, &first.member_id);
    assert_eq!((error, member.generation_id), (ErrorCode::None, 1));
    assert_eq!((&member.leader, member.members.len()), (&member.member_id, 1));
    let assignment = SyncGroupRequestAssignment {
        member_id: member.member_id.clone(),
        assignment: Bytes::from_static(b"all of it"),
    };
    let sync = SyncGroupRequest {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: member.member_id.clone(),
        assignments: vec![assignment],
        ..Default::default()
    };
    assert_eq!(client.call(3, &sync).assignment, "all of it");
    assert_eq!(commit(&mut client, &member, 42), ErrorCode::None);
    let stale = JoinGroupResponse { generation_id: 0, ..member.clone() };
    assert_eq!(commit(&mut client, &stale, 7), ErrorCode::IllegalGeneration);
    node.stop();

    // The member goes on in its generation with a broker that has read the log.
    let node = start(dir.path(), "0");
    let mut client = node.client();
    assert_eq!(fetch(&mut client), (42, Some("note".to_owned())));
    assert_eq!(client.call(3, &sync).assignment, "all of it");
    assert_eq!(commit(&mut client, &member, 43), ErrorCode::None);
    let leave = LeaveGroupRequest {
        group_id: GROUP.to_owned(),
        member_id: member.member_id.clone(),
        ..Default::default()
    };
    assert_eq!(client.call(2, &leave).error_code, 0);
    let listed = client.call(4, &ListGroupsRequest::default());
    assert_eq!(listed.groups[0].group_state, "Empty");
    assert_eq!(fetch(&mut client).0, 43);
    node.stop();
}

#[test]
fn whoever_is_sent_to_the_coordinator_is_expected_there() {
    // librdkafka gives a consumer's program the error, if the coordinator denies to be one.
    const CLIENTS: usize = 8;
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let node = start(dir.path(), "0");
        let at_once = Barrier::new(CLIENTS);
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (at_once, mut client) = (&at_once, node.client());
                scope.spawn(move || {
                    let group_id = format!("{GROUP}-{number}");
                    at_once.wait();
                    assert_eq!(find(&mut client, &group_id, 0), ErrorCode::None);
                    let all = OffsetFetchRequest { group_id, topics: None, ..Default::default() };
                    let error = ErrorCode::from_code(client.call(5, &all).error_code);
                    let is_there =
                        matches!(error, ErrorCode::None | ErrorCode::CoordinatorLoadInProgress);
                    assert!(is_there, "{error:?}");
                });
            }
        });
        node.stop();
    }
}

#[test]
fn a_member_that_waits_for_others_does_not_hold_up_a_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), "60000");
    let mut client = node.client();
    assert_eq!(find(&mut client, GROUP, 0), ErrorCode::None);
    let (_, first) = join(&mut client, "");
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::new() };
    let request = JoinGroupRequest {
        group_id: GROUP.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: first.member_id,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    client.send(5, &request);
    let mut other = node.client();
    let is_joining = |_| {
        std::thread::sleep(PAUSE);
        other.call(4, &ListGroupsRequest::default()).groups[0].group_state != "Empty"
    };
    assert!((0..6_000).any(is_joining), "the join never arrived");
    node.stop();
    let (_, answer) = client.receive::<JoinGroupRequest>(5);
    assert_eq!(ErrorCode::from_code(answer.error_code), ErrorCode::NotCoordinator);
}
