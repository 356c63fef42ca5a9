//! Topics that clients create by asking for them, and the directory that topics lie in, over real
//! sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use flumen_protocol::messages::delete_topics::DeleteTopicsRequest;
use flumen_protocol::messages::describe_log_dirs::DescribeLogDirsRequest;
use flumen_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use support::{Client, Node, batch, config};

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
    let topic_names = vec!["t".to_owned()];
    let request = DeleteTopicsRequest { topic_names, timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.call(1, &request).responses[0].error_code, 0);
    assert_eq!(ask_for(&mut client, "t"), (ErrorCode::UnknownTopicOrPartition, 0));
    node.stop();
}

/// Were the broker to crash now, the next topic of that name would be held to it.
#[test]
fn what_was_committed_of_a_deleted_topic_is_forgotten_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let written = || {
        let file = dir.path().join("replication-offset-checkpoint");
        std::fs::read_to_string(file).unwrap().lines().any(|line| line.starts_with("t 0 "))
    };
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    assert_eq!(node.client().produce("t", 0, batch(&["a"])).0, ErrorCode::None);
    node.stop();
    assert!(written());

    let node = Node::start(dir.path());
    let topic_names = vec!["t".to_owned()];
    let request = DeleteTopicsRequest { topic_names, timeout_ms: 10_000, ..Default::default() };
    assert_eq!(node.client().call(1, &request).responses[0].error_code, 0);
    assert!(!written());
    node.stop();
}

#[test]
fn a_replica_moves_to_the_directory_it_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("t", 1, &[]);
    let mut client = node.client();
    let described = client.call(1, &DescribeLogDirsRequest { topics: None });
    let own = described.results[0].log_dir.as_str();

    let mut codes = |moves: &[(&str, &str, i32)]| -> Vec<(String, i32, ErrorCode)> {
        let dirs = moves.iter().map(|(path, topic, partition)| AlterReplicaLogDir {
            path: (*path).to_owned(),
            topics: vec![AlterReplicaLogDirTopic {
                name: (*topic).to_owned(),
                partitions: vec![*partition],
            }],
        });
        let response = client.call(2, &AlterReplicaLogDirsRequest { dirs: dirs.collect() });
        let mut codes = Vec::new();
        for topic in response.results {
            for partition in topic.partitions {
                let error = ErrorCode::from_code(partition.error_code);
                codes.push((topic.topic_name.clone(), partition.partition_index, error));
            }
        }
        codes
    };
    let answer = |topic: &str, partition, error| (topic.to_owned(), partition, error);
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let no_dir = ErrorCode::LogDirNotFound;
    assert_eq!(codes(&[(own, "t", 0)]), [answer("t", 0, ErrorCode::None)]);
    assert_eq!(codes(&[("/elsewhere", "t", 0)]), [answer("t", 0, no_dir)]);
    assert_eq!(codes(&[("/elsewhere", "u", 0)]), [answer("u", 0, no_dir)]);
    assert_eq!(
        codes(&[(own, "t", 7), (own, "u", 0)]),
        [answer("t", 7, unknown), answer("u", 0, unknown)]
    );
    // Of two places for one replica, the last counts.
    let both = codes(&[("/elsewhere", "t", 0), (own, "t", 0)]);
    assert_eq!(both, [answer("t", 0, ErrorCode::None)]);
    assert_eq!(codes(&[(own, "t", 0), ("/elsewhere", "t", 0)]), [answer("t", 0, no_dir)]);
    assert_eq!(codes(&[]), []);
    node.stop();
}
