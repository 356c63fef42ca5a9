//! Tasks behind a gate, so that a whole node can be stopped between two polls.
//!
//! The network simulator can crash a host but not pause it, and its crash runs destructors. Every
//! task of a node is therefore wrapped: a paused node's tasks are not polled until it resumes, a
//! killed node's never again, and what their destructors do later reaches a disk that is already
//! gone for them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use flumen_client::connection::{BoxFuture, Spawn, TaskHandle};

/// Whether the tasks of a node may run.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    /// Holds the wakers of the tasks that came by meanwhile.
    Paused(Vec<Waker>),
    Killed,
}

impl Gate {
    /// Stops the node, as SIGSTOP would, until [`Gate::resume`].
    pub fn pause(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Open) {
            *state = State::Paused(Vec::new());
        }
    }

    /// Lets a paused node run on; a killed one stays dead.
    pub fn resume(&self) {
        let mut state = self.lock();
        let State::Paused(wakers) = &mut *state else { return };
        let wakers = std::mem::take(wakers);
        *state = State::Open;
        drop(state);
        for waker in wakers {
            waker.wake();
        }
    }

    /// Stops the node for good, as SIGKILL would.
    pub fn kill(&self) {
        *self.lock() = State::Killed;
    }

    fn admits(&self, cx: &Context<'_>) -> bool {
        match &mut *self.lock() {
            State::Open => true,
            State::Paused(wakers) => {
                wakers.push(cx.waker().clone());
                false
            }
            State::Killed => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no task panics while it holds the gate")
    }
}

/// Starts the tasks of one incarnation of a node behind its gate.
#[derive(Debug)]
pub struct GatedSpawn {
    gate: Arc<Gate>,
}

impl GatedSpawn {
    /// Tasks started here run while `gate` admits them.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

impl Spawn for GatedSpawn {
    #[expect(clippy::disallowed_methods, reason = "this is the Spawn seam itself")]
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        tokio::spawn(Gated { gate: Arc::clone(&self.gate), future })
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        work();
    }
}

struct Gated {
    gate: Arc<Gate>,
    future: BoxFuture<'static, ()>,
}

impl Future for Gated {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.gate.admits(cx) { self.future.as_mut().poll(cx) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn poll_once(task: &mut Gated) -> Poll<()> {
        Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn counting_task(gate: &Arc<Gate>, polls: &Arc<AtomicU32>) -> Gated {
        let polls = Arc::clone(polls);
        let future = Box::pin(std::future::poll_fn(move |_| {
            polls.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }));
        Gated { gate: Arc::clone(gate), future }
    }

    #[test]
    fn a_paused_node_is_not_polled_and_a_killed_one_never_again() {
        let (gate, polls) = (Arc::new(Gate::default()), Arc::new(AtomicU32::new(0)));
        let mut task = counting_task(&gate, &polls);
        let mut step = |gate_change: fn(&Gate), expect: u32| {
            gate_change(&gate);
            assert!(poll_once(&mut task).is_pending());
            assert_eq!(polls.load(Ordering::Relaxed), expect);
        };
        step(|_| (), 1);
        step(Gate::pause, 1);
        step(Gate::resume, 2);
        step(Gate::kill, 2);
        step(Gate::resume, 2);
    }
}
