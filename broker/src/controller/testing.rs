//! Images and randomness for the tests of decisions.

use std::sync::atomic::{AtomicU64, Ordering};

use flumen_client::connection::Rng;
use flumen_protocol::Uuid;

use super::brokers::BrokerRegistration;
use super::control::{BrokerHeartbeat, ControlRequest, ControlResponse, Wants};
use super::handle::Controller;
use super::image::MetadataImage;
use super::quorum::NotLeader;
use super::records::{
    BrokerEndpoint, MetadataRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::config::Promises;

/// Numbers that look random and are the same in every run.
#[derive(Debug, Default)]
pub(super) struct Sequence(AtomicU64);

impl Rng for Sequence {
    fn next_u64(&self) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// An image with brokers 1 to `count` in service, in these racks in turn.
pub(super) fn image_of_brokers(count: usize, racks: &[&str]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (index, broker_id) in (1_i32..).take(count).enumerate() {
        let byte = u8::try_from(broker_id).unwrap();
        let record = RegisterBrokerRecord {
            broker_id,
            epoch: i64::from(broker_id),
            incarnation_id: Uuid::from_bytes([byte; 16]),
            directories: vec![Uuid::from_bytes([100 + byte; 16])],
            endpoints: vec![BrokerEndpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 9092,
            }],
            rack: racks.get(index).map(|rack| (*rack).to_owned()),
            fenced: false,
            is_leaving: false,
            served_epoch: Some(i64::from(broker_id)),
            promises: Promises::default(),
        };
        image.replay(&record.into()).unwrap();
    }
    image
}

/// Three brokers, and the partition `t-0` with this leader and this in-sync set.
pub(super) fn image_of_partition(leader: Option<i32>, in_sync: &[i32]) -> MetadataImage {
    let mut image = image_of_brokers(3, &[]);
    let topic_id = Uuid::from_bytes([50; 16]);
    let partition = PartitionRecord {
        topic_id,
        partition_index: 0,
        replicas: vec![1, 2, 3],
        directories: vec![Uuid::ZERO; 3],
        in_sync: in_sync.to_vec(),
        eligible: Vec::new(),
        leader,
        leader_epoch: 7,
        partition_epoch: 9,
        adding: Vec::new(),
        removing: Vec::new(),
        last_known_leader: None,
    };
    let records = [TopicRecord { topic_id, name: "t".to_owned() }.into(), partition.into()];
    replay_all(&mut image, &records);
    image
}

/// Replays `records`, which must fit.
pub(super) fn replay_all(image: &mut MetadataImage, records: &[MetadataRecord]) {
    for record in records {
        image.replay(record).unwrap();
    }
}

/// A start of a broker with an empty directory.
pub(crate) fn registration(broker_id: i32, incarnation: u8) -> BrokerRegistration {
    BrokerRegistration {
        broker_id,
        incarnation_id: Uuid::from_bytes([incarnation; 16]),
        directories: vec![Uuid::from_bytes([100 + u8::try_from(broker_id).unwrap(); 16])],
        endpoints: Vec::new(),
        rack: None,
        previous_epoch: None,
        was_clean: false,
        promises: Promises::default(),
    }
}

/// Brings a broker into service as a start of it does, and gives its epoch.
pub(super) async fn enter_service(
    controller: &Controller,
    registration: BrokerRegistration,
) -> Result<i64, NotLeader> {
    let broker_id = registration.broker_id;
    let answer = controller.control(ControlRequest::Register(registration)).await?;
    let ControlResponse::Registered(Ok(epoch)) = answer else { panic!("{answer:?}") };
    let metadata_version = controller.image().version();
    let beat = BrokerHeartbeat { broker_id, epoch, metadata_version, wants: Wants::Service };
    let answer = controller.control(ControlRequest::Heartbeat(beat)).await?;
    let ControlResponse::Heartbeat(Ok(answer)) = answer else { panic!("{answer:?}") };
    assert!(!answer.is_fenced);
    Ok(epoch)
}
