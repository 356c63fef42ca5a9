//! A partition on a simulated disk: what is acknowledged, what is shown, and what happens when the
//! disk fails or fills up.

mod replica_sessions;
mod replication;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Seams, Spawn, TaskHandle};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_storage::vfs::Vfs;
use flumen_storage::vfs::simulated::{Operation, SimulatedDisk, Unsynced};
use flumen_storage::{LogConfig, OpenContext};
use parking_lot::Mutex as Queue;

use super::follower::{Answer, Following, Next};
use super::leader::Leadership;
use super::role::Part;
use super::*;

/// Keeps jobs until they are asked for, as a busy disk does.
#[derive(Default)]
struct Jobs(Queue<Vec<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Spawn for Jobs {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) -> TaskHandle {
        unreachable!("partitions start no tasks")
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.0.lock().push(work);
    }
}

impl Jobs {
    fn run(&self) {
        loop {
            let Some(job) = self.0.lock().pop() else { return };
            job();
        }
    }
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Bench {
    disk: SimulatedDisk,
    jobs: Arc<Jobs>,
    partition: Arc<Partition>,
}

fn leadership(in_sync: &[i32], durability: Durability) -> Leadership {
    Leadership {
        leader_epoch: 0,
        partition_epoch: 0,
        replicas: vec![1, 2],
        in_sync: in_sync.to_vec(),
        min_in_sync: 1,
        durability,
    }
}

fn bench(durability: Durability) -> Bench {
    open(SimulatedDisk::new(), durability)
}

fn open(disk: SimulatedDisk, durability: Durability) -> Bench {
    let jobs = Arc::new(Jobs::default());
    let seams = Seams { spawn: Arc::clone(&jobs) as Arc<dyn Spawn>, ..Seams::real() };
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let data_dir = DataDir::open(Arc::clone(&vfs), Path::new("/data"), &seams).unwrap();
    let path = data_dir.log_dir().partition_path("t", 0);
    let config = Arc::new(LogConfig::default());
    let log = PartitionLog::open(vfs, &path, config, OpenContext::default()).unwrap();
    let identity = (Arc::from("t"), Uuid::from_bytes([1; 16]), 0);
    let partition = Arc::new(Partition::new(identity, 1, 0, log, Arc::new(data_dir)));
    partition.take_part(Part::Lead(leadership(&[1], durability)), Arc::new(LogConfig::default()));
    Bench { disk, jobs, partition }
}

impl Bench {
    fn append(&self, value: &str) -> Result<AppendInfo, AppendError> {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(0, None, Some(value.as_bytes()), &[]);
        let appended = self.partition.append(batch.build(), AppendOrigin::Client, true, 0);
        appended.map(|appended| appended.info)
    }

    /// Takes in a batch of this many bytes from the leader that is followed.
    fn copy(&self, size: usize) {
        let Next::Fetch(asked) = self.partition.next(Duration::ZERO) else { panic!("it follows") };
        let options = BatchOptions {
            base_offset: asked.offset,
            partition_leader_epoch: asked.leader_epoch,
            ..BatchOptions::default()
        };
        let mut batch = BatchBuilder::new(options);
        batch.append(0, None, Some(&vec![0; size]), &[]);
        let answer = Answer::Records { high_watermark: asked.offset + 1, log_start_offset: 0 };
        let cut = self.partition.on_fetched(&asked, answer, batch.build(), 0).unwrap();
        assert_eq!(cut, None);
        self.jobs.run();
    }

