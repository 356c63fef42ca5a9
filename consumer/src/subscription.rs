//! The partitions a consumer reads, and where it is in each. Pure.
//!
//! Two positions per partition: *fetched* is the next offset to ask a broker for, *delivered* the
//! next one the program gets; `delivered <= fetched`. A seek or a new assignment begins a new *stay*
//! with a number of its own, so that what was fetched for the old one is recognised and dropped.

use std::collections::{BTreeMap, BTreeSet};

use flumen_client::TopicPartition;

use crate::record::Position;

/// What is known of all assigned partitions.
#[derive(Debug, Default)]
pub(crate) struct Subscription {
    partitions: BTreeMap<TopicPartition, Assigned>,
    next_stay: u64,
}

#[derive(Debug)]
struct Assigned {
    stay: u64,
    /// `None` until it is found out where to begin.
    positions: Option<Positions>,
    is_paused: bool,
    /// Whether the position is to be found by the reset policy, the old one being out of range.
    is_out_of_range: bool,
    /// Bytes fetched and not yet delivered.
    buffered: usize,
}

#[derive(Debug, Clone, Copy)]
struct Positions {
    fetched: Position,
    delivered: Position,
}

/// A partition that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetchable {
    pub(crate) partition: TopicPartition,
    pub(crate) stay: u64,
    pub(crate) from: Position,
}

/// A partition whose beginning is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unplaced {
    pub(crate) partition: TopicPartition,
    pub(crate) stay: u64,
    /// Whether committed offsets do not count.
    pub(crate) is_out_of_range: bool,
}

