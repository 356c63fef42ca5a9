use bytes::BytesMut;
use flumen_protocol::records::control::EndTransactionMarker;
use flumen_protocol::records::{BatchBuilder, BatchOptions, LOG_OVERHEAD};
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_000_000;
const RULES: ValidationRules = ValidationRules {
    is_from_client: true,
    is_compacted: false,
    codec: None,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 1_000,
    batch_bytes_max: 100_000,
    decompressed_bytes_max: 1 << 20,
};
const AT: Assignment = Assignment { next_offset: 500, leader_epoch: 7, now_ms: NOW_MS };

fn batch_with(options: BatchOptions, records: &[(i64, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key) in records {
        builder.append(*timestamp, key.map(str::as_bytes), Some(&[0; 100]), &[]);
    }
    builder.build()
}

fn batch() -> Bytes {
    batch_with(BatchOptions::default(), &[(10, Some("a")), (30, None), (20, Some("c"))])
}

/// Changes the header of a batch and makes its checksum right again.
fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    header.seal(&batch[BATCH_OVERHEAD..]);
    [&header.to_bytes()[..], &batch[BATCH_OVERHEAD..]].concat().into()
}

fn with_payload(record_count: i32, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&batch()[..BATCH_OVERHEAD]);
    bytes.extend_from_slice(payload);
    with_header(&bytes.freeze(), |header| {
        header.batch_length = i32::try_from(BATCH_OVERHEAD - LOG_OVERHEAD + payload.len()).unwrap();
        header.record_count = record_count;
        header.last_offset_delta = record_count - 1;
    })
}

/// The batch as it would lie in the log, read back by the protocol crate.
fn written(validated: &ValidatedBatch) -> RecordBatch {
    let bytes: Vec<u8> = validated.parts().iter().flat_map(|part| part.to_vec()).collect();
    assert_eq!(bytes.len(), validated.size_in_bytes());
    let batch = RecordBatch::parse(bytes.into()).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header(), validated.header());
    batch
}

fn accept(records: Bytes, rules: &ValidationRules) -> RecordBatch {
    let validated = validate(records, rules, AT).unwrap();
    assert_eq!(validated.len(), 1);
    written(&validated[0])
}

#[track_caller]
fn refuse(records: Bytes, rules: &ValidationRules, expected: ValidationError) {
    assert_eq!(validate(records, rules, AT).map(drop), Err(expected));
}

#[test]
fn a_valid_batch_gets_its_place_and_is_not_copied() {
    let records = batch();
    let payload_address = records[BATCH_OVERHEAD..].as_ptr();
    let validated = validate(records, &RULES, AT).unwrap();
    assert_eq!(validated[0].payload().as_ptr(), payload_address);
    let header = *written(&validated[0]).header();
    assert_eq!((header.base_offset, header.last_offset()), (500, 502));
    assert_eq!((header.partition_leader_epoch, header.max_timestamp), (7, 30));
}

#[test]
fn every_codec_is_checked_without_being_rewritten() {
    for codec in Compression::ALL {
        let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
        let records = batch_with(options, &[(1, None), (2, None)]);
        let payload = records.slice(BATCH_OVERHEAD..);
        assert_eq!(accept(records, &RULES).payload(), payload, "{codec}");
    }
}

#[test]
fn a_topic_codec_replaces_that_of_the_producer() {
    for source in Compression::ALL {
        for target in Compression::ALL {
            let options = BatchOptions { codec: source.into(), ..BatchOptions::default() };
            let records = batch_with(options, &[(1, Some("k")), (2, None)]);
            let rules = ValidationRules { codec: Some(target.into()), ..RULES };
            let batch = accept(records, &rules);
            assert_eq!(batch.header().compression(), target);
            let keys: Vec<_> =
                batch.records(1_000).unwrap().map(|record| record.unwrap().key).collect();
            assert_eq!(keys, [Some(Bytes::from_static(b"k")), None], "{source} to {target}");
        }
    }
}

#[test]
fn the_append_time_replaces_that_of_the_producer() {
    let rules = ValidationRules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
    // Far in the future: no matter, the broker does not keep it.
    let batch = accept(batch_with(BatchOptions::default(), &[(i64::MAX, None)]), &rules);
    assert_eq!(batch.header().max_timestamp, NOW_MS);
    assert_eq!(batch.records(0).unwrap().next().unwrap().unwrap().timestamp, NOW_MS);
}

