//! G2: who takes over a partition begins where the last acknowledged commit of an earlier generation says, or behind
//! it, and so does who looks in the end. Commits of members that were put out are refused, so none is later.
//!
//! A member that was frozen may hear late what it was given long before.

use std::collections::BTreeMap;

use crate::history::PartitionIndex;
use crate::operations::{Operations, Progress};

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    // The highest offset that was committed in each generation.
    let mut committed: BTreeMap<PartitionIndex, BTreeMap<i32, (i64, u32)>> = BTreeMap::new();
    for progress in &operations.progress {
        let (partition, offset, before) = match *progress {
            Progress::Committed { member, generation, partition, offset } => {
                let of_partition = committed.entry(partition).or_default();
                let newest = of_partition.entry(generation).or_insert((offset, member));
                *newest = (*newest).max((offset, member));
                continue;
            }
            Progress::Began { partition, offset, generation, .. } => {
                (partition, offset, generation)
            }
            Progress::Found { partition, offset } => (partition, offset, i32::MAX),
        };
        let newest =
            committed.get(&partition).and_then(|all| all.range(..before).map(|(_, at)| *at).max());
        if let Some((newest, by)) = newest.filter(|(newest, _)| offset < *newest) {
            return Err(format!("{progress:?} after member {by} had committed {newest}"));
        }
    }
    Ok(())
}
