//! The run: load, one step of the plan after the other, and the verdict.

use std::fmt::Debug;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use flumen_client::Client;
use flumen_client::admin::NewTopic;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::faults;
use crate::load::{LAST_READER, Load, PARTITIONS, TOPIC};
use crate::network::Node;
use crate::plan::{Plan, Step};
use crate::seams::seams;
use crate::table::{Outcome, Table};

/// How many brokers there are.
const BROKERS: u64 = 3;

/// How long the run takes, its preparation and the reading at its end not counted.
const SECONDS: u64 = 30;

/// The plan of every run that does not ask for another.
const SEED: u64 = 1;

/// How many steps are looked at for one that is wanted.
const STEPS_MAX: usize = 1_000;

/// What the run is told by its environment, which is no business of the brokers.
pub(crate) const OUR_SETTINGS: [&str; 5] = [
    "FLUMEN_CHAOS_SECONDS",
    "FLUMEN_CHAOS_SEED",
    "FLUMEN_CHAOS_BROKERS",
    "FLUMEN_CHAOS_ONLY",
    "FLUMEN_CHAOS_CLIENT",
];

/// How long after everything is whole the last writer may wait for an acknowledgement.
const WRITERS_WAIT_MAX: Duration = Duration::from_secs(60);

#[test]
fn nothing_acknowledged_is_lost_doubled_or_reordered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let [seconds, seed, brokers, only, other] = OUR_SETTINGS;
    let (seconds, seed) = (setting(seconds, SECONDS), setting(seed, SEED));
    let brokers = i32::try_from(setting(brokers, BROKERS)).unwrap();
    let (only, other) = (setting(only, String::new()), setting(other, String::new()));
    println!("seed {seed}, {seconds} s, {brokers} brokers");
    let report = runtime.block_on(run(Duration::from_secs(seconds), seed, brokers, &only, &other));
    println!("{report}");
}

fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration table")]
    let value = std::env::var(name);
    value.map_or(default, |value| value.parse().unwrap())
}

async fn run(time: Duration, seed: u64, brokers: i32, only: &str, other: &str) -> String {
    let clock = &seams().clock;
    let folder = Folder::new();
    let mut cluster = Cluster::new(folder.path(), brokers);
    if let Some(reason) = &cluster.no_disks {
        println!("without power cuts and disks that hang: {reason}");
    }
    cluster.start_missing();
    for machine in &mut cluster.machines {
        machine.ready().await;
    }
    let onlooker = cluster.onlooker().await;
    let topic = NewTopic::new(TOPIC, PARTITIONS);
    onlooker.admin().create_topic(&topic).await.unwrap();
    cluster.whole_again(&onlooker, TOPIC).await;
    let load = Load::start(&cluster.bootstrap(), other).await;
    wait_for_writers(&mut cluster, &load, clock.monotonic()).await;
    assert_links_are_used(&cluster);

    let mut table = Table::default();
    let began = clock.monotonic();
    let mut plan = Plan::new(seed, cluster.machines.len(), cluster.no_disks.is_none());
    let is_wanted = |step: &Step| step.faults_named().contains(only);
    while clock.monotonic() - began < time {
        let step = plan.by_ref().take(STEPS_MAX).find(is_wanted).expect("a fault of that name");
        let outcome = go_through(&mut cluster, &onlooker, &load, &step).await;
        println!(
            "{:>6.1} s  {outcome}  {} for {:?}",
            (clock.monotonic() - began).as_secs_f64(),
            step.faults_named(),
            step.lasts
        );
        table.add(&step, outcome);
    }
    let gaps = table.render();
    let history = load.finish().await;
    let verdict = history.verdict(LAST_READER);
    let complaints: String = history
        .complaints()
        .into_iter()
        .map(|(complaint, times)| format!("{times:>6} x {complaint}\n"))
        .collect();
    let report = format!("{gaps}\n{complaints}\n{}", verdict.tally);
    assert!(verdict.violations.is_empty(), "{report}\n{:#?}", verdict.violations);
    for id in cluster.ids() {
        let machine = cluster.machine(id);
        let status = machine.stop().await;
        assert!(status.success(), "broker {id}: {status}\n{}", machine.last_words(40));
    }
    report
}

/// Where a run keeps everything. What the brokers said is left when it fails.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.0.disable_cleanup(true);
        for entry in std::fs::read_dir(self.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                let _ = std::fs::remove_dir_all(path);
            } else if path.extension().is_none_or(|extension| extension != "log") {
                let _ = std::fs::remove_file(path);
            }
        }
        println!("what the brokers said is in {}", self.path().display());
    }
}

/// Lets a step happen and waits until nothing of it is left.
async fn go_through(cluster: &mut Cluster, onlooker: &Client, load: &Load, step: &Step) -> Outcome {
    let clock = &seams().clock;
    let _ = load.take_gaps();
    let victims = faults::begin(cluster, onlooker, step).await;
    tokio::time::sleep(step.lasts).await;
    faults::end(cluster, step, &victims).await;
    let ended = clock.monotonic();
    cluster.whole_again(onlooker, TOPIC).await;
    wait_for_writers(cluster, load, clock.monotonic()).await;
    load.assert_alive();
    let recovery = clock.monotonic() - ended;
    let (gap, other_gap) = load.take_gaps();
    Outcome { gap, other_gap, recovery }
}

/// Waits until every writer was told after `since` that something is written.
async fn wait_for_writers(cluster: &mut Cluster, load: &Load, since: Duration) {
    let clock = &seams().clock;
    while load.waits_since() <= since {
        cluster.assert_alive();
        let waited = clock.monotonic() - since;
        if waited > WRITERS_WAIT_MAX {
            let complaints = load.history.complaints();
            panic!(
                "a writer still waits after {waited:?}; {complaints:#?}\n{}",
                cluster.last_words()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Fails unless everything goes through the proxy: a fault on a link that is not used shows nothing.
fn assert_links_are_used(cluster: &Cluster) {
    for id in cluster.ids() {
        let mut others = cluster.peers_of(id);
        others.push(Node::Clients);
        for other in others {
            let carried = cluster.network.carried(other, Node::Broker(id));
            assert!(carried > 0, "nothing went from {other:?} to broker {id}");
        }
    }
}
