//! A leader and its follower on two data directories: real logs, real fetches, and a link in memory
//! that a test can cut.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Seams};
use flumen_protocol::ApiKey;
use flumen_protocol::messages::fetch::{FetchRequest, FetchResponse};
use flumen_protocol::records::{BatchBuilder, BatchOptions};
use flumen_storage::vfs::RealDisk;
use flumen_storage::{LogConfig, OpenContext};

use super::super::follower::Following;
use super::super::leader::Leadership;
use super::super::registry::{Hosted, HostedTopic, Snapshot};
use super::super::role::Part;
use super::super::*;
use crate::Broker;
use crate::api::replica_fetch;
use crate::api::{Call, Context, Staged};
use crate::clock::within;
use crate::config::{BrokerConfig, Settings, ThrottleRates, TopicConfig};
use crate::controller::testing::registration;
use crate::controller::{ControlRequest, ControlResponse, PartitionImage, TopicImage};
use crate::metrics::ReplicationCounters;

pub(super) const TOPIC: Uuid = Uuid::from_bytes([7; 16]);
pub(super) const LEADER: i32 = 1;
pub(super) const FOLLOWER: i32 = 2;

/// Hands fetches to the leader's side in the same process.
#[derive(Debug)]
struct Link {
    leader: Arc<Context>,
    is_cut: AtomicBool,
    fetches: AtomicUsize,
}

impl ReplicaTransport for Link {
    fn fetch(
        &self,
        _: i32,
        _: u8,
        request: FetchRequest,
        time: Duration,
    ) -> BoxFuture<'static, Option<FetchResponse>> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        if self.is_cut.load(Ordering::SeqCst) {
            return Box::pin(async { None });
        }
        let call = Call {
            api: ApiKey::Fetch,
            version: 18,
            correlation_id: 0,
            client_id: None,
            peer: ([127, 0, 0, 1], 1).into(),
            received: self.leader.seams.clock.monotonic(),
            is_passed_on: false,
            is_undecided: AtomicBool::default(),
        };
        let staged = replica_fetch::start(&self.leader, &call, request);
        Box::pin(async move {
            match staged {
                Staged::Done(response) => Some(response),
                Staged::Waiting(response) => within(time, response).await,
                Staged::Nothing | Staged::Close => None,
            }
        })
    }
}

/// Says yes to every proposal.
#[derive(Debug)]
struct Agreeable {
    /// Of everybody who is in service.
    epoch: i64,
    proposed: Mutex<Vec<Vec<i32>>>,
}

impl ProposeInSync for Agreeable {
    fn propose(&self, changes: Vec<InSyncChange>) -> BoxFuture<'static, Vec<ProposalOutcome>> {
        let accept = |change: InSyncChange| {
            let in_sync: Vec<i32> = change.proposal.in_sync.iter().map(|(id, _)| *id).collect();
            self.proposed.lock().push(in_sync.clone());
            ProposalOutcome::Accepted {
                leader_epoch: change.proposal.leader_epoch,
                partition_epoch: change.proposal.partition_epoch + 1,
                in_sync,
            }
        };
        let outcomes = changes.into_iter().map(accept).collect();
        Box::pin(async move { outcomes })
    }

    fn in_service(&self, _: i32) -> Option<i64> {
        Some(self.epoch)
    }
}

struct Pair {
    broker: Broker,
    /// Of the follower.
    epoch: i64,
    link: Arc<Link>,
    leader: Arc<Partition>,
    follower: Arc<Partition>,
    partitions: Partitions,
    fetchers: Fetchers,
    _dirs: [tempfile::TempDir; 3],
}

pub(super) fn open(data_dir: &Arc<DataDir>, node_id: i32, index: i32) -> Arc<Partition> {
    let path = data_dir.log_dir().partition_path("t", index);
    let vfs = Arc::clone(data_dir.vfs());
    let log =
        PartitionLog::open(vfs, &path, Arc::new(LogConfig::default()), OpenContext::default());
    let identity = (Arc::from("t"), TOPIC, index);
    Arc::new(Partition::new(identity, node_id, 0, log.unwrap(), Arc::clone(data_dir)))
}

pub(super) fn data_dir(dir: &Path, seams: &Seams) -> Arc<DataDir> {
    Arc::new(DataDir::open(Arc::new(RealDisk), dir, seams).unwrap())
}

/// A broker that leads, and the epoch with which it knows the follower.
pub(super) async fn broker(dir: &Path) -> (Broker, i64) {
    let settings = [
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("http.listener", ""),
    ];
    let broker = Broker::start(BrokerConfig::with(settings).unwrap()).await.unwrap();
    let ctx = broker.context();
    let register = ControlRequest::Register(registration(FOLLOWER, 1));
    let answer = ctx.controller.control(register).await.unwrap();
    let ControlResponse::Registered(Ok(epoch)) = answer else { panic!("{answer:?}") };
    // What the broker makes of new metadata would take the place of what the test puts there.
    ctx.reconciled.wait_for(ctx.controller.image().version()).await;
    (broker, epoch)
}

