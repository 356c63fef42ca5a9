//! What became of a record: a future for the program, and its other end for the batch.
//!
//! All records of a batch share one [`Outcome`], so that a record costs no channel of its own. Every
//! part of a batch has a [`Settler`]; one that is dropped unsettled tells its records that the
//! producer was closed, so that no delivery waits for ever.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flumen_client::TopicPartition;
use parking_lot::Mutex;

use crate::error::Error;

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: TopicPartition,
    /// The record's offset; `None` with `acks=0`, and for a retry whose original was written too
    /// long ago for the broker to remember where.
    pub offset: Option<i64>,
    /// The record's time in milliseconds since the Unix epoch: the broker's if the topic says so.
    pub timestamp: i64,
}

/// The result for a run of records of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Settled {
    /// Written, the first of the run at this offset if that is known.
    Written { base_offset: Option<i64>, log_append_time: Option<i64> },
    /// Not written, or not known to be.
    Failed(Error),
}

/// What the deliveries of a batch wait for.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    settled: Vec<(Range<u32>, Settled)>,
    waiting: BTreeMap<u32, Waker>,
}

impl Outcome {
    fn settle(&self, range: Range<u32>, settled: Settled) {
        let mut woken = {
            let mut state = self.state.lock();
            let later = state.waiting.split_off(&range.start);
            let woken = later.into_iter().partition(|(index, _)| *index < range.end);
            let (woken, mut rest): (BTreeMap<_, _>, BTreeMap<_, _>) = woken;
            state.waiting.append(&mut rest);
            state.settled.push((range, settled));
            woken
        };
        while let Some((_, waker)) = woken.pop_first() {
            waker.wake();
        }
    }
}

/// The duty to tell a run of records what became of them.
#[derive(Debug)]
pub(crate) struct Settler {
    /// `None` once settled.
    outcome: Option<Arc<Outcome>>,
    range: Range<u32>,
    possibly_written: bool,
}

impl Settler {
    pub(crate) fn new() -> Self {
        Self { outcome: Some(Arc::default()), range: 0..0, possibly_written: false }
    }

    /// Adds a record, and makes its delivery.
    pub(crate) fn add(&mut self, partition: TopicPartition, timestamp: i64) -> Delivery {
        let outcome = self.outcome.as_ref().expect("settling consumes the settler");
        let delivery =
            Delivery { outcome: Arc::clone(outcome), index: self.range.end, partition, timestamp };
        self.range.end += 1;
        delivery
    }

    /// Notes that some try may have been written without an answer.
    pub(crate) fn mark_possibly_written(&mut self) {
        self.possibly_written = true;
    }

    pub(crate) fn possibly_written(&self) -> bool {
        self.possibly_written
    }

    /// Cuts off the duty for all but the first `count` records.
    pub(crate) fn split_off(&mut self, count: u32) -> Self {
        let middle = self.range.start + count;
        let rest = Self {
            outcome: self.outcome.clone(),
            range: middle..self.range.end,
            possibly_written: self.possibly_written,
        };
        self.range.end = middle;
        rest
    }

    /// The index of the first record within the batch it was enqueued in.
    pub(crate) fn first_index(&self) -> u32 {
        self.range.start
    }

    pub(crate) fn settle(mut self, settled: Settled) {
        if let Some(outcome) = self.outcome.take() {
            outcome.settle(self.range.clone(), settled);
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            let closed = Error::Closed { possibly_written: self.possibly_written };
            outcome.settle(self.range.clone(), Settled::Failed(closed));
        }
    }
}

/// A record that was taken. Awaiting it tells what became of the record.
///
/// It may be dropped: the record is delivered all the same. It may be polled again after it was
/// cancelled.
#[derive(Debug)]
#[must_use = "awaiting this tells whether the record was delivered"]
pub struct Delivery {
    outcome: Arc<Outcome>,
    index: u32,
    partition: TopicPartition,
    timestamp: i64,
}

impl Delivery {
    /// The partition the record goes to.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    fn delivered(&self, range: &Range<u32>, settled: &Settled) -> Result<Delivered, Error> {
        match settled {
            Settled::Written { base_offset, log_append_time } => Ok(Delivered {
                partition: self.partition.clone(),
                offset: base_offset.map(|base| base + i64::from(self.index - range.start)),
                timestamp: log_append_time.unwrap_or(self.timestamp),
            }),
            Settled::Failed(error) => Err(error.clone()),
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.outcome.state.lock();
        let settled = state.settled.iter().find(|(range, _)| range.contains(&self.index));
        if let Some((range, settled)) = settled {
            return Poll::Ready(self.delivered(range, settled));
        }
        state.waiting.insert(self.index, cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(delivery: &mut Delivery) -> Option<Result<Option<i64>, String>> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(delivery).poll(&mut cx) {
            Poll::Ready(result) => {
                let offset = result.map(|delivered| delivered.offset);
                Some(offset.map_err(|error| error.to_string()))
            }
            Poll::Pending => None,
        }
    }

    fn written(base_offset: i64) -> Settled {
        Settled::Written { base_offset: Some(base_offset), log_append_time: None }
    }

    #[test]
    fn records_learn_their_offsets_part_by_part() {
        let partition = TopicPartition::new("t", 0);
        let mut first = Settler::new();
        let mut all: Vec<_> = (0..4).map(|_| first.add(partition.clone(), 0)).collect();
        assert!(all.iter_mut().all(|delivery| poll(delivery).is_none()));

        let rest = first.split_off(1);
        assert_eq!((first.first_index(), rest.first_index()), (0, 1));
        rest.settle(written(70));
        let offsets: Vec<_> = all.iter_mut().map(poll).collect();
        assert_eq!(offsets, [None, Some(Ok(Some(70))), Some(Ok(Some(71))), Some(Ok(Some(72)))]);
        first.settle(written(60));
        assert_eq!(poll(&mut all[0]), Some(Ok(Some(60))));
    }

    #[test]
    fn an_abandoned_batch_tells_its_records() {
        let mut settler = Settler::new();
        let mut delivery = settler.add(TopicPartition::new("t", 0), 0);
        settler.mark_possibly_written();
        drop(settler);
        let error = poll(&mut delivery).unwrap().unwrap_err();
        assert_eq!(error, "the producer was closed, the record is possibly written");
    }
}
