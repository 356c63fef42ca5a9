//! FindCoordinator (key 10), v0–v6. Names the broker that coordinates a group.
//! v1 key types, message · v3 flexible encoding · v4 several keys at once (KIP-699) · v5 errors
//! of transactions · v6 share groups (KIP-932).
//! Differs from Kafka: transactional ids and share groups have no coordinator yet. A transactional
//! id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED: among the codes a client may get here,
//! this is the one that Java, librdkafka and those after them take as final; most others make
//! librdkafka ask again for ever. `__consumer_offsets` is created by the request that needs it, and
//! the answer does not wait for a second try.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use flumen_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use tracing::warn;

use super::{Call, Context, forward};
use crate::controller::{CONSUMER_OFFSETS, MetadataImage};
use crate::group::partition_of;

const KEY_TYPE_GROUP: i8 = 0;
const KEY_TYPE_TRANSACTION: i8 = 1;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if call.version >= 4 {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(ctx, request.key_type, key).await);
        }
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let found = find(ctx, request.key_type, request.key).await;
    let message = found.error_message.filter(|text| !text.is_empty());
    FindCoordinatorResponse {
        error_code: found.error_code,
        // Kafka's own text for success, which some clients print.
        error_message: Some(message.unwrap_or_else(|| "NONE".to_owned())),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

async fn find(ctx: &Context, key_type: i8, key: String) -> Coordinator {
    match key_type {
        KEY_TYPE_GROUP => find_group(ctx, key).await,
        KEY_TYPE_TRANSACTION => refused(
            key,
            ErrorCode::TransactionalIdAuthorizationFailed,
            "this broker does not serve transactions yet: remove transactional.id",
        ),
        _ => refused(key, ErrorCode::InvalidRequest, "this broker coordinates groups only"),
    }
}

async fn find_group(ctx: &Context, key: String) -> Coordinator {
    if ctx.controller.image().topic(CONSUMER_OFFSETS).is_none() {
        create_offsets_topic(ctx).await;
    }
    // The client comes to this very broker next, and should find the partition open, whoever made
    // the topic a moment ago.
    ctx.catch_up().await;
    let image = ctx.controller.image();
    coordinator_in(ctx, &image, &key).unwrap_or_else(|| {
        refused(key, ErrorCode::CoordinatorNotAvailable, "no broker coordinates the group now")
    })
}

/// The leader of the group's partition, at the address that it gives on the listener.
fn coordinator_in(ctx: &Context, image: &MetadataImage, group_id: &str) -> Option<Coordinator> {
    let topic = image.topic(CONSUMER_OFFSETS)?;
    let partition_count = i32::try_from(topic.partitions.len()).ok().filter(|&count| count > 0)?;
    let partition = topic.partition(partition_of(group_id, partition_count))?;
    let (node_id, host, port, _rack) = ctx.endpoint_of(image, partition.leader?)?;
    Some(Coordinator {
        key: group_id.to_owned(),
        node_id,
        host,
        port,
        error_message: Some(String::new()),
        ..Default::default()
    })
}

fn refused(key: String, error: ErrorCode, message: &str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: Some(message.to_owned()),
        ..Default::default()
    }
}

/// Creates the topic that holds the groups. Another request may do the same at this moment: then
/// the topic exists, which is all that is wanted.
async fn create_offsets_topic(ctx: &Context) {
    let group = &ctx.config.group;
    let segment_bytes = group.offsets_topic_segment_bytes.to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
        ("segment.bytes", segment_bytes.as_str()),
        // Whatever the broker's default: an offset that was answered must not come back lower.
        ("durability", "fsync"),
    ];
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let live = ctx.controller.image().live_brokers().count();
    let live = i16::try_from(live.max(1)).unwrap_or(i16::MAX);
    let topic = CreatableTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        num_partitions: group.offsets_topic_num_partitions,
        // As many as there can be.
        replication_factor: group.offsets_topic_replication_factor.min(live),
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let created = forward::create(ctx, vec![topic]).await;
    ctx.catch_up().await;
    match created {
        Ok(created) => {
            for (topic, error) in created {
                if !matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
                    warn!(%topic, error = error.message(), "could not create the topic");
                }
            }
        }
        Err(error) => warn!(topic = CONSUMER_OFFSETS, %error, "could not create the topic"),
    }
}
