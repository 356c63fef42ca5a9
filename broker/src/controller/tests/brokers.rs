//! Brokers that start, producer ids, and elections.

use flumen_protocol::{ErrorCode, Uuid};

use crate::api::error::WireError;
use crate::config::BrokerConfig;
use crate::controller::brokers::{
    BrokerRegistration, RegisterBrokerError, begin_leaving, fence_broker, found_cluster,
    register_broker, unfence_broker, unregister_broker,
};
use crate::controller::decision::Decision;
use crate::controller::elections::{ElectionType, elect_leaders};
use crate::controller::image::MetadataImage;
use crate::controller::producer_ids::allocate_producer_ids;
use crate::controller::records::{
    FenceBrokerRecord, NewLeader, PartitionChangeRecord, UnregisterBrokerRecord,
};
use crate::controller::standing::Standing;
use crate::controller::testing::{
    Sequence, image_of_brokers, image_of_partition, registration, replay_all,
};

/// Registers on an image of which nothing else is known.
fn register(
    image: &MetadataImage,
    broker: &BrokerRegistration,
    is_alive: bool,
) -> Decision<Result<i64, RegisterBrokerError>> {
    register_broker(Standing::new(image, &BrokerConfig::default()), broker, is_alive)
}

/// A further start of a registered broker, on the same disk.
fn restart(image: &MetadataImage, broker_id: i32, incarnation: u8) -> BrokerRegistration {
    let previous_epoch = image.broker(broker_id).map(|broker| broker.epoch);
    BrokerRegistration { previous_epoch, ..registration(broker_id, incarnation) }
}

fn enter(image: &mut MetadataImage, broker_id: i32) {
    let broker = image.broker(broker_id).unwrap();
    let records = unfence_broker(Standing::new(image, &BrokerConfig::default()), broker);
    replay_all(image, &records);
}

fn fence(image: &mut MetadataImage, broker_id: i32) {
    let epoch = image.broker(broker_id).unwrap().epoch;
    replay_all(
        image,
        &[FenceBrokerRecord { broker_id, epoch, fenced: true, is_leaving: false }.into()],
    );
}

#[test]
fn every_start_gets_a_larger_epoch_even_after_a_broker_left() {
    let mut image = image_of_brokers(2, &[]);
    let mut last = image.broker(2).unwrap().epoch;
    for incarnation in 100..110 {
        let decision = register(&image, &registration(2, incarnation), false);
        let epoch = decision.answer.unwrap();
        assert!(epoch > last);
        last = epoch;
        replay_all(&mut image, &decision.records);
        replay_all(&mut image, &[UnregisterBrokerRecord { broker_id: 2, epoch }.into()]);
        let mut restored = MetadataImage::default();
        replay_all(&mut restored, &image.to_records());
        image = restored;
    }
}

#[test]
fn a_second_start_beside_a_living_one_is_refused() {
    let image = image_of_brokers(1, &[]);
    let again = registration(1, 77);
    let refused = register(&image, &again, true);
    assert_eq!(refused.answer, Err(RegisterBrokerError::Duplicate { broker_id: 1 }));
    assert!(refused.records.is_empty());
    assert!(register(&image, &again, false).answer.is_ok());
    let same = BrokerRegistration {
        incarnation_id: image.broker(1).unwrap().incarnation_id,
        ..registration(1, 0)
    };
    let known = register(&image, &same, true);
    assert_eq!((known.answer, known.records.len()), (Ok(1), 0), "a request sent again");
}

#[test]
fn a_start_that_holds_the_directory_of_the_one_before_does_not_wait() {
    let mut image = image_of_brokers(1, &[]);
    let killed = restart(&image, 1, 77);
    let refused = Err(RegisterBrokerError::Duplicate { broker_id: 1 });
    let elsewhere = BrokerRegistration { directories: vec![Uuid::ONE], ..killed.clone() };
    assert_eq!(register(&image, &elsewhere, true).answer, refused, "it names another directory");
    let older = BrokerRegistration { previous_epoch: Some(0), ..killed.clone() };
    assert_eq!(register(&image, &older, true).answer, refused, "a copy of long ago");
    let decision = register(&image, &killed, true);
    assert_eq!(decision.answer, Ok(2));
    replay_all(&mut image, &decision.records);
    // Had it been a copy, and the original lived, that one would not come back beside it.
    let original = BrokerRegistration { previous_epoch: Some(1), ..registration(1, 78) };
    assert_eq!(register(&image, &original, true).answer, refused);
}

#[test]
fn a_start_after_one_that_left_in_order_does_not_wait() {
    let mut image = image_of_brokers(2, &[]);
    let again = registration(1, 77);
    let config = BrokerConfig::default();
    let standing = Standing::new(&image, &config);
    let records = begin_leaving(standing, image.broker(1).unwrap());
    replay_all(&mut image, &records);
    let refused = Err(RegisterBrokerError::Duplicate { broker_id: 1 });
    assert_eq!(register(&image, &again, true).answer, refused, "it is still handing over");
    let standing = Standing::new(&image, &config);
    let records = fence_broker(standing, 1, 1).records;
    replay_all(&mut image, &records);
    // A new leader of the quorum gives everybody a session.
    assert_eq!(register(&image, &again, true).answer, Ok(3));
    let standing = Standing::new(&image, &config);
    assert_eq!(unregister_broker(standing, 1, true).answer, Ok(()));
}

