//! The partitions of this broker by name and by id.
//!
//! What can be looked up is an immutable snapshot that is replaced as a whole, so that a lookup
//! takes no lock. Only the reconciler of `runtime` replaces it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use flumen_protocol::Uuid;

use super::throttle::Throttles;
use super::{LookupError, Partition};
use crate::config::Settings;
use crate::controller::{LostReplica, MetadataImage, TopicImage};

/// What this broker has of one partition.
#[derive(Debug, Clone)]
pub(super) enum Hosted {
    /// It leads or follows.
    Here(Arc<Partition>),
    /// It should, but the log cannot be used.
    Offline,
    /// It is no replica.
    Elsewhere,
}

/// What this broker has of one topic.
#[derive(Debug, Clone)]
pub(super) struct HostedTopic {
    /// The metadata that the partitions were last brought in line with.
    pub(super) image: Arc<TopicImage>,
    /// By index.
    pub(super) partitions: Vec<Hosted>,
}

/// Everything at one version of the metadata.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) version: i64,
    /// What topics inherited.
    pub(super) settings: Settings,
    by_id: BTreeMap<Uuid, Arc<HostedTopic>>,
    by_name: BTreeMap<Arc<str>, Arc<HostedTopic>>,
}

impl Snapshot {
    pub(super) fn topic(&self, id: Uuid) -> Option<&Arc<HostedTopic>> {
        self.by_id.get(&id)
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<HostedTopic>> {
        self.by_name.values()
    }

    /// The partitions that should be here and cannot be used.
    fn offline(&self) -> impl Iterator<Item = (&HostedTopic, i32)> {
        self.hosted(|hosted| matches!(hosted, Hosted::Offline))
    }

    /// The partitions of which this broker has something that `is_such`.
    fn hosted(&self, is_such: fn(&Hosted) -> bool) -> impl Iterator<Item = (&HostedTopic, i32)> {
        self.topics().flat_map(move |topic| {
            let indexed = (0_i32..).zip(&topic.partitions);
            let such = indexed.filter(move |(_, hosted)| is_such(hosted));
            such.map(move |(index, _)| (&**topic, index))
        })
    }

    pub(super) fn insert(&mut self, topic: HostedTopic) {
        let topic = Arc::new(topic);
        self.by_id.insert(topic.image.id, Arc::clone(&topic));
        self.by_name.insert(Arc::clone(&topic.image.name), topic);
    }

    /// Replaces what there is of some partitions of a topic that is there.
    pub(super) fn place(&mut self, id: Uuid, opened: Vec<(i32, Hosted)>) {
        let Some(topic) = self.by_id.get(&id) else { return };
        let mut topic = HostedTopic::clone(topic);
        for (index, hosted) in opened {
            let place = usize::try_from(index).ok();
            if let Some(slot) = place.and_then(|place| topic.partitions.get_mut(place)) {
                *slot = hosted;
            }
        }
        self.insert(topic);
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        let Some(topic) = self.by_id.remove(&id) else { return };
        // The name may belong to a new topic by now.
        if self.by_name.get(&topic.image.name).is_some_and(|t| t.image.id == id) {
            self.by_name.remove(&topic.image.name);
        }
    }
}

/// The partitions of this broker.
#[derive(Debug, Default)]
pub struct Partitions {
    snapshot: ArcSwap<Snapshot>,
    throttles: Arc<Throttles>,
}

impl Partitions {
    /// Finds a partition that this broker leads by the name of its topic.
    ///
    /// # Errors
    /// [`LookupError`] says what is missing.
    pub fn find(&self, topic: &str, index: i32) -> Result<Arc<Partition>, LookupError> {
        let snapshot = self.snapshot.load();
        let topic = snapshot.by_name.get(topic).ok_or(LookupError::UnknownTopic)?;
        topic.find(index).and_then(led)
    }

    /// Finds a partition that this broker leads by the id of its topic.
    ///
    /// # Errors
    /// [`LookupError`] says what is missing.
    pub fn find_by_id(&self, topic: Uuid, index: i32) -> Result<Arc<Partition>, LookupError> {
        let snapshot = self.snapshot.load();
        let topic = snapshot.by_id.get(&topic).ok_or(LookupError::UnknownTopicId)?;
        topic.find(index).and_then(led)
    }

