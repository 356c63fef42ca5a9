//! What must not be seen by clients, one file each, by the names that Jepsen's Kafka workload gives
//! them.
//!
//! Not here are the anomalies of transactions, which are not there yet, and `int-send-skip` and `G0`,
//! which Kafka's model allows.

mod aborted_read;
mod duplicate;
mod inconsistent_offsets;
mod int_nonmonotonic_poll;
mod int_nonmonotonic_send;
mod int_poll_skip;
mod lost_write;
mod nonmonotonic_poll;
mod nonmonotonic_send;
mod poll_skip;
mod unseen;

use crate::history::{PartitionIndex, Value};
use crate::operations::{Operations, Polled, Versions};

/// An anomaly: its name, and a function that finds the first case of it.
pub type Anomaly = (&'static str, fn(&Operations) -> Option<String>);

/// All of them.
pub const ALL: &[Anomaly] = &[
    ("G1a", aborted_read::find),
    ("duplicate", duplicate::find),
    ("inconsistent-offsets", inconsistent_offsets::find),
    ("int-nonmonotonic-poll", int_nonmonotonic_poll::find),
    ("int-nonmonotonic-send", int_nonmonotonic_send::find),
    ("int-poll-skip", int_poll_skip::find),
    ("lost-write", lost_write::find),
    ("nonmonotonic-poll", nonmonotonic_poll::find),
    ("nonmonotonic-send", nonmonotonic_send::find),
    ("poll-skip", poll_skip::find),
    ("unseen", unseen::find),
];

/// Looks for all anomalies and lists what there is.
///
/// Some of them show only after everything was read to its end.
#[must_use]
pub fn found(operations: &Operations) -> Vec<String> {
    let find = |(name, find): &Anomaly| find(operations).map(|what| format!("{name}: {what}"));
    ALL.iter().filter_map(find).collect()
}

/// The records that are known to lie between two offsets, both excluded.
fn between(versions: &Versions, after: i64, before: i64) -> Vec<(i64, Value)> {
    if after >= before {
        return Vec::new();
    }
    let skipped = versions.range(after + 1..before);
    skipped.map(|(offset, values)| (*offset, values[0])).collect()
}

/// Tells of records that were passed over between two reads of a partition.
fn skip(
    versions: &std::collections::BTreeMap<PartitionIndex, Versions>,
    consumer: u32,
    before: Polled,
    next: Polled,
) -> Option<String> {
    let known = versions.get(&next.partition)?;
    let skipped = between(known, before.offset, next.offset);
    (!skipped.is_empty()).then(|| {
        format!(
            "consumer {consumer} read offset {} of partition {} and then {}, between which lie \
             {skipped:?}",
            before.offset, next.partition, next.offset
        )
    })
}

/// Tells of a read of a partition that goes back or repeats.
fn step_back(consumer: u32, before: Polled, next: Polled) -> Option<String> {
    (next.offset <= before.offset).then(|| {
        format!(
            "consumer {consumer} read offset {} of partition {} and then {}",
            before.offset, next.partition, next.offset
        )
    })
}

#[cfg(test)]
mod tests;
