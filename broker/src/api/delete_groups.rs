//! DeleteGroups (key 42), v0–v3. Deletes groups without members, with their offsets.
//! v1 throttle time · v2 flexible encoding · v3 a message per group.
//! Differs from Kafka: results stand in the order of the request, where Kafka shuffles them. As in
//! Kafka a group that is named twice has one result.

use std::collections::BTreeSet;

use flumen_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::error::WireError;
use super::{Call, Context};

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    let mut named = BTreeSet::new();
    for group_id in request.groups_names {
        if !named.insert(group_id.clone()) {
            continue;
        }
        let deleted = ctx.groups.delete(&group_id).await;
        let error_code = deleted.code().code();
        results.push(DeletableGroupResult { group_id, error_code, error_message: None });
    }
    DeleteGroupsResponse { throttle_time_ms: 0, results }
}
