//! The hosts of a run and everything that can be done to them.
//!
//! Owns the network simulator. What a fault is made of, and when, is decided in
//! [`faults`](crate::faults).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flumen_broker::config::BrokerConfig;
use flumen_client::connection::Rng;
use flumen_storage::vfs::simulated::{Operation, Unsynced};

use crate::faults::Stop;
use crate::machine::Machine;
use crate::network::Network;
use crate::rng::SeededRng;

/// The host that all clients run on.
pub const CLIENTS: &str = "clients";

/// The day on which all simulations begin.
const EPOCH_SECONDS: u64 = 1_800_000_000;

/// How much virtual time passes between two turns of a host.
const TICK: Duration = Duration::from_millis(1);

/// The quickest and the slowest message on a link that nothing is wrong with.
const LATENCY: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(2));

/// Connection requests that wait to be accepted, and segments under way on a connection.
const BACKLOG: usize = 4096;

/// How long a broker that ended by itself stays down.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// What a link between two hosts is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Messages arrive.
    Open,
    /// Messages wait until the link is open again, as TCP would send them again.
    Held,
    /// Messages are lost, and with them the connections they belong to: from the first host to the
    /// second, from the second to the first, or both.
    Lossy {
        /// From the first to the second.
        forward: bool,
        /// From the second to the first.
        backward: bool,
    },
}

