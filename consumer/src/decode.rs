//! From fetched bytes to records. Pure.
//!
//! Takes the bytes a broker sent for one partition and yields its records one by one, decoding
//! batch by batch. Skips what is in front of the position asked for (a broker sends whole batches),
//! control records, and with read_committed the records of aborted transactions.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use flumen_client::TopicPartition;
use flumen_client::admin::Isolation;
use flumen_protocol::messages::fetch::AbortedTransaction;
use flumen_protocol::records::control::ControlRecordType;
use flumen_protocol::records::{BatchHeader, Batches, RecordBatch, Records};

use crate::error::CorruptBatch;
use crate::record::{Position, Record};

/// How to decode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) check_crcs: bool,
    pub(crate) decompressed_bytes_max: usize,
    pub(crate) isolation: Isolation,
}

/// The records of one answer for one partition.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) partition: TopicPartition,
    /// The stay it was fetched for.
    pub(crate) stay: u64,
    /// The bytes it counts for in the buffer.
    pub(crate) size: usize,
    rules: Rules,
    /// The next offset to give.
    next: Position,
    batches: Batches,
    records: Option<Open>,
    aborted: Aborted,
}

/// A batch being read.
#[derive(Debug)]
struct Open {
    header: BatchHeader,
    records: Records,
}

impl Fetched {
    pub(crate) fn new(
        partition: TopicPartition,
        stay: u64,
        from: Position,
        bytes: Bytes,
        aborted: Vec<AbortedTransaction>,
        rules: Rules,
    ) -> Self {
        let size = bytes.len();
        let batches = Batches::new(bytes);
        let aborted = Aborted::new(aborted);
        Self { partition, stay, size, rules, next: from, batches, records: None, aborted }
    }

    /// The next offset to give; behind the last record, the one to fetch from.
    pub(crate) fn next_position(&self) -> Position {
        self.next
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// A batch is damaged. The position stays in front of it, and nothing more comes.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, CorruptBatch> {
        loop {
            let Some(open) = &mut self.records else {
                if !self.open_batch()? {
                    return Ok(None);
                }
                continue;
            };
            let Some(record) = open.records.next() else {
                self.next = behind(&open.header, self.next);
                self.records = None;
                continue;
            };
            let record = record?;
            if record.offset < self.next.offset {
                continue;
            }
            let leader_epoch = open.header.partition_leader_epoch;
            let known_epoch = Some(leader_epoch).filter(|epoch| *epoch >= 0);
            self.next = Position { offset: record.offset + 1, leader_epoch: known_epoch };
            return Ok(Some(Record {
                partition: self.partition.clone(),
                offset: record.offset,
                leader_epoch,
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: record.headers,
            }));
        }
    }

    /// Opens the next batch that holds records for the program; `false` at the end.
    fn open_batch(&mut self) -> Result<bool, CorruptBatch> {
        while let Some(batch) = self.batches.next() {
            let batch = batch?;
            let header = *batch.header();
            if header.last_offset() < self.next.offset {
                continue;
            }
            if self.rules.check_crcs {
                batch.verify_crc()?;
            }
            if self.is_hidden(&batch)? {
                self.next = behind(&header, self.next);
                continue;
            }
            let records = batch.records(self.rules.decompressed_bytes_max)?;
            self.records = Some(Open { header, records });
            return Ok(true);
        }
        Ok(false)
    }

    /// Says whether a batch is not for the program: a control batch, or one that was aborted.
    fn is_hidden(&mut self, batch: &RecordBatch) -> Result<bool, CorruptBatch> {
        let header = batch.header();
        self.aborted.advance_to(header.last_offset());
        if header.is_control() {
            let first = batch.records(self.rules.decompressed_bytes_max)?.next().transpose()?;
            let key = first.and_then(|record| record.key);
            if ControlRecordType::from_key(key.as_deref()) == Ok(ControlRecordType::Abort) {
                self.aborted.end(header.producer_id);
            }
            return Ok(true);
        }
        Ok(self.rules.isolation == Isolation::ReadCommitted
            && header.is_transactional()
            && self.aborted.is_open(header.producer_id))
    }
}

/// The place behind a batch; what compaction removed from its end is skipped with it.
fn behind(header: &BatchHeader, next: Position) -> Position {
    let epoch = Some(header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
    Position {
        offset: header.next_offset().max(next.offset),
        leader_epoch: epoch.or(next.leader_epoch),
    }
}

/// The aborted transactions of a stretch of the log.
#[derive(Debug)]
struct Aborted {
    /// Those that begin further on, in order.
    coming: VecDeque<AbortedTransaction>,
    /// The producers whose aborted transaction is open at the place being read.
    open: BTreeSet<i64>,
}

impl Aborted {
    fn new(mut transactions: Vec<AbortedTransaction>) -> Self {
        transactions.sort_by_key(|transaction| transaction.first_offset);
        Self { coming: transactions.into(), open: BTreeSet::new() }
    }

    fn advance_to(&mut self, offset: i64) {
        while self.coming.front().is_some_and(|coming| coming.first_offset <= offset) {
            self.open.extend(self.coming.pop_front().map(|begun| begun.producer_id));
        }
    }

    fn end(&mut self, producer_id: i64) {
        self.open.remove(&producer_id);
    }

    fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains(&producer_id)
    }
}

