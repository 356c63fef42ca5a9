//! SyncGroup (key 14), v0–v5. The leader brings the assignment of a generation, every member gets
//! its own; answered when the assignment is stored.
//! v1 throttle time · v3 static members (KIP-345) · v4 flexible encoding · v5 protocol type and
//! name, which must then be given (KIP-559).
//! Differs from Kafka: nothing known.

use flumen_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::error::WireError;
use super::{Call, Context};
use crate::group::{GroupError, SyncRequest, Synced};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    let synced = if call.version >= 5 && !names_protocol {
        Err(GroupError::InconsistentProtocol)
    } else {
        ctx.groups.sync(sync_request(request)).await
    };
    let error_code = synced.code().code();
    let Ok(Synced { protocol_type, protocol_name, assignment }) = synced else {
        return SyncGroupResponse { error_code, ..Default::default() };
    };
    SyncGroupResponse { throttle_time_ms: 0, error_code, protocol_type, protocol_name, assignment }
}

fn sync_request(request: SyncGroupRequest) -> SyncRequest {
    let assignments = request.assignments.into_iter();
    SyncRequest {
        group_id: request.group_id,
        generation: request.generation_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: assignments.map(|given| (given.member_id, given.assignment)).collect(),
    }
}
