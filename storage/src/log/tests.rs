//! The log on a real directory: what each operation does, one at a time.

use std::path::PathBuf;

use bytes::Bytes;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches, patch_base_offset};

use super::*;
use crate::error::{AppendError, MaintenanceError, ReadError};
use crate::file_names::{LOG, SEAL, segment_file};
use crate::producer_state::AppendOrigin;
use crate::vfs::RealDisk;

pub(super) const NOW_MS: i64 = 1_700_000_000_000;

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

pub(super) fn batch(count: usize, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for index in 0..count {
        let value = vec![b'v'; 20];
        let offset = i64::try_from(index).unwrap();
        builder.append(timestamp + offset, Some(b"key"), Some(&value), &[]);
    }
    builder.build()
}

pub(super) fn idempotent(producer_id: i64, base_sequence: i32, count: usize) -> Bytes {
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

pub(super) fn append(log: &mut PartitionLog, records: Bytes) -> AppendInfo {
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
    assert_eq!(log.flush_progress().plan().map(|plan| plan.end_offset), None);
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
        assert_eq!((first.log_append_time, retry.log_append_time), (None, Some(NOW_MS)));
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

#[test]
fn retention_by_time_empties_an_idle_topic() {
    let mut fixture = Fixture::new();
    fixture.config.retention_ms = Some(60_000);
    let mut log = fixture.open(false, 0);
    append(&mut log, batch(10, NOW_MS));
    log.roll(NOW_MS).unwrap();
    append(&mut log, batch(10, NOW_MS + 1000));
    assert_eq!(log.delete_expired(NOW_MS + 60_000, 20).unwrap(), 0, "not old enough");
    assert_eq!(log.delete_expired(NOW_MS + 1_000_000, 9).unwrap(), 0, "not replicated");
    assert_eq!(log.delete_expired(NOW_MS + 1_000_000, 19).unwrap(), 1);
    assert_eq!(log.log_start_offset(), 10);
    assert_eq!(log.delete_expired(NOW_MS + 1_000_000, 20).unwrap(), 1);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size()), (20, 20, 0));
    assert_eq!(log.delete_expired(NOW_MS + 2_000_000, 20).unwrap(), 0);
    drop(log);
    let mut log = fixture.open(false, 0);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (20, 20));
    assert_eq!(append(&mut log, batch(10, NOW_MS)).first_offset, 20);
}

#[test]
fn retention_by_size_keeps_at_least_the_limit() {
    let size = u64::try_from(batch(10, NOW_MS).len()).unwrap();
    let mut fixture = Fixture::new();
    fixture.config.retention_ms = None;
    fixture.config.segment_bytes = u32::try_from(size * 2).unwrap();
    fixture.config.retention_bytes = Some(size * 5);
    let mut log = fixture.open(false, 0);
    fill(&mut log, 10);
    assert_eq!(log.delete_expired(NOW_MS, 100).unwrap(), 2);
    assert_eq!((log.log_start_offset(), log.size()), (40, size * 6));
    fixture.config.delete = false;
    fixture.config.retention_bytes = Some(0);
    log.set_config(Arc::new(fixture.config));
    assert_eq!(log.delete_expired(NOW_MS, 100).unwrap(), 0, "the policy says otherwise");
}

#[test]
fn deleted_records_stay_deleted() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    fill(&mut log, 3);
    log.advance_log_start_offset(15).unwrap();
    log.advance_log_start_offset(7).unwrap();
    assert_eq!(log.log_start_offset(), 15, "the start never falls");
    assert!(matches!(
        log.advance_log_start_offset(31),
        Err(MaintenanceError::OffsetOutOfRange { offset: 31, log_end_offset: 30, .. })
    ));
    drop(log);
    let log = fixture.open(false, 0);
    assert_eq!(log.log_start_offset(), 15);
    assert!(matches!(log.read(14, 1, true, 30), Err(ReadError::OffsetOutOfRange { .. })));
    assert_eq!(read_bases(&log, 15, 1, 30), [10], "whole batches, as in Kafka");
    assert_eq!(log.offset_for_timestamp(0).unwrap().unwrap().offset, 15);
}

#[test]
fn special_timestamps_are_answered_as_without_tiers() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    let nothing = log.offset_for(TimestampQuery::Newest, 0).unwrap();
    assert_eq!((nothing.offset, nothing.timestamp), (-1, -1));
    append(&mut log, batch(10, NOW_MS + 5000));
    append(&mut log, batch(10, NOW_MS));
    append(&mut log, batch(10, NOW_MS + 2000));
    let check = |timestamp: i64, expected: (i64, i64)| {
        let query = TimestampQuery::from_timestamp(timestamp).unwrap();
        let found = log.offset_for(query, 25).unwrap();
        assert_eq!((found.offset, found.timestamp), expected, "{timestamp}");
    };
    check(-1, (25, -1));
    check(-2, (0, -1));
    check(-3, (9, NOW_MS + 5009));
    check(-4, (0, -1));
    check(-5, (-1, -1));
    check(-6, (-1, -1));
    check(NOW_MS, (0, NOW_MS + 5000));
    check(NOW_MS + 5003, (3, NOW_MS + 5003));
    check(NOW_MS + 6000, (-1, -1));
    assert_eq!(TimestampQuery::from_timestamp(-7), None);
    assert_eq!(log.offset_for(TimestampQuery::At(NOW_MS + 5003), 3).unwrap().offset, -1);
}

