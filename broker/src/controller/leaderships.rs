//! What a decision does to who leads: counted for `/metrics`, and logged in a line for the whole decision,
//! which may concern thousands of partitions.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{info, warn};

use super::elections::is_unclean;
use super::image::MetadataImage;
use super::records::{NewLeader, PartitionChangeRecord};

/// Partitions that a line of the log names; the rest are counted.
const NAMED_MAX: usize = 8;

/// The elections that this broker has decided since it started.
#[derive(Debug, Default)]
pub(super) struct ElectionCounts {
    clean: AtomicU64,
    unclean: AtomicU64,
}

impl ElectionCounts {
    /// Elections of a leader that has every acknowledged record.
    pub(super) fn clean(&self) -> u64 {
        self.clean.load(Ordering::Relaxed)
    }

    /// Elections of a leader that need not have every acknowledged record.
    pub(super) fn unclean(&self) -> u64 {
        self.unclean.load(Ordering::Relaxed)
    }
}

/// The changes of leadership in one decision.
#[derive(Debug, Default)]
pub(super) struct LeadershipChanges {
    elected: Named,
    unclean: Named,
    lost: Named,
}

impl LeadershipChanges {
    /// Takes in a record, which is not yet replayed on `image`.
    pub(super) fn add(&mut self, image: &MetadataImage, change: &PartitionChangeRecord) {
        let topic = image.topic_by_id(change.topic_id);
        let before = topic.and_then(|topic| topic.partition(change.partition_index)?.leader);
        let set = match change.leader {
            NewLeader::Same => return,
            // It goes on in a new epoch.
            NewLeader::Broker(leader) if before == Some(leader) => return,
            NewLeader::Nobody => &mut self.lost,
            NewLeader::Broker(_) if is_unclean(image, change) => &mut self.unclean,
            NewLeader::Broker(_) => &mut self.elected,
        };
        set.count += 1;
        if set.first.len() < NAMED_MAX {
            let name = topic.map_or("", |topic| &topic.name);
            set.first.push((name.to_owned(), change.partition_index, change.leader));
        }
    }

    /// Counts and logs.
    pub(super) fn report(&self, counts: &ElectionCounts) {
        let Self { elected, unclean, lost } = self;
        counts.clean.fetch_add(elected.count, Ordering::Relaxed);
        counts.unclean.fetch_add(unclean.count, Ordering::Relaxed);
        if elected.count > 0 {
            info!(count = elected.count, partitions = %elected, "leaders are elected");
        }
        if lost.count > 0 {
            warn!(count = lost.count, partitions = %lost, "nobody is there that may lead");
        }
        if unclean.count > 0 {
            warn!(
                count = unclean.count, partitions = %unclean,
                "unclean elections: records may be lost"
            );
        }
    }
}

/// Partitions, of which the first are known by name.
#[derive(Debug, Default)]
struct Named {
    count: u64,
    first: Vec<(String, i32, NewLeader)>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (topic, index, leader)) in self.first.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{topic}-{index}")?;
            if let NewLeader::Broker(leader) = leader {
                write!(f, " by {leader}")?;
            }
        }
        let is_all = u64::try_from(self.first.len()).is_ok_and(|named| named == self.count);
        f.write_str(if is_all { "" } else { ", …" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::image_of_partition;

    fn change(image: &MetadataImage, leader: NewLeader) -> PartitionChangeRecord {
        let topic_id = image.topic("t").unwrap().id;
        PartitionChangeRecord { leader, ..PartitionChangeRecord::of(topic_id, 0) }
    }

    #[test]
    fn elections_are_counted_by_what_they_may_cost() {
        let image = image_of_partition(Some(1), &[1, 2]);
        let mut changes = LeadershipChanges::default();
        for leader in [
            NewLeader::Same,
            NewLeader::Broker(2),
            NewLeader::Broker(3),
            NewLeader::Nobody,
            NewLeader::Broker(1),
        ] {
            changes.add(&image, &change(&image, leader));
        }
        let counts = ElectionCounts::default();
        changes.report(&counts);
        assert_eq!((counts.clean(), counts.unclean(), changes.lost.count), (1, 1, 1));
        assert_eq!(changes.elected.to_string(), "t-0 by 2");
        assert_eq!(changes.lost.to_string(), "t-0");
    }

    #[test]
    fn a_line_of_the_log_names_only_the_first() {
        let image = image_of_partition(Some(1), &[1, 2]);
        let mut changes = LeadershipChanges::default();
        for _ in 0..3000 {
            changes.add(&image, &change(&image, NewLeader::Broker(2)));
        }
        let line = changes.elected.to_string();
        assert!(line.len() < 100 && line.ends_with(", …"), "{line}");
        assert_eq!(changes.elected.count, 3000);
    }
}
