//! Where the replicas of new partitions go.
//!
//! Leaders are spread evenly over the brokers, the replicas of one partition over different racks
//! as far as there are enough, and the followers of one leader over many brokers, so that its load
//! does not fall on a single one when it dies. Brokers that are out of service get replicas only where
//! those in service are too few: a topic can be created while one of three brokers is restarted.
//! Pure: the start of the rotation comes in.

use flumen_protocol::Uuid;

use super::image::{BrokerImage, MetadataImage};
use super::records::PartitionRecord;

/// There are not enough brokers for so many replicas, or none is in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Unable to replicate the partition {wanted} time(s): The target replication factor of {wanted} \
     cannot be reached because only {available} broker(s) are registered"
)]
pub struct TooFewBrokers {
    /// The replicas asked for.
    pub wanted: usize,
    /// The brokers there are.
    pub available: usize,
}

/// Chooses `replicas` brokers for each of `count` partitions, the first of each as leader.
///
/// `start` picks the broker of the first leader; partitions added later go on from there when it
/// grows by the number of partitions there are.
pub(super) fn place(
    image: &MetadataImage,
    count: usize,
    replicas: usize,
    start: usize,
) -> Result<Vec<Vec<i32>>, TooFewBrokers> {
    let circle = racks_in_turn(image);
    let absent = image.brokers().filter(|broker| !image.is_active(broker.id));
    let absent: Vec<&BrokerImage> = absent.map(|broker| &**broker).collect();
    let available = if circle.is_empty() { 0 } else { circle.len() + absent.len() };
    if replicas == 0 || replicas > available {
        return Err(TooFewBrokers { wanted: replicas, available });
    }
    let turns = (0..count).map(|partition| start.wrapping_add(partition));
    let chosen = turns.map(|turn| {
        let mut chosen = choose(&circle, replicas, turn);
        fill(&mut chosen, &absent, replicas, turn);
        chosen.into_iter().map(|broker| broker.id).collect()
    });
    Ok(chosen.collect())
}

/// Adds brokers that are out of service up to `width`, in turn, those in other racks first.
fn fill<'a>(
    chosen: &mut Vec<&'a BrokerImage>,
    absent: &[&'a BrokerImage],
    width: usize,
    turn: usize,
) {
    let lacking = width - chosen.len();
    if lacking == 0 {
        return;
    }
    let (before, after) = absent.split_at(turn % absent.len());
    let mut spare: Vec<_> = after.iter().chain(before).copied().collect();
    spare.sort_by_key(|broker| chosen.iter().any(|other| other.rack == broker.rack));
    chosen.extend(spare.into_iter().take(lacking));
}

/// The brokers in service, ordered so that neighbours stand in different racks.
fn racks_in_turn(image: &MetadataImage) -> Vec<&BrokerImage> {
    let mut brokers: Vec<(usize, &BrokerImage)> = Vec::new();
    for broker in image.active_brokers() {
        let before = brokers.iter().filter(|(_, other)| other.rack == broker.rack).count();
        brokers.push((before, broker));
    }
    brokers.sort_by_key(|(turn, broker)| (*turn, broker.rack.clone(), broker.id));
    brokers.into_iter().map(|(_, broker)| broker).collect()
}

fn choose<'a>(circle: &[&'a BrokerImage], width: usize, turn: usize) -> Vec<&'a BrokerImage> {
    let size = circle.len();
    let leader = circle[turn % size];
    // Each time round the circle the followers move on by one, so that a leader's followers differ.
    let shift = if size > 2 { (turn / size) % (size - 1) } else { 0 };
    let followers =
        (0..size - 1).map(|step| circle[(turn + 1 + (step + shift) % (size - 1)) % size]);

    let mut chosen = vec![leader];
    let mut spare = Vec::new();
    for broker in followers {
        if chosen.iter().all(|other| other.rack != broker.rack) {
            chosen.push(broker);
        } else {
            spare.push(broker);
        }
    }
    chosen.extend(spare);
    chosen.truncate(width);
    chosen
}