#[test]
fn a_wrong_maximum_and_a_wrong_timestamp_type_are_put_right() {
    let records = with_header(&batch(), |header| {
        header.set_timestamps(TimestampType::LogAppendTime, 99);
    });
    let header = *accept(records, &RULES).header();
    assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::CreateTime, 30));
}

#[test]
fn timestamps_have_bounds_on_both_sides() {
    let rules = ValidationRules { timestamp_before_max_ms: 500, ..RULES };
    let (earliest, latest) = (NOW_MS - 500, NOW_MS + 1_000);
    let stamps = [earliest, latest, NO_TIMESTAMP].map(|timestamp| (timestamp, None));
    accept(batch_with(BatchOptions::default(), &stamps), &rules);

    let stamps = [earliest - 1, NOW_MS, latest + 1, i64::MIN].map(|timestamp| (timestamp, None));
    let rejected = |index, timestamp| RejectedRecord {
        index,
        reason: RejectReason::TimestampOutOfRange { timestamp, earliest, latest },
    };
    refuse(
        batch_with(BatchOptions::default(), &stamps),
        &rules,
        ValidationError::RejectedRecords {
            count: 3,
            records: vec![
                rejected(0, earliest - 1),
                rejected(2, latest + 1),
                rejected(3, i64::MIN),
            ],
        },
    );
}

#[test]
fn a_compacted_topic_names_the_records_without_a_key() {
    let rules = ValidationRules { is_compacted: true, ..RULES };
    for codec in Compression::ALL {
        let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
        let records = batch_with(options, &[(1, Some("")), (1, None), (1, Some("k"))]);
        let rejected = RejectedRecord { index: 1, reason: RejectReason::MissingKey };
        let expected = ValidationError::RejectedRecords { count: 1, records: vec![rejected] };
        refuse(records, &rules, expected);
    }
}

#[test]
fn rejected_records_are_counted_but_not_all_named() {
    let rules = ValidationRules { is_compacted: true, batch_bytes_max: 1 << 20, ..RULES };
    let records = batch_with(BatchOptions::default(), &vec![(1, None); 1_500]);
    let Err(ValidationError::RejectedRecords { count, records }) = validate(records, &rules, AT)
    else {
        panic!("records without a key are refused");
    };
    assert_eq!((count, records.len()), (1_500, REJECTED_RECORDS_MAX));
}

#[test]
fn a_client_may_not_write_what_only_brokers_write() {
    let refuse = |change: fn(&mut BatchHeader), expected| {
        refuse(with_header(&batch(), change), &RULES, expected);
    };
    refuse(|header| header.attributes |= 1 << 5, ValidationError::ControlBatch);
    refuse(|header| header.attributes |= 1 << 6, ValidationError::DeleteHorizon);
    refuse(|header| header.attributes |= 1 << 4, ValidationError::NoProducerId);
    refuse(|header| header.base_offset = 1, ValidationError::BaseOffset { base_offset: 1 });
    refuse(
        |header| header.producer_id = 9,
        ValidationError::BaseSequence { producer_id: 9, base_sequence: -1 },
    );
}

#[test]
fn a_broker_may_append_markers_and_several_batches() {
    let marker = EndTransactionMarker { is_commit: true, coordinator_epoch: 1 };
    let codec = Some(Compression::Zstd.into());
    let rules = ValidationRules { is_from_client: false, is_compacted: true, codec, ..RULES };
    let keyed = batch_with(BatchOptions::default(), &[(1, Some("k"))]);
    let records = [keyed, marker.to_batch(5, 1, 0)].concat();
    let validated = validate(records.clone().into(), &rules, AT).unwrap();
    let headers: Vec<_> = validated.iter().map(|batch| *written(batch).header()).collect();
    assert_eq!((headers[0].base_offset, headers[1].base_offset), (500, 501));
    assert_eq!(headers[0].compression(), Compression::Zstd);
    assert_eq!(headers[1].compression(), Compression::None, "markers stay as they are");

    let rules = ValidationRules { is_from_client: true, ..rules };
    refuse(records.into(), &rules, ValidationError::SeveralBatches);
}