fn image() -> PartitionImage {
    PartitionImage {
        replicas: vec![LEADER, FOLLOWER],
        directories: vec![Uuid::ZERO; 2],
        in_sync: vec![LEADER],
        eligible: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        last_known_leader: None,
        leader: Some(LEADER),
        leader_epoch: 0,
        partition_epoch: 0,
    }
}

pub(super) fn host(partitions: &[Arc<Partition>]) -> Snapshot {
    let image = TopicImage {
        name: Arc::from("t"),
        id: TOPIC,
        partitions: vec![image(); partitions.len()],
        configs: Arc::default(),
    };
    let mut snapshot = Snapshot::default();
    let partitions = partitions.iter().cloned().map(Hosted::Here).collect();
    snapshot.insert(HostedTopic { image: Arc::new(image), partitions });
    snapshot
}

pub(super) fn lead(leader_epoch: i32, in_sync: &[i32]) -> Part {
    Part::Lead(Leadership {
        leader_epoch,
        partition_epoch: leader_epoch,
        replicas: vec![LEADER, FOLLOWER],
        in_sync: in_sync.to_vec(),
        min_in_sync: 1,
        durability: Durability::Fsync,
    })
}

fn follow(leader_epoch: i32) -> Part {
    let durability = Durability::Fsync;
    Part::Follow(Following { leader: Some(LEADER), leader_epoch, durability })
}

impl Pair {
    async fn new() -> Self {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let (broker, epoch) = broker(dirs[0].path()).await;
        let seams = broker.context().seams.clone();
        let leader = open(&data_dir(dirs[1].path(), &seams), LEADER, 0);
        let data_dir = data_dir(dirs[2].path(), &seams);
        let follower = open(&data_dir, FOLLOWER, 0);
        broker.context().partitions.replace(host(std::slice::from_ref(&leader)));
        let partitions = Partitions::default();
        partitions.replace(host(std::slice::from_ref(&follower)));
        let link = Arc::new(Link {
            leader: Arc::clone(broker.context()),
            is_cut: AtomicBool::new(false),
            fetches: AtomicUsize::new(0),
        });
        let transport = Arc::clone(&link) as Arc<dyn ReplicaTransport>;
        let counters = ReplicationCounters::default();
        let fetchers = Fetchers::new(FOLLOWER, epoch, transport, data_dir, counters, seams);
        Self { broker, epoch, link, leader, follower, partitions, fetchers, _dirs: dirs }
    }

    /// Begins an epoch of the leader, with the follower in or out of the in-sync set.
    fn begin(&self, leader_epoch: i32, in_sync: &[i32]) {
        self.leader.take_part(lead(leader_epoch, in_sync), Arc::default());
        self.follower.take_part(follow(leader_epoch), Arc::default());
        self.fetchers.assign(&self.partitions);
    }

    fn produce(&self, value: &str) -> Committed {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(0, None, Some(value.as_bytes()), &[]);
        let appended = self.leader.append(batch.build(), AppendOrigin::Client, true, 0).unwrap();
        self.leader.committed(appended.info.last_offset, appended.leader_epoch)
    }

    fn ends(&self) -> [(i64, i64); 2] {
        [&self.leader, &self.follower].map(|p| (p.high_watermark(), p.log_end_offset()))
    }

    async fn until_ends_are(&self, expected: [(i64, i64); 2]) {
        until(|| self.ends() == expected, || format!("{:?}, not {expected:?}", self.ends())).await;
    }
}

async fn until(is_so: impl Fn() -> bool, found: impl Fn() -> String) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(within(Duration::from_secs(30), wait).await.is_some(), "{}", found());
}

/// Appends a record that another leader is to have written.
fn plant(partition: &Partition, leader_epoch: i32, value: &str) {
    let log_end_offset = partition.log_end_offset();
    let options = BatchOptions {
        base_offset: log_end_offset,
        partition_leader_epoch: leader_epoch,
        ..BatchOptions::default()
    };
    let mut batch = BatchBuilder::new(options);
    batch.append(0, None, Some(value.as_bytes()), &[]);
    partition.with_log_mut(|log| {
        log.append_as_follower(batch.build(), 0).unwrap();
        log.flush().unwrap();
    });
}

fn bytes(partition: &Partition) -> Vec<u8> {
    let read =
        partition.read(partition.log_start_offset(), usize::MAX, true, Isolation::Everything);
    let segments = read.unwrap().plan.segments.into_iter();
    segments.flat_map(|range| range.read().unwrap()).collect()
}

