//! A broker has open the logs that are placed on it and no others: what was moved away or deleted is gone.

use std::collections::BTreeSet;

use crate::view::{BrokerView, PartitionKey, View};

pub(super) fn ailment(view: &View) -> Option<String> {
    let image = view.newest_image()?;
    view.brokers.iter().find_map(|broker| {
        let BrokerView { node_id, replicas, .. } = broker;
        let open: BTreeSet<PartitionKey> =
            replicas.iter().map(|replica| replica.partition).collect();
        let placed: BTreeSet<PartitionKey> = image
            .topics()
            .flat_map(|topic| topic.indexed_partitions().map(move |(index, p)| (topic, index, p)))
            .filter(|(_, _, partition)| partition.replicas.contains(node_id))
            .map(|(topic, index, _)| (topic.id, index))
            .collect();
        let (missing, stray): (Vec<_>, Vec<_>) =
            (placed.difference(&open).collect(), open.difference(&placed).collect());
        (open != placed)
            .then(|| format!("broker {node_id} lacks {missing:?} and should not have {stray:?}"))
    })
}
