//! Metadata (key 3), v0–v13. Tells a client where the brokers are and who leads which partition.
//! v0 an empty list means all topics, from v1 on null does · v4 the client may forbid creation ·
//! v5 offline replicas · v7 leader epochs · v8 authorized operations (KIP-430) · v10 topic ids
//! (KIP-516), to be asked for from v12 on · v13 an error for the whole answer (KIP-1102).
//! Differs from Kafka: of a topic that cannot be created the answer says why; topics asked for by name
//! and by id in one request are all answered; the controller is the broker that leads the metadata
//! quorum if it is in service, where Kafka names any broker.

use std::collections::BTreeSet;

use flumen_protocol::messages::create_topics::CreatableTopic;
use flumen_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use flumen_protocol::{ErrorCode, Uuid};

use super::authorized_operations::{CLUSTER, NOT_ASKED, TOPIC};
use super::error::WireError;
use super::{Call, Context, forward};
use crate::controller::{
    MetadataImage, PartitionImage, TopicImage, check_topic_name, is_internal_topic,
};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: MetadataRequest,
) -> MetadataResponse {
    let asked = match request.topics {
        Some(topics) if call.version == 0 && topics.is_empty() => None,
        asked => asked,
    };
    if let Some(topics) = &asked
        && topics.iter().any(|topic| !is_well_formed(call.version, topic))
    {
        return malformed(topics);
    }
    let creates = ctx.config.log.auto_create_topics && request.allow_auto_topic_creation;
    let missing = match &asked {
        Some(topics) if creates => create_missing(ctx, topics).await,
        _ => Vec::new(),
    };
    let image = ctx.controller.image();
    let mut topics = match asked {
        None => image.topics().map(|topic| found(ctx, call.version, &image, topic)).collect(),
        Some(topics) => look_up(ctx, call.version, &image, &topics, &missing),
    };
    if request.include_topic_authorized_operations {
        // Nobody is authorized to do anything with an id that no topic has.
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = TOPIC;
        }
    }
    let cluster_operations =
        if request.include_cluster_authorized_operations { CLUSTER } else { NOT_ASKED };
    MetadataResponse {
        brokers: brokers(ctx, &image),
        cluster_id: Some(image.cluster_id().to_owned()),
        controller_id: ctx.named_controller(&image),
        topics,
        cluster_authorized_operations: cluster_operations,
        ..Default::default()
    }
}

/// A topic is asked for by name, or, from version 12 on, by id.
fn is_well_formed(version: i16, topic: &MetadataRequestTopic) -> bool {
    match (&topic.name, topic.topic_id.is_zero()) {
        (Some(_), true) => true,
        (None, true) => false,
        (_, false) => version >= 12,
    }
}

fn malformed(topics: &[MetadataRequestTopic]) -> MetadataResponse {
    let answer = |topic: &MetadataRequestTopic| {
        let name = Some(topic.name.clone().unwrap_or_default());
        unknown(name, topic.topic_id, ErrorCode::InvalidRequest)
    };
    let topics = topics.iter().map(answer).collect();
    MetadataResponse { topics, controller_id: -1, ..Default::default() }
}

/// Creates the topics that do not exist, and says what each is answered with.
///
/// As in Kafka, a new topic is there for the next request only: who deletes a topic and then looks
/// for it is to find it gone, though looking creates it again.
async fn create_missing(
    ctx: &Context,
    topics: &[MetadataRequestTopic],
) -> Vec<(String, ErrorCode)> {
    let image = ctx.controller.image();
    let missing: BTreeSet<&str> = topics
        .iter()
        .filter(|topic| topic.topic_id.is_zero())
        .filter_map(|topic| topic.name.as_deref())
        .filter(|name| check_topic_name(name).is_ok() && !is_internal_topic(name))
        .filter(|name| image.topic(name).is_none())
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let new = |name: &&str| CreatableTopic {
        name: (*name).to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    };
    let created = forward::create(ctx, missing.iter().map(new).collect()).await;
    ctx.catch_up().await;
    match created {
        Ok(created) => created
            .into_iter()
            .map(|(name, error)| match error {
                // Where it exists, another client was faster.
                ErrorCode::None | ErrorCode::TopicAlreadyExists => {
                    (name, ErrorCode::UnknownTopicOrPartition)
                }
                error => (name, error),
            })
            .collect(),
        // The client asks again, and by then there may be a controller.
        Err(_not_leader) => Vec::new(),
    }
}

