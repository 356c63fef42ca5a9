//! Batch validation: whoever reads a log relies on what was let in, so it is read here again.

use bytes::Bytes;
use flumen_protocol::records::compression::Compression;
use flumen_protocol::records::{RecordBatch, TimestampType};
use flumen_storage::validate::{Assignment, ValidatedBatch, ValidationRules, validate};

use crate::batches;
use crate::bounds::within;
use crate::edits::edit;
use crate::input::Input;

const MEMORY_MAX: usize = 16 << 20;
const READ_BYTES_MAX: usize = 2 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let rules = draw_rules(&mut input);
    let assignment = Assignment {
        next_offset: input.edgy_i64() & i64::MAX,
        leader_epoch: input.edgy_i32(),
        now_ms: input.edgy_i64() & i64::MAX,
    };
    let records = draw_records(&mut input, mode);
    let size = records.len();
    within(MEMORY_MAX + 64 * size, || match validate(records, &rules, assignment) {
        Ok(batches) => check(&batches, &rules, assignment),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    });
}

/// The input that means this very batch, from a client and under the plainest rules.
pub fn seed(batch: &[u8]) -> Vec<u8> {
    let mode_rules_assignment = [0; 5];
    [&mode_rules_assignment[..], batch].concat()
}

fn draw_rules(input: &mut Input<'_>) -> ValidationRules {
    let bits = input.byte();
    ValidationRules {
        is_from_client: bits & 1 == 0,
        is_compacted: bits & 2 != 0,
        codec: (bits & 4 != 0).then(|| batches::draw_codec(input)),
        timestamp_type: batches::timestamp_type(bits & 8 != 0),
        timestamp_before_max_ms: if bits & 16 != 0 {
            input.edgy_i64() & i64::MAX
        } else {
            i64::MAX
        },
        timestamp_after_max_ms: if bits & 32 != 0 { input.edgy_i64() & i64::MAX } else { i64::MAX },
        batch_bytes_max: if bits & 64 != 0 { input.below(2000) } else { 1 << 20 },
        decompressed_bytes_max: if bits & 128 != 0 { input.below(5000) } else { 256 * 1024 },
    }
}

fn draw_records(input: &mut Input<'_>, mode: u8) -> Bytes {
    if mode & 1 == 0 {
        let mut raw = input.rest().to_vec();
        batches::repair_segment(&mut raw);
        return raw.into();
    }
    let mut records = Vec::new();
    for _ in 0..=usize::from(mode >> 1 & 1) {
        let mut batch = batches::draw(input, 0);
        edit(&mut batch, input, 3);
        if mode & 4 != 0 {
            batches::repair_length(&mut batch);
        }
        if mode & 8 == 0 {
            batches::repair_crc(&mut batch);
        }
        records.extend(batch);
    }
    records.into()
}

fn check(batches: &[ValidatedBatch], rules: &ValidationRules, assignment: Assignment) {
    assert!(!batches.is_empty());
    assert!(batches.len() == 1 || !rules.is_from_client);
    let mut next_offset = assignment.next_offset;
    for validated in batches {
        let parts = validated.parts();
        let batch = RecordBatch::parse([&*parts[0], &*parts[1]].concat().into());
        let batch = batch.expect("it was let in");
        batch.verify_crc().expect("it was let in");
        let header = batch.header();
        assert_eq!(header, validated.header());
        assert_eq!(validated.size_in_bytes(), batch.bytes().len());
        assert!(batch.bytes().len() <= rules.batch_bytes_max);
        assert_eq!(header.partition_leader_epoch, assignment.leader_epoch);
        assert_eq!(header.timestamp_type(), rules.timestamp_type);
        assert!(!(rules.is_from_client && header.is_control()));
        let target = rules.codec.map(|codec| codec.compression);
        let keeps_codec = header.is_control() && header.compression() == Compression::None;
        assert!(keeps_codec || target.is_none_or(|target| target == header.compression()));
        check_records(&batch, rules, assignment, next_offset);
        next_offset = header.next_offset();
    }
}

fn check_records(
    batch: &RecordBatch,
    rules: &ValidationRules,
    assignment: Assignment,
    next_offset: i64,
) {
    let header = batch.header();
    assert_eq!(header.base_offset, next_offset);
    let mut expected = next_offset;
    let mut max_timestamp = -1;
    // What came uncompressed may be larger than what is decompressed to look at a batch.
    for record in batch.records(READ_BYTES_MAX).expect("it was let in") {
        let record = record.expect("it was let in");
        assert_eq!(record.offset, expected);
        assert!(record.key.is_some() || !rules.is_compacted);
        max_timestamp = max_timestamp.max(record.timestamp);
        expected += 1;
    }
    assert_eq!(expected, header.next_offset());
    match rules.timestamp_type {
        TimestampType::CreateTime => assert_eq!(header.max_timestamp, max_timestamp),
        TimestampType::LogAppendTime => assert_eq!(header.max_timestamp, assignment.now_ms),
    }
}
