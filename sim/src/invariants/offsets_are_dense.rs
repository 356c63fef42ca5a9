//! L1: offsets are unique and strictly increasing; without compaction and transactions they leave no
//! gap.

use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    for (partition, log) in &history.logs {
        for ((offset, _), expected) in log.iter().zip(0..) {
            if *offset != expected {
                return Err(format!("partition {partition} has {offset} in place of {expected}"));
            }
        }
    }
    Ok(())
}