impl Subscription {
    /// Replaces the assigned partitions; those that stay keep their positions.
    pub(crate) fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        self.partitions.retain(|partition, _| wanted.contains(partition));
        for partition in wanted {
            let stay = self.next_stay;
            self.partitions.entry(partition).or_insert(Assigned {
                stay,
                positions: None,
                is_paused: false,
                is_out_of_range: false,
                buffered: 0,
            });
            self.next_stay += 1;
        }
    }

    /// The assigned partitions.
    pub(crate) fn assigned(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    pub(crate) fn is_assigned(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// Goes on reading elsewhere; `false` if the partition is not assigned.
    pub(crate) fn seek(&mut self, partition: &TopicPartition, to: Position) -> bool {
        let stay = self.next_stay;
        let Some(assigned) = self.partitions.get_mut(partition) else { return false };
        self.next_stay += 1;
        assigned.stay = stay;
        assigned.positions = Some(Positions { fetched: to, delivered: to });
        assigned.is_out_of_range = false;
        assigned.buffered = 0;
        true
    }

    /// Sets where to begin, unless something else was decided since it was looked up.
    pub(crate) fn place(&mut self, partition: &TopicPartition, stay: u64, at: Position) -> bool {
        let Some(assigned) = self.current(partition, stay) else { return false };
        if assigned.positions.is_some() {
            return false;
        }
        assigned.positions = Some(Positions { fetched: at, delivered: at });
        assigned.is_out_of_range = false;
        true
    }

    /// Gives up a position that is not in the log; another one has to be found.
    pub(crate) fn lose_place(&mut self, partition: &TopicPartition, stay: u64) {
        if let Some(assigned) = self.current(partition, stay) {
            assigned.positions = None;
            assigned.is_out_of_range = true;
        }
    }

    /// Fetches again from where the program is, what was fetched being of no use.
    pub(crate) fn rewind(&mut self, partition: &TopicPartition, stay: u64) {
        let new_stay = self.next_stay;
        if let Some(assigned) = self.current(partition, stay) {
            assigned.stay = new_stay;
            assigned.buffered = 0;
            if let Some(positions) = &mut assigned.positions {
                positions.fetched = positions.delivered;
            }
            self.next_stay += 1;
        }
    }

    /// Pauses or resumes; `false` if the partition is not assigned.
    pub(crate) fn pause(&mut self, partition: &TopicPartition, is_paused: bool) -> bool {
        let assigned = self.partitions.get_mut(partition);
        assigned.map(|assigned| assigned.is_paused = is_paused).is_some()
    }

    /// The partitions that are paused.
    pub(crate) fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.partitions.iter().filter(|(_, assigned)| assigned.is_paused);
        paused.map(|(partition, _)| partition.clone()).collect()
    }

    /// The partitions whose beginning is to be found.
    pub(crate) fn unplaced(&self) -> Vec<Unplaced> {
        let unplaced = self.partitions.iter().filter(|(_, assigned)| assigned.positions.is_none());
        unplaced
            .map(|(partition, assigned)| Unplaced {
                partition: partition.clone(),
                stay: assigned.stay,
                is_out_of_range: assigned.is_out_of_range,
            })
            .collect()
    }

    /// The partitions to fetch: placed, not paused, and with less than that many bytes ahead.
    pub(crate) fn fetchable(&self, buffered_max: usize) -> Vec<Fetchable> {
        let mut fetchable = Vec::new();
        for (partition, assigned) in &self.partitions {
            let Some(positions) = assigned.positions else { continue };
            if !assigned.is_paused && assigned.buffered < buffered_max {
                let (partition, stay) = (partition.clone(), assigned.stay);
                fetchable.push(Fetchable { partition, stay, from: positions.fetched });
            }
        }
        fetchable
    }

    /// Whether an answer to this is of use. Where the leader has changed, the next one may have been
    /// asked for the same, and have answered before the one that was asked first.
    pub(crate) fn awaits(&self, asked: &Fetchable) -> bool {
        let assigned = self.partitions.get(&asked.partition);
        assigned.filter(|assigned| assigned.stay == asked.stay).is_some_and(|assigned| {
            assigned.positions.is_some_and(|positions| positions.fetched == asked.from)
        })
    }

    /// Notes what was fetched; `false` if it is for a stay that is over.
    pub(crate) fn fetched(
        &mut self,
        partition: &TopicPartition,
        stay: u64,
        next: Position,
        bytes: usize,
    ) -> bool {
        let Some(assigned) = self.current(partition, stay) else { return false };
        let Some(positions) = &mut assigned.positions else { return false };
        positions.fetched = next;
        assigned.buffered += bytes;
        true
    }

    /// Says whether fetched data may be given to the program now.
    pub(crate) fn state(&self, partition: &TopicPartition, stay: u64) -> DataState {
        match self.partitions.get(partition) {
            Some(assigned) if assigned.stay == stay => {
                if assigned.is_paused {
                    DataState::Paused
                } else {
                    DataState::Current
                }
            }
            _ => DataState::Stale,
        }
    }

    /// Notes what the program was given, up to but not including `next`.
    pub(crate) fn delivered(&mut self, partition: &TopicPartition, stay: u64, next: Position) {
        if let Some(assigned) = self.current(partition, stay)
            && let Some(positions) = &mut assigned.positions
        {
            positions.delivered = next;
        }
    }

    /// Notes that fetched data was used up.
    pub(crate) fn used_up(&mut self, partition: &TopicPartition, stay: u64, bytes: usize) {
        if let Some(assigned) = self.current(partition, stay) {
            assigned.buffered = assigned.buffered.saturating_sub(bytes);
        }
    }

    /// The next offset the program gets, if it is known.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Position> {
        let positions = self.partitions.get(partition)?.positions?;
        Some(positions.delivered)
    }

    fn current(&mut self, partition: &TopicPartition, stay: u64) -> Option<&mut Assigned> {
        self.partitions.get_mut(partition).filter(|assigned| assigned.stay == stay)
    }
}

