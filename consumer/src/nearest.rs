//! Where each partition is read: at its leader, or at the replica that the leader has named as
//! nearer to us (KIP-392). Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use flumen_client::TopicPartition;

/// The partitions that are read elsewhere than at their leaders.
#[derive(Debug)]
pub(crate) struct Nearest {
    replicas: BTreeMap<TopicPartition, Named>,
    age_max: Duration,
}

#[derive(Debug)]
struct Named {
    replica: i32,
    /// Then the leader is asked again: another replica may be nearer by then.
    until: Duration,
}

impl Nearest {
    /// Follows what leaders say for `age_max` each time.
    pub(crate) fn new(age_max: Duration) -> Self {
        Self { replicas: BTreeMap::new(), age_max }
    }

    /// The replica to read a partition from, if that is not the leader.
    pub(crate) fn replica(&mut self, partition: &TopicPartition, now: Duration) -> Option<i32> {
        let named = self.replicas.get(partition)?;
        if named.until <= now {
            self.give_up(partition);
            return None;
        }
        Some(named.replica)
    }

    /// The leader has named a replica.
    pub(crate) fn on_named(&mut self, partition: &TopicPartition, replica: i32, now: Duration) {
        let until = now + self.age_max;
        self.replicas.insert(partition.clone(), Named { replica, until });
    }

    /// The replica does not serve the partition; says whether it was read there.
    pub(crate) fn give_up(&mut self, partition: &TopicPartition) -> bool {
        self.replicas.remove(partition).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_replica_counts_until_it_fails_or_is_old() {
        let mut nearest = Nearest::new(10 * SECOND);
        let [one, other] = [0, 1].map(|index| TopicPartition::new("t", index));
        assert_eq!(nearest.replica(&one, SECOND), None);
        nearest.on_named(&one, 7, SECOND);
        assert_eq!(nearest.replica(&one, 10 * SECOND), Some(7));
        assert_eq!(nearest.replica(&other, 10 * SECOND), None);
        assert_eq!(nearest.replica(&one, 11 * SECOND), None, "the leader is asked again");
        assert!(!nearest.give_up(&one), "it was so already");
        nearest.on_named(&one, 7, 11 * SECOND);
        assert!(nearest.give_up(&one));
        assert_eq!(nearest.replica(&one, 12 * SECOND), None);
    }
}
