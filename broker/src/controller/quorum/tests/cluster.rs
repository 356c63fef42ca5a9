//! Several members of a quorum in one process, on simulated disks and a network that tests cut.
//!
//! Time is virtual. A member is killed by stopping its tasks where they are: what it had written and
//! not synced stays or goes, as the test says. After every wait it is checked that no term had two
//! leaders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_client::connection::{BoxFuture, Rng, Seams, Spawn, TaskHandle};
use flumen_storage::vfs::simulated::{SimulatedDisk, Unsynced};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::super::*;
use super::{append, barrier, setting};
use crate::config::BrokerConfig;
use crate::controller::records::ConfigResource;

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One way over the network.
const LATENCY: Duration = Duration::from_millis(1);

/// A reproducible source of randomness (splitmix64).
#[derive(Debug)]
pub(super) struct Dice(Mutex<u64>);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

impl Rng for Dice {
    fn next_u64(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Measures virtual time.
#[derive(Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the time of the test, which is virtual")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The tasks of one member, which end together.
#[derive(Debug, Default)]
struct Tasks(Mutex<Vec<AbortHandle>>);

impl Spawn for Tasks {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        let task = tokio::spawn(future);
        self.0.lock().push(task.abort_handle());
        task
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

/// What answers on behalf of a member.
#[derive(Clone)]
struct Listening {
    service: Arc<QuorumService>,
    tasks: Arc<Tasks>,
}

/// Who listens, and who reaches whom.
#[derive(Default)]
struct Network {
    listening: Mutex<BTreeMap<i32, Listening>>,
    /// Sender and receiver whose messages are lost.
    cut: Mutex<BTreeSet<(i32, i32)>>,
}

/// The network as one member sees it.
struct Link {
    from: i32,
    network: Arc<Network>,
}

impl QuorumTransport for Link {
    fn call(
        &self,
        to: &QuorumAddress,
        _lane: QuorumLane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let (from, to, network) = (self.from, to.node_id, Arc::clone(&self.network));
        let is_cut = move |network: &Network, from, to| network.cut.lock().contains(&(from, to));
        let carried = async move {
            tokio::time::sleep(LATENCY).await;
            if is_cut(&network, from, to) {
                return std::future::pending().await;
            }
            let listening = network.listening.lock().get(&to).cloned();
            let Listening { service, tasks } = listening.ok_or(TransportError::Refused)?;
            let (sender, answer) = tokio::sync::oneshot::channel();
            // A member that is killed does not finish what it was asked.
            drop(tasks.spawn(
                "answer",
                Box::pin(async move {
                    drop(sender.send(service.handle(from, body).await));
                }),
            ));
            let answer = answer.await.map_err(|_killed| TransportError::Unreachable)?;
            tokio::time::sleep(LATENCY).await;
            if is_cut(&network, to, from) {
                return std::future::pending().await;
            }
            Ok(answer.expect("members send messages that can be true"))
        };
        Box::pin(async move {
            let carried = tokio::time::timeout(timeout, carried).await;
            carried.unwrap_or(Err(TransportError::TimedOut))
        })
    }
}

struct Node {
    disk: SimulatedDisk,
    tasks: Arc<Tasks>,
    quorum: Arc<Mutex<Option<Arc<Quorum>>>>,
}

/// The members of a quorum.
pub(super) struct Cluster {
    pub(super) dice: Arc<Dice>,
    voters: Vec<i32>,
    founds_with_majority: bool,
    network: Arc<Network>,
    nodes: BTreeMap<i32, Node>,
    /// Who led in each term.
    leaders: Mutex<BTreeMap<u64, i32>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        for (id, node) in &self.nodes {
            let quorum = node.quorum.lock().clone();
            shown.entry(id, &quorum.map(|quorum| quorum.status()));
        }
        shown.finish()
    }
}

impl Cluster {
    /// Voters 1 to `voters`, none of which runs.
    pub(super) fn new(voters: i32, seed: u64) -> Self {
        Self {
            dice: Arc::new(Dice::new(seed)),
            voters: (1..=voters).collect(),
            founds_with_majority: false,
            network: Arc::default(),
            nodes: BTreeMap::new(),
            leaders: Mutex::default(),
        }
    }

    /// Has members that start from now on found a cluster with most of the voters, or with all.
    pub(super) fn found_with_majority(&mut self, is_enough: bool) {
        self.founds_with_majority = is_enough;
    }

    /// Voters 1 to `voters`, running, with a leader.
    pub(super) async fn running(voters: i32, seed: u64) -> Self {
        let mut cluster = Self::new(voters, seed);
        for id in 1..=voters {
            cluster.start(id);
        }
        cluster.leader().await;
        cluster.settled().await;
        cluster
    }

    pub(super) fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Starts a member, on the disk it had or on an empty one.
    pub(super) fn start(&mut self, id: i32) {
        let disk = match self.nodes.get(&id) {
            Some(node) => node.disk.clone(),
            None => SimulatedDisk::new(),
        };
        let tasks = Arc::new(Tasks::default());
        let quorum = Arc::new(Mutex::new(None));
        let rng: Arc<dyn Rng> = Arc::new(Dice::new(self.dice.next_u64()));
        let seams = Seams { spawn: Arc::clone(&tasks) as Arc<dyn Spawn>, rng, ..Seams::real() };
        let voters = self.voters.iter().map(|id| format!("{id}@n{id}:1")).collect::<Vec<_>>();
        let config = BrokerConfig::with([
            ("controller.quorum.voters", voters.join(",").as_str()),
            ("controller.quorum.found.with.majority", &self.founds_with_majority.to_string()),
        ]);
        let replication = config.unwrap().replication;
        let transport = Arc::new(Link { from: id, network: Arc::clone(&self.network) });
        let peers = QuorumPeers { transport, addr: format!("n{id}:1") };
        let vfs: Arc<dyn Vfs> = Arc::new(disk.mount());
        vfs.create_dir_all(Path::new("/data")).unwrap();
        vfs.sync_dir(Path::new("/")).unwrap();
        let dir = Path::new("/data");
        let opened = OpenQuorum::open(id, &replication, dir, vfs, seams, Some(peers)).unwrap();
        let service = Arc::clone(opened.service());
        let listening = Listening { service, tasks: Arc::clone(&tasks) };
        self.network.listening.lock().insert(id, listening);
        let started = Arc::clone(&quorum);
        drop(tasks.spawn(
            "start",
            Box::pin(async move {
                let quorum = opened.start().await.unwrap();
                *started.lock() = Some(Arc::new(quorum));
            }),
        ));
        self.nodes.insert(id, Node { disk, tasks, quorum });
    }

    /// Stops the process of a member: nobody listens there any more.
    pub(super) fn kill(&mut self, id: i32) {
        self.stop(id, Unsynced::Kept);
    }

    /// Stops the machine of a member.
    pub(super) fn power_cut(&mut self, id: i32) {
        let seed = self.dice.next_u64();
        self.stop(id, Unsynced::Random { seed });
    }

    fn stop(&mut self, id: i32, unsynced: Unsynced) {
        self.network.listening.lock().remove(&id);
        let node = self.nodes.get_mut(&id).unwrap();
        for task in node.tasks.0.lock().drain(..) {
            task.abort();
        }
        *node.quorum.lock() = None;
        node.disk.crash(unsynced);
    }

    /// Gives a member that does not run an empty disk.
    pub(super) fn wipe(&mut self, id: i32) {
        self.nodes.get_mut(&id).unwrap().disk = SimulatedDisk::new();
    }

    /// Loses all messages between `id` and everybody else.
    pub(super) fn cut_off(&self, id: i32) {
        let others = self.nodes.keys().filter(|other| **other != id);
        let pairs = others.flat_map(|other| [(id, *other), (*other, id)]);
        self.network.cut.lock().extend(pairs);
    }

    pub(super) fn heal(&self) {
        self.network.cut.lock().clear();
    }

    pub(super) fn is_running(&self, id: i32) -> bool {
        self.network.listening.lock().contains_key(&id)
    }

    /// A member that runs and has come as far as to take part.
    pub(super) fn quorum(&self, id: i32) -> Option<Arc<Quorum>> {
        self.nodes.get(&id)?.quorum.lock().clone()
    }

    /// Tells every member that the connection to `lost` broke.
    pub(super) fn tell_lost(&self, lost: i32) {
        for id in self.ids() {
            if let Some(quorum) = self.quorum(id) {
                quorum.on_peer_lost(lost);
            }
        }
    }

    /// Who leads now in the newest term, if anybody does.
    pub(super) fn leads(&self) -> Option<i32> {
        let mut newest = None;
        for id in self.ids() {
            let Some(term) = self.quorum(id).and_then(|quorum| quorum.leading_term()) else {
                continue;
            };
            let led = *self.leaders.lock().entry(term).or_insert(id);
            assert_eq!(led, id, "two leaders in term {term}: {self:?}");
            newest = newest.max(Some((term, id)));
        }
        newest.map(|(_, id)| id)
    }

    /// Waits for a condition.
    pub(super) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let begin = Stopwatch::start();
        while !condition(self) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}: {self:?}");
            self.leads();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets time pass, in which `condition` must hold.
    pub(super) async fn throughout(
        &self,
        time: Duration,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) {
        let begin = Stopwatch::start();
        while begin.elapsed() < time {
            assert!(condition(self), "{what} came to an end: {self:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until somebody leads whom a majority follows, and says who.
    pub(super) async fn leader(&self) -> i32 {
        let begin = Stopwatch::start();
        loop {
            if let Some(id) = self.leads()
                && let Some(quorum) = self.quorum(id)
                && let Ok(Ok(())) =
                    tokio::time::timeout(Duration::from_secs(1), barrier(&quorum)).await
            {
                return id;
            }
            assert!(begin.elapsed() < PATIENCE, "nobody leads: {self:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the log names every voter that runs with its directory, and all may vote.
    pub(super) async fn settled(&self) {
        self.until("all are named", |cluster| {
            let is_named = |id: i32| {
                let quorum = cluster.quorum(id)?;
                let status = quorum.status();
                let mut members = status.voters.iter().chain(&status.observers);
                let named = members.find(|member| member.node_id == id)?;
                let directory = named.directory? == quorum.directory().0;
                Some(directory && !quorum.service.disk().is_vote_withheld())
            };
            cluster.running_ids().into_iter().all(|id| is_named(id) == Some(true))
        })
        .await;
    }

    pub(super) fn running_ids(&self) -> Vec<i32> {
        self.ids().into_iter().filter(|id| self.is_running(*id)).collect()
    }

    /// Writes a setting through whoever leads, until it is committed.
    pub(super) async fn write(&self, name: &str) {
        let begin = Stopwatch::start();
        loop {
            let leader = self.leader().await;
            if self.write_at(leader, name).await {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{name} is not committed: {self:?}");
        }
    }

    /// Whether a setting is committed through `id` within three seconds.
    pub(super) async fn write_at(&self, id: i32, name: &str) -> bool {
        let Some(quorum) = self.quorum(id) else { return false };
        let written = async { append(&quorum, setting(name, "1")).await?.applied().await };
        matches!(tokio::time::timeout(Duration::from_secs(3), written).await, Ok(Ok(())))
    }

    /// The settings in the image of a member.
    pub(super) fn names(&self, id: i32) -> BTreeSet<String> {
        let Some(quorum) = self.quorum(id) else { return BTreeSet::new() };
        let image = quorum.published().image();
        image.configs(&ConfigResource::Cluster).keys().cloned().collect()
    }

    pub(super) fn has(&self, id: i32, name: &str) -> bool {
        self.names(id).contains(name)
    }

    pub(super) fn term(&self, id: i32) -> i32 {
        self.quorum(id).map_or(0, |quorum| quorum.status().term)
    }

    pub(super) fn is_vote_withheld(&self, id: i32) -> bool {
        self.quorum(id).is_some_and(|quorum| quorum.service.disk().is_vote_withheld())
    }
}
