mod model;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flumen_protocol::records::compression::Compression;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchBuilder, BatchOptions, Batches, Record, RecordBatch};

use super::*;
use crate::vfs::simulated::Operation;
use crate::vfs::{OpenOptions, SimulatedDisk, Vfs, read_file};
use crate::{AppendOrigin, OpenContext};

const NOW_MS: i64 = 1_700_000_000_000;
const DIR: &str = "/topic-0";
const DELETE_RETENTION_MS: i64 = 1_000;

fn config() -> LogConfig {
    LogConfig {
        compact: true,
        delete: false,
        segment_bytes: 4_000,
        delete_retention_ms: DELETE_RETENTION_MS,
        index_interval_bytes: 200,
        timestamp_after_max_ms: i64::MAX,
        ..LogConfig::default()
    }
}

fn open(disk: &SimulatedDisk, config: LogConfig, recovery_point: i64) -> PartitionLog {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let context = OpenContext { clean_shutdown: false, recovery_point, now_ms: NOW_MS };
    PartitionLog::open(vfs, Path::new(DIR), Arc::new(config), context).unwrap()
}

/// A key and a value; without a value a tombstone.
type Pair = (&'static str, Option<&'static str>);

fn batch(options: BatchOptions, pairs: &[Pair]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (key, value) in pairs {
        builder.append(NOW_MS, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    builder.build()
}

/// A log under compaction, with short ways to do things to it.
struct Bench {
    disk: SimulatedDisk,
    log: Mutex<PartitionLog>,
    first_dirty_offset: i64,
}

impl Bench {
    fn new() -> Self {
        Self::with_config(config())
    }

    fn with_config(config: LogConfig) -> Self {
        let disk = SimulatedDisk::new();
        let log = Mutex::new(open(&disk, config, 0));
        Self { disk, log, first_dirty_offset: 0 }
    }

    fn append_bytes(&self, records: Bytes, origin: AppendOrigin) {
        self.log.lock().append_as_leader(records, 0, origin, NOW_MS).unwrap();
    }

    fn append(&self, pairs: &[Pair]) {
        self.append_bytes(batch(BatchOptions::default(), pairs), AppendOrigin::Client);
    }

    /// Appends what a transactional producer sends.
    fn append_transactional(&self, producer_id: i64, base_sequence: i32, pairs: &[Pair]) {
        let options = BatchOptions {
            producer_id,
            producer_epoch: 0,
            base_sequence,
            is_transactional: true,
            ..BatchOptions::default()
        };
        self.append_bytes(batch(options, pairs), AppendOrigin::Client);
    }

    fn end_transaction(&self, producer_id: i64, is_commit: bool) {
        let marker = EndTransactionMarker { is_commit, coordinator_epoch: 0 };
        self.append_bytes(marker.to_batch(NOW_MS, producer_id, 0), AppendOrigin::Coordinator);
    }

    fn roll(&self) {
        self.log.lock().roll(NOW_MS).unwrap();
    }

    fn bounds(&self, now_ms: i64) -> CompactionBounds {
        CompactionBounds {
            limit: self.log.lock().log_end_offset(),
            first_dirty_offset: self.first_dirty_offset,
            now_ms,
            offset_map_bytes_max: 1 << 20,
        }
    }

    fn compact(&mut self, now_ms: i64) -> Compacted {
        let compacted = compact(&self.log, &self.bounds(now_ms)).unwrap().expect("it is dirty");
        self.first_dirty_offset = compacted.first_dirty_offset;
        compacted
    }

    /// Rolls and compacts all, `after_ms` after everything was appended.
    fn roll_and_compact(&mut self, after_ms: i64) -> Compacted {
        // A record that replaces nothing, so that there is something dirty.
        self.append(&[("last", Some("one"))]);
        self.roll();
        self.compact(NOW_MS + after_ms)
    }

    fn batches(&self) -> Vec<RecordBatch> {
        read_batches(&self.log.lock())
    }

    /// Offsets and values of the records with `key`.
    fn values(&self, key: &str) -> Vec<(i64, Option<String>)> {
        let found = records(&self.batches());
        let with_key =
            found.into_iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
        with_key
            .map(|record| {
                let value = record.value.map(|value| String::from_utf8(value.into()).unwrap());
                (record.offset, value)
            })
            .collect()
    }

    fn markers(&self) -> usize {
        let batches = self.batches();
        let markers = batches.iter().filter(|batch| batch.header().is_control());
        markers.filter(|batch| batch.header().record_count > 0).count()
    }
}

fn read_batches(log: &PartitionLog) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let read = log.read(offset, usize::MAX, true, log.log_end_offset()).unwrap();
        if read.is_empty() {
            break;
        }
        for range in &read.segments {
            let mut bytes = vec![0; range.size];
            range.source.read_exact_at(&mut bytes, range.position).unwrap();
            let mut found = Batches::new(bytes.into());
            for batch in found.by_ref() {
                let batch = batch.unwrap();
                batch.verify_crc().unwrap();
                assert!(batch.header().base_offset >= offset, "offsets rise");
                offset = batch.header().next_offset();
                batches.push(batch);
            }
            assert!(found.rest().is_empty(), "whole batches only");
        }
    }
    batches
}

