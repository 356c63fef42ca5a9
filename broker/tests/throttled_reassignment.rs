//! A reassignment takes no more of the network than `kafka-reassign-partitions --throttle` allows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use flumen_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use support::pair::{Pair, create_on, move_to, until};
use support::{Client, batch};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";

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

#[test]
fn a_copy_takes_its_time_and_one_without_a_throttle_does_not() {
    let pair = Pair::new();
    let (node, other) = (pair.start(1, &[]), pair.start(2, &[]));
    let mut client = node.client();
    create_on(&mut client, "t", &[1]);
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
        move_to(client, "t", &[1, 2]);
        let image = || node.broker().context().controller.image();
        until(|| image().topic("t").unwrap().partition(0).unwrap().in_sync == [1, 2]);
        assert_eq!(leader().log_end_offset(), 4);
        let time = clock.monotonic() - begun;
        move_to(client, "t", &[1]);
        until(|| image().topic("t").unwrap().partition(0).unwrap().replicas == [1]);
        time
    };
    let time = copied(&mut client);
    assert!(time >= Duration::from_millis(1500), "3,000 bytes at 2,000 a second took {time:?}");

    // The follower pays for what it has fetched before it asks for more. A broker that has no rate
    // of its own goes by that of all.
    assert_eq!(set(&mut client, BROKER, "1", LEADER_RATE, None), ErrorCode::None);
    assert_eq!(set(&mut client, BROKER, "", FOLLOWER_RATE, Some("0")), ErrorCode::None);
    let copy = || other.broker().context().partitions.find_replica("t", 0);
    // The first copy is gone a moment after the metadata says so.
    until(|| copy().is_err());
    move_to(&mut client, "t", &[1, 2]);
    until(|| copy().is_ok());
    // What is not throttled goes on meanwhile.
    assert_eq!(client.produce("t", 0, batch(&["more"])).0, ErrorCode::None);
    assert_eq!(copy().unwrap().log_end_offset(), 0);
    assert_eq!(set(&mut client, BROKER, "", FOLLOWER_RATE, None), ErrorCode::None);
    until(|| copy().unwrap().log_end_offset() == 5);
    drop((node, other));
}