/// The record of a new partition on `replicas`.
///
/// Those in service are in sync, for there is nothing yet to be behind in. Who is about to leave would
/// only have to go again.
pub(super) fn new_partition(
    image: &MetadataImage,
    topic_id: Uuid,
    partition_index: i32,
    replicas: Vec<i32>,
) -> PartitionRecord {
    let directory = |id: &i32| {
        image.broker(*id).and_then(|broker| broker.directories.first().copied()).unwrap_or_default()
    };
    let in_sync: Vec<i32> = replicas.iter().copied().filter(|id| image.is_active(*id)).collect();
    PartitionRecord {
        topic_id,
        partition_index,
        directories: replicas.iter().map(directory).collect(),
        leader: in_sync.first().copied(),
        in_sync,
        eligible: Vec::new(),
        replicas,
        leader_epoch: 0,
        partition_epoch: 0,
        adding: Vec::new(),
        removing: Vec::new(),
        last_known_leader: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::records::FenceBrokerRecord;
    use super::super::testing::{image_of_brokers, replay_all};
    use super::*;

    #[test]
    fn leaders_are_spread_evenly_and_replicas_are_distinct() {
        for brokers in 1_usize..=7 {
            let image = image_of_brokers(brokers, &[]);
            for replicas in 1..=brokers {
                let placed = place(&image, brokers * 6, replicas, 5).unwrap();
                let mut leads = BTreeMap::<i32, usize>::new();
                for partition in &placed {
                    *leads.entry(partition[0]).or_default() += 1;
                    assert_eq!(partition.iter().collect::<BTreeSet<_>>().len(), replicas);
                }
                assert!(leads.values().all(|count| *count == 6), "{brokers}: {leads:?}");
            }
        }
    }

    #[test]
    fn replicas_stand_in_different_racks_as_far_as_there_are_racks() {
        let image = image_of_brokers(6, &["a", "a", "b", "b", "c", "c"]);
        for partition in place(&image, 60, 3, 1).unwrap() {
            let racks: BTreeSet<_> =
                partition.iter().map(|id| image.broker(*id).unwrap().rack.clone()).collect();
            assert_eq!(racks.len(), 3, "{partition:?}");
        }
        assert_eq!(place(&image, 1, 4, 0).unwrap()[0].len(), 4);
    }

    #[test]
    fn the_followers_of_one_leader_differ() {
        let image = image_of_brokers(4, &[]);
        let placed = place(&image, 24, 2, 0).unwrap();
        let followers: BTreeSet<i32> =
            placed.iter().filter(|p| p[0] == placed[0][0]).map(|p| p[1]).collect();
        assert_eq!(followers.len(), 3);
    }

    #[test]
    fn brokers_out_of_service_follow_where_the_others_are_too_few() {
        let mut image = image_of_brokers(4, &["a", "b", "a", "b"]);
        let fence = |broker_id: i32| {
            let epoch = i64::from(broker_id);
            FenceBrokerRecord { broker_id, epoch, fenced: true, is_leaving: false }.into()
        };
        replay_all(&mut image, &[fence(3), fence(4)]);
        for partition in place(&image, 20, 2, 0).unwrap() {
            assert!(partition.iter().all(|id| *id <= 2), "{partition:?}");
        }
        let mut followers = BTreeSet::new();
        for partition in place(&image, 20, 3, 0).unwrap() {
            assert!(partition[..2].iter().all(|id| *id <= 2), "{partition:?}");
            followers.insert(partition[2]);
        }
        assert_eq!(followers, BTreeSet::from([3, 4]));
        assert_eq!(place(&image, 1, 4, 0).unwrap()[0].iter().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(place(&image, 1, 5, 0), Err(TooFewBrokers { wanted: 5, available: 4 }));
        let placed = new_partition(&image, Uuid::ONE, 0, vec![3, 1, 4]);
        assert_eq!((placed.leader, placed.in_sync), (Some(1), vec![1]));
        replay_all(&mut image, &[fence(1), fence(2)]);
        assert_eq!(place(&image, 1, 1, 0), Err(TooFewBrokers { wanted: 1, available: 0 }));
    }

    #[test]
    fn a_rack_of_which_nobody_is_there_yet_comes_first() {
        let mut image = image_of_brokers(3, &["a", "a", "b"]);
        let fence = |broker_id: i32| {
            let epoch = i64::from(broker_id);
            FenceBrokerRecord { broker_id, epoch, fenced: true, is_leaving: false }.into()
        };
        replay_all(&mut image, &[fence(2), fence(3)]);
        for partition in place(&image, 4, 2, 0).unwrap() {
            assert_eq!(partition, [1, 3]);
        }
    }

    #[test]
    fn too_few_brokers_are_counted() {
        let image = image_of_brokers(2, &[]);
        let error = TooFewBrokers { wanted: 3, available: 2 };
        assert_eq!(place(&image, 1, 3, 0), Err(error));
        assert!(place(&image, 1, 0, 0).is_err());
    }
}
