//! R6: an epoch of a partition has one leader, in the metadata and among those who act as leaders.

use std::collections::BTreeMap;

use super::Live;
use crate::view::{PartitionKey, View};

#[derive(Debug, Default)]
pub(super) struct State {
    leaders: BTreeMap<(PartitionKey, i32), i32>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for broker in &view.brokers {
            for replica in broker.replicas.iter().filter(|replica| replica.is_leader) {
                self.take(replica.partition, replica.leader_epoch, broker.node_id)?;
            }
            for topic in broker.image.topics() {
                for (index, partition) in topic.indexed_partitions() {
                    if let Some(leader) = partition.leader {
                        self.take((topic.id, index), partition.leader_epoch, leader)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, partition: PartitionKey, epoch: i32, leader: i32) -> Result<(), String> {
        let first = *self.leaders.entry((partition, epoch)).or_insert(leader);
        let (topic, index) = partition;
        if first == leader {
            Ok(())
        } else {
            Err(format!("{first} and {leader} lead {topic}-{index} in epoch {epoch}"))
        }
    }
}
