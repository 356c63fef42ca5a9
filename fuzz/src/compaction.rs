//! Compaction of logs that an input has written and, at times, damaged.
//!
//! What a run leaves is a part of what was there, at the same offsets; the newest value of a key is
//! in it; and a second opening finds the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use flumen_protocol::records::{Batches, Record};
use flumen_storage::compaction::{CompactionBounds, compact, dirtiness};
use flumen_storage::vfs::SimulatedDisk;
use flumen_storage::{AppendOrigin, OpenContext, PartitionLog};
use parking_lot::Mutex;

use crate::batches;
use crate::bounds::within;
use crate::input::Input;
use crate::log_files::{self, NOW_MS};

const MEMORY_MAX: usize = 32 << 20;
const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let files = log_files::draw(&mut input);
    let disk = log_files::write(&files, log_files::DIR);
    within(MEMORY_MAX, || check(&disk, input));
}

/// How many directories there are, each a seed.
pub fn seed_count() -> u8 {
    log_files::template_count()
}

/// The input that compacts the log in a directory as it is.
pub fn seed(number: u8) -> Vec<u8> {
    vec![number]
}

fn check(disk: &SimulatedDisk, mut input: Input<'_>) {
    let context = OpenContext { clean_shutdown: false, recovery_point: 0, now_ms: NOW_MS };
    let Ok(mut log) = log_files::open(disk, context) else { return };
    // Near the last offset there is no room to write.
    if log.log_end_offset() > i64::MAX >> 1 {
        return;
    }
    write(&mut log, &mut input);
    let before = Content::of(&log);
    let bounds = CompactionBounds {
        limit: log.last_stable_offset(log.log_end_offset()),
        first_dirty_offset: if input.flag() { input.edgy_i64().max(0) } else { 0 },
        now_ms: NOW_MS + (input.edgy_i64() & (i64::MAX >> 1)),
        offset_map_bytes_max: if input.flag() { input.below(2000) } else { 1 << 20 },
    };
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let log = Mutex::new(log);
    if let Ok(dirtiness) = dirtiness(&log.lock(), &bounds) {
        assert!((0.0..=1.0).contains(&dirtiness.ratio()));
    }
    let compacted = compact(&log, &bounds);
    let mut log = log.into_inner();
    assert!(!log.is_offline(), "the disk is sound");
    let after = Content::of(&log);
    if let Some(before) = before {
        before.check(after.as_ref().expect("what could be read before can be read after"));
    }
    if let Ok(Some(compacted)) = compacted {
        assert!(compacted.first_dirty_offset <= bounds.limit);
    }

    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    log.flush().expect("the disk is sound");
    drop(log);
    let log = log_files::open(disk, context).expect("nothing was damaged since");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (start, end));
    let again = Content::of(&log);
    assert_eq!(again.map(|again| again.records), after.map(|after| after.records));
}

/// Appends batches, those that are let in, and begins new segments.
fn write(log: &mut PartitionLog, input: &mut Input<'_>) {
    for _ in 0..input.below(8) {
        let records = Bytes::from(batches::draw(input, 0));
        let origin = if input.flag() { AppendOrigin::Client } else { AppendOrigin::Coordinator };
        if let Err(refused) = log.append_as_leader(records, 9, origin, NOW_MS) {
            assert!(!refused.to_string().is_empty());
        }
    }
    if input.flag() {
        log.roll(NOW_MS).expect("the disk is sound");
    }
}

/// All records of a log, by offset.
struct Content {
    records: BTreeMap<i64, Record>,
    has_transactions: bool,
}

impl Content {
    /// `None` where a batch has records that cannot be read or are out of order, so that it can
    /// never have been let in: its checksum was repaired.
    fn of(log: &PartitionLog) -> Option<Self> {
        let mut content = Self { records: BTreeMap::new(), has_transactions: false };
        let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
        while offset < end {
            let read = log.read(offset, 1 << 20, true, end).ok()?;
            if read.is_empty() {
                break;
            }
            for range in &read.segments {
                for batch in Batches::new(range.read().ok()?) {
                    let batch = batch.ok()?;
                    content.has_transactions |= batch.header().is_transactional();
                    let is_data = !batch.header().is_control();
                    for record in batch.records(DECOMPRESSED_BYTES_MAX).ok()? {
                        // No record has attributes yet, and Kafka does not keep them either.
                        let record = Record { attributes: 0, ..record.ok()? };
                        if content.records.keys().next_back() >= Some(&record.offset) {
                            return None;
                        }
                        if is_data && record.offset >= log.log_start_offset() {
                            content.records.insert(record.offset, record);
                        }
                    }
                }
            }
            offset = read.next_offset;
        }
        Some(content)
    }

    fn check(&self, after: &Self) {
        for (offset, record) in &after.records {
            assert_eq!(self.records.get(offset), Some(record), "records stay as they are");
        }
        if self.has_transactions {
            return;
        }
        let mut newest = BTreeMap::new();
        for record in self.records.values() {
            newest.insert(record.key.clone(), record);
        }
        for (key, record) in newest {
            // Records without a key come from before the topic was compacted.
            if key.is_some() && record.value.is_some() {
                assert_eq!(after.records.get(&record.offset), Some(record), "the newest stays");
            }
        }
    }
}
