//! Several brokers, clients of every kind, and faults; then everything is healed, and must work again
//! within a minute.
//!
//! While faults go on, views of all brokers are held against [`live`] invariants. Afterwards everything
//! is read to its end, and what clients saw is searched for [`anomalies`].

mod administration;
mod producing;
mod reading;
mod trimming;
mod voting;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Rng;
use flumen_client::{Client, TopicPartition};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, try_join_all};
use tokio::sync::watch;

use super::Failure;
use crate::anomalies;
use crate::cluster::{CLIENTS, Cluster};
use crate::faults::{Fault, Injector, Voteless, schedule};
use crate::invariants::{finished, healed, live};
use crate::network::Network;
use crate::node::Node;
use crate::operations::Operations;
use crate::rng::SeededRng;
use crate::spawn::Gate;
use crate::view::Viewer;

const TOPIC: &str = "load";
/// The topic of which the beginning is deleted.
const TRIMMED: &str = "trimmed";
const PARTITIONS: i32 = 4;
const GROUP: &str = "readers";
const MEMBERS: usize = 3;
const PRODUCERS: u32 = 2;

/// The consumers that are no members, by the numbers that their polls are noted with.
const FOLLOWER: u32 = 101;
const LAST_READER: u32 = 102;

/// How long faults go on.
const FAULTS_UNTIL: Duration = Duration::from_secs(30);

/// How long after that everything may take to be well again.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// In one of so many runs an administrator changes who votes on metadata.
const CHANGES_OF_VOTERS_EVERY: u64 = 4;

/// How often the brokers are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the clients know, shared with the scenario.
type Shared = Rc<RefCell<Operations>>;

/// The clients that are not done.
type Busy = Rc<RefCell<BTreeSet<String>>>;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What clients did and saw.
    pub operations: Operations,
    /// What was done to the cluster.
    pub log: Vec<String>,
    /// What is wrong.
    pub problems: Vec<String>,
    /// Virtual time that it took.
    pub elapsed: Duration,
}

impl Outcome {
    /// Everything in it, a line each: two runs of one seed must agree on it.
    #[must_use]
    pub fn trace(&self) -> String {
        let Operations { sends, polls, progress, assigned, ends, trims, moves, settings, topics } =
            &self.operations;
        let mut lines = self.log.clone();
        lines.extend(sends.iter().map(|send| format!("{send:?}")));
        lines.extend(polls.iter().map(|poll| format!("{poll:?}")));
        lines.extend(progress.iter().map(|progress| format!("{progress:?}")));
        lines.extend(assigned.iter().map(|assigned| format!("{assigned:?}")));
        lines.extend(ends.iter().map(|end| format!("{end:?}")));
        lines.extend(trims.iter().map(|trim| format!("{trim:?}")));
        lines.extend(moves.iter().map(|moves| format!("{moves:?}")));
        lines.extend(settings.iter().map(|setting| format!("{setting:?}")));
        lines.extend(topics.iter().map(|topic| format!("{topic:?}")));
        lines.push(format!("{:?} {:?}", self.problems, self.elapsed));
        lines.join("\n")
    }
}

/// How many brokers a seed is for: mostly three, and sometimes one or five.
#[must_use]
pub fn brokers_of(seed: u64) -> i32 {
    match SeededRng::new(seed).below(10) {
        0 => 1,
        1 | 2 => 5,
        _ => 3,
    }
}

