//! The machine stops at every operation of the disk in turn; what was answered survives.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::Seams;
use flumen_protocol::Uuid;
use flumen_protocol::messages::create_topics::CreatableTopic;
use flumen_storage::vfs::Vfs;
use flumen_storage::vfs::simulated::{SimulatedDisk, Unsynced};

use crate::config::BrokerConfig;
use crate::controller::testing::{enter_service, registration};
use crate::controller::{Controller, TopicReference};

fn config() -> Arc<BrokerConfig> {
    let settings = [
        ("log.dirs", "/data"),
        // So that snapshots are taken within a few requests, and crashes meet them too.
        ("metadata.log.max.record.bytes.between.snapshots", "700"),
    ];
    Arc::new(BrokerConfig::with(settings).unwrap())
}

/// What clients were told, in order.
#[derive(Debug, Default)]
struct Told {
    created: Vec<String>,
    deleted: Vec<String>,
    cluster_id: Option<String>,
    producer_id: Option<i64>,
}

async fn start(disk: &SimulatedDisk) -> Option<Controller> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.mount());
    vfs.create_dir_all(Path::new("/data")).ok()?;
    vfs.sync_dir(Path::new("/")).ok()?;
    Controller::start(config(), vfs, Seams::real()).await.ok()
}

/// Works until the disk stops, and notes every answer.
async fn work(disk: &SimulatedDisk, told: &mut Told) -> Option<()> {
    let controller = start(disk).await?;
    told.cluster_id = Some(controller.image().cluster_id().to_owned());
    enter_service(&controller, registration(1, 1)).await.ok()?;
    for round in 0..6 {
        let name = format!("t{round}");
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: 2,
            replication_factor: 1,
            ..Default::default()
        };
        controller.create_topics(vec![topic], false).await.ok()?;
        told.created.push(name);
    }
    let topic = TopicReference { name: Some("t0".to_owned()), id: Uuid::ZERO };
    controller.delete_topics(vec![topic]).await.ok()?;
    told.deleted.push("t0".to_owned());
    told.producer_id = Some(controller.next_producer_id(&controller).await.ok()?);
    controller.shutdown().await;
    Some(())
}

async fn check(disk: &SimulatedDisk, told: &Told, at: u64) {
    let controller = start(disk).await.unwrap_or_else(|| panic!("no start after crash at {at}"));
    let image = controller.image();
    if let Some(cluster_id) = &told.cluster_id {
        assert_eq!(image.cluster_id(), cluster_id, "crash at {at}");
    }
    for name in &told.created {
        let is_deleted = told.deleted.contains(name);
        // A deletion that was not answered may have happened all the same.
        let may_be_gone = name == "t0" && told.created.len() == 6;
        assert!(is_deleted || may_be_gone || image.topic(name).is_some(), "{name}, crash at {at}");
    }
    for name in &told.deleted {
        assert!(image.topic(name).is_none(), "{name} is back, crash at {at}");
    }
    if let Some(producer_id) = told.producer_id {
        let next = controller.next_producer_id(&controller).await.unwrap();
        assert!(next > producer_id, "producer id {next} given again, crash at {at}");
    }
    controller.shutdown().await;
}

async fn within_time<F: Future>(future: F, at: u64) -> F::Output {
    let limit = Duration::from_secs(20);
    let outcome = tokio::time::timeout(limit, future).await;
    outcome.unwrap_or_else(|_| panic!("nothing happened for {limit:?}, crash at {at}"))
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_at_any_operation() {
    let whole = SimulatedDisk::new();
    let mut told = Told::default();
    work(&whole, &mut told).await.expect("a healthy disk");
    let operations = whole.operations();
    assert!(operations > 40, "the workload reaches the disk");
    for at in 0..operations {
        let disk = SimulatedDisk::new();
        disk.stop_at(at);
        let mut told = Told::default();
        // How far the work got, `told` says.
        let _reached_the_end = within_time(work(&disk, &mut told), at).await;
        disk.crash(match at % 3 {
            0 => Unsynced::Dropped,
            1 => Unsynced::Kept,
            _ => Unsynced::Random { seed: at },
        });
        within_time(check(&disk, &told, at), at).await;
    }
}
