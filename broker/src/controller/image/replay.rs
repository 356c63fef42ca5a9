//! Applies records to an image: the only way it changes, live and at start.

use std::sync::Arc;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;

use super::{BrokerImage, Configs, MetadataImage, PartitionImage, TopicImage};
use crate::controller::records::{
    ClusterRecord, ConfigRecord, ConfigResource, FenceBrokerRecord, MetadataRecord, NewLeader,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RemoveTopicRecord, TopicRecord, UnregisterBrokerRecord,
};

/// A record that does not fit the image: the log is not ours, or the code that wrote it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The record names a topic that does not exist.
    #[error("a metadata record names the topic id {id}, which does not exist")]
    UnknownTopic {
        /// The id.
        id: Uuid,
    },
    /// A topic of this name or id exists already.
    #[error("a metadata record creates the topic {name} with id {id}, which exists already")]
    TopicExists {
        /// The name.
        name: String,
        /// The id.
        id: Uuid,
    },
    /// The record sets a topic's setting, and the topic does not exist.
    #[error("a metadata record sets a setting of the topic {name}, which does not exist")]
    UnknownTopicName {
        /// The name.
        name: String,
    },
    /// A partition out of order, or one that does not exist.
    #[error("a metadata record names partition {index} of topic id {id}, which has {count}")]
    UnexpectedPartition {
        /// The topic.
        id: Uuid,
        /// The partition.
        index: i32,
        /// How many partitions the topic has.
        count: usize,
    },
    /// The record is about another start of the broker than the registered one.
    #[error(
        "a metadata record names broker {broker_id} with epoch {epoch}, which is not registered"
    )]
    UnknownBroker {
        /// The broker.
        broker_id: i32,
        /// The epoch.
        epoch: i64,
    },
    /// No epoch is left for the next change.
    #[error("a metadata record has the epoch {epoch}, which is the last there is")]
    LastEpoch {
        /// The epoch.
        epoch: i64,
    },
}

impl MetadataImage {
    /// Says that everything up to `version` is in this image.
    pub fn advance_to(&mut self, version: i64) {
        self.version = self.version.max(version);
    }

    /// Applies the records of one entry of the log, all of them or none.
    ///
    /// # Errors
    /// [`ReplayError`] when one of them does not fit; the image is unchanged then.
    pub fn replay_entry(&mut self, records: &[MetadataRecord]) -> Result<(), ReplayError> {
        if let [record] = records {
            return self.replay(record);
        }
        let mut next = self.clone();
        for record in records {
            next.replay(record)?;
        }
        *self = next;
        Ok(())
    }