/// Runs the scenario of a seed with so many brokers.
///
/// # Errors
/// The run did not come to its end.
pub fn run(seed: u64, brokers: i32) -> Result<Outcome, Failure> {
    let rng = SeededRng::new(seed);
    let hosts = (1..=brokers).map(host);
    let configs = hosts.zip(1..).map(|(host, id)| (host, broker_config(id, brokers)));
    let mut cluster = Cluster::new(configs.collect(), &rng, FAULTS_UNTIL + RECOVERY_MAX);
    let mut planned = schedule(&rng, cluster.machines.len(), MEMBERS, FAULTS_UNTIL);
    // A quorum that was just made smaller need not get over the loss of a disk.
    let changes_voters = rng.below(CHANGES_OF_VOTERS_EVERY) == 0;
    planned.retain(|planned| !(changes_voters && matches!(planned.fault, Fault::ReplaceDisk(_))));
    let mut injector = Injector::new(planned, SeededRng::new(rng.next_u64()), MEMBERS);

    let shared = Shared::default();
    let (phase, phases) = watch::channel(Phase::Load);
    let network = Arc::clone(cluster.network());
    let busy = Busy::default();
    let clients = Clients {
        network,
        seed: rng.next_u64(),
        brokers,
        phases,
        changes_voters,
        voteless: Rc::clone(injector.voteless()),
        gates: injector.gates().to_vec(),
        busy: Rc::clone(&busy),
    };
    cluster.start_clients(clients.run(Rc::clone(&shared)));

    let (mut viewer, mut watch) = (Viewer::default(), live::Watch::default());
    let (mut next_look, mut problems) = (Duration::ZERO, Vec::new());
    while problems.is_empty() {
        let now = cluster.elapsed();
        if now >= FAULTS_UNTIL && *phase.borrow() == Phase::Load {
            injector.heal(&mut cluster);
            phase.send_replace(Phase::Drain);
        } else if now < FAULTS_UNTIL {
            injector.advance(&mut cluster);
        }
        let are_clients_done = cluster.step().map_err(Failure)?;
        if cluster.elapsed() < next_look {
            continue;
        }
        next_look = cluster.elapsed() + LOOK_EVERY;
        let mut view = viewer.look(cluster.elapsed(), &cluster.machines);
        view.damaged.clone_from(injector.damaged());
        view.replaced.clone_from(injector.replaced());
        problems = watch.observe(&view);
        let is_time_over = cluster.elapsed() >= FAULTS_UNTIL + RECOVERY_MAX - LOOK_EVERY;
        if !are_clients_done && !is_time_over {
            continue;
        }
        let ailments = healed::ailments(&view, cluster.machines.len());
        if are_clients_done && ailments.is_empty() {
            break;
        }
        if is_time_over {
            let busy = busy.borrow();
            problems.push(format!("no recovery: {busy:?} not done; {ailments:?}"));
        }
    }
    let (elapsed, log) = (cluster.elapsed(), std::mem::take(&mut cluster.log));
    let is_over = problems.is_empty();
    drop(cluster);
    let operations = shared.take();
    if is_over {
        problems.extend(anomalies::found(&operations));
        problems.extend(finished::violations(&operations));
    }
    Ok(Outcome { operations, log, problems, elapsed })
}

fn host(id: i32) -> String {
    format!("broker-{id}")
}

fn broker_config(id: i32, brokers: i32) -> BrokerConfig {
    let voters: Vec<_> = (1..=brokers).map(|id| format!("{id}@{}:9192", host(id))).collect();
    let (replicas, in_sync_min) = if brokers < 3 { ("1", "1") } else { ("3", "2") };
    let (id_text, host, voters) = (id.to_string(), host(id), voters.join(","));
    let (listener, peer) = (format!("PLAINTEXT://{host}:9092"), format!("{host}:9192"));
    let of_several = [("peer.listener", peer.as_str()), ("controller.quorum.voters", &voters)];
    let of_all = [
        ("node.id", id_text.as_str()),
        ("listeners", &listener),
        ("insecure", "true"),
        ("http.listener", ""),
        ("log.dirs", "/data"),
        ("broker.rack", &host),
        ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector"),
        ("default.replication.factor", replicas),
        ("min.insync.replicas", in_sync_min),
        ("offsets.topic.num.partitions", "2"),
        ("offsets.topic.replication.factor", replicas),
        ("group.min.session.timeout.ms", "1000"),
        ("group.initial.rebalance.delay.ms", "100"),
        // Short, so that a run rolls segments, and metadata is read from snapshots.
        ("log.roll.ms", "4000"),
        ("metadata.log.max.snapshot.interval.ms", "4000"),
    ];
    let of_several = of_several.into_iter().filter(|_| brokers > 1);
    BrokerConfig::with(of_all.into_iter().chain(of_several)).expect("these settings are right")
}

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Work, whatever happens.
    Load,
    /// Finish: everything is healed.
    Drain,
}

/// Makes the clients of a run.
struct Clients {
    network: Arc<Network>,
    seed: u64,
    brokers: i32,
    phases: watch::Receiver<Phase>,
    changes_voters: bool,
    voteless: Voteless,
    /// Those of the members of the group.
    gates: Vec<Arc<Gate>>,
    busy: Busy,
}

/// One client program.
#[derive(Clone)]
struct Program {
    client: Client,
    rng: Rc<SeededRng>,
    /// The rack that it is in: that of a broker, or of none.
    rack: Option<String>,
    phases: watch::Receiver<Phase>,
    shared: Shared,
}

