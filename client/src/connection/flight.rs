//! The requests of one connection that wait for their answers, in the order they were sent.
//!
//! A broker answers in order, so the oldest request is always the next to be answered; an answer out
//! of turn means that the two sides no longer agree about the stream. Pure: times are arguments, and
//! what to do with an expired or failed request is the caller's business.

use std::collections::VecDeque;
use std::time::Duration;

/// One unanswered request with whatever the caller needs to answer it.
#[derive(Debug)]
pub(super) struct Flying<T> {
    pub(super) correlation_id: i32,
    /// On the monotonic clock.
    pub(super) deadline: Duration,
    pub(super) request: T,
}

/// All unanswered requests.
#[derive(Debug)]
pub(super) struct Flight<T> {
    waiting: VecDeque<Flying<T>>,
}

/// An answer to a request whose turn it was not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfTurn {
    pub(super) expected: Option<i32>,
}

impl<T> Flight<T> {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds the request that was sent last.
    pub(super) fn push(&mut self, correlation_id: i32, deadline: Duration, request: T) {
        self.waiting.push_back(Flying { correlation_id, deadline, request });
    }

    /// Takes the oldest request, which an answer with this id must be for.
    pub(super) fn answer(&mut self, correlation_id: i32) -> Result<T, OutOfTurn> {
        match self.waiting.front() {
            Some(oldest) if oldest.correlation_id == correlation_id => {
                let flying = self.waiting.pop_front().expect("the front was just looked at");
                Ok(flying.request)
            }
            oldest => Err(OutOfTurn { expected: oldest.map(|flying| flying.correlation_id) }),
        }
    }

    /// When the next request runs out of time; deadlines need not be in sending order.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.waiting.iter().map(|flying| flying.deadline).min()
    }

    /// The request with this deadline.
    pub(super) fn find(&self, deadline: Duration) -> Option<&T> {
        let mut waiting = self.waiting.iter();
        waiting.find(|flying| flying.deadline == deadline).map(|flying| &flying.request)
    }

    /// Takes every request, the connection being lost.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Flying<T>> + '_ {
        self.waiting.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(ids: &[(i32, u64)]) -> Flight<char> {
        let mut flight = Flight::new();
        for (id, seconds) in ids {
            flight.push(*id, Duration::from_secs(*seconds), 'r');
        }
        flight
    }

    #[test]
    fn answers_come_in_the_order_of_the_requests() {
        let mut flight = flight(&[(7, 1), (8, 1)]);
        assert_eq!(flight.answer(8), Err(OutOfTurn { expected: Some(7) }));
        assert_eq!(flight.answer(7), Ok('r'));
        assert_eq!(flight.answer(8), Ok('r'));
        assert_eq!(flight.answer(9), Err(OutOfTurn { expected: None }));
    }

    #[test]
    fn the_next_deadline_is_the_earliest_of_all() {
        let mut flight = flight(&[(1, 30), (2, 5), (3, 9)]);
        assert_eq!(flight.next_deadline(), Some(Duration::from_secs(5)));
        assert_eq!(flight.drain().count(), 3);
        assert_eq!((flight.next_deadline(), flight.is_empty()), (None, true));
    }
}
