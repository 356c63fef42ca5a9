//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a client fetches and
//! what it was last told about each, so that requests and responses carry only what changed.
//!
//! Pure: `now` and random bits come in. [`FetchSessions`] is the bounded cache, [`session`] one
//! session. What a fetch reads is none of their business.

mod collector;
mod session;

use std::collections::BTreeMap;
use std::time::Duration;

use flumen_protocol::messages::fetch::{FetchRequest, PartitionData};

pub(crate) use collector::FetchSessionCollector;
pub(crate) use session::{Fetched, TopicKey};
use session::{Session, full_fetch, next_epoch};

/// Partitions that a session may have on average; a few may have many more.
const PARTITIONS_PER_SLOT: usize = 500;

/// A session that was used within this time is not thrown out for another.
const KEPT: Duration = Duration::from_secs(120);

const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// Why a session cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// It was thrown out, or belongs to another broker.
    #[error("there is no fetch session of that id")]
    NotFound,
    /// The client has missed a response.
    #[error("the fetch session is at another epoch")]
    InvalidEpoch,
    /// It was begun with topic names and is continued with ids, or the other way round.
    #[error("the fetch session mixes topic names and topic ids")]
    TopicIdMismatch,
}

/// How a fetch relates to sessions, to be handed back when its response is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client wants none.
    Sessionless,
    /// Everything is asked for and answered, and the client would like a session.
    Full { uses_topic_ids: bool },
    /// Only what changed is answered.
    Incremental { id: i32 },
}

/// The sessions of one broker.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    sessions: BTreeMap<i32, Session>,
    evicted: u64,
}

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, sessions: BTreeMap::new(), evicted: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions that had to make room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes in a request: which partitions it is about, and how it relates to sessions.
    pub(crate) fn begin(
        &mut self,
        request: FetchRequest,
        uses_topic_ids: bool,
        now: Duration,
    ) -> Result<(Kind, Vec<Fetched>), SessionError> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            // The client starts anew: whatever it had before is over.
            self.sessions.remove(&id);
            let kind = match epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ => Kind::Full { uses_topic_ids },
            };
            return Ok((kind, full_fetch(request.topics)));
        }
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        let size = session.size();
        session.update(request.topics, request.forgotten_topics_data);
        if session.is_empty() {
            self.sessions.remove(&id);
            return Ok((Kind::Sessionless, Vec::new()));
        }
        session.epoch = next_epoch(session.epoch);
        session.last_used = now;
        let (has_grown, partitions) = (session.size() > size, session.partitions());
        if has_grown && self.partitions() > self.partitions_max() {
            // The client starts anew, and does so without a session.
            self.sessions.remove(&id);
            self.evicted += 1;
            return Err(SessionError::NotFound);
        }
        Ok((Kind::Incremental { id }, partitions))
    }

    /// Takes in what was found, in the order of the partitions of [`begin`](Self::begin).
    ///
    /// Returns the session id for the response, 0 for none, and leaves in `found` what the
    /// client has to be told.
    pub(crate) fn finish(
        &mut self,
        kind: Kind,
        found: &mut Vec<(Fetched, PartitionData)>,
        now: Duration,
        random: impl Fn() -> u64,
    ) -> i32 {
        match kind {
            Kind::Sessionless => 0,
            Kind::Incremental { id } => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    found.retain(|(fetched, data)| session.must_tell(fetched, data));
                }
                id
            }
            Kind::Full { .. } if found.is_empty() => 0,
            Kind::Full { uses_topic_ids } => {
                if !self.makes_room(found.len(), now) {
                    return 0;
                }
                let id = self.free_id(random);
                self.sessions.insert(id, Session::new(found, uses_topic_ids, now));
                id
            }
        }
    }

    fn partitions_max(&self) -> usize {
        self.slots.saturating_mul(PARTITIONS_PER_SLOT)
    }

    /// Partitions of all sessions.
    fn partitions(&self) -> usize {
        self.sessions.values().map(Session::size).sum()
    }

    /// Throws a session out if all slots are taken: one that nobody has used for a while, or an old
    /// one that is smaller, because a session saves the more the larger it is.
    fn makes_room(&mut self, size: usize, now: Duration) -> bool {
        let partitions_free = self.partitions_max().saturating_sub(self.partitions());
        if self.sessions.len() < self.slots && size <= partitions_free {
            return true;
        }
        let idle = self
            .sessions
            .iter()
            .min_by_key(|(_, session)| session.last_used)
            .filter(|(_, session)| now.saturating_sub(session.last_used) > KEPT);
        let smaller = || {
            self.sessions
                .iter()
                .filter(|(_, session)| now.saturating_sub(session.created) > KEPT)
                .min_by_key(|(_, session)| session.size())
                .filter(|(_, session)| session.size() < size)
        };
        let Some((&id, session)) = idle.or_else(smaller) else { return false };
        if size > partitions_free + session.size() {
            return false;
        }
        self.sessions.remove(&id);
        self.evicted += 1;
        true
    }

    fn free_id(&self, random: impl Fn() -> u64) -> i32 {
        loop {
            let id = i32::try_from(random() >> 33).expect("31 bits fit");
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
