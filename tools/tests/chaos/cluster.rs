//! The brokers of a run, and what can be said of all of them together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen_client::Client;
use flumen_client::cluster::{Partition, Topics};

use crate::disk::Disk;
use crate::machine::Machine;
use crate::network::{Network, Node};
use crate::origin::Processes;
use crate::seams::seams;

/// How long a request to look around may take.
const LOOK_TIME_MAX: Duration = Duration::from_secs(2);

/// How long after a fault everything has to be as it was.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(60);

/// Pauses between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// All machines, in the order of their ids, and the network between them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Arc<Network>,
    /// Why brokers have no file systems of their own, if they have none.
    pub(crate) no_disks: Option<String>,
}

impl Cluster {
    /// Machines with the ids from 1, none of them started.
    pub(crate) fn new(folder: &Path, brokers: i32) -> Self {
        let network = Arc::new(Network::default());
        let processes = Arc::new(Processes::default());
        let path = |id: i32| folder.join(format!("broker-{id}"));
        let images: Result<Vec<_>, _> = (1..=brokers).map(|id| Disk::image(&path(id))).collect();
        let (disks, no_disks) = match images {
            Ok(images) => (images, None),
            Err(reason) => {
                ((1..=brokers).map(|id| Disk::folder(&path(id))).collect(), Some(reason))
            }
        };
        let machine = |(id, disk)| Machine::new(id, disk, folder, &network, &processes);
        let machines = (1..=brokers).zip(disks).map(machine).collect();
        Self { machines, network, no_disks }
    }

    /// The ids of all brokers.
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.machines.iter().map(|machine| machine.id).collect()
    }

    /// The machine of a broker.
    pub(crate) fn machine(&mut self, id: i32) -> &mut Machine {
        self.machines.iter_mut().find(|machine| machine.id == id).expect("brokers have machines")
    }

    /// Starts one broker; all are voters, and one that is alone needs no others.
    pub(crate) fn start(&mut self, id: i32) {
        let voter = |machine: &Machine| format!("{}@{}", machine.id, machine.peer_address());
        let voters: Vec<_> = self.machines.iter().map(voter).collect();
        let voters = (voters.len() > 1).then(|| voters.join(","));
        self.machine(id).start(voters.as_deref());
    }

    /// Starts all brokers that are not there.
    pub(crate) fn start_missing(&mut self) {
        for id in self.ids() {
            if !self.machine(id).is_started() {
                self.start(id);
            }
        }
    }

    /// Where clients find the cluster.
    pub(crate) fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self.machines.iter().map(Machine::client_address).collect();
        addresses.join(",")
    }

    /// A client that waits only shortly for an answer.
    pub(crate) async fn onlooker(&self) -> Client {
        let builder = Client::builder(&self.bootstrap());
        let builder = builder.request_timeout(LOOK_TIME_MAX).connect_timeout(LOOK_TIME_MAX);
        builder.connect().await.unwrap_or_else(|error| panic!("{error}\n{}", self.last_words()))
    }

    /// Does something to the links between a broker and other nodes, in both directions.
    pub(crate) fn around(
        &self,
        id: i32,
        others: &[Node],
        change: impl Fn(&mut crate::network::Condition),
    ) {
        for other in others {
            self.network.change(Node::Broker(id), *other, &change);
            self.network.change(*other, Node::Broker(id), &change);
        }
    }

    /// All brokers but one, as nodes.
    pub(crate) fn peers_of(&self, id: i32) -> Vec<Node> {
        self.ids().into_iter().filter(|other| *other != id).map(Node::Broker).collect()
    }

    /// Waits until every partition of the topic is led and all its replicas are in sync, and every
    /// process runs; gives how long that took.
    pub(crate) async fn whole_again(&mut self, client: &Client, topic: &str) -> Duration {
        let clock = &seams().clock;
        let began = clock.monotonic();
        let is_whole = |partition: &Partition| {
            partition.leader.is_some() && partition.in_sync.len() == partition.replicas.len()
        };
        loop {
            self.assert_alive();
            let topics = Topics::Named(vec![topic.to_owned()]);
            let seen = client.refresh(topics).await;
            let found = seen.as_ref().ok().and_then(|seen| seen.topic(topic));
            if found.is_some_and(|topic| topic.partitions.iter().all(is_whole)) {
                return clock.monotonic() - began;
            }
            assert!(
                clock.monotonic() - began < RECOVERY_TIME_MAX,
                "not whole again after {RECOVERY_TIME_MAX:?}: {found:?}, {:?}\n{}",
                seen.as_ref().err(),
                self.last_words()
            );
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Fails if a broker has ended by itself.
    pub(crate) fn assert_alive(&mut self) {
        for machine in &mut self.machines {
            if let Some(status) = machine.ended() {
                let said = machine.last_words(60);
                panic!("broker {} has ended by itself ({status}):\n{said}", machine.id);
            }
        }
    }

    /// What the brokers printed last.
    pub(crate) fn last_words(&self) -> String {
        let words = self
            .machines
            .iter()
            .map(|machine| format!("--- broker {}:\n{}\n", machine.id, machine.last_words(25)));
        words.collect()
    }
}