    /// Finds a partition of which this broker has a replica, by the name of its topic.
    ///
    /// # Errors
    /// [`LookupError`] says what is missing.
    pub fn find_replica(&self, topic: &str, index: i32) -> Result<Arc<Partition>, LookupError> {
        let snapshot = self.snapshot.load();
        snapshot.by_name.get(topic).ok_or(LookupError::UnknownTopic)?.find(index)
    }

    /// Finds a partition of which this broker has a replica, by the id of its topic.
    ///
    /// # Errors
    /// [`LookupError`] says what is missing.
    pub fn find_replica_by_id(
        &self,
        topic: Uuid,
        index: i32,
    ) -> Result<Arc<Partition>, LookupError> {
        let snapshot = self.snapshot.load();
        snapshot.by_id.get(&topic).ok_or(LookupError::UnknownTopicId)?.find(index)
    }

    /// The partition, if this broker leads it.
    #[must_use]
    pub fn get(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        self.find(topic, index).ok()
    }

    /// The partition, if this broker leads it.
    #[must_use]
    pub fn get_by_id(&self, topic: Uuid, index: i32) -> Option<Arc<Partition>> {
        self.find_by_id(topic, index).ok()
    }

    /// Every partition of which this broker has a replica, by topic name and index.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let snapshot = self.snapshot.load();
        let hosted = snapshot.topics().flat_map(|topic| &topic.partitions);
        hosted
            .filter_map(|hosted| match hosted {
                Hosted::Here(partition) => Some(Arc::clone(partition)),
                Hosted::Offline | Hosted::Elsewhere => None,
            })
            .collect()
    }

    /// How many partitions this broker should have and cannot.
    #[must_use]
    pub fn offline_count(&self) -> usize {
        self.snapshot.load().offline().count()
    }

    /// The partitions that this broker should have and cannot, by name.
    pub(super) fn unusable(&self) -> Vec<(String, i32)> {
        let snapshot = self.snapshot.load();
        snapshot.offline().map(|(topic, index)| (topic.image.name.to_string(), index)).collect()
    }

    /// Those of them, and of the damaged ones, that others have as well, and for which `image` still counts
    /// on `broker_id`.
    pub(crate) fn lost(&self, image: &MetadataImage, broker_id: i32) -> Vec<LostReplica> {
        let snapshot = self.snapshot.load();
        let is_unsound = |hosted: &Hosted| match hosted {
            Hosted::Here(partition) => partition.is_damaged(),
            Hosted::Offline => true,
            Hosted::Elsewhere => false,
        };
        let unsound = snapshot.hosted(is_unsound).map(|(topic, partition_index)| {
            let topic_id = topic.image.id;
            LostReplica { topic_id, partition_index }
        });
        let counts = |lost: &LostReplica| {
            let topic = image.topic_by_id(lost.topic_id);
            let partition = topic.and_then(|topic| topic.partition(lost.partition_index));
            partition.is_some_and(|partition| partition.is_one_of_several(broker_id))
        };
        unsound.filter(counts).collect()
    }

    /// How fast replicas are copied.
    pub(crate) fn throttles(&self) -> &Arc<Throttles> {
        &self.throttles
    }

    /// The version of the metadata that the partitions are in line with.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.snapshot.load().version
    }

    pub(super) fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub(super) fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}

fn led(partition: Arc<Partition>) -> Result<Arc<Partition>, LookupError> {
    if partition.is_following() { Err(LookupError::NotHere) } else { Ok(partition) }
}

impl HostedTopic {
    fn find(&self, index: i32) -> Result<Arc<Partition>, LookupError> {
        let slot = usize::try_from(index).ok().and_then(|index| self.partitions.get(index));
        match slot.ok_or(LookupError::UnknownPartition)? {
            Hosted::Here(partition) => Ok(Arc::clone(partition)),
            Hosted::Offline => Err(LookupError::Offline),
            Hosted::Elsewhere => Err(LookupError::NotHere),
        }
    }
}
