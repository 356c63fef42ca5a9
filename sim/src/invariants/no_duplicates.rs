//! P1: with idempotence a record is appended at most once, whatever was sent again.

use std::collections::BTreeMap;

use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    for (partition, log) in &history.logs {
        let mut first_offsets = BTreeMap::new();
        for (offset, value) in log {
            if let Some(first) = first_offsets.insert(value, offset) {
                return Err(format!(
                    "value {value} of partition {partition} lies at {first} and at {offset}"
                ));
            }
        }
    }
    Ok(())
}
