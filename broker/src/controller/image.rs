//! The metadata of the whole cluster at one point of its log.
//!
//! An image is what the records up to a log offset add up to, and [`MetadataImage::replay`] is the
//! only way it changes. Everybody reads published images behind `Arc`: they never change, and a new
//! one shares with its predecessor whatever the records between did not touch. Who may change
//! metadata, and to what, is decided elsewhere; an image only checks that a record fits it at all.
//! [`replay`] changes it, [`snapshot`] writes it out.

mod replay;
mod snapshot;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use flumen_protocol::Uuid;

use super::records::{BrokerEndpoint, ConfigResource};
use crate::config::{BrokerConfig, Promises, Settings};

pub use replay::ReplayError;

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
    /// Whether it hands over what it leads, to stop then.
    pub is_leaving: bool,
    /// The epoch in which it was last in service, if what it holds is still from there.
    pub served_epoch: Option<i64>,
    /// What its file promises.
    pub promises: Promises,
}

impl BrokerImage {
    /// The address for clients of the listener `name`.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&BrokerEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.listener == name)
    }

    /// Whether it has handed over what it led, and stopped in order.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.fenced && self.is_leaving
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
    /// Those of the replicas that a reassignment adds.
    pub adding: Vec<i32>,
    /// Those of the replicas that it takes away once it is done.
    pub removing: Vec<i32>,
    /// While nobody leads: who was the last that did.
    pub last_known_leader: Option<i32>,
}

impl PartitionImage {
    /// Whether the broker has every acknowledged record, and is not the only one that does.
    #[must_use]
    pub fn is_one_of_several(&self, broker_id: i32) -> bool {
        let holders = || self.in_sync.iter().chain(&self.eligible);
        holders().any(|id| *id == broker_id) && holders().any(|id| *id != broker_id)
    }

    /// Whether another leads, and has every acknowledged record while the broker need not.
    #[must_use]
    pub fn can_be_copied_to(&self, broker_id: i32) -> bool {
        let holds = self.in_sync.contains(&broker_id) || self.eligible.contains(&broker_id);
        !holds && self.leader.is_some_and(|leader| leader != broker_id)
    }

    /// Whether replicas are being moved.
    #[must_use]
    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
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

    /// The brokers in service that are not about to leave, by id.
    pub fn active_brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.live_brokers().filter(|broker| !broker.is_leaving)
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

    /// Whether the broker `id` is in service and stays there: it may lead and come in sync.
    #[must_use]
    pub fn is_active(&self, id: i32) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced && !broker.is_leaving)
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

    /// The partitions that are being moved, by topic.
    pub fn reassigning(&self) -> impl Iterator<Item = (&Arc<TopicImage>, i32, &PartitionImage)> {
        self.topics().flat_map(|topic| {
            let moving = topic.indexed_partitions().filter(|(_, p)| p.is_reassigning());
            moving.map(move |(index, partition)| (topic, index, partition))
        })
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

    /// What the files of all registered brokers promise, and so the cluster; `None` while there are
    /// no brokers.
    #[must_use]
    pub fn promises(&self) -> Option<Promises> {
        self.brokers.values().map(|broker| broker.promises).reduce(Promises::strictest)
    }

    /// The settings of the broker with `config` as they are here: what was changed, for it or for all
    /// brokers, over what it was started with, and that as far as the others agree.
    #[must_use]
    pub fn settings(&self, config: &BrokerConfig) -> Settings {
        let own = self.configs(&ConfigResource::Broker(config.node_id));
        self.settings_over(config, &own)
    }

    /// The settings that hold for all brokers, wherever they are looked up: those of the broker with
    /// `config` without what was changed for it alone.
    #[must_use]
    pub fn common_settings(&self, config: &BrokerConfig) -> Settings {
        self.settings_over(config, &Configs::new())
    }

    fn settings_over(&self, config: &BrokerConfig, own: &Configs) -> Settings {
        let cluster = self.configs(&ConfigResource::Cluster);
        let settings = config.settings.with_dynamic(&cluster, own);
        let agreed = self.promises().unwrap_or_else(|| settings.promises());
        settings.promising(agreed)
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
