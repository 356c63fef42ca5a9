//! Heartbeat (key 12), v0–v4. Extends a member's session, and tells it when to rejoin.
//! v1 throttle time · v3 static members (KIP-345) · v4 flexible encoding.
//! Differs from Kafka: nothing known.

use flumen_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::error::WireError;
use super::{Call, Context};
use crate::coordinator::CoordinatorError;
use crate::group::GroupError;

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let instance_id = request.group_instance_id.as_deref();
    let beat = ctx
        .groups
        .heartbeat(&request.group_id, &request.member_id, instance_id, request.generation_id)
        .await;
    let beat = match beat {
        // Sessions start over when loading is done: there is nothing that the member could do.
        Err(GroupError::Coordinator(CoordinatorError::LoadInProgress)) => Ok(()),
        beat => beat,
    };
    HeartbeatResponse { throttle_time_ms: 0, error_code: beat.code().code() }
}
