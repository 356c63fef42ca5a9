//! openraft's own suite for the storage, the quorum across restarts and crashes, and clusters.

mod cluster;
mod crashes;
mod failover;
mod founding;
mod membership;
mod schedules;

use std::io;
use std::path::Path;
use std::sync::Arc;

use flumen_client::connection::Seams;
use flumen_storage::vfs::{RealDisk, Vfs};
use openraft::StorageError;
use openraft::storage::RaftLogReader;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::disk::Disk;
use super::log_store::LogStore;
use super::runtime::SeamRuntime;
use super::state_machine::{Published, StateMachine};
use super::types::{Membership, TypeConfig};
use super::*;
use crate::controller::records::{ClusterRecord, ConfigRecord, ConfigResource, RemoveTopicRecord};

struct FreshDirectory;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for FreshDirectory {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(Arc::new(RealDisk), dir.path(), Seams::real()).unwrap();
        let disk = Arc::new(disk);
        let machine = StateMachine::new(Arc::new(Published::new()), Arc::clone(&disk));
        Ok((dir, LogStore::new(disk), machine))
    }
}

#[test]
fn the_storage_passes_the_suite_of_openraft() {
    use openraft::AsyncRuntime;
    SeamRuntime::new(2).block_on(Suite::test_all(FreshDirectory)).unwrap();
}

async fn start(vfs: &Arc<dyn Vfs>, dir: &Path) -> Quorum {
    let config = crate::config::BrokerConfig::default().replication;
    let opened = OpenQuorum::open(1, &config, dir, Arc::clone(vfs), Seams::real(), None);
    opened.unwrap().start().await.unwrap()
}

fn setting(name: &str, value: &str) -> Vec<MetadataRecord> {
    let (name, value) = (name.to_owned(), Some(value.to_owned()));
    vec![ConfigRecord { resource: ConfigResource::Cluster, name, value }.into()]
}

/// Appends in the term that `quorum` leads in.
async fn append(quorum: &Quorum, records: Vec<MetadataRecord>) -> Result<Pending, NotLeader> {
    quorum.append(quorum.leading_term().ok_or(NotLeader)?, records).await
}

async fn barrier(quorum: &Quorum) -> Result<(), NotLeader> {
    quorum.barrier(quorum.leading_term().ok_or(NotLeader)?).await
}

async fn write(quorum: &Quorum, name: &str) {
    append(quorum, setting(name, "1")).await.unwrap().applied().await.unwrap();
}

fn names(quorum: &Quorum) -> Vec<String> {
    let configs = quorum.published().image().configs(&ConfigResource::Cluster);
    configs.keys().cloned().collect()
}

#[tokio::test]
async fn a_restart_finds_everything_with_and_without_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let cluster = ClusterRecord { cluster_id: "id".to_owned(), next_broker_epoch: 0 };
    let quorum = start(&vfs, dir.path()).await;
    append(&quorum, vec![cluster.into()]).await.unwrap().applied().await.unwrap();
    write(&quorum, "a").await;
    let before = quorum.published().image();
    quorum.shutdown().await;

    let quorum = start(&vfs, dir.path()).await;
    assert_eq!(quorum.published().image().to_records(), before.to_records());
    let mut snapshots = quorum.raft.metrics();
    quorum.begin_snapshot().await;
    while snapshots.borrow_watched().snapshot.is_none() {
        snapshots.changed().await.unwrap();
    }
    write(&quorum, "b").await;
    let before = quorum.published().image();
    quorum.shutdown().await;

    let quorum = start(&vfs, dir.path()).await;
    assert_eq!(names(&quorum), ["a", "b"]);
    assert_eq!(quorum.published().image().to_records(), before.to_records());
    assert!(quorum.leading_term().unwrap() >= 3, "every start is an election");
    quorum.shutdown().await;
}

#[tokio::test]
async fn entries_in_flight_together_are_applied_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let quorum = start(&vfs, dir.path()).await;
    let mut pending = Vec::new();
    for value in 0..200 {
        pending.push(append(&quorum, setting("a", &value.to_string())).await.unwrap());
    }
    for (value, pending) in pending.into_iter().enumerate() {
        pending.applied().await.unwrap();
        let image = quorum.published().image();
        let seen: usize = image.configs(&ConfigResource::Cluster)["a"].parse().unwrap();
        assert!(seen >= value, "an answer came before its entry was in the image");
    }
    quorum.shutdown().await;
}