#[test]
fn segments_are_rolled_by_age() {
    let mut fixture = Fixture::new();
    fixture.config.segment_ms = 10_000;
    let mut log = fixture.open(false, 0);
    append(&mut log, batch(1, NOW_MS));
    append(&mut log, batch(1, NOW_MS + 10_000));
    assert_eq!(log.segment_count(), 1);
    append(&mut log, batch(1, NOW_MS + 10_001));
    assert_eq!(log.segment_count(), 2, "the records are too far apart");
}

#[test]
fn a_follower_takes_offsets_as_they_come() {
    let (fixture, leader_fixture) = (Fixture::new(), Fixture::new());
    let mut leader = leader_fixture.open(false, 0);
    let copy = |offset: i64, leader: &PartitionLog| {
        let read = leader.read(offset, 1, true, i64::MAX).unwrap();
        read.segments[0].read().unwrap()
    };
    for leader_epoch in [0, 3, 3] {
        let records = batch(10, NOW_MS);
        leader.append_as_leader(records, leader_epoch, AppendOrigin::Client, NOW_MS).unwrap();
    }
    let mut follower = fixture.open(false, 0);
    follower.append_as_follower(copy(0, &leader), NOW_MS).unwrap();
    follower.append_as_follower(copy(20, &leader), NOW_MS).unwrap();
    assert_eq!(follower.log_end_offset(), 30);
    let again = follower.append_as_follower(copy(10, &leader), NOW_MS);
    assert!(matches!(again, Err(AppendError::OffsetOutOfOrder { base_offset: 10, .. })));
    assert_eq!(follower.latest_epoch(), Some(3));
    assert_eq!(follower.end_offset_for_epoch(0).unwrap().end_offset, 20);
    assert_eq!(read_bases(&follower, 5, usize::MAX, 30), [0, 20]);
}

#[test]
fn a_gap_wider_than_a_segment_begins_a_new_one() {
    let fixture = Fixture::new();
    let mut log = fixture.open(false, 0);
    let far = i64::from(i32::MAX) * 4;
    for base_offset in [far, far + 10, far * 2] {
        let mut records = batch(10, NOW_MS).to_vec();
        patch_base_offset(&mut records, base_offset);
        flumen_protocol::records::patch_leader_epoch(&mut records, 0);
        log.append_as_follower(records.into(), NOW_MS).unwrap();
    }
    assert_eq!(log.segment_count(), 3);
    assert_eq!(read_bases(&log, 0, usize::MAX, i64::MAX), [far, far + 10, far * 2]);
    log.close().unwrap();
    let log = fixture.open(true, far);
    assert_eq!(log.log_end_offset(), far * 2 + 10);
}

#[test]
fn indexes_survive_many_clean_restarts() {
    let fixture = Fixture::new();
    for round in 0..4 {
        let mut log = fixture.open(true, 0);
        assert_eq!(log.log_end_offset(), round * 20, "round {round}");
        if round > 1 {
            // Written anew while it may still be mapped from the restart before.
            log.roll(NOW_MS).unwrap();
        }
        fill(&mut log, 2);
        log.close().unwrap();
        assert!(matches!(
            log.append_as_leader(batch(1, NOW_MS), 0, AppendOrigin::Client, NOW_MS),
            Err(AppendError::Offline)
        ));
    }
    let log = fixture.open(true, 0);
    assert_eq!(read_bases(&log, 0, usize::MAX, 80), [0, 10, 20, 30, 40, 50, 60, 70]);
    assert_eq!(log.offset_for_timestamp(NOW_MS + 1000).unwrap().unwrap().offset, 10);
}

/// Base offsets lie outside the checksum.
#[test]
fn a_base_offset_gone_bad_is_damage() {
    let mut fixture = Fixture::new();
    let size = batch(10, NOW_MS).len();
    fixture.config.segment_bytes = u32::try_from(size * 40).unwrap();
    let mut log = fixture.open(false, 0);
    fill(&mut log, 50);
    log.close().unwrap();
    let first = fixture.path().join(segment_file(0, LOG));
    let mut bytes = std::fs::read(&first).unwrap();
    patch_base_offset(&mut bytes[size * 5..], 1 << 40);
    std::fs::write(&first, bytes).unwrap();
    std::fs::remove_file(fixture.path().join(segment_file(0, SEAL))).unwrap();

    let log = fixture.open(true, 500);
    let position = u64::try_from(size * 5).unwrap();
    let read = log.read(390, 1, true, 500);
    assert!(
        matches!(read, Err(ReadError::Corrupt { position: at, .. }) if at == position),
        "{read:?}"
    );
    drop(log);

    // Not even if the segments around it leave room for that offset.
    let second = fixture.path().join(segment_file(400, LOG));
    std::fs::rename(second, fixture.path().join(segment_file(1 << 41, LOG))).unwrap();
    let log = fixture.open(false, 0);
    assert_eq!((log.log_end_offset(), log.segment_count()), (50, 1));
}
