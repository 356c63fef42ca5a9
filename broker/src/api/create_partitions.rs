//! CreatePartitions (key 37), v0–v3. Adds partitions to topics; one result per topic.
//! v2 flexible encoding · v3 quota on partition changes (KIP-599).
//! Differs from Kafka: a request without any time (`timeout_ms`) times out as a whole, also where it
//! names a topic twice.

use flumen_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::decided::{Undecided, decided};
use super::error::WireError;
use super::{Call, Context};
use crate::controller::CreatePartitionsError;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let topics = request.topics.clone();
    let added = ctx.controller.create_partitions(topics, request.validate_only);
    let added = decided(request.timeout_ms, call.decided(added)).await;
    ctx.catch_up().await;
    let results = match added {
        Ok(added) => added
            .into_iter()
            .map(|(name, added)| match added {
                Ok(()) => CreatePartitionsTopicResult { name, ..Default::default() },
                // As in Kafka, the code alone says it.
                Err(error @ CreatePartitionsError::UnknownTopic { .. }) => {
                    CreatePartitionsTopicResult { error_message: None, ..failure(name, &error) }
                }
                Err(error) => failure(name, &error),
            })
            .collect(),
        Err(error) => {
            let topics = request.topics.into_iter();
            topics.map(|topic| undecided(topic.name, &error)).collect()
        }
    };
    CreatePartitionsResponse { results, ..Default::default() }
}

fn undecided(name: String, error: &Undecided) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { error_message: error.message(), ..failure(name, error) }
}

fn failure<E: WireError + std::fmt::Display>(
    name: String,
    error: &E,
) -> CreatePartitionsTopicResult {
    let error_code = error.code().code();
    CreatePartitionsTopicResult { name, error_code, error_message: Some(error.to_string()) }
}
