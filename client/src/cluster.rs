//! What is known about a cluster: its brokers, topics, partitions and leaders.
//!
//! A [`Cluster`] is an immutable snapshot; news makes another one. Pure: asking for metadata is the
//! business of `metadata`. A partition's leader is only ever replaced by one of the same or a later
//! leader epoch, because answers of brokers that lag behind arrive late.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flumen_protocol::messages::metadata::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use flumen_protocol::{ErrorCode, Uuid};

/// A snapshot of a cluster's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    cluster_id: Option<String>,
    controller_id: Option<i32>,
    brokers: BTreeMap<i32, Broker>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    names: BTreeMap<Uuid, Arc<str>>,
}

/// A partition of a topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A broker and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id (`node.id`).
    pub id: i32,
    /// The host it tells clients.
    pub host: String,
    /// The port it tells clients.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

impl Broker {
    /// The address as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A topic and its partitions.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; zero where brokers know none.
    pub id: Uuid,
    /// Whether it belongs to the brokers, as `__consumer_offsets` does.
    pub is_internal: bool,
    /// The partitions by index.
    pub partitions: Vec<Partition>,
}

/// A partition and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number within the topic.
    pub index: i32,
    /// The broker that leads it, if any does at the moment.
    pub leader: Option<i32>,
    /// The epoch of that leader; -1 where brokers tell none.
    pub leader_epoch: i32,
    /// The brokers that hold a copy, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
    /// Those of them that are offline.
    pub offline: Vec<i32>,
}

/// A broker's word about who leads a partition now (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderHint {
    /// The broker that leads.
    pub leader: i32,
    /// The epoch since which it does.
    pub leader_epoch: i32,
}

/// What an answer to a metadata request was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// All topics there are.
    All,
    /// These topics only.
    Named(Vec<String>),
}

impl Cluster {
    /// The cluster's id, where brokers tell one.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The broker to ask for changes of the cluster, if one is known.
    #[must_use]
    pub fn controller_id(&self) -> Option<i32> {
        self.controller_id
    }

