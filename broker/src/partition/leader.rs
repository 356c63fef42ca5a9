//! What the leader of a partition knows about its replicas, and the high watermark that follows.
//!
//! Pure: ends come in, a new high watermark comes out. The positions are always in this order:
//!
//! ```text
//! high watermark <= counted end of every in-sync replica
//! ```
//!
//! What counts as a replica's end depends on the topic: its flushed end with `durability=fsync`, so
//! that nobody reads what a power cut could take back, its log end with `durability=page-cache`.

use std::collections::BTreeMap;

use crate::config::Durability;

/// The part of the cluster's metadata that a leader acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leadership {
    /// Grows with every election.
    pub(crate) leader_epoch: i32,
    /// The replicas that have every acknowledged record, the leader among them.
    pub(crate) in_sync: Vec<i32>,
    /// How many of them there must be for an append that all have to acknowledge.
    pub(crate) min_in_sync: usize,
    /// When a record counts as stored.
    pub(crate) durability: Durability,
}

/// How far a replica has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Replica {
    log_end_offset: i64,
    flushed_end_offset: i64,
}

/// The leader of one partition.
#[derive(Debug)]
pub(crate) struct Leader {
    node_id: i32,
    leadership: Leadership,
    replicas: BTreeMap<i32, Replica>,
    high_watermark: i64,
}

impl Leader {
    /// Takes the lead with a log that ends at `log_end_offset`, all of which is flushed.
    pub(crate) fn new(node_id: i32, leadership: Leadership, log_end_offset: i64) -> Self {
        let own = Replica { log_end_offset, flushed_end_offset: log_end_offset };
        let mut leader = Self {
            node_id,
            leadership,
            replicas: BTreeMap::from([(node_id, own)]),
            high_watermark: 0,
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

    /// In-sync replicas there are, and must be for an append that all have to acknowledge.
    pub(crate) fn in_sync_count(&self) -> (usize, usize) {
        (self.leadership.in_sync.len(), self.leadership.min_in_sync)
    }

    /// Notes what the leader itself has appended; returns the high watermark if it moved.
    pub(crate) fn on_appended(&mut self, log_end_offset: i64) -> Option<i64> {
        let own = self.replicas.entry(self.node_id).or_default();
        own.log_end_offset = own.log_end_offset.max(log_end_offset);
        self.advance_high_watermark()
    }

    /// Notes what the leader itself has on disk; returns the high watermark if it moved.
    pub(crate) fn on_flushed(&mut self, flushed_end_offset: i64) -> Option<i64> {
        let own = self.replicas.entry(self.node_id).or_default();
        own.flushed_end_offset = own.flushed_end_offset.max(flushed_end_offset);
        self.advance_high_watermark()
    }

    /// Takes over changed metadata of the same leader; returns the high watermark if it moved.
    pub(crate) fn on_changed(&mut self, leadership: Leadership) -> Option<i64> {
        self.leadership = leadership;
        self.advance_high_watermark()
    }

    /// Raises the high watermark to the lowest counted end in the in-sync set.
    ///
    /// It never moves back: a consumer may have read up to it, and a record once shown must not
    /// vanish. A replica that rejoins lowers the minimum for a moment, so a smaller value is
    /// normal here and ignored, not reported. It also rests while fewer replicas are in sync
    /// than acknowledging takes.
    fn advance_high_watermark(&mut self) -> Option<i64> {
        let Leadership { in_sync, min_in_sync, durability, .. } = &self.leadership;
        if in_sync.len() < *min_in_sync {
            return None;
        }
        let counted = |id: &i32| {
            let replica = self.replicas.get(id).copied().unwrap_or_default();
            match durability {
                Durability::Fsync => replica.flushed_end_offset,
                Durability::PageCache => replica.log_end_offset,
            }
        };
        let lowest = in_sync.iter().map(counted).min()?;
        if lowest <= self.high_watermark {
            return None;
        }
        self.high_watermark = lowest;
        Some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leadership(durability: Durability, in_sync: &[i32], min_in_sync: usize) -> Leadership {
        Leadership { leader_epoch: 3, in_sync: in_sync.to_vec(), min_in_sync, durability }
    }

    #[test]
    fn durable_topics_count_what_is_flushed() {
        let mut leader = Leader::new(1, leadership(Durability::Fsync, &[1], 1), 10);
        assert_eq!(leader.high_watermark(), 10);
        assert_eq!(leader.on_appended(15), None);
        assert_eq!(leader.on_flushed(12), Some(12));
        assert_eq!(leader.on_flushed(11), None);
        assert_eq!(leader.on_flushed(15), Some(15));
        assert_eq!(leader.high_watermark(), 15);
    }

    #[test]
    fn page_cache_topics_count_what_is_written() {
        let mut leader = Leader::new(1, leadership(Durability::PageCache, &[1], 1), 0);
        assert_eq!(leader.on_appended(15), Some(15));
        assert_eq!(leader.on_flushed(15), None);
    }

    #[test]
    fn a_topic_that_becomes_durable_never_takes_back_what_was_read() {
        let mut leader = Leader::new(1, leadership(Durability::PageCache, &[1], 1), 0);
        assert_eq!(leader.on_appended(15), Some(15));
        assert_eq!(leader.on_changed(leadership(Durability::Fsync, &[1], 1)), None);
        assert_eq!(leader.high_watermark(), 15);
        assert_eq!(leader.on_flushed(20), Some(20));
        assert_eq!(leader.on_appended(25), None);
        assert_eq!(leader.on_changed(leadership(Durability::PageCache, &[1], 1)), Some(25));
    }

    #[test]
    fn the_high_watermark_waits_for_every_replica_in_sync() {
        let mut leader = Leader::new(1, leadership(Durability::Fsync, &[1, 2], 2), 10);
        assert_eq!(leader.high_watermark(), 0);
        assert_eq!(leader.on_flushed(20), None);
        assert_eq!(leader.on_changed(leadership(Durability::Fsync, &[1], 2)), None);
        assert_eq!(leader.in_sync_count(), (1, 2));
        assert_eq!(leader.on_changed(leadership(Durability::Fsync, &[1], 1)), Some(20));
    }
}
