//! What a follower's rounds of fetches to one leader say: only what has changed since the last one,
//! in a session that the leader keeps (KIP-227).
//!
//! **Invariant:** a partition that must not be fetched now (its leader has failed it, or its log is
//! about to be cut) is not in the session: its leader would answer for it at once, every time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flumen_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use flumen_protocol::{ErrorCode, Uuid};

use super::Partition;
use super::follower::{Answer, FetchPosition, Next};

/// Of all partitions together, and of one, in an answer (a larger first batch comes all the same).
const RESPONSE_BYTES_MAX: i32 = 10 * 1024 * 1024;
const PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// What comes next.
#[derive(Debug)]
pub(super) enum Round {
    /// Nothing until the metadata changes.
    Rest,
    /// Nothing before this time.
    Wait(Duration),
    /// These have to be on disk first.
    Sync(Vec<Arc<Partition>>),
    Fetch(FetchRequest),
}

/// A leader's answer for one partition.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) partition: Arc<Partition>,
    pub(super) asked: FetchPosition,
    pub(super) answer: Answer,
    pub(super) records: Bytes,
}

#[derive(Debug)]
struct Slot {
    partition: Arc<Partition>,
    /// What the session has of it.
    sent: Option<FetchPosition>,
}

type Key = (Uuid, i32);

/// The partitions that are fetched from one leader, and the session with it.
#[derive(Debug)]
pub(super) struct FetchPlan {
    slots: BTreeMap<Key, Slot>,
    /// Those whose next step may be another than it was.
    due: BTreeSet<Key>,
    /// Those who are to wait.
    waiting: BTreeSet<(Duration, Key)>,
    session: (i32, i32),
}

impl FetchPlan {
    pub(super) fn new(partitions: Vec<Arc<Partition>>) -> Self {
        let key = |partition: &Partition| (partition.topic_id(), partition.index());
        let slot = |partition: Arc<Partition>| (key(&partition), Slot { partition, sent: None });
        let slots: BTreeMap<Key, Slot> = partitions.into_iter().map(slot).collect();
        let due = slots.keys().copied().collect();
        Self { slots, due, waiting: BTreeSet::new(), session: (0, 0) }
    }

    /// What to do now. A fetch is taken for sent. Throttled copies are not asked for before
    /// `held_until`.
    pub(super) fn next(&mut self, now: Duration, held_until: Option<Duration>) -> Round {
        let later = self.waiting.split_off(&(now + Duration::from_nanos(1), (Uuid::ZERO, 0)));
        let over = std::mem::replace(&mut self.waiting, later);
        self.due.extend(over.into_iter().map(|(_, key)| key));
        let (mut changed, mut forgotten, mut unsynced) = (Vec::new(), Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.due) {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            let position = match slot.partition.next(now) {
                Next::Fetch(position) => match held_until {
                    Some(until) if slot.partition.is_throttled() => {
                        self.waiting.insert((until, key));
                        None
                    }
                    _ => Some(position),
                },
                Next::Rest => None,
                Next::Wait(until) => {
                    self.waiting.insert((until, key));
                    None
                }
                Next::Sync => {
                    unsynced.push(Arc::clone(&slot.partition));
                    self.due.insert(key);
                    continue;
                }
            };
            match position {
                Some(position) if slot.sent != Some(position) => changed.push((key, position)),
                Some(_) => {}
                None if slot.sent.is_some() => forgotten.push(key),
                None => {}
            }
        }
        if !unsynced.is_empty() {
            // What else was found is looked at again.
            self.due.extend(changed.into_iter().map(|(key, _)| key));
            self.due.extend(forgotten);
            return Round::Sync(unsynced);
        }
        for key in &forgotten {
            self.note(*key, None);
        }
        for (key, position) in &changed {
            self.note(*key, Some(*position));
        }
        if self.slots.values().all(|slot| slot.sent.is_none()) {
            self.session = (0, 0);
            return self.waits_until().map_or(Round::Rest, Round::Wait);
        }
        Round::Fetch(self.request(changed, &forgotten))
    }