#[tokio::test]
async fn what_all_members_have_is_committed_and_both_logs_are_the_same() {
    let pair = Pair::new().await;
    pair.begin(0, &[LEADER, FOLLOWER]);
    for value in ["a", "b", "c"] {
        let committed = within(Duration::from_secs(30), pair.produce(value)).await;
        assert_eq!(committed, Some(Ok(())));
    }
    pair.until_ends_are([(3, 3), (3, 3)]).await;
    assert_eq!(bytes(&pair.leader), bytes(&pair.follower));
    pair.broker.shutdown().await;
}

#[tokio::test]
async fn nothing_is_committed_while_a_member_does_not_answer() {
    let pair = Pair::new().await;
    pair.link.is_cut.store(true, Ordering::SeqCst);
    pair.begin(0, &[LEADER, FOLLOWER]);
    let committed = pair.produce("a");
    let flushed = || pair.leader.with_log(PartitionLog::flushed_end_offset) == 1;
    until(flushed, || "not synced".to_owned()).await;
    assert_eq!(committed.outcome(), None);
    pair.link.is_cut.store(false, Ordering::SeqCst);
    assert_eq!(within(Duration::from_secs(30), committed).await, Some(Ok(())));
}

#[tokio::test]
async fn a_follower_is_cut_where_it_has_left_its_leader() {
    let pair = Pair::new().await;
    for partition in [&pair.leader, &pair.follower] {
        plant(partition, 0, "common");
    }
    plant(&pair.leader, 1, "kept");
    for value in ["lost", "lost as well", "and this"] {
        plant(&pair.follower, 0, value);
    }
    pair.begin(2, &[LEADER]);
    pair.until_ends_are([(2, 2), (2, 2)]).await;
    assert_eq!(bytes(&pair.leader), bytes(&pair.follower));
}

#[tokio::test]
async fn a_follower_that_is_too_far_behind_begins_anew() {
    let pair = Pair::new().await;
    pair.leader.take_part(lead(0, &[LEADER]), Arc::default());
    for value in ["a", "b", "c"] {
        let committed = within(Duration::from_secs(30), pair.produce(value)).await;
        assert_eq!(committed, Some(Ok(())));
    }
    pair.leader.with_log_mut(|log| log.roll(0)).unwrap();
    pair.leader.delete_records_before(2).unwrap();
    pair.begin(0, &[LEADER]);
    pair.until_ends_are([(3, 3), (3, 3)]).await;
    assert_eq!(pair.follower.log_start_offset(), 2);
}

#[tokio::test]
async fn an_idle_follower_asks_twice_a_second() {
    let pair = Pair::new().await;
    pair.begin(0, &[LEADER, FOLLOWER]);
    assert_eq!(within(Duration::from_secs(30), pair.produce("a")).await, Some(Ok(())));
    pair.until_ends_are([(1, 1), (1, 1)]).await;
    let clock = Arc::clone(&pair.broker.context().seams.clock);
    let (before, began) = (pair.link.fetches.load(Ordering::SeqCst), clock.monotonic());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fetches = pair.link.fetches.load(Ordering::SeqCst) - before;
    let passed = clock.monotonic() - began;
    assert!(
        u128::try_from(fetches).unwrap() <= passed.as_millis() / 250,
        "{fetches} in {passed:?}"
    );
}

#[tokio::test]
async fn a_follower_joins_when_it_has_caught_up_and_leaves_when_it_lags() {
    let pair = Pair::new().await;
    pair.begin(0, &[LEADER]);
    let controller = Arc::new(Agreeable { epoch: pair.epoch, proposed: Mutex::default() });
    let ctx = Arc::clone(pair.broker.context());
    let (proposer, lag_max) = (Arc::clone(&controller), Duration::from_millis(300));
    let clock = Arc::clone(&ctx.seams.clock);
    let partitions = Arc::clone(&ctx.partitions);
    let counters = ctx.metrics.replication.clone();
    let caught_up = Arc::clone(&ctx.caught_up);
    let task = run_in_sync(partitions, caught_up, proposer, counters, clock, lag_max);
    let task = ctx.seams.spawn.spawn("in-sync sets", Box::pin(task));
    let proposed = |expected: &[i32]| {
        let controller = Arc::clone(&controller);
        let expected = vec![expected.to_vec()];
        let found = move || controller.proposed.lock().clone();
        let shown = found.clone();
        async move { until(move || found().ends_with(&expected), || format!("{:?}", shown())).await }
    };
    proposed(&[LEADER, FOLLOWER]).await;
    pair.link.is_cut.store(true, Ordering::SeqCst);
    let committed = pair.produce("a");
    proposed(&[LEADER]).await;
    // What was answered holds when the metadata says so too.
    let Part::Lead(alone) = lead(0, &[LEADER]) else { unreachable!() };
    let told = Part::Lead(Leadership { partition_epoch: 2, ..alone });
    pair.leader.take_part(told, Arc::default());
    assert_eq!(within(Duration::from_secs(30), committed).await, Some(Ok(())));
    pair.link.is_cut.store(false, Ordering::SeqCst);
    proposed(&[LEADER, FOLLOWER]).await;
    let counted = [
        "flumen_in_sync_shrinks_total 1",
        "flumen_in_sync_expansions_total 2",
        &format!("flumen_replication_bytes_out_total {}", pair.leader.status().size),
    ];
    let page = || ctx.metrics.page().unwrap();
    let is_counted = || counted.iter().all(|row| page().lines().any(|line| line == *row));
    until(is_counted, || format!("{counted:?} are not all in\n{}", page())).await;
    task.abort();
}