/// The place behind the last whole batch, to fetch from next; `None` if there is no whole batch.
pub(crate) fn place_behind(
    bytes: &Bytes,
    from: Position,
) -> Result<Option<Position>, CorruptBatch> {
    let mut place = None;
    for batch in Batches::new(bytes.clone()) {
        place = Some(behind(batch?.header(), place.unwrap_or(from)));
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use flumen_protocol::records::compression::Compression;
    use flumen_protocol::records::control::EndTransactionMarker;
    use flumen_protocol::records::{BatchBuilder, BatchOptions, patch_base_offset};

    use super::*;

    const RULES: Rules = Rules {
        check_crcs: true,
        decompressed_bytes_max: 1 << 20,
        isolation: Isolation::ReadUncommitted,
    };

    fn batch(base_offset: i64, count: usize, options: BatchOptions) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions { base_offset, ..options });
        for _ in 0..count {
            builder.append(7, Some(b"key"), Some(b"value"), &[]);
        }
        builder.build().to_vec()
    }

    fn plain(base_offset: i64, count: usize) -> Vec<u8> {
        let options = BatchOptions { partition_leader_epoch: 3, ..BatchOptions::default() };
        batch(base_offset, count, options)
    }

    fn transactional(base_offset: i64, producer_id: i64) -> Vec<u8> {
        let options = BatchOptions {
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            is_transactional: true,
            ..BatchOptions::default()
        };
        batch(base_offset, 1, options)
    }

    fn abort(offset: i64, producer_id: i64) -> Vec<u8> {
        let marker = EndTransactionMarker { is_commit: false, coordinator_epoch: 0 };
        let mut bytes = marker.to_batch(7, producer_id, 0).to_vec();
        patch_base_offset(&mut bytes, offset);
        bytes
    }

    fn fetched(from: i64, bytes: Vec<u8>, aborted: &[(i64, i64)], rules: Rules) -> Fetched {
        let aborted = aborted.iter().map(|(producer_id, first_offset)| AbortedTransaction {
            producer_id: *producer_id,
            first_offset: *first_offset,
        });
        let partition = TopicPartition::new("t", 0);
        Fetched::new(partition, 0, Position::at(from), bytes.into(), aborted.collect(), rules)
    }

    fn offsets(fetched: &mut Fetched) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(record) = fetched.next_record().unwrap() {
            offsets.push(record.offset);
        }
        offsets
    }

    #[test]
    fn records_begin_at_the_position_asked_for() {
        let bytes = [plain(10, 3), plain(13, 2)].concat();
        let mut fetched = fetched(11, bytes, &[], RULES);
        assert_eq!(offsets(&mut fetched), [11, 12, 13, 14]);
        assert_eq!(fetched.next_position(), Position { offset: 15, leader_epoch: Some(3) });
    }

    #[test]
    fn every_codec_is_read() {
        for compression in Compression::ALL {
            let options = BatchOptions { codec: compression.into(), ..BatchOptions::default() };
            let mut fetched = fetched(0, batch(0, 20, options), &[], RULES);
            assert_eq!(offsets(&mut fetched).len(), 20, "{compression}");
        }
    }

    #[test]
    fn a_batch_cut_off_at_the_end_is_left_for_the_next_fetch() {
        let mut bytes = [plain(0, 2), plain(2, 2)].concat();
        bytes.truncate(bytes.len() - 1);
        let place = place_behind(&bytes.clone().into(), Position::at(0)).unwrap().unwrap();
        assert_eq!(place.offset, 2);
        let mut fetched = fetched(0, bytes, &[], RULES);
        assert_eq!(offsets(&mut fetched), [0, 1]);
        assert_eq!(fetched.next_position().offset, 2);
    }

    #[test]
    fn a_damaged_batch_is_an_error_in_front_of_it() {
        let mut bytes = [plain(0, 2), plain(2, 2)].concat();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let mut checked = fetched(0, bytes.clone(), &[], RULES);
        assert!(checked.next_record().unwrap().is_some());
        assert!(checked.next_record().unwrap().is_some());
        assert!(matches!(checked.next_record(), Err(CorruptBatch::Batch(_))));
        assert_eq!(checked.next_position().offset, 2);
        let unchecked = Rules { check_crcs: false, ..RULES };
        assert!(fetched(2, bytes, &[], unchecked).next_record().unwrap().is_some());
    }

    #[test]
    fn aborted_transactions_are_hidden_from_read_committed() {
        let bytes = [
            transactional(0, 1),
            transactional(1, 2),
            plain(2, 1),
            abort(3, 1),
            transactional(4, 1),
        ]
        .concat();
        let committed = Rules { isolation: Isolation::ReadCommitted, ..RULES };
        let mut some = fetched(0, bytes.clone(), &[(1, 0)], committed);
        assert_eq!(offsets(&mut some), [1, 2, 4]);
        assert_eq!(some.next_position().offset, 5);
        assert_eq!(offsets(&mut fetched(0, bytes, &[(1, 0)], RULES)), [0, 1, 2, 4]);
    }
}