    fn shown(&self) -> usize {
        let read = self.partition.read(0, usize::MAX, true, Isolation::ReadUncommitted);
        read.unwrap().plan.size
    }
}

fn poll(committed: &mut Committed) -> Poll<Result<(), CommitError>> {
    pin!(committed).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn nothing_is_acknowledged_or_shown_before_it_is_on_disk() {
    let bench = bench(Durability::Fsync);
    let info = bench.append("a").unwrap();
    let mut committed = bench.partition.committed(info.last_offset, 0);
    assert_eq!(poll(&mut committed), Poll::Pending);
    assert_eq!((bench.partition.high_watermark(), bench.shown()), (0, 0));
    bench.jobs.run();
    assert_eq!(poll(&mut committed), Poll::Ready(Ok(())));
    assert_eq!(bench.partition.high_watermark(), 1);
    assert!(bench.shown() > 0);
}

#[test]
fn a_copy_that_nobody_reads_does_not_stay_in_memory() {
    const SIZE: usize = 3 << 20;
    let bench = bench(Durability::Fsync);
    let follow = |leader_epoch| {
        let following = Following { leader: Some(2), leader_epoch, durability: Durability::Fsync };
        bench.partition.take_part(Part::Follow(following), Arc::new(LogConfig::default()));
    };
    follow(1);
    bench.copy(SIZE);
    assert_eq!(bench.disk.evicted(), 0, "what consumers may want soon stays");
    bench.copy(SIZE);
    let evicted = bench.disk.evicted();
    assert!((1 << 20..SIZE as u64).contains(&evicted), "{evicted}");
    // Of a replica that consumers read from everything stays, until another leader is followed.
    assert!(bench.shown() > 0);
    bench.copy(SIZE);
    assert_eq!(bench.disk.evicted(), evicted);
    follow(2);
    bench.copy(SIZE);
    assert!(bench.disk.evicted() > evicted);
}

#[test]
fn what_was_cut_off_is_not_waited_for_on_disk() {
    let bench = bench(Durability::PageCache);
    let follow = |leader_epoch| {
        let leader = Some(2);
        let following = Following { leader, leader_epoch, durability: Durability::PageCache };
        bench.partition.take_part(Part::Follow(following), Arc::new(LogConfig::default()));
    };
    follow(1);
    bench.copy(10);
    bench.copy(10);
    // The disk is busy: what is to be synced waits.
    let mut synced = bench.partition.synced();
    let mut poll = |waker: &Waker| pin!(&mut synced).poll(&mut Context::from_waker(waker));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert_eq!(poll(&waker), Poll::Pending);
    follow(2);
    let Next::Fetch(asked) = bench.partition.next(Duration::ZERO) else { panic!("it follows") };
    let parting = Answer::Diverging { epoch: 1, end_offset: 1 };
    let cut = bench.partition.on_fetched(&asked, parting, Bytes::new(), 0).unwrap().unwrap();
    bench.partition.cut(&cut, 0).unwrap();
    assert_eq!(bench.partition.log_end_offset(), 1);
    assert!(woken.0.load(Ordering::SeqCst));
    assert_eq!(poll(&waker), Poll::Ready(()));
}

#[test]
fn what_a_lone_replica_has_not_synced_can_be_waited_for() {
    let bench = bench(Durability::Fsync);
    assert!(bench.partition.unsynced().is_none());
    bench.append("a").unwrap();
    let mut unsynced = bench.partition.unsynced().unwrap();
    bench.append("b").unwrap();
    assert_eq!(poll(&mut unsynced), Poll::Pending);
    bench.jobs.run();
    assert_eq!(poll(&mut unsynced), Poll::Ready(Ok(())));
    assert!(bench.partition.unsynced().is_none());

    let leadership = Leadership { partition_epoch: 1, ..leadership(&[1, 2], Durability::Fsync) };
    bench.partition.take_part(Part::Lead(leadership), Arc::new(LogConfig::default()));
    bench.append("c").unwrap();
    assert!(bench.partition.unsynced().is_none(), "the other replica may be down");
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let bench = bench(Durability::Fsync);
    for value in ["a", "b", "c"] {
        bench.append(value).unwrap();
    }
    bench.jobs.run();
    bench.append("not synced").unwrap();
    assert_eq!(bench.partition.high_watermark(), 3);
    let disk = bench.disk.clone();
    disk.crash(Unsynced::Dropped);
    drop(bench);
    let bench = open(disk.mount(), Durability::Fsync);
    assert_eq!(bench.partition.high_watermark(), 3);
    assert_eq!(bench.append("d").unwrap().first_offset, 3);
}

#[test]
fn page_cache_topics_do_not_wait_for_the_disk() {
    let bench = bench(Durability::PageCache);
    let info = bench.append("a").unwrap();
    let mut committed = bench.partition.committed(info.last_offset, 0);
    assert_eq!(poll(&mut committed), Poll::Ready(Ok(())));
    assert!(bench.shown() > 0);
    assert!(bench.jobs.0.lock().is_empty(), "nothing was asked to be synced");
}

#[test]
fn a_failed_sync_is_final_and_what_is_on_disk_can_be_read() {
    let bench = bench(Durability::Fsync);
    bench.append("a").unwrap();
    bench.jobs.run();
    let shown = bench.shown();
    let info = bench.append("b").unwrap();
    let mut committed = bench.partition.committed(info.last_offset, 0);
    assert_eq!(poll(&mut committed), Poll::Pending);
    bench.disk.fail_matching(Operation::Sync, ".log", 1);
    bench.jobs.run();
    assert_eq!(poll(&mut committed), Poll::Ready(Err(CommitError::StorageFailed)));
    assert!(matches!(bench.append("c"), Err(AppendError::StorageFailed)));
    bench.jobs.run();
    assert_eq!((bench.partition.high_watermark(), bench.shown()), (1, shown));
}

/// Rolling a segment syncs the one before, and no group commit hears what came of it.
#[test]
fn a_sync_that_fails_in_an_append_is_the_end_of_the_disk_as_well() {
    let bench = bench(Durability::Fsync);
    bench.append("one").unwrap();
    let config = LogConfig { segment_bytes: 100, ..LogConfig::default() };
    bench.partition.take_part(Part::Lead(leadership(&[1], Durability::Fsync)), Arc::new(config));
    bench.disk.fail_matching(Operation::Sync, ".log", 1);
    bench.append("two").unwrap_err();
    assert!(bench.partition.data_dir.has_failed());
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_space() {
    let bench = bench(Durability::Fsync);
    bench.append("a").unwrap();
    bench.jobs.run();
    let shown = bench.shown();
    bench.disk.set_capacity(Some(0));
    let refused = bench.append("b");
    assert!(
        matches!(refused, Err(AppendError::Log(flumen_storage::AppendError::DiskFull(_)))),
        "{refused:?}"
    );
    assert_eq!(bench.shown(), shown);
    bench.disk.set_capacity(None);
    let info = bench.append("c").unwrap();
    assert_eq!(info.first_offset, 1);
    bench.jobs.run();
    assert_eq!(bench.partition.high_watermark(), 2);
}

#[test]
fn a_closed_partition_sends_everybody_away() {
    let bench = bench(Durability::Fsync);
    let info = bench.append("a").unwrap();
    let mut committed = bench.partition.committed(info.last_offset, 0);
    assert_eq!(poll(&mut committed), Poll::Pending);
    bench.partition.close();
    assert_eq!(poll(&mut committed), Poll::Ready(Err(CommitError::NotLeader)));
    assert!(matches!(bench.append("b"), Err(AppendError::NotLeader)));
    let read = bench.partition.read(0, 1, true, Isolation::ReadUncommitted);
    assert!(matches!(read, Err(ReadError::NotLeader)));
}

#[test]
fn a_lookup_that_has_to_pass_damage_finds_it() {
    /// Behind length, epoch and the base offset of a batch.
    const MAGIC_AT: u64 = 16;
    let bench = bench(Durability::Fsync);
    for value in ["a", "b", "c", "d"] {
        bench.append(value).unwrap();
    }
    bench.partition.with_log_mut(|log| log.roll(0)).unwrap();
    bench.jobs.run();
    let log = Path::new("/data/t-0/00000000000000000000.log");
    let batch = bench.disk.file_size(log).unwrap() / 4;
    bench.disk.flip_bits(log, batch + MAGIC_AT, 0x40).unwrap();
    assert!(!bench.partition.is_damaged());
    let read = bench.partition.read(3, 1, true, Isolation::ReadUncommitted);
    assert!(matches!(read, Err(ReadError::Log(error)) if error.is_damage()));
    assert!(bench.partition.is_damaged());
}

#[test]
fn leader_epochs_are_compared() {
    let bench = bench(Durability::Fsync);
    let (requested, current) = (4, 0);
    assert_eq!(bench.partition.check_epoch(-1), Ok(()));
    assert_eq!(bench.partition.check_epoch(0), Ok(()));
    let unknown = Err(EpochError::Unknown { requested, current });
    assert_eq!(bench.partition.check_epoch(4), unknown);
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_at_most() {
    let bench = bench(Durability::Fsync);
    for value in ["a", "b", "c"] {
        bench.append(value).unwrap();
    }
    bench.jobs.run();
    bench.append("not synced").unwrap();
    let refused = bench.partition.delete_records_before(4);
    assert!(matches!(refused, Err(TrimError::OffsetOutOfRange { high_watermark: 3, .. })));
    assert_eq!(bench.partition.delete_records_before(2).unwrap(), 2);
    assert_eq!(bench.partition.delete_records_before(1).unwrap(), 2, "it never moves back");
    assert_eq!(bench.partition.delete_records_before(-1).unwrap(), 3);
    assert_eq!(bench.partition.log_start_offset(), 3);
}
