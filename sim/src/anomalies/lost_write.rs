//! Lost write: an acknowledged value that nobody was given, although its partition was read beyond
//! the place where it was acknowledged.

use std::collections::BTreeSet;

use crate::history::Written;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let seen: BTreeSet<_> = operations.polled().map(|polled| polled.value).collect();
    let ends = operations.polled_ends();
    operations.sends.iter().find_map(|send| {
        let Written::Acknowledged(Some(offset)) = send.written else { return None };
        let end = *ends.get(&send.partition)?;
        (offset <= end && !seen.contains(&send.value)).then(|| {
            format!(
                "value {} was acknowledged at offset {offset} of partition {}, which was read up to \
                 {end} without it",
                send.value, send.partition
            )
        })
    })
}