/// What to do with fetched data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataState {
    /// Give it to the program.
    Current,
    /// Keep it.
    Paused,
    /// Drop it.
    Stale,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    fn placed(offset: i64) -> (Subscription, u64) {
        let mut subscription = Subscription::default();
        subscription.assign([partition(0)]);
        let stay = subscription.unplaced()[0].stay;
        assert!(subscription.place(&partition(0), stay, Position::at(offset)));
        (subscription, stay)
    }

    #[test]
    fn a_partition_is_fetched_once_it_has_a_place() {
        let mut subscription = Subscription::default();
        subscription.assign([partition(0)]);
        assert!(subscription.fetchable(10).is_empty());
        let stay = subscription.unplaced()[0].stay;
        assert!(subscription.place(&partition(0), stay, Position::at(5)));
        assert!(!subscription.place(&partition(0), stay, Position::at(9)), "only once");
        assert_eq!(subscription.fetchable(10)[0].from, Position::at(5));
        assert!(subscription.unplaced().is_empty());
    }

    #[test]
    fn partitions_that_stay_keep_their_positions() {
        let (mut subscription, stay) = placed(5);
        subscription.assign([partition(0), partition(1)]);
        assert_eq!(subscription.position(&partition(0)), Some(Position::at(5)));
        assert_eq!(subscription.state(&partition(0), stay), DataState::Current);
        subscription.assign([partition(1)]);
        assert_eq!(subscription.state(&partition(0), stay), DataState::Stale);
        subscription.assign([partition(0)]);
        assert_eq!(subscription.position(&partition(0)), None, "a new stay begins anew");
        assert_eq!(subscription.state(&partition(0), stay), DataState::Stale);
    }

    #[test]
    fn a_seek_makes_fetched_data_stale() {
        let (mut subscription, stay) = placed(5);
        assert!(subscription.fetched(&partition(0), stay, Position::at(9), 100));
        assert!(subscription.seek(&partition(0), Position::at(2)));
        assert!(!subscription.fetched(&partition(0), stay, Position::at(12), 100));
        subscription.delivered(&partition(0), stay, Position::at(7));
        assert_eq!(subscription.position(&partition(0)), Some(Position::at(2)));
        assert!(!subscription.seek(&partition(7), Position::at(2)));
    }

    #[test]
    fn what_was_fetched_already_is_not_awaited() {
        let (mut subscription, stay) = placed(5);
        let asked = subscription.fetchable(1).remove(0);
        assert!(subscription.awaits(&asked));
        assert!(subscription.fetched(&partition(0), stay, Position::at(9), 100));
        assert!(!subscription.awaits(&asked), "another leader has answered");
        let asked = subscription.fetchable(101).remove(0);
        assert!(subscription.awaits(&asked));
        assert!(subscription.seek(&partition(0), Position::at(9)));
        assert!(!subscription.awaits(&asked), "the same place in another stay");
    }

    #[test]
    fn enough_bytes_ahead_stop_the_fetching() {
        let (mut subscription, stay) = placed(5);
        subscription.fetched(&partition(0), stay, Position::at(9), 100);
        assert_eq!(subscription.fetchable(101)[0].from, Position::at(9));
        assert!(subscription.fetchable(100).is_empty());
        subscription.used_up(&partition(0), stay, 60);
        assert_eq!(subscription.fetchable(100).len(), 1);
        assert!(subscription.pause(&partition(0), true));
        assert!(subscription.fetchable(100).is_empty());
        assert_eq!(subscription.state(&partition(0), stay), DataState::Paused);
    }

    #[test]
    fn a_lost_place_is_looked_for_without_committed_offsets() {
        let (mut subscription, stay) = placed(5);
        subscription.lose_place(&partition(0), stay);
        assert!(subscription.unplaced()[0].is_out_of_range);
        assert!(subscription.place(&partition(0), stay, Position::at(0)));
        assert_eq!(subscription.position(&partition(0)), Some(Position::at(0)));
    }

    #[test]
    fn rewinding_goes_back_to_what_the_program_got() {
        let (mut subscription, stay) = placed(5);
        subscription.fetched(&partition(0), stay, Position::at(20), 100);
        subscription.delivered(&partition(0), stay, Position::at(8));
        subscription.rewind(&partition(0), stay);
        assert_eq!(subscription.state(&partition(0), stay), DataState::Stale);
        assert_eq!(subscription.fetchable(1)[0].from, Position::at(8));
    }
}
