//! G1: in one generation of a group no two members are given the same partition.

use std::collections::BTreeMap;

use crate::history::PartitionIndex;
use crate::operations::{Assigned, Operations};

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    let mut owners: BTreeMap<(i32, PartitionIndex), u32> = BTreeMap::new();
    for Assigned { member, generation, partitions } in &operations.assigned {
        for partition in partitions {
            let first = *owners.entry((*generation, *partition)).or_insert(*member);
            if first != *member {
                return Err(format!(
                    "members {first} and {member} were both given partition {partition} in \
                     generation {generation}"
                ));
            }
        }
    }
    Ok(())
}
