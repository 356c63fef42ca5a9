//! DescribeConfigs (key 32), v1–v4. Shows the settings of topics, brokers, groups and client metrics,
//! each with its value, its default and every place the value could come from.
//! v1 source and synonyms (KIP-226) · v3 type and documentation (KIP-569) · v4 flexible encoding.
//! Differs from Kafka: settings are sorted by name; there are no loggers to describe; a request that
//! names resources again and again is not answered as often.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::error::WireError;
use super::repetitions::Repetitions;
use super::{Call, Context};
use crate::config::{
    Described, describe_broker, describe_client_metrics, describe_cluster, describe_group,
    describe_topic,
};
use crate::controller::{ConfigResource, MetadataImage, check_topic_name};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = ctx.controller.image();
    // A few bytes that name a resource are answered with thousands.
    let mut repetitions = Repetitions::default();
    let results = request
        .resources
        .iter()
        .filter(|resource| repetitions.admit((resource.resource_type, &resource.resource_name)))
        .map(|resource| {
            let described = describe(ctx, &image, resource);
            answer(&request, resource, described)
        })
        .collect();
    DescribeConfigsResponse { results, ..Default::default() }
}

type Refusal = (ErrorCode, String);

fn describe(
    ctx: &Context,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Described>, Refusal> {
    let name = resource.resource_name.as_str();
    let settings = ctx.controller.settings(image);
    let must_have_name = |what: &str| {
        if name.is_empty() { Err(invalid(format!("{what} must not be empty"))) } else { Ok(()) }
    };
    match resource.resource_type {
        2 => {
            check_topic_name(name).map_err(|error| (error.code(), error.to_string()))?;
            let topic = image
                .topic(name)
                .ok_or_else(|| (ErrorCode::UnknownTopicOrPartition, String::new()))?;
            let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
            Ok(describe_topic(&settings, &topic.configs, replicas))
        }
        4 if name.is_empty() => Ok(describe_cluster(&image.configs(&ConfigResource::Cluster))),
        4 => {
            let own = image.configs(&ConfigResource::Broker(this_broker(ctx, name)?));
            let cluster = image.configs(&ConfigResource::Cluster);
            Ok(describe_broker(&settings, &cluster, &own))
        }
        8 => {
            must_have_name("Broker id")?;
            this_broker(ctx, name).map(|_| Vec::new())
        }
        16 => {
            must_have_name("Client metrics subscription name")?;
            let own = image.configs(&ConfigResource::ClientMetrics(name.to_owned()));
            Ok(describe_client_metrics(&own))
        }
        32 => {
            must_have_name("Group name")?;
            let own = image.configs(&ConfigResource::Group(name.to_owned()));
            Ok(describe_group(&settings, &own))
        }
        kind => Err(invalid(format!("Unknown resource type {kind}"))),
    }
}

/// Only a broker itself knows what it was started with.
fn this_broker(ctx: &Context, name: &str) -> Result<i32, Refusal> {
    let asked: i32 = name.parse().map_err(|_not_a_number| {
        invalid(format!("Broker id must be an integer, but it is: {name}"))
    })?;
    let own = ctx.config.node_id;
    if asked == own {
        return Ok(own);
    }
    Err(invalid(format!(
        "Unexpected broker id, expected {own} or empty string, but received {asked}"
    )))
}

fn invalid(message: String) -> Refusal {
    (ErrorCode::InvalidRequest, message)
}

fn answer(
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsResource,
    described: Result<Vec<Described>, Refusal>,
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        error_message: Some(String::new()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    };
    match described {
        Ok(all) => {
            // Some clients send an empty list for "all".
            let keys = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
            let is_asked =
                |described: &Described| keys.is_none_or(|keys| keys.contains(&described.name));
            let asked = all.into_iter().filter(is_asked);
            result.configs = asked.map(|described| entry(request, described)).collect();
        }
        Err((code, message)) => {
            result.error_code = code.code();
            result.error_message = Some(message);
        }
    }
    result
}

fn entry(request: &DescribeConfigsRequest, described: Described) -> DescribeConfigsResourceResult {
    let synonyms = described.synonyms.into_iter().filter(|_| request.include_synonyms);
    DescribeConfigsResourceResult {
        name: described.name,
        value: described.value,
        read_only: described.read_only,
        config_source: described.source.wire_code(),
        is_sensitive: described.sensitive,
        synonyms: synonyms
            .map(|synonym| DescribeConfigsSynonym {
                name: synonym.name,
                value: synonym.value,
                source: synonym.source.wire_code(),
            })
            .collect(),
        config_type: described.kind,
        documentation: request.include_documentation.then(|| described.text.to_owned()),
    }
}
