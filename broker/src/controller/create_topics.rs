//! Decides on requests to create topics.
//!
//! Looks at an image and says what to append and what to answer; nothing changes here. Each topic
//! of a request succeeds or fails by itself.

use std::collections::{BTreeMap, BTreeSet};

use flumen_client::connection::Rng;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_topics::CreatableTopic;

use super::assignment::{AssignmentError, PARTITIONS_PER_REQUEST_MAX, check_assignment, count_by};
use super::configs::{TopicConfigError, check_topic_configs};
use super::decision::Decision;
use super::image::{Configs, MetadataImage, is_internal_topic};
use super::placement::{TooFewBrokers, new_partition, place};
use super::records::{ConfigRecord, ConfigResource, MetadataRecord, TopicRecord};
use super::topic_name::{TopicNameError, check_topic_name, collision};
use crate::config::BrokerConfig;

/// The name of the log that metadata itself is kept in.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A topic that was created, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many replicas each has.
    pub replication_factor: usize,
    /// The settings it has of its own.
    pub configs: Configs,
}

/// Why a topic is not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// There is one of this name.
    #[error("Topic '{name}' already exists.")]
    Exists {
        /// The name.
        name: String,
    },
    /// The name has not the right form.
    #[error(transparent)]
    Name(#[from] TopicNameError),
    /// The name differs from another only in `.` and `_`.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision {
        /// The name.
        name: String,
        /// The topic that exists.
        existing: String,
    },
    /// The name belongs to the metadata log.
    #[error("Creation of internal topic {CLUSTER_METADATA} is prohibited.")]
    Reserved,
    /// The request names it twice.
    #[error("Duplicate topic name.")]
    Twice,
    /// The number of partitions makes no sense.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    /// The request asks for too much at once.
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitions,
    /// The cluster would have too many.
    #[error("The cluster may have {limit} partitions (max.partitions), and has {count}.")]
    PartitionLimit {
        /// How many it may have.
        limit: usize,
        /// How many it has, with those of earlier topics of the request.
        count: usize,
    },
    /// The number of replicas makes no sense.
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    /// There are not so many brokers.
    #[error(transparent)]
    TooFewBrokers(#[from] TooFewBrokers),
    /// Both a number of partitions and their places are given.
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    AssignmentAndPartitions,
    /// Both a number of replicas and their places are given.
    #[error(
        "A manual partition assignment was specified, but replication factor was not set to -1."
    )]
    AssignmentAndReplicationFactor,
    /// The places given cannot be taken.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] TopicConfigError),
}

/// Decides on a request to create topics. `validate_only` answers without creating.
pub(super) fn create_topics(
    image: &MetadataImage,
    topics: &[CreatableTopic],
    validate_only: bool,
    config: &BrokerConfig,
    rng: &dyn Rng,
) -> Decision<Vec<(String, Result<CreatedTopic, CreateTopicError>)>> {
    let mut decision = Decision::answer(Vec::new());
    let times = count_by(topics.iter().map(|topic| topic.name.as_str()));
    let wanted: i64 = topics.iter().map(|topic| partitions_wanted(topic, config)).sum();
    let limit = config.limits.partitions_max;
    let mut count = image.partition_count();
    let mut answered = BTreeSet::new();
    for topic in topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let created = if times[topic.name.as_str()] > 1 {
            Err(CreateTopicError::Twice)
        } else if wanted > PARTITIONS_PER_REQUEST_MAX {
            Err(CreateTopicError::TooManyPartitions)
        } else {
            create_topic(image, topic, config, rng)
        };
        // What the broker needs for itself it gets in any case.
        let has_room = |created: &CreatedTopic, count| {
            count + created.partitions <= limit || is_internal_topic(&topic.name)
        };
        let created = created.and_then(|(created, records)| {
            if !has_room(&created, count) {
                return Err(CreateTopicError::PartitionLimit { limit, count });
            }
            count += created.partitions;
            if !validate_only {
                decision.records.extend(records);
            }
            Ok(created)
        });
        decision.answer.push((topic.name.clone(), created));
    }
    decision
}

fn partitions_wanted(topic: &CreatableTopic, config: &BrokerConfig) -> i64 {
    match topic.num_partitions {
        _ if !topic.assignments.is_empty() => {
            i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX)
        }
        -1 => config.log.num_partitions.into(),
        count => i64::from(count).max(0),
    }
}

