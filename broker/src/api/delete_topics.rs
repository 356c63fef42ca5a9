//! DeleteTopics (key 20), v1–v6. Deletes topics with all their records.
//! v5 error messages · v6 by topic id as well (KIP-516).
//! Differs from Kafka: a request without any time (`timeout_ms`) times out as a whole, also where it
//! names a topic twice.

use flumen_protocol::Uuid;
use flumen_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::decided::{Undecided, decided};
use super::error::WireError;
use super::{Call, Context};
use crate::controller::TopicReference;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let timeout_ms = request.timeout_ms;
    let topics = referenced(call.version, request);
    let deleted = call.decided(ctx.controller.delete_topics(topics.clone()));
    let deleted = decided(timeout_ms, deleted).await;
    // The name is free for a new topic once the data is out of its way.
    ctx.catch_up().await;
    let responses = match deleted {
        Ok(deleted) => deleted
            .into_iter()
            .map(|(topic, deleted)| match deleted {
                Ok(()) => result(topic),
                Err(error) => failure(topic, &error),
            })
            .collect(),
        Err(error) => topics.into_iter().map(|topic| undecided(topic, &error)).collect(),
    };
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn referenced(version: i16, request: DeleteTopicsRequest) -> Vec<TopicReference> {
    if version >= 6 {
        let topics = request.topics.into_iter();
        topics.map(|topic| TopicReference { name: topic.name, id: topic.topic_id }).collect()
    } else {
        let names = request.topic_names.into_iter();
        names.map(|name| TopicReference { name: Some(name), id: Uuid::ZERO }).collect()
    }
}

fn result(topic: TopicReference) -> DeletableTopicResult {
    DeletableTopicResult { name: topic.name, topic_id: topic.id, ..Default::default() }
}

fn undecided(topic: TopicReference, error: &Undecided) -> DeletableTopicResult {
    DeletableTopicResult { error_message: error.message(), ..failure(topic, error) }
}

fn failure<E: WireError + std::fmt::Display>(
    topic: TopicReference,
    error: &E,
) -> DeletableTopicResult {
    DeletableTopicResult {
        error_code: error.code().code(),
        error_message: Some(error.to_string()),
        ..result(topic)
    }
}
