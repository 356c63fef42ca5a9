//! What belongs to other brokers is not for clients: the client listener neither serves it nor tells
//! of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;

use flumen_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use flumen_protocol::messages::fetch::{FetchRequest, ReplicaState};
use flumen_protocol::{ErrorCode, Request};

use support::{Node, batch, fetch_request};

/// The key of the API that brokers carry their messages in.
const ENVELOPE: i16 = 58;

#[test]
fn an_envelope_closes_the_connection_of_a_client() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut good = node.client();
    let served: ApiVersionsResponse = good.call(4, &ApiVersionsRequest::default());
    assert!(served.api_keys.iter().all(|api| api.api_key != ENVELOPE));

    // Header and body of a whole envelope: a message of two bytes, nobody's name, no address.
    let envelope: &[u8] = &[0, 58, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 3, b'h', b'i', 0, 1, 0];
    let mut client = node.client();
    client.stream.write_all(&u32::try_from(envelope.len()).unwrap().to_be_bytes()).unwrap();
    client.stream.write_all(envelope).unwrap();
    assert!(client.is_closed());
    assert_eq!(good.call(4, &ApiVersionsRequest::default()), served);
    node.stop();
}

#[test]
fn a_client_cannot_fetch_as_a_replica() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    assert_eq!(client.produce("t", 0, batch(&["a"])), (ErrorCode::None, 0));
    let plain = fetch_request("t", 0, 0);
    let as_replica = FetchRequest { replica_id: 2, ..plain.clone() };
    assert_refused(&client.call(12, &as_replica));

    // Later versions name the replica elsewhere, and the topic by its id.
    let mut with_state = plain;
    let image = node.broker().context().controller.image();
    with_state.topics[0].topic = String::new();
    with_state.topics[0].topic_id = image.topic("t").unwrap().id;
    with_state.replica_state = ReplicaState { replica_id: 2, replica_epoch: 1 };
    assert_refused(&client.call(17, &with_state));
    node.stop();
}

fn assert_refused(response: &<FetchRequest as Request>::Response) {
    let partition = &response.responses[0].partitions[0];
    assert_eq!(ErrorCode::from_code(partition.error_code), ErrorCode::TopicAuthorizationFailed);
    let records = partition.records.clone().map(|records| records.into_bytes().unwrap());
    assert!(records.is_none_or(|records| records.is_empty()));
}