fn create_topic(
    image: &MetadataImage,
    topic: &CreatableTopic,
    config: &BrokerConfig,
    rng: &dyn Rng,
) -> Result<(CreatedTopic, Vec<MetadataRecord>), CreateTopicError> {
    check_new_name(image, &topic.name)?;
    let configs = check_topic_configs(
        topic.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())),
    )?;
    let assignments = if topic.assignments.is_empty() {
        place_automatically(image, topic, config, rng)?
    } else {
        place_by_hand(image, topic)?
    };
    let replicas = assignments.first().map_or(0, Vec::len);
    let created = CreatedTopic {
        id: new_topic_id(image, rng),
        partitions: assignments.len(),
        replication_factor: replicas,
        configs,
    };
    let records = topic_records(image, &topic.name, &created, assignments);
    Ok((created, records))
}

fn check_new_name(image: &MetadataImage, name: &str) -> Result<(), CreateTopicError> {
    if name == CLUSTER_METADATA {
        return Err(CreateTopicError::Reserved);
    }
    check_topic_name(name)?;
    if image.topic(name).is_some() {
        return Err(CreateTopicError::Exists { name: name.to_owned() });
    }
    match collision(image, name) {
        Some(existing) => {
            let (name, existing) = (name.to_owned(), existing.to_owned());
            Err(CreateTopicError::Collision { name, existing })
        }
        None => Ok(()),
    }
}

fn place_automatically(
    image: &MetadataImage,
    topic: &CreatableTopic,
    config: &BrokerConfig,
    rng: &dyn Rng,
) -> Result<Vec<Vec<i32>>, CreateTopicError> {
    // Kafka looks at the replication factor first, so a request wrong in both hears of that.
    let replicas = match topic.replication_factor {
        -1 => config.replication.replication_factor(image.live_brokers().count()),
        replicas => replicas,
    };
    let replicas = usize::try_from(replicas).ok().filter(|replicas| *replicas > 0);
    let replicas = replicas.ok_or(CreateTopicError::ReplicationFactor)?;
    let count = match topic.num_partitions {
        -1 => config.log.num_partitions,
        count => count,
    };
    let count =
        usize::try_from(count).ok().filter(|n| *n > 0).ok_or(CreateTopicError::Partitions)?;
    // The remainder alone counts, so the upper half of the number may go.
    let start = usize::try_from(rng.next_u64() >> 32).unwrap_or_default();
    Ok(place(image, count, replicas, start)?)
}

fn place_by_hand(
    image: &MetadataImage,
    topic: &CreatableTopic,
) -> Result<Vec<Vec<i32>>, CreateTopicError> {
    if topic.num_partitions != -1 {
        return Err(CreateTopicError::AssignmentAndPartitions);
    }
    if topic.replication_factor != -1 {
        return Err(CreateTopicError::AssignmentAndReplicationFactor);
    }
    let mut placed = BTreeMap::new();
    for assignment in &topic.assignments {
        let partition = assignment.partition_index;
        if placed.insert(partition, assignment.broker_ids.as_slice()).is_some() {
            return Err(AssignmentError::PartitionTwice { partition }.into());
        }
    }
    if !placed.keys().copied().eq((0..).take(placed.len())) {
        return Err(AssignmentError::NotConsecutive.into());
    }
    let width = placed.values().next().map_or(0, |brokers| brokers.len());
    placed
        .into_iter()
        .map(|(index, brokers)| check_assignment(image, index, brokers, width).map_err(Into::into))
        .collect()
}

/// A random id that is not in use and has no meaning of its own.
fn new_topic_id(image: &MetadataImage, rng: &dyn Rng) -> Uuid {
    loop {
        let id = random_uuid(rng);
        // An id whose text starts with a hyphen is a trap on command lines.
        if !id.to_string().starts_with('-') && image.topic_by_id(id).is_none() {
            return id;
        }
    }
}

/// A random id of version 4, as Kafka makes them; never one of the reserved ones.
pub(super) fn random_uuid(rng: &dyn Rng) -> Uuid {
    let mut bytes = rng.next_bytes16();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

fn topic_records(
    image: &MetadataImage,
    name: &str,
    created: &CreatedTopic,
    assignments: Vec<Vec<i32>>,
) -> Vec<MetadataRecord> {
    let mut records = vec![TopicRecord { topic_id: created.id, name: name.to_owned() }.into()];
    records.extend(created.configs.iter().map(|(config, value)| {
        let resource = ConfigResource::Topic(name.to_owned());
        let (name, value) = (config.clone(), Some(value.clone()));
        ConfigRecord { resource, name, value }.into()
    }));
    records.extend(
        (0_i32..)
            .zip(assignments)
            .map(|(index, replicas)| new_partition(image, created.id, index, replicas).into()),
    );
    records
}
