//! Raft's view of the metadata log: translates, and leaves the work to [`Disk`].
//!
//! How far the log is committed is not stored. A node that starts serves nothing before a leader has
//! told it, or, being alone, before it has elected itself and committed its log again.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::disk::Disk;
use super::types::{Entry, LogId, TypeConfig, Vote};

/// Entries that are sent at once end when they have so many bytes. A single one is as large as the
/// topic it creates, which are 2 MB of 10,000 partitions.
const APPEND_BYTES: usize = 1 << 20;

/// The log of the metadata quorum, cheap to clone.
#[derive(Clone)]
pub(super) struct LogStore {
    disk: Arc<Disk>,
}

impl LogStore {
    pub(super) fn new(disk: Arc<Disk>) -> Self {
        Self { disk }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => i64::MAX.unsigned_abs(),
        };
        self.disk.read(from, to)
    }

    /// For a follower: what fits into a message between brokers whatever entries there are, and does
    /// not hold up the next heartbeat.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.disk.read_some(start, end, APPEND_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.disk.vote())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        Ok(LogState { last_purged_log_id: self.disk.purged(), last_log_id: self.disk.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.disk.save_vote(vote).await
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.disk.append(entries.into_iter(), flushed)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.disk.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.disk.purge(upto).await
    }
}
