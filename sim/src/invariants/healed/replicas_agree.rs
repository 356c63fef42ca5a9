//! When nothing is written any more, every replica follows the leader that the metadata names, and has the
//! same start, end and high watermark.

use std::collections::BTreeMap;

use crate::view::{PartitionKey, ReplicaView, View};

pub(super) fn ailment(view: &View) -> Option<String> {
    let image = view.newest_image()?;
    let mut ends: BTreeMap<PartitionKey, (i64, i64)> = BTreeMap::new();
    for broker in &view.brokers {
        for replica in &broker.replicas {
            let ReplicaView { partition, leader_epoch, .. } = *replica;
            let (topic, index) = partition;
            let placed = image.topic_by_id(topic).and_then(|topic| topic.partition(index));
            let Some(placed) = placed else { continue };
            let id = broker.node_id;
            let is_leader = placed.leader == Some(id);
            if (replica.is_leader, leader_epoch) != (is_leader, placed.leader_epoch) {
                return Some(format!("broker {id} has {replica:?}, which should be {placed:?}"));
            }
            let own = (replica.log_start_offset, replica.log_end_offset);
            let others = *ends.entry(partition).or_insert(own);
            if own != others || replica.high_watermark != replica.log_end_offset {
                return Some(format!("broker {id} has {replica:?}, and another {others:?}"));
            }
        }
    }
    None
}