    /// The brokers by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    /// The broker with this id.
    #[must_use]
    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// The topics asked for so far, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// The topic of this name, if it was asked for and exists.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The name of the topic with this id.
    #[must_use]
    pub fn topic_name(&self, id: Uuid) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// A partition, if its topic was asked for and has it.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        let index = usize::try_from(partition).ok()?;
        self.topic(topic)?.partitions.get(index)
    }

    /// Who leads a partition: broker id and leader epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<LeaderHint> {
        let partition = self.partition(topic, partition)?;
        let leader_epoch = partition.leader_epoch;
        partition.leader.map(|leader| LeaderHint { leader, leader_epoch })
    }

    /// The snapshot after an answer to a metadata request.
    #[must_use]
    pub fn merged(&self, asked: &Topics, response: &MetadataResponse) -> Self {
        let brokers = response.brokers.iter().map(|broker| Broker {
            id: broker.node_id,
            host: broker.host.clone(),
            port: broker.port,
            rack: broker.rack.clone(),
        });
        let mut merged = Self {
            cluster_id: response.cluster_id.clone().or_else(|| self.cluster_id.clone()),
            controller_id: Some(response.controller_id).filter(|id| *id >= 0),
            brokers: brokers.map(|broker| (broker.id, broker)).collect(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        let is_outdated = |name: &str| match asked {
            Topics::All => true,
            Topics::Named(names) => names.iter().any(|asked| asked == name),
        };
        for topic in self.topics.values().filter(|topic| !is_outdated(&topic.name)) {
            merged.insert(Arc::clone(topic));
        }
        for topic in &response.topics {
            if let Some(topic) = self.topic_from(topic) {
                merged.insert(Arc::new(topic));
            }
        }
        merged
    }

    /// The snapshot after a broker told who leads a partition; `None` if that is no news.
    #[must_use]
    pub fn with_leader(&self, topic: &str, partition: i32, hint: LeaderHint) -> Option<Self> {
        let known = self.partition(topic, partition)?;
        let is_newer = hint.leader >= 0 && hint.leader_epoch > known.leader_epoch;
        if !is_newer || !self.brokers.contains_key(&hint.leader) {
            return None;
        }
        let mut changed = Topic::clone(self.topic(topic)?);
        let index = usize::try_from(partition).ok()?;
        changed.partitions[index].leader = Some(hint.leader);
        changed.partitions[index].leader_epoch = hint.leader_epoch;
        let mut cluster = self.clone();
        cluster.insert(Arc::new(changed));
        Some(cluster)
    }

    /// The snapshot with a broker that was told of beside a metadata answer.
    #[must_use]
    pub fn with_broker(&self, broker: Broker) -> Self {
        let mut cluster = self.clone();
        cluster.brokers.insert(broker.id, broker);
        cluster
    }

    fn insert(&mut self, topic: Arc<Topic>) {
        if !topic.id.is_zero() {
            self.names.insert(topic.id, Arc::clone(&topic.name));
        }
        self.topics.insert(Arc::clone(&topic.name), topic);
    }

    /// Reads one topic of an answer; a topic with an error keeps nothing of what was known.
    fn topic_from(&self, response: &MetadataResponseTopic) -> Option<Topic> {
        let name = response.name.as_deref()?;
        let code = ErrorCode::from_code(response.error_code);
        if code != ErrorCode::None && response.partitions.is_empty() {
            return None;
        }
        let known = self.topic(name).filter(|topic| topic.id == response.topic_id);
        let mut partitions: Vec<_> = response.partitions.iter().map(partition_from).collect();
        partitions.sort_by_key(|partition| partition.index);
        for (position, partition) in partitions.iter_mut().enumerate() {
            let known = known.and_then(|topic| topic.partitions.get(position));
            if let Some(known) = known.filter(|known| known.leader_epoch > partition.leader_epoch) {
                *partition = known.clone();
            }
        }
        Some(Topic {
            name: name.into(),
            id: response.topic_id,
            is_internal: response.is_internal,
            partitions,
        })
    }
}

fn partition_from(response: &MetadataResponsePartition) -> Partition {
    Partition {
        index: response.partition_index,
        leader: Some(response.leader_id).filter(|leader| *leader >= 0),
        leader_epoch: response.leader_epoch,
        replicas: response.replica_nodes.clone(),
        in_sync: response.isr_nodes.clone(),
        offline: response.offline_replicas.clone(),
    }
}

#[cfg(test)]
mod tests {
    use flumen_protocol::messages::metadata::MetadataResponseBroker;

    use super::*;

    fn answer(topics: &[(&str, &[(i32, i32)])]) -> MetadataResponse {
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: "host".into(),
            port: 9092,
            ..MetadataResponseBroker::default()
        };
        let topics = topics.iter().map(|(name, leaders)| MetadataResponseTopic {
            name: Some((*name).to_owned()),
            partitions: (0..)
                .zip(*leaders)
                .map(|(partition_index, (leader_id, leader_epoch))| MetadataResponsePartition {
                    partition_index,
                    leader_id: *leader_id,
                    leader_epoch: *leader_epoch,
                    ..MetadataResponsePartition::default()
                })
                .collect(),
            ..MetadataResponseTopic::default()
        });
        MetadataResponse {
            brokers: vec![broker(1), broker(2)],
            topics: topics.collect(),
            ..MetadataResponse::default()
        }
    }

    fn named(names: &[&str]) -> Topics {
        Topics::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn leader(cluster: &Cluster, topic: &str) -> Option<(i32, i32)> {
        cluster.leader(topic, 0).map(|hint| (hint.leader, hint.leader_epoch))
    }

    #[test]
    fn an_answer_replaces_what_was_asked_for_and_nothing_else() {
        let all =
            Cluster::default().merged(&Topics::All, &answer(&[("a", &[(1, 0)]), ("b", &[(1, 0)])]));
        let a_gone = all.merged(&named(&["a"]), &answer(&[]));
        assert_eq!((leader(&a_gone, "a"), leader(&a_gone, "b")), (None, Some((1, 0))));
        let all_gone = all.merged(&Topics::All, &answer(&[]));
        assert_eq!(all_gone.topics().count(), 0);
    }

    #[test]
    fn a_leader_of_an_older_epoch_is_not_believed() {
        let cluster = Cluster::default().merged(&Topics::All, &answer(&[("a", &[(1, 5)])]));
        let late = cluster.merged(&Topics::All, &answer(&[("a", &[(2, 4)])]));
        assert_eq!(leader(&late, "a"), Some((1, 5)));
        let news = cluster.merged(&Topics::All, &answer(&[("a", &[(2, 6)])]));
        assert_eq!(leader(&news, "a"), Some((2, 6)));
    }

    #[test]
    fn a_hint_counts_if_its_epoch_is_newer() {
        let cluster = Cluster::default().merged(&Topics::All, &answer(&[("a", &[(1, 5)])]));
        let hint = |leader, leader_epoch| LeaderHint { leader, leader_epoch };
        assert_eq!(cluster.with_leader("a", 0, hint(2, 5)), None);
        assert_eq!(cluster.with_leader("a", 0, hint(-1, 9)), None);
        assert_eq!(cluster.with_leader("a", 0, hint(7, 9)), None, "broker 7 is not known");
        assert_eq!(cluster.with_leader("a", 3, hint(2, 9)), None);
        let moved = cluster.with_leader("a", 0, hint(2, 6)).unwrap();
        assert_eq!(leader(&moved, "a"), Some((2, 6)));
    }

    #[test]
    fn a_partition_without_leader_has_none() {
        let cluster = Cluster::default().merged(&Topics::All, &answer(&[("a", &[(-1, 3)])]));
        assert_eq!(leader(&cluster, "a"), None);
        assert!(cluster.partition("a", 0).is_some());
    }
}