    /// When those who are to wait need no longer do so.
    pub(super) fn waits_until(&self) -> Option<Duration> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Takes an answer apart; `None` if the leader does not know the session, which begins anew.
    pub(super) fn on_response(&mut self, response: FetchResponse) -> Option<Vec<Received>> {
        if response.error_code != 0 {
            return None;
        }
        self.session = match (response.session_id, self.session) {
            (0, _) => (0, 0),
            (id, (_, epoch)) => (id, epoch.checked_add(1).unwrap_or(1)),
        };
        let mut received = Vec::new();
        for topic in response.responses {
            for data in topic.partitions {
                let key = (topic.topic_id, data.partition_index);
                let Some(slot) = self.slots.get(&key) else { continue };
                let Some(asked) = slot.sent else { continue };
                self.due.insert(key);
                let answer = answer(&data);
                let records = data.records.and_then(|records| records.into_bytes().ok());
                let (partition, records) =
                    (Arc::clone(&slot.partition), records.unwrap_or_default());
                received.push(Received { partition, asked, answer, records });
            }
        }
        if self.session.0 == 0 {
            self.begin_anew();
        }
        Some(received)
    }

    /// The leader did not answer, or has lost the session.
    pub(super) fn on_failed(&mut self) {
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.session = (0, 0);
        for (key, slot) in &mut self.slots {
            if slot.sent.take().is_some() {
                self.due.insert(*key);
            }
        }
    }

    fn note(&mut self, key: Key, sent: Option<FetchPosition>) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.sent = sent;
        }
    }

    fn request(&self, changed: Vec<(Key, FetchPosition)>, forgotten: &[Key]) -> FetchRequest {
        let (session_id, session_epoch) = self.session;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for ((topic_id, index), position) in changed {
            let partition = fetch_partition(index, &position);
            match topics.last_mut() {
                Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
                _ => {
                    let partitions = vec![partition];
                    topics.push(FetchTopic { topic_id, partitions, ..FetchTopic::default() });
                }
            }
        }
        let mut forgotten_topics_data: Vec<ForgottenTopic> = Vec::new();
        for (topic_id, index) in forgotten.iter().copied().filter(|_| session_epoch > 0) {
            match forgotten_topics_data.last_mut() {
                Some(topic) if topic.topic_id == topic_id => topic.partitions.push(index),
                _ => {
                    let partitions = vec![index];
                    let topic = ForgottenTopic { topic_id, partitions, ..Default::default() };
                    forgotten_topics_data.push(topic);
                }
            }
        }
        FetchRequest {
            min_bytes: 1,
            max_bytes: RESPONSE_BYTES_MAX,
            session_id,
            session_epoch,
            topics,
            forgotten_topics_data,
            ..FetchRequest::default()
        }
    }
}

fn fetch_partition(index: i32, position: &FetchPosition) -> FetchPartition {
    FetchPartition {
        partition: index,
        current_leader_epoch: position.leader_epoch,
        fetch_offset: position.offset,
        last_fetched_epoch: position.last_epoch.unwrap_or(-1),
        log_start_offset: position.log_start_offset,
        partition_max_bytes: PARTITION_BYTES_MAX,
        ..FetchPartition::default()
    }
}

fn answer(data: &PartitionData) -> Answer {
    let log_start_offset = data.log_start_offset;
    match ErrorCode::from_code(data.error_code) {
        ErrorCode::None if data.diverging_epoch.end_offset >= 0 => Answer::Diverging {
            epoch: data.diverging_epoch.epoch,
            end_offset: data.diverging_epoch.end_offset,
        },
        ErrorCode::None => {
            Answer::Records { high_watermark: data.high_watermark, log_start_offset }
        }
        ErrorCode::OffsetOutOfRange if log_start_offset >= 0 => {
            Answer::OutOfRange { log_start_offset }
        }
        _ => Answer::Failed,
    }
}
