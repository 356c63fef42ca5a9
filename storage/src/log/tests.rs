//! The log on a real directory: what each operation does, one at a time.

use std::path::PathBuf;

use bytes::Bytes;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches};

use super::*;
use crate::error::{AppendError, ReadError};
use crate::producer_state::AppendOrigin;
use crate::vfs::RealDisk;

const NOW_MS: i64 = 1_700_000_000_000;

struct Fixture {
    root: tempfile::TempDir,
    config: LogConfig,
}

impl Fixture {
    fn new() -> Self {
        let config = LogConfig { index_interval_bytes: 300, ..LogConfig::default() };
        Self { root: tempfile::tempdir().unwrap(), config }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("topic-0")
    }

    fn open(&self, clean_shutdown: bool, recovery_point: i64) -> PartitionLog {
        let context = OpenContext { clean_shutdown, recovery_point, now_ms: NOW_MS };
        let disk = Arc::new(RealDisk);
        PartitionLog::open(disk, &self.path(), Arc::new(self.config.clone()), context).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn batch(count: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for index in 0..count {
        let value = vec![b'v'; 20];
        let offset = i64::try_from(index).unwrap();
        builder.append(timestamp + offset, Some(b"key"), Some(&value), &[]);
    }
    builder.build()
}

fn idempotent(producer_id: i64, base_sequence: i32, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id,
        producer_epoch: 0,
        base_sequence,
        ..BatchOptions::default()
    });
    for _ in 0..count {
        builder.append(NOW_MS, None, Some(b"value"), &[]);
    }
    builder.build()
}

fn append(log: &mut PartitionLog, records: Bytes) -> AppendInfo {
    log.append_as_leader(records, 0, AppendOrigin::Client, NOW_MS).unwrap()
}

fn fill(log: &mut PartitionLog, batches: usize) {
    for index in 0..batches {
        append(log, batch(10, NOW_MS + i64::try_from(index).unwrap() * 1000));
    }
}

/// The base offsets of the batches a read gives.
fn read_bases(log: &PartitionLog, offset: i64, max_bytes: usize, upper_bound: i64) -> Vec<i64> {
    let read = log.read(offset, max_bytes, true, upper_bound).unwrap();
    let mut bases = Vec::new();
    for range in &read.segments {
        verify_range(range).unwrap();
        let mut batches = Batches::new(range.read().unwrap());
        bases.extend(batches.by_ref().map(|batch| batch.unwrap().header().base_offset));
        assert!(batches.rest().is_empty(), "only whole batches");
    }
    if let Some(&last) = bases.last() {
        assert_eq!(read.next_offset, last + 10);
        assert_eq!(read.first_offset, bases[0]);
    }
    bases
}

#[test]
fn offsets_are_assigned_in_order() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    for expected in [0, 10, 20] {
        let info = append(&mut log, batch(10, NOW_MS));
        assert_eq!((info.first_offset, info.last_offset), (expected, expected + 9));
    }
    assert_eq!(log.log_end_offset(), 30);
    assert_eq!(log.flushed_end_offset(), 0);
    assert_eq!(log.flush().unwrap(), 30);
    assert_eq!(log.flush_plan().unwrap().map(|plan| plan.end_offset), None);
}

#[test]
fn reads_give_whole_batches_from_any_offset() {
    let mut fixture = Fixture::new();
    let size = batch(10, NOW_MS).len();
    fixture.config.segment_bytes = u32::try_from(size * 40).unwrap();
    let mut log = fixture.open(false, 0);
    // More than the tail that is kept in memory, in several segments.
    fill(&mut log, 150);
    assert_eq!(log.segment_count(), 4);
    for reopened in [false, true] {
        for offset in [0, 9, 10, 399, 400, 401, 777, 1199, 1200, 1499] {
            let first = offset / 10 * 10;
            let check = |max_bytes, upper_bound, expected: &[i64]| {
                let bases = read_bases(&log, offset, max_bytes, upper_bound);
                assert_eq!(bases, expected, "{offset} {max_bytes} {upper_bound} {reopened}");
            };
            check(1, 1500, &[first]);
            check(size, 1500, &[first]);
            check(size * 2 - 1, 1500, &[first]);
            check(size * 1000, first + 10, &[first]);
            check(size * 1000, first, &[]);
            let next: Vec<i64> = (first..1500).step_by(10).take(3).collect();
            check(size * 3, 1500, &next);
            let rest: Vec<i64> = (first..1500).step_by(10).collect();
            check(usize::MAX, i64::MAX, &rest);
        }
        assert!(log.read(0, size - 1, false, 1500).unwrap().is_empty());
        assert!(log.read(1500, 1, true, 1500).unwrap().is_empty());
        assert!(matches!(
            log.read(1501, 1, true, 1500),
            Err(ReadError::OffsetOutOfRange { offset: 1501, log_end_offset: 1500, .. })
        ));
        if !reopened {
            log.close().unwrap();
            log = fixture.open(true, 1500);
        }
    }
}

#[test]
fn a_retry_gets_the_offsets_of_the_first_attempt() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    append(&mut log, batch(3, NOW_MS));
    let first = append(&mut log, idempotent(7, 0, 5));
    append(&mut log, idempotent(7, 5, 5));
    let check = |log: &mut PartitionLog| {
        let retry = append(log, idempotent(7, 0, 5));
        assert!(retry.duplicate);
        assert_eq!(retry.first_offset, first.first_offset);
        let gap = log.append_as_leader(idempotent(7, 20, 5), 0, AppendOrigin::Client, NOW_MS);
        assert!(matches!(gap, Err(AppendError::Producer(_))), "{gap:?}");
        assert_eq!(log.log_end_offset(), 13);
    };
    check(&mut log);
    log.close().unwrap();
    let mut log = fixture.open(true, 13);
    check(&mut log);
    drop(log);
    check(&mut fixture.open(false, 0));
}

#[test]
fn files_are_named_as_kafka_names_them() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    fill(&mut log, 10);
    log.roll(NOW_MS).unwrap();
    log.close().unwrap();
    assert_eq!(
        fixture.names(),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.seal",
            "00000000000000000000.timeindex",
            "00000000000000000100.log",
            "00000000000000000100.snapshot",
            "leader-epoch-checkpoint",
            "log-state",
        ]
    );
    let log = fixture.open(true, 100);
    assert_eq!((log.log_end_offset(), log.segment_count()), (100, 2));
    assert_eq!(read_bases(&log, 95, 1, 100), [90]);
}
