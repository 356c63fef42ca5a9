//! Views written by hand: what is sound passes, and each invariant finds what it is there for.

use std::sync::Arc;
use std::time::Duration;

use flumen_broker::config::Promises;
use flumen_broker::controller::MetadataImage;
use flumen_broker::controller::records::{FenceBrokerRecord, RegisterBrokerRecord};
use flumen_protocol::Uuid;

use super::*;
use crate::view::{BatchView, BrokerView, PartitionKey, ReplicaView};

const PARTITION: PartitionKey = (Uuid::ZERO, 0);

fn batch(base_offset: i64, crc: u32) -> BatchView {
    BatchView { base_offset, last_offset: base_offset + 1, leader_epoch: 1, crc }
}

fn broker(node_id: i32) -> BrokerView {
    let replica = ReplicaView {
        partition: PARTITION,
        is_leader: node_id == 1,
        leader_epoch: 1,
        log_start_offset: 0,
        high_watermark: 4,
        log_end_offset: 4,
        committed: vec![batch(0, 7), batch(2, 8)],
    };
    BrokerView {
        node_id,
        boot: 1,
        image: Arc::new(MetadataImage::default()),
        term: 1,
        controller: Some(1),
        voters: Vec::new(),
        directory: Uuid::ZERO,
        replicas: vec![replica],
    }
}

fn sound() -> View {
    View { at: Duration::ZERO, brokers: vec![broker(1), broker(2)], ..View::default() }
}

#[test]
fn views_that_are_sound_violate_nothing() {
    let mut watch = Watch::default();
    assert_eq!(watch.observe(&sound()), Vec::<String>::new());
    let mut later = sound();
    later.brokers[0].replicas[0].high_watermark = 6;
    later.brokers[0].replicas[0].log_end_offset = 6;
    later.brokers[0].replicas[0].committed = vec![batch(4, 9)];
    // A restarted broker shows its log again, and knows less of the high watermark.
    later.brokers[1].boot = 2;
    later.brokers[1].replicas[0].high_watermark = 2;
    later.brokers[1].replicas[0].committed = vec![batch(0, 7)];
    assert_eq!(watch.observe(&later), Vec::<String>::new());
}

/// Views of broker 1 and a quorum that decides something every 500 ms, while broker 2 is down and in service
/// until a time.
fn silence(watch: &mut Watch, fenced_at: Duration) -> Vec<String> {
    let mut image = MetadataImage::default();
    let endpoints = Vec::new();
    let registration = RegisterBrokerRecord {
        broker_id: 2,
        epoch: 0,
        incarnation_id: Uuid::ONE,
        directories: Vec::new(),
        endpoints,
        rack: None,
        fenced: false,
        is_leaving: false,
        served_epoch: None,
        promises: Promises::default(),
    };
    image.replay(&registration.into()).unwrap();
    let mut found = Vec::new();
    for step in 1..12 {
        let at = Duration::from_millis(step * 500);
        if at >= fenced_at {
            let record =
                FenceBrokerRecord { broker_id: 2, epoch: 0, fenced: true, is_leaving: false };
            image.replay(&record.into()).unwrap();
        }
        image.advance_to(i64::try_from(step).unwrap());
        let alone = BrokerView { image: Arc::new(image.clone()), ..broker(1) };
        found.extend(watch.observe(&View { at, brokers: vec![alone], ..View::default() }));
    }
    found
}

#[test]
fn a_broker_that_is_down_must_be_fenced() {
    assert_eq!(silence(&mut Watch::default(), Duration::from_secs(3)), Vec::<String>::new());
    let found = silence(&mut Watch::default(), Duration::from_secs(60));
    assert!(found.iter().any(|found| found.starts_with("silent brokers are fenced")), "{found:?}");
}

#[test]
fn each_damage_is_found() {
    type Damage = (&'static str, fn(&mut View));
    let damages: &[Damage] = &[
        ("committed records are final", |view| {
            view.brokers[1].replicas[0].committed[1] = batch(2, 9);
        }),
        ("committed records are final", |view| {
            view.brokers[1].replicas[0].committed[1] = batch(3, 8);
        }),
        ("ends are in order", |view| view.brokers[1].replicas[0].high_watermark = 5),
        ("ends are in order", |view| view.brokers[1].replicas[0].log_start_offset = 5),
        ("high watermarks grow", |view| view.brokers[0].replicas[0].high_watermark = 3),
        ("one controller per term", |view| view.brokers[1].controller = Some(2)),
        ("one leader per epoch", |view| view.brokers[1].replicas[0].is_leader = true),
    ];
    for (name, damage) in damages {
        let mut watch = Watch::default();
        assert_eq!(watch.observe(&sound()), Vec::<String>::new());
        let mut view = sound();
        damage(&mut view);
        let found = watch.observe(&view);
        assert!(found.iter().any(|violation| violation.starts_with(name)), "{name}: {found:?}");
    }
}
