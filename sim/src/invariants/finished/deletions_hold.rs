//! What was deleted in front of an offset stays deleted, and nothing else goes: a partition starts where the last
//! acknowledged deletion says or behind it, no further than anybody asked for, and has from there what was
//! acknowledged.

use std::collections::BTreeMap;

use crate::operations::{Operations, Trim};

pub(super) fn check(operations: &Operations) -> Result<(), String> {
    let (mut deleted, mut asked, mut start) = (0, 0, 0);
    let (mut written, mut found) = (BTreeMap::new(), BTreeMap::new());
    for trim in &operations.trims {
        match *trim {
            Trim::Written { offset, value } => drop(written.insert(offset, value)),
            Trim::Asked(before) => asked = before.max(asked),
            Trim::Deleted(before) => deleted = before.max(deleted),
            Trim::Starts(told) if told < deleted || told < start || told > asked => {
                return Err(format!(
                    "it starts at {told} after {start}, when {deleted} was deleted and {asked} asked for"
                ));
            }
            Trim::Starts(told) => start = told,
            Trim::Found { offset, value } => drop(found.insert(offset, value)),
        }
    }
    let is_read = |(offset, _): &(&i64, _)| **offset >= start;
    let lost =
        written.iter().filter(is_read).find(|(offset, value)| found.get(*offset) != Some(value));
    match lost {
        Some((offset, value)) => Err(format!(
            "{value} was acknowledged at {offset}, and {:?} is there; it starts at {start}",
            found.get(offset)
        )),
        None => Ok(()),
    }
}
