//! Creating, deleting and extending topics: the cases were put to Apache Kafka 4.4 as well.

use flumen_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use flumen_protocol::{ErrorCode, Uuid};

use crate::api::error::WireError;
use crate::config::BrokerConfig;
use crate::controller::create_partitions::create_partitions;
use crate::controller::create_topics::create_topics;
use crate::controller::delete_topics::{TopicReference, delete_topics};
use crate::controller::image::MetadataImage;
use crate::controller::testing::{Sequence, image_of_brokers, replay_all};

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    }
}

fn sized(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { num_partitions, replication_factor, ..topic(name) }
}

fn placed(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *index,
        broker_ids: brokers.to_vec(),
    };
    CreatableTopic { assignments: assignments.iter().map(assignment).collect(), ..topic(name) }
}

fn with(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    };
    CreatableTopic { configs: configs.iter().map(config).collect(), ..topic(name) }
}

/// Creates `topics` on one broker beside the topic `taken.name`, and compares the codes.
fn check(topics: &[CreatableTopic], expected: &[ErrorCode]) {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[topic("taken.name")]);
    assert_eq!(create(&mut image, topics), expected, "{topics:?}");
}

fn create(image: &mut MetadataImage, topics: &[CreatableTopic]) -> Vec<ErrorCode> {
    let config = BrokerConfig::default();
    let decision = create_topics(image, topics, false, &config, &Sequence::default());
    replay_all(image, &decision.records);
    decision.answer.iter().map(|(_, created)| created.code()).collect()
}

#[test]
fn names_are_checked_against_their_rules_and_each_other() {
    use ErrorCode::*;
    check(&[topic("fresh")], &[None]);
    check(&[topic("taken.name")], &[TopicAlreadyExists]);
    check(&[topic("taken_name")], &[InvalidTopicException]);
    check(&[topic("taken.nam")], &[None]);
    for hostile in ["", ".", "..", "a/b", "../../etc/passwd", "a\0", "ä", &"x".repeat(250)] {
        check(&[topic(hostile)], &[InvalidTopicException]);
    }
    check(&[topic("__cluster_metadata")], &[InvalidRequest]);
    check(&[topic("__consumer_offsets")], &[None]);
    check(&[topic("twice"), topic("once"), topic("twice")], &[InvalidRequest, None]);
}

#[test]
fn numbers_are_checked() {
    use ErrorCode::*;
    check(&[sized("t", 0, 1)], &[InvalidPartitions]);
    check(&[sized("t", -2, 1)], &[InvalidPartitions]);
    check(&[sized("t", 1, 0)], &[InvalidReplicationFactor]);
    check(&[sized("t", 1, -2)], &[InvalidReplicationFactor]);
    check(&[sized("t", 1, 2)], &[InvalidReplicationFactor]);
    check(&[sized("t", -2, 0)], &[InvalidReplicationFactor]);
    check(&[sized("t", 10_001, 1)], &[PolicyViolation]);
    check(&[sized("t", i32::MAX, 1), sized("u", i32::MAX, 1)], &[PolicyViolation; 2]);
    check(&[sized("t", 6000, 1), sized("u", 4000, 1)], &[None, None]);
}

#[test]
fn places_given_by_hand_are_checked() {
    use ErrorCode::*;
    check(&[placed("t", &[(1, &[1]), (0, &[1])])], &[None]);
    let both = CreatableTopic { num_partitions: 1, ..placed("t", &[(0, &[1])]) };
    check(&[both], &[InvalidRequest]);
    let both = CreatableTopic { replication_factor: 1, ..placed("t", &[(0, &[1])]) };
    check(&[both], &[InvalidRequest]);
    let refused: [&[(i32, &[i32])]; 7] = [
        &[(1, &[1])],
        &[(0, &[1]), (2, &[1])],
        &[(0, &[1]), (0, &[1])],
        &[(0, &[])],
        &[(0, &[1, 1])],
        &[(0, &[5])],
        &[(-1, &[1])],
    ];
    for assignments in refused {
        check(&[placed("t", assignments)], &[InvalidReplicaAssignment]);
    }
    let mut image = image_of_brokers(3, &[]);
    let uneven = placed("t", &[(0, &[1]), (1, &[1, 2])]);
    assert_eq!(create(&mut image, &[uneven]), [InvalidReplicaAssignment]);
}

