//! What clients saw during a run: the evidence that invariants are held against.

use std::collections::BTreeMap;

/// A partition of the one topic that a run writes to.
pub type PartitionIndex = i32;

/// A value as a producer wrote it: unique within a run, ascending per partition.
pub type Value = u64;

/// How a write ended for the producer that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Acknowledged; the offset if the broker still knew it.
    Acknowledged(Option<i64>),
    /// Given up: it may be in the log or not.
    Unknown,
    /// Refused: it is certainly not in the log.
    Refused,
}

/// Everything that clients saw, and what the logs held in the end.
#[derive(Debug, Default)]
pub struct History {
    /// The outcome of each write.
    pub written: BTreeMap<(PartitionIndex, Value), Written>,
    /// What consumers saw while faults went on, by offset; each observation once.
    pub observed: BTreeMap<(PartitionIndex, i64), Vec<Value>>,
    /// What the partitions hold after all faults are healed.
    pub logs: BTreeMap<PartitionIndex, Vec<(i64, Value)>>,
    /// Offsets whose commit was acknowledged, in order.
    pub commits_acknowledged: Vec<i64>,
    /// The largest offset whose commit was tried.
    pub commit_tried_max: i64,
    /// The committed offset that the group finds in the end.
    pub committed: Option<i64>,
    /// How often the machine lost power.
    pub power_cuts: u32,
}

impl History {
    /// Notes that a consumer saw `value` at `offset`.
    pub fn observe(&mut self, partition: PartitionIndex, offset: i64, value: Value) {
        let values = self.observed.entry((partition, offset)).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// How many records were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let is_acknowledged = |written: &&Written| matches!(written, Written::Acknowledged(_));
        self.written.values().filter(is_acknowledged).count()
    }

    /// A digest of everything in it: two runs of one seed must agree on it.
    #[must_use]
    pub fn digest(&self) -> u32 {
        crc32c::crc32c(format!("{self:?}").as_bytes())
    }
}
