//! What the controller decides without being asked: who is missed, who leads, what has arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Seams, Spawn, TaskHandle};
use flumen_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use flumen_storage::vfs::RealDisk;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::config::BrokerConfig;
use crate::controller::control::{AlterPartitions, InSyncChange};
use crate::controller::image::{MetadataImage, PartitionImage};
use crate::controller::testing::{enter_service, registration};
use crate::controller::{
    Alteration, BrokerHeartbeat, ControlRequest, ControlResponse, Controller, Reassignment,
    ResourceName, Step, Wants,
};

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fraction of the session.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(50);

/// A controller, and three brokers of which only their heartbeats are real.
struct Cluster {
    controller: Controller,
    epochs: BTreeMap<i32, i64>,
}

impl Cluster {
    /// Nobody sends heartbeats before [`Cluster::live`]: until then the session must last.
    async fn start(dir: &Path, session_ms: &'static str) -> Self {
        Self::start_on(dir, session_ms, Seams::real()).await
    }

    async fn start_on(dir: &Path, session_ms: &'static str, seams: Seams) -> Self {
        let settings = [
            ("log.dirs", dir.to_str().unwrap()),
            ("broker.session.timeout.ms", session_ms),
            ("leader.imbalance.check.interval.seconds", "1"),
        ];
        let config = Arc::new(BrokerConfig::with(settings).unwrap());
        let controller = Controller::start(config, Arc::new(RealDisk), seams).await.unwrap();
        let mut epochs = BTreeMap::new();
        for id in 1..=3 {
            let epoch = enter_service(&controller, registration(id, u8::try_from(id).unwrap()));
            epochs.insert(id, epoch.await.unwrap());
        }
        let topic = |name: &str, replicas: &[i32]| CreatableTopic {
            name: name.to_owned(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: replicas.to_vec(),
            }],
            ..Default::default()
        };
        let topics = vec![topic("all", &[2, 3, 1]), topic("one", &[1])];
        let created = controller.create_topics(topics, false).await.unwrap();
        assert!(created.iter().all(|(_, created)| created.is_ok()), "{created:?}");
        Self { controller, epochs }
    }

    /// Has these brokers, and no others, send heartbeats until the metadata is as it is to become.
    async fn live(&self, alive: &[i32], holds: impl Fn(&MetadataImage) -> bool) {
        let becomes_so = async {
            while !holds(&self.controller.image()) {
                for id in alive {
                    self.beat(*id).await;
                }
                sleep(HEARTBEAT_INTERVAL).await;
            }
        };
        let became_so = timeout(PATIENCE, becomes_so).await;
        assert!(became_so.is_ok(), "{:?}", self.controller.image());
    }

    async fn beat(&self, broker_id: i32) {
        let metadata_version = self.controller.image().version();
        let epoch = self.epochs[&broker_id];
        let beat = BrokerHeartbeat { broker_id, epoch, metadata_version, wants: Wants::Service };
        self.controller.control(ControlRequest::Heartbeat(beat)).await.unwrap();
    }

    /// The leader of a partition finds these in sync.
    async fn propose(&self, topic: &str, in_sync: &[i32]) {
        let image = self.controller.image();
        let partition = image.partition(topic, 0).unwrap();
        let broker_id = partition.leader.unwrap();
        let change = InSyncChange {
            topic_id: image.topic(topic).unwrap().id,
            partition_index: 0,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            in_sync: in_sync.iter().map(|id| (*id, self.epochs[id])).collect(),
        };
        let request = AlterPartitions {
            broker_id,
            broker_epoch: self.epochs[&broker_id],
            partitions: vec![change],
        };
        let answer = self.controller.control(ControlRequest::AlterPartitions(request)).await;
        let Ok(ControlResponse::AlteredPartitions(Ok(answers))) = answer else {
            panic!("{answer:?}")
        };
        answers[0].as_ref().unwrap();
    }
}

fn first(image: &MetadataImage) -> &PartitionImage {
    image.partition("all", 0).unwrap()
}

