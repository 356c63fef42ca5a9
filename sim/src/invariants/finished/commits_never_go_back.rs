//! G2: who takes over a partition begins where the last acknowledged commit says, or behind it, and so
//! does who looks in the end. Commits of members that were put out are refused, so none is later.

use std::collections::BTreeMap;

use crate::operations::{Operations, Progress};

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    let mut committed: BTreeMap<i32, (i64, (u32, u64))> = BTreeMap::new();
    for progress in &operations.progress {
        match *progress {
            Progress::Committed { member, partition, offset } => {
                let newest = committed.entry(partition).or_insert((offset, member));
                if offset >= newest.0 {
                    *newest = (offset, member);
                }
            }
            Progress::Began { member, partition, offset } => {
                if let Some((newest, by)) = committed.get(&partition)
                    && *by != member
                    && offset < *newest
                {
                    return Err(format!(
                        "member {member:?} began at {offset} of partition {partition} after \
                         {by:?} had committed {newest}"
                    ));
                }
            }
            Progress::Found { partition, offset } => {
                if let Some((newest, by)) = committed.get(&partition)
                    && offset < *newest
                {
                    return Err(format!(
                        "{offset} is found for partition {partition}, and {by:?} had committed \
                         {newest}"
                    ));
                }
            }
        }
    }
    Ok(())
}