fn records(batches: &[RecordBatch]) -> Vec<Record> {
    let data = batches.iter().filter(|batch| !batch.header().is_control());
    data.flat_map(|batch| batch.records(1 << 20).unwrap().map(Result::unwrap)).collect()
}

fn value(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_last_value_of_every_key_stays_at_its_offset() {
    let mut bench = Bench::new();
    bench.append(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    bench.roll();
    bench.append(&[("a", Some("3")), ("c", Some("1"))]);
    bench.roll_and_compact(0);
    assert_eq!(bench.values("a"), [(3, value("3"))]);
    assert_eq!(bench.values("b"), [(1, value("1"))]);
    assert_eq!(bench.values("c"), [(4, value("1"))]);
    let log = bench.log.lock();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 6));
    assert_eq!(log.segment_count(), 2, "small segments became one, beside the active one");
}

#[test]
fn the_active_segment_and_what_is_above_the_limit_are_left_alone() {
    let bench = Bench::new();
    bench.append(&[("a", Some("1"))]);
    bench.roll();
    bench.append(&[("a", Some("2"))]);
    bench.roll();
    bench.append(&[("a", Some("3"))]);
    let compacted = |limit| {
        let bounds = CompactionBounds { limit, ..bench.bounds(NOW_MS) };
        compact(&bench.log, &bounds).unwrap()
    };
    assert_eq!(compacted(0), None);
    assert_eq!(compacted(1).unwrap().first_dirty_offset, 1);
    assert_eq!(bench.values("a").len(), 3, "one record in one segment replaces none");
    compacted(2).unwrap();
    assert_eq!(bench.values("a"), [(1, value("2")), (2, value("3"))]);
}

#[test]
fn a_tombstone_outlives_its_first_run_by_the_delete_retention() {
    let mut bench = Bench::new();
    bench.append(&[("a", Some("1")), ("a", None)]);
    bench.roll_and_compact(0);
    assert_eq!(bench.values("a"), [(1, None)]);
    let horizons: Vec<_> =
        bench.batches().iter().filter_map(|batch| batch.header().delete_horizon()).collect();
    assert_eq!(horizons, [NOW_MS + DELETE_RETENTION_MS]);

    bench.roll_and_compact(DELETE_RETENTION_MS - 1);
    assert_eq!(bench.values("a"), [(1, None)], "too early");
    bench.roll_and_compact(DELETE_RETENTION_MS);
    assert_eq!(bench.values("a"), []);
}

#[test]
fn a_deleted_key_can_be_written_again() {
    let mut bench = Bench::new();
    bench.append(&[("a", Some("1")), ("a", None)]);
    bench.roll_and_compact(0);
    bench.append(&[("a", Some("2"))]);
    bench.roll_and_compact(DELETE_RETENTION_MS);
    assert_eq!(bench.values("a").last().unwrap().1, value("2"));
    assert_eq!(bench.values("a").len(), 1);
}

#[test]
fn codec_and_timestamps_survive() {
    for codec in Compression::ALL {
        let mut bench = Bench::new();
        let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
        let records = batch(options, &[("a", Some("1")), ("b", Some("1")), ("a", None)]);
        bench.append_bytes(records, AppendOrigin::Client);
        bench.roll_and_compact(0);
        let batches = bench.batches();
        assert_eq!(batches[0].header().compression(), codec);
        let kept: Vec<_> = batches[0].records(1_000).unwrap().map(Result::unwrap).collect();
        assert!(kept.iter().all(|record| record.timestamp == NOW_MS), "{codec}");
        assert_eq!(kept.len(), 2);
    }
}

