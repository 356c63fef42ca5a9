//! ListConfigResources (key 74), v0–v1. Names everything that can have settings.
//! v0 client metrics only · v1 all kinds (KIP-1142).
//! Differs from Kafka: nothing known.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::list_config_resources::{
    ConfigResource as Listed, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::{Call, Context};
use crate::controller::{ConfigResource, MetadataImage};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let all = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];
    let mut kinds = request.resource_types;
    if call.version == 0 {
        kinds = vec![CLIENT_METRICS];
    } else if kinds.is_empty() {
        kinds = all.to_vec();
    }
    if !kinds.iter().all(|kind| all.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    kinds.sort_unstable();
    kinds.dedup();
    let image = ctx.controller.image();
    let config_resources = kinds.into_iter().flat_map(|kind| list(&image, kind)).collect();
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}

fn list(image: &MetadataImage, kind: i8) -> Vec<Listed> {
    let listed = |resource_name| Listed { resource_name, resource_type: kind };
    match kind {
        TOPIC => image.topics().map(|topic| listed(topic.name.to_string())).collect(),
        BROKER | BROKER_LOGGER => {
            image.brokers().map(|broker| listed(broker.id.to_string())).collect()
        }
        _ => image.configured().filter_map(|resource| named(resource, kind)).map(listed).collect(),
    }
}

fn named(resource: &ConfigResource, kind: i8) -> Option<String> {
    match resource {
        ConfigResource::Group(name) if kind == GROUP => Some(name.clone()),
        ConfigResource::ClientMetrics(name) if kind == CLIENT_METRICS => Some(name.clone()),
        _ => None,
    }
}
