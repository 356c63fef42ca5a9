//! Timers, for code that must not name the runtime.

use std::future::Future;
use std::time::Duration;

/// Waits for `future` at most for `time`.
pub(crate) async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(time, future).await.ok()
}
