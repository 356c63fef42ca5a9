//! Where the newest batches of the log lie, so that a reader at the tail costs no disk access.

use std::collections::VecDeque;

/// Batches remembered: more than a consumer that keeps up is ever behind.
const CAPACITY: usize = 64;

/// A batch: it begins with `base_offset` at `position` of the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecentBatch {
    pub(crate) base_offset: i64,
    pub(crate) position: u64,
}

/// The last batches of the active segment, without a gap up to the end of the log.
#[derive(Debug, Default)]
pub(crate) struct RecentBatches {
    batches: VecDeque<RecentBatch>,
}

impl RecentBatches {
    pub(crate) fn push(&mut self, batch: RecentBatch) {
        if self.batches.len() == CAPACITY {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }

    /// The batch that holds `offset`, which must lie below the log end.
    pub(crate) fn holding(&self, offset: i64) -> Option<RecentBatch> {
        let count = self.batches.partition_point(|batch| batch.base_offset <= offset);
        count.checked_sub(1).map(|index| self.batches[index])
    }

    /// The last batch that begins at or before `position`.
    pub(crate) fn floor_position(&self, position: u64) -> Option<RecentBatch> {
        let count = self.batches.partition_point(|batch| batch.position <= position);
        count.checked_sub(1).map(|index| self.batches[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_remembered_is_found() {
        let mut recent = RecentBatches::default();
        for index in 0..100_u32 {
            recent.push(RecentBatch {
                base_offset: i64::from(index) * 10,
                position: u64::from(index) * 500,
            });
        }
        assert_eq!(recent.holding(359), None);
        assert_eq!(recent.holding(360).map(|batch| batch.position), Some(18_000));
        assert_eq!(recent.holding(369).map(|batch| batch.position), Some(18_000));
        assert_eq!(recent.floor_position(17_999), None);
        assert_eq!(recent.floor_position(18_499).map(|batch| batch.base_offset), Some(360));
    }
}