#[test]
fn counts_must_agree_with_each_other_and_with_the_records() {
    let count = |record_count, last_offset_delta| {
        let records = with_header(&batch(), |header| {
            header.record_count = record_count;
            header.last_offset_delta = last_offset_delta;
        });
        validate(records, &RULES, AT).map(drop)
    };
    let refused = |record_count, last_offset_delta| {
        Err(ValidationError::RecordCount { record_count, last_offset_delta })
    };
    assert_eq!(count(3, 2), Ok(()));
    assert_eq!(count(3, 3), refused(3, 3));
    assert_eq!(count(2, 2), refused(2, 2));
    assert_eq!(count(0, 0), refused(0, 0));
    assert!(matches!(count(4, 3), Err(ValidationError::Records(RecordError::Truncated { .. }))));
    assert!(matches!(
        count(2, 1),
        Err(ValidationError::Records(RecordError::TrailingBytes { .. }))
    ));
}

/// As in Kafka: place, size and checksum are judged before what the header says is believed.
#[test]
fn a_header_that_contradicts_itself_is_judged_after_size_and_checksum() {
    /// Where the sign of the record count lies.
    const RECORD_COUNT: usize = 57;
    let records = with_header(&batch(), |header| header.record_count = -1);
    let size = records.len();
    let contradiction = BatchError::InvalidCount { record_count: -1, last_offset_delta: 2 };
    refuse(records.clone(), &RULES, ValidationError::Batch(contradiction));

    let rules = ValidationRules { batch_bytes_max: size - 1, ..RULES };
    refuse(records.clone(), &rules, ValidationError::BatchTooLarge { size, limit: size - 1 });
    let mut elsewhere = BytesMut::from(&records[..]);
    elsewhere[7] = 1;
    refuse(elsewhere.freeze(), &rules, ValidationError::BaseOffset { base_offset: 1 });
    let elsewhere = with_header(&batch(), |header| header.base_offset = 1);
    refuse(elsewhere, &rules, ValidationError::BaseOffset { base_offset: 1 });

    // Damage, which a producer answers with another attempt, and not its mistake.
    let mut damaged = BytesMut::from(&batch()[..]);
    damaged[RECORD_COUNT] = 0xff;
    let refused = validate(damaged.freeze(), &RULES, AT);
    assert!(matches!(refused, Err(ValidationError::Batch(BatchError::CrcMismatch { .. }))));
}

#[test]
fn offset_deltas_must_follow_each_other() {
    let gap = with_payload(2, &[12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 4, 1, 1, 0]);
    refuse(gap, &RULES, ValidationError::OffsetDelta { index: 1, offset_delta: 2 });
    let start = with_payload(1, &[12, 0, 0, 2, 1, 1, 0]);
    refuse(start, &RULES, ValidationError::OffsetDelta { index: 0, offset_delta: 1 });
}

#[test]
fn bytes_that_are_no_batch_are_refused() {
    let good = batch();
    refuse(Bytes::new(), &RULES, ValidationError::NoBatch);
    let incomplete =
        |needed, available| ValidationError::Batch(BatchError::Incomplete { needed, available });
    refuse(good.slice(..5), &RULES, incomplete(BATCH_OVERHEAD, 5));
    refuse(good.slice(..good.len() - 1), &RULES, incomplete(good.len(), good.len() - 1));
    let trailing = [&good[..], &[0; 3]].concat();
    refuse(trailing.into(), &RULES, incomplete(BATCH_OVERHEAD, 3));

    let mut flipped = BytesMut::from(&good[..]);
    flipped[100] ^= 1;
    assert!(matches!(
        validate(flipped.freeze(), &RULES, AT),
        Err(ValidationError::Batch(BatchError::CrcMismatch { .. }))
    ));
    let mut old = BytesMut::from(&good[..]);
    old[16] = 1;
    let magic = BatchError::UnsupportedMagic { magic: 1 };
    refuse(old.freeze(), &RULES, ValidationError::Batch(magic));
}

