//! What the leader of a partition knows about its replicas, and the high watermark that follows.
//!
//! Pure: ends and times come in, a new high watermark comes out. The positions are always in this
//! order:
//!
//! ```text
//! high watermark <= counted end of every member of the maximal in-sync set
//! ```
//!
//! What counts as the leader's own end depends on the topic: its flushed end with
//! `durability=fsync`, so that nobody reads what a power cut could take back, its log end with
//! `durability=page-cache`. A follower's end is what it asks for next: it does not ask before its
//! disk has what came before. [`proposals`] owns who is in sync.

mod proposals;

use std::collections::BTreeMap;
use std::time::Duration;

use flumen_planted::{Bug, is_planted};

use crate::config::Durability;

pub(crate) use self::proposals::{InSyncProposal, ProposalOutcome};

/// The part of the cluster's metadata that a leader acts on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Leadership {
    /// Grows with every election.
    pub(crate) leader_epoch: i32,
    /// Grows with every change.
    pub(crate) partition_epoch: i32,
    /// Who is to hold the partition, the leader among them.
    pub(crate) replicas: Vec<i32>,
    /// The replicas that have every acknowledged record, the leader among them.
    pub(crate) in_sync: Vec<i32>,
    /// How many of them there must be for an append that all have to acknowledge.
    pub(crate) min_in_sync: usize,
    /// When a record counts as stored.
    pub(crate) durability: Durability,
}

/// How far the leader's own log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OwnEnds {
    pub(crate) log_end_offset: i64,
    pub(crate) flushed_end_offset: i64,
}

/// A follower asks for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplicaFetch {
    pub(crate) replica_id: i32,
    /// Which start of that broker it is.
    pub(crate) broker_epoch: i64,
    /// The follower has everything below, on disk where the topic wants that.
    pub(crate) offset: i64,
    /// Where its log starts.
    pub(crate) log_start_offset: i64,
}

/// Why a follower's fetch is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplicaFetchError {
    /// The metadata names no such replica.
    #[error("broker {replica_id} is no replica of the partition")]
    NotReplica { replica_id: i32 },
    /// A later start of the same broker has fetched already.
    #[error("broker epoch {epoch} of the replica is older than {known}")]
    StaleBroker { epoch: i64, known: i64 },
}

/// What a follower has told since this leader leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    broker_epoch: i64,
    fetch_offset: i64,
    log_start_offset: i64,
    last_fetch: Duration,
    /// Where the leader's log ended then.
    end_at_last_fetch: i64,
    /// Since when there has been something that it does not have.
    behind_since: Option<Duration>,
    /// It is about to join: the high watermark waits for it, or it might never reach it.
    is_awaited: bool,
}

/// The leader of one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Leader {
    node_id: i32,
    leadership: Leadership,
    own: OwnEnds,
    /// Where the log ended when this leader began; what lies below comes from earlier ones.
    epoch_start_offset: i64,
    leading_since: Duration,
    /// The followers that have fetched from this leader.
    followers: BTreeMap<i32, Replica>,
    high_watermark: i64,
    proposals: proposals::Proposals,
}

impl Leader {
    /// Takes the lead with a log of these ends. What was known to be committed before still is.
    pub(crate) fn new(
        node_id: i32,
        leadership: Leadership,
        own: OwnEnds,
        high_watermark: i64,
        now: Duration,
    ) -> Self {
        let shows_all = is_planted(Bug::NewLeadersShowAll);
        let known = if shows_all { own.log_end_offset } else { high_watermark };
        let mut leader = Self {
            node_id,
            leadership,
            own,
            epoch_start_offset: own.log_end_offset,
            leading_since: now,
            followers: BTreeMap::new(),
            high_watermark: known.min(own.log_end_offset),
            proposals: proposals::Proposals::default(),
        };
        leader.advance_high_watermark();
        leader
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.leadership.leader_epoch
    }