/// What the topic and the metadata say of a throttled partition.
fn throttle(partition: &Partition, in_sync: &[i32]) {
    let names = ["leader", "follower"].map(|of| format!("{of}.replication.throttled.replicas"));
    let overrides = names.map(|name| (name, "*".to_owned())).into();
    let config = TopicConfig::resolve(&overrides, &Settings::default());
    partition.set_throttled(&config, &PartitionImage { in_sync: in_sync.to_vec(), ..image() });
}

#[tokio::test]
async fn a_throttled_leader_holds_back_followers_that_are_not_in_sync() {
    let pair = Pair::new().await;
    let clock = Arc::clone(&pair.broker.context().seams.clock);
    let throttles = pair.broker.context().partitions.throttles();
    let unlimited = ThrottleRates { leader: u64::MAX, follower: u64::MAX };
    throttles.set(ThrottleRates { leader: 0, ..unlimited }, clock.monotonic());
    throttle(&pair.leader, &[LEADER]);
    pair.begin(0, &[LEADER]);
    assert_eq!(within(Duration::from_secs(30), pair.produce("a")).await, Some(Ok(())));
    let asked = pair.link.fetches.load(Ordering::SeqCst);
    let fetches = || pair.link.fetches.load(Ordering::SeqCst);
    until(|| fetches() >= asked + 2, || "no fetch".to_owned()).await;
    assert_eq!(pair.follower.log_end_offset(), 0);
    assert!(fetches() < asked + 10, "a follower that is held back waits");
    throttles.set(unlimited, clock.monotonic());
    pair.until_ends_are([(1, 1), (1, 1)]).await;

    throttles.set(ThrottleRates { leader: 0, ..unlimited }, clock.monotonic());
    pair.begin(1, &[LEADER, FOLLOWER]);
    assert_eq!(within(Duration::from_secs(30), pair.produce("b")).await, Some(Ok(())));
    pair.broker.shutdown().await;
}

#[tokio::test]
async fn a_throttled_follower_does_not_ask_before_it_has_paid() {
    let pair = Pair::new().await;
    let clock = Arc::clone(&pair.broker.context().seams.clock);
    let throttles = Arc::clone(pair.partitions.throttles());
    let rates = ThrottleRates { leader: u64::MAX, follower: 1000 };
    throttles.set(rates, clock.monotonic());
    throttle(&pair.follower, &[LEADER]);
    let begun = clock.monotonic();
    pair.begin(0, &[LEADER]);
    drop(pair.produce(&"a".repeat(1000)));
    until(|| pair.follower.log_end_offset() == 1, || format!("{:?}", pair.ends())).await;
    drop(pair.produce("b"));
    pair.until_ends_are([(2, 2), (2, 2)]).await;
    let time = clock.monotonic() - begun;
    assert!(time >= Duration::from_secs(1), "after {time:?}");

    throttles.set(ThrottleRates { follower: 0, ..rates }, clock.monotonic());
    throttle(&pair.follower, &[LEADER, FOLLOWER]);
    pair.begin(1, &[LEADER, FOLLOWER]);
    assert_eq!(within(Duration::from_secs(30), pair.produce("c")).await, Some(Ok(())));
    pair.broker.shutdown().await;
}

#[tokio::test]
async fn what_a_leader_has_appended_is_not_acknowledged_by_a_later_one() {
    let pair = Pair::new().await;
    pair.link.is_cut.store(true, Ordering::SeqCst);
    pair.begin(0, &[LEADER, FOLLOWER]);
    let committed = pair.produce("a");
    pair.leader.take_part(
        Part::Follow(Following {
            leader: Some(FOLLOWER),
            leader_epoch: 1,
            durability: Durability::Fsync,
        }),
        Arc::default(),
    );
    pair.leader.take_part(lead(2, &[LEADER]), Arc::default());
    until(|| pair.leader.high_watermark() == 1, || format!("{:?}", pair.ends())).await;
    assert_eq!(committed.outcome(), Some(Err(CommitError::NotLeader)));
}
