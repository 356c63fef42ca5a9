//! Duplicate: one value at two places. With idempotence retries must not do that.

use std::collections::BTreeMap;

use crate::operations::Operations;

pub(super) fn find(operations: &Operations) -> Option<String> {
    let mut places = BTreeMap::new();
    for (partition, versions) in operations.versions() {
        for (offset, values) in versions {
            for value in values {
                if let Some(first) = places.insert(value, (partition, offset)) {
                    return Some(format!(
                        "value {value} lies at (partition, offset) {first:?} and {:?}",
                        (partition, offset)
                    ));
                }
            }
        }
    }
    None
}
