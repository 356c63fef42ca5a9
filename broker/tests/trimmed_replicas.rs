//! Records that are deleted are gone on every replica in service when the client hears of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;
mod support;

use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Seams;
use flumen_protocol::ErrorCode;
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use flumen_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

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

/// Creates a topic of one partition that the first broker leads, once the second is in service.
fn create(client: &mut Client) {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1, 2] };
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    until(|| client.call(7, &request).topics[0].error_code == ErrorCode::None.code());
}

fn delete(client: &mut Client, offset: i64, timeout_ms: i32) -> (ErrorCode, i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: "t".to_owned(), partitions }];
    let response = client.call(2, &DeleteRecordsRequest { topics, timeout_ms });
    let deleted = &response.topics[0].partitions[0];
    (ErrorCode::from_code(deleted.error_code), deleted.low_watermark)
}

#[test]
fn a_deletion_is_answered_when_the_followers_have_followed_or_the_time_is_over() {
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
            // The second broker is to stay in service while it is frozen.
            ("broker.session.timeout.ms", "60000"),
        ];
        Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
    };
    let (first, second) = (start(1), start(2));
    let mut client = first.client();
    create(&mut client);
    for _ in 0..10 {
        until(|| client.produce("t", 0, batch(&["a"])).0 == ErrorCode::None);
    }
    let start_of = |node: &Node| {
        node.broker().context().partitions.find_replica("t", 0).unwrap().log_start_offset()
    };
    assert_eq!(delete(&mut client, 4, 30_000), (ErrorCode::None, 4));
    assert_eq!(start_of(&second), 4, "when the answer comes, not some time later");

    let guards = second.freeze();
    assert_eq!(delete(&mut client, 6, 100), (ErrorCode::RequestTimedOut, 4));
    assert_eq!((start_of(&first), start_of(&second)), (6, 4));
    assert_eq!(delete(&mut client, 3, 0), (ErrorCode::None, 4), "that was so already");
    assert_eq!(delete(&mut client, 6, 0), (ErrorCode::RequestTimedOut, 4));
    drop(guards);
    assert_eq!(delete(&mut client, 6, 30_000), (ErrorCode::None, 6));
    // -1 is the high watermark.
    let (error, low_watermark) = delete(&mut client, -1, 30_000);
    assert_eq!(error, ErrorCode::None);
    assert!(low_watermark >= 10 && start_of(&second) == low_watermark, "{low_watermark}");
    second.stop();
    first.stop();
}
