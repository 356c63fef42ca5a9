//! AlterConfigs (key 33), v0–v2. Replaces all settings of a resource: what the request does not name
//! returns to its default. IncrementalAlterConfigs supersedes it; many clients still send this.
//! v1 throttle first · v2 flexible encoding.
//! Differs from Kafka: a resource named twice is refused, where Kafka never answers.

use flumen_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::decided::decided_soon;
use super::error::WireError;
use super::{Call, Context};
use crate::controller::{Alteration, ResourceName};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let resources: Vec<_> = request
        .resources
        .into_iter()
        .map(|resource| {
            let name = ResourceName { kind: resource.resource_type, name: resource.resource_name };
            let all = resource.configs.into_iter().map(|config| (config.name, config.value));
            (name, Alteration::Replace(all.collect()))
        })
        .collect();
    let altered = ctx.controller.alter_configs(resources.clone(), request.validate_only);
    let responses = match decided_soon(call.decided(altered)).await {
        Ok(altered) => altered.into_iter().map(|(name, altered)| answer(name, &altered)).collect(),
        Err(error) => resources.into_iter().map(|(name, _)| answer(name, &Err(error))).collect(),
    };
    AlterConfigsResponse { responses, ..Default::default() }
}

fn answer<E: WireError + std::fmt::Display>(
    name: ResourceName,
    altered: &Result<(), E>,
) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: altered.code().code(),
        error_message: altered.as_ref().err().map(ToString::to_string),
        resource_type: name.kind,
        resource_name: name.name,
    }
}
