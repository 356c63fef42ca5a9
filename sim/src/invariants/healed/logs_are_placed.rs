//! A broker has open the logs that are placed on it and no others: what was moved away or deleted is gone.
//!
//! A log that could not be opened because the disk failed is copied from others; where there are none, it
//! waits for an operator.

use std::collections::{BTreeMap, BTreeSet};

use crate::view::{BrokerView, PartitionKey, View};

pub(super) fn ailment(view: &View) -> Option<String> {
    let image = view.newest_image()?;
    view.brokers.iter().find_map(|broker| {
        let BrokerView { node_id, replicas, .. } = broker;
        let open: BTreeSet<PartitionKey> =
            replicas.iter().map(|replica| replica.partition).collect();
        let placed: BTreeMap<PartitionKey, bool> = image
            .topics()
            .flat_map(|topic| topic.indexed_partitions().map(move |(index, p)| (topic, index, p)))
            .filter(|(_, _, partition)| partition.replicas.contains(node_id))
            .map(|(topic, index, partition)| ((topic.id, index), partition.replicas.len() > 1))
            .collect();
        let missing: Vec<_> = placed
            .iter()
            .filter(|(key, can_be_copied)| **can_be_copied && !open.contains(*key))
            .map(|(key, _)| key)
            .collect();
        let stray: Vec<_> = open.iter().filter(|key| !placed.contains_key(*key)).collect();
        let is_ill = !missing.is_empty() || !stray.is_empty();
        is_ill.then(|| format!("broker {node_id} lacks {missing:?} and should not have {stray:?}"))
    })
}
