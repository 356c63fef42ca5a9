//! Nonmonotonic poll: from one call to the next a consumer that keeps its partitions goes back.

use super::step_back;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let mut polls = operations.successive_polls();
    polls.find_map(|(poll, before, next)| step_back(poll.consumer, before, next))
}
