//! One producer's records of a partition lie in the order in which they were given to it.

use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), String> {
    for (partition, log) in &history.logs {
        for pair in log.windows(2) {
            if let [(_, earlier), (offset, later)] = pair
                && earlier >= later
            {
                return Err(format!(
                    "partition {partition} has {later} at {offset}, behind {earlier}"
                ));
            }
        }
    }
    Ok(())
}
