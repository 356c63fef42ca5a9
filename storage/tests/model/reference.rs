//! The model: all batches ever appended, and what follows from them.

use std::collections::BTreeMap;

use bytes::Bytes;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{
    BatchHeader, Batches, RecordBatch, patch_base_offset, patch_leader_epoch,
};
use flumen_storage::{EpochCache, PartitionLog, TimestampQuery, verify_range};

const LIMIT: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) header: BatchHeader,
    pub(crate) bytes: Bytes,
    /// Removed by compaction.
    pub(crate) removed: bool,
}

impl Stored {
    /// What the log has to hold once it has appended `sent`.
    pub(crate) fn new(sent: &Bytes, base_offset: i64, leader_epoch: i32) -> Self {
        let mut bytes = sent.to_vec();
        patch_base_offset(&mut bytes, base_offset);
        patch_leader_epoch(&mut bytes, leader_epoch);
        let header = BatchHeader::parse(&bytes).unwrap();
        Self { header, bytes: bytes.into(), removed: false }
    }

    fn marker(&self) -> Option<EndTransactionMarker> {
        let batch = RecordBatch::parse(self.bytes.clone()).unwrap();
        let record = batch.records(LIMIT).unwrap().next().unwrap().unwrap();
        self.header.is_control().then(|| EndTransactionMarker::from_record(&record).unwrap())?
    }
}

/// What the model knows of a producer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    /// Its last batches in this epoch, oldest first.
    pub(crate) batches: Vec<BatchHeader>,
    pub(crate) transaction_start: Option<i64>,
}

impl Producer {
    pub(crate) fn next_sequence(&self) -> i32 {
        self.batches.last().map_or(0, |header| header.last_sequence() + 1)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) batches: Vec<Stored>,
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    /// Nothing below may be lost.
    pub(crate) flushed: i64,
}

impl Model {
    pub(crate) fn push(&mut self, stored: Stored) {
        self.log_end = stored.header.next_offset();
        self.batches.push(stored);
    }

    /// Cuts off all batches that reach `offset`.
    pub(crate) fn truncate(&mut self, offset: i64) {
        let keep = self.batches.partition_point(|batch| batch.header.last_offset() < offset);
        let Some(first) = self.batches.get(keep) else { return };
        self.log_end = first.header.base_offset;
        self.batches.truncate(keep);
        if self.log_end < self.log_start {
            // Nothing is left that could be read.
            self.log_end = self.log_start;
            self.batches.clear();
        }
        self.flushed = self.flushed.min(self.log_end);
    }

    /// Cuts off all batches that reach `offset`; the log says where it ends now.
    ///
    /// It ends with the last batch that is there, so that compacted ones before `offset` may or
    /// may not count.
    pub(crate) fn truncate_compacted(&mut self, offset: i64, log: &PartitionLog) {
        self.truncate(offset);
        let log_end = log.log_end_offset();
        if log_end == log.log_start_offset() && log.active_producers().next().is_none() {
            // Nothing was left that could be read, so it has begun anew.
            self.log_end = log_end;
            self.flushed = self.flushed.min(log_end);
            self.batches.clear();
        }
        let last_kept = self.readable(0).map(|batch| batch.header.next_offset()).max();
        if (last_kept.unwrap_or(0)..self.log_end).contains(&log_end) {
            self.batches.retain(|batch| batch.header.base_offset < log_end);
            self.log_end = log_end;
            self.flushed = self.flushed.min(log_end);
        }
    }

    pub(crate) fn producers(&self) -> BTreeMap<i64, Producer> {
        let mut producers: BTreeMap<i64, Producer> = BTreeMap::new();
        for batch in &self.batches {
            let header = &batch.header;
            if !header.has_producer_id() {
                continue;
            }
            let producer = producers.entry(header.producer_id).or_default();
            if producer.epoch != header.producer_epoch {
                producer.epoch = header.producer_epoch;
                producer.batches.clear();
            }
            if header.is_control() {
                producer.transaction_start = None;
                continue;
            }
            if header.is_transactional() {
                producer.transaction_start.get_or_insert(header.base_offset);
            }
            producer.batches.push(*header);
            if producer.batches.len() > 5 {
                producer.batches.remove(0);
            }
        }
        producers
    }

    /// Aborted transactions: producer, first offset, offset of the marker.
    fn aborted(&self) -> Vec<(i64, i64, i64)> {
        let mut open = BTreeMap::new();
        let mut aborted = Vec::new();
        for batch in &self.batches {
            let header = &batch.header;
            if let Some(marker) = batch.marker() {
                if let Some(first_offset) = open.remove(&header.producer_id)
                    && !marker.is_commit
                {
                    aborted.push((header.producer_id, first_offset, header.base_offset));
                }
            } else if header.is_transactional() {
                open.entry(header.producer_id).or_insert(header.base_offset);
            }
        }
        aborted
    }

    fn epochs(&self) -> EpochCache {
        let mut epochs = EpochCache::default();
        for batch in &self.batches {
            epochs.assign(batch.header.partition_leader_epoch, batch.header.base_offset);
        }
        epochs.truncate_from_start(self.log_start);
        epochs.truncate_from_end(self.log_end);
        epochs
    }

