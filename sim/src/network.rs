//! What the simulated network and the machines on it are like at the moment, beyond what the network
//! simulator knows itself.
//!
//! The simulator reports every connection request that is lost as refused, and keeps those to a host
//! that is down until it is up again. A broker draws conclusions from a refusal (nobody listens
//! there), so [`SimulatedNet`](crate::net::SimulatedNet) asks here what a real network would do: a
//! dead process refuses, and a machine without power or behind a broken link is silent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};

use parking_lot::Mutex;

/// The name of a host.
pub type Host = String;

/// What is there at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The machine has no power.
    Off,
    /// The machine runs, and the process does not.
    Idle,
    /// The process runs.
    Running,
}

/// What becomes of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It arrives.
    Open,
    /// It is answered: nobody listens.
    Refused,
    /// It is not answered.
    Silent,
}

/// The state of the network; one for all hosts of a run.
#[derive(Debug, Default)]
pub struct Network {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Hosts that were never mentioned are running.
    presence: BTreeMap<Host, Presence>,
    /// Directions in which nothing arrives.
    severed: BTreeSet<(Host, Host)>,
    connections: Vec<Weak<Cut>>,
}

impl Network {
    /// What happens at a host from now on.
    pub fn set_presence(&self, host: &str, presence: Presence) {
        self.state.lock().presence.insert(host.to_owned(), presence);
    }

    /// Breaks the direction from one host to another, or repairs it.
    pub fn set_severed(&self, from: &str, to: &str, is_severed: bool) {
        let direction = (from.to_owned(), to.to_owned());
        let severed = &mut self.state.lock().severed;
        if is_severed {
            severed.insert(direction);
        } else {
            severed.remove(&direction);
        }
    }

    /// What becomes of an attempt to connect.
    #[must_use]
    pub fn reach(&self, from: &str, to: &str) -> Reach {
        let state = self.state.lock();
        let is_severed =
            |from: &str, to: &str| state.severed.contains(&(from.to_owned(), to.to_owned()));
        match state.presence.get(to).unwrap_or(&Presence::Running) {
            Presence::Off => Reach::Silent,
            _ if is_severed(from, to) || is_severed(to, from) => Reach::Silent,
            Presence::Idle => Reach::Refused,
            Presence::Running => Reach::Open,
        }
    }

    /// Resets all connections between two hosts.
    pub fn cut(&self, one: &str, other: &str) {
        let mut state = self.state.lock();
        state.connections.retain(|connection| connection.strong_count() > 0);
        let connections: Vec<_> = state.connections.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        for connection in connections.iter().filter(|connection| connection.joins(one, other)) {
            connection.cut();
        }
    }

    /// Notes one end of a connection, so that it can be cut.
    pub(crate) fn connected(&self, from: &str, to: &str) -> Arc<Cut> {
        let cut = Arc::new(Cut {
            hosts: (from.to_owned(), to.to_owned()),
            is_cut: AtomicBool::default(),
            wakers: Mutex::default(),
        });
        self.state.lock().connections.push(Arc::downgrade(&cut));
        cut
    }
}

/// Whether one end of a connection still works.
#[derive(Debug)]
pub(crate) struct Cut {
    hosts: (Host, Host),
    is_cut: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Cut {
    /// Fails if the connection was cut; if not, the caller is woken when it is.
    pub(crate) fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Ok(())
    }

    fn joins(&self, one: &str, other: &str) -> bool {
        let (from, to) = &self.hosts;
        (from == one && to == other) || (from == other && to == one)
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for waker in wakers {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dead_process_on_a_machine_that_can_be_reached_refuses() {
        let network = Network::default();
        let check = |expected| assert_eq!(network.reach("a", "b"), expected);
        check(Reach::Open);
        network.set_presence("b", Presence::Idle);
        check(Reach::Refused);
        network.set_severed("b", "a", true);
        check(Reach::Silent);
        network.set_severed("b", "a", false);
        network.set_presence("b", Presence::Off);
        check(Reach::Silent);
        network.set_presence("b", Presence::Running);
        network.set_severed("a", "b", true);
        check(Reach::Silent);
    }

    #[test]
    fn a_cut_reaches_the_connections_between_two_hosts() {
        let network = Network::default();
        let (cut, other) = (network.connected("a", "b"), network.connected("a", "c"));
        network.cut("b", "a");
        let cx = Context::from_waker(Waker::noop());
        assert!(cut.check(&cx).is_err());
        assert!(other.check(&cx).is_ok());
    }
}
