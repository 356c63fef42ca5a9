//! Virtual time, with a wall clock of its own per node that a fault can move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flumen_client::connection::Clock;

/// The clock of one node: monotonic time is the simulation's, wall time is off by an offset.
#[derive(Debug, Default)]
pub struct SimulatedClock {
    offset_ms: AtomicI64,
}

impl SimulatedClock {
    /// Moves the wall clock of this node by `by_ms`, either way.
    pub fn jump(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> i64 {
        let since_epoch = turmoil::since_epoch().unwrap_or_default();
        let true_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        true_ms.saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }
}
