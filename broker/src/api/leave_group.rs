//! LeaveGroup (key 13), v0–v5. Takes members out of a group at once.
//! v1 throttle time · v3 several members, also by instance id (KIP-345) · v4 flexible encoding ·
//! v5 reason (KIP-800).
//! Differs from Kafka: nothing known.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberResponse,
};

use super::error::WireError;
use super::{Call, Context};
use crate::group::Leaver;

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let LeaveGroupRequest { group_id, member_id, members } = request;
    let leavers: Vec<Leaver> = if call.version < 3 {
        vec![Leaver { member_id, instance_id: None, reason: None }]
    } else {
        let leavers = members.into_iter().map(|member| Leaver {
            member_id: member.member_id,
            instance_id: member.group_instance_id,
            reason: member.reason,
        });
        leavers.collect()
    };
    let failed =
        |error: ErrorCode| LeaveGroupResponse { error_code: error.code(), ..Default::default() };
    let results = match ctx.groups.leave(&group_id, &leavers).await {
        Ok(results) => results,
        Err(error) => return failed(error.code()),
    };
    if call.version < 3 {
        return failed(results.first().map_or(ErrorCode::None, WireError::code));
    }
    let members = leavers.into_iter().zip(results).map(|(leaver, result)| MemberResponse {
        member_id: leaver.member_id,
        group_instance_id: leaver.instance_id,
        error_code: result.code().code(),
    });
    LeaveGroupResponse { members: members.collect(), ..Default::default() }
}
