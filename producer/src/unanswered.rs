//! The produce requests that are not answered, and which of them are not worth waiting for.
//!
//! A broker that is frozen or cut off says nothing, and the request timeout is long. The other brokers
//! know sooner that somebody else leads: so a slow answer is a reason to ask for leaders, and a request
//! whose partitions have all moved meanwhile is abandoned. Pure: times and leaders are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flumen_client::TopicPartition;
use flumen_client::cluster::LeaderHint;
use futures_util::future::{AbortHandle, AbortRegistration};

/// After so long without an answer the leaders are asked for, and then again and again.
const DOUBT_AFTER: Duration = Duration::from_secs(1);
const DOUBT_AGAIN: Duration = Duration::from_millis(250);

/// All requests that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    next_number: u64,
    requests: BTreeMap<u64, Request>,
}

#[derive(Debug)]
struct Request {
    broker: i32,
    /// With the leaders that it was sent to.
    partitions: Vec<(TopicPartition, Option<LeaderHint>)>,
    doubted_at: Duration,
    is_doubted: bool,
    abandon: AbortHandle,
}

/// Whether a partition has another leader than `before`, or the same one again.
pub(crate) fn is_another(leader: Option<LeaderHint>, before: LeaderHint) -> bool {
    leader.is_some_and(|leader| {
        leader.leader_epoch > before.leader_epoch
            || (leader.leader != before.leader && leader.leader_epoch == before.leader_epoch)
    })
}

impl Unanswered {
    /// A request is sent; gives its number, and what ends the waiting for it.
    pub(crate) fn sent(
        &mut self,
        now: Duration,
        broker: i32,
        partitions: Vec<(TopicPartition, Option<LeaderHint>)>,
    ) -> (u64, AbortRegistration) {
        let (abandon, registration) = AbortHandle::new_pair();
        let doubted_at = now + DOUBT_AFTER;
        let request = Request { broker, partitions, doubted_at, is_doubted: false, abandon };
        let number = self.next_number;
        self.next_number += 1;
        self.requests.insert(number, request);
        (number, registration)
    }

    /// A request has come to its end.
    pub(crate) fn answered(&mut self, number: u64) {
        self.requests.remove(&number);
    }

    /// When to look again.
    pub(crate) fn next_doubt(&self) -> Option<Duration> {
        self.requests.values().map(|request| request.doubted_at).min()
    }

    /// The topics whose leaders are to be asked for, because answers are slow.
    pub(crate) fn doubted(&mut self, now: Duration) -> BTreeSet<Arc<str>> {
        let mut topics = BTreeSet::new();
        for request in self.requests.values_mut().filter(|request| request.doubted_at <= now) {
            request.is_doubted = true;
            request.doubted_at = now + DOUBT_AGAIN;
            let named = request.partitions.iter().map(|(partition, _)| &partition.topic);
            topics.extend(named.map(Arc::clone));
        }
        topics
    }

    /// Ends the waiting for brokers that answer slowly, where all that was sent has another leader.
    pub(crate) fn abandon_moved(&self, leader: impl Fn(&TopicPartition) -> Option<LeaderHint>) {
        let slow: BTreeSet<i32> = self
            .requests
            .values()
            .filter(|request| request.is_doubted)
            .map(|request| request.broker)
            .collect();
        let has_moved = |(partition, before): &(TopicPartition, Option<LeaderHint>)| {
            before.is_some_and(|before| is_another(leader(partition), before))
        };
        for request in self.requests.values().filter(|request| slow.contains(&request.broker)) {
            if request.partitions.iter().all(has_moved) {
                request.abandon.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: LeaderHint = LeaderHint { leader: 1, leader_epoch: 5 };
    const AFTER: LeaderHint = LeaderHint { leader: 2, leader_epoch: 6 };

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    fn sent(unanswered: &mut Unanswered, broker: i32, indexes: &[i32]) -> AbortHandle {
        let partitions = indexes.iter().map(|index| (partition(*index), Some(BEFORE))).collect();
        let (number, _) = unanswered.sent(Duration::ZERO, broker, partitions);
        unanswered.requests[&number].abandon.clone()
    }

    #[test]
    fn slow_answers_are_a_reason_to_ask_for_leaders_until_they_come() {
        let mut unanswered = Unanswered::default();
        sent(&mut unanswered, 1, &[0]);
        assert_eq!(unanswered.next_doubt(), Some(DOUBT_AFTER));
        assert!(unanswered.doubted(DOUBT_AFTER / 2).is_empty());
        assert_eq!(unanswered.doubted(DOUBT_AFTER), BTreeSet::from(["t".into()]));
        assert_eq!(unanswered.next_doubt(), Some(DOUBT_AFTER + DOUBT_AGAIN));
        assert!(unanswered.doubted(DOUBT_AFTER).is_empty());
        unanswered.answered(0);
        assert_eq!(unanswered.next_doubt(), None);
    }

    #[test]
    fn only_what_has_moved_from_a_broker_that_says_nothing_is_abandoned() {
        let mut unanswered = Unanswered::default();
        let moved = sent(&mut unanswered, 1, &[0]);
        let stays = sent(&mut unanswered, 1, &[0, 1]);
        let leader = |partition: &TopicPartition| {
            Some(if partition.partition == 0 { AFTER } else { BEFORE })
        };
        unanswered.abandon_moved(leader);
        assert!(!moved.is_aborted(), "the answer may be under way");
        unanswered.doubted(DOUBT_AFTER);
        let quick = sent(&mut unanswered, 3, &[0]);
        unanswered.abandon_moved(leader);
        let abandoned = [&moved, &stays, &quick].map(AbortHandle::is_aborted);
        assert_eq!(abandoned, [true, false, false]);
    }
}
