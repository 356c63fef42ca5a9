//! Committed offsets: the values, and the requests and responses they travel in.
//!
//! Pure. Used by the admin client for groups without members, and by consumers for their own group.

use std::collections::BTreeMap;

use flumen_protocol::ErrorCode;
use flumen_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use flumen_protocol::messages::offset_fetch::OffsetFetchResponse;

use crate::cluster::TopicPartition;

/// The last versions of OffsetCommit and OffsetFetch that name topics by name: names serve topics
/// whose id is not known, too.
pub const OFFSETS_BY_NAME_MAX: i16 = 9;

/// An offset that a group committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<i32>,
    /// What the committer wanted to be remembered.
    pub metadata: Option<String>,
}

/// An offset to commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<i32>,
    /// Anything to be remembered with it.
    pub metadata: String,
}

impl OffsetToCommit {
    /// An offset without further particulars.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}

/// Sorts offsets by topic, as a commit request has them.
#[must_use]
pub fn commit_topics(
    offsets: &BTreeMap<TopicPartition, OffsetToCommit>,
) -> Vec<OffsetCommitRequestTopic> {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (TopicPartition { topic, partition }, commit) in offsets {
        if topics.last().is_none_or(|last| last.name != **topic) {
            let name = topic.to_string();
            topics.push(OffsetCommitRequestTopic { name, ..OffsetCommitRequestTopic::default() });
        }
        let partitions = &mut topics.last_mut().expect("one was just pushed").partitions;
        partitions.push(OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: commit.offset,
            committed_leader_epoch: commit.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(commit.metadata.clone()),
        });
    }
    topics
}

/// The offsets in an answer of any version, for one group; absent ones are left out.
#[must_use]
pub fn committed_from(response: OffsetFetchResponse) -> BTreeMap<TopicPartition, CommittedOffset> {
    let mut offsets = BTreeMap::new();
    let mut add = |topic: &str, partition, offset: i64, leader_epoch, metadata, code| {
        if offset >= 0 && ErrorCode::from_code(code) == ErrorCode::None {
            let leader_epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
            let committed = CommittedOffset { offset, leader_epoch, metadata };
            offsets.insert(TopicPartition::new(topic, partition), committed);
        }
    };
    for topic in response.topics {
        for p in topic.partitions {
            let (index, epoch) = (p.partition_index, p.committed_leader_epoch);
            add(&topic.name, index, p.committed_offset, epoch, p.metadata, p.error_code);
        }
    }
    for topic in response.groups.into_iter().flat_map(|group| group.topics) {
        for p in topic.partitions {
            let (index, epoch) = (p.partition_index, p.committed_leader_epoch);
            add(&topic.name, index, p.committed_offset, epoch, p.metadata, p.error_code);
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_sorted_by_topic() {
        let offsets = [("a", 1), ("b", 0), ("a", 0)]
            .map(|(topic, index)| (TopicPartition::new(topic, index), OffsetToCommit::new(7)));
        let topics = commit_topics(&BTreeMap::from(offsets));
        let shape: Vec<_> = topics
            .iter()
            .map(|t| (t.name.as_str(), t.partitions.iter().map(|p| p.partition_index).collect()))
            .collect();
        assert_eq!(shape, [("a", vec![0, 1]), ("b", vec![0])]);
    }
}
