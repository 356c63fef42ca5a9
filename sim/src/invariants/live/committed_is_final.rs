//! L2, R4, R5: a batch that any replica has shown below its high watermark is at that place in every
//! log that reaches there, and stays.

use std::collections::BTreeMap;

use super::Live;
use crate::view::{BatchView, PartitionKey, View};

#[derive(Debug, Default)]
pub(super) struct State {
    /// The batches by base offset, and who showed them first.
    committed: BTreeMap<(PartitionKey, i64), (BatchView, i32)>,
    /// The offset after the last of them.
    ends: BTreeMap<PartitionKey, i64>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            for replica in &broker.replicas {
                let partition = replica.partition;
                for batch in &replica.committed {
                    self.take(partition, *batch, broker.node_id)?;
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, partition: PartitionKey, batch: BatchView, by: i32) -> Result<(), String> {
        let (topic, index) = partition;
        let key = (partition, batch.base_offset);
        let end = self.ends.entry(partition).or_insert(0);
        match self.committed.get(&key) {
            Some((first, _)) if *first == batch => Ok(()),
            Some((first, shown_by)) => Err(format!(
                "partition {topic}-{index}: broker {shown_by} has {first:?}, broker {by} {batch:?}"
            )),
            // A log that begins later is no contradiction, one that has other batches before the
            // known end is.
            None if batch.base_offset < *end => Err(format!(
                "partition {topic}-{index}: broker {by} has {batch:?} where the logs of others up \
                 to {end} have no such batch"
            )),
            None => {
                *end = batch.last_offset + 1;
                self.committed.insert(key, (batch, by));
                Ok(())
            }
        }
    }
}