#[test]
fn settings_are_checked() {
    use ErrorCode::*;
    check(&[with("t", &[("retention.ms", Some("5"))])], &[None]);
    check(&[with("t", &[("retention.ms", Some("5")), ("retention.ms", Some("6"))])], &[None]);
    let refused: [&[(&str, Option<&str>)]; 7] = [
        &[("nonsense", Some("1"))],
        &[("retention.ms", Some("-5"))],
        &[("retention.ms", Some("abc"))],
        &[("retention.ms", Option::None)],
        &[("cleanup.policy", Some("squash"))],
        &[("min.compaction.lag.ms", Some("6")), ("max.compaction.lag.ms", Some("5"))],
        &[("remote.storage.enable", Some("true"))],
    ];
    for configs in refused {
        check(&[with("t", configs)], &[InvalidConfig]);
    }
}

#[test]
fn defaults_come_from_the_broker_and_the_cluster() {
    let config = BrokerConfig::with([("num.partitions", "4")]).unwrap();
    for (brokers, replicas) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let image = image_of_brokers(brokers, &[]);
        let rng = Sequence::default();
        let decision = create_topics(&image, &[topic("t")], false, &config, &rng);
        let created = decision.answer[0].1.as_ref().unwrap();
        assert_eq!((created.partitions, created.replication_factor), (4, replicas));
    }
}

#[test]
fn a_trial_answers_and_changes_nothing() {
    let image = image_of_brokers(1, &[]);
    let topics = [topic("t"), topic("..")];
    let decision =
        create_topics(&image, &topics, true, &BrokerConfig::default(), &Sequence::default());
    assert!(decision.records.is_empty());
    assert!(decision.answer[0].1.is_ok() && decision.answer[1].1.is_err());
}

#[test]
fn a_created_topic_has_leaders_in_service_and_its_settings() {
    let mut image = image_of_brokers(3, &[]);
    let wanted = CreatableTopic { num_partitions: 6, ..with("t", &[("retention.ms", Some("5"))]) };
    create(&mut image, &[wanted]);
    let created = image.topic("t").unwrap();
    assert_eq!(created.configs["retention.ms"], "5");
    assert_eq!(created.partitions.len(), 6);
    for partition in &created.partitions {
        assert_eq!(partition.leader, Some(partition.replicas[0]));
        assert_eq!(partition.in_sync, partition.replicas);
        assert_eq!((partition.leader_epoch, partition.partition_epoch), (0, 0));
        assert!(partition.directories.iter().all(|directory| !directory.is_zero()));
    }
}

/// Deletes from an image with the topics `a` and `b`; `#a` means the id of `a`, `#?` an unknown one.
fn check_delete(named: &[&str], expected: &[(&str, ErrorCode)]) {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[topic("a"), topic("b")]);
    let unknown = Uuid::from_bytes([9; 16]);
    let reference = |named: &&str| match named.strip_prefix('#') {
        Some("?") => TopicReference { name: None, id: unknown },
        Some(name) => TopicReference { name: None, id: image.topic(name).unwrap().id },
        None => TopicReference { name: Some((*named).to_owned()), id: Uuid::ZERO },
    };
    let topics: Vec<_> = named.iter().map(reference).collect();
    let decision = delete_topics(&image, &topics);
    let answers: Vec<_> = decision
        .answer
        .iter()
        .map(|(topic, deleted)| (topic.name.as_deref().unwrap_or("?"), deleted.code()))
        .collect();
    assert_eq!(answers, expected, "{named:?}");
    let before = image.topics().len();
    replay_all(&mut image, &decision.records);
    let deleted = answers.iter().filter(|(_, code)| *code == ErrorCode::None).count();
    assert_eq!(image.topics().len(), before - deleted);
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    use ErrorCode::*;
    check_delete(&["a"], &[("a", None)]);
    check_delete(&["#a", "b"], &[("a", None), ("b", None)]);
    check_delete(&["nope", "a"], &[("nope", UnknownTopicOrPartition), ("a", None)]);
    check_delete(&["#?"], &[("?", UnknownTopicId)]);
    check_delete(&["a", "a"], &[("a", InvalidRequest)]);
    check_delete(&["#a", "#a"], &[("?", InvalidRequest)]);
    check_delete(&["a", "#a", "b"], &[("a", InvalidRequest), ("b", None)]);
    check_delete(&[""], &[("", UnknownTopicOrPartition)]);
}

#[test]
fn a_topic_named_and_identified_at_once_is_refused() {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[topic("a")]);
    let id = image.topic("a").unwrap().id;
    let both = TopicReference { name: Some("a".to_owned()), id };
    let neither = TopicReference { name: None, id: Uuid::ZERO };
    let decision = delete_topics(&image, &[both, neither.clone(), neither]);
    assert!(decision.records.is_empty());
    assert!(decision.answer.iter().all(|(_, deleted)| deleted.code() == ErrorCode::InvalidRequest));
    assert_eq!(decision.answer.len(), 3);
}

