//! At which offset each leader epoch began: what a follower and its leader compare to find where
//! their logs diverge.
//!
//! The cache is the content of the `leader-epoch-checkpoint` file. As far as the log reaches back it
//! can be rebuilt from the epochs in the batch headers. Reading and writing the file is the log's
//! business.

/// The first offset written under a leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub leader_epoch: i32,
    /// Offset of the first record that was appended in it.
    pub start_offset: i64,
}

/// Where an epoch ends: the answer to OffsetForLeaderEpoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The greatest epoch of the log that is not above the one asked for.
    pub leader_epoch: i32,
    /// The offset after its last record.
    pub end_offset: i64,
}

/// Leader epochs and their start offsets; both increase from entry to entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// Takes over the rows of a checkpoint; rows that do not increase are refused as damage.
    pub fn from_entries(entries: Vec<EpochEntry>) -> Option<Self> {
        let increases = entries.windows(2).all(|pair| {
            pair[0].leader_epoch < pair[1].leader_epoch
                && pair[0].start_offset < pair[1].start_offset
        });
        let first_valid =
            entries.first().is_none_or(|first| first.leader_epoch >= 0 && first.start_offset >= 0);
        (increases && first_valid).then_some(Self { entries })
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch that has a record.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        let count = self.entries.partition_point(|entry| entry.start_offset <= offset);
        count.checked_sub(1).map(|index| self.entries[index].leader_epoch)
    }

    /// Notes that `leader_epoch` writes from `start_offset` on; says whether that was news.
    ///
    /// Entries it contradicts (epochs as new, or beginning as late) are forgotten: the log has been
    /// truncated and rewritten there.
    pub fn assign(&mut self, leader_epoch: i32, start_offset: i64) -> bool {
        if self.latest().is_some_and(|latest| leader_epoch <= latest.leader_epoch)
            || leader_epoch < 0
        {
            return false;
        }
        self.entries.retain(|entry| entry.start_offset < start_offset);
        self.entries.push(EpochEntry { leader_epoch, start_offset });
        true
    }

    /// Where the greatest epoch at or below `requested` ends, in a log that ends at `log_end_offset`.
    ///
    /// `None` where nothing is known: the epoch is newer than any of the log, or the log has none.
    #[must_use]
    pub fn end_offset_for(&self, requested: i32, log_end_offset: i64) -> Option<EpochEndOffset> {
        let latest = self.latest()?;
        if requested < 0 {
            return None;
        }
        if requested == latest.leader_epoch {
            return Some(EpochEndOffset { leader_epoch: requested, end_offset: log_end_offset });
        }
        let above = self.entries.partition_point(|entry| entry.leader_epoch <= requested);
        let end_offset = self.entries.get(above)?.start_offset;
        // Older than all the log knows: the oldest epoch begins where the requested one ended.
        let leader_epoch =
            above.checked_sub(1).map_or(requested, |index| self.entries[index].leader_epoch);
        Some(EpochEndOffset { leader_epoch, end_offset })
    }

    /// Forgets epochs that begin at or after the new end of the log; says whether any did.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let count = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        let changed = count < self.entries.len();
        self.entries.truncate(count);
        changed
    }

    /// Forgets epochs that end at or before the new start of the log; says whether anything moved.
    ///
    /// The epoch that covers the start stays and begins there now.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let ended = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(covering) = ended.checked_sub(1) else { return false };
        let changed = covering > 0 || self.entries[covering].start_offset != start_offset;
        self.entries.drain(..covering);
        self.entries[0].start_offset = start_offset;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(rows: &[(i32, i64)]) -> EpochCache {
        let entries = rows
            .iter()
            .map(|&(leader_epoch, start_offset)| EpochEntry { leader_epoch, start_offset });
        EpochCache::from_entries(entries.collect()).unwrap()
    }

    #[test]
    fn end_offsets_follow_kafka() {
        let cache = cache(&[(2, 10), (4, 20), (7, 30)]);
        let check = |requested, expected: Option<(i32, i64)>| {
            let found = cache.end_offset_for(requested, 45);
            assert_eq!(
                found.map(|end| (end.leader_epoch, end.end_offset)),
                expected,
                "{requested}"
            );
        };
        check(1, Some((1, 10)));
        check(2, Some((2, 20)));
        check(3, Some((2, 20)));
        check(4, Some((4, 30)));
        check(6, Some((4, 30)));
        check(7, Some((7, 45)));
        check(8, None);
        check(-1, None);
        assert_eq!(EpochCache::default().end_offset_for(0, 5), None);
    }

    #[test]
    fn assign_keeps_both_columns_increasing() {
        let mut cache = cache(&[(2, 10), (4, 20)]);
        assert!(!cache.assign(4, 30), "a known epoch");
        assert!(!cache.assign(3, 30), "an older epoch");
        assert!(cache.assign(5, 20));
        assert_eq!(cache, self::cache(&[(2, 10), (5, 20)]));
    }

    #[test]
    fn truncation_from_both_ends() {
        let mut epochs = cache(&[(2, 10), (4, 20), (7, 30)]);
        assert!(!epochs.truncate_from_end(31));
        assert!(epochs.truncate_from_end(30));
        assert!(epochs.truncate_from_start(25));
        assert_eq!(epochs, cache(&[(4, 25)]));
        assert!(!epochs.truncate_from_start(25));
        assert!(!epochs.truncate_from_start(3));
        assert_eq!(epochs.epoch_for_offset(26), Some(4));
        assert_eq!(epochs.epoch_for_offset(24), None);
    }

    #[test]
    fn damaged_rows_are_refused() {
        let row = |leader_epoch, start_offset| EpochEntry { leader_epoch, start_offset };
        assert!(EpochCache::from_entries(vec![row(4, 10), row(2, 20)]).is_none());
        assert!(EpochCache::from_entries(vec![row(2, 20), row(4, 10)]).is_none());
        assert!(EpochCache::from_entries(vec![row(-3, 0)]).is_none());
    }
}
