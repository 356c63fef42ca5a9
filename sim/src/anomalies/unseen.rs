//! Unseen: an acknowledged value that nobody was given although everything was read to its end, and
//! that is not known to be lost for another reason.

use std::collections::BTreeSet;

use crate::history::Written;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let seen: BTreeSet<_> = operations.polled().map(|polled| polled.value).collect();
    let ends = operations.polled_ends();
    operations.sends.iter().find_map(|send| {
        let Written::Acknowledged(offset) = send.written else { return None };
        let end = ends.get(&send.partition).copied().unwrap_or(-1);
        let is_beyond = offset.is_none_or(|offset| offset > end);
        (is_beyond && !seen.contains(&send.value)).then(|| {
            format!(
                "value {} was acknowledged in partition {} ({offset:?}), which was read up to {end}",
                send.value, send.partition
            )
        })
    })
}