#[test]
fn aborted_records_go_and_replace_nothing() {
    let mut bench = Bench::new();
    bench.append(&[("a", Some("before"))]);
    bench.append_transactional(7, 0, &[("a", Some("aborted"))]);
    bench.append_transactional(8, 0, &[("b", Some("committed"))]);
    bench.end_transaction(7, false);
    bench.end_transaction(8, true);
    bench.append(&[("b", Some("later"))]);
    bench.roll_and_compact(0);
    assert_eq!(bench.values("a"), [(0, value("before"))]);
    assert_eq!(bench.values("b"), [(5, value("later"))]);
    assert_eq!(bench.markers(), 2, "a reader may be in the middle");
    // The producers' last batches stay for their sequence numbers, without records.
    let sequences: Vec<_> = bench
        .batches()
        .iter()
        .map(RecordBatch::header)
        .filter(|header| header.has_producer_id() && !header.is_control())
        .map(|header| (header.producer_id, header.last_sequence(), header.record_count))
        .collect();
    assert_eq!(sequences, [(7, 0, 0), (8, 0, 0)]);
}

#[test]
fn a_marker_goes_once_nothing_of_its_transaction_is_left() {
    let mut bench = Bench::new();
    bench.append_transactional(8, 0, &[("b", Some("1"))]);
    bench.end_transaction(8, true);
    bench.append_transactional(8, 1, &[("b", Some("2"))]);
    bench.end_transaction(8, true);
    // The first transaction is replaced; its marker is met once with data before it...
    bench.roll_and_compact(0);
    assert_eq!((bench.markers(), bench.values("b").len()), (2, 1));
    // ...then without, which sets its horizon, and then beyond that.
    bench.roll_and_compact(0);
    assert_eq!(bench.markers(), 2);
    bench.roll_and_compact(DELETE_RETENTION_MS);
    assert_eq!((bench.markers(), bench.values("b").len()), (1, 1));
}

#[test]
fn a_producer_is_remembered_although_its_records_are_gone() {
    let mut bench = Bench::new();
    let idempotent = |base_sequence| {
        let options = BatchOptions {
            producer_id: 5,
            producer_epoch: 0,
            base_sequence,
            ..BatchOptions::default()
        };
        batch(options, &[("a", Some("1"))])
    };
    bench.append_bytes(idempotent(0), AppendOrigin::Client);
    bench.append_bytes(idempotent(1), AppendOrigin::Client);
    bench.append(&[("a", Some("other"))]);
    bench.roll_and_compact(0);
    let end = bench.log.lock().log_end_offset();
    bench.log.lock().flush().unwrap();

    // Neither snapshots nor memory know the producer any more: the log alone tells.
    let names = bench.disk.list(Path::new(DIR)).unwrap();
    for entry in names.iter().filter(|entry| entry.name.ends_with(".snapshot")) {
        bench.disk.remove_file(&Path::new(DIR).join(&entry.name)).unwrap();
    }
    let mut log = open(&bench.disk, config(), end);
    let again = log.append_as_leader(idempotent(1), 0, AppendOrigin::Client, NOW_MS).unwrap();
    assert!(again.duplicate);
    assert_eq!(again.first_offset, 1);
}

