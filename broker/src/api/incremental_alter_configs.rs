//! IncrementalAlterConfigs (key 44), v0–v1. Sets, removes, extends and shortens settings of topics,
//! brokers, groups and client metrics (KIP-339), each resource as a whole or not at all.
//! v1 flexible encoding.
//! Differs from Kafka: an unknown operation is INVALID_REQUEST, where Kafka answers with an
//! unexpected server error.

use flumen_protocol::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::decided::decided_soon;
use super::error::WireError;
use super::{Call, Context};
use crate::controller::{Alteration, ResourceName, Step};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources: Vec<_> = request
        .resources
        .into_iter()
        .map(|resource| {
            let name = ResourceName { kind: resource.resource_type, name: resource.resource_name };
            let steps = resource.configs.into_iter().map(|config| Step {
                name: config.name,
                operation: config.config_operation,
                value: config.value,
            });
            (name, Alteration::Steps(steps.collect()))
        })
        .collect();
    let altered = ctx.controller.alter_configs(resources.clone(), request.validate_only);
    let responses = match decided_soon(call.decided(altered)).await {
        Ok(altered) => altered.into_iter().map(|(name, altered)| answer(name, &altered)).collect(),
        Err(error) => resources.into_iter().map(|(name, _)| answer(name, &Err(error))).collect(),
    };
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
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
