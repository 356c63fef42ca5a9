//! Compaction against a map, and crashed at every operation it makes.

use proptest::prelude::*;

use super::*;
use crate::vfs::simulated::{Unsynced, explore_crashes};

/// What a test appends: per batch the codec and the keys and whether each is a tombstone.
type Workload = Vec<(Compression, Vec<(u8, bool)>, bool)>;

fn workload() -> impl Strategy<Value = Workload> {
    let record = (0..6_u8, proptest::bool::weighted(0.2));
    let codec = proptest::sample::select(&Compression::ALL[..]);
    let records = proptest::collection::vec(record, 1..6);
    proptest::collection::vec((codec, records, proptest::bool::weighted(0.3)), 1..15)
}

fn run_workload(log: &mut PartitionLog, workload: &Workload) {
    for (codec, pairs, rolls) in workload {
        let options = BatchOptions { codec: (*codec).into(), ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for (key, is_tombstone) in pairs {
            let value = [*key; 40];
            builder.append(NOW_MS, Some(&[*key]), (!is_tombstone).then_some(&value[..]), &[]);
        }
        log.append_as_leader(builder.build(), 0, AppendOrigin::Client, NOW_MS).unwrap();
        if *rolls {
            log.roll(NOW_MS).unwrap();
        }
    }
    log.flush().unwrap();
}

/// A compacted log holds no record that was not in it, and the last of every key; where `cleaned_to`
/// says that a run came through, no other record of a key below.
fn check_against(before: &[Record], after: &[Record], cleaned_to: i64, past_horizon: bool) {
    let mut rest = before.iter();
    for record in after {
        let original = rest.find(|original| original.offset == record.offset);
        assert_eq!(original, Some(record), "no record changes or moves");
    }
    let last_of = |records: &[Record]| -> BTreeMap<Option<Bytes>, Record> {
        records.iter().map(|record| (record.key.clone(), record.clone())).collect()
    };
    let kept = last_of(after);
    for (key, last) in last_of(before) {
        let may_be_gone = past_horizon && last.value.is_none();
        assert!(may_be_gone || kept.get(&key) == Some(&last), "the last of a key stays");
    }
    for (index, record) in after.iter().enumerate() {
        let is_replaced = after[index + 1..]
            .iter()
            .any(|later| later.key == record.key && later.offset < cleaned_to);
        assert!(!is_replaced, "offset {} was replaced", record.offset);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn compaction_agrees_with_a_map(workload in workload(), bytes_max in 60_usize..600) {
        let mut bench = Bench::new();
        run_workload(&mut bench.log.lock(), &workload);
        let before = records(&bench.batches());
        let end = bench.log.lock().log_end_offset();
        for now_ms in [NOW_MS, NOW_MS + DELETE_RETENTION_MS] {
            // Small memory: several runs until nothing is dirty.
            for _ in 0..200 {
                let bounds =
                    CompactionBounds { offset_map_bytes_max: bytes_max, ..bench.bounds(now_ms) };
                let Some(compacted) = compact(&bench.log, &bounds).unwrap() else { break };
                prop_assert!(compacted.first_dirty_offset > bench.first_dirty_offset);
                bench.first_dirty_offset = compacted.first_dirty_offset;
            }
            let cleaned_to = bench.first_dirty_offset;
            prop_assert_eq!(cleaned_to, bench.log.lock().active_base_offset());
            check_against(&before, &records(&bench.batches()), cleaned_to, now_ms > NOW_MS);
            // Once more over all of it: tombstones past their horizon go.
            bench.first_dirty_offset = 0;
        }
        prop_assert_eq!(bench.log.lock().log_end_offset(), end);
        let after = records(&bench.batches());
        let reopened = open(&bench.disk, config(), end);
        prop_assert_eq!(records(&read_batches(&reopened)), after);
        prop_assert_eq!(reopened.log_end_offset(), end);
    }
}

#[test]
fn a_crash_at_any_operation_loses_no_last_value() {
    let workload: Workload = vec![
        (Compression::None, vec![(1, false), (2, false), (1, false)], true),
        (Compression::Lz4, vec![(3, false), (1, false)], false),
        (Compression::None, vec![(2, true), (4, false)], true),
        (Compression::Zstd, vec![(1, false), (3, true)], true),
        (Compression::None, vec![(4, false)], false),
    ];
    let build = |disk: &SimulatedDisk| {
        let mut log = open(disk, config(), 0);
        run_workload(&mut log, &workload);
        log
    };
    let reference = SimulatedDisk::new();
    let before = records(&read_batches(&build(&reference)));
    let end = before.last().unwrap().offset + 1;

    let tried = explore_crashes(
        6,
        |disk| build(disk).close().unwrap(),
        |disk| {
            let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
            let context = OpenContext { clean_shutdown: true, recovery_point: end, now_ms: NOW_MS };
            let opened = PartitionLog::open(vfs, Path::new(DIR), Arc::new(config()), context);
            let log = Mutex::new(opened.ok()?);
            let bounds = CompactionBounds {
                limit: end,
                first_dirty_offset: 0,
                now_ms: NOW_MS,
                offset_map_bytes_max: 1 << 20,
            };
            compact(&log, &bounds).ok()?
        },
        |disk, compacted, crash| {
            let cleaned_to = compacted.map_or(0, |compacted| compacted.first_dirty_offset);
            // Twice: recovery leaves nothing that a second one would see differently.
            for _ in 0..2 {
                let log = open(disk, config(), end);
                assert_eq!(log.log_end_offset(), end, "{crash:?}");
                check_against(&before, &records(&read_batches(&log)), cleaned_to, false);
                let left = disk.list(Path::new(DIR)).unwrap();
                assert!(
                    !left
                        .iter()
                        .any(|entry| entry.name.ends_with(".cleaned")
                            || entry.name.ends_with(".swap")),
                    "{crash:?}: {left:?}"
                );
            }
            assert!(compacted.is_some() || crash.unsynced != Unsynced::Kept || !crash.is_complete);
        },
    );
    assert!(tried > 100, "{tried} crashes");
}
