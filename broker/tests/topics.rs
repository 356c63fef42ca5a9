//! Topics that clients create by asking for them, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::delete_topics::DeleteTopicsRequest;
use flumen_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use support::{Client, Node, config};

/// The error of `topic` and how many partitions it has, by a request that may create it.
fn ask_for(client: &mut Client, topic: &str) -> (ErrorCode, usize) {
    let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![asked]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let response = client.call(4, &request);
    let topic = &response.topics[0];
    (ErrorCode::from_code(topic.error_code), topic.partitions.len())
}

#[test]
fn a_topic_that_a_request_creates_is_there_for_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("auto.create.topics.enable", "true"), ("num.partitions", "2")];
    let node = Node::start_on(config(dir.path(), &settings), Seams::real());
    let mut client = node.client();
    assert_eq!(ask_for(&mut client, "t"), (ErrorCode::UnknownTopicOrPartition, 0));
    assert_eq!(ask_for(&mut client, "t"), (ErrorCode::None, 2));

    // Whoever deletes a topic and looks for it finds that it is gone.
    let request = DeleteTopicsRequest { topic_names: vec!["t".to_owned()], ..Default::default() };
    assert_eq!(client.call(1, &request).responses[0].error_code, 0);
    assert_eq!(ask_for(&mut client, "t"), (ErrorCode::UnknownTopicOrPartition, 0));
    node.stop();
}
