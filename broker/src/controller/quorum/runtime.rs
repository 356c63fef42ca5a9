//! Raft's tasks, timers and dice, taken from the seams of the node they belong to.
//!
//! openraft asks for tasks through a type, without a value that could say whose they are. So the
//! seams travel with the tasks themselves: a task started by a task of one node is of the same node.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flumen_client::connection::{Rng, Seams};
use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::{
    TokioInstant, TokioMpsc, TokioMutex, TokioOneshot, TokioRuntime, TokioWatch,
};
use tokio::sync::oneshot;

tokio::task_local! {
    static SEAMS: Seams;
}

/// Runs `future` so that the tasks it starts belong to the node with these seams.
pub(super) async fn within<F: Future>(seams: Seams, future: F) -> F::Output {
    SEAMS.scope(seams, future).await
}

/// Runs Raft on the seams; the channels are tokio's, which need no runtime.
#[derive(Debug)]
pub(super) struct SeamRuntime(tokio::runtime::Runtime);

/// The task is gone without a result: it panicked, or its node was stopped.
#[derive(Debug, thiserror::Error)]
#[error("a task of the metadata quorum stopped")]
pub(super) struct TaskStopped;

/// The result of a task, once there is one.
#[derive(Debug)]
pub(super) struct TaskResult<T>(oneshot::Receiver<T>);

impl<T> Future for TaskResult<T> {
    type Output = Result<T, TaskStopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_closed| TaskStopped)
    }
}

/// The dice of a node, in the form that openraft takes.
#[derive(Debug)]
pub(super) struct SeamRng(Arc<dyn Rng>);

impl rand_core::TryRng for SeamRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.0.next_u64().to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.next_u64().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl AsyncRuntime for SeamRuntime {
    type JoinError = TaskStopped;
    type JoinHandle<T: OptionalSend + 'static> = TaskResult<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = SeamRng;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let seams = SEAMS.get();
        let (sender, receiver) = oneshot::channel();
        let task = SEAMS.scope(seams.clone(), async move {
            // Raft does not wait for all of its tasks.
            drop(sender.send(future.await));
        });
        drop(seams.spawn.spawn("metadata quorum", Box::pin(task)));
        TaskResult(receiver)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(_error: &TaskStopped) -> bool {
        // The seam does not tell a panic from a stop; a stopped node does not look at the answer.
        true
    }

    fn thread_rng() -> SeamRng {
        SeamRng(SEAMS.get().rng)
    }

    type Mpsc = TokioMpsc;
    type Watch = TokioWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn new(threads: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        Self(runtime)
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(SEAMS.scope(Seams::real(), future))
    }
}
