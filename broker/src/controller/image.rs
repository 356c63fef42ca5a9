//! The metadata of the whole cluster at one point of its log.
//!
//! An image is what the records up to a log offset add up to, and [`MetadataImage::replay`] is the
//! only way it changes. Everybody reads published images behind `Arc`: they never change, and a new
//! one shares with its predecessor whatever the records between did not touch. Who may change
//! metadata, and to what, is decided elsewhere; an image only checks that a record fits it at all.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use flumen_protocol::Uuid;

use super::records::{
    BrokerEndpoint, ClusterRecord, ConfigRecord, ConfigResource, FenceBrokerRecord, MetadataRecord,
    NewLeader, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RemoveTopicRecord, TopicRecord, UnregisterBrokerRecord,
};

/// The topic that keeps the offsets of groups.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

const INTERNAL_TOPICS: [&str; 3] = [CONSUMER_OFFSETS, "__transaction_state", "__share_group_state"];

/// The settings of one resource: only those that were set.
pub type Configs = BTreeMap<String, String>;

/// The metadata of the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataImage {
    version: i64,
    cluster_id: Arc<str>,
    brokers: BTreeMap<i32, Arc<BrokerImage>>,
    next_broker_epoch: i64,
    topics: BTreeMap<Uuid, Arc<TopicImage>>,
    topic_ids: BTreeMap<Arc<str>, Uuid>,
    configs: BTreeMap<ConfigResource, Arc<Configs>>,
    next_producer_id: i64,
}

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its node id.
    pub id: i32,
    /// Which start of it this is; later starts have larger ones.
    pub epoch: i64,
    /// What the broker itself calls this start.
    pub incarnation_id: Uuid,
    /// Its log directories.
    pub directories: Vec<Uuid>,
    /// What clients are told, by listener name.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Whether it is out of service.
    pub fenced: bool,
}

impl BrokerImage {
    /// The address for clients of the listener `name`.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&BrokerEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == name)
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; a topic of the same name created later has another.
    pub id: Uuid,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionImage>,
    /// The settings it has of its own.
    pub configs: Arc<Configs>,
}

impl TopicImage {
    /// The partition `index`.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// Whether the broker itself writes it, and clients must not.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        is_internal_topic(&self.name)
    }

    /// Its partitions with their indexes.
    pub fn indexed_partitions(&self) -> impl Iterator<Item = (i32, &PartitionImage)> {
        (0_i32..).zip(&self.partitions)
    }
}

/// Whether `name` is that of a topic which the broker itself writes.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The directory of each replica, in the same order; zero while it has not chosen one.
    pub directories: Vec<Uuid>,
    /// The replicas that have every acknowledged record.
    pub in_sync: Vec<i32>,
    /// Replicas outside the in-sync set that still have every acknowledged record (KIP-966).
    pub eligible: Vec<i32>,
    /// The leader, if there is one.
    pub leader: Option<i32>,
    /// Grows with every election.
    pub leader_epoch: i32,
    /// Grows with every change.
    pub partition_epoch: i32,
}

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
}

/// Reading.
impl MetadataImage {
    /// The offset of the last record in it; images with a larger one are newer.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The id of the cluster; empty until the cluster is founded.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Every registered broker, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// The brokers in service, by id.
    pub fn live_brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values().filter(|broker| !broker.fenced)
    }

    /// The broker `id`, in service or not.
    #[must_use]
    pub fn broker(&self, id: i32) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// Whether the broker `id` is registered and in service.
    #[must_use]
    pub fn is_live(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    /// Larger than the epoch of every broker so far.
    #[must_use]
    pub fn next_broker_epoch(&self) -> i64 {
        self.next_broker_epoch
    }

    /// The topic called `name`.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// The topic with `id`.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().map(|id| &self.topics[id])
    }

    /// The topics whose names are `first` or later, by name.
    pub fn topics_from(&self, first: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        let range = (Bound::Included(first), Bound::Unbounded);
        self.topic_ids.range::<str, _>(range).map(|(_, id)| &self.topics[id])
    }

    /// One partition, by the name of its topic.
    #[must_use]
    pub fn partition(&self, topic: &str, index: i32) -> Option<&PartitionImage> {
        self.topic(topic)?.partition(index)
    }

    /// How many partitions there are in all.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.topics.values().map(|topic| topic.partitions.len()).sum()
    }

    /// What was set on `resource`; empty when nothing was.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> Arc<Configs> {
        let set = match resource {
            ConfigResource::Topic(name) => self.topic(name).map(|topic| &topic.configs),
            other => self.configs.get(other),
        };
        set.cloned().unwrap_or_default()
    }

    /// Every resource other than topics that has settings.
    pub fn configured(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// The first producer id that no broker has been given.
    #[must_use]
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }
}

/// Changing.
impl MetadataImage {
    /// Says that everything up to `version` is in this image.
    pub fn advance_to(&mut self, version: i64) {
        self.version = self.version.max(version);
    }

    /// Applies one record.
    ///
    /// # Errors
    /// [`ReplayError`] when the record does not fit; the image is unchanged then.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Cluster(record) => self.replay_cluster(record),
            MetadataRecord::RegisterBroker(record) => self.replay_register_broker(record),
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

    fn replay_register_broker(&mut self, record: &RegisterBrokerRecord) {
        let broker = BrokerImage {
            id: record.broker_id,
            epoch: record.epoch,
            incarnation_id: record.incarnation_id,
            directories: record.directories.clone(),
            endpoints: record.endpoints.clone(),
            rack: record.rack.clone(),
            fenced: record.fenced,
        };
        self.next_broker_epoch = self.next_broker_epoch.max(record.epoch + 1);
        self.brokers.insert(broker.id, Arc::new(broker));
    }

    fn replay_fence_broker(&mut self, record: &FenceBrokerRecord) -> Result<(), ReplayError> {
        let broker = self.registered(record.broker_id, record.epoch)?;
        broker.fenced = record.fenced;
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
        match record.leader {
            NewLeader::Same => {}
            NewLeader::Nobody => {
                partition.leader = None;
                partition.leader_epoch += 1;
            }
            NewLeader::Broker(leader) => {
                partition.leader = Some(leader);
                partition.leader_epoch += 1;
            }
        }
        if let Some(in_sync) = &record.in_sync {
            partition.in_sync.clone_from(in_sync);
        }
        if let Some(eligible) = &record.eligible {
            partition.eligible.clone_from(eligible);
        }
        partition.partition_epoch += 1;
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

/// Writing out.
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
        if self.next_producer_id > 0 {
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
    }
}

fn partition(topic_id: Uuid, partition_index: i32, partition: &PartitionImage) -> PartitionRecord {
    PartitionRecord {
        topic_id,
        partition_index,
        replicas: partition.replicas.clone(),
        directories: partition.directories.clone(),
        in_sync: partition.in_sync.clone(),
        eligible: partition.eligible.clone(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
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
