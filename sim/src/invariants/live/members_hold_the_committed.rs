//! R1, R3: whoever is in sync or eligible has everything that any leader has shown.

use std::collections::BTreeMap;

use super::Live;
use crate::view::{PartitionKey, View};

#[derive(Debug, Default)]
pub(super) struct State {
    /// The highest high watermark that a leader had.
    shown: BTreeMap<PartitionKey, i64>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for replica in view.brokers.iter().flat_map(|broker| &broker.replicas) {
            let shown = self.shown.entry(replica.partition).or_insert(0);
            if replica.is_leader {
                *shown = replica.high_watermark.max(*shown);
            }
        }
        let Some(image) = view.newest_image() else { return Ok(()) };
        for topic in image.topics() {
            for (index, partition) in topic.indexed_partitions() {
                let key = (topic.id, index);
                let Some(shown) = self.shown.get(&key) else { continue };
                for member in partition.in_sync.iter().chain(&partition.eligible) {
                    let replica = view.broker(*member).and_then(|broker| broker.replica(key));
                    let end = replica.map(|replica| replica.log_end_offset);
                    if end.is_some_and(|end| end < *shown) {
                        return Err(format!(
                            "{}-{index} was shown up to {shown}, and {member}, of {:?} in sync and \
                             {:?} eligible, ends at {end:?}",
                            topic.name, partition.in_sync, partition.eligible
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
