//! Writes an image out as the records that build it.

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;

use super::{BrokerImage, Configs, MetadataImage, PartitionImage};
use crate::controller::records::{
    ClusterRecord, ConfigRecord, ConfigResource, MetadataRecord, PartitionRecord,
    ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};

impl MetadataImage {
    /// Records that build this image when they are replayed on an empty one: a snapshot.
    #[must_use]
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        if !self.cluster_id.is_empty() || self.next_broker_epoch > 0 {
            let (cluster_id, next_broker_epoch) =
                (self.cluster_id.to_string(), self.next_broker_epoch);
            records.push(ClusterRecord { cluster_id, next_broker_epoch }.into());
        }
        if self.next_producer_id > 0 && !is_planted(Bug::SnapshotsForgetProducerIds) {
            let next_producer_id = self.next_producer_id;
            let block = ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id };
            records.push(block.into());
        }
        records.extend(self.brokers.values().map(|broker| register_broker(broker).into()));
        for (name, id) in &self.topic_ids {
            let topic = &self.topics[id];
            records.push(TopicRecord { topic_id: *id, name: name.to_string() }.into());
            records.extend(
                topic.indexed_partitions().map(|(index, p)| partition(*id, index, p).into()),
            );
            let resource = ConfigResource::Topic(name.to_string());
            records.extend(config_records(&resource, &topic.configs));
        }
        for (resource, configs) in &self.configs {
            records.extend(config_records(resource, configs));
        }
        records
    }
}

fn register_broker(broker: &BrokerImage) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: broker.id,
        epoch: broker.epoch,
        incarnation_id: broker.incarnation_id,
        directories: broker.directories.clone(),
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        is_leaving: broker.is_leaving,
        served_epoch: broker.served_epoch,
        promises: broker.promises,
    }
}

fn partition(topic_id: Uuid, partition_index: i32, partition: &PartitionImage) -> PartitionRecord {
    let is_known = |_: &&i32| !is_planted(Bug::SnapshotsForgetEligible);
    PartitionRecord {
        topic_id,
        partition_index,
        replicas: partition.replicas.clone(),
        directories: partition.directories.clone(),
        in_sync: partition.in_sync.clone(),
        eligible: partition.eligible.iter().filter(is_known).copied().collect(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        adding: partition.adding.clone(),
        removing: partition.removing.clone(),
        last_known_leader: partition.last_known_leader,
    }
}

fn config_records<'a>(
    resource: &'a ConfigResource,
    configs: &'a Configs,
) -> impl Iterator<Item = MetadataRecord> {
    configs.iter().map(|(name, value)| {
        let (name, value) = (name.clone(), Some(value.clone()));
        ConfigRecord { resource: resource.clone(), name, value }.into()
    })
}
