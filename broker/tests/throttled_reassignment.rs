//! A reassignment takes no more of the network than `kafka-reassign-partitions --throttle` allows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tools/tests/chaos/ports.rs"]
mod ports;
mod support;

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
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use flumen_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use ports::free_port;
use support::{Client, Node, batch};

/// Half a minute, for what takes a moment.
const TRIES: u32 = 1500;
const PAUSE: Duration = Duration::from_millis(20);

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";

fn start(id: &str, dir: &Path, peer: &str, voters: &str) -> Node {
    let settings = [
        ("node.id", id),
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("http.listener", ""),
        ("peer.listener", peer),
        ("controller.quorum.voters", voters),
    ];
    Node::start_on(BrokerConfig::with(settings).unwrap(), Seams::real())
}

fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..TRIES {
        if is_so() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("it does not come to pass");
}

/// Sets a config; without a value it is taken back.
fn set(client: &mut Client, kind: i8, of: &str, name: &str, value: Option<&str>) -> ErrorCode {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: i8::from(value.is_none()),
        value: value.map(str::to_owned),
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: of.to_owned(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    ErrorCode::from_code(client.call(1, &request).responses[0].error_code)
}

fn described(client: &mut Client, kind: i8, of: &str, name: &str) -> Option<String> {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: of.to_owned(),
        configuration_keys: Some(vec![name.to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    client.call(4, &request).results.remove(0).configs.remove(0).value
}

fn move_to(client: &mut Client, brokers: &[i32]) {
    let replicas = Some(brokers.to_vec());
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas }];
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic { name: "t".to_owned(), partitions }],
        timeout_ms: 20_000,
        ..Default::default()
    };
    let answered = client.call(1, &request).responses.remove(0).partitions.remove(0);
    assert_eq!(ErrorCode::from_code(answered.error_code), ErrorCode::None);
}

#[test]
fn a_copy_takes_its_time_and_one_without_a_throttle_does_not() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let voters = format!("1@{first}");
    let node = start("1", dirs[0].path(), &first, &voters);
    let other = start("2", dirs[1].path(), &second, &voters);
    let mut client = node.client();
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] };
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    let created = client.call(7, &request).topics.remove(0);
    assert_eq!(ErrorCode::from_code(created.error_code), ErrorCode::None);
    let value = "x".repeat(1000);
    for _ in 0..4 {
        until(|| client.produce("t", 0, batch(&[&value])).0 == ErrorCode::None);
    }

    for (throttled, rate, replicas) in [
        ("leader.replication.throttled.replicas", LEADER_RATE, "0:1"),
        ("follower.replication.throttled.replicas", FOLLOWER_RATE, "0:2"),
    ] {
        for (kind, of, name, wrong, error) in [
            (TOPIC, "t", throttled, "0:one", ErrorCode::InvalidConfig),
            (BROKER, "1", rate, "-1", ErrorCode::InvalidRequest),
            (BROKER, "", rate, "x", ErrorCode::InvalidRequest),
        ] {
            assert_eq!(set(&mut client, kind, of, name, Some(wrong)), error, "{name}={wrong}");
        }
        assert_eq!(set(&mut client, TOPIC, "t", throttled, Some(replicas)), ErrorCode::None);
        assert_eq!(described(&mut client, TOPIC, "t", throttled).as_deref(), Some(replicas));
    }
    // One batch at a time, and three of them have to be paid for.
    assert_eq!(set(&mut client, BROKER, "1", LEADER_RATE, Some("2000")), ErrorCode::None);
    assert_eq!(described(&mut client, BROKER, "1", LEADER_RATE).as_deref(), Some("2000"));
    let leader = || node.broker().context().partitions.get("t", 0).unwrap();
    // The copies are of a partition that is led by the first broker from the beginning to the end.
    let copied = |client: &mut Client| {
        let clock = &node.broker().context().seams.clock;
        let begun = clock.monotonic();
        move_to(client, &[1, 2]);
        let image = || node.broker().context().controller.image();
        until(|| image().topic("t").unwrap().partition(0).unwrap().in_sync == [1, 2]);
        assert_eq!(leader().log_end_offset(), 4);
        let time = clock.monotonic() - begun;
        move_to(client, &[1]);
        until(|| image().topic("t").unwrap().partition(0).unwrap().replicas == [1]);
        time
    };
    let time = copied(&mut client);
    assert!(time >= Duration::from_millis(1500), "3,000 bytes at 2,000 a second took {time:?}");

    // The follower pays for what it has fetched before it asks for more. A broker that has no rate
    // of its own goes by that of all.
    assert_eq!(set(&mut client, BROKER, "1", LEADER_RATE, None), ErrorCode::None);
    assert_eq!(set(&mut client, BROKER, "", FOLLOWER_RATE, Some("0")), ErrorCode::None);
    move_to(&mut client, &[1, 2]);
    let copy = || other.broker().context().partitions.find_replica("t", 0);
    until(|| copy().is_ok());
    // What is not throttled goes on meanwhile.
    assert_eq!(client.produce("t", 0, batch(&["more"])).0, ErrorCode::None);
    assert_eq!(copy().unwrap().log_end_offset(), 0);
    assert_eq!(set(&mut client, BROKER, "", FOLLOWER_RATE, None), ErrorCode::None);
    until(|| copy().unwrap().log_end_offset() == 5);
    drop((node, other));
}
