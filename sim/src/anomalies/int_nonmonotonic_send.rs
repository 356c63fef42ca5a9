//! Internal nonmonotonic send: what a producer was given lies before what it was given earlier in the
//! same operation.

use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let mut sends = operations.successive_sends();
    sends.find_map(|((before, first), (next, second))| {
        (before.operation == next.operation && second <= first).then(|| {
            format!(
                "producer {} wrote value {} to partition {} at {first} and {} of the same operation \
                 at {second}",
                next.producer, before.value, next.partition, next.value
            )
        })
    })
}
