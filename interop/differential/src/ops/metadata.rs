//! Asks about the cluster and its topics.

use anyhow::{Result, bail, ensure};
use flumen_protocol::messages::api_versions::ApiVersionsRequest;
use flumen_protocol::messages::describe_cluster::DescribeClusterRequest;
use flumen_protocol::messages::describe_topic_partitions as partitions;
use flumen_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use flumen_protocol::{ApiKey, Uuid};

use super::{partition_index, topic_name, version_of};
use crate::line::Outcome;
use crate::pair::Pair;
use crate::random::Random;

/// Fails unless every API that Flumen serves is served in the versions in which Kafka serves it.
pub(super) fn compare_served_versions(pair: &mut Pair) -> Result<()> {
    let request = ApiVersionsRequest {
        client_software_name: "client".to_owned(),
        client_software_version: "1.0".to_owned(),
        ..Default::default()
    };
    let mut served = Vec::new();
    for side in pair.sides() {
        let Outcome::Answer(answer) = side.line.call(&request, 3)? else {
            bail!("{} does not tell its versions", side.name);
        };
        served.push(answer.api_keys);
    }
    for api in &served[0] {
        ensure!(
            served[1].contains(api),
            "Flumen serves {api:?}, Kafka serves {:?}",
            served[1].iter().find(|other| other.api_key == api.api_key)
        );
    }
    Ok(())
}

pub(super) fn api_versions(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let (name, version) = random.choose(&[
        ("client", "1.0"),
        ("client", "1.0"),
        ("", "1.0"),
        ("bad name", "1.0"),
        ("client", "-"),
    ]);
    let request = ApiVersionsRequest {
        client_software_name: name.to_owned(),
        client_software_version: version.to_owned(),
        ..Default::default()
    };
    let api_version = version_of(ApiKey::ApiVersions, random);
    pair.ask(
        api_version,
        |_| request.clone(),
        |response| {
            // Which APIs and features are served is Flumen's own statement, checked by its tests.
            response.api_keys.clear();
            response.supported_features.clear();
            response.finalized_features.clear();
            response.finalized_features_epoch = -1;
        },
    )?;
    Ok(())
}

pub(super) fn metadata(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let version = version_of(ApiKey::Metadata, random);
    let by_id = version >= 12 && random.one_in(2);
    let name = |random: &mut Random| match topic_name(random) {
        // Before version 4 asking for a topic creates it where that is on, as in Kafka by default.
        "missing" if version < 4 => "one",
        name => name,
    };
    let names: Vec<_> = (0..random.choose(&[0, 1, 1, 2])).map(|_| name(random)).collect();
    let everything = random.one_in(6);
    let authorized = random.one_in(2);
    pair.ask(
        version,
        |side| MetadataRequest {
            topics: (!everything).then(|| {
                let topic = |name: &&str| match by_id {
                    true => MetadataRequestTopic { topic_id: side.topic_id(name), name: None },
                    false => MetadataRequestTopic {
                        topic_id: Uuid::ZERO,
                        name: Some((*name).to_owned()),
                    },
                };
                names.iter().map(topic).collect()
            }),
            allow_auto_topic_creation: version < 4,
            include_cluster_authorized_operations: (8..=10).contains(&version) && authorized,
            include_topic_authorized_operations: version >= 8 && authorized,
        },
        mask_metadata,
    )?;
    Ok(())
}

/// Ids and addresses differ by nature; the order of topics by name is Kafka's hash order, which no
/// client can rely on.
fn mask_metadata(response: &mut MetadataResponse) {
    response.cluster_id = response.cluster_id.as_ref().map(|_| String::new());
    for broker in &mut response.brokers {
        broker.port = 0;
    }
    for topic in &mut response.topics {
        topic.topic_id = mask_id(topic.topic_id);
        topic.partitions.sort_by_key(|partition| partition.partition_index);
    }
    response.topics.sort_by(|a, b| a.name.cmp(&b.name));
}

/// Keeps whether there is an id.
fn mask_id(id: Uuid) -> Uuid {
    if id == Uuid::ZERO { id } else { Uuid::from_bytes([1; 16]) }
}

/// Reads each side's topic ids, which later requests need.
pub(super) fn learn_topic_ids(pair: &mut Pair) -> Result<()> {
    const VERSION: i16 = 12;
    let everything = |_: &_| MetadataRequest { topics: None, ..Default::default() };
    let Some((flumen, kafka)) = pair.ask(VERSION, everything, mask_metadata)? else {
        return Ok(());
    };
    let ids = |response: MetadataResponse| {
        let named = |topic: flumen_protocol::messages::metadata::MetadataResponseTopic| {
            topic.name.map(|name| (name, topic.topic_id))
        };
        response.topics.into_iter().filter_map(named).collect()
    };
    pair.flumen.topic_ids = ids(flumen);
    pair.kafka.topic_ids = ids(kafka);
    Ok(())
}

pub(super) fn describe_cluster(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let request = DescribeClusterRequest {
        include_cluster_authorized_operations: random.one_in(2),
        endpoint_type: random.choose(&[1, 1, 1, 2, 7]),
        include_fenced_brokers: random.one_in(2),
    };
    let version = version_of(ApiKey::DescribeCluster, random);
    pair.ask(
        version,
        |_| request.clone(),
        |response| {
            super::mask_text(&mut response.error_message);
            if !response.cluster_id.is_empty() {
                "(id)".clone_into(&mut response.cluster_id);
            }
            for broker in &mut response.brokers {
                broker.port = 0;
            }
        },
    )?;
    Ok(())
}

pub(super) fn describe_topic_partitions(pair: &mut Pair, random: &mut Random) -> Result<()> {
    let topic = |name: &str| partitions::TopicRequest { name: name.to_owned() };
    // Kafka trips over an empty name and answers UNKNOWN_SERVER_ERROR for all topics of the request.
    let name = |random: &mut Random| match topic_name(random) {
        "" => "missing",
        name => name,
    };
    let names: Vec<_> = (0..random.choose(&[1, 2, 3])).map(|_| name(random)).collect();
    let request = partitions::DescribeTopicPartitionsRequest {
        topics: names.iter().map(|name| topic(name)).collect(),
        response_partition_limit: random.choose(&[2000, 1, 2, 0]),
        cursor: random.one_in(4).then(|| partitions::Cursor {
            topic_name: topic_name(random).to_owned(),
            partition_index: partition_index(random),
        }),
    };
    pair.ask(
        0,
        |_| request.clone(),
        |response| {
            for topic in &mut response.topics {
                topic.topic_id = mask_id(topic.topic_id);
            }
        },
    )?;
    Ok(())
}
