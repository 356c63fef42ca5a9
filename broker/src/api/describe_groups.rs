//! DescribeGroups (key 15), v0–v6. Shows groups with their members.
//! v1 throttle time · v3 authorized operations (KIP-430) · v4 static members (KIP-345) · v5 flexible
//! encoding · v6 an error for a group that does not exist (KIP-1043).
//! Differs from Kafka: groups are given in the order they were asked for, and a request that names
//! groups again and again is not answered as often.

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::error::WireError;
use super::repetitions::Repetitions;
use super::{Call, Context};
use crate::group::{self, DescribedMember, GroupError};

/// Bits of the operations that exist on groups (read, delete, describe, and those two on its
/// configuration): without authorization everybody may do all of them.
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// The state of a group that is not there.
const DEAD: &str = "Dead";

pub(super) async fn handle(
    ctx: &Context,
    call: &Call,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    let mut repetitions = Repetitions::default();
    for group_id in request.groups {
        if !repetitions.admit(group_id.clone()) {
            continue;
        }
        let mut answer = match ctx.groups.describe(&group_id).await {
            Ok(group) => described(group_id, group),
            Err(error) => failed(call.version, group_id, &error),
        };
        if request.include_authorized_operations && answer.error_code == 0 {
            answer.authorized_operations = GROUP_OPERATIONS;
        }
        groups.push(answer);
    }
    DescribeGroupsResponse { throttle_time_ms: 0, groups }
}

fn described(group_id: String, group: group::DescribedGroup) -> DescribedGroup {
    let member = |member: DescribedMember| DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribedGroup {
        group_id,
        group_state: group.state.name().to_owned(),
        protocol_type: group.protocol_type,
        protocol_data: group.protocol,
        members: group.members.into_iter().map(member).collect(),
        ..Default::default()
    }
}

fn failed(version: i16, group_id: String, error: &GroupError) -> DescribedGroup {
    let is_missing = matches!(error, GroupError::GroupNotFound { .. });
    // Older clients take a group that does not exist for one that has died.
    let code = if is_missing && version < 6 { ErrorCode::None } else { error.code() };
    let message = (is_missing && version >= 6).then(|| format!("Group {group_id} not found."));
    DescribedGroup {
        error_code: code.code(),
        error_message: message,
        group_id,
        group_state: if is_missing { DEAD.to_owned() } else { String::new() },
        ..Default::default()
    }
}
