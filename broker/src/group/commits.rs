//! What requests ask about offsets: commit, fetch, delete; and which of them have expired.

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;

use super::classic::{Group, GroupState};
use super::effects::GroupEffects;
use super::error::GroupError;
use super::offsets::{CommittedOffset, GroupOffsets};
use super::records;
use super::shard::GroupShard;
use crate::coordinator::{CoordinatorRecord, Now};

/// A commit of offsets, by a member or by a consumer that needs no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRequest {
    /// The group.
    pub group_id: String,
    /// Empty for a consumer that is no member.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// Negative for a consumer that is no member.
    pub generation: i32,
    /// A client that can be told that the group is gone (v9); older ones hear of a generation.
    pub knows_group_not_found: bool,
    /// How long to keep the offsets, if the client has a wish (v2 to v4).
    pub retention_ms: Option<i64>,
    /// Topics that exist, with partitions that exist.
    pub topics: Vec<CommitTopic>,
}

/// The offsets of one topic in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// What is committed.
    pub partitions: Vec<CommitPartition>,
}

/// One offset in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPartition {
    /// The partition.
    pub index: i32,
    /// The offset to read next.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// What to keep with the offset.
    pub metadata: String,
}

/// The result of one partition of a commit or a deletion.
pub type PartitionResult = (i32, Result<(), GroupError>);

impl GroupShard {
    /// Commits offsets; per topic one result per partition, in the order of the request.
    pub fn commit(
        &mut self,
        now: Now,
        request: CommitRequest,
        effects: &mut GroupEffects,
    ) -> Result<Vec<Vec<PartitionResult>>, GroupError> {
        self.check_commit(&request)?;
        // The group is there from now on, as in Kafka, even if every offset of it is refused; but
        // not by a commit that names no partition that exists.
        if request.topics.iter().any(|topic| !topic.partitions.is_empty()) {
            self.group_or_new(&request.group_id);
        }
        if request.generation >= 0 {
            self.touch(now, &request.group_id, &request.member_id, effects);
        }
        let size_max = usize::try_from(self.config.offset_metadata_max_bytes).unwrap_or(0);
        let expire_timestamp_ms =
            request.retention_ms.map(|retention_ms| now.wall_ms.saturating_add(retention_ms));
        let commit_partition = |topic: &str, topic_id, partition: CommitPartition| {
            let size = partition.metadata.encode_utf16().count();
            if size > size_max {
                return Err(GroupError::OffsetMetadataTooLarge { size, size_max });
            }
            let committed = CommittedOffset {
                offset: partition.offset,
                leader_epoch: partition.leader_epoch,
                metadata: partition.metadata,
                commit_timestamp_ms: now.wall_ms,
                expire_timestamp_ms,
                topic_id,
            };
            Ok(records::offset(&request.group_id, topic, partition.index, &committed))
        };
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let index = partition.index;
                let result = commit_partition(&topic.name, topic.id, partition)
                    .map(|record| effects.records.push(record));
                partitions.push((index, result));
            }
            results.push(partitions);
        }
        Ok(results)
    }

    fn check_commit(&self, request: &CommitRequest) -> Result<(), GroupError> {
        let Some(group) = self.groups.get(&request.group_id) else {
            return match request.generation {
                ..0 => Ok(()),
                _ if request.knows_group_not_found => {
                    Err(GroupError::GroupNotFound { group_id: request.group_id.clone() })
                }
                given => Err(GroupError::IllegalGeneration { given, current: 0 }),
            };
        };
        group.check_commit(&request.member_id, request.instance_id.as_deref(), request.generation)
    }

    /// The committed offset of a partition of the topic with this id (zero: whichever has the
    /// name).
    pub fn committed(
        &self,
        group_id: &str,
        topic: &str,
        topic_id: Uuid,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.offsets
            .get(group_id, topic, partition)
            .filter(|committed| committed.is_of_topic(topic_id))
    }

    /// All committed offsets of a group.
    pub fn all_committed(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.offsets.of_group(group_id)
    }

    /// Every group's committed offsets.
    pub(super) fn all_offsets(&self) -> impl Iterator<Item = (&String, &GroupOffsets)> {
        self.offsets.groups()
    }

    /// Deletes offsets of topics that the group does not read; per topic one result per partition.
    pub fn delete_offsets(
        &self,
        group_id: &str,
        topics: &[(String, Vec<i32>)],
        effects: &mut GroupEffects,
    ) -> Result<Vec<Vec<PartitionResult>>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let Some(group) = self.groups.get(group_id) else {
            return Err(GroupError::GroupNotFound { group_id: group_id.to_owned() });
        };
        if group.state != GroupState::Empty && !group.is_consumer_group() {
            return Err(GroupError::NotEmpty);
        }
        let mut delete_partition = |topic: &str, partition| {
            if group.is_subscribed_to(topic) {
                return Err(GroupError::SubscribedToTopic);
            }
            if self.offsets.get(group_id, topic, partition).is_some() {
                effects.records.push(records::offset_tombstone(group_id, topic, partition));
            }
            Ok(())
        };
        let results = topics.iter().map(|(topic, partitions)| {
            partitions.iter().map(|&index| (index, delete_partition(topic, index))).collect()
        });
        Ok(results.collect())
    }

    /// Forgets offsets of a topic that was deleted, some at a time; says whether any were left.
    pub fn on_topic_deleted(
        &self,
        topic: &str,
        topic_id: Uuid,
        effects: &mut GroupEffects,
    ) -> bool {
        let orphans = self.offsets.groups().flat_map(|(group_id, offsets)| {
            let partitions = offsets.get(topic).into_iter().flatten();
            partitions
                .filter(|(_, committed)| committed.is_of_topic(topic_id))
                .map(|(&partition, _)| records::offset_tombstone(group_id, topic, partition))
        });
        let mut orphans = orphans.peekable();
        records::fill_batch(&mut orphans, &mut effects.records);
        orphans.peek().is_some()
    }

    /// Tombstones for offsets that have expired, and for groups that have nothing left; in order of
    /// groups, as many as the caller takes.
    pub(super) fn expired_offsets(&self, now: Now) -> impl Iterator<Item = CoordinatorRecord> {
        self.groups.values().flat_map(move |group| self.expired_in_group(group, now))
    }

    fn expired_in_group(&self, group: &Group, now: Now) -> Vec<CoordinatorRecord> {
        let mut tombstones = Vec::new();
        let mut is_any_left = false;
        for (topic, partitions) in self.offsets.of_group(&group.id).into_iter().flatten() {
            for (&partition, committed) in partitions {
                if self.is_expired(group, topic, committed, now) {
                    tombstones.push(records::offset_tombstone(&group.id, topic, partition));
                } else {
                    is_any_left = true;
                }
            }
        }
        let is_kept_for_offsets = group.stored.is_some() || group.is_void();
        if group.state == GroupState::Empty && is_kept_for_offsets && !is_any_left {
            tombstones.push(records::group_tombstone(&group.id));
        }
        tombstones
    }

    fn is_expired(
        &self,
        group: &Group,
        topic: &str,
        committed: &CommittedOffset,
        now: Now,
    ) -> bool {
        group.retention_base_ms(topic, committed).is_some_and(|base_ms| {
            committed.is_expired(now.wall_ms, base_ms, self.config.offsets_retention_ms)
        })
    }
}