/// It is in the log for good, so that it must not stop anybody, now or at the next start.
#[tokio::test]
async fn a_proposal_that_does_not_fit_is_passed_over_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let quorum = start(&vfs, dir.path()).await;
    write(&quorum, "a").await;
    let topic_id = flumen_protocol::Uuid::from_bytes([1; 16]);
    let unfit = MetadataRecord::from(RemoveTopicRecord { topic_id });
    for records in [
        vec![unfit.clone()],
        setting("b", "1").into_iter().chain([unfit.clone()]).collect(),
        [unfit].into_iter().chain(setting("b", "1")).collect(),
    ] {
        let outcome = match append(&quorum, records).await {
            Ok(pending) => pending.applied().await,
            Err(error) => Err(error),
        };
        assert_eq!(outcome, Err(NotLeader), "nobody is told that it was done");
    }
    write(&quorum, "c").await;
    assert_eq!(names(&quorum), ["a", "c"]);
    let before = quorum.published().image();
    quorum.shutdown().await;

    let quorum = start(&vfs, dir.path()).await;
    assert_eq!(names(&quorum), ["a", "c"]);
    assert_eq!(quorum.published().image().to_records(), before.to_records());
    quorum.shutdown().await;
}

#[tokio::test]
async fn a_follower_is_sent_no_more_at_once_than_a_message_takes() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let quorum = start(&vfs, dir.path()).await;
    for value in 0..30 {
        let large = format!("{value}{}", "x".repeat(100_000));
        append(&quorum, setting("a", &large)).await.unwrap().applied().await.unwrap();
    }
    quorum.shutdown().await;
    drop(quorum);

    let disk = Arc::new(Disk::open(Arc::clone(&vfs), dir.path(), Seams::real()).unwrap());
    let end = disk.last().unwrap().index + 1;
    let mut log = LogStore::new(disk);
    let all = log.try_get_log_entries(0..end).await.unwrap();
    let (mut sent, mut messages) = (Vec::new(), 0);
    while sent.len() < all.len() {
        let next = u64::try_from(sent.len()).unwrap();
        let some = log.limited_get_log_entries(next, end).await.unwrap();
        assert!(!some.is_empty() && some.len() < 15, "{}", some.len());
        sent.extend(some);
        messages += 1;
    }
    assert_eq!(sent, all);
    assert!(messages >= 3, "{messages}");
}

/// A decision on an image without what is on its way could contradict it.
#[tokio::test]
async fn behind_a_barrier_the_image_has_what_was_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let quorum = start(&vfs, dir.path()).await;
    for round in 0..20 {
        for value in 0..20 {
            let value = (20 * round + value).to_string();
            drop(append(&quorum, setting("a", &value)).await.unwrap());
        }
        barrier(&quorum).await.unwrap();
        let image = quorum.published().image();
        let newest = (20 * round + 19).to_string();
        assert_eq!(image.configs(&ConfigResource::Cluster)["a"], newest);
    }
    quorum.shutdown().await;
}

#[tokio::test]
async fn a_record_of_a_newer_version_stops_the_start_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let quorum = start(&vfs, dir.path()).await;
    write(&quorum, "a").await;
    quorum.shutdown().await;
    drop(quorum);

    let disk = Arc::new(Disk::open(Arc::clone(&vfs), dir.path(), Seams::real()).unwrap());
    let payload = BTreeMap::from([("Records", [(99_u16, 1_u16, ("x",))])]);
    disk.append_raw(1, &rmp_serde::to_vec(&(1_u64, payload)).unwrap());
    drop(disk);

    let config = crate::config::BrokerConfig::default().replication;
    let opened = OpenQuorum::open(1, &config, dir.path(), vfs, Seams::real(), None);
    let Err(error) = opened else { panic!("it must not start") };
    assert!(error.to_string().contains("type 99 version 1 is unknown"), "{error}");
}

#[tokio::test]
async fn several_voters_are_refused_without_a_peer_listener() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::config::BrokerConfig::with([(
        "controller.quorum.voters",
        "1@127.0.0.1:9192,2@127.0.0.1:9193",
    )])
    .unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let opened = OpenQuorum::open(1, &config.replication, dir.path(), vfs, Seams::real(), None);
    assert!(matches!(opened, Err(QuorumError::SeveralVoters { count: 2 })));
}