/// Brokers on machines, and clients on a host of their own.
pub struct Cluster {
    sim: turmoil::Sim<'static>,
    /// The machines of the brokers.
    pub machines: Vec<Machine>,
    network: Arc<Network>,
    /// The links that are not open.
    links: BTreeMap<(String, String), Link>,
    /// When the machines that are down start again.
    down: BTreeMap<usize, Duration>,
    /// What was done to the hosts, and what brokers did by themselves.
    pub log: Vec<String>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("machines", &self.machines).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Machines with these settings, one each, that start at once.
    #[must_use]
    pub fn new(brokers: Vec<(String, BrokerConfig)>, rng: &SeededRng, limit: Duration) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(rng.next_u64())
            .epoch(UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS))
            .simulation_duration(limit)
            .tick_duration(TICK)
            .tcp_capacity(BACKLOG)
            .min_message_latency(LATENCY.0)
            .max_message_latency(LATENCY.1)
            .build();
        let network = Arc::new(Network::default());
        let mut machines = Vec::new();
        for (host, config) in brokers {
            let machine = Machine::new(&host, config, &network, rng.next_u64());
            machines.push(machine.clone());
            sim.host(host, move || {
                let machine = machine.clone();
                async move { machine.run().await }
            });
        }
        let (links, down, log) = Default::default();
        Self { sim, machines, network, links, down, log }
    }

    /// The network, for the nodes of clients.
    #[must_use]
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Starts what runs on the clients' host.
    pub fn start_clients(&mut self, clients: impl Future<Output = turmoil::Result> + 'static) {
        self.sim.client(CLIENTS, clients);
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Lets a moment pass. Returns whether the clients are done.
    ///
    /// # Errors
    /// A client failed, or a task panicked.
    pub fn step(&mut self) -> Result<bool, String> {
        let now = self.elapsed();
        for index in 0..self.machines.len() {
            if let Some(reason) = self.machines[index].ended() {
                self.note(&format!("{} ended: {reason}", self.machines[index].host));
                // A failed sync leaves in memory what is not on the disk, so the machine starts anew.
                self.stop(index, Stop::PowerCut(Unsynced::Dropped), now + RESTART_AFTER);
            }
        }
        let due = self.down.extract_if(.., |_, at| *at <= now).map(|(index, _)| index);
        for index in due.collect::<Vec<_>>() {
            self.note(&format!("{} starts", self.machines[index].host));
            self.sim.bounce(self.machines[index].host.clone());
        }
        self.sim.step().map_err(|error| format!("after {:?}: {error}", self.elapsed()))
    }

    /// Adds a line to the log, with the time.
    pub fn note(&mut self, what: &str) {
        self.log.push(format!("{:>7.3} {what}", self.elapsed().as_secs_f64()));
    }

    /// Stops a machine that runs, and has it start again at a time.
    pub fn stop(&mut self, index: usize, stop: Stop, back_at: Duration) {
        if self.down.contains_key(&index) {
            return;
        }
        let machine = self.machines[index].clone();
        match stop {
            Stop::Kill => machine.kill(),
            Stop::PowerCut(unsynced) => machine.cut_power(unsynced),
            Stop::LoseDisk => machine.lose_disk(),
        }
        // The simulator drops the tasks of a host in an order that depends on earlier runs, so what
        // their connections say in parting must not reach anybody.
        let others = self.others(&machine.host);
        for other in &others {
            self.sim.partition(machine.host.clone(), other.clone());
        }
        self.sim.crash(machine.host.clone());
        for other in &others {
            self.sim.repair(machine.host.clone(), other.clone());
            let link = self.link(&machine.host, other);
            self.open(&machine.host, other, link);
            // The kernel resets the connections of a dead process. Without power nobody does.
            if stop == Stop::Kill && link == Link::Open {
                self.network.cut(&machine.host, other);
            }
        }
        self.down.insert(index, back_at);
    }

    /// Whether a machine is down.
    #[must_use]
    pub fn is_down(&self, index: usize) -> bool {
        self.down.contains_key(&index)
    }

    /// Starts everything that is down.
    pub fn start_all(&mut self) {
        let now = self.elapsed();
        self.down.values_mut().for_each(|at| *at = now);
    }

    /// Changes a link.
    pub fn set_link(&mut self, one: &str, other: &str, link: Link) {
        match self.link(one, other) {
            Link::Open => {}
            Link::Held => self.sim.release(one.to_owned(), other.to_owned()),
            Link::Lossy { .. } => self.sim.repair(one.to_owned(), other.to_owned()),
        }
        self.network.set_severed(one, other, false);
        self.network.set_severed(other, one, false);
        self.links.remove(&(other.to_owned(), one.to_owned()));
        self.links.insert((one.to_owned(), other.to_owned()), link);
        self.open(one, other, link);
    }

    /// What a link is like.
    fn link(&self, one: &str, other: &str) -> Link {
        let reverse = |link: &Link| match *link {
            Link::Lossy { forward, backward } => {
                Link::Lossy { forward: backward, backward: forward }
            }
            same => same,
        };
        let known = self.links.get(&(one.to_owned(), other.to_owned())).copied();
        let reversed = || self.links.get(&(other.to_owned(), one.to_owned())).map(reverse);
        known.or_else(reversed).unwrap_or(Link::Open)
    }

    /// Brings a link that is open to what it is to be like.
    fn open(&self, one: &str, other: &str, link: Link) {
        let (forward, backward) = match link {
            Link::Open => return,
            Link::Held => {
                self.sim.hold(one.to_owned(), other.to_owned());
                (true, true)
            }
            Link::Lossy { forward, backward } => {
                if forward {
                    self.sim.partition_oneway(one.to_owned(), other.to_owned());
                }
                if backward {
                    self.sim.partition_oneway(other.to_owned(), one.to_owned());
                }
                (forward, backward)
            }
        };
        self.network.set_severed(one, other, forward);
        self.network.set_severed(other, one, backward);
    }

    /// Slows the messages of a link down; `None` as usual.
    pub fn set_latency(&self, one: &str, other: &str, latency_max: Option<Duration>) {
        let latency_max = latency_max.unwrap_or(LATENCY.1);
        self.sim.set_link_max_message_latency(one.to_owned(), other.to_owned(), latency_max);
    }

    /// Resets the connections between two hosts.
    pub fn cut_connections(&self, one: &str, other: &str) {
        self.network.cut(one, other);
    }

    /// Lets the next sync of a machine's disk fail.
    pub fn fail_sync(&self, index: usize) {
        let disk = &self.machines[index].disk;
        disk.fail_matching(Operation::Sync, "", 1);
    }

    /// Every host but one.
    fn others(&self, host: &str) -> Vec<String> {
        let hosts = self.hosts().into_iter();
        hosts.filter(|other| other != host).collect()
    }

    /// Every host, the clients' last.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let brokers = self.machines.iter().map(|machine| machine.host.clone());
        brokers.chain([CLIENTS.to_owned()]).collect()
    }
}
