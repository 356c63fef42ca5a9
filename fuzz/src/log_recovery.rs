//! A partition log over damaged files: segments, indexes, snapshots, seals and checkpoints.
//!
//! It opens or says why not. What it then holds can be read to its end if recovery has looked at
//! it, appending goes on, and the next opening finds the same log.

use bytes::Bytes;
use flumen_protocol::records::Batches;
use flumen_protocol::records::compression::Compression;
use flumen_storage::vfs::SimulatedDisk;
use flumen_storage::{AppendError, AppendOrigin, OpenContext, OpenError, PartitionLog};

use crate::bounds::within;
use crate::input::Input;
use crate::log_files::{self, NOW_MS, plain_batch};

/// For files of a few kilobytes; a segment is read in windows, an index as a whole.
const MEMORY_MAX: usize = 8 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let context = OpenContext {
        clean_shutdown: input.flag(),
        recovery_point: if input.flag() { input.edgy_i64() & i64::MAX } else { 0 },
        now_ms: NOW_MS,
    };
    let files = log_files::draw(&mut input);
    let disk = log_files::write(&files, log_files::DIR);
    let size: usize = files.values().map(Vec::len).sum();
    within(MEMORY_MAX + 16 * size, || check(&disk, context, input));
}

/// How many directories there are, each a seed.
pub fn seed_count() -> u8 {
    log_files::template_count()
}

/// The input that leaves a directory as it is.
pub fn seed(number: u8) -> Vec<u8> {
    vec![0, 0, number]
}

fn check(disk: &SimulatedDisk, context: OpenContext, mut input: Input<'_>) {
    let mut log = match log_files::open(disk, context) {
        Ok(log) => log,
        Err(OpenError::Disk(error)) => panic!("the disk is sound: {error}: {}", error.source),
        Err(OpenError::Corrupt { .. }) => return,
    };
    let is_scanned = !context.clean_shutdown && context.recovery_point == 0;
    let is_readable = read_all(&log, is_scanned);
    look_up(&log, &mut input);
    if !change(&mut log, &mut input) {
        return;
    }
    append(&mut log);
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    if log.close().is_err() {
        assert!(!is_readable, "a log that can be read can be closed");
        return;
    }
    for clean_shutdown in [true, false] {
        let context = OpenContext { clean_shutdown, recovery_point: 0, now_ms: NOW_MS };
        let log = match log_files::open(disk, context) {
            Ok(log) => log,
            Err(error) => {
                assert!(!is_scanned, "{error}");
                return;
            }
        };
        if is_scanned {
            assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
            read_all(&log, true);
        }
    }
}

/// Reads from the start to the end, and says whether that was possible, which it must be after a
/// scan.
fn read_all(log: &PartitionLog, is_scanned: bool) -> bool {
    let end = log.log_end_offset();
    assert!(log.log_start_offset() <= log.flushed_end_offset() && log.flushed_end_offset() <= end);
    let mut offset = log.log_start_offset();
    while offset < end {
        let read = match log.read(offset, 500, true, end) {
            Ok(read) => read,
            Err(error) => {
                assert!(!is_scanned, "cannot read at {offset}: {error}");
                return false;
            }
        };
        if let Err(error) = read.warm() {
            assert!(!is_scanned, "cannot verify at {offset}: {error:?}");
            return false;
        }
        // Compaction leaves gaps, at the end of a segment too.
        if read.is_empty() {
            return true;
        }
        assert!(read.next_offset > offset, "a read at {offset} gets on");
        offset = read.next_offset;
    }
    true
}

fn look_up(log: &PartitionLog, input: &mut Input<'_>) {
    let (timestamp, offset) = (input.edgy_i64(), input.edgy_i64());
    drop(log.offset_for_timestamp(timestamp));
    drop(log.aborted_transactions(offset.max(0), log.log_end_offset()));
    let end = log.end_offset_for_epoch(input.edgy_i32());
    assert!(end.is_none_or(|end| end.end_offset <= log.log_end_offset()));
    assert!(log.last_stable_offset(offset) <= offset);
    let ids: Vec<i64> = log.active_producers().map(|producer| producer.producer_id).collect();
    assert!(ids.is_sorted());
}

/// Changes the log at its ends; `false` if it cannot be used any more.
fn change(log: &mut PartitionLog, input: &mut Input<'_>) -> bool {
    for _ in 0..input.below(4) {
        let offset = log.log_start_offset().saturating_add(i64::from(input.byte()));
        let offset = offset.min(i64::MAX - 1);
        let high_watermark = log.log_end_offset();
        let changed = match input.below(5) {
            0 => log.roll(NOW_MS),
            1 => log.truncate_to(offset, NOW_MS),
            2 => log.advance_log_start_offset(offset.min(high_watermark)),
            3 => log.delete_expired(NOW_MS, high_watermark).map(|_| ()),
            _ => log.restart_at(offset, NOW_MS),
        };
        if changed.is_err() || log.is_offline() {
            return false;
        }
    }
    true
}

fn append(log: &mut PartitionLog) {
    let records = plain_batch(9, 3, Compression::None);
    let offset = log.log_end_offset();
    let appended = log.append_as_leader(records.clone(), 9, AppendOrigin::Client, NOW_MS);
    match appended {
        Ok(appended) => assert_eq!(appended.first_offset, offset),
        // A damaged name can put the end of the log where no offsets are left.
        Err(AppendError::Invalid(error)) if offset > i64::MAX - 10 => {
            assert!(!error.to_string().is_empty());
            return;
        }
        Err(error) => panic!("cannot append at {offset}: {error}"),
    }
    let read = log.read(offset, 1, true, i64::MAX).expect("it was just appended");
    let bytes: Bytes = read.segments[0].read().expect("the disk is sound");
    let batch = Batches::new(bytes).next().expect("one batch").expect("it was just appended");
    assert_eq!(batch.header().base_offset, offset);
    assert_eq!(batch.payload(), records.slice(61..));
}