#[test]
fn a_start_ends_the_leaderships_of_the_one_before() {
    let mut image = image_of_partition(Some(1), &[1]);
    let decision = register(&image, &restart(&image, 1, 77), false);
    replay_all(&mut image, &decision.records);
    let partition = image.partition("t", 0).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (None, 8));
    assert_eq!(partition.last_known_leader, Some(1));
    assert_eq!(partition.in_sync, [1], "the last stays in sync");
    assert!(image.broker(1).unwrap().fenced);
    enter(&mut image, 1);
    let partition = image.partition("t", 0).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (Some(1), 9));
    assert_eq!(partition.last_known_leader, None);
    let decision = register(&image, &restart(&image, 3, 77), false);
    replay_all(&mut image, &decision.records);
    assert_eq!(image.partition("t", 0).unwrap().leader_epoch, 9, "it led nothing");
}

fn elect(image: &mut MetadataImage, election: ElectionType, partition: i32) -> ErrorCode {
    let topics = [("t".to_owned(), vec![partition, partition])];
    let config = BrokerConfig::default();
    let decision = elect_leaders(&Standing::new(image, &config), election, Some(&topics));
    replay_all(image, &decision.records);
    decision.answer[0].1[0].1.code()
}

#[test]
fn the_preferred_leader_takes_over_when_it_is_in_sync() {
    use ElectionType::Preferred;
    use ErrorCode::{ElectionNotNeeded, PreferredLeaderNotAvailable};
    let check = |leader, in_sync: &[i32], fenced: &[i32], code, now, epoch| {
        let mut image = image_of_partition(leader, in_sync);
        for id in fenced {
            fence(&mut image, *id);
        }
        assert_eq!(elect(&mut image, Preferred, 0), code);
        let partition = image.partition("t", 0).unwrap();
        assert_eq!((partition.leader, partition.leader_epoch), (now, epoch));
    };
    check(Some(2), &[1, 2], &[], ErrorCode::None, Some(1), 8);
    check(Some(1), &[1, 2], &[], ElectionNotNeeded, Some(1), 7);
    check(Some(2), &[2, 3], &[], PreferredLeaderNotAvailable, Some(2), 7);
    check(Some(2), &[1, 2], &[1], PreferredLeaderNotAvailable, Some(2), 7);
}

#[test]
fn an_unclean_election_takes_the_best_replica_there_is() {
    use ElectionType::Unclean;
    use ErrorCode::{ElectionNotNeeded, EligibleLeadersNotAvailable};
    let check = |leader, in_sync: &[i32], fenced: &[i32], code, now, in_sync_now: &[i32]| {
        let mut image = image_of_partition(leader, in_sync);
        for id in fenced {
            fence(&mut image, *id);
        }
        assert_eq!(elect(&mut image, Unclean, 0), code);
        let partition = image.partition("t", 0).unwrap();
        assert_eq!((partition.leader, partition.in_sync.as_slice()), (now, in_sync_now));
    };
    check(Some(2), &[2], &[], ElectionNotNeeded, Some(2), &[2]);
    check(None, &[2], &[], ErrorCode::None, Some(2), &[2]);
    check(None, &[2], &[2], ErrorCode::None, Some(1), &[1]);
    check(None, &[2], &[1, 2, 3], EligibleLeadersNotAvailable, None, &[2]);
}

#[test]
fn elections_everywhere_leave_out_what_needs_none() {
    let config = BrokerConfig::default();
    let image = image_of_partition(Some(1), &[1]);
    let all = elect_leaders(&Standing::new(&image, &config), ElectionType::Preferred, None);
    assert_eq!(all.answer, [("t".to_owned(), Vec::new())]);
    assert!(all.records.is_empty());
    let asked = [("nope".to_owned(), vec![0]), ("t".to_owned(), vec![9, -1])];
    let decision =
        elect_leaders(&Standing::new(&image, &config), ElectionType::Preferred, Some(&asked));
    let codes = decision.answer.iter().flat_map(|(_, partitions)| partitions);
    assert!(codes.map(|(_, r)| r.code()).all(|c| c == ErrorCode::UnknownTopicOrPartition));
}

#[test]
fn a_partition_can_lose_its_leader_and_the_epoch_tells() {
    let mut image = image_of_partition(Some(1), &[1]);
    let change = PartitionChangeRecord {
        leader: NewLeader::Nobody,
        ..PartitionChangeRecord::of(image.topic("t").unwrap().id, 0)
    };
    replay_all(&mut image, &[change.into()]);
    let partition = image.partition("t", 0).unwrap();
    assert_eq!(
        (partition.leader, partition.leader_epoch, partition.partition_epoch),
        (None, 8, 10)
    );
}

#[test]
fn producer_id_blocks_never_overlap() {
    let mut image = image_of_brokers(2, &[]);
    let mut seen = Vec::new();
    for broker in [1, 2, 1] {
        let epoch = image.broker(broker).unwrap().epoch;
        let decision = allocate_producer_ids(&image, broker, epoch);
        replay_all(&mut image, &decision.records);
        seen.extend(decision.answer.unwrap());
    }
    assert_eq!(seen, (0..3000).collect::<Vec<i64>>());
}

#[test]
fn a_cluster_gets_one_id() {
    let mut image = MetadataImage::default();
    let decision = found_cluster(&image, &Sequence::default());
    replay_all(&mut image, &decision.records);
    assert_eq!(image.cluster_id().len(), 22);
    assert!(found_cluster(&image, &Sequence::default()).records.is_empty());
}