    pub(crate) fn durability(&self) -> Durability {
        self.leadership.durability
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether everything of earlier leaders is known to be committed. Before that the high watermark
    /// may lie below what an earlier leader has shown (R14).
    pub(crate) fn is_settled(&self) -> bool {
        self.high_watermark >= self.epoch_start_offset
    }

    /// In-sync replicas there are, and must be for an append that all have to acknowledge.
    pub(crate) fn in_sync_count(&self) -> (usize, usize) {
        (self.leadership.in_sync.len(), self.leadership.min_in_sync)
    }

    pub(crate) fn in_sync(&self) -> &[i32] {
        &self.leadership.in_sync
    }

    /// The followers in sync that have everything below `offset`, with what they have.
    pub(crate) fn in_sync_beyond(&self, offset: i64) -> impl Iterator<Item = (i32, i64)> {
        let followers = self.followers.iter().map(|(id, follower)| (*id, follower.fetch_offset));
        followers.filter(move |(id, end)| *end >= offset && self.leadership.in_sync.contains(id))
    }

    /// How many replicas there should be.
    pub(crate) fn replica_count(&self) -> usize {
        self.leadership.replicas.len()
    }

    /// The lowest start of the logs of all replicas in service, this leader's being `own`; -1 if one of
    /// them has not been heard of.
    pub(crate) fn low_watermark(&self, own: i64, is_in_service: impl Fn(i32) -> bool) -> i64 {
        let others = self.leadership.replicas.iter().filter(|id| **id != self.node_id);
        let starts = others
            .filter(|id| is_in_service(**id) && !is_planted(Bug::DeletionsAreNotAwaited))
            .map(|id| self.followers.get(id).map_or(-1, |follower| follower.log_start_offset));
        starts.fold(own, i64::min)
    }

    /// How many records the slowest replica lacks; one that has not asked yet lacks all above the
    /// high watermark at most.
    pub(crate) fn lag_max(&self) -> i64 {
        let others = self.leadership.replicas.iter().filter(|id| **id != self.node_id);
        let ends = others.map(|id| self.counted_end(*id).unwrap_or(self.high_watermark));
        ends.min().map_or(0, |end| (self.own.log_end_offset - end).max(0))
    }

    /// Notes what the leader itself has appended; returns the high watermark if it moved.
    pub(crate) fn on_appended(&mut self, log_end_offset: i64, now: Duration) -> Option<i64> {
        self.own.log_end_offset = self.own.log_end_offset.max(log_end_offset);
        let end = self.own.log_end_offset;
        for follower in self.followers.values_mut().filter(|f| f.fetch_offset < end) {
            follower.behind_since.get_or_insert(now);
        }
        self.advance_high_watermark()
    }

    /// Notes what the leader itself has on disk; returns the high watermark if it moved.
    pub(crate) fn on_flushed(&mut self, flushed_end_offset: i64) -> Option<i64> {
        self.own.flushed_end_offset = self.own.flushed_end_offset.max(flushed_end_offset);
        self.advance_high_watermark()
    }

    /// Notes what a follower has; returns the high watermark if it moved.
    ///
    /// The follower must have been found to share this log's history up to there (no divergence),
    /// and to follow this leader's epoch.
    pub(crate) fn on_fetch(
        &mut self,
        fetch: ReplicaFetch,
        now: Duration,
    ) -> Result<Option<i64>, ReplicaFetchError> {
        self.check_replica(&fetch)?;
        let ReplicaFetch { replica_id, broker_epoch, offset, log_start_offset } = fetch;
        let end = self.own.log_end_offset;
        if offset > end {
            // It has no record, or it would have been told where the histories part, and begins anew.
            return Ok(None);
        }
        let known = self.followers.get(&replica_id).filter(|f| f.broker_epoch == broker_epoch);
        let behind_since = match known {
            _ if offset >= end => None,
            // It had all that there was at the last fetch, so that it fell behind after that.
            Some(known) if offset >= known.end_at_last_fetch => {
                known.behind_since.max(Some(known.last_fetch))
            }
            Some(known) => known.behind_since,
            None => Some(self.first_behind_since(replica_id)),
        };
        let follower = Replica {
            broker_epoch,
            fetch_offset: offset,
            log_start_offset,
            last_fetch: now,
            end_at_last_fetch: end,
            behind_since,
            is_awaited: known.is_some_and(|known| known.is_awaited),
        };
        self.followers.insert(replica_id, follower);
        Ok(self.advance_high_watermark())
    }

    /// Whether a follower may ask at all. To be asked before a fetch is looked into further.
    pub(crate) fn check_replica(&self, fetch: &ReplicaFetch) -> Result<(), ReplicaFetchError> {
        let ReplicaFetch { replica_id, broker_epoch: epoch, .. } = *fetch;
        if replica_id == self.node_id || !self.leadership.replicas.contains(&replica_id) {
            return Err(ReplicaFetchError::NotReplica { replica_id });
        }
        match self.followers.get(&replica_id) {
            Some(Replica { broker_epoch: known, .. }) if *known > epoch => {
                Err(ReplicaFetchError::StaleBroker { epoch, known: *known })
            }
            _ => Ok(()),
        }
    }

    /// Takes over changed metadata of the same leader epoch; returns the high watermark if it moved.
    pub(crate) fn on_changed(&mut self, leadership: Leadership) -> Option<i64> {
        self.leadership.min_in_sync = leadership.min_in_sync;
        self.leadership.durability = leadership.durability;
        // The answer to a proposal may be ahead of the metadata. Of the same decision the answer told
        // only the in-sync set, and nothing of a move that ended with it.
        let (told, known) = (leadership.partition_epoch, self.leadership.partition_epoch);
        if told >= known {
            self.leadership = leadership;
            let replicas = &self.leadership.replicas;
            self.followers.retain(|id, _| replicas.contains(id));
            self.proposals.on_told();
        }
        if told > known {
            self.proposals.on_settled();
        }
        self.advance_high_watermark()
    }

    /// A member of the set is given time from the start, anybody else has to catch up first.
    fn first_behind_since(&self, replica_id: i32) -> Duration {
        match self.leadership.in_sync.contains(&replica_id) {
            true => self.leading_since,
            false => Duration::ZERO,
        }
    }

    /// The end of a replica that the high watermark goes by; `None` if it has not been heard of.
    fn counted_end(&self, replica_id: i32) -> Option<i64> {
        if replica_id != self.node_id {
            return self.followers.get(&replica_id).map(|follower| follower.fetch_offset);
        }
        Some(match self.leadership.durability {
            Durability::Fsync if is_planted(Bug::LeadersCountTheUnsynced) => {
                self.own.log_end_offset
            }
            Durability::Fsync => self.own.flushed_end_offset,
            Durability::PageCache => self.own.log_end_offset,
        })
    }

    /// Raises the high watermark to the lowest counted end in the maximal in-sync set (R1): the set
    /// that the controller last told of, and who was proposed since and may have been accepted.
    ///
    /// It never moves back: a consumer may have read up to it, and a record once shown must not
    /// vanish. A replica that rejoins lowers the minimum for a moment, so a smaller value is
    /// normal here and ignored, not reported. It also rests while fewer replicas are in sync
    /// than acknowledging takes.
    fn advance_high_watermark(&mut self) -> Option<i64> {
        let Leadership { in_sync, min_in_sync, .. } = &self.leadership;
        if in_sync.len() < *min_in_sync && !is_planted(Bug::TooFewMayCommit) {
            return None;
        }
        if self.proposals.awaits_metadata() {
            return None;
        }
        let mut lowest = self.counted_end(self.node_id)?;
        let proposed = self.proposals.proposed();
        let members = in_sync.iter().filter(|_| !is_planted(Bug::MembersAreNotAwaited));
        let are_joiners_awaited = !is_planted(Bug::ProposedAreNotAwaited);
        let proposed = proposed.iter().filter(|_| are_joiners_awaited);
        for id in members.chain(proposed) {
            lowest = lowest.min(self.counted_end(*id)?);
        }
        let joiners = self.followers.values().filter(|follower| follower.is_awaited);
        for follower in joiners.filter(|_| are_joiners_awaited) {
            lowest = lowest.min(follower.fetch_offset);
        }
        if lowest <= self.high_watermark {
            return None;
        }
        self.high_watermark = lowest;
        Some(lowest)
    }
}

#[cfg(test)]
mod tests;
