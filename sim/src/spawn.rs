//! Tasks behind a gate, so that a whole node can be stopped between two polls.
//!
//! A task may also be begun late, as on a busy machine: what was started after it has run by then.
//!
//! The network simulator can crash a host but not pause it, and its crash runs destructors. Every
//! task of a node is therefore wrapped: a paused node's tasks are not polled until it resumes, a
//! killed node's never again, and what their destructors do later reaches a disk that is already
//! gone for them.
//!
//! What may block on the disk runs inline, as long as the disk is quick. [`DiskSpeed`] makes it wait:
//! a slow disk finishes later, one that hangs not before it is released. Writes that the kernel would
//! only keep in memory do not pass here and are as quick as ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flumen_client::connection::{BoxFuture, Spawn, TaskHandle};

use crate::rng::SeededRng;

/// The latest that a task is begun.
const LATE_MS_MAX: u64 = 100;

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

    /// Runs `future` while this gate lets it.
    #[must_use]
    pub fn guard<F: Future + Unpin>(self: &Arc<Self>, future: F) -> Gated<F> {
        Gated { gate: Arc::clone(self), future }
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

    fn is_open(&self) -> bool {
        matches!(*self.lock(), State::Open)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no task panics while it holds the gate")
    }
}

/// How quick the disk of a node is with what waits for it.
#[derive(Debug, Default)]
pub struct DiskSpeed {
    latency: Mutex<Duration>,
    hang: Arc<Gate>,
}

impl DiskSpeed {
    /// Lets everything that waits for the disk take this long.
    pub fn set_latency(&self, latency: Duration) {
        *self.latency.lock().expect("nobody panics while holding a number") = latency;
    }

    /// Lets nothing that waits for the disk finish, until [`DiskSpeed::release`].
    pub fn hang(&self) {
        self.hang.pause();
    }

    /// Lets the disk go on after it hung.
    pub fn release(&self) {
        self.hang.resume();
    }

    fn latency(&self) -> Duration {
        *self.latency.lock().expect("nobody panics while holding a number")
    }
}

/// Decides which tasks are begun late: on one node in four, one in eight of them.
#[derive(Debug)]
pub struct Lateness {
    rng: SeededRng,
    is_there: bool,
}

impl Lateness {
    /// What is decided follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = SeededRng::new(seed);
        let is_there = rng.below(4) == 0;
        Self { rng, is_there }
    }

    /// How late the next task is, if at all.
    fn draw(&self) -> Option<Duration> {
        let is_late = self.is_there && self.rng.below(8) == 0;
        is_late.then(|| Duration::from_millis(self.rng.below(LATE_MS_MAX) + 1))
    }
}

/// Starts the tasks of one incarnation of a node behind its gate.
#[derive(Debug)]
pub struct GatedSpawn {
    gate: Arc<Gate>,
    disk: Arc<DiskSpeed>,
    lateness: Arc<Lateness>,
}

impl GatedSpawn {
    /// Tasks started here run while `gate` admits them, are as late as `lateness` says, and wait for a disk as
    /// quick as `disk`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>, disk: Arc<DiskSpeed>, lateness: Arc<Lateness>) -> Self {
        Self { gate, disk, lateness }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the Spawn seam itself")]
    fn start(&self, future: BoxFuture<'static, ()>) -> TaskHandle {
        tokio::spawn(self.gate.guard(future))
    }
}

impl Spawn for GatedSpawn {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        match self.lateness.draw() {
            None => self.start(future),
            Some(late) => self.start(Box::pin(async move {
                tokio::time::sleep(late).await;
                future.await;
            })),
        }
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        let latency = self.disk.latency();
        if latency.is_zero() && self.disk.hang.is_open() {
            work();
            return;
        }
        let finished = self.disk.hang.guard(Box::pin(async move { work() }));
        let waiting = Box::pin(async move {
            tokio::time::sleep(latency).await;
            finished.await;
        });
        drop(self.start(waiting));
    }
}

/// A future that is polled only while its gate is open.
#[derive(Debug)]
pub struct Gated<F> {
    gate: Arc<Gate>,
    future: F,
}

impl<F: Future + Unpin> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.admits(cx) { Pin::new(&mut self.future).poll(cx) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    type Task = Gated<BoxFuture<'static, ()>>;

    fn poll_once(task: &mut Task) -> Poll<()> {
        Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn counting_task(gate: &Arc<Gate>, polls: &Arc<AtomicU32>) -> Task {
        let polls = Arc::clone(polls);
        gate.guard(Box::pin(std::future::poll_fn(move |_| {
            polls.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        })))
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

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_finishes_when_it_is_released() {
        let disk = Arc::new(DiskSpeed::default());
        let spawn = GatedSpawn::new(Arc::default(), Arc::clone(&disk), Arc::new(Lateness::new(0)));
        let finished = Arc::new(AtomicU32::new(0));
        let work = || {
            let finished = Arc::clone(&finished);
            Box::new(move || {
                finished.fetch_add(1, Ordering::Relaxed);
            })
        };
        let after = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            finished.load(Ordering::Relaxed)
        };
        spawn.blocking(work());
        assert_eq!(finished.load(Ordering::Relaxed), 1);
        disk.set_latency(Duration::from_secs(2));
        spawn.blocking(work());
        assert_eq!(after(1).await, 1);
        assert_eq!(after(2).await, 2);
        disk.hang();
        spawn.blocking(work());
        assert_eq!(after(9).await, 2);
        disk.release();
        assert_eq!(after(1).await, 3);
    }
}
