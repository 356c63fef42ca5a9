//! Internal poll skip: within one call a consumer is not given a record that is there.

use super::skip;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let versions = operations.versions();
    let mut neighbours = operations.neighbours_within_polls();
    neighbours.find_map(|(poll, before, next)| skip(&versions, poll.consumer, before, next))
}
