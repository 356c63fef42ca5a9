//! R16: a partition that was moved has the replicas that somebody asked for, all of them and no others.
//!
//! Requests that were tried again may be carried out late, so any that was ever made may be the last.

use crate::operations::{Moves, Operations};

pub(crate) fn check(operations: &Operations) -> Result<(), String> {
    for (partition, moves) in &operations.moves {
        let Moves { asked, is_acknowledged, found } = moves;
        if *is_acknowledged && !asked.contains(found) {
            return Err(format!(
                "partition {partition} is on {found:?}, and was to be on {asked:?}"
            ));
        }
    }
    Ok(())
}
