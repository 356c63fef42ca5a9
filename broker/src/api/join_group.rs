//! JoinGroup (key 11), v0–v9. Joins or rejoins a group; answered when its next generation begins.
//! v1 rebalance timeout · v2 throttle time · v4 a first join is answered with an id (KIP-394) ·
//! v5 static members (KIP-345) · v6 flexible encoding · v7 protocol type · v8 reason (KIP-800) ·
//! v9 a leader that may skip assigning (KIP-814).
//! Differs from Kafka: nothing known.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};

use super::error::WireError;
use super::{Call, Context};
use crate::group::{JoinRefusal, JoinRequest, Joined, Protocol};

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let response = match ctx.groups.join(join_request(call, request)).await {
        Ok(joined) => admitted(joined),
        Err(refusal) => refused(refusal),
    };
    // Before v7 the name of the protocol cannot be null.
    match response.protocol_name {
        None if call.version < 7 => {
            JoinGroupResponse { protocol_name: Some(String::new()), ..response }
        }
        Some(_) | None => response,
    }
}

fn join_request(call: &Call, request: JoinGroupRequest) -> JoinRequest {
    let protocols = request.protocols.into_iter();
    JoinRequest {
        group_id: request.group_id,
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        client_id: call.client_id.clone().unwrap_or_default(),
        // The form in which Kafka gives addresses, and which its tools strip.
        client_host: format!("/{}", call.peer.ip()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: protocols.map(|p| Protocol { name: p.name, metadata: p.metadata }).collect(),
        reason: request.reason,
        requires_known_member_id: call.version >= 4,
        supports_skipping_assignment: call.version >= 9,
        fresh_id: String::new(),
    }
}

fn admitted(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        metadata: member.metadata,
    });
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.code(),
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        protocol_name: joined.protocol_name,
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members: members.collect(),
    }
}

fn refused(refusal: JoinRefusal) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: refusal.error.code().code(),
        protocol_name: None,
        member_id: refusal.member_id,
        ..Default::default()
    }
}
