//! One fetch session: the partitions a client is interested in, and what it knows about them.

use std::collections::BTreeMap;
use std::time::Duration;

use flumen_planted::{Bug, is_planted};
use flumen_protocol::Uuid;
use flumen_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic, PartitionData};

/// A topic as the client names it: by id from version 13 on, by name before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Id(Uuid),
    Name(String),
}

impl TopicKey {
    fn new(id: Uuid, name: String) -> Self {
        if id.is_zero() { Self::Name(name) } else { Self::Id(id) }
    }
}

/// One partition of a fetch.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) topic: TopicKey,
    pub(crate) request: FetchPartition,
}

impl Fetched {
    fn key(&self) -> (TopicKey, i32) {
        (self.topic.clone(), self.request.partition)
    }
}

/// Every partition that a request names, in its order.
pub(super) fn full_fetch(topics: Vec<FetchTopic>) -> Vec<Fetched> {
    topics
        .into_iter()
        .flat_map(|FetchTopic { topic, topic_id, partitions }| {
            let topic = TopicKey::new(topic_id, topic);
            partitions.into_iter().map(move |request| Fetched { topic: topic.clone(), request })
        })
        .collect()
}

pub(super) fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// What the client was last told.
#[derive(Debug, Clone, Copy)]
struct Told {
    high_watermark: i64,
    log_start_offset: i64,
}

impl Told {
    const NOTHING: Self = Self { high_watermark: -1, log_start_offset: -1 };

    fn of(data: &PartitionData) -> Self {
        // After an error the client knows nothing, so that the next good answer is told.
        if data.error_code != 0 {
            return Self::NOTHING;
        }
        Self { high_watermark: data.high_watermark, log_start_offset: data.log_start_offset }
    }
}

#[derive(Debug)]
struct Entry {
    fetched: Fetched,
    told: Told,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) epoch: i32,
    pub(super) uses_topic_ids: bool,
    pub(super) created: Duration,
    pub(super) last_used: Duration,
    /// In the order in which they are read: who had data goes to the end, so that a busy
    /// partition does not use up the response's size every time.
    order: BTreeMap<u64, Entry>,
    places: BTreeMap<(TopicKey, i32), u64>,
    next_place: u64,
}

impl Session {
    pub(super) fn new(
        found: &[(Fetched, PartitionData)],
        uses_topic_ids: bool,
        now: Duration,
    ) -> Self {
        let mut session = Self {
            epoch: next_epoch(super::INITIAL_EPOCH),
            uses_topic_ids,
            created: now,
            last_used: now,
            order: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for (fetched, data) in found {
            session.append(fetched.clone(), Told::of(data));
        }
        session
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.order.len()
    }

    pub(super) fn partitions(&self) -> Vec<Fetched> {
        self.order.values().map(|entry| entry.fetched.clone()).collect()
    }

    fn append(&mut self, fetched: Fetched, told: Told) {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(earlier) = self.places.insert(fetched.key(), place) {
            self.order.remove(&earlier);
        }
        self.order.insert(place, Entry { fetched, told });
    }

    /// Takes over what the client wants changed.
    pub(super) fn update(&mut self, topics: Vec<FetchTopic>, forgotten: Vec<ForgottenTopic>) {
        for fetched in full_fetch(topics) {
            let place = self.places.get(&fetched.key()).copied();
            match place.and_then(|place| self.order.get_mut(&place)) {
                Some(_) if is_planted(Bug::SessionsStandStill) => {}
                Some(entry) => entry.fetched = fetched,
                None => self.append(fetched, Told::NOTHING),
            }
        }
        for ForgottenTopic { topic, topic_id, partitions } in forgotten {
            let topic = TopicKey::new(topic_id, topic);
            for partition in partitions {
                if let Some(place) = self.places.remove(&(topic.clone(), partition)) {
                    self.order.remove(&place);
                }
            }
        }
    }

    /// Whether the client has to be told of what was found; notes that it is.
    pub(super) fn must_tell(&mut self, fetched: &Fetched, data: &PartitionData) -> bool {
        let Some(&place) = self.places.get(&fetched.key()) else { return true };
        let Some(entry) = self.order.get_mut(&place) else { return true };
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        let must_tell = has_records
            || data.error_code != 0
            || data.diverging_epoch.epoch >= 0
            || data.preferred_read_replica >= 0
            || entry.told.high_watermark != data.high_watermark
            || entry.told.log_start_offset != data.log_start_offset;
        entry.told = Told::of(data);
        if has_records && let Some(Entry { fetched, told }) = self.order.remove(&place) {
            self.append(fetched, told);
        }
        must_tell
    }
}