#[test]
fn sizes_are_bounded_before_and_after_recompression() {
    let records = batch();
    let size = records.len();
    let rules = ValidationRules { batch_bytes_max: size, ..RULES };
    accept(records.clone(), &rules);
    let rules = ValidationRules { batch_bytes_max: size - 1, ..RULES };
    refuse(records, &rules, ValidationError::BatchTooLarge { size, limit: size - 1 });

    let options = BatchOptions { codec: Compression::Gzip.into(), ..BatchOptions::default() };
    let small = batch_with(options, &[(0, None); 50]);
    let rules = ValidationRules {
        batch_bytes_max: small.len(),
        codec: Some(Compression::None.into()),
        ..RULES
    };
    let Err(ValidationError::BatchTooLarge { size, limit }) = validate(small.clone(), &rules, AT)
    else {
        panic!("the batch grows");
    };
    assert!(size > 5_000 && limit == small.len());
}

#[test]
fn a_bomb_is_refused_in_every_codec() {
    let limit = 1 << 16;
    let rules = ValidationRules { decompressed_bytes_max: limit, ..RULES };
    for codec in &Compression::ALL[1..] {
        let mut builder =
            BatchBuilder::new(BatchOptions { codec: (*codec).into(), ..BatchOptions::default() });
        builder.append(0, None, Some(&vec![0; 1 << 20]), &[]);
        let error = CompressionError::OutputLimit { codec: *codec, limit };
        refuse(builder.build(), &rules, ValidationError::Records(RecordError::Compression(error)));
    }
}

/// A reader would have to decompress more than it may: the log would hold what cannot be read.
#[test]
fn what_recompression_makes_can_be_read_within_the_limit() {
    let records = batch_with(BatchOptions::default(), &[(0, None); 50]);
    let size = records.len() - BATCH_OVERHEAD;
    for codec in &Compression::ALL[1..] {
        let rules =
            ValidationRules { codec: Some((*codec).into()), decompressed_bytes_max: size, ..RULES };
        let validated = validate(records.clone(), &rules, AT).unwrap();
        assert_eq!(written(&validated[0]).records(size).unwrap().count(), 50);

        let limit = size - 1;
        let rules = ValidationRules { decompressed_bytes_max: limit, ..rules };
        let error = CompressionError::OutputLimit { codec: *codec, limit };
        refuse(records.clone(), &rules, ValidationError::Records(RecordError::Compression(error)));
    }
}

#[test]
fn the_last_offset_is_not_passed() {
    let at = Assignment { next_offset: i64::MAX - 2, ..AT };
    let expected = ValidationError::OffsetsExhausted { next_offset: i64::MAX - 2 };
    assert_eq!(validate(batch(), &RULES, at).map(drop), Err(expected));
}

proptest! {
    /// Whatever a client sends, with a right checksum over it: no panic, and what gets in can be read.
    #[test]
    fn what_is_accepted_can_be_read(
        codec in proptest::sample::select(&Compression::ALL[..]),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        is_from_client in any::<bool>(),
    ) {
        let options = BatchOptions { codec: codec.into(), ..BatchOptions::default() };
        let records = batch_with(options, &[(1, Some("a")), (2, None), (3, Some("c"))]);
        let mut bytes = BytesMut::from(&records[..]);
        for (index, byte) in flips {
            // Behind the length, whose faults end before anything else is looked at.
            let position = LOG_OVERHEAD + index.index(bytes.len() - LOG_OVERHEAD);
            bytes[position] = byte;
        }
        if let Ok(mut header) = BatchHeader::parse(&bytes) {
            header.seal(&bytes[BATCH_OVERHEAD..]);
            bytes[..BATCH_OVERHEAD].copy_from_slice(&header.to_bytes());
        }
        let rules = ValidationRules { is_from_client, ..RULES };
        if let Ok(validated) = validate(bytes.freeze(), &rules, AT) {
            let batch = written(&validated[0]);
            let offsets: Vec<i64> =
                batch.records(1 << 20).unwrap().map(|record| record.unwrap().offset).collect();
            let header = batch.header();
            prop_assert_eq!(offsets, (500..header.next_offset()).collect::<Vec<_>>());
            prop_assert!(header.max_timestamp >= NO_TIMESTAMP);
        }
    }
}
