//! ListGroups (key 16), v0–v5. Lists the groups that this broker coordinates.
//! v1 throttle time · v3 flexible encoding · v4 states (KIP-518) · v5 types (KIP-848).
//! Differs from Kafka: the list is sorted by group id.

use flumen_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::error::WireError;
use super::{Call, Context};
use crate::group::GROUP_TYPE;

pub(super) async fn handle(
    ctx: &Context,
    _call: &Call,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let listed = ctx.groups.list().await;
    let error_code = listed.code().code();
    let groups = listed
        .unwrap_or_default()
        .into_iter()
        .filter(|group| passes(&request.states_filter, group.state.name()))
        .filter(|_| passes(&request.types_filter, GROUP_TYPE))
        .map(|group| ListedGroup {
            group_id: group.group_id,
            protocol_type: group.protocol_type,
            group_state: group.state.name().to_owned(),
            group_type: GROUP_TYPE.to_owned(),
        })
        .collect();
    ListGroupsResponse { throttle_time_ms: 0, error_code, groups }
}

/// No filter lets everything pass; upper and lower case are the same.
fn passes(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_ignore_case_and_unknown_names_match_nothing() {
        let filter =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        assert!(passes(&[], "Empty"));
        assert!(passes(&filter(&["stable", " emPty "]), "Empty"));
        assert!(!passes(&filter(&["bogus"]), "Empty"));
    }
}
