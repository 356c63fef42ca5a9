//! The client's side of a fetch session with one broker (KIP-227). Pure.
//!
//! A session lets a fetch name only what changed: partitions that are new or whose position moved,
//! and partitions to forget. The broker remembers the rest. Both sides count the fetches of a
//! session, and any doubt ends it: the next fetch then names everything and asks for another one.

use std::collections::BTreeMap;

use flumen_client::TopicPartition;
use flumen_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use flumen_protocol::{ErrorCode, Uuid};

/// What is asked of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) topic_id: Uuid,
    pub(crate) fetch_offset: i64,
    /// The leader epoch that metadata tells, -1 if none.
    pub(crate) current_leader_epoch: i32,
    /// The leader epoch of the record before the offset, -1 if not known.
    pub(crate) last_fetched_epoch: i32,
    pub(crate) max_bytes: i32,
}

/// A session, established or not.
#[derive(Debug, Default)]
pub(crate) struct FetchSession {
    /// 0 while there is none.
    id: i32,
    /// The number of the next fetch; 0 asks for a session.
    epoch: i32,
    /// What the broker remembers.
    partitions: BTreeMap<TopicPartition, Wanted>,
}

/// The parts of a fetch request that depend on the session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    pub(crate) topics: Vec<FetchTopic>,
    pub(crate) forgotten: Vec<ForgottenTopic>,
}

impl FetchSession {
    /// Plans a fetch of exactly these partitions.
    pub(crate) fn plan(&mut self, wanted: BTreeMap<TopicPartition, Wanted>) -> Plan {
        let is_full = self.epoch == 0;
        let known = std::mem::take(&mut self.partitions);
        let named = wanted
            .iter()
            .filter(|(partition, wanted)| is_full || known.get(*partition) != Some(*wanted));
        // A partition of a topic that was created anew is another one: the old one is forgotten.
        let gone = known.iter().filter(|(partition, known)| {
            wanted.get(*partition).is_none_or(|wanted| wanted.topic_id != known.topic_id)
        });
        let forgotten = if is_full { Vec::new() } else { group_forgotten(gone) };
        let plan = Plan {
            session_id: self.id,
            session_epoch: self.epoch,
            topics: group_topics(named),
            forgotten,
        };
        self.partitions = wanted;
        plan
    }

    /// Takes the answer to the last fetch; `false` if what it says about partitions does not count.
    pub(crate) fn on_answer(&mut self, session_id: i32, code: ErrorCode) -> bool {
        if code != ErrorCode::None {
            self.end();
            return false;
        }
        if self.epoch == 0 {
            // The broker gives 0 when it has no room for a session.
            self.id = session_id;
            self.epoch = i32::from(session_id != 0);
        } else if session_id == self.id {
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        } else {
            self.end();
        }
        true
    }

    /// Ends the session: the last fetch was not answered.
    pub(crate) fn end(&mut self) {
        self.id = 0;
        self.epoch = 0;
        self.partitions.clear();
    }
}

fn group_topics<'a>(
    wanted: impl Iterator<Item = (&'a TopicPartition, &'a Wanted)>,
) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (TopicPartition { topic, partition }, wanted) in wanted {
        if topics.last().is_none_or(|last| last.topic != **topic) {
            let (topic, topic_id) = (topic.to_string(), wanted.topic_id);
            topics.push(FetchTopic { topic, topic_id, partitions: Vec::new() });
        }
        let partitions = &mut topics.last_mut().expect("one was just pushed").partitions;
        partitions.push(FetchPartition {
            partition: *partition,
            current_leader_epoch: wanted.current_leader_epoch,
            fetch_offset: wanted.fetch_offset,
            last_fetched_epoch: wanted.last_fetched_epoch,
            partition_max_bytes: wanted.max_bytes,
            ..FetchPartition::default()
        });
    }
    topics
}