/// Alone it could only wait for the others, for ever and without a word.
#[tokio::test]
async fn the_log_of_several_voters_is_refused_without_a_peer_listener() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let disk = Arc::new(Disk::open(Arc::clone(&vfs), dir.path(), Seams::real()).unwrap());
    let member = |id: u64| (id, Member { addr: format!("n{id}:1"), directory: None });
    let members = BTreeMap::from([member(1), member(2)]);
    let voters = vec![members.keys().copied().collect()];
    disk.found(Membership::new(voters, members).unwrap()).await.unwrap();
    drop(disk);

    let config = crate::config::BrokerConfig::default().replication;
    let opened = OpenQuorum::open(1, &config, dir.path(), vfs, Seams::real(), None);
    let Err(error) = opened.unwrap().start().await else { panic!("it must not start") };
    assert!(error.to_string().contains("(here are known: 1, 2)"), "{error}");
}

#[tokio::test]
async fn a_lost_file_stops_the_start() {
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    for (lost, reason) in
        [(".checkpoint", "is in no snapshot"), ("quorum-state", "the log begins at")]
    {
        let dir = tempfile::tempdir().unwrap();
        let quorum = start(&vfs, dir.path()).await;
        write(&quorum, "a").await;
        let mut snapshots = quorum.raft.metrics();
        quorum.begin_snapshot().await;
        while snapshots.borrow_watched().snapshot.is_none() {
            snapshots.changed().await.unwrap();
        }
        let snapshot = snapshots.borrow_watched().snapshot;
        quorum.service.disk().purge(snapshot.unwrap()).await.unwrap();
        write(&quorum, "b").await;
        quorum.shutdown().await;
        drop(quorum);

        let entries = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_lost = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(lost);
        std::fs::remove_file(entries.into_iter().find(is_lost).unwrap()).unwrap();
        let opened = Disk::open(Arc::clone(&vfs), dir.path(), Seams::real());
        let message = opened.err().unwrap().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

/// A voter that cut off what it has acknowledged would vote as if it had never had it.
#[tokio::test]
async fn a_damaged_log_stops_the_start() {
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let flip = |log: &Path| {
        let mut bytes = std::fs::read(log).unwrap();
        // The last entry: what comes before is whole.
        let at = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[at] ^= 1;
        std::fs::write(log, bytes).unwrap();
    };
    for (is_lost, reason) in [(false, "is damaged"), (true, "some of it is lost")] {
        let dir = tempfile::tempdir().unwrap();
        let quorum = start(&vfs, dir.path()).await;
        write(&quorum, "a").await;
        write(&quorum, "b").await;
        quorum.shutdown().await;
        drop(quorum);

        let log = dir.path().join("00000000000000000000.log");
        if is_lost {
            std::fs::remove_file(&log).unwrap();
        } else {
            flip(&log);
        }
        let left = std::fs::read(&log).ok();
        // Neither does trying again help, nor is anything lost by that.
        for _ in 0..2 {
            let opened = Disk::open(Arc::clone(&vfs), dir.path(), Seams::real());
            let message = opened.err().unwrap().to_string();
            assert!(message.contains(reason), "{message}");
        }
        assert!(is_lost || std::fs::read(&log).ok() == left);
    }
}

#[test]
fn damaged_small_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("quorum-state"), b"\xc1nonsense").unwrap();
    let opened = Disk::open(Arc::new(RealDisk), dir.path(), Seams::real());
    assert_eq!(opened.err().unwrap().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_vote_that_nobody_can_have_cast_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (granted, purged) = (Some((0_u64, 0_u64, true)), None::<(u64, u64)>);
    let state = rmp_serde::to_vec(&(granted, purged)).unwrap();
    std::fs::write(dir.path().join("quorum-state"), state).unwrap();
    let opened = Disk::open(Arc::new(RealDisk), dir.path(), Seams::real());
    let message = opened.err().unwrap().to_string();
    assert!(message.contains("a vote in term 0"), "{message}");
}

#[test]
fn an_entry_that_cannot_be_read_stops_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealDisk);
    let disk = Arc::new(Disk::open(Arc::clone(&vfs), dir.path(), Seams::real()).unwrap());
    let blank = rmp_serde::to_vec(&(0_u64, "Blank")).unwrap();
    for value in [&blank[..], b"nonsense", &blank] {
        disk.append_raw(0, value);
    }
    drop(disk);
    let opened = Disk::open(vfs, dir.path(), Seams::real());
    assert_eq!(opened.err().unwrap().kind(), io::ErrorKind::InvalidData);
}
