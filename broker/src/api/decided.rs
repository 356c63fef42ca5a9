//! How long a client waits for the controller (the `timeout_ms` of a request).
//!
//! In Kafka it is the time that a change may wait until it is decided; the commit may take as long as
//! it takes. A timeout that is over at once is thus a change that is never made, and a short one is
//! enough for a controller that is well. Here the commit has a limit as well: with a quorum that does
//! not answer, the client hears of it.

use std::future::Future;
use std::time::Duration;

use crate::clock::within;
use crate::controller::NotLeader;

/// What decision and commit may take together, however short the client's timeout.
const COMMIT_TIME: Duration = Duration::from_secs(5);

/// Why a change has no answer of the controller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecided {
    /// Nobody can decide.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The client's time is over; the change may still be made.
    #[error("the controller did not answer in time")]
    TimedOut,
}

impl Undecided {
    /// What the client is told beside the code. As in Kafka, a timeout needs no words.
    pub(super) fn message(&self) -> Option<String> {
        match self {
            Self::NotLeader(error) => Some(error.to_string()),
            Self::TimedOut => None,
        }
    }
}

/// Waits for the answer of the controller as long as the client wants to.
pub(super) async fn decided<T>(
    timeout_ms: i32,
    answer: impl Future<Output = Result<T, NotLeader>>,
) -> Result<T, Undecided> {
    match time_to_wait(timeout_ms) {
        Some(time) => answered(time, answer).await,
        // Nothing is asked: the change is not made behind the client's back.
        None => Err(Undecided::TimedOut),
    }
}

/// Waits for the answer to a request that does not say how long its client waits.
pub(super) async fn decided_soon<T>(
    answer: impl Future<Output = Result<T, NotLeader>>,
) -> Result<T, Undecided> {
    answered(COMMIT_TIME, answer).await
}

fn time_to_wait(timeout_ms: i32) -> Option<Duration> {
    let timeout_ms = u64::try_from(timeout_ms).ok().filter(|timeout_ms| *timeout_ms > 0)?;
    Some(Duration::from_millis(timeout_ms).max(COMMIT_TIME))
}

async fn answered<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, NotLeader>>,
) -> Result<T, Undecided> {
    Ok(within(time, answer).await.ok_or(Undecided::TimedOut)??)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[test]
    fn a_short_timeout_is_enough_for_a_commit_and_none_is_for_nothing() {
        assert_eq!(time_to_wait(20_000), Some(Duration::from_secs(20)));
        assert_eq!(time_to_wait(1), Some(COMMIT_TIME));
        assert!([0, -1, i32::MIN].map(time_to_wait).iter().all(Option::is_none));
    }

    #[tokio::test]
    async fn a_quorum_that_does_not_answer_is_not_waited_for_without_end() {
        let silent = pending::<Result<(), NotLeader>>();
        let outcome = answered(Duration::from_millis(1), silent).await;
        assert_eq!(outcome, Err(Undecided::TimedOut));
    }

    #[tokio::test]
    async fn without_time_nothing_is_asked() {
        let asked = async { unreachable!("the controller is asked") };
        let outcome: Result<(), _> = decided(0, asked).await;
        assert_eq!(outcome, Err(Undecided::TimedOut));
    }

    #[tokio::test]
    async fn who_cannot_decide_says_so_at_once() {
        let refused = decided(1_000, ready(Err::<(), _>(NotLeader))).await;
        assert_eq!(refused, Err(Undecided::NotLeader(NotLeader)));
        assert_eq!(decided(1_000, ready(Ok(7))).await, Ok(7));
    }
}
