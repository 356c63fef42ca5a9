//! Decides for every batch what of it stays.

use std::collections::BTreeMap;

use bytes::Bytes;
use flumen_protocol::records::{
    BatchBuilder, BatchHeader, BatchOptions, Record, RecordBatch, RecordError, empty_batch,
};

use super::offset_map::OffsetMap;
use super::transactions::CleanedTransactions;
use super::{CompactionError, DECOMPRESSED_BYTES_MAX, LastBatch};

/// What stays of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Filtered {
    /// All of it.
    Unchanged,
    /// Nothing.
    Removed,
    /// This.
    Rewritten(Bytes),
}

/// The rules of one run.
#[derive(Debug)]
pub(super) struct RecordFilter<'a> {
    map: &'a OffsetMap,
    transactions: CleanedTransactions,
    last_batches: &'a BTreeMap<i64, LastBatch>,
    now_ms: i64,
    delete_retention_ms: i64,
}

impl<'a> RecordFilter<'a> {
    pub(super) fn new(
        map: &'a OffsetMap,
        transactions: CleanedTransactions,
        last_batches: &'a BTreeMap<i64, LastBatch>,
        now_ms: i64,
        delete_retention_ms: i64,
    ) -> Self {
        Self { map, transactions, last_batches, now_ms, delete_retention_ms }
    }

    /// Judges the next batch of the log.
    pub(super) fn apply(&mut self, batch: &RecordBatch) -> Result<Filtered, CompactionError> {
        let header = batch.header();
        let is_unneeded_marker = header.is_control() && self.transactions.on_control_batch(batch);
        let is_discarded = if header.is_control() {
            // Consumers that are in the middle of the transaction may still wait for its marker.
            is_unneeded_marker && self.is_past_horizon(header)
        } else {
            self.transactions.is_aborted(header)
        };
        let records = if is_discarded { Vec::new() } else { self.retained(batch)? };
        if records.is_empty() {
            return Ok(self.without_records(header));
        }
        let has_tombstone = records.iter().any(|record| record.value.is_none());
        let needs_horizon =
            (has_tombstone || is_unneeded_marker) && header.delete_horizon().is_none();
        let is_whole = usize::try_from(header.record_count) == Ok(records.len());
        if is_whole && !needs_horizon {
            return Ok(Filtered::Unchanged);
        }
        let delete_horizon = if needs_horizon {
            Some(self.now_ms.saturating_add(self.delete_retention_ms))
        } else {
            header.delete_horizon()
        };
        Ok(Filtered::Rewritten(rebuild(header, &records, delete_horizon)))
    }

    fn is_past_horizon(&self, header: &BatchHeader) -> bool {
        header.delete_horizon().is_some_and(|horizon| horizon <= self.now_ms)
    }

    fn retained(&self, batch: &RecordBatch) -> Result<Vec<Record>, CompactionError> {
        let header = batch.header();
        let base_offset = header.base_offset;
        let unreadable = |source| CompactionError::Records { base_offset, source };
        let records = batch
            .records(DECOMPRESSED_BYTES_MAX)
            .map_err(|error| unreadable(RecordError::from(error)))?;
        let is_past_horizon = self.is_past_horizon(header);
        let mut free_offset = base_offset;
        let mut retained = Vec::new();
        for record in records {
            let record = record.map_err(unreadable)?;
            let offset = record.offset;
            if !(free_offset..=header.last_offset()).contains(&offset) {
                return Err(CompactionError::RecordOrder { base_offset, offset });
            }
            free_offset = offset + 1;
            if header.is_control() || self.is_retained(&record, is_past_horizon) {
                retained.push(record);
            }
        }
        Ok(retained)
    }

    fn is_retained(&self, record: &Record, is_past_horizon: bool) -> bool {
        if record.offset >= self.map.end_offset() {
            return true;
        }
        // A record from before the topic was compacted may lack a key; nothing can ever replace it.
        let Some(key) = &record.key else { return false };
        let is_last = self.map.last_offset(key).is_none_or(|last| record.offset >= last);
        is_last && (record.value.is_some() || !is_past_horizon)
    }

    fn without_records(&self, header: &BatchHeader) -> Filtered {
        let is_last_of_run = header.next_offset() == self.map.end_offset();
        if !is_last_of_run && !self.is_last_of_producer(header) {
            Filtered::Removed
        } else if header.record_count == 0 {
            Filtered::Unchanged
        } else {
            Filtered::Rewritten(empty_batch(header))
        }
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        if !header.has_producer_id() {
            return false;
        }
        self.last_batches.get(&header.producer_id).is_some_and(|last| match last.last_offset {
            Some(last_offset) => header.last_offset() == last_offset,
            None => header.is_control() && header.producer_epoch == last.producer_epoch,
        })
    }
}

/// The batch with fewer records: offsets, producer and codec stay as they were.
fn rebuild(header: &BatchHeader, records: &[Record], delete_horizon: Option<i64>) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        partition_leader_epoch: header.partition_leader_epoch,
        codec: header.compression().into(),
        timestamp_type: header.timestamp_type(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        is_transactional: header.is_transactional(),
        is_control: header.is_control(),
        delete_horizon,
    });
    for record in records {
        builder.append_at(
            record.offset,
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
    }
    builder.extend_to(header.last_offset());
    builder.build()
}