impl Group {
    /// Whether a member, or someone who claims to be none, may commit now.
    fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        let claims_membership = generation >= 0 || !member_id.is_empty() || instance_id.is_some();
        if !claims_membership {
            // Whoever manages its own partitions must not disturb a group that is at work.
            return Err(GroupError::UnknownMember);
        }
        if is_planted(Bug::GenerationsAreUnchecked) {
            return Ok(());
        }
        self.check_member(member_id, instance_id)?;
        self.check_generation(generation)?;
        match self.state {
            // The member holds the right generation but no assignment of it yet: what it commits
            // are partitions of the generation before, which may be somebody else's by now.
            GroupState::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::Empty | GroupState::PreparingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// From when the retention of an offset counts; nothing while the offset is in use.
    fn retention_base_ms(&self, topic: &str, committed: &CommittedOffset) -> Option<i64> {
        match self.state {
            // Without a protocol type nobody ever joined: only commits show that it is alive.
            _ if self.protocol_type.is_none() => Some(committed.commit_timestamp_ms),
            // Kafka counts from the last member's leaving even for an offset set by hand since.
            GroupState::Empty => {
                Some(committed.commit_timestamp_ms.max(self.state_since_ms.unwrap_or(0)))
            }
            GroupState::Stable if self.is_consumer_group() && !self.is_subscribed_to(topic) => {
                Some(committed.commit_timestamp_ms)
            }
            GroupState::Stable
            | GroupState::PreparingRebalance
            | GroupState::CompletingRebalance => None,
        }
    }
}
