//! InitProducerId (key 22), v0–v5. Gives an idempotent producer its id.
//! v2 flexible encoding · v3 a producer may name the id and epoch it had (KIP-360) · v4 fencing error
//! (KIP-588) · v5 transaction version 2 (KIP-890).
//! Differs from Kafka: transactions are not served yet, so a transactional id gets a final error.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    if let Err(error) = check(&request) {
        return refusal(error);
    }
    // Without transactions there is nothing to fence, so an id that the producer had is replaced.
    match ctx.controller.next_producer_id(&ctx.control).await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
        }
        Err(error) => refusal(error.code()),
    }
}

fn check(request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    let names_id = request.producer_id != -1;
    let names_epoch = request.producer_epoch != -1;
    if names_id != names_epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        None => Ok(()),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::UnsupportedVersion),
    }
}

fn refusal(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    }
}