    /// Applies one record.
    ///
    /// # Errors
    /// [`ReplayError`] when the record does not fit; the image is unchanged then.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Cluster(record) => self.replay_cluster(record),
            MetadataRecord::RegisterBroker(record) => return self.replay_register_broker(record),
            MetadataRecord::FenceBroker(record) => return self.replay_fence_broker(record),
            MetadataRecord::UnregisterBroker(record) => {
                return self.replay_unregister_broker(record);
            }
            MetadataRecord::Topic(record) => return self.replay_topic(record),
            MetadataRecord::Partition(record) => return self.replay_partition(record),
            MetadataRecord::PartitionChange(record) => {
                return self.replay_partition_change(record);
            }
            MetadataRecord::RemoveTopic(record) => return self.replay_remove_topic(record),
            MetadataRecord::Config(record) => return self.replay_config(record),
            MetadataRecord::ProducerIds(record) => self.replay_producer_ids(record),
        }
        Ok(())
    }

    fn replay_cluster(&mut self, record: &ClusterRecord) {
        self.cluster_id = record.cluster_id.as_str().into();
        self.next_broker_epoch = self.next_broker_epoch.max(record.next_broker_epoch);
    }

    fn replay_register_broker(&mut self, record: &RegisterBrokerRecord) -> Result<(), ReplayError> {
        let epoch = record.epoch;
        let next_epoch = epoch.checked_add(1).ok_or(ReplayError::LastEpoch { epoch })?;
        let broker = BrokerImage {
            id: record.broker_id,
            epoch: record.epoch,
            incarnation_id: record.incarnation_id,
            directories: record.directories.clone(),
            endpoints: record.endpoints.clone(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            is_leaving: record.is_leaving,
            served_epoch: record.served_epoch,
            promises: record.promises,
        };
        self.next_broker_epoch = self.next_broker_epoch.max(next_epoch);
        self.brokers.insert(broker.id, Arc::new(broker));
        Ok(())
    }

    fn replay_fence_broker(&mut self, record: &FenceBrokerRecord) -> Result<(), ReplayError> {
        let broker = self.registered(record.broker_id, record.epoch)?;
        broker.fenced = record.fenced;
        broker.is_leaving = record.is_leaving;
        if !record.fenced {
            broker.served_epoch = Some(record.epoch);
        }
        Ok(())
    }

    fn replay_unregister_broker(
        &mut self,
        record: &UnregisterBrokerRecord,
    ) -> Result<(), ReplayError> {
        self.registered(record.broker_id, record.epoch)?;
        self.brokers.remove(&record.broker_id);
        Ok(())
    }

    fn registered(&mut self, broker_id: i32, epoch: i64) -> Result<&mut BrokerImage, ReplayError> {
        match self.brokers.get_mut(&broker_id) {
            Some(broker) if broker.epoch == epoch => Ok(Arc::make_mut(broker)),
            _ => Err(ReplayError::UnknownBroker { broker_id, epoch }),
        }
    }

    fn replay_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let (id, name) = (record.topic_id, record.name.as_str());
        if self.topics.contains_key(&id) || self.topic_ids.contains_key(name) {
            return Err(ReplayError::TopicExists { name: name.to_owned(), id });
        }
        let name: Arc<str> = name.into();
        let topic = TopicImage {
            name: Arc::clone(&name),
            id,
            partitions: Vec::new(),
            configs: Arc::default(),
        };
        self.topics.insert(id, Arc::new(topic));
        self.topic_ids.insert(name, id);
        Ok(())
    }

    fn replay_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let topic = self.topic_mut(record.topic_id)?;
        let count = topic.partitions.len();
        if usize::try_from(record.partition_index) != Ok(count) {
            let (id, index) = (record.topic_id, record.partition_index);
            return Err(ReplayError::UnexpectedPartition { id, index, count });
        }
        topic.partitions.push(PartitionImage {
            replicas: record.replicas.clone(),
            directories: record.directories.clone(),
            in_sync: record.in_sync.clone(),
            eligible: record.eligible.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            adding: record.adding.clone(),
            removing: record.removing.clone(),
            last_known_leader: record.last_known_leader,
        });
        Ok(())
    }

    fn replay_partition_change(
        &mut self,
        record: &PartitionChangeRecord,
    ) -> Result<(), ReplayError> {
        let (id, index) = (record.topic_id, record.partition_index);
        let topic = self.topic_mut(id)?;
        let count = topic.partitions.len();
        let partition = usize::try_from(index)
            .ok()
            .and_then(|index| topic.partitions.get_mut(index))
            .ok_or(ReplayError::UnexpectedPartition { id, index, count })?;
        let partition_epoch = next_epoch(partition.partition_epoch)?;
        let elected = match record.leader {
            NewLeader::Same => None,
            NewLeader::Nobody => Some(None),
            NewLeader::Broker(leader) => Some(Some(leader)),
        };
        if let Some(leader) = elected {
            if !is_planted(Bug::LeaderEpochsStay) {
                partition.leader_epoch = next_epoch(partition.leader_epoch)?;
            }
            partition.last_known_leader = match leader {
                Some(_) => None,
                None => partition.leader.or(partition.last_known_leader),
            };
            partition.leader = leader;
        }
        if let Some(assignment) = &record.assignment {
            partition.replicas.clone_from(&assignment.replicas);
            partition.directories.clone_from(&assignment.directories);
            partition.adding.clone_from(&assignment.adding);
            partition.removing.clone_from(&assignment.removing);
        }
        if let Some(in_sync) = &record.in_sync {
            partition.in_sync.clone_from(in_sync);
        }
        if let Some(eligible) = &record.eligible {
            partition.eligible.clone_from(eligible);
        }
        partition.partition_epoch = partition_epoch;
        Ok(())
    }

    fn replay_remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), ReplayError> {
        let id = record.topic_id;
        let topic = self.topics.remove(&id).ok_or(ReplayError::UnknownTopic { id })?;
        self.topic_ids.remove(&topic.name);
        Ok(())
    }

    fn replay_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        if let ConfigResource::Topic(name) = &record.resource {
            let unknown = || ReplayError::UnknownTopicName { name: name.clone() };
            let id = *self.topic_ids.get(name.as_str()).ok_or_else(unknown)?;
            let topic = self.topic_mut(id)?;
            set(Arc::make_mut(&mut topic.configs), record);
            return Ok(());
        }
        let configs = self.configs.entry(record.resource.clone()).or_default();
        set(Arc::make_mut(configs), record);
        if configs.is_empty() {
            self.configs.remove(&record.resource);
        }
        Ok(())
    }

    fn replay_producer_ids(&mut self, record: &ProducerIdsRecord) {
        self.next_producer_id = self.next_producer_id.max(record.next_producer_id);
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicImage, ReplayError> {
        self.topics.get_mut(&id).map(Arc::make_mut).ok_or(ReplayError::UnknownTopic { id })
    }
}

fn set(configs: &mut Configs, record: &ConfigRecord) {
    match &record.value {
        Some(value) => configs.insert(record.name.clone(), value.clone()),
        None => configs.remove(&record.name),
    };
}

fn next_epoch(epoch: i32) -> Result<i32, ReplayError> {
    epoch.checked_add(1).ok_or(ReplayError::LastEpoch { epoch: epoch.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_without_a_successor_is_refused() {
        let topic_id = Uuid::from_bytes([1; 16]);
        let mut image = MetadataImage::default();
        let topic = TopicRecord { topic_id, name: "orders".to_owned() };
        image.replay(&topic.into()).unwrap();
        let partition = PartitionRecord {
            topic_id,
            partition_index: 0,
            replicas: vec![1],
            directories: vec![Uuid::ZERO],
            in_sync: vec![1],
            eligible: vec![],
            leader: Some(1),
            leader_epoch: i32::MAX,
            partition_epoch: 0,
            adding: vec![],
            removing: vec![],
            last_known_leader: None,
        };
        image.replay(&partition.into()).unwrap();
        let (before, epoch) = (image.clone(), i64::from(i32::MAX));
        let change = PartitionChangeRecord {
            leader: NewLeader::Nobody,
            in_sync: Some(vec![]),
            ..PartitionChangeRecord::of(topic_id, 0)
        };
        assert_eq!(image.replay(&change.into()), Err(ReplayError::LastEpoch { epoch }));
        assert_eq!(image, before);
    }
}
