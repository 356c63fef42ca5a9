//! Inconsistent offsets: two values were seen at one place.

use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    for (partition, versions) in operations.versions() {
        if let Some((offset, values)) = versions.iter().find(|(_, values)| values.len() > 1) {
            return Some(format!("offset {offset} of partition {partition} holds {values:?}"));
        }
    }
    None
}
