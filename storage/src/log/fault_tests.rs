//! The log on a disk that fails: what is refused, what goes on, what is still true afterwards.

use std::path::Path;

use super::tests::{NOW_MS, append, batch, idempotent};
use super::*;
use crate::error::{AppendError, CorruptBatch, MaintenanceError};
use crate::producer_state::AppendOrigin;
use crate::vfs::simulated::{Operation, Unsynced};
use crate::vfs::{OpenOptions, SimulatedDisk, Vfs};

const DIR: &str = "/data/topic-0";

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(
    disk: &SimulatedDisk,
    clean_shutdown: bool,
    recovery_point: i64,
) -> Result<PartitionLog, OpenError> {
    let config = LogConfig { segment_bytes: 2000, ..LogConfig::default() };
    let context = OpenContext { clean_shutdown, recovery_point, now_ms: NOW_MS };
    PartitionLog::open(Arc::new(disk.clone()), Path::new(DIR), Arc::new(config), context)
}

fn log_with(disk: &SimulatedDisk, batches: usize) -> PartitionLog {
    let mut log = open(disk, false, 0).unwrap();
    for _ in 0..batches {
        append(&mut log, batch(10, NOW_MS));
    }
    log.flush().unwrap();
    log
}

fn try_append(log: &mut PartitionLog) -> Result<AppendInfo, AppendError> {
    log.append_as_leader(batch(10, NOW_MS), 0, AppendOrigin::Client, NOW_MS)
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

#[test]
fn a_failed_write_takes_the_log_offline_and_reads_go_on() {
    let disk = disk();
    let mut log = log_with(&disk, 3);
    disk.fail_matching(Operation::Write, ".log", 1);
    assert!(matches!(try_append(&mut log), Err(AppendError::Disk(_))));
    assert!(log.is_offline());
    assert!(matches!(try_append(&mut log), Err(AppendError::Offline)));
    assert!(matches!(log.roll(NOW_MS), Err(MaintenanceError::Offline)));
    assert_eq!(log.log_end_offset(), 30);
    let read = log.read(0, usize::MAX, true, 30).unwrap();
    read.warm().unwrap();
    assert_eq!(read.next_offset, 30);
    assert!(log.close().is_err(), "a failed log has no clean end");
    assert_eq!(open(&disk, false, 30).unwrap().log_end_offset(), 30);
}

#[test]
fn a_failed_sync_is_final() {
    let disk = disk();
    let mut log = log_with(&disk, 1);
    try_append(&mut log).unwrap();
    disk.fail_matching(Operation::Sync, ".log", 1);
    assert!(log.flush().is_err());
    assert_eq!(log.flushed_end_offset(), 10);
    assert!(matches!(try_append(&mut log), Err(AppendError::Offline)));
}

#[test]
fn a_sync_that_began_before_a_truncation_proves_nothing() {
    let disk = disk();
    let mut log = log_with(&disk, 1);
    try_append(&mut log).unwrap();
    let plan = log.flush_progress().plan().unwrap();
    log.truncate_to(10, NOW_MS).unwrap();
    try_append(&mut log).unwrap();
    assert_eq!(log.flush_progress().mark_flushed(&plan), 10);
    let plan = log.flush_progress().plan().unwrap();
    assert_eq!(log.flush_progress().mark_flushed(&plan), 20);
}

#[test]
fn a_full_disk_at_any_step_of_a_roll_leaves_the_old_segment_active() {
    let disk = disk();
    let mut log = log_with(&disk, 3);
    let used: u64 = disk.list(Path::new(DIR)).unwrap().iter().map(|entry| entry.size).sum();
    let mut refused = 0;
    for room in 0.. {
        disk.set_capacity(Some(used + room));
        match log.roll(NOW_MS) {
            Ok(()) => break,
            Err(MaintenanceError::Disk(error)) => assert!(error.is_disk_full(), "{error:?}"),
            Err(other) => panic!("{other:?}"),
        }
        refused += 1;
        assert!(!log.is_offline());
        assert_eq!((log.segment_count(), log.log_end_offset()), (1, 30));
    }
    assert!(refused > 50, "only {refused} rolls were refused");
    disk.set_capacity(None);
    assert_eq!(try_append(&mut log).unwrap().first_offset, 30);
    drop(log);
    disk.crash(Unsynced::Kept);
    assert_eq!(open(&disk, false, 0).unwrap().log_end_offset(), 40);
}

/// It would answer the next leader's producers that their batches are in the log already.
#[test]
fn a_cut_that_cannot_forget_what_producers_sent_takes_the_log_offline() {
    let disk = disk();
    let mut log = log_with(&disk, 0);
    append(&mut log, idempotent(7, 0, 5));
    append(&mut log, idempotent(7, 5, 5));
    log.close().unwrap();
    drop(log);
    let mut log = open(&disk, true, 0).unwrap();
    disk.fail_matching(Operation::Remove, ".snapshot", 1);
    log.truncate_to(5, NOW_MS).unwrap_err();
    assert!(log.is_offline());
    drop(log);
    disk.crash(Unsynced::Kept);
    let mut log = open(&disk, false, 0).unwrap();
    assert!(!append(&mut log, idempotent(7, 5, 5)).duplicate);
}

/// The epoch is noted before its first batch, which a full disk may then refuse. A follower that went on
/// claiming it would be told for ever where its leader's history is another.
#[test]
fn an_epoch_whose_first_batch_was_refused_is_forgotten_by_a_cut_at_the_end() {
    let (mut log, disk) = (1..)
        .find_map(|room| {
            let disk = disk();
            let mut log = log_with(&disk, 3);
            let used: u64 = disk.list(Path::new(DIR)).unwrap().iter().map(|entry| entry.size).sum();
            disk.set_capacity(Some(used + room));
            let records = batch(10, NOW_MS);
            let refused = log.append_as_leader(records, 1, AppendOrigin::Client, NOW_MS);
            assert!(matches!(refused, Err(AppendError::DiskFull(_))), "{refused:?}");
            (log.latest_epoch() == Some(1)).then_some((log, disk))
        })
        .unwrap();
    disk.set_capacity(None);
    log.truncate_to(30, NOW_MS).unwrap();
    assert_eq!((log.latest_epoch(), log.log_end_offset()), (Some(0), 30));
    drop(log);
    disk.crash(Unsynced::Dropped);
    assert_eq!(open(&disk, false, 0).unwrap().latest_epoch(), Some(0));
}

#[test]
fn damage_below_the_recovery_point_is_reported_and_never_cut_off() {
    let size = batch(10, NOW_MS).len();
    let position = u64::try_from(size * 2).unwrap();
    for byte in [0, 8, 17, 40, 70] {
        let disk = disk();
        drop(log_with(&disk, 4));
        disk.flip_bits(&path("00000000000000000000.log"), position + byte, 0x10).unwrap();
        let error = open(&disk, false, 30).unwrap_err();
        let OpenError::Corrupt { path: file, position: at, offset, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(file, path("00000000000000000000.log"));
        assert_eq!((at, offset), (position, 20), "byte {byte}");
        assert_eq!(disk.file_size(&file).unwrap(), u64::try_from(size * 4).unwrap());

        // Above the recovery point the same damage is the torn end of the log.
        assert_eq!(open(&disk, false, 20).unwrap().log_end_offset(), 20, "byte {byte}");
    }
}

#[test]
fn a_damaged_batch_is_not_sent() {
    let disk = disk();
    let log = log_with(&disk, 4);
    let size = u64::try_from(batch(10, NOW_MS).len()).unwrap();
    disk.flip_bits(&path("00000000000000000000.log"), size * 3 + 70, 1).unwrap();
    log.read(0, usize::MAX, true, 30).unwrap().warm().unwrap();
    let error = log.read(0, usize::MAX, true, 40).unwrap().warm().unwrap_err();
    let VerifyError::Corrupt { position, source: CorruptBatch::Batch(_) } = error else {
        panic!("{error:?}");
    };
    assert_eq!(position, size * 3);
}

#[test]
fn leftovers_of_an_exchange_that_never_began_are_removed() {
    let disk = disk();
    drop(log_with(&disk, 3));
    for name in [
        "00000000000000000000.log.cleaned",
        "00000000000000000000.swap",
        "00000000000000000010.log.deleted",
        "log-state.tmp",
    ] {
        disk.open(&path(name), OpenOptions::CREATE).unwrap().write_at(b"rest", 0).unwrap();
    }
    let log = open(&disk, false, 0).unwrap();
    assert_eq!(log.log_end_offset(), 30);
    let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let rest: Vec<String> = names.filter(|name| !name.ends_with(".log")).collect();
    assert_eq!(rest, ["leader-epoch-checkpoint", "log-state"]);
}

#[test]
fn retries_are_recognised_after_their_segment_is_deleted() {
    let disk = disk();
    let mut log = open(&disk, false, 0).unwrap();
    append(&mut log, idempotent(7, 0, 5));
    append(&mut log, idempotent(7, 5, 5));
    log.roll(NOW_MS).unwrap();
    append(&mut log, batch(10, NOW_MS));
    log.flush().unwrap();
    log.advance_log_start_offset(10).unwrap();
    assert_eq!(log.segment_count(), 1);
    drop(log);
    disk.crash(Unsynced::Dropped);
    let mut log = open(&disk, false, 0).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (10, 20));
    let retry = append(&mut log, idempotent(7, 0, 5));
    assert!(retry.duplicate);
    assert_eq!((retry.first_offset, retry.last_offset), (0, 4));
}

#[test]
fn a_lost_state_file_gives_the_epochs_of_the_log_back() {
    let disk = disk();
    let mut log = open(&disk, false, 0).unwrap();
    for (leader_epoch, _) in [(2, 0), (2, 10), (5, 20)] {
        log.append_as_leader(batch(10, NOW_MS), leader_epoch, AppendOrigin::Client, NOW_MS)
            .unwrap();
    }
    let epochs = log.epochs().clone();
    log.close().unwrap();
    for clean_shutdown in [true, false] {
        for name in ["log-state", "leader-epoch-checkpoint"] {
            disk.remove_file(&path(name)).unwrap();
        }
        assert_eq!(*open(&disk, clean_shutdown, 30).unwrap().epochs(), epochs);
    }
}

#[test]
fn what_a_truncation_removed_does_not_come_back() {
    let disk = disk();
    let mut log = open(&disk, false, 0).unwrap();
    append(&mut log, idempotent(7, 0, 5));
    log.close().unwrap();
    disk.crash(Unsynced::Kept);
    let mut log = open(&disk, true, 5).unwrap();
    log.truncate_to(0, NOW_MS).unwrap();
    append(&mut log, idempotent(8, 0, 5));
    log.close().unwrap();
    // The snapshot that closing has written was not synced, and needs not be: its loss is noticed,
    // unless the one before, of other records, is found in its place.
    disk.crash(Unsynced::Dropped);
    let log = open(&disk, true, 5).unwrap();
    assert_eq!(log.log_end_offset(), 5);
    let producers: Vec<i64> = log.active_producers().map(|entry| entry.producer_id).collect();
    assert_eq!(producers, [8]);
}

#[test]
fn a_log_that_was_emptied_starts_where_it_was_told_to() {
    let disk = disk();
    for offset in [0, 25, 1000] {
        let mut log = log_with(&disk, 6);
        let next = log.log_end_offset();
        log.restart_at(next + offset, NOW_MS).unwrap();
        assert_eq!((log.log_start_offset(), log.segment_count()), (next + offset, 1));
        assert_eq!(log.latest_epoch(), None);
        drop(log);
        let mut log = open(&disk, false, 0).unwrap();
        assert_eq!(log.log_start_offset(), next + offset);
        assert_eq!(try_append(&mut log).unwrap().first_offset, next + offset);
    }
}
