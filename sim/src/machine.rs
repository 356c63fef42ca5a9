//! A machine that a broker runs on: its disk outlives the power cuts, the rest does not.

use std::sync::{Arc, Mutex, MutexGuard};

use flumen_broker::Broker;
use flumen_broker::config::BrokerConfig;
use flumen_storage::vfs::SimulatedDisk;
use flumen_storage::vfs::simulated::Unsynced;

use crate::node::Node;

/// One machine. Clones are the same machine.
#[derive(Debug, Clone)]
pub struct Machine {
    disk: SimulatedDisk,
    config: BrokerConfig,
    node: Arc<Mutex<Node>>,
}

impl Machine {
    /// A machine with an empty disk.
    #[must_use]
    pub fn new(config: BrokerConfig, seed: u64) -> Self {
        let node = Arc::new(Mutex::new(Node::new(seed)));
        Self { disk: SimulatedDisk::new(), config, node }
    }

    /// Runs the broker from its start until the machine stops.
    ///
    /// # Errors
    /// The broker did not start.
    pub async fn run(&self) -> turmoil::Result {
        let node = self.node().clone();
        let disk = Arc::new(self.disk.mount());
        let broker = Broker::start_on(self.config.clone(), node.seams(), disk).await?;
        std::future::pending::<()>().await;
        drop(broker);
        Ok(())
    }

    /// Stops the machine between two polls; its next start is another process.
    ///
    /// To be followed by the network simulator's own crash of the host, whose destructors then
    /// find a disk that is already gone.
    pub fn cut_power(&self, unsynced: Unsynced) {
        let mut node = self.node();
        node.gate.kill();
        *node = node.restarted();
        drop(node);
        self.disk.crash(unsynced);
    }

    fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().expect("nobody panics while holding the node")
    }
}
