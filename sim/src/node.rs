//! One simulated machine: its clock, its random numbers, and the gates in front of its tasks and of
//! its disk.

use std::sync::Arc;

use flumen_client::connection::Seams;

use crate::clock::SimulatedClock;
use crate::net::SimulatedNet;
use crate::network::Network;
use crate::rng::SeededRng;
use crate::spawn::{DiskSpeed, Gate, GatedSpawn, Lateness};

/// The seams of one node and the handles by which a scenario disturbs it.
///
/// The clock lives as long as the machine; the gate belongs to one start of the process.
#[derive(Debug, Clone)]
pub struct Node {
    /// Moves this node's wall clock.
    pub clock: Arc<SimulatedClock>,
    /// Pauses or kills this node's tasks.
    pub gate: Arc<Gate>,
    /// Slows or stops what waits for the disk.
    pub disk_speed: Arc<DiskSpeed>,
    host: String,
    network: Arc<Network>,
    rng: Arc<SeededRng>,
    lateness: Arc<Lateness>,
}

impl Node {
    /// A process on the host of that name, whose random numbers follow from `seed`.
    #[must_use]
    pub fn new(host: &str, network: Arc<Network>, seed: u64) -> Self {
        Self {
            clock: Arc::default(),
            gate: Arc::default(),
            disk_speed: Arc::default(),
            host: host.to_owned(),
            network,
            rng: Arc::new(SeededRng::new(seed)),
            lateness: Arc::new(Lateness::new(!seed)),
        }
    }

    /// The same machine after a restart: a new gate, the clock and the random stream go on.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self { gate: Arc::default(), disk_speed: Arc::default(), ..self.clone() }
    }

    /// What a broker or a client on this node is given.
    #[must_use]
    pub fn seams(&self) -> Seams {
        Seams {
            net: Arc::new(SimulatedNet::new(&self.host, Arc::clone(&self.network))),
            clock: Arc::clone(&self.clock) as _,
            rng: Arc::clone(&self.rng) as _,
            spawn: Arc::new(GatedSpawn::new(
                Arc::clone(&self.gate),
                Arc::clone(&self.disk_speed),
                Arc::clone(&self.lateness),
            )),
        }
    }
}
