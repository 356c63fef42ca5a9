//! Poll skip: from one call to the next a consumer that keeps its partitions passes over a record.

use super::skip;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let versions = operations.versions();
    let mut polls = operations.successive_polls();
    polls.find_map(|(poll, before, next)| skip(&versions, poll.consumer, before, next))
}
