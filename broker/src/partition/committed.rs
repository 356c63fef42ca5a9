//! Waiting until appended records are committed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use flumen_planted::{Bug, is_planted};

use super::{CLOSED, CommitError, FOLLOWING, LEADING, Partition};

/// Resolves once a partition's high watermark has reached an offset, or never will.
///
/// It registers only when it is polled before that. A connection polls just the answer in front
/// of its queue, so of a hundred requests in flight one is registered.
#[derive(Debug)]
pub struct Committed {
    partition: Arc<Partition>,
    next_offset: i64,
    leader_epoch: i32,
    registered: Option<(u64, Waker)>,
}

impl Committed {
    pub(super) fn new(partition: Arc<Partition>, next_offset: i64, leader_epoch: i32) -> Self {
        Self { partition, next_offset, leader_epoch, registered: None }
    }

    /// The outcome, if it is known by now.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), CommitError>> {
        let high_watermark = self.partition.high_watermark();
        // Looked at after the high watermark: while the term is the same, that was of this leader, and
        // not of a later one whose log may hold other records at these offsets.
        let is_same_term =
            self.partition.term.load(Ordering::Acquire) == i64::from(self.leader_epoch);
        if !is_same_term && !is_planted(Bug::TermsAreConfused) {
            return Some(Err(CommitError::NotLeader));
        }
        if high_watermark >= self.next_offset {
            return Some(Ok(()));
        }
        match self.partition.state.load(Ordering::Acquire) {
            LEADING => None,
            FOLLOWING if is_planted(Bug::TermsAreConfused) => None,
            CLOSED | FOLLOWING => Some(Err(CommitError::NotLeader)),
            _ => Some(Err(CommitError::StorageFailed)),
        }
    }

    fn forget(&mut self) {
        if let Some((number, _)) = self.registered.take() {
            self.partition.waiters.forget_commit(self.next_offset, number);
        }
    }
}

impl Future for Committed {
    type Output = Result<(), CommitError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            self.forget();
            return Poll::Ready(outcome);
        }
        if self.registered.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.forget();
        let waker = cx.waker().clone();
        let number = self.partition.waiters.register_commit(self.next_offset, waker.clone());
        self.registered = Some((number, waker));
        // It may have been committed between looking and registering.
        match self.outcome() {
            Some(outcome) => {
                self.forget();
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Committed {
    fn drop(&mut self) {
        self.forget();
    }
}
