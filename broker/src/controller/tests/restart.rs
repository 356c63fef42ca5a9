//! The controller as a whole, on a real and on a simulated disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_topics::CreatableTopic;
use flumen_storage::vfs::{RealDisk, Vfs};

use crate::config::BrokerConfig;
use crate::controller::testing::{enter_service, registration};
use crate::controller::{BrokerRegistration, Controller, CreateTopicError, TopicReference};

/// The broker sends one heartbeat, when it starts, which must do for the whole test.
const SESSION: (&str, &str) = ("broker.session.timeout.ms", "600000");

fn config(dir: &Path) -> Arc<BrokerConfig> {
    let dir = dir.to_str().unwrap();
    Arc::new(BrokerConfig::with([("log.dirs", dir), ("node.id", "1"), SESSION]).unwrap())
}

async fn start(dir: &Path) -> Controller {
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let controller = Controller::start(config(dir), vfs, Seams::real()).await.unwrap();
    register(&controller).await;
    controller
}

async fn register(controller: &Controller) {
    let known = controller.image().broker(1).map(|broker| broker.epoch);
    let incarnation_id = Uuid::from_bytes(Seams::real().rng.next_bytes16());
    let broker = BrokerRegistration { incarnation_id, previous_epoch: known, ..registration(1, 0) };
    enter_service(controller, broker).await.unwrap();
}

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: 3,
        replication_factor: -1,
        ..Default::default()
    }
}

async fn create(controller: &Controller, name: &str) -> Result<Uuid, CreateTopicError> {
    let mut answer = controller.create_topics(vec![topic(name)], false).await.unwrap();
    answer.pop().unwrap().1.map(|created| created.id)
}

fn names(controller: &Controller) -> Vec<String> {
    controller.image().topics().map(|topic| topic.name.to_string()).collect()
}

#[tokio::test]
async fn a_restart_keeps_everything_but_the_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let controller = start(dir.path()).await;
    let id = create(&controller, "kept").await.unwrap();
    create(&controller, "dropped").await.unwrap();
    let dropped = TopicReference { name: Some("dropped".to_owned()), id: Uuid::ZERO };
    controller.delete_topics(vec![dropped]).await.unwrap();
    let producer_id = controller.next_producer_id(&controller).await.unwrap();
    let before = controller.image();
    controller.shutdown().await;

    let controller = start(dir.path()).await;
    let after = controller.image();
    assert_eq!(names(&controller), ["kept"]);
    assert_eq!(after.topic("kept").unwrap().id, id);
    assert_eq!(after.cluster_id(), before.cluster_id());
    assert!(!after.cluster_id().is_empty());
    assert!(after.broker(1).unwrap().epoch > before.broker(1).unwrap().epoch);
    let epoch =
        |image: &crate::controller::MetadataImage| image.partition("kept", 0).unwrap().leader_epoch;
    assert_eq!(epoch(&after), epoch(&before) + 2, "its start ended, and another leads");
    assert!(controller.next_producer_id(&controller).await.unwrap() > producer_id);
    assert!(after.version() > before.version());
    controller.shutdown().await;
}

#[tokio::test]
async fn of_two_requests_in_flight_for_one_name_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let controller = start(dir.path()).await;
    for round in 0..20 {
        // The names differ in a character that does not make them different.
        let names = [format!("same.{round}"), format!("same_{round}"), format!("same.{round}")];
        let (a, b, c) = tokio::join!(
            create(&controller, &names[0]),
            create(&controller, &names[1]),
            create(&controller, &names[2]),
        );
        assert_eq!([&a, &b, &c].into_iter().filter(|created| created.is_ok()).count(), 1);
    }
    assert_eq!(controller.image().topics().len(), 20);
    controller.shutdown().await;
}

#[tokio::test]
async fn an_answer_is_in_the_image_when_it_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let controller = start(dir.path()).await;
    let mut versions = controller.watch();
    for round in 0..20 {
        versions.borrow_and_update();
        let name = format!("t{round}");
        let id = create(&controller, &name).await.unwrap();
        assert_eq!(controller.image().topic(&name).unwrap().id, id);
        assert!(versions.has_changed().unwrap());
    }
    controller.shutdown().await;
}

#[tokio::test]
async fn a_controller_that_stopped_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let controller = start(dir.path()).await;
    controller.shutdown().await;
    assert!(controller.create_topics(vec![topic("late")], false).await.is_err());
    let stopped = tokio::time::timeout(Duration::from_secs(5), controller.failed()).await;
    assert!(stopped.is_ok());
}

#[tokio::test]
async fn snapshots_bound_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let settings = [
        ("log.dirs", dir.path().to_str().unwrap()),
        ("metadata.log.max.record.bytes.between.snapshots", "2000"),
        SESSION,
    ];
    let config = Arc::new(BrokerConfig::with(settings).unwrap());
    let controller =
        Controller::start(Arc::clone(&config), Arc::clone(&vfs), Seams::real()).await.unwrap();
    register(&controller).await;
    for round in 0..50 {
        create(&controller, &format!("t{round}")).await.unwrap();
    }
    let before = controller.image().to_records();
    controller.shutdown().await;
    let metadata = dir.path().join("__cluster_metadata-0");
    let checkpoints = std::fs::read_dir(metadata)
        .unwrap()
        .filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".checkpoint")
        })
        .count();
    assert_eq!(checkpoints, 1, "older snapshots go when a newer one is durable");

    let controller = Controller::start(config, vfs, Seams::real()).await.unwrap();
    assert_eq!(controller.image().to_records(), before);
    controller.shutdown().await;
}
