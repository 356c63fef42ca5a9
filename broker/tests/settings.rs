//! Settings changed while the broker runs reach the logs, over real sockets.

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
use support::{Client, Node, batch};

const SET: i8 = 0;
const DELETE: i8 = 1;

fn alter(client: &mut Client, resource: (i8, &str), name: &str, value: Option<&str>) {
    let config = AlterableConfig {
        name: name.to_owned(),
        config_operation: if value.is_some() { SET } else { DELETE },
        value: value.map(str::to_owned),
    };
    let resource = AlterConfigsResource {
        resource_type: resource.0,
        resource_name: resource.1.to_owned(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

/// The value that a setting is said to have.
fn described(client: &mut Client, resource: (i8, &str), name: &str) -> String {
    let resource = DescribeConfigsResource {
        resource_type: resource.0,
        resource_name: resource.1.to_owned(),
        configuration_keys: Some(vec![name.to_owned()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut response = client.call(4, &request);
    response.results.remove(0).configs.remove(0).value.unwrap()
}

/// Produces a kilobyte until the answer is `expected`: the logs follow the metadata soon.
fn expect(client: &mut Client, topic: &str, expected: ErrorCode) {
    let large = "x".repeat(1000);
    for _ in 0..200 {
        let (code, _) = client.produce(topic, 0, batch(&[&large]));
        if code == expected {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{topic} never answered {expected:?}");
}

#[test]
fn a_topic_follows_the_brokers_setting_until_it_has_its_own() {
    const CLUSTER: (i8, &str) = (4, "");
    const OWN: (i8, &str) = (2, "own");
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    node.create_topic("plain", 1, &[]);
    node.create_topic("own", 1, &[]);
    let mut client = node.client();
    expect(&mut client, "plain", ErrorCode::None);

    alter(&mut client, OWN, "max.message.bytes", Some("2000"));
    alter(&mut client, CLUSTER, "message.max.bytes", Some("500"));
    expect(&mut client, "plain", ErrorCode::MessageTooLarge);
    expect(&mut client, "own", ErrorCode::None);

    node.create_topic("later", 1, &[]);
    expect(&mut client, "later", ErrorCode::MessageTooLarge);

    alter(&mut client, CLUSTER, "message.max.bytes", None);
    expect(&mut client, "plain", ErrorCode::None);
    expect(&mut client, "later", ErrorCode::None);
    node.stop();
}

/// As in Kafka, where operators speed a cleaner up that has fallen behind.
#[test]
fn a_running_cleaner_takes_other_settings() {
    const BROKER: (i8, &str) = (4, "1");
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let mut client = node.client();
    for (name, value) in
        [("log.cleaner.backoff.ms", "15001"), ("log.cleaner.dedupe.buffer.size", "134217729")]
    {
        let before = described(&mut client, BROKER, name);
        assert_ne!(before, value);
        alter(&mut client, BROKER, name, Some(value));
        assert_eq!(described(&mut client, BROKER, name), value);
        alter(&mut client, BROKER, name, None);
        assert_eq!(described(&mut client, BROKER, name), before);
    }
    node.stop();
}
