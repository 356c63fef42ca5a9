//! Changes of settings: the cases were put to Apache Kafka 4.4 as well.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::create_topics::CreatableTopic;

use crate::api::error::WireError;
use crate::config::BrokerConfig;
use crate::controller::configs::{Alteration, ResourceName, Step, alter_configs};
use crate::controller::create_topics::create_topics;
use crate::controller::image::MetadataImage;
use crate::controller::records::ConfigResource;
use crate::controller::standing::Standing;
use crate::controller::testing::{Sequence, image_of_brokers, replay_all};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn image() -> MetadataImage {
    let mut image = image_of_brokers(1, &[]);
    let topic = CreatableTopic {
        name: "t".to_owned(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let config = BrokerConfig::default();
    let decision = create_topics(&image, &[topic], false, &config, &Sequence::default());
    replay_all(&mut image, &decision.records);
    image
}

fn resource(kind: i8, name: &str) -> ResourceName {
    ResourceName { kind, name: name.to_owned() }
}

fn steps(steps: &[(&str, i8, Option<&str>)]) -> Alteration {
    let step = |(name, operation, value): &(&str, i8, Option<&str>)| Step {
        name: (*name).to_owned(),
        operation: *operation,
        value: value.map(str::to_owned),
    };
    Alteration::Steps(steps.iter().map(step).collect())
}

fn alter(image: &mut MetadataImage, resource: ResourceName, alteration: Alteration) -> ErrorCode {
    let request = [(resource, alteration)];
    let config = BrokerConfig::default();
    let standing = Standing::new(image, &config);
    let trial = alter_configs(&standing, &request, true);
    assert!(trial.records.is_empty(), "a trial changes nothing");
    let decision = alter_configs(&standing, &request, false);
    assert_eq!(decision.answer, trial.answer);
    replay_all(image, &decision.records);
    decision.answer[0].1.code()
}

#[test]
fn steps_on_a_topic_follow_each_other() {
    use ErrorCode::{InvalidConfig, InvalidRequest};

    let mut image = image();
    let mut check = |given: &[(&str, i8, Option<&str>)], code, expected: &[(&str, &str)]| {
        assert_eq!(alter(&mut image, resource(TOPIC, "t"), steps(given)), code, "{given:?}");
        let configs = image.configs(&ConfigResource::Topic("t".to_owned()));
        let now: Vec<_> = configs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(now, expected, "{given:?}");
    };
    let none = ErrorCode::None;
    check(&[("retention.ms", SET, Some("888"))], none, &[("retention.ms", "888")]);
    check(&[("retention.ms", DELETE, None)], none, &[]);
    check(&[("retention.ms", DELETE, None)], none, &[]);
    check(&[("nonsense", DELETE, None)], none, &[]);
    check(&[("retention.ms", APPEND, Some("5"))], InvalidConfig, &[]);
    let both = [("cleanup.policy", "delete,compact")];
    check(&[("cleanup.policy", APPEND, Some("compact"))], none, &both);
    check(&[("cleanup.policy", APPEND, Some("compact"))], none, &both);
    let compact = [("cleanup.policy", "compact")];
    check(&[("cleanup.policy", SUBTRACT, Some("delete"))], none, &compact);
    check(&[("cleanup.policy", SUBTRACT, Some("nonsense"))], none, &compact);
    check(&[("cleanup.policy", APPEND, Some("nonsense"))], InvalidConfig, &compact);
    check(&[("retention.ms", SET, None)], InvalidRequest, &compact);
    check(&[("retention.ms", 7, Some("1"))], InvalidRequest, &compact);
    let twice = [("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))];
    check(&twice, InvalidRequest, &compact);
    let half = [("retention.ms", SET, Some("1")), ("nonsense", SET, Some("2"))];
    check(&half, InvalidConfig, &compact);
    let conflict =
        [("min.compaction.lag.ms", SET, Some("9")), ("max.compaction.lag.ms", SET, Some("8"))];
    check(&conflict, InvalidConfig, &compact);
    check(&[], none, &compact);
}

#[test]
fn what_acknowledging_promises_is_not_a_matter_of_one_broker() {
    let mut image = image();
    let name = "min.insync.replicas";
    let set = || steps(&[(name, SET, Some("2"))]);
    let refused = ErrorCode::InvalidConfig;
    assert_eq!(alter(&mut image, resource(BROKER, "1"), set()), refused);
    assert_eq!(alter(&mut image, resource(BROKER, "1"), steps(&[(name, DELETE, None)])), refused);
    let all = Alteration::Replace(vec![(name.to_owned(), Some("2".to_owned()))]);
    assert_eq!(alter(&mut image, resource(BROKER, "1"), all), refused);
    let durability = steps(&[("log.durability", SET, Some("page-cache"))]);
    assert_eq!(alter(&mut image, resource(BROKER, "1"), durability.clone()), refused);
    assert_eq!(alter(&mut image, resource(BROKER, ""), durability), ErrorCode::None);
    assert_eq!(alter(&mut image, resource(BROKER, ""), set()), ErrorCode::None);
    assert_eq!(alter(&mut image, resource(TOPIC, "t"), set()), ErrorCode::None);
}

#[test]
fn replacing_returns_the_rest_to_its_default() {
    let mut image = image();
    let replace = |all: &[(&str, Option<&str>)]| {
        let owned = |(n, v): &(&str, Option<&str>)| ((*n).to_owned(), v.map(str::to_owned));
        Alteration::Replace(all.iter().map(owned).collect())
    };
    let topic = || resource(TOPIC, "t");
    let first = replace(&[("retention.ms", Some("1")), ("segment.ms", Some("2"))]);
    assert_eq!(alter(&mut image, topic(), first), ErrorCode::None);
    let second = replace(&[("segment.ms", Some("3"))]);
    assert_eq!(alter(&mut image, topic(), second), ErrorCode::None);
    let configs = image.configs(&ConfigResource::Topic("t".to_owned()));
    assert_eq!(configs.len(), 1);
    assert_eq!(configs["segment.ms"], "3");
    let without_value = replace(&[("segment.ms", None)]);
    assert_eq!(alter(&mut image, topic(), without_value), ErrorCode::InvalidRequest);
    assert_eq!(alter(&mut image, topic(), replace(&[])), ErrorCode::None);
    assert!(image.configs(&ConfigResource::Topic("t".to_owned())).is_empty());
}

#[test]
fn every_kind_of_resource_has_its_rules() {
    use ErrorCode::*;
    let cases = [
        (TOPIC, "nope", "retention.ms", "1", UnknownTopicOrPartition),
        (TOPIC, "", "retention.ms", "1", InvalidRequest),
        (TOPIC, "a/b", "retention.ms", "1", InvalidTopicException),
        // Wrong in more than one way: the name's form comes before the value, the topic last.
        (TOPIC, "nope", "retention.ms", "soon", InvalidConfig),
        (TOPIC, "nope", "no.such.config", "1", InvalidConfig),
        (TOPIC, "", "retention.ms", "soon", InvalidRequest),
        (TOPIC, "a/b", "retention.ms", "soon", InvalidTopicException),
        (TOPIC, "t", "retention.ms", "", InvalidConfig),
        (BROKER, "1", "log.retention.ms", "5000", None),
        (BROKER, "", "log.retention.ms", "5000", None),
        (BROKER, "9", "log.retention.ms", "5000", InvalidRequest),
        (BROKER, "abc", "log.retention.ms", "5000", InvalidRequest),
        (BROKER, "1", "node.id", "5", InvalidRequest),
        (BROKER, "", "log.dirs", "/etc", InvalidRequest),
        (BROKER, "1", "log.retention.ms", "abc", InvalidRequest),
        (BROKER, "1", "some.tool", "1", None),
        (LOGGER, "1", "kafka", "DEBUG", InvalidConfig),
        (GROUP, "g", "share.auto.offset.reset", "earliest", None),
        (GROUP, "g", "share.auto.offset.reset", "never", InvalidConfig),
        (GROUP, "g", "consumer.session.timeout.ms", "1", InvalidConfig),
        (GROUP, "g", "nope", "1", InvalidConfig),
        (GROUP, "", "share.auto.offset.reset", "latest", InvalidRequest),
        (CLIENT_METRICS, "m", "interval.ms", "60000", None),
        (CLIENT_METRICS, "m", "interval.ms", "6", InvalidRequest),
        (CLIENT_METRICS, "m", "nope", "6", InvalidRequest),
        (CLIENT_METRICS, "", "interval.ms", "60000", InvalidRequest),
        (0, "1", "x", "1", InvalidRequest),
        (77, "1", "x", "1", InvalidRequest),
    ];
    for (kind, name, setting, value, expected) in cases {
        let alteration = steps(&[(setting, SET, Some(value))]);
        let code = alter(&mut image(), resource(kind, name), alteration);
        assert_eq!(code, expected, "{kind} {name} {setting}={value}");
    }
}

/// Kafka takes the steps before it looks at the topic's name.
#[test]
fn a_step_that_cannot_be_taken_hides_what_is_wrong_with_the_name() {
    for name in ["", "a/b", "nope"] {
        let extended = steps(&[("retention.ms", APPEND, Some("1"))]);
        let code = alter(&mut image(), resource(TOPIC, name), extended);
        assert_eq!(code, ErrorCode::InvalidConfig, "{name:?}");
    }
}

#[test]
fn a_resource_named_twice_is_refused_both_times() {
    let image = image();
    let once = || (resource(TOPIC, "t"), steps(&[("retention.ms", SET, Some("1"))]));
    let config = BrokerConfig::default();
    let decision = alter_configs(&Standing::new(&image, &config), &[once(), once()], false);
    assert!(decision.records.is_empty());
    let codes: Vec<_> = decision.answer.iter().map(|(_, altered)| altered.code()).collect();
    assert_eq!(codes, [ErrorCode::InvalidRequest; 2]);
}