fn group_forgotten<'a>(
    gone: impl Iterator<Item = (&'a TopicPartition, &'a Wanted)>,
) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for (TopicPartition { topic, partition }, known) in gone {
        let is_same =
            |last: &ForgottenTopic| last.topic == **topic && last.topic_id == known.topic_id;
        if !topics.last().is_some_and(is_same) {
            let (topic, topic_id) = (topic.to_string(), known.topic_id);
            topics.push(ForgottenTopic { topic, topic_id, partitions: Vec::new() });
        }
        topics.last_mut().expect("one was just pushed").partitions.push(*partition);
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(places: &[(i32, i64)]) -> BTreeMap<TopicPartition, Wanted> {
        let wanted = |fetch_offset| Wanted {
            topic_id: Uuid::ZERO,
            fetch_offset,
            current_leader_epoch: 0,
            last_fetched_epoch: -1,
            max_bytes: 1000,
        };
        let places = places.iter();
        places.map(|(index, offset)| (TopicPartition::new("t", *index), wanted(*offset))).collect()
    }

    /// Plans a fetch, and gives session, named partitions with offsets, and forgotten ones.
    fn check(
        session: &mut FetchSession,
        places: &[(i32, i64)],
        expected_session: (i32, i32),
        expected_named: &[(i32, i64)],
        expected_forgotten: &[i32],
    ) {
        let plan = session.plan(wanted(places));
        assert_eq!((plan.session_id, plan.session_epoch), expected_session);
        let named = plan.topics.iter().flat_map(|topic| &topic.partitions);
        let named: Vec<_> = named.map(|p| (p.partition, p.fetch_offset)).collect();
        assert_eq!(named, expected_named);
        let forgotten = plan.forgotten.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(forgotten.copied().collect::<Vec<_>>(), expected_forgotten);
    }

    #[test]
    fn a_session_names_what_changed() {
        let mut session = FetchSession::default();
        check(&mut session, &[(0, 5), (1, 5)], (0, 0), &[(0, 5), (1, 5)], &[]);
        assert!(session.on_answer(77, ErrorCode::None));
        check(&mut session, &[(0, 5), (1, 9)], (77, 1), &[(1, 9)], &[]);
        assert!(session.on_answer(77, ErrorCode::None));
        check(&mut session, &[(1, 9), (2, 0)], (77, 2), &[(2, 0)], &[0]);
        assert!(session.on_answer(77, ErrorCode::None));
        check(&mut session, &[(1, 9), (2, 0)], (77, 3), &[], &[]);
    }

    #[test]
    fn any_doubt_ends_the_session() {
        for code in [ErrorCode::FetchSessionIdNotFound, ErrorCode::InvalidFetchSessionEpoch] {
            let mut session = FetchSession::default();
            check(&mut session, &[(0, 5)], (0, 0), &[(0, 5)], &[]);
            assert!(session.on_answer(77, ErrorCode::None));
            check(&mut session, &[(0, 5)], (77, 1), &[], &[]);
            assert!(!session.on_answer(0, code));
            check(&mut session, &[(0, 5)], (0, 0), &[(0, 5)], &[]);
        }
    }

    #[test]
    fn without_room_for_a_session_everything_is_named() {
        let mut session = FetchSession::default();
        check(&mut session, &[(0, 5)], (0, 0), &[(0, 5)], &[]);
        assert!(session.on_answer(0, ErrorCode::None));
        check(&mut session, &[(0, 5)], (0, 0), &[(0, 5)], &[]);
    }

    #[test]
    fn epochs_start_over_behind_the_last() {
        let mut session = FetchSession { id: 3, epoch: i32::MAX, partitions: BTreeMap::new() };
        assert!(session.on_answer(3, ErrorCode::None));
        check(&mut session, &[], (3, 1), &[], &[]);
    }

    #[test]
    fn a_topic_created_anew_is_forgotten_and_named() {
        let mut session = FetchSession::default();
        session.plan(wanted(&[(0, 5)]));
        session.on_answer(77, ErrorCode::None);
        let mut anew = wanted(&[(0, 0)]);
        for wanted in anew.values_mut() {
            wanted.topic_id = Uuid::from_bytes([1; 16]);
        }
        let plan = session.plan(anew);
        assert_eq!(plan.forgotten[0].topic_id, Uuid::ZERO);
        assert_eq!(plan.topics[0].topic_id, Uuid::from_bytes([1; 16]));
    }
}
