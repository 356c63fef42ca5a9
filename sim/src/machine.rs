//! A machine that a broker runs on: its disk outlives the power cuts, the rest does not.

use std::sync::{Arc, Mutex, MutexGuard};

use flumen_broker::Broker;
use flumen_broker::api::Context;
use flumen_broker::config::BrokerConfig;
use flumen_storage::vfs::SimulatedDisk;
use flumen_storage::vfs::simulated::Unsynced;
use tokio::sync::Notify;

use crate::network::{Network, Presence};
use crate::node::Node;

/// One machine. Clones are the same machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The name by which others reach it.
    pub host: String,
    /// What is on it survives as far as it was synced.
    pub disk: SimulatedDisk,
    config: BrokerConfig,
    network: Arc<Network>,
    process: Arc<Mutex<Process>>,
}

/// What runs on the machine.
#[derive(Debug)]
struct Process {
    node: Node,
    /// Counts the starts.
    boot: u32,
    context: Option<Arc<Context>>,
    /// Told when it is to stop in order.
    leaving: Arc<Notify>,
    /// Why it ended by itself.
    ended: Option<String>,
}

impl Machine {
    /// A machine with an empty disk.
    #[must_use]
    pub fn new(host: &str, config: BrokerConfig, network: &Arc<Network>, seed: u64) -> Self {
        let node = Node::new(host, Arc::clone(network), seed);
        let leaving = Arc::default();
        let process = Process { node, boot: 0, context: None, leaving, ended: None };
        Self {
            host: host.to_owned(),
            disk: SimulatedDisk::new(),
            config,
            network: Arc::clone(network),
            process: Arc::new(Mutex::new(process)),
        }
    }

    /// Runs the broker until the machine stops it.
    ///
    /// When the broker ends by itself, [`Machine::ended`] says so, and whoever watches over the machine
    /// has to stop it: until then its connections stay open.
    pub async fn run(&self) -> turmoil::Result {
        let (node, leaving) = {
            let mut process = self.process();
            process.boot += 1;
            (process.node.clone(), Arc::clone(&process.leaving))
        };
        self.network.set_presence(&self.host, Presence::Running);
        let reason = node.gate.guard(Box::pin(self.serve(&node, &leaving))).await;
        self.process().ended = Some(reason);
        std::future::pending().await
    }

    async fn serve(&self, node: &Node, leaving: &Notify) -> String {
        let disk = Arc::new(self.disk.mount());
        match Broker::start_on(self.config.clone(), node.seams(), disk).await {
            Ok(mut broker) => {
                self.process().context = Some(Arc::clone(broker.context()));
                let failed = async { Some(broker.failed().await) };
                let asked = async {
                    leaving.notified().await;
                    None
                };
                let failed =
                    tokio::select! { biased; reason = failed => reason, none = asked => none };
                let reason = match failed {
                    Some(reason) => reason,
                    None => {
                        broker.shutdown().await;
                        "it was stopped in order".to_owned()
                    }
                };
                self.process().context = None;
                reason
            }
            Err(error) => format!("did not start: {error}"),
        }
    }

    /// Asks the broker to stop in order, if it serves; then it has [`ended`](Self::ended).
    pub fn leave(&self) {
        let process = self.process();
        if process.context.is_some() {
            process.leaving.notify_one();
        }
    }

    /// Stops the process between two polls, and nothing else.
    ///
    /// To be followed by the network simulator's own crash of the host, whose destructors then
    /// find a disk that is already gone.
    pub fn kill(&self) {
        self.stop(Presence::Idle, Unsynced::Kept);
    }

    /// Stops the machine between two polls; its next start is another process. To be followed as a kill
    /// is.
    pub fn cut_power(&self, unsynced: Unsynced) {
        self.stop(Presence::Off, unsynced);
    }

    /// Stops the machine between two polls, and gives it an empty disk. To be followed as a kill is.
    pub fn lose_disk(&self) {
        self.stop(Presence::Off, Unsynced::Dropped);
        self.disk.replace();
    }

    fn stop(&self, presence: Presence, unsynced: Unsynced) {
        let mut process = self.process();
        process.node.gate.kill();
        process.node = process.node.restarted();
        process.leaving = Arc::default();
        process.ended = None;
        let context = process.context.take();
        drop(process);
        drop(context);
        self.network.set_presence(&self.host, presence);
        self.disk.crash(unsynced);
    }

    /// Why the broker ended by itself, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.process().ended.clone()
    }

    /// The seams of the process, to disturb it by.
    #[must_use]
    pub fn node(&self) -> Node {
        self.process().node.clone()
    }

    /// The parts of the broker, and the number of its start, while it runs.
    #[must_use]
    pub fn context(&self) -> Option<(u32, Arc<Context>)> {
        let process = self.process();
        Some((process.boot, process.context.clone()?))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().expect("nobody panics while holding the process")
    }
}