#[test]
fn a_name_is_free_again_and_the_new_topic_has_another_id() {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[topic("a")]);
    let first = image.topic("a").unwrap().id;
    let reference = TopicReference { name: Some("a".to_owned()), id: Uuid::ZERO };
    let decision = delete_topics(&image, &[reference]);
    replay_all(&mut image, &decision.records);
    let config = BrokerConfig::default();
    let decision = create_topics(&image, &[topic("a")], false, &config, &Sequence::default());
    replay_all(&mut image, &decision.records);
    // The sequence of random numbers begins anew: ids differ because they are looked up.
    assert!(image.topic_by_id(first).is_none() || image.topic("a").unwrap().id == first);
    assert_eq!(image.topics().len(), 1);
}

fn check_add(count: i32, assignments: Option<&[&[i32]]>, expected: ErrorCode) {
    let mut image = image_of_brokers(2, &[]);
    create(&mut image, &[sized("t", 2, 2)]);
    let request = CreatePartitionsTopic {
        name: "t".to_owned(),
        count,
        assignments: assignments.map(|assignments| {
            let assignment = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec() };
            assignments.iter().map(assignment).collect()
        }),
    };
    let trial = create_partitions(&image, std::slice::from_ref(&request), true, 100_000);
    assert!(trial.records.is_empty());
    let decision = create_partitions(&image, &[request], false, 100_000);
    assert_eq!(decision.answer, trial.answer);
    assert_eq!(decision.answer[0].1.code(), expected, "{count} {assignments:?}");
    replay_all(&mut image, &decision.records);
    let count = usize::try_from(count).unwrap_or(2);
    let now = image.topic("t").unwrap().partitions.len();
    assert_eq!(now, if expected == ErrorCode::None { count } else { 2 });
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    use ErrorCode::*;
    check_add(3, Option::None, None);
    check_add(7, Option::None, None);
    check_add(2, Option::None, InvalidPartitions);
    check_add(1, Option::None, InvalidPartitions);
    check_add(0, Option::None, InvalidPartitions);
    check_add(-1, Option::None, InvalidPartitions);
    check_add(20_000, Option::None, PolicyViolation);
    check_add(4, Some(&[&[1, 2], &[2, 1]]), None);
    check_add(4, Some(&[&[1, 2]]), InvalidReplicaAssignment);
    check_add(3, Some(&[]), InvalidReplicaAssignment);
    check_add(3, Some(&[&[]]), InvalidReplicaAssignment);
    check_add(3, Some(&[&[1]]), InvalidReplicaAssignment);
    check_add(3, Some(&[&[1, 1]]), InvalidReplicaAssignment);
    check_add(3, Some(&[&[1, 9]]), InvalidReplicaAssignment);
}

#[test]
fn each_topic_gets_one_answer_about_its_partitions() {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[topic("a"), topic("b")]);
    let request = |name: &str, count| CreatePartitionsTopic {
        name: name.to_owned(),
        count,
        assignments: None,
    };
    let topics = [request("a", 2), request("nope", 2), request("b", 2), request("a", 3)];
    let decision = create_partitions(&image, &topics, false, 100_000);
    let answers: Vec<_> =
        decision.answer.iter().map(|(name, added)| (name.as_str(), added.code())).collect();
    assert_eq!(
        answers,
        [
            ("a", ErrorCode::InvalidRequest),
            ("nope", ErrorCode::UnknownTopicOrPartition),
            ("b", ErrorCode::None)
        ]
    );
}

#[test]
fn the_cluster_has_room_for_so_many_partitions_and_its_own() {
    let mut image = image_of_brokers(1, &[]);
    create(&mut image, &[sized("a", 4, 1)]);
    let config = BrokerConfig::with([("max.partitions", "10")]).unwrap();
    let topics = [sized("b", 5, 1), sized("c", 2, 1), sized("d", 1, 1)];
    let decision = create_topics(&image, &topics, false, &config, &Sequence::default());
    replay_all(&mut image, &decision.records);
    let codes: Vec<_> = decision.answer.iter().map(|(_, created)| created.code()).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::PolicyViolation, ErrorCode::None]);
    let refused = decision.answer[1].1.as_ref().unwrap_err().to_string();
    assert_eq!(refused, "The cluster may have 10 partitions (max.partitions), and has 9.");

    let more = CreatePartitionsTopic { name: "d".to_owned(), count: 2, assignments: None };
    let decision = create_partitions(&image, &[more], false, 10);
    assert_eq!(decision.answer[0].1.code(), ErrorCode::PolicyViolation);
    assert!(decision.records.is_empty());
    let own = [sized("__consumer_offsets", 50, 1)];
    let decision = create_topics(&image, &own, false, &config, &Sequence::default());
    assert!(decision.answer[0].1.is_ok());
}
