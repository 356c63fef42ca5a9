//! Internal nonmonotonic poll: within one call a consumer is given a record again, or an earlier one.

use super::step_back;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let mut neighbours = operations.neighbours_within_polls();
    neighbours.find_map(|(poll, before, next)| step_back(poll.consumer, before, next))
}
