//! Which batches belong to aborted transactions, and which markers nobody needs any more.
//!
//! Fed with the batches of a log in their order.

use std::collections::{BTreeMap, BTreeSet};

use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchHeader, RecordBatch};

use crate::AbortedTransaction;

/// A control record is a few bytes; so is anything that could be one and is compressed.
const CONTROL_BYTES_MAX: usize = 4096;

/// Follows transactions through the batches of a log.
#[derive(Debug)]
pub(super) struct CleanedTransactions {
    /// Those still ahead, by their first offset.
    aborted: BTreeMap<(i64, i64), AbortedTransaction>,
    /// By producer: whether any batch of its aborted transaction has been met.
    open_aborted: BTreeMap<i64, bool>,
    /// Producers whose transaction has data and is not aborted.
    open_committed: BTreeSet<i64>,
}

impl CleanedTransactions {
    pub(super) fn new(aborted: Vec<AbortedTransaction>) -> Self {
        let by_start = aborted
            .into_iter()
            .map(|transaction| ((transaction.first_offset, transaction.producer_id), transaction));
        Self {
            aborted: by_start.collect(),
            open_aborted: BTreeMap::new(),
            open_committed: BTreeSet::new(),
        }
    }

    /// Whether a batch of data belongs to an aborted transaction.
    pub(super) fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.open_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some(is_met) = self.open_aborted.get_mut(&header.producer_id) {
            *is_met = true;
            return true;
        }
        self.open_committed.insert(header.producer_id);
        false
    }

    /// Notes a marker and tells whether nothing of its transaction is left in the log.
    pub(super) fn on_control_batch(&mut self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        self.open_up_to(header.last_offset());
        if header.record_count == 0 {
            return true;
        }
        match marker(batch) {
            Some(marker) if marker.is_commit => !self.open_committed.remove(&header.producer_id),
            Some(_) => !self.open_aborted.remove(&header.producer_id).unwrap_or(false),
            // Whatever else it controls, it is not ours to remove.
            None => false,
        }
    }

    /// Opens the aborted transactions that begin at or below `offset`.
    fn open_up_to(&mut self, offset: i64) {
        while let Some(first) = self.aborted.first_entry().filter(|first| first.key().0 <= offset) {
            let transaction = first.remove();
            self.open_aborted.entry(transaction.producer_id).or_insert(false);
        }
    }
}

fn marker(batch: &RecordBatch) -> Option<EndTransactionMarker> {
    let record = batch.records(CONTROL_BYTES_MAX).ok()?.next()?.ok()?;
    EndTransactionMarker::from_record(&record).ok()?
}
