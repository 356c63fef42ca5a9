//! R14: a client that asks where a partition ends, which it never asks the leader of an earlier epoch than
//! before, is never told of an earlier end.

use std::collections::BTreeMap;

use crate::history::PartitionIndex;
use crate::operations::{Operations, ToldEnd};

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    let mut told: BTreeMap<PartitionIndex, i64> = BTreeMap::new();
    for &ToldEnd { partition, offset } in &operations.ends {
        if let Some(before) = told.insert(partition, offset)
            && offset < before
        {
            return Err(format!("partition {partition} ended at {before} and then at {offset}"));
        }
    }
    Ok(())
}