#[tokio::test]
async fn a_broker_that_is_silent_goes_and_leads_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), "5000").await;
    assert_eq!(first(&cluster.controller.image()).leader, Some(2));
    cluster
        .live(&[1, 3], |image| image.broker(2).unwrap().fenced && first(image).leader == Some(3))
        .await;
    assert_eq!(first(&cluster.controller.image()).in_sync, [3, 1]);
    let elections = cluster.controller.elections();
    assert!(elections >= 1 && cluster.controller.unclean_elections() == 0);

    cluster.live(&[1, 2, 3], |image| !image.broker(2).unwrap().fenced).await;
    assert_eq!(first(&cluster.controller.image()).leader, Some(3), "it is not in sync yet");
    cluster.propose("all", &[3, 1, 2]).await;
    cluster.live(&[1, 2, 3], |image| first(image).leader == Some(2)).await;
    assert!(cluster.controller.elections() > elections, "leaders are balanced");
    cluster.controller.shutdown().await;
}

#[tokio::test]
async fn a_move_is_over_when_the_new_replica_is_in_sync() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), "600000").await;
    let moved = |replicas: &[i32]| Reassignment {
        topic: "one".to_owned(),
        partition: 0,
        replicas: Some(replicas.to_vec()),
    };
    let answers = cluster.controller.alter_reassignments(vec![moved(&[3])], true).await.unwrap();
    assert_eq!(answers, [Ok(())]);
    let image = cluster.controller.image();
    let partition = image.partition("one", 0).unwrap();
    assert_eq!((partition.leader, partition.adding.as_slice()), (Some(1), [3].as_slice()));
    cluster.propose("one", &[1, 3]).await;
    let image = cluster.controller.image();
    let partition = image.partition("one", 0).unwrap();
    assert!(!partition.is_reassigning());
    assert_eq!((partition.leader, partition.replicas.as_slice()), (Some(3), [3].as_slice()));
    cluster.controller.shutdown().await;
}

/// It may be unable to commit what its own broker says, and that one is there all the same.
#[tokio::test]
async fn the_broker_beside_the_controller_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path(), "5000").await;
    cluster.live(&[3], |image| image.broker(2).unwrap().fenced).await;
    let image = cluster.controller.image();
    assert!(!image.broker(1).unwrap().fenced && !image.broker(3).unwrap().fenced);
    cluster.controller.shutdown().await;
}

type Work = Box<dyn FnOnce() + Send>;

/// Blocking work that a test can hold up, as a slow disk does.
struct SlowDisk {
    real: Arc<dyn Spawn>,
    held: Mutex<Option<Vec<Work>>>,
}

impl fmt::Debug for SlowDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowDisk").finish_non_exhaustive()
    }
}

impl Spawn for SlowDisk {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        self.real.spawn(name, future)
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        match &mut *self.held.lock() {
            Some(held) => held.push(work),
            None => self.real.blocking(work),
        }
    }
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_for_a_slow_commit() {
    let dir = tempfile::tempdir().unwrap();
    let real = Seams::real();
    let disk = Arc::new(SlowDisk { real: Arc::clone(&real.spawn), held: Mutex::default() });
    let seams = Seams { spawn: Arc::clone(&disk) as Arc<dyn Spawn>, ..real };
    let cluster = Cluster::start_on(dir.path(), "600000", seams).await;
    *disk.held.lock() = Some(Vec::new());
    let controller = cluster.controller.clone();
    let name = ResourceName { kind: 4, name: String::new() };
    let value = Some("5".to_owned());
    let step = Step { name: "log.cleaner.backoff.ms".to_owned(), operation: 0, value };
    let mut altering = Box::pin(async move {
        controller.alter_configs(vec![(name, Alteration::Steps(vec![step]))], false).await
    });
    let is_held = async {
        while disk.held.lock().as_ref().is_none_or(Vec::is_empty) {
            sleep(Duration::from_millis(1)).await;
        }
        cluster.beat(2).await;
    };
    tokio::select! {
        biased;
        answered = &mut altering => panic!("nothing is on disk: {answered:?}"),
        beaten = timeout(PATIENCE, is_held) => beaten.unwrap(),
    }
    for work in disk.held.lock().take().unwrap() {
        disk.real.blocking(work);
    }
    timeout(PATIENCE, altering).await.unwrap().unwrap();
    cluster.controller.shutdown().await;
}
