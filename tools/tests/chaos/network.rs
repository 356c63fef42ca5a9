//! The links between brokers and clients: what each does at the moment to the bytes that go over it.
//!
//! A link has a direction. What two nodes say to each other goes over two links, whoever connected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// All clients together.
    Clients,
    /// The broker with this id.
    Broker(i32),
}

/// What a link does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Nothing arrives. What was sent meanwhile arrives afterwards, as TCP sends it again.
    pub(crate) is_cut: bool,
    /// How much later everything arrives.
    pub(crate) delay: Duration,
    /// Counts: connections that are open then are broken in the middle of what they carry next.
    pub(crate) resets: u64,
    /// Counts: connections that are open then carry nothing any more, and no end hears of it.
    pub(crate) forgets: u64,
}

/// A link as one connection uses it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    condition: watch::Receiver<Condition>,
    /// The counters as they were when the connection began.
    begun: Condition,
    carried: Arc<AtomicU64>,
}

impl Link {
    /// How much later everything arrives.
    pub(crate) fn delay(&self) -> Duration {
        self.condition.borrow().delay
    }

    /// Whether the connection has to be broken.
    pub(crate) fn is_reset(&self) -> bool {
        self.condition.borrow().resets != self.begun.resets
    }

    /// Counts what has arrived.
    pub(crate) fn carry(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits while the link is cut.
    pub(crate) async fn passable(&self) {
        self.until(|now| !now.is_cut).await;
    }

    /// Waits until the connection is one that nobody remembers.
    pub(crate) async fn forgotten(&self) {
        let begun = self.begun.forgets;
        self.until(|now| now.forgets != begun).await;
    }

    async fn until(&self, holds: impl Fn(&Condition) -> bool) {
        if self.condition.clone().wait_for(holds).await.is_err() {
            // The network is gone, and with it everything that could change.
            std::future::pending::<()>().await;
        }
    }
}

/// All links. One that nobody has named yet does nothing to what it carries.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: Mutex<BTreeMap<(Node, Node), State>>,
}

/// A link as all its connections share it.
#[derive(Debug, Default)]
struct State {
    condition: watch::Sender<Condition>,
    carried: Arc<AtomicU64>,
}

impl Network {
    /// The link for a connection that begins now.
    pub(crate) fn link(&self, from: Node, to: Node) -> Link {
        let mut links = self.links.lock();
        let State { condition, carried } = links.entry((from, to)).or_default();
        let condition = condition.subscribe();
        let begun = *condition.borrow();
        Link { condition, begun, carried: Arc::clone(carried) }
    }

    /// Changes what a link does.
    pub(crate) fn change(&self, from: Node, to: Node, change: impl FnOnce(&mut Condition)) {
        let mut links = self.links.lock();
        links.entry((from, to)).or_default().condition.send_modify(change);
    }

    /// Lets everything through again. What was broken stays broken.
    pub(crate) fn heal(&self) {
        for state in self.links.lock().values() {
            state.condition.send_modify(|now| {
                now.is_cut = false;
                now.delay = Duration::ZERO;
            });
        }
    }

    /// How many bytes went over a link.
    pub(crate) fn carried(&self, from: Node, to: Node) -> u64 {
        let links = self.links.lock();
        links.get(&(from, to)).map_or(0, |state| state.carried.load(Ordering::Relaxed))
    }
}
