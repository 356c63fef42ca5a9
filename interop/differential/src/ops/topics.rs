//! Creates, grows and deletes topics.

use anyhow::Result;
use flumen_protocol::ApiKey;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_partitions as grow;
use flumen_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    CreateTopicsResponse,
};
use flumen_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use flumen_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};

use super::{KEEP, Scenery, mask_text, partition_index, topic_name, version_of};
use crate::pair::Pair;
use crate::random::Random;

const TIMEOUT_MS: i32 = 10_000;

/// How long the controller may take; without any time it decides nothing. A topic that is named twice
/// Kafka refuses before it looks at the time, so that this is not asked.
fn timeout_ms(random: &mut Random, is_twice: bool) -> i32 {
    let chosen = random.choose(&[TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS, 0, -1]);
    if is_twice { TIMEOUT_MS } else { chosen }
}

/// Creates a topic that is there for the whole run.
pub(super) fn create(pair: &mut Pair, topic: &Scenery) -> Result<()> {
    let configs = [KEEP].iter().chain(topic.configs);
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.name.to_owned(),
            num_partitions: topic.partitions,
            replication_factor: 1,
            configs: configs.map(|(name, value)| config(name, Some(value))).collect(),
            ..Default::default()
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    pair.ask(7, |_| request.clone(), mask_created)?;
    Ok(())
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    CreatableTopicConfig { name: name.to_owned(), value: value.map(ToOwned::to_owned) }
}

/// Ids and words differ; the list of all configs is compared by `describe_configs`.
fn mask_created(response: &mut CreateTopicsResponse) {
    for topic in &mut response.topics {
        topic.topic_id = Uuid::ZERO;
        mask_text(&mut topic.error_message);
        if let Some(configs) = &mut topic.configs {
            configs.clear();
        }
    }
}

pub(super) fn create_topic(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let name = match random.choose(&[0, 0, 0, 1, 2]) {
        0 => format!("made.{}", random.next() % 30),
        1 => topic_name(random).to_owned(),
        _ => random.choose(&["made_1".to_owned(), ".".to_owned(), "x".repeat(250), "ü".to_owned()]),
    };
    let assignments = match random.choose(&[0, 0, 0, 0, 1, 2, 3]) {
        0 => vec![],
        1 => vec![(0, vec![1])],
        2 => vec![(0, vec![1]), (2, vec![1])],
        _ => random.choose(&[vec![(0, vec![9])], vec![(0, vec![1, 1])], vec![(0, vec![])]]),
    };
    let by_hand = !assignments.is_empty() && !random.one_in(5);
    let count = random.choose(&[1, 2, -1, 0, -2]);
    let factor = random.choose(&[1, 1, -1, 0, 3]);
    let topic = CreatableTopic {
        name,
        num_partitions: if by_hand { -1 } else { count },
        replication_factor: if by_hand { -1 } else { factor },
        assignments: assignments
            .into_iter()
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                partition_index,
                broker_ids,
            })
            .collect(),
        configs: random.choose(&[
            vec![],
            vec![],
            vec![config("retention.ms", Some("1000"))],
            vec![config("retention.ms", Some("many"))],
            vec![config("retention.ms", None)],
            vec![config("no.such.config", Some("1"))],
            vec![config("cleanup.policy", Some("compact,delete"))],
            vec![config("cleanup.policy", Some("shred"))],
            vec![config("min.insync.replicas", Some("0"))],
            vec![config("compression.type", Some("zstd"))],
        ]),
    };
    let mut topics = vec![topic.clone()];
    if random.one_in(8) {
        topics.push(topic);
    }
    let validate_only = random.one_in(4);
    let timeout_ms = timeout_ms(random, topics.len() > 1);
    let request = CreateTopicsRequest { topics, timeout_ms, validate_only };
    let version = version_of(ApiKey::CreateTopics, random);
    pair.ask(version, |_| request.clone(), mask_created)?;
    super::metadata::learn_topic_ids(pair)
}

pub(super) fn delete_topic(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let name = match random.choose(&[0, 0, 1]) {
        0 => format!("made.{}", random.next() % 30),
        _ => random.choose(&["missing", "", "bad/name"]).to_owned(),
    };
    let version = version_of(ApiKey::DeleteTopics, random);
    let by_id = version >= 6 && random.one_in(2);
    let twice = random.one_in(8);
    let timeout_ms = timeout_ms(random, twice);
    pair.ask(
        version,
        |side| {
            let mut request = DeleteTopicsRequest { timeout_ms, ..Default::default() };
            let state = match by_id {
                true => DeleteTopicState { name: None, topic_id: side.topic_id(&name) },
                false => DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::ZERO },
            };
            let count = if twice { 2 } else { 1 };
            match version {
                6.. => request.topics = vec![state; count],
                _ => request.topic_names = vec![name.clone(); count],
            }
            request
        },
        |response| {
            for topic in &mut response.responses {
                topic.topic_id = Uuid::ZERO;
                mask_text(&mut topic.error_message);
            }
        },
    )?;
    super::metadata::learn_topic_ids(pair)
}

pub(super) fn create_partitions(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let name = match random.choose(&[0, 0, 1]) {
        0 => format!("made.{}", random.next() % 30),
        _ => topic_name(random).to_owned(),
    };
    // Never grows the topics that other operations count on.
    let validate_only = random.one_in(3) || super::TOPICS.iter().any(|topic| topic.name == name);
    let count = random.choose(&[2, 3, 4, 1, 0, -1]);
    let assigned =
        |brokers: &[i32]| grow::CreatePartitionsAssignment { broker_ids: brokers.to_vec() };
    let topic = grow::CreatePartitionsTopic {
        name,
        count,
        assignments: random.choose(&[
            None,
            None,
            Some(vec![assigned(&[1])]),
            Some(vec![assigned(&[9])]),
            Some(vec![]),
        ]),
    };
    let topics = if random.one_in(8) { vec![topic.clone(), topic] } else { vec![topic] };
    let timeout_ms = timeout_ms(random, topics.len() > 1);
    let request = grow::CreatePartitionsRequest { topics, timeout_ms, validate_only };
    let version = version_of(ApiKey::CreatePartitions, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for topic in &mut response.results {
                mask_text(&mut topic.error_message);
            }
        },
    )?;
    Ok(())
}

pub(super) fn elect_leaders(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let topic_partitions = random.choose(&[0, 1, 2]);
    let request = ElectLeadersRequest {
        election_type: random.choose(&[0, 0, 1, 5]),
        // All partitions of the cluster are left out: the sides may differ in what they made.
        topic_partitions: Some(
            (0..topic_partitions)
                .map(|_| TopicPartitions {
                    topic: super::sound_topic_name(random).to_owned(),
                    partitions: vec![partition_index(random)],
                })
                .collect(),
        ),
        timeout_ms: TIMEOUT_MS,
    };
    let version = version_of(ApiKey::ElectLeaders, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            for topic in &mut response.replica_election_results {
                for partition in &mut topic.partition_result {
                    mask_text(&mut partition.error_message);
                }
            }
        },
    )?;
    Ok(())
}
