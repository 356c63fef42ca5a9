//! What a broker finds on its disk when it starts, and has no more to do with, goes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;
mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use flumen_protocol::messages::delete_topics::DeleteTopicsRequest;

use ports::free_port;
use support::{Client, Node, batch};

/// Half a minute, for what takes a moment.
const TRIES: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("it does not come to pass");
}

/// Creates a topic whose partitions are all on these brokers, once they are in service.
fn create(client: &mut Client, name: &str, partitions: i32, brokers: &[i32]) {
    let assignment = |partition_index| CreatableReplicaAssignment {
        partition_index,
        broker_ids: brokers.to_vec(),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: (0..partitions).map(assignment).collect(),
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    until(|| {
        let created = client.call(7, &request).topics.remove(0);
        let error = ErrorCode::from_code(created.error_code);
        matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists)
    });
}

fn delete(client: &mut Client, name: &str) {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: 20_000,
        ..Default::default()
    };
    let deleted = client.call(4, &request).responses.remove(0);
    assert_eq!(ErrorCode::from_code(deleted.error_code), ErrorCode::None);
}

fn move_to(client: &mut Client, topic: &str, brokers: &[i32]) {
    let replicas = Some(brokers.to_vec());
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas }];
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: topic.to_owned(), partitions }],
        timeout_ms: 20_000,
        ..Default::default()
    };
    let answered = client.call(1, &request).responses.remove(0).partitions.remove(0);
    assert_eq!(ErrorCode::from_code(answered.error_code), ErrorCode::None);
}

/// The directories of partitions, those that are being deleted included.
fn partitions(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let dirs = entries.filter(|entry| entry.path().join("partition.metadata").exists());
    let mut names: Vec<_> = dirs.map(|dir| dir.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_deleted_or_moved_while_a_broker_was_down_goes_when_it_starts() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let peers = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let voters = format!("1@{}", peers[0]);
    let start = |id: usize| {
        let settings = [
            ("node.id", &*id.to_string()),
            ("log.dirs", dirs[id - 1].path().to_str().unwrap()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("http.listener", ""),
            ("peer.listener", &peers[id - 1]),
            ("controller.quorum.voters", &voters),
        ];
        Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
    };
    let (first, second) = (start(1), start(2));
    let mut client = first.client();
    for topic in ["deleted", "kept", "moved", "replaced"] {
        create(&mut client, topic, 1, &[1, 2]);
        until(|| client.produce(topic, 0, batch(&["a"])).0 == ErrorCode::None);
    }
    let copies = |broker: &Node, topic: &str| {
        let replica = broker.broker().context().partitions.find_replica(topic, 0);
        replica.is_ok_and(|replica| replica.high_watermark() == 1)
    };
    for topic in ["deleted", "kept", "moved", "replaced"] {
        until(|| copies(&second, topic));
    }
    second.stop();
    let dir = dirs[1].path();
    assert_eq!(partitions(dir), ["deleted-0", "kept-0", "moved-0", "replaced-0"]);
    // Somebody's, of which nothing says that it is not needed.
    fs::create_dir(dir.join("unknown-0")).unwrap();
    fs::write(dir.join("unknown-0/00000000000000000000.log"), b"").unwrap();

    delete(&mut client, "deleted");
    delete(&mut client, "replaced");
    create(&mut client, "replaced", 1, &[1]);
    move_to(&mut client, "moved", &[1]);
    let second = start(2);
    until(|| partitions(dir) == ["kept-0"]);
    until(|| copies(&second, "kept"));
    assert!(dir.join("unknown-0/00000000000000000000.log").exists());

    // It is forgotten for good: what comes back is copied from its beginning.
    move_to(&mut client, "moved", &[1, 2]);
    until(|| copies(&second, "moved"));
    second.stop();
    first.stop();
}
