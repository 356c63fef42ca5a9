//! UnregisterBroker (key 64), v0. Removes a broker that is gone for good (KIP-631).
//! Differs from Kafka: a broker that runs is not removed.

use flumen_protocol::messages::unregister_broker::{
    UnregisterBrokerRequest, UnregisterBrokerResponse,
};

use super::decided::decided_soon;
use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let removed = Box::pin(ctx.controller.unregister_broker(request.broker_id));
    let removed = call.decided(removed);
    let removed = decided_soon(removed).await;
    let (error, message) = match removed {
        Ok(removed) => (removed.code(), removed.err().map(|error| error.to_string())),
        Err(error) => (error.code(), Some(error.to_string())),
    };
    UnregisterBrokerResponse {
        error_code: error.code(),
        // Kafka's own text for success.
        error_message: Some(message.unwrap_or_default()),
        ..Default::default()
    }
}
