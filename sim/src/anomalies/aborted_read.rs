//! G1a, aborted read: what a producer was told is not written is read.

use std::collections::BTreeSet;

use crate::history::Written;
use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let refused = operations.sends.iter().filter(|send| send.written == Written::Refused);
    let refused: BTreeSet<_> = refused.map(|send| send.value).collect();
    operations.polled().find(|polled| refused.contains(&polled.value)).map(|polled| {
        format!(
            "value {} was refused and read at offset {} of partition {}",
            polled.value, polled.offset, polled.partition
        )
    })
}
