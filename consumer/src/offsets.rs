//! Which offsets to commit. Pure.
//!
//! A record counts as processed when the program asks for the next one, not when it is given: what
//! is committed in the background was really processed. Per partition, in order:
//! `committed <= stored <= delivered`.

use std::collections::BTreeMap;

use flumen_client::TopicPartition;
use flumen_client::commits::OffsetToCommit;

use crate::record::Position;

/// The offsets of the assigned partitions on their way to being committed.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    /// Given to the program, and not yet known to be processed.
    delivered: BTreeMap<TopicPartition, Position>,
    /// Processed.
    stored: BTreeMap<TopicPartition, Position>,
    /// Committed by us.
    committed: BTreeMap<TopicPartition, Position>,
}

impl Offsets {
    /// Notes that the program was given the records before `next`.
    pub(crate) fn delivered(&mut self, partition: &TopicPartition, next: Position) {
        if let Some(last) = self.delivered.get_mut(partition) {
            *last = next;
        } else {
            self.delivered.insert(partition.clone(), next);
        }
    }

    /// Notes that everything the program was given is processed.
    pub(crate) fn confirm(&mut self) {
        self.stored.append(&mut self.delivered);
    }

    /// Forgets what was given without counting it as processed.
    pub(crate) fn forget_delivered(&mut self) {
        self.delivered.clear();
    }

    /// Stores an offset on the program's word.
    pub(crate) fn store(&mut self, partition: TopicPartition, next: Position) {
        self.stored.insert(partition, next);
    }

    /// What is stored and not committed.
    pub(crate) fn uncommitted(&self) -> BTreeMap<TopicPartition, OffsetToCommit> {
        let open = self
            .stored
            .iter()
            .filter(|(partition, next)| self.committed.get(*partition) != Some(*next));
        open.map(|(partition, next)| (partition.clone(), to_commit(*next))).collect()
    }

    /// Notes what was committed.
    pub(crate) fn committed(&mut self, offsets: &BTreeMap<TopicPartition, OffsetToCommit>) {
        for (partition, commit) in offsets {
            let next = Position { offset: commit.offset, leader_epoch: commit.leader_epoch };
            self.committed.insert(partition.clone(), next);
        }
    }

    /// Forgets partitions, being sought away from or no longer assigned.
    pub(crate) fn forget(&mut self, partition: &TopicPartition) {
        self.delivered.remove(partition);
        self.stored.remove(partition);
        self.committed.remove(partition);
    }

    /// Forgets all partitions but those that are still assigned.
    pub(crate) fn retain(&mut self, is_assigned: impl Fn(&TopicPartition) -> bool) {
        for offsets in [&mut self.delivered, &mut self.stored, &mut self.committed] {
            offsets.retain(|partition, _| is_assigned(partition));
        }
    }
}

fn to_commit(next: Position) -> OffsetToCommit {
    OffsetToCommit { offset: next.offset, leader_epoch: next.leader_epoch, metadata: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uncommitted(offsets: &Offsets) -> Vec<i64> {
        offsets.uncommitted().values().map(|commit| commit.offset).collect()
    }

    #[test]
    fn a_record_counts_when_the_next_is_asked_for() {
        let partition = TopicPartition::new("t", 0);
        let mut offsets = Offsets::default();
        offsets.delivered(&partition, Position::at(1));
        assert!(uncommitted(&offsets).is_empty());
        offsets.confirm();
        assert_eq!(uncommitted(&offsets), [1]);
        offsets.delivered(&partition, Position::at(2));
        assert_eq!(uncommitted(&offsets), [1]);
        offsets.committed(&offsets.uncommitted());
        assert!(uncommitted(&offsets).is_empty());
        offsets.confirm();
        assert_eq!(uncommitted(&offsets), [2]);
    }

    #[test]
    fn a_smaller_offset_is_committed_after_seeking_back() {
        let partition = TopicPartition::new("t", 0);
        let mut offsets = Offsets::default();
        offsets.store(partition.clone(), Position::at(9));
        offsets.committed(&offsets.uncommitted());
        offsets.forget(&partition);
        offsets.store(partition, Position::at(3));
        assert_eq!(uncommitted(&offsets), [3]);
    }

    #[test]
    fn partitions_that_are_gone_are_not_committed() {
        let mut offsets = Offsets::default();
        for index in 0..3 {
            offsets.store(TopicPartition::new("t", index), Position::at(i64::from(index)));
        }
        offsets.retain(|partition| partition.partition != 1);
        assert_eq!(uncommitted(&offsets), [0, 2]);
    }
}
