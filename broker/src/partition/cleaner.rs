//! Which log is compacted next, and from where. The work itself is `flumen_storage::compaction`.

use std::collections::BTreeSet;
use std::sync::Arc;

use flumen_protocol::Uuid;
use flumen_storage::checkpoint::PartitionOffsets;
use flumen_storage::compaction::{CompactionBounds, CompactionError, compact, dirtiness};
use tracing::{info, warn};

use super::Partition;

/// What the cleaner remembers from run to run.
#[derive(Debug)]
pub(super) struct Cleaner {
    /// Up to where each log has been seen.
    cleaned: PartitionOffsets,
    /// Logs that could not be compacted are left alone until the broker starts again.
    given_up: BTreeSet<(Uuid, i32)>,
}

impl Cleaner {
    pub(super) fn new(cleaned: PartitionOffsets) -> Self {
        Self { cleaned, given_up: BTreeSet::new() }
    }

    /// Up to where each log has been seen, for the checkpoint.
    pub(super) fn cleaned(&self) -> &PartitionOffsets {
        &self.cleaned
    }

    /// Compacts the dirtiest log that is due; says whether there was one.
    pub(super) fn run_once(
        &mut self,
        partitions: &[Arc<Partition>],
        now_ms: i64,
        bytes_max: usize,
    ) -> bool {
        let mut dirtiest: Option<(f64, &Arc<Partition>, CompactionBounds)> = None;
        for partition in partitions {
            match self.dirtiness(partition, now_ms, bytes_max) {
                Ok(Some((ratio, bounds))) => {
                    if dirtiest.as_ref().is_none_or(|(most, ..)| ratio > *most) {
                        dirtiest = Some((ratio, partition, bounds));
                    }
                }
                Ok(None) => {}
                Err(error) => self.give_up(partition, &error),
            }
        }
        let Some((_, partition, bounds)) = dirtiest else { return false };
        match compact(partition.log(), &bounds) {
            Ok(Some(done)) => {
                let (topic, index) = (partition.topic(), partition.index());
                let (before, after) = (done.bytes_before, done.bytes_after);
                info!(%topic, partition = index, before, after, "log compacted");
                self.cleaned.insert(key(partition), done.first_dirty_offset);
            }
            Ok(None) => {}
            Err(error) => self.give_up(partition, &error),
        }
        true
    }

    fn dirtiness(
        &self,
        partition: &Partition,
        now_ms: i64,
        offset_map_bytes_max: usize,
    ) -> Result<Option<(f64, CompactionBounds)>, CompactionError> {
        let limit = partition.last_stable_offset();
        let log = partition.log().lock();
        let is_ours = log.config().compact
            && !partition.is_closed()
            && !log.is_offline()
            && !partition.is_damaged();
        if !is_ours || self.given_up.contains(&(partition.topic_id(), partition.index())) {
            return Ok(None);
        }
        let seen = self.cleaned.get(&key(partition)).copied().unwrap_or(0);
        let bounds = CompactionBounds {
            limit,
            // A log that was created anew under the same name begins before what was seen.
            first_dirty_offset: if seen > log.log_end_offset() { 0 } else { seen }
                .max(log.log_start_offset()),
            now_ms,
            offset_map_bytes_max,
        };
        let dirty = dirtiness(&log, &bounds)?;
        Ok(dirty.is_due(log.config(), now_ms).then(|| (dirty.ratio(), bounds)))
    }

    fn give_up(&mut self, partition: &Partition, error: &CompactionError) {
        if error.is_damage() {
            // Where others have it, a copy takes the place of this log, and is compacted again.
            partition.note_damage(error);
            return;
        }
        let (topic, index) = (partition.topic(), partition.index());
        warn!(%topic, partition = index, %error, "the log is not compacted any more");
        self.given_up.insert((partition.topic_id(), index));
    }
}

fn key(partition: &Partition) -> (String, i32) {
    (partition.topic().to_string(), partition.index())
}