#[test]
fn a_run_ends_where_its_memory_does_and_the_next_goes_on() {
    let mut bench = Bench::new();
    bench.append(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    bench.append(&[("a", Some("2")), ("b", Some("2")), ("c", Some("2"))]);
    bench.roll();
    let narrow =
        |bench: &Bench| CompactionBounds { offset_map_bytes_max: 130, ..bench.bounds(NOW_MS) };
    let compacted = compact(&bench.log, &narrow(&bench)).unwrap().unwrap();
    assert_eq!(compacted.first_dirty_offset, 2, "two keys fit");
    assert_eq!(bench.values("a").len(), 2, "the later one was not met yet");
    bench.first_dirty_offset = compacted.first_dirty_offset;
    for _ in 0..3 {
        if let Some(compacted) = compact(&bench.log, &narrow(&bench)).unwrap() {
            assert!(compacted.first_dirty_offset > bench.first_dirty_offset, "it gets on");
            bench.first_dirty_offset = compacted.first_dirty_offset;
        }
    }
    for (key, offset) in [("a", 3), ("b", 4), ("c", 5)] {
        assert_eq!(bench.values(key), [(offset, value("2"))]);
    }
    assert_eq!(bench.first_dirty_offset, 6);
}

#[test]
fn a_young_segment_waits_for_the_compaction_lag() {
    let lag = LogConfig { min_compaction_lag_ms: 5_000, ..config() };
    let bench = Bench::with_config(lag);
    bench.append(&[("a", Some("1")), ("a", Some("2"))]);
    bench.roll();
    assert_eq!(compact(&bench.log, &bench.bounds(NOW_MS + 4_999)).unwrap(), None);
    assert!(compact(&bench.log, &bench.bounds(NOW_MS + 5_000)).unwrap().is_some());
}

#[test]
fn a_log_is_due_when_enough_is_dirty_or_old_enough() {
    let mut bench = Bench::new();
    let due = |bench: &Bench, config: &LogConfig, now_ms| {
        let bounds = bench.bounds(now_ms);
        let found = dirtiness(&bench.log.lock(), &bounds).unwrap();
        found.is_due(config, now_ms)
    };
    let eager = LogConfig { max_compaction_lag_ms: 1_000, ..config() };
    assert!(!due(&bench, &eager, NOW_MS + 2_000), "nothing to do");
    bench.append(&[("a", Some("1")); 20]);
    bench.roll();
    assert!(due(&bench, &config(), NOW_MS));
    bench.compact(NOW_MS);
    assert!(!due(&bench, &config(), NOW_MS));

    bench.append(&[("k1", Some("1"))]);
    bench.append(&[("k2", Some("1"))]);
    bench.append(&[("k3", Some("1"))]);
    bench.roll();
    bench.compact(NOW_MS);
    bench.append(&[("a", Some("2"))]);
    bench.roll();
    assert!(!due(&bench, &config(), NOW_MS + 2_000), "a quarter is dirty");
    assert!(due(&bench, &eager, NOW_MS + 2_000), "but it has waited too long");
    assert!(!due(&bench, &eager, NOW_MS + 1_000));
}

#[test]
fn retention_during_a_run_is_not_undone() {
    let bench = Bench::new();
    bench.append(&[("a", Some("1")), ("a", Some("2"))]);
    bench.roll();
    let bounds = bench.bounds(NOW_MS);
    let source = Source::take(&bench.log.lock(), &bounds).unwrap();
    let segments: Vec<&CleanableSegment> = source.segments.iter().collect();
    assert!(has_segments(&bench.log.lock(), &segments, 2).unwrap());
    bench.append(&[("a", Some("3"))]);
    bench.log.lock().advance_log_start_offset(2).unwrap();
    assert!(!has_segments(&bench.log.lock(), &segments, 2).unwrap());
}

#[test]
fn a_damaged_batch_stops_the_run_and_stays_as_it_is() {
    let bench = Bench::new();
    bench.append(&[("a", Some("1")), ("a", Some("2"))]);
    bench.roll();
    let path = Path::new(DIR).join("00000000000000000000.log");
    bench.disk.flip_bits(&path, 70, 4).unwrap();
    let error = compact(&bench.log, &bench.bounds(NOW_MS)).unwrap_err();
    assert!(matches!(
        error,
        CompactionError::Read(ReadError::Corrupt { base_offset: 0, position: 0, .. })
    ));
}

#[test]
fn a_batch_whose_offsets_do_not_rise_stops_the_run() {
    let bench = Bench::new();
    // A tombstone makes the run write the batch anew.
    bench.append(&[("a", None), ("b", Some("2"))]);
    bench.roll();
    let path = Path::new(DIR).join("00000000000000000000.log");
    let mut bytes = read_file(&bench.disk, &path).unwrap();
    let first_offset_delta = &mut bytes[64];
    assert_eq!(*first_offset_delta, 0);
    *first_offset_delta = 2;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bench.disk.open(&path, OpenOptions::CREATE).unwrap().write_at(&bytes, 0).unwrap();

    let error = compact(&bench.log, &bench.bounds(NOW_MS)).unwrap_err();
    assert!(matches!(error, CompactionError::RecordOrder { base_offset: 0, offset: 1 }), "{error}");
    assert!(!bench.log.lock().is_offline());
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let bench = Bench::new();
    bench.append(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    bench.roll();
    let before = records(&bench.batches());
    bench.disk.fail_matching(Operation::Write, ".cleaned", 1);
    compact(&bench.log, &bench.bounds(NOW_MS)).unwrap_err();
    assert_eq!(records(&bench.batches()), before);
    assert!(!bench.log.lock().is_offline());
    compact(&bench.log, &bench.bounds(NOW_MS)).unwrap().unwrap();
    assert_eq!(bench.values("a"), [(2, value("2"))]);
}
