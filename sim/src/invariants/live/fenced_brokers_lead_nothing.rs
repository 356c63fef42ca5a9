//! M4: a fenced broker leads nothing, and leaves the in-sync sets in which others are in service.
//!
//! A new leader of the quorum may fence one before it has heard of the others; then the set is left as
//! it is until it has, or has fenced them as well. So a set may hold fenced ones beside others for a
//! while, and for a moment only under one that has led for longer. That while counts as long as the
//! quorum decides things.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Live;
use crate::view::{PartitionKey, View};

/// How long a new leader of a quorum that decides things may leave a set so: a session, and some.
const LEFT_MAX: Duration = Duration::from_secs(4);

/// The same for one that has led for that long. A leader of the partition takes who lags out by itself,
/// which must not be what is waited for.
const LEFT_LATER_MAX: Duration = Duration::from_secs(1);

/// Between two decisions; if it is longer, the quorum may not be able to decide.
const DECISIONS_APART_MAX: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
pub(super) struct State {
    /// The version of the metadata, the term, and when it was first seen.
    last: Option<(i64, i32, Duration)>,
    /// For how long there has been one leader of the quorum.
    led: Duration,
    /// For how long a set has been left, by the partition and its epoch.
    left: BTreeMap<(PartitionKey, i32), Duration>,
}

impl Live for State {
    fn observe(&mut self, view: &View) -> Result<(), String> {
        for image in view.brokers.iter().map(|broker| &broker.image) {
            for topic in image.topics() {
                for (index, partition) in topic.indexed_partitions() {
                    let (name, leader) = (&topic.name, partition.leader);
                    if leader.is_some_and(|leader| !image.is_live(leader)) {
                        return Err(format!(
                            "{name}-{index} is led by {leader:?}, which is fenced"
                        ));
                    }
                }
            }
        }
        self.count_left(view)
    }
}

impl State {
    fn count_left(&mut self, view: &View) -> Result<(), String> {
        let Some(image) = view.newest_image() else { return Ok(()) };
        let term = view.brokers.iter().map(|broker| broker.term).max().unwrap_or_default();
        let now = (image.version(), term, view.at);
        let (last_version, last_term, last_at) = *self.last.get_or_insert(now);
        if term != last_term {
            self.left.clear();
            self.led = Duration::ZERO;
        }
        if (image.version(), term) == (last_version, last_term) {
            return Ok(());
        }
        self.last = Some(now);
        let apart = view.at.saturating_sub(last_at);
        let counted = if apart <= DECISIONS_APART_MAX { apart } else { Duration::ZERO };
        let left_max = if self.led > LEFT_MAX { LEFT_LATER_MAX } else { LEFT_MAX };
        self.led += counted;
        let mut left = BTreeMap::new();
        for topic in image.topics() {
            for (index, partition) in topic.indexed_partitions() {
                let in_sync = &partition.in_sync;
                let fenced = in_sync.iter().filter(|id| !image.is_live(**id)).count();
                if fenced == 0 || fenced == in_sync.len() {
                    continue;
                }
                let key = ((topic.id, index), partition.partition_epoch);
                let time = self.left.get(&key).map_or(Duration::ZERO, |time| *time + counted);
                if time > left_max {
                    return Err(format!("{}-{index} has a fenced one in {in_sync:?}", topic.name));
                }
                left.insert(key, time);
            }
        }
        self.left = left;
        Ok(())
    }
}
