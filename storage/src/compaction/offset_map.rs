//! The last offset of every key in the dirty part of a log.
//!
//! Keys are kept whole, not hashed as in Apache Kafka: a collision, which a client could search
//! for, would make one key delete another. Memory is bounded by counting what the keys take.

use std::collections::BTreeMap;

use flumen_protocol::records::{RecordBatch, RecordError};

use super::transactions::CleanedTransactions;
use super::{CompactionError, DECOMPRESSED_BYTES_MAX};

/// What a key takes beside its bytes: pointer, size, offset, and its share of the tree's nodes.
const ENTRY_OVERHEAD: usize = 56;

/// Keys and the offset of the last record of each.
#[derive(Debug)]
pub(super) struct OffsetMap {
    offsets: BTreeMap<Box<[u8]>, i64>,
    /// Everything below was seen.
    end_offset: i64,
    is_complete: bool,
}

impl OffsetMap {
    /// Offset of the last record with this key, as far as the map has seen any.
    pub(super) fn last_offset(&self, key: &[u8]) -> Option<i64> {
        self.offsets.get(key).copied()
    }

    /// The offset after the last record that was looked at.
    pub(super) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Whether memory sufficed for all that is dirty.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// Fills a map, batch by batch.
#[derive(Debug)]
pub(super) struct MapBuilder {
    map: OffsetMap,
    transactions: CleanedTransactions,
    first_dirty_offset: i64,
    bytes: usize,
    bytes_max: usize,
}

impl MapBuilder {
    pub(super) fn new(
        transactions: CleanedTransactions,
        first_dirty_offset: i64,
        bytes_max: usize,
    ) -> Self {
        let map = OffsetMap {
            offsets: BTreeMap::new(),
            end_offset: first_dirty_offset,
            is_complete: true,
        };
        Self { map, transactions, first_dirty_offset, bytes: 0, bytes_max }
    }

    /// Notes the keys of a batch; `false` once memory is used up.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<bool, CompactionError> {
        let header = batch.header();
        let base_offset = header.base_offset;
        let unreadable = |source| CompactionError::Records { base_offset, source };
        // What an aborted transaction wrote replaces nothing.
        let is_data = if header.is_control() {
            self.transactions.on_control_batch(batch);
            false
        } else {
            !self.transactions.is_aborted(header)
        };
        if is_data {
            let records = batch
                .records(DECOMPRESSED_BYTES_MAX)
                .map_err(|error| unreadable(RecordError::from(error)))?;
            for record in records {
                let record = record.map_err(unreadable)?;
                if record.offset < self.first_dirty_offset {
                    continue;
                }
                if let Some(key) = &record.key
                    && !self.note(key, record.offset)
                {
                    self.map.is_complete = false;
                    return Ok(false);
                }
                self.map.end_offset = record.offset + 1;
            }
        }
        self.map.end_offset = self.map.end_offset.max(header.next_offset());
        Ok(true)
    }

    fn note(&mut self, key: &[u8], offset: i64) -> bool {
        if let Some(last_offset) = self.map.offsets.get_mut(key) {
            *last_offset = offset;
            return true;
        }
        let bytes = self.bytes + key.len() + ENTRY_OVERHEAD;
        // The first key always goes in, or a run could end where it began.
        if bytes > self.bytes_max && !self.map.offsets.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.map.offsets.insert(key.into(), offset);
        true
    }

    pub(super) fn finish(self) -> OffsetMap {
        self.map
    }
}