    /// The batches a reader can get from `offset` on.
    fn readable(&self, offset: i64) -> impl Iterator<Item = &Stored> {
        self.batches
            .iter()
            .filter(move |batch| !batch.removed && batch.header.last_offset() >= offset)
    }

    fn first_at(&self, timestamp: i64) -> Option<(i64, i64)> {
        let records = self.readable(self.log_start).flat_map(|batch| {
            let batch = RecordBatch::parse(batch.bytes.clone()).unwrap();
            batch.records(LIMIT).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        });
        let mut visible = records.filter(|record| record.offset >= self.log_start);
        visible
            .find(|record| record.timestamp >= timestamp)
            .map(|record| (record.offset, record.timestamp))
    }

    /// Compares a log with the model.
    pub(crate) fn check(&self, log: &PartitionLog) -> Result<(), String> {
        same("log end", &log.log_end_offset(), &self.log_end)?;
        same("log start", &log.log_start_offset(), &self.log_start)?;
        if log.flushed_end_offset() < self.flushed {
            return Err(format!("flushed end fell to {}", log.flushed_end_offset()));
        }
        let everything = read(log, self.log_start, usize::MAX, self.log_end)?;
        let expected: Vec<Bytes> =
            self.readable(self.log_start).map(|batch| batch.bytes.clone()).collect();
        same("content", &everything, &expected)?;

        let mut epochs = log.epochs().clone();
        epochs.truncate_from_end(self.log_end);
        same("epochs", &epochs, &self.epochs())?;
        self.check_transactions(log)?;
        self.check_producers(log)
    }

    fn check_transactions(&self, log: &PartitionLog) -> Result<(), String> {
        let open = self.producers().values().filter_map(|state| state.transaction_start).min();
        same("first unstable offset", &log.first_unstable_offset(self.log_end), &open)?;
        let found = log.aborted_transactions(self.log_start, self.log_end);
        let mut found: Vec<_> = found
            .map_err(|error| error.to_string())?
            .iter()
            .map(|entry| (entry.producer_id, entry.first_offset, entry.last_offset))
            .collect();
        found.sort_unstable();
        let mut expected = self.aborted();
        expected.retain(|&(_, _, last_offset)| last_offset >= self.log_start);
        expected.sort_unstable();
        same("aborted transactions", &found, &expected)
    }

    fn check_producers(&self, log: &PartitionLog) -> Result<(), String> {
        let expected = self.producers();
        let found: Vec<i64> = log.active_producers().map(|entry| entry.producer_id).collect();
        same("producer ids", &found, &expected.keys().copied().collect())?;
        for entry in log.active_producers() {
            let producer = &expected[&entry.producer_id];
            same("producer epoch", &entry.epoch, &producer.epoch)?;
            same("transaction start", &entry.transaction_start, &producer.transaction_start)?;
            let found: Vec<(i32, i64)> = entry
                .batches()
                .iter()
                .map(|batch| (batch.last_sequence, batch.last_offset))
                .collect();
            let expected: Vec<(i32, i64)> = producer
                .batches
                .iter()
                .map(|header| (header.last_sequence(), header.last_offset()))
                .collect();
            same("remembered batches", &found, &expected)?;
        }
        Ok(())
    }

    /// Compares one read with the model.
    pub(crate) fn check_read(
        &self,
        log: &PartitionLog,
        offset: i64,
        max_bytes: usize,
        upper_bound: i64,
    ) -> Result<(), String> {
        let found = read(log, offset, max_bytes, upper_bound)?;
        let mut expected = Vec::new();
        let mut size = 0;
        let below = self
            .readable(offset)
            .take_while(|batch| offset < upper_bound && batch.header.next_offset() <= upper_bound);
        for batch in below {
            size += batch.bytes.len();
            if size > max_bytes && !expected.is_empty() {
                break;
            }
            expected.push(batch.bytes.clone());
        }
        same(&format!("read {offset} {max_bytes} {upper_bound}"), &found, &expected)
    }

    /// Compares one lookup by time with the model.
    pub(crate) fn check_lookup(&self, log: &PartitionLog, timestamp: i64) -> Result<(), String> {
        let found = log.offset_for(TimestampQuery::At(timestamp), self.log_end);
        let found = found.map_err(|error| error.to_string())?;
        let expected = self.first_at(timestamp).unwrap_or((-1, -1));
        same(&format!("lookup of {timestamp}"), &(found.offset, found.timestamp), &expected)
    }
}

fn read(
    log: &PartitionLog,
    offset: i64,
    max_bytes: usize,
    upper_bound: i64,
) -> Result<Vec<Bytes>, String> {
    let result =
        log.read(offset, max_bytes, true, upper_bound).map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    for range in &result.segments {
        verify_range(range).map_err(|error| error.to_string())?;
        let mut whole = Batches::new(range.read().map_err(|error| error.to_string())?);
        batches.extend(whole.by_ref().map(|batch| batch.unwrap().into_bytes()));
        same("rest of a range", &whole.rest().len(), &0)?;
    }
    Ok(batches)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}"))
}
