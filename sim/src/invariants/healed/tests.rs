//! Views written by hand: what is well has no ailment, and each ailment is found.

use std::sync::Arc;
use std::time::Duration;

use flumen_broker::controller::MetadataImage;
use flumen_broker::controller::records::{
    Assignment, PartitionChangeRecord, PartitionRecord, TopicRecord,
};
use flumen_protocol::Uuid;

use super::*;
use crate::view::{BrokerView, ReplicaView};

/// A topic with one partition, on brokers 1 and 2 of three, changed in such a way.
fn image(change: impl FnOnce(&mut PartitionChangeRecord)) -> Arc<MetadataImage> {
    let mut image = MetadataImage::default();
    image.replay(&TopicRecord { topic_id: Uuid::ONE, name: "t".to_owned() }.into()).unwrap();
    let partition = PartitionRecord {
        topic_id: Uuid::ONE,
        partition_index: 0,
        replicas: vec![1, 2],
        directories: vec![Uuid::ZERO; 2],
        in_sync: vec![1, 2],
        eligible: Vec::new(),
        leader: Some(1),
        leader_epoch: 4,
        partition_epoch: 0,
        adding: Vec::new(),
        removing: Vec::new(),
        last_known_leader: None,
    };
    image.replay(&partition.into()).unwrap();
    let mut changed = PartitionChangeRecord::of(Uuid::ONE, 0);
    change(&mut changed);
    image.replay(&changed.into()).unwrap();
    Arc::new(image)
}

fn replica(node_id: i32) -> ReplicaView {
    ReplicaView {
        partition: (Uuid::ONE, 0),
        is_leader: node_id == 1,
        leader_epoch: 4,
        log_start_offset: 0,
        high_watermark: 7,
        log_end_offset: 7,
        committed: Vec::new(),
    }
}

/// The directory of a broker.
fn directory(node_id: i32) -> Uuid {
    Uuid::from_bytes([node_id.to_le_bytes()[0]; 16])
}

fn view(image: &Arc<MetadataImage>) -> View {
    let broker = |node_id| BrokerView {
        node_id,
        boot: 1,
        image: Arc::clone(image),
        term: 1,
        controller: Some(1),
        voters: (1..=3).map(|id| (id, Some(directory(id)))).collect(),
        directory: directory(node_id),
        replicas: if node_id < 3 { vec![replica(node_id)] } else { Vec::new() },
    };
    View { at: Duration::ZERO, brokers: (1..=3).map(broker).collect(), ..View::default() }
}

fn check(view: &View, expected: Option<&str>) {
    let found = ailments(view, 3);
    let is_expected = |found: &&String| expected.is_some_and(|name| found.starts_with(name));
    assert_eq!(found.iter().find(is_expected).is_some(), expected.is_some(), "{found:?}");
    assert!(expected.is_some() || found.is_empty(), "{found:?}");
}

#[test]
fn what_is_well_has_no_ailment() {
    check(&view(&image(|_| ())), None);
}

#[test]
fn each_ailment_of_the_metadata_is_found() {
    check(&view(&image(|change| change.in_sync = Some(vec![1]))), Some("replicas are in sync"));
    let moved = image(|change| {
        let (replicas, directories) = (vec![1, 2], vec![Uuid::ZERO; 2]);
        let (adding, removing) = (Vec::new(), vec![2]);
        change.assignment = Some(Assignment { replicas, directories, adding, removing });
    });
    check(&view(&moved), Some("moves end"));
}

#[test]
fn each_ailment_of_a_broker_is_found() {
    type Damage = (&'static str, fn(&mut View));
    let damages: &[Damage] = &[
        ("2 of 3 brokers run", |view| drop(view.brokers.pop())),
        ("logs are placed", |view| drop(view.brokers[1].replicas.pop())),
        ("logs are placed", |view| view.brokers[2].replicas.push(replica(3))),
        ("replicas agree", |view| view.brokers[1].replicas[0].leader_epoch = 3),
        ("replicas agree", |view| view.brokers[1].replicas[0].is_leader = true),
        ("replicas agree", |view| view.brokers[1].replicas[0].log_start_offset = 1),
        ("replicas agree", |view| view.brokers[1].replicas[0].log_end_offset = 8),
        ("replicas agree", |view| view.brokers[1].replicas[0].high_watermark = 6),
        ("voters have their logs", |view| view.brokers[1].directory = Uuid::ONE),
        ("voters have their logs", |view| view.brokers[0].voters[2].1 = None),
        ("voters have their logs", |view| view.brokers[0].controller = None),
    ];
    for (name, damage) in damages {
        let mut view = view(&image(|_| ()));
        damage(&mut view);
        check(&view, Some(name));
    }
}
