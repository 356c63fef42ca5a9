//! CreateTopics (key 19), v2–v7. Creates topics, or only says whether they could be created.
//! v4 -1 for the broker's defaults (KIP-464) · v5 the topic's settings in the response (KIP-525) ·
//! v6 quota on partition changes (KIP-599) · v7 topic ids.
//! Differs from Kafka: a request without any time (`timeout_ms`) times out as a whole, also where it
//! names a topic twice.

use flumen_protocol::messages::create_topics::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use super::decided::{Undecided, decided};
use super::error::WireError;
use super::{Call, Context};
use crate::config::{Settings, describe_topic};
use crate::controller::{CreateTopicError, CreatedTopic};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let topics = request.topics.clone();
    let created = ctx.controller.create_topics(topics, request.validate_only);
    let topics = match decided(request.timeout_ms, call.decided(created)).await {
        Ok(created) => {
            ctx.catch_up().await;
            let settings = ctx.controller.settings(&ctx.controller.image());
            created.into_iter().map(|(name, created)| answer(name, created, &settings)).collect()
        }
        Err(error) => {
            let topics = request.topics.into_iter();
            topics.map(|topic| undecided(topic.name, &error)).collect()
        }
    };
    CreateTopicsResponse { topics, ..Default::default() }
}

fn answer(
    name: String,
    created: Result<CreatedTopic, CreateTopicError>,
    settings: &Settings,
) -> CreatableTopicResult {
    let created = match created {
        Ok(created) => created,
        Err(error) => return failure(name, &error),
    };
    let configs = describe_topic(settings, &created.configs, created.replication_factor)
        .into_iter()
        .map(|described| CreatableTopicConfigs {
            name: described.name,
            value: described.value,
            read_only: described.read_only,
            config_source: described.source.wire_code(),
            is_sensitive: described.sensitive,
        });
    CreatableTopicResult {
        name,
        topic_id: created.id,
        num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(created.replication_factor).unwrap_or(i16::MAX),
        configs: Some(configs.collect()),
        // The schema's default is an empty one.
        error_message: None,
        ..Default::default()
    }
}

fn undecided(name: String, error: &Undecided) -> CreatableTopicResult {
    CreatableTopicResult { error_message: error.message(), ..failure(name, error) }
}

fn failure<E: WireError + std::fmt::Display>(name: String, error: &E) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code().code(),
        error_message: Some(error.to_string()),
        configs: Some(Vec::new()),
        ..Default::default()
    }
}
