//! Committed offsets: the durable half of every group, and all there is of a group that manages
//! its own partitions.

use std::collections::BTreeMap;

use flumen_protocol::Uuid;

/// How far a group has got in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset to read next.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember with it.
    pub metadata: String,
    /// When it was committed.
    pub commit_timestamp_ms: i64,
    /// When it expires, if the client asked for a retention time of its own.
    pub expire_timestamp_ms: Option<i64>,
    /// The topic it was committed for, or zero: a topic created anew under the name is another.
    pub topic_id: Uuid,
}

impl CommittedOffset {
    /// Whether this offset is about the topic with this id. Unknown ids match everything.
    pub(super) fn is_of_topic(&self, topic_id: Uuid) -> bool {
        self.topic_id.is_zero() || topic_id.is_zero() || self.topic_id == topic_id
    }

    /// Whether the offset is past its time; `base_ms` is where the general retention counts from.
    pub(super) fn is_expired(&self, now_ms: i64, base_ms: i64, retention_ms: i64) -> bool {
        match self.expire_timestamp_ms {
            Some(at_ms) => now_ms >= at_ms,
            None => now_ms.saturating_sub(base_ms) >= retention_ms,
        }
    }
}

/// The offsets of one group: topic, partition, offset.
pub(super) type GroupOffsets = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

/// The committed offsets of all groups of a shard. Changed by replay only.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct OffsetStore {
    groups: BTreeMap<String, GroupOffsets>,
}

impl OffsetStore {
    /// Applies a commit, or takes one back.
    pub(super) fn replay(
        &mut self,
        group_id: &str,
        topic: String,
        partition: i32,
        value: Option<CommittedOffset>,
    ) {
        match value {
            Some(committed) => {
                let group = self.groups.entry(group_id.to_owned()).or_default();
                group.entry(topic).or_default().insert(partition, committed);
            }
            None => self.remove(group_id, &topic, partition),
        }
    }

    fn remove(&mut self, group_id: &str, topic: &str, partition: i32) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        if let Some(partitions) = group.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                group.remove(topic);
            }
        }
        if group.is_empty() {
            self.groups.remove(group_id);
        }
    }

    pub(super) fn of_group(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.groups.get(group_id)
    }

    pub(super) fn get(
        &self,
        group_id: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.groups.get(group_id)?.get(topic)?.get(&partition)
    }

    pub(super) fn has_group(&self, group_id: &str) -> bool {
        self.groups.contains_key(group_id)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = (&String, &GroupOffsets)> {
        self.groups.iter()
    }
}