fn look_up(
    ctx: &Context,
    version: i16,
    image: &MetadataImage,
    topics: &[MetadataRequestTopic],
    missing: &[(String, ErrorCode)],
) -> Vec<MetadataResponseTopic> {
    let mut answers = Vec::new();
    let mut answered = BTreeSet::new();
    for topic in topics {
        let was_there = |name: &&str| !missing.iter().any(|(missing, _)| missing == name);
        let by_name = || topic.name.as_deref().filter(was_there).and_then(|name| image.topic(name));
        let is_named = topic.topic_id.is_zero();
        let found_topic = if is_named { by_name() } else { image.topic_by_id(topic.topic_id) };
        let key = match found_topic {
            Some(found_topic) => (Some(found_topic.name.to_string()), Uuid::ZERO),
            None => (topic.name.clone(), topic.topic_id),
        };
        if !answered.insert(key) {
            continue;
        }
        answers.push(match found_topic {
            Some(found_topic) => found(ctx, version, image, found_topic),
            None if is_named => {
                let name = topic.name.as_deref().unwrap_or_default();
                unknown(Some(name.to_owned()), Uuid::ZERO, why_missing(name, missing))
            }
            None => unknown(None, topic.topic_id, ErrorCode::UnknownTopicId),
        });
    }
    answers
}

fn why_missing(name: &str, missing: &[(String, ErrorCode)]) -> ErrorCode {
    match check_topic_name(name) {
        Ok(()) => missing
            .iter()
            .find(|(missing, _)| missing == name)
            .map_or(ErrorCode::UnknownTopicOrPartition, |(_, error)| *error),
        Err(error) => error.code(),
    }
}

fn unknown(name: Option<String>, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        is_internal: name.as_deref().is_some_and(is_internal_topic),
        name,
        topic_id,
        topic_authorized_operations: NOT_ASKED,
        ..Default::default()
    }
}

fn found(
    ctx: &Context,
    version: i16,
    image: &MetadataImage,
    topic: &TopicImage,
) -> MetadataResponseTopic {
    let partitions = topic
        .indexed_partitions()
        .map(|(index, partition)| partition_answer(ctx, version, image, index, partition));
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: NOT_ASKED,
    }
}

fn partition_answer(
    ctx: &Context,
    version: i16,
    image: &MetadataImage,
    partition_index: i32,
    partition: &PartitionImage,
) -> MetadataResponsePartition {
    let live = |ids: &[i32]| ids.iter().copied().filter(|id| image.is_live(*id)).collect();
    let offline: Vec<i32> =
        partition.replicas.iter().copied().filter(|id| !image.is_live(*id)).collect();
    let (mut error, leader_id) = match partition.leader {
        // One that is fenced leads no more, even where the election is still to come.
        Some(leader) if image.is_live(leader) => match ctx.endpoint_of(image, leader) {
            Some(_) => (ErrorCode::None, leader),
            None => (ErrorCode::ListenerNotFound, -1),
        },
        _ => (ErrorCode::LeaderNotAvailable, -1),
    };
    // Clients of version 0 take every replica named for one that they can reach.
    let (replica_nodes, isr_nodes) = if version == 0 {
        if error == ErrorCode::None && !offline.is_empty() {
            error = ErrorCode::ReplicaNotAvailable;
        }
        (live(&partition.replicas), live(&partition.in_sync))
    } else {
        (partition.replicas.clone(), partition.in_sync.clone())
    };
    MetadataResponsePartition {
        error_code: error.code(),
        partition_index,
        leader_id,
        leader_epoch: partition.leader_epoch,
        replica_nodes,
        isr_nodes,
        offline_replicas: offline,
    }
}

fn brokers(ctx: &Context, image: &MetadataImage) -> Vec<MetadataResponseBroker> {
    image
        .live_brokers()
        .filter_map(|broker| {
            let endpoint = broker.endpoint(&ctx.listener_name)?;
            Some(MetadataResponseBroker {
                node_id: broker.id,
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack.clone(),
            })
        })
        .collect()
}