impl Clients {
    /// Runs all clients to their end.
    async fn run(self, shared: Shared) -> turmoil::Result {
        let seeds = SeededRng::new(self.seed);
        let admin = self.program(&seeds, &shared).await?;
        administration::await_brokers(&admin, self.brokers).await;
        administration::create(&admin.client, TOPIC, PARTITIONS).await?;
        let mut running: Vec<LocalBoxFuture<'_, turmoil::Result>> = Vec::new();
        for number in 1..=PRODUCERS {
            let program = self.program(&seeds, &shared).await?;
            let name = format!("producer {number}");
            running.push(self.noted(name, producing::run(program, number)).boxed_local());
        }
        for (gate, number) in self.gates.iter().zip(1..) {
            let program = self.program_behind(gate, &seeds, &shared).await?;
            let member = gate.guard(reading::in_group(program, number).boxed_local());
            running.push(self.noted(format!("member {number}"), member).boxed_local());
        }
        let program = self.program(&seeds, &shared).await?;
        let following = reading::follow(program, FOLLOWER);
        running.push(self.noted("follower".to_owned(), following).boxed_local());
        let asking = reading::ask_ends(self.program(&seeds, &shared).await?);
        running.push(self.noted("asker".to_owned(), asking).boxed_local());
        let administering = administration::run(admin.clone(), self.brokers);
        running.push(self.noted("administrator".to_owned(), administering).boxed_local());
        if self.brokers > 1 {
            let operator = self.program(&seeds, &shared).await?;
            let voting = if self.changes_voters {
                voting::change(operator, self.brokers).boxed_local()
            } else {
                voting::restore(operator, Rc::clone(&self.voteless)).boxed_local()
            };
            running.push(self.noted("operator".to_owned(), voting).boxed_local());
        }
        let trimming = trimming::run(self.program(&seeds, &shared).await?);
        running.push(self.noted("trimmer".to_owned(), trimming).boxed_local());
        try_join_all(running).await?;
        let reading = reading::to_the_end(&admin, LAST_READER);
        self.noted("last reader".to_owned(), reading).await?;
        self.noted("reader of what is left".to_owned(), trimming::look(&admin)).await?;
        administration::look(&admin).await
    }

    /// Runs a client and remembers its name until it is done.
    async fn noted<T>(&self, name: String, client: impl Future<Output = T>) -> T {
        self.busy.borrow_mut().insert(name.clone());
        let outcome = client.await;
        self.busy.borrow_mut().remove(&name);
        outcome
    }

    async fn program(&self, seeds: &SeededRng, shared: &Shared) -> turmoil::Result<Program> {
        self.program_behind(&Arc::default(), seeds, shared).await
    }

    /// A program whose tasks are behind a gate.
    async fn program_behind(
        &self,
        gate: &Arc<Gate>,
        seeds: &SeededRng,
        shared: &Shared,
    ) -> turmoil::Result<Program> {
        let mut node = Node::new(CLIENTS, Arc::clone(&self.network), seeds.next_u64());
        node.gate = Arc::clone(gate);
        let bootstrap: Vec<_> = (1..=self.brokers).map(|id| format!("{}:9092", host(id))).collect();
        let client = loop {
            let builder = Client::builder(&bootstrap.join(","))
                .seams(node.seams())
                .request_timeout(Duration::from_secs(3))
                .connect_timeout(Duration::from_secs(1))
                .api_timeout(FAULTS_UNTIL + RECOVERY_MAX);
            // It may take a while until a cluster is there.
            if let Ok(client) = builder.connect().await {
                break client;
            }
        };
        let (rng, phases) = (Rc::new(SeededRng::new(seeds.next_u64())), self.phases.clone());
        let id = i32::try_from(rng.below(2 * u64::from(self.brokers.unsigned_abs())))? + 1;
        let rack = (id <= self.brokers).then(|| host(id));
        Ok(Program { client, rng, rack, phases, shared: Rc::clone(shared) })
    }
}

impl Program {
    fn is_draining(&self) -> bool {
        *self.phases.borrow() == Phase::Drain
    }

    /// Waits, at most until everything is healed.
    async fn pause(&mut self, at_most_ms: u64) {
        let pause = Duration::from_millis(self.rng.below(at_most_ms));
        let drain = self.phases.wait_for(|phase| *phase == Phase::Drain);
        drop(tokio::time::timeout(pause, drain).await);
    }

    /// The partitions of the topic.
    fn partitions() -> Vec<TopicPartition> {
        (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, index)).collect()
    }
}
